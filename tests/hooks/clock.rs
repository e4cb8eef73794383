//! The clock of a server's process, turned by the test while the server runs.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use tempfile::TempDir;

use super::support::{SEED, Server};

/// What puts a process ahead of its time.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hooks/clock.c");

/// Whoever sleeps through a turn is not woken by it: what is due by then comes when somebody does something.
pub struct Clock {
    home: TempDir,
    file: File,
    ahead_s: Cell<i64>,
}

impl Clock {
    pub fn new() -> Clock {
        let home = tempfile::tempdir().unwrap();
        let library = home.path().join("clock.so");
        let compiled = Command::new("cc")
            .args([
                "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o",
            ])
            .args([library.as_path(), SOURCE.as_ref()])
            .arg("-ldl")
            .output()
            .expect("this test needs a C compiler, as the build does");
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{said}");
        let file = File::create(home.path().join("ahead")).unwrap();
        let clock = Clock {
            home,
            file,
            ahead_s: Cell::new(0),
        };
        clock.turn(0);
        clock
    }

    /// A server that goes by this clock, with these settings.
    pub async fn server(&self, sets: &[&str]) -> Server {
        let at = |name: &str| self.home.path().join(name).display().to_string();
        let preload = format!("LD_PRELOAD={}", at("clock.so"));
        let ahead = format!("YIZHAN_TEST_AHEAD={}", at("ahead"));
        Server::start_under(&["env", &preload, &ahead], &["--config", SEED], sets).await
    }

    /// Puts it ahead by so many seconds.
    pub fn turn(&self, seconds: u64) {
        let ahead_s = self.ahead_s.get() + seconds as i64;
        self.ahead_s.set(ahead_s);
        let bytes = ahead_s.to_ne_bytes();
        self.file.write_all_at(&bytes, 0).unwrap();
    }

    /// How far it was turned in all, seconds.
    pub fn turned_s(&self) -> u64 {
        self.ahead_s.get() as u64
    }

    /// What the server takes for the time, Unix seconds.
    pub fn now_s(&self) -> u64 {
        yizhan::clock::wall_ms() / 1000 + self.turned_s()
    }
}
