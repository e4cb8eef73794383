//! A running server is backed up, its disk is lost, and what the backup holds is served again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use support::{
    ADMIN_TOKEN, ALICE, BOB, CAROL, Call, Client, DEADLINE, End, Messages, ONCE, Pulse, Reader,
    Refusal, SEED, Sender, Server, User,
};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_yizhan");

/// Room for everything that a test sends.
const ROOMY: &str = "inbox.max_messages=1000000";
/// What sequence numbers move on by in a restore.
const SKIPPED: u64 = 1 << 32;
const PAIRS: u64 = 3;
/// The reader whose inbox makes the store large.
const HOARDER: u64 = 4999;

// ---- the promise ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_before_a_backup_is_served_after_the_disk_was_lost() {
    let mut rng = Rng::with_seed(support::seed());
    let mut server = Server::start(&[ONCE, ROOMY]).await;
    let home = tempfile::tempdir().unwrap();
    hoard(&server, 200).await;

    // Before the backup: a phone acks some of what comes, and a tablet is known and away.
    let pulse = Pulse::new();
    let mut pairs = Vec::new();
    for at in 0..PAIRS {
        let (writer, reader) = (4000 + 10 * at, 4001 + 10 * at);
        let mut pair = Pair {
            sender: Sender::new(writer, reader),
            phone: Reader::new(reader, "phone", rng.fork()),
            tablet: Reader::new(reader, "tablet", rng.fork()),
            late: Sender::new(writer + 2, reader),
        };
        let tablet = pair.tablet.login(server.public).await.unwrap();
        tablet.vanish();
        let end = pair.sender.stream(server.public, 32, 300, &pulse).await;
        assert_eq!(end, End::Done);
        let mut phone = pair.phone.login(server.public).await.unwrap();
        let enough = |reader: &Reader| reader.received_count() >= 150;
        assert_eq!(pair.phone.read(&mut phone, &pulse, enough).await, End::Done);
        phone.vanish();
        pairs.push(pair);
    }

    // While others write to the same readers, the backup is taken; then the machine is gone.
    let pulse = Arc::new(Pulse::new());
    let mut writing = Vec::new();
    for mut pair in pairs {
        let (pulse, listener) = (Arc::clone(&pulse), server.public);
        writing.push(tokio::spawn(async move {
            let end = pair.late.stream(listener, 32, u64::MAX, &pulse).await;
            assert_eq!(end, End::Closed(None));
            pair
        }));
    }
    pulse.after(100).await;
    let before = server.metric("yizhan_accepted_total").await;
    let told = run(&backup_of(&server, home.path())).await.done();
    let after = server.metric("yizhan_accepted_total").await;
    assert!(after > before, "nothing was written during the backup");
    assert!(
        told.contains("yizhan.backup: a backup begun at 20"),
        "{told}"
    );
    let taken = server
        .metric("yizhan_backup_last_success_timestamp_seconds")
        .await;
    assert!(taken > 1_600_000_000.0, "{taken}");
    pulse.after(100).await;
    server.kill9().await;
    std::fs::remove_dir_all(server.data_dir()).unwrap();

    let told = run(&restore_to(&server, home.path())).await.done();
    assert!(told.contains("restored: messages waiting "), "{told}");
    server.restart().await;
    for written in writing {
        let mut pair = written.await.unwrap();
        let accepted = pair.sender.accepted();
        let devices = [pair.phone, pair.tablet];
        pair.sender
            .check_status(server.public, &devices, &mut rng)
            .await
            .expect("the server is there");
        pair.sender
            .repeat_some(server.public, 20, &mut rng)
            .await
            .expect("the server is there");
        for mut device in devices {
            let mut client = device.login(server.public).await.unwrap();
            device.drain(&mut client, &accepted, &pulse).await.unwrap();
            client.vanish();
            device.finish(server.public, &accepted).await;
            device.assert_nothing_waits(server.public).await;
            // Of the others there is what they sent up to one moment.
            let late = pair.late.accepted();
            let kept = device.received_count() - accepted.len();
            assert!(kept < late.len(), "nothing was sent after the backup");
            let first: Messages = (1..=kept).map(|n| message(&pair.late, n)).collect();
            assert!(device.has(&first), "there is a hole in {kept} messages");
        }
    }
}

struct Pair {
    sender: Sender,
    phone: Reader,
    tablet: Reader,
    /// Writes during the backup and after it.
    late: Sender,
}

/// A message by its number, as books name it.
fn message(sender: &Sender, number: usize) -> (String, String) {
    let accepted = sender.accepted();
    let (name, id) = accepted.first().unwrap();
    let (stem, _) = id.rsplit_once('-').unwrap();
    (name.clone(), format!("{stem}-{number}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_was_given_out_is_given_to_no_other_message_after_a_restore() {
    let mut server = Server::start(&[ONCE]).await;
    let home = tempfile::tempdir().unwrap();
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    for id in ["m1", "m2"] {
        alice.send_c2c(id, BOB, "kept").await;
        alice.accepted(id).await;
    }
    bob.takes("m1").await;
    run(&backup_of(&server, home.path())).await.done();
    for (id, to) in [("m3", BOB), ("m4", CAROL)] {
        alice.send_c2c(id, to, "lost").await;
        alice.accepted(id).await;
    }
    assert_eq!(bob.takes("m3").await.seq(), 3);
    lose_the_disk(&mut server, home.path()).await;

    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 1);
    assert_eq!(bob.receives("m2").await.seq(), 2);
    let states = alice
        .status(&[(BOB, "m1"), (BOB, "m2"), (BOB, "m3"), (CAROL, "m4")])
        .await;
    assert_eq!(states, ["delivered", "accepted", "unknown", "unknown"]);
    // The sender repeats what nobody knows any more, and it is a new message under a number that nobody has seen.
    alice.send_c2c("m3", BOB, "lost").await;
    alice.accepted("m3").await;
    alice.send_c2c("m4", CAROL, "lost").await;
    alice.accepted("m4").await;
    assert_eq!(bob.receives("m3").await.seq(), SKIPPED + 3);
    let mut carol = server.login(CAROL, "c-phone").await;
    assert_eq!(carol.waiting(), 1);
    assert_eq!(carol.takes("m4").await.seq(), SKIPPED + 1);
    // A client that remembers 3 acknowledges nothing that it was not sent.
    bob.ack_up_to(3).await;
    bob.ack_ok_numbers().await;
    let states = alice.status(&[(BOB, "m2"), (BOB, "m3")]).await;
    assert_eq!(states, ["delivered", "accepted"]);
    bob.ack_text("m3").await;
    bob.ack_ok("m3").await;
    bob.heard_nothing_else().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_good_after_a_restore_and_the_keys_are_readable_by_their_owner_only() {
    let mut server = Server::start_plain(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let path = format!("store.path={}", server.data_dir().display());
    let token = support::cli(&["token", "1", "--set", &path]);
    let alice = User::with_token(1, token.trim());
    let dir = home.path().join("new/dir");
    let admin = format!("listen.admin={}", server.admin);
    let secret = format!("admin.token={ADMIN_TOKEN}");
    let dir_name = dir.display().to_string();
    run(&[
        "backup", &dir_name, "--set", &admin, "--set", &path, "--set", &secret,
    ])
    .await
    .done();
    let made = std::fs::read(server.data_dir().join("keys.toml")).unwrap();
    assert_eq!(std::fs::read(dir.join("keys.toml")).unwrap(), made);
    assert_eq!(names(&dir), ["keys.toml", "yizhan.backup"]);
    assert_eq!((mode(&dir), mode(&dir.join("keys.toml"))), (0o700, 0o600));
    assert_eq!(mode(&dir.join("yizhan.backup")), 0o600);

    server.kill9().await;
    std::fs::remove_dir_all(server.data_dir()).unwrap();
    run(&["restore", &dir_name, "--set", &path]).await.done();
    let keys = server.data_dir().join("keys.toml");
    assert_eq!((std::fs::read(&keys).unwrap(), mode(&keys)), (made, 0o600));
    server.restart().await;
    Client::login(server.public, &alice, "a-phone")
        .await
        .leave()
        .await;
}

// ---- what is refused ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_a_whole_backup_is_refused_by_name_and_place_and_nothing_is_written() {
    let server = Server::start(&[ONCE]).await;
    let home = tempfile::tempdir().unwrap();
    hoard(&server, 20).await;
    let good = home.path().join("good");
    run(&backup_of(&server, &good)).await.done();
    let whole = std::fs::read(good.join("yizhan.backup")).unwrap();
    let told = run(&["restore", "--check", good.to_str().unwrap()])
        .await
        .done();
    assert!(told.contains(", whole"), "{told}");

    let half = &whole[..whole.len() / 2];
    let mut flipped = whole.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 1;
    let cases: [(&str, &[u8], &str); 4] = [
        ("half", half, &format!("cut off at byte {}", half.len())),
        ("flipped", &flipped, "is damaged at byte "),
        (
            "foreign",
            b"PRAGMA foreign_keys=OFF;",
            "not a backup of yizhan",
        ),
        ("empty", b"", "not a backup of yizhan"),
    ];
    let target = home.path().join("data");
    let path = format!("store.path={}", target.display());
    for (name, bytes, reason) in cases {
        let dir = home.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let file = dir.join("yizhan.backup");
        std::fs::write(&file, bytes).unwrap();
        for check in [&["--check"][..], &[]] {
            let mut arguments = vec!["restore", dir.to_str().unwrap(), "--set", &path];
            arguments.extend(check);
            let refusal = Refusal::of(&arguments).await;
            let line = refusal.one_line();
            assert!(line.contains(file.to_str().unwrap()), "{line}");
            assert!(line.contains(reason), "{name}: {line}");
            assert!(!target.exists(), "{name}: something was written");
        }
    }
    let nowhere = home.path().join("nowhere");
    let refusal = Refusal::of(&["restore", nowhere.to_str().unwrap(), "--set", &path]).await;
    assert!(refusal.one_line().contains(nowhere.to_str().unwrap()));
    assert!(!target.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_has_a_store_or_a_server_is_refused_and_left_as_it_is() {
    let mut server = Server::start(&[ONCE]).await;
    let home = tempfile::tempdir().unwrap();
    let mut alice = server.login(ALICE, "a-phone").await;
    run(&backup_of(&server, home.path())).await.done();
    alice.send_c2c("m1", BOB, "after the backup").await;
    alice.accepted("m1").await;
    let restore = restore_to(&server, home.path());

    let refusal = refused(&restore).await;
    let pid = server.pid().to_string();
    assert!(
        refusal.contains("in use") && refusal.contains(&pid),
        "{refusal}"
    );
    server.kill9().await;
    let refusal = refused(&restore).await;
    let data = server.data_dir().display().to_string();
    assert!(refusal.contains("holds a store already"), "{refusal}");
    assert!(refusal.contains(&data), "{refusal}");
    server.restart().await;
    server.login(BOB, "b-phone").await.takes("m1").await;

    // Of a store that was moved away all but this: whoever opened one beside it would take it for nobody's.
    let rest = home.path().join("rest");
    std::fs::create_dir_all(rest.join("history")).unwrap();
    let run = rest.join("history/0000000000000001.run");
    std::fs::write(&run, "messages").unwrap();
    let mut beside = restore.clone();
    beside.extend(["--set".into(), format!("store.path={}", rest.display())]);
    let refusal = refused(&beside).await;
    assert!(refusal.contains("holds a store already"), "{refusal}");
    assert!(run.exists());

    let mut memory = restore;
    memory.extend(["--set".into(), "store.engine=memory".into()]);
    let refusal = refused(&memory).await;
    assert!(refusal.contains("store.engine is memory"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_was_killed_is_not_served_and_can_be_run_again() {
    let mut server = Server::start(&[ONCE, ROOMY]).await;
    let home = tempfile::tempdir().unwrap();
    hoard(&server, 300).await;
    run(&backup_of(&server, home.path())).await.done();
    server.kill9().await;
    let restore = restore_to(&server, home.path());
    let marker = server.data_dir().join("RESTORING");
    let mut killed = false;
    for _ in 0..20 {
        std::fs::remove_dir_all(server.data_dir()).unwrap();
        let mut child = Command::new(BINARY)
            .args(&restore)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until("the restore has begun", || async { marker.exists() }).await;
        child.kill().unwrap();
        child.wait().unwrap();
        killed = marker.exists();
        if killed {
            break;
        }
    }
    assert!(killed, "every restore was faster than its kill");

    let refusal = Refusal::of_serving(&["--config", SEED], &server.data_dir(), &[]).await;
    let line = refusal.one_line();
    assert!(line.contains("did not come to its end"), "{line}");
    assert!(line.contains(server.data_dir().to_str().unwrap()), "{line}");
    run(&restore).await.done();
    server.restart().await;
    assert_eq!(server.metric("yizhan_inbox_rows").await, 300.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_there_already_is_not_overwritten() {
    let server = Server::start(&[ONCE]).await;
    let home = tempfile::tempdir().unwrap();
    let backup = backup_of(&server, home.path());
    run(&backup).await.done();
    let file = home.path().join("yizhan.backup");
    let first = std::fs::read(&file).unwrap();
    let refusal = refused(&backup).await;
    assert!(refusal.contains(file.to_str().unwrap()), "{refusal}");
    assert!(refusal.contains("is there already"), "{refusal}");
    assert_eq!(std::fs::read(&file).unwrap(), first);
    assert_eq!(names(home.path()), ["yizhan.backup"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_without_the_operators_token_is_refused_and_no_keys_are_made() {
    let server = Server::start(&[ONCE]).await;
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("backup").display().to_string();
    let path = format!("store.path={}", home.path().join("data").display());
    let admin = format!("listen.admin={}", server.admin);
    let without = ["backup", &dir, "--set", &admin, "--set", &path];
    let refusal = Refusal::of(&without).await;
    let line = refusal.one_line();
    assert!(line.contains("no admin token"), "{line}");
    let mut wrong = without.to_vec();
    wrong.extend(["--set", "admin.token=wrong"]);
    let refusal = Refusal::of(&wrong).await;
    let line = refusal.one_line();
    assert!(line.contains("Invalid token"), "{line}");
    assert!(!home.path().join("data").exists());
    assert!(names(Path::new(&dir)).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_breaks_off_never_looks_like_a_whole_one() {
    let server = Server::start(&[ONCE]).await;
    let home = tempfile::tempdir().unwrap();
    hoard(&server, 5).await;
    let good = home.path().join("good");
    run(&backup_of(&server, &good)).await.done();
    let whole = std::fs::read(good.join("yizhan.backup")).unwrap();
    for (length, ends) in [
        (0, true),
        (10, true),
        (whole.len() / 2, true),
        (whole.len() / 2, false),
    ] {
        let dir = home.path().join(format!("{length}-{ends}"));
        let from = half_a_server(whole[..length].to_vec(), ends);
        let arguments = [
            "backup",
            dir.to_str().unwrap(),
            "--from",
            &format!("http://{from}"),
            "--set",
            "admin.token=any",
        ];
        let refusal = Refusal::of(&arguments).await;
        let line = refusal.one_line();
        assert!(line.contains("not a whole backup"), "{line}");
        assert!(names(&dir).is_empty(), "{:?}", names(&dir));
    }
}

// ---- readers that do not read ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_backup_is_taken_at_a_time_and_one_whose_reader_vanished_is_over() {
    let server = Server::start(&[ONCE, ROOMY]).await;
    let home = tempfile::tempdir().unwrap();
    hoard(&server, 600).await;
    let idle = half_a_client(server.admin);
    let refusal = refused(&backup_of(&server, home.path())).await;
    assert!(
        refusal.contains("another backup is being taken"),
        "{refusal}"
    );
    assert!(refusal.contains("429"), "{refusal}");
    // Nobody else notices anything.
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "meanwhile").await;
    alice.accepted("m1").await;
    drop(idle);
    until_a_backup_is_taken(&server, &home).await;
}

#[tokio::test]
async fn who_asks_for_the_head_alone_begins_no_backup() {
    let server = Server::start(&[ONCE]).await;
    let nothing = serde_json::Value::Null;
    let head = Call::of("HEAD", server.admin, "/v1/backup", &nothing);
    assert_eq!(head.bearer(ADMIN_TOKEN).send().await.status, 200);
    let log = server.log();
    assert!(!log.contains("a backup begins"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_a_backup_who_takes_no_more_is_cut_after_the_write_deadline() {
    let server = Server::start(&[ONCE, ROOMY, "device.write_deadline_ms=1000"]).await;
    let home = tempfile::tempdir().unwrap();
    hoard(&server, 600).await;
    let _idle = half_a_client(server.admin);
    until_a_backup_is_taken(&server, &home).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_end_does_not_wait_for_a_backup() {
    let mut server = Server::start(&[ONCE, ROOMY]).await;
    hoard(&server, 600).await;
    let _idle = half_a_client(server.admin);
    assert_eq!(server.term().await.code(), Some(0));
}

// ---- how it is done ----

/// Fills a store with this many messages of 60 kilobytes, more than the buffers of a connection take.
async fn hoard(server: &Server, count: usize) {
    let mut alice = server.login(ALICE, "hoarding").await;
    let payload = format!("\"{}\"", "x".repeat(60_000));
    for at in 0..count {
        let id = format!("h{at}");
        alice.send_payload(&id, HOARDER, &payload).await;
        // Fewer than the send window are on their way.
        if at % 50 == 49 || at + 1 == count {
            alice.accepted(&id).await;
        }
    }
    alice.leave().await;
}

async fn lose_the_disk(server: &mut Server, backup: &Path) {
    server.kill9().await;
    std::fs::remove_dir_all(server.data_dir()).unwrap();
    run(&restore_to(server, backup)).await.done();
    server.restart().await;
}

fn settings_of(server: &Server) -> Vec<String> {
    let sets = [
        format!("store.path={}", server.data_dir().display()),
        format!("listen.admin={}", server.admin),
        format!("admin.token={ADMIN_TOKEN}"),
    ];
    let mut arguments = vec!["--config".to_string(), SEED.to_string()];
    for set in sets {
        arguments.extend(["--set".into(), set]);
    }
    arguments
}

fn backup_of(server: &Server, dir: &Path) -> Vec<String> {
    let mut arguments = vec!["backup".to_string(), dir.display().to_string()];
    arguments.extend(settings_of(server));
    arguments
}

fn restore_to(server: &Server, dir: &Path) -> Vec<String> {
    let mut arguments = vec!["restore".to_string(), dir.display().to_string()];
    arguments.extend(settings_of(server));
    arguments
}

struct Ran(Refusal);

impl Ran {
    /// Holds that it succeeded, and gives what it printed.
    fn done(self) -> String {
        let Refusal {
            status,
            stdout,
            stderr,
        } = self.0;
        assert!(status.success(), "{stderr}");
        stdout
    }
}

async fn run<S: AsRef<str>>(arguments: &[S]) -> Ran {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    Ran(Refusal::of(&arguments).await)
}

async fn refused(arguments: &[String]) -> String {
    run(arguments).await.0.one_line().to_string()
}

async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn until_a_backup_is_taken(server: &Server, home: &TempDir) {
    let backup = backup_of(server, home.path());
    let taken = || async { run(&backup).await.0.status.success() };
    until("a backup is taken", taken).await;
}

/// Asks for a backup, hears that it comes, and reads no further.
fn half_a_client(admin: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        stream,
        "GET /v1/backup HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\r\n"
    )
    .unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

/// A server that has only this much of a backup. Its answer ends in order, or with its connection.
fn half_a_server(body: Vec<u8>, ends: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        if !body.is_empty() {
            answer.extend(format!("{:x}\r\n", body.len()).into_bytes());
            answer.extend(body);
            answer.extend(b"\r\n");
        }
        if ends {
            answer.extend(b"0\r\n\r\n");
        }
        stream.write_all(&answer).unwrap();
    });
    addr
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap().path())).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}
