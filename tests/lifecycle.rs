//! How the server starts, refuses to start, and ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::sync::Arc;

use fastrand::Rng;
use support::{
    ALICE, BOB, Call, Client, End, ONCE, Pulse, Reader, Refusal, SEED, Sender, Server, User,
};

const SENDER: u64 = 2001;
const READER: u64 = 2003;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_asked_to_end_under_load_says_so_and_loses_nothing() {
    let mut rng = Rng::with_seed(support::seed());
    let mut server = Server::start(&[]).await;
    let listener = server.public;
    let pulse = Arc::new(Pulse::new());
    let sending = tokio::spawn({
        let pulse = Arc::clone(&pulse);
        async move {
            let mut sender = Sender::new(SENDER, READER);
            let end = sender.stream(listener, 32, u64::MAX, &pulse).await;
            (sender, end)
        }
    });
    let reading = tokio::spawn({
        let pulse = Arc::clone(&pulse);
        let rng = rng.fork();
        async move {
            let mut reader = Reader::new(READER, "phone", rng);
            let mut client = reader.login(listener).await.unwrap();
            let end = reader.read(&mut client, &pulse, |_| false).await;
            (reader, end)
        }
    });

    pulse.after(rng.u64(500..2500)).await;
    let status = server.term().await;
    assert_eq!(status.code(), Some(0));
    let (mut sender, end) = sending.await.unwrap();
    assert_eq!(end, End::Closed(Some(4052)));
    let (mut reader, end) = reading.await.unwrap();
    assert_eq!(end, End::Closed(Some(4052)));

    server.restart().await;
    assert!(sender.accepted_count() > 0);
    sender
        .check_status(server.public, std::slice::from_ref(&reader), &mut rng)
        .await
        .expect("the server is there");
    assert_eq!(sender.finish(server.public, &pulse).await, End::Done);
    reader.finish(server.public, &sender.accepted()).await;
    reader.assert_gapless();
    reader.assert_nothing_waits(server.public).await;
}

#[tokio::test]
async fn idle_clients_are_told_that_the_server_ends() {
    let mut server = Server::start(&[]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let (status, one, other) = tokio::join!(server.term(), alice.closed(), bob.closed());
    assert_eq!(status.code(), Some(0));
    assert_eq!((one, other), (Some(4052), Some(4052)));
}

#[tokio::test]
async fn a_client_that_says_nothing_more_does_not_keep_the_server_from_ending() {
    let mut server = Server::start(&[]).await;
    let _silent = server.login(ALICE, "a-phone").await;
    assert_eq!(server.term().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused_and_the_first_goes_on() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let directory = server.data_dir().display().to_string();
    // The command typed twice has the same ports too, and the directory says more.
    let same_port = format!("listen.public={}", server.public);
    for sets in [&[][..], &[same_port.as_str()]] {
        let second = Refusal::of_serving(&["--config", SEED], &server.data_dir(), sets).await;
        let line = second.one_line();
        assert!(
            line.contains(&directory),
            "it does not name the directory: {line}"
        );
    }

    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "still here").await;
    bob.takes("m1").await;
    alice.delivered("m1").await;
}

#[tokio::test]
async fn an_unknown_setting_stops_the_start_with_one_line_that_names_it() {
    for set in [
        "delivery.no_such_key=1",
        "no_such_section.key=1",
        "store.pth=data",
    ] {
        let key = set.split('=').next().unwrap();
        let line = refused(&[set]).await;
        let named = line.contains(key) || key.split('.').all(|part| line.contains(part));
        assert!(named, "{key} is not named: {line}");
    }
}

#[tokio::test]
async fn an_impossible_setting_stops_the_start_with_one_line_that_names_it() {
    let impossible = [
        "listen.max_payload=many",
        "listen.max_frame=-1",
        "listen.public=nowhere",
        "store.engine=paper",
        "delivery.schedule_ms=[0,soon]",
        "device.deliver_window=0",
        "ids.alphabet=abc",
    ];
    for set in impossible {
        let line = refused(&[set]).await;
        let key = set.split(['=', '.']).nth(1).unwrap();
        assert!(line.contains(key), "{set} is not named: {line}");
    }
}

#[tokio::test]
async fn a_configuration_file_with_an_unknown_key_stops_the_start() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mine.toml");
    std::fs::write(&file, "[inbox]\nmax_mesages = 5\n").unwrap();
    let refusal = Refusal::of_serving(
        &["--config", file.to_str().unwrap()],
        &home.path().join("data"),
        &[],
    )
    .await;
    let line = refusal.one_line();
    assert!(line.contains("max_mesages"), "{line}");
}

#[tokio::test]
async fn a_configuration_file_that_is_not_there_stops_the_start() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("missing.toml");
    let refusal = Refusal::of_serving(
        &["--config", file.to_str().unwrap()],
        &home.path().join("data"),
        &[],
    )
    .await;
    let line = refusal.one_line();
    assert!(line.contains("missing.toml"), "{line}");
}

#[tokio::test]
async fn developer_mode_is_refused_on_a_listener_that_is_not_loopback() {
    let home = tempfile::tempdir().unwrap();
    for set in ["listen.public=0.0.0.0:0", "listen.admin=0.0.0.0:0"] {
        let refusal = Refusal::of_serving(&["--dev"], &home.path().join("data"), &[set]).await;
        let line = refusal.one_line();
        assert!(line.contains("loopback"), "{line}");
    }
}

#[tokio::test]
async fn a_server_nobody_prepared_makes_its_own_keys_and_keeps_them() {
    let mut server = Server::start_plain(&[]).await;
    let keys = server.data_dir().join("keys.toml");
    let made = std::fs::read_to_string(&keys).unwrap();
    assert!(made.contains("jwt_key"), "no key in keys.toml");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(keys.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    let alice = own_user(&server, 1);
    Client::login(server.public, &alice, "a-phone")
        .await
        .leave()
        .await;
    server.kill9().await;
    server.restart().await;
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), made);
    Client::login(server.public, &alice, "a-phone")
        .await
        .leave()
        .await;
}

#[tokio::test]
async fn a_server_that_ends_takes_no_new_connection() {
    let mut server = Server::start(&[]).await;
    assert_eq!(
        Call::get(server.public, "/health/live").send().await.status,
        200
    );
    assert_eq!(server.term().await.code(), Some(0));
    assert!(
        Client::try_login(server.public, &User::new(ALICE), "a-phone")
            .await
            .is_none()
    );
}

/// Tries to serve with these settings, and gives the line it refuses with.
async fn refused(sets: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let refusal = Refusal::of_serving(&[], &home.path().join("data"), sets).await;
    refusal.one_line().to_owned()
}

/// A user of a server that has keys of its own: their token is minted with those.
fn own_user(server: &Server, uid: u64) -> User {
    let path = format!("store.path={}", server.data_dir().display());
    let token = support::cli(&["token", &uid.to_string(), "--set", &path]);
    User::with_token(uid, token.trim())
}
