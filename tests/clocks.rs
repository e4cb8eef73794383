//! The wall clock is set while a server runs, and between two runs of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use support::{ALICE, BOB, Call, Client, SEED, User};
use tempfile::TempDir;
use tokio::sync::oneshot;
use yizhan::clock::wall_ms;
use yizhan::config::{Settings, Sources};
use yizhan::node::Node;

const DAY: i64 = 24 * 3_600_000;

/// A server inside the test, so that its wall clock can be set; an hour is all that a message may wait.
struct Server {
    public: SocketAddr,
    /// What the server's wall clock is ahead of this machine's, milliseconds.
    ahead: Arc<AtomicI64>,
    data: Arc<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(sets: &[&str]) -> Server {
        Server::start_on(Arc::new(tempfile::tempdir().unwrap()), 0, sets)
    }

    fn start_on(data: Arc<TempDir>, ahead: i64, sets: &[&str]) -> Server {
        let ours = [
            "listen.public=127.0.0.1:0",
            "listen.admin=127.0.0.1:0",
            "inbox.ttl_ms=3600000",
        ];
        let path = format!("store.path={}", data.path().display());
        let sets = ours.iter().chain(sets).map(|set| (*set).to_string());
        let settings = Settings::load(&Sources {
            files: vec![SEED.into()],
            env: Vec::new(),
            sets: sets.chain([path]).collect(),
        })
        .unwrap();
        let ahead = Arc::new(AtomicI64::new(ahead));
        let shown = ahead.clone();
        let wall = move || wall_ms().saturating_add_signed(shown.load(Ordering::Relaxed));
        let (stop, stopped) = oneshot::channel();
        let (listens, listening) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async {
                let node = Node::start_by(Arc::new(wall), settings, false).unwrap();
                listens.send(node.public_addr()).unwrap();
                node.serve(async move { drop(stopped.await) }).await;
            });
        });
        Server {
            public: listening.recv().unwrap(),
            ahead,
            data,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn set_the_wall_clock(&self, by: i64) {
        self.ahead.fetch_add(by, Ordering::Relaxed);
    }

    /// Ends, and starts again by a wall clock that is so far ahead.
    fn restart(mut self, ahead: i64) -> Server {
        self.end();
        Server::start_on(self.data.clone(), ahead, &[])
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    async fn login(&self, uid: u64, did: &str) -> Client {
        Client::login(self.public, &User::new(uid), did).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

async fn login_code(server: &Server, uid: u64) -> u64 {
    let path = format!("/ws?authorization={}&did=phone", User::new(uid).token);
    let answer = Call::get(server.public, &path).send().await;
    answer.json()["code"].as_u64().unwrap()
}

#[tokio::test]
async fn a_wall_clock_that_jumps_a_day_expires_no_message_and_ends_no_connection() {
    for jump in [DAY, -DAY] {
        let server = Server::start(&[]);
        let mut alice = server.login(ALICE, "a-phone").await;
        alice.send_c2c("m1", BOB, "before").await;
        let before = alice.accepted("m1").await.num("server_ts");
        server.set_the_wall_clock(jump);
        alice.send_c2c("m2", BOB, "after").await;
        let after = alice.accepted("m2").await.num("server_ts");
        assert!(
            (before..before + 600_000).contains(&after),
            "{before} {after}"
        );
        let states = alice.status(&[(BOB, "m1"), (BOB, "m2")]).await;
        assert_eq!(states, ["accepted", "accepted"]);
        let mut bob = server.login(BOB, "b-phone").await;
        assert_eq!(bob.waiting(), 2);
        bob.takes("m1").await;
        bob.takes("m2").await;
        alice.delivered("m2").await;
    }
}

#[tokio::test]
async fn copies_keep_their_distance_when_the_wall_clock_jumps() {
    for jump in [DAY, -DAY] {
        let server = Server::start(&["delivery.schedule_ms=[0,300,300]"]);
        let mut alice = server.login(ALICE, "a-phone").await;
        let mut bob = server.login(BOB, "b-phone").await;
        alice.send_c2c("m1", BOB, "hello").await;
        bob.receives("m1").await;
        let first = Instant::now();
        server.set_the_wall_clock(jump);
        bob.receives("m1").await;
        bob.receives("m1").await;
        // Two gaps, less what the first copy may have been read late.
        assert!(first.elapsed() >= Duration::from_millis(400));
    }
}

#[tokio::test]
async fn a_token_is_judged_by_the_wall_clock_of_the_moment() {
    let server = Server::start(&["auth.expiry_leeway_ms=0"]);
    let mut alice = server.login(ALICE, "a-phone").await;
    server.set_the_wall_clock(DAY);
    assert_eq!(login_code(&server, BOB).await, 705);
    // The connection was promised the time that its token had.
    alice.ping().await;
    server.set_the_wall_clock(-DAY);
    server.login(BOB, "b-phone").await;
}

#[tokio::test]
async fn a_message_is_not_older_after_a_restart_for_a_wall_clock_that_was_set() {
    for ahead in [DAY, -DAY] {
        let server = Server::start(&[]);
        let mut alice = server.login(ALICE, "a-phone").await;
        alice.send_c2c("m1", BOB, "hello").await;
        let before = alice.accepted("m1").await.num("server_ts");
        drop(alice);
        let server = server.restart(ahead);
        let mut alice = server.login(ALICE, "a-phone").await;
        assert_eq!(alice.status(&[(BOB, "m1")]).await, ["accepted"]);
        alice.send_c2c("m2", BOB, "later").await;
        let after = alice.accepted("m2").await.num("server_ts");
        assert!(
            (before..before + 600_000).contains(&after),
            "{before} {after}"
        );
        let mut bob = server.login(BOB, "b-phone").await;
        bob.takes("m1").await;
        bob.takes("m2").await;
    }
}
