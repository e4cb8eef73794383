//! A relay in front of an honest server that tampers with what readers are sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does to one message of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sin {
    /// Sends it again when its acknowledgement was confirmed.
    Doubles,
    /// Changes a letter of its payload.
    Spoils,
    /// Sends it behind the next one.
    Swaps,
    /// Sends it under another id.
    Forges,
    /// Keeps its receipt from its sender.
    Silences,
}

pub(crate) struct Liar {
    pub(crate) public: SocketAddr,
    book: Arc<Book>,
    accepting: JoinHandle<()>,
}

struct Book {
    sin: Sin,
    every: usize,
    seen: AtomicUsize,
    /// The ids of the messages it has wronged.
    wronged: Mutex<Vec<String>>,
}

impl Liar {
    pub(crate) async fn start(server: SocketAddr, sin: Sin, every: usize) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public = listener.local_addr().unwrap();
        let book = Arc::new(Book {
            sin,
            every,
            seen: AtomicUsize::new(0),
            wronged: Mutex::default(),
        });
        let its = book.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (mut from_client, to_client) = client.into_split();
                let (from_server, mut to_server) = server.into_split();
                tokio::spawn(async move {
                    // Either end may be gone at any time.
                    let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
                });
                tokio::spawn(tamper(its.clone(), from_server, to_client));
            }
        });
        Liar {
            public,
            book,
            accepting,
        }
    }

    /// The ids of what it has wronged, sorted.
    pub(crate) fn wronged(&self) -> Vec<String> {
        let mut wronged = self.book.wronged.lock().clone();
        wronged.sort();
        wronged
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes on what the server says to one client, but for the sins.
async fn tamper(book: Arc<Book>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut bytes = Vec::new();
    let mut is_open = false;
    // What comes later than it should: behind the confirmation of an id, or behind the next message.
    let mut later: Vec<(String, Vec<u8>)> = Vec::new();
    while from.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let mut out = Vec::new();
        if !is_open {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            out.extend(bytes.drain(..end + 4));
            is_open = true;
        }
        while let Some(length) = frame_length(&bytes) {
            let frame: Vec<u8> = bytes.drain(..length).collect();
            let text = String::from_utf8_lossy(&frame).into_owned();
            let id = between(&text, r#""id":""#).to_owned();
            let kind = between(&text, r#""type":""#);
            let about = match book.sin {
                Sin::Silences => "C2C_DELIVERED",
                _ => "C2C",
            };
            let is_due = || {
                let seen = book.seen.fetch_add(1, Ordering::SeqCst) + 1;
                seen.is_multiple_of(book.every)
            };
            if kind == about && is_due() {
                if book.sin != Sin::Swaps {
                    book.wronged.lock().push(id.clone());
                }
                match book.sin {
                    Sin::Doubles => {
                        later.push((id, frame.clone()));
                        out.extend(frame);
                    }
                    Sin::Swaps => later.push((id, frame)),
                    Sin::Spoils => out.extend(replaced(&frame, b"abcdefg", b"abCdefg")),
                    Sin::Forges => {
                        let forged = format!("{}00000000", &id[..id.len() - 8]);
                        let forged = forged.replacen(&id[8..12], "vvvv", 1);
                        out.extend(replaced(&frame, id.as_bytes(), forged.as_bytes()));
                    }
                    Sin::Silences => {}
                }
                continue;
            }
            out.extend(frame);
            let is_due = |other: &str| match book.sin {
                Sin::Doubles => kind == "CLIENT_ACK_OK" && *other == id,
                _ => kind == "C2C",
            };
            while let Some(at) = later.iter().position(|(other, _)| is_due(other)) {
                let (wronged, frame) = later.remove(at);
                out.extend(frame);
                // One that was the last comes behind its own repeat, and that is no sin.
                if book.sin == Sin::Swaps && wronged != id {
                    book.wronged.lock().push(wronged);
                }
            }
        }
        if to.write_all(&out).await.is_err() {
            return;
        }
    }
}

/// The length of the frame that the bytes begin with, if all of it is there.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (head, body) = match *bytes {
        [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
        [_, length, ..] if length < 126 => (2, usize::from(length)),
        _ => return None,
    };
    (bytes.len() >= head + body).then_some(head + body)
}

fn between<'a>(text: &'a str, key: &str) -> &'a str {
    let after = text.split_once(key).map_or("", |(_, after)| after);
    after.split('"').next().unwrap_or_default()
}

fn replaced(frame: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = frame.windows(from.len()).position(|window| window == from);
    let mut frame = frame.to_vec();
    frame[at.unwrap()..][..to.len()].copy_from_slice(to);
    frame
}
