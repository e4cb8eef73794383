//! The command on a real terminal: keys go in, and what a person would see comes out.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use super::fake::{DEADLINE, Fake, TOKEN};

pub(crate) const UP: &str = "\x1b[A";
pub(crate) const LEFT: &str = "\x1b[D";
pub(crate) const TAB: &str = "\t";
pub(crate) const ENTER: &str = "\r";
pub(crate) const CTRL_A: &str = "\x01";
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";

/// A terminal of 24 lines and 80 columns.
pub(crate) struct Terminal {
    keys: std::fs::File,
    screen: Receiver<Vec<u8>>,
    shown: Vec<u8>,
    /// How much of what was shown has been looked at.
    seen: usize,
    child: Child,
}

impl Terminal {
    /// `yizhan attach` to this server, with a home for what it keeps.
    pub(crate) fn open(fake: &Fake, home: &Path, options: &[&str]) -> Terminal {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(24, 80)).unwrap();
        let child = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_yizhan"))
            .args(["attach", "--to", &fake.url])
            .args(["--set", &format!("admin.token={TOKEN}")])
            .args(options)
            .env("TERM", "xterm")
            .env("XDG_STATE_HOME", home)
            .spawn(pts)
            .unwrap();
        let fd: OwnedFd = pty.into();
        let keys = std::fs::File::from(fd.as_fd().try_clone_to_owned().unwrap());
        let mut reads = std::fs::File::from(fd);
        let (sends, screen) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reads.read(&mut bytes) {
                if sends.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            keys,
            screen,
            shown: Vec::new(),
            seen: 0,
            child,
        }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is shown, after what was seen before.
    pub(crate) fn shows(&mut self, text: &str) {
        let until = Instant::now() + DEADLINE;
        loop {
            let shown = plain(&self.shown);
            if let Some(found) = shown[self.seen..].find(text) {
                self.seen += found + text.len();
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.shown.extend(bytes),
                Err(error) => panic!("{text:?} is not shown ({error}); shown is\n{shown}"),
            }
        }
    }

    /// How the command ended, and all that it showed.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.shown.extend(bytes),
                // The last holder of the terminal is gone.
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("it does not end: {error}\n{}", plain(&self.shown)),
            }
        }
        (self.child.wait().unwrap(), plain(&self.shown))
    }
}

/// What was shown, without the sequences that only move the cursor or switch a mode.
fn plain(shown: &[u8]) -> String {
    let text = String::from_utf8_lossy(shown);
    let mut plain = String::new();
    let mut rest = text.as_ref();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        match after.find(|c: char| ('@'..='~').contains(&c)) {
            Some(end) => rest = &after[end + 1..],
            None => return plain,
        }
    }
    plain.push_str(rest.trim_end_matches(['\x1b', '\u{fffd}']));
    plain
}
