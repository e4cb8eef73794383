//! TLS on both listeners: what it carries, what it refuses, and how its certificates change under live connections.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::fs;
use std::path::Path;

use rustls::version::{TLS12, TLS13};
use support::{
    ADMIN_TOKEN, ALICE, Authority, BOB, Client, ONCE, Pair, Refusal, SEED, Server, User,
    get_over_tls, shake_hands,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const EXPIRY: &str = "yizhan_tls_certificate_expiry_timestamp_seconds";
/// The beginning of the last day of these years, Unix seconds.
const EXPIRES_2095: f64 = 3_976_128_000.0;
const EXPIRES_2096: f64 = 4_007_750_400.0;

/// A server with TLS on its public listener, and everything that belongs to it.
struct House {
    authority: Authority,
    pair: Pair,
    /// The certificate in the files.
    shown: Vec<u8>,
    server: Server,
    _dir: tempfile::TempDir,
}

impl House {
    async fn with(sets: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (authority, pair) = (Authority::new(), Pair::within(dir.path()));
        let shown = authority.issue(&pair, 2095);
        let tls = pair.sets();
        let mut all: Vec<&str> = tls.iter().map(String::as_str).collect();
        all.extend(sets);
        let server = Server::start(&all).await;
        Self {
            authority,
            pair,
            shown,
            server,
            _dir: dir,
        }
    }

    /// A device that has met no server before.
    async fn login(&self, uid: u64, did: &str) -> Client {
        let trust = self.authority.trust();
        Client::login_tls(self.server.public, &trust, &User::new(uid), did).await
    }
}

/// One message from each to the other, acknowledged and told.
async fn exchange(alice: &mut Client, bob: &mut Client, id: &str) {
    alice.send_c2c(id, BOB, "there").await;
    alice.accepted(id).await;
    bob.takes(id).await;
    alice.delivered(id).await;
    let back = format!("{id}-back");
    bob.send_c2c(&back, ALICE, "and back").await;
    alice.takes(&back).await;
    bob.delivered(&back).await;
}

#[tokio::test]
async fn messages_pass_both_ways_over_tls_and_the_end_is_told() {
    let mut house = House::with(&[ONCE]).await;
    let mut alice = house.login(ALICE, "a-phone").await;
    let mut bob = house.login(BOB, "b-phone").await;
    exchange(&mut alice, &mut bob, "m1").await;
    assert_eq!(alice.certificate(), house.shown);

    let ends = tokio::join!(house.server.term(), alice.closed(), bob.closed());
    assert_eq!(ends.0.code(), Some(0));
    assert_eq!((ends.1, ends.2), (Some(4052), Some(4052)));
}

#[tokio::test]
async fn a_message_as_long_as_allowed_passes_over_tls() {
    let house = House::with(&[ONCE]).await;
    let mut alice = house.login(ALICE, "a-phone").await;
    let mut bob = house.login(BOB, "b-phone").await;
    let payload = format!("\"{}\"", "x".repeat(65_534));
    alice.send_payload("m1", BOB, &payload).await;
    assert_eq!(bob.takes("m1").await.raw("payload"), payload);
}

#[tokio::test]
async fn health_is_answered_over_both_versions_of_tls_and_always_in_http_1() {
    let house = House::with(&[]).await;
    let listener = house.server.public;
    for version in [&TLS12, &TLS13] {
        let trust = house.authority.trust_with(&[version], &[]);
        let answer = get_over_tls(listener, &trust, "/health/ready", "").await;
        answer.payload();
    }
    // WebSockets are of HTTP/1.1, so nothing else may be agreed on.
    let both = house.authority.trust_with(&[&TLS13], &["h2", "http/1.1"]);
    let stream = shake_hands(listener, &both).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let only_2 = house.authority.trust_with(&[&TLS13], &["h2"]);
    assert!(shake_hands(listener, &only_2).await.is_err());
}

#[tokio::test]
async fn the_admin_listener_speaks_tls_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, pair) = (Authority::new(), Pair::within(dir.path()));
    authority.issue(&pair, 2095);
    let sets = pair.admin_sets();
    let server = Server::start(&sets.each_ref().map(String::as_str)).await;

    let trust = authority.trust();
    let page = get_over_tls(server.admin, &trust, "/metrics", ADMIN_TOKEN).await;
    assert_eq!(page.status, 200);
    for line in [
        format!("{EXPIRY}{{listener=\"admin\"}} {EXPIRES_2095}"),
        format!("{EXPIRY}{{listener=\"public\"}} 0"),
    ] {
        assert!(page.body.lines().any(|l| l == line), "{line}");
    }
    get_over_tls(server.admin, &trust, "/metrics", "wrong")
        .await
        .refusal(401);
    // The public listener was not told.
    server.get("/health/ready").await.payload();
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_refused_and_harms_nobody() {
    let house = House::with(&[ONCE]).await;
    let mut alice = house.login(ALICE, "a-phone").await;
    let mut bob = house.login(BOB, "b-phone").await;
    for bytes in [
        &b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        b"\x16\x03\x01\xff\xff\x01\x00\x00",
        &[0; 70_000],
    ] {
        let mut stream = TcpStream::connect(house.server.public).await.unwrap();
        // The server may hang up before it has all of them.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let answer = read_out(&mut stream).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    exchange(&mut alice, &mut bob, "m1").await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut() {
    let house = House::with(&[]).await;
    let mut silent = TcpStream::connect(house.server.public).await.unwrap();
    let mut begun = TcpStream::connect(house.server.public).await.unwrap();
    begun.write_all(b"\x16\x03\x01\x01\x00").await.unwrap();
    assert_eq!(read_out(&mut silent).await, b"");
    assert_eq!(read_out(&mut begun).await, b"");
}

#[tokio::test]
async fn a_reader_who_jams_over_tls_is_cut_after_the_write_deadline() {
    let house = House::with(&[
        "delivery.schedule_ms=[0]",
        "device.write_deadline_ms=500",
        "device.deliver_window=4096",
    ])
    .await;
    // Both stay silent for less than the idle timeout, which is longer than any test waits.
    let mut alice = house.login(ALICE, "a-phone").await;
    let _jammed = house.login(BOB, "b-phone").await;
    let online = "yizhan_online_devices";
    assert_eq!(house.server.metric(online).await, 2.0);
    let payload = format!("\"{}\"", "x".repeat(65_000));
    for number in 0..320 {
        let id = format!("m{number}");
        alice.send_payload(&id, BOB, &payload).await;
        alice.accepted(&id).await;
    }
    let cut = async { while house.server.metric(online).await != 1.0 {} };
    timeout(support::DEADLINE, cut)
        .await
        .expect("the jammed reader is still there");
}

// ---- a certificate that changes ----

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_stay() {
    let house = House::with(&[ONCE]).await;
    let mut alice = house.login(ALICE, "a-phone").await;
    let mut bob = house.login(BOB, "b-phone").await;
    let gauge = format!("{EXPIRY}{{listener=\"public\"}}");
    assert_eq!(house.server.metric(&gauge).await, EXPIRES_2095);

    let renewed = house.authority.issue(&house.pair, 2096);
    house.server.signal_hup();
    let seen = async { while house.server.metric(&gauge).await != EXPIRES_2096 {} };
    timeout(support::DEADLINE, seen)
        .await
        .expect("it is not read");

    exchange(&mut alice, &mut bob, "m1").await;
    let mut bob_too = house.login(BOB, "b-laptop").await;
    assert_eq!(bob_too.certificate(), renewed);
    assert_ne!(renewed, house.shown);
    alice.send_c2c("m2", BOB, "to both").await;
    bob.takes("m2").await;
    bob_too.takes("m2").await;
}

#[tokio::test]
async fn a_pair_that_cannot_be_used_is_logged_and_the_one_before_goes_on() {
    let house = House::with(&[ONCE]).await;
    let mut alice = house.login(ALICE, "a-phone").await;
    let mut bob = house.login(BOB, "b-phone").await;
    let good_key = fs::read_to_string(&house.pair.key).unwrap();

    type Spoil = fn(&Pair);
    let spoilt: [(&str, Spoil); 4] = [
        ("cert.pem: has no certificate", |pair| {
            fs::write(&pair.cert, "").unwrap()
        }),
        ("cert.pem: cannot be read", |pair| {
            fs::remove_file(&pair.cert).unwrap()
        }),
        ("key.pem: has no private key", |pair| {
            Authority::new().issue(pair, 2096);
            fs::copy(&pair.cert, &pair.key).unwrap();
        }),
        ("key.pem: is not the key of", |pair| {
            let key = fs::read(&pair.key).unwrap();
            Authority::new().issue(pair, 2096);
            fs::write(&pair.key, key).unwrap();
        }),
    ];
    for (number, (reason, spoil)) in spoilt.iter().enumerate() {
        fs::write(&house.pair.key, &good_key).unwrap();
        spoil(&house.pair);
        house.server.signal_hup();
        let line = house.server.logs(reason).await;
        assert!(line.contains("ERROR"), "{line}");
        exchange(&mut alice, &mut bob, &format!("m{number}")).await;
        let newcomer = house.login(ALICE, "a-laptop").await;
        assert_eq!(newcomer.certificate(), house.shown, "{reason}");
    }

    let renewed = house.authority.issue(&house.pair, 2096);
    house.server.signal_hup();
    house.server.logs("again").await;
    assert_eq!(house.login(ALICE, "a-laptop").await.certificate(), renewed);
}

#[tokio::test]
async fn a_server_without_tls_takes_sighup_and_goes_on() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    server.signal_hup();
    server.logs("no certificate to read").await;
    exchange(&mut alice, &mut bob, "m1").await;
}

// ---- a pair that stops the start ----

#[tokio::test]
async fn a_pair_that_cannot_be_used_stops_the_start_with_one_line_that_names_setting_and_file() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::within(dir.path());
    Authority::new().issue(&pair, 2095);
    let (cert, key) = (pair.cert.clone(), pair.key.clone());
    let other = Pair {
        cert: dir.path().join("other-cert.pem"),
        key: dir.path().join("other-key.pem"),
    };
    Authority::new().issue(&other, 2095);
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let good = fs::read_to_string(&key).unwrap();
    let half = write("half.pem", good.split_once("-----END").unwrap().0);
    let locked = write("locked.pem", &good.replace("PRIVATE", "ENCRYPTED PRIVATE"));
    let no_der = write(
        "no-der.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let missing = dir.path().join("missing.pem");
    let cases: [(&Path, &Path, [&str; 2]); 7] = [
        (
            &cert,
            &other.key,
            ["listen.tls_key", "other-key.pem: is not the key"],
        ),
        (
            &missing,
            &key,
            ["listen.tls_cert", "missing.pem: cannot be read"],
        ),
        (
            &cert,
            &missing,
            ["listen.tls_key", "missing.pem: cannot be read"],
        ),
        (
            &key,
            &key,
            ["listen.tls_cert", "key.pem: has no certificate"],
        ),
        (&cert, &half, ["listen.tls_key", "half.pem: is not PEM"]),
        (
            &cert,
            &locked,
            ["listen.tls_key", "locked.pem: has no private key"],
        ),
        (
            &no_der,
            &key,
            ["listen.tls_cert", "no-der.pem: has a certificate that"],
        ),
    ];
    let secret = good.lines().nth(1).unwrap();
    for (cert, key, named) in cases {
        for at_admin in [false, true] {
            let (cert, key) = (cert.into(), key.into());
            let pair = Pair { cert, key };
            let sets = if at_admin {
                pair.admin_sets()
            } else {
                pair.sets()
            };
            let sets = sets.each_ref().map(String::as_str);
            let data = dir.path().join("data");
            let refusal = Refusal::of_serving(&["--config", SEED], &data, &sets).await;
            let line = refusal.one_line();
            assert!(line.contains(named[1]), "{line}");
            let setting = match at_admin {
                true => named[0].replace(".tls", ".admin_tls"),
                false => named[0].to_owned(),
            };
            assert!(line.contains(&setting), "{line}");
            assert!(!line.contains(&secret[..16]), "it repeats the key: {line}");
        }
    }
}

#[tokio::test]
async fn half_a_pair_stops_the_start_with_one_line_that_names_both_settings() {
    let dir = tempfile::tempdir().unwrap();
    for [given, missing] in [
        ["listen.tls_cert", "listen.tls_key"],
        ["listen.tls_key", "listen.tls_cert"],
        ["listen.admin_tls_cert", "listen.admin_tls_key"],
        ["listen.admin_tls_key", "listen.admin_tls_cert"],
    ] {
        let set = format!("{given}=some.pem");
        let refusal = Refusal::of_serving(&[], &dir.path().join("data"), &[&set]).await;
        let line = refusal.one_line();
        assert!(line.contains(given) && line.contains(missing), "{line}");
    }
}

// ---- the probe ----

#[tokio::test]
async fn the_health_command_asks_over_tls_too() {
    let house = House::with(&[]).await;
    let sets = house.pair.sets();
    let public = format!("listen.public={}", house.server.public);
    let printed = support::cli(&[
        "health", "--set", &public, "--set", &sets[0], "--set", &sets[1],
    ]);
    assert_eq!(printed, "ready\n");
    let refusal = Refusal::of(&["health", "--set", &public]).await;
    assert!(refusal.one_line().contains("listen.tls_cert"));
}

#[tokio::test]
async fn a_backup_is_taken_over_tls_from_this_machine_and_from_another() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, pair) = (Authority::new(), Pair::within(dir.path()));
    authority.issue(&pair, 2095);
    let sets = pair.admin_sets();
    let server = Server::start(&sets.each_ref().map(String::as_str)).await;
    let admin = format!("listen.admin={}", server.admin);
    let secret = format!("admin.token={ADMIN_TOKEN}");
    let to = |name: &str| dir.path().join(name).display().to_string();
    let here = [
        "backup",
        &to("here"),
        "--set",
        &admin,
        "--set",
        &secret,
        "--set",
        &sets[0],
        "--set",
        &sets[1],
    ]
    .map(str::to_owned);
    let from = format!("https://{}", server.admin);
    let there = ["backup", &to("there"), "--from", &from, "--set", &secret].map(str::to_owned);
    let ca = pair.cert.display().to_string();
    let there = [&there[..], &["--ca".to_owned(), ca]].concat();
    for arguments in [&here[..], &there] {
        let arguments: Vec<String> = arguments.to_vec();
        let taken = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            support::cli(&arguments)
        });
        taken.await.unwrap();
    }
    assert!(dir.path().join("here/yizhan.backup").exists());
    assert!(dir.path().join("there/yizhan.backup").exists());
    // A certificate that nobody vouches for gets no token.
    let elsewhere = to("elsewhere");
    let stranger = ["backup", &elsewhere, "--from", &from, "--set", &secret];
    let refusal = Refusal::of(&stranger).await;
    assert!(
        refusal.one_line().contains("certificate"),
        "{}",
        refusal.one_line()
    );
}

/// Everything until the server hangs up, in whatever way it does.
async fn read_out(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = timeout(support::DEADLINE, stream.read_to_end(&mut answer))
        .await
        .expect("the server does not hang up");
    answer
}
