//! What a service manager sees: when the server is ready, reads its files again, and goes down; and the probe that asks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::io::{BufRead, BufReader, ErrorKind, Lines};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use support::{ALICE, Refusal, SEED, Server, cli};
use tempfile::TempDir;

/// A server under a manager that listens on a socket of its own.
struct Managed {
    manager: UnixDatagram,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    _home: TempDir,
}

impl Managed {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(support::DEADLINE)).unwrap();
        let mut child = serve(home.path())
            .env("NOTIFY_SOCKET", &socket)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            manager,
            child,
            stdout,
            _home: home,
        }
    }

    /// The next thing the manager is told, a line each.
    fn told(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = loop {
            match self.manager.recv(&mut buffer) {
                // A child of another test that ends interrupts a read with a timeout.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                told => break told.expect("it says nothing more"),
            }
        };
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yizhan"));
    command
        .args(["serve", "--config", SEED])
        .args(["--set", "listen.public=127.0.0.1:0"])
        .args(["--set", "listen.admin=127.0.0.1:0"])
        .args([
            "--set",
            &format!("store.path={}", home.join("data").display()),
        ])
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

#[test]
fn a_manager_is_told_when_the_server_is_ready_reloads_and_goes_down() {
    let mut managed = Managed::start();
    let ready = managed.told();
    assert_eq!(ready[0], "READY=1");
    // The line was there before the manager was told.
    let line = managed.stdout.next().unwrap().unwrap();
    let addresses = line.strip_prefix("yizhan ready ").unwrap();
    assert_eq!(ready[1], format!("STATUS={addresses}"));

    for _ in 0..2 {
        managed.signal("HUP");
        let reloading = managed.told();
        assert_eq!(reloading[0], "RELOADING=1");
        let when = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap();
        assert!(when.parse::<u64>().unwrap() > 0);
        assert_eq!(managed.told(), ["READY=1"]);
    }

    managed.signal("TERM");
    assert_eq!(managed.told()[0], "STOPPING=1");
    assert_eq!(managed.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_manager_that_is_gone_keeps_nobody_from_starting_and_ending() {
    let home = tempfile::tempdir().unwrap();
    let mut child = serve(home.path())
        .env("NOTIFY_SOCKET", home.path().join("nobody"))
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("yizhan ready "));
    let kill = format!("kill -TERM {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_probe_says_ready_and_succeeds_only_while_the_server_is() {
    let mut server = Server::start(&[]).await;
    let _somebody = server.login(ALICE, "a-phone").await;
    let public = format!("listen.public={}", server.public);
    assert_eq!(cli(&["health", "--set", &public]), "ready\n");
    let everywhere = format!("listen.public=0.0.0.0:{}", server.public.port());
    assert_eq!(cli(&["health", "--set", &everywhere]), "ready\n");

    assert_eq!(server.term().await.code(), Some(0));
    let refusal = Refusal::of(&["health", "--set", &public]).await;
    assert_eq!(refusal.status.code(), Some(1));
    let address = server.public.to_string();
    assert!(refusal.one_line().contains(&address), "{}", refusal.stderr);
}

#[tokio::test]
async fn the_probe_says_what_the_server_says_when_it_is_not_ready() {
    let not_ready = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"code\":503,\"msg\":\"storage: full\",\"payload\":{}}";
    for (answer, said) in [
        (not_ready, "storage: full"),
        ("SSH-2.0-none\r\n", "does not speak HTTP"),
        ("", "does not speak HTTP"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let public = format!("listen.public={}", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let refusal = Refusal::of(&["health", "--set", &public]).await;
        answering.join().unwrap();
        assert_eq!(refusal.status.code(), Some(1));
        assert!(refusal.one_line().contains(said), "{}", refusal.stderr);
    }
}

#[tokio::test]
async fn the_probe_cannot_guess_a_port() {
    let refusal = Refusal::of(&["health", "--set", "listen.public=127.0.0.1:0"]).await;
    assert!(refusal.one_line().contains("port 0"));
}
