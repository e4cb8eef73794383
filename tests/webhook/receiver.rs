//! A receiver on the loopback that answers as it is told to, also badly.
// Each test binary compiles all of this and uses a part of it.
#![allow(dead_code)]

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use socket2::{Domain, SockRef, Socket, Type};

/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(20);
/// How often a dripping receiver lets go of a byte.
const DRIP: Duration = Duration::from_millis(5);
/// Connections that wait to be taken.
const BACKLOG: i32 = 128;

/// How one request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With this status, these headers, and this body.
    Status(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection is closed.
    Cut,
    /// Nothing comes, until the other side gives up.
    Hang,
    /// Nothing comes before this is let go.
    Gate(Arc<Mutex<mpsc::Receiver<()>>>),
    /// The head comes byte by byte and never ends.
    DripHead,
    /// 200 comes at once, and a body byte by byte that never ends.
    DripBody,
    /// 200 comes at once, and a body as fast as it can that never ends.
    Flood,
    /// Something else than HTTP.
    Garbage,
}

impl Answer {
    pub fn status(status: u16) -> Answer {
        Answer::Status(status, Vec::new(), Vec::new())
    }

    pub fn with(status: u16, name: &'static str, value: impl Into<String>) -> Answer {
        Answer::Status(status, vec![(name, value.into())], b"no".to_vec())
    }
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub line: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn ids(&self) -> Vec<String> {
        let events: Vec<serde_json::Value> = serde_json::from_slice(&self.body).unwrap();
        let id = |event: &serde_json::Value| event["id"].as_str().unwrap().to_string();
        events.iter().map(id).collect()
    }

    /// What its receiver finds its signature to be.
    pub fn signature(&self, secret: &str) -> String {
        let timestamp = self.header("yizhan-timestamp").as_bytes();
        let signed = [timestamp, b".", &self.body].concat();
        format!("v1={}", hmac(secret, &signed))
    }
}

/// RFC 2104 by hand, for keys that are not longer than a block.
pub fn hmac(key: &str, text: &[u8]) -> String {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key.as_bytes());
    let inner = Sha256::digest([&block.map(|byte| byte ^ 0x36)[..], text].concat());
    let outer = Sha256::digest([&block.map(|byte| byte ^ 0x5c)[..], &inner].concat());
    format!("{outer:x}")
}

pub struct Receiver {
    pub address: SocketAddr,
    requests: mpsc::Receiver<Request>,
    script: Arc<Mutex<Script>>,
    connections: Arc<AtomicUsize>,
    door: Arc<Door>,
}

/// Where connections come in. While it is closed the address stays taken, and whoever comes is refused.
struct Door {
    listener: TcpListener,
    is_open: Mutex<bool>,
    opened: Condvar,
}

struct Script {
    next: VecDeque<Answer>,
    then: Answer,
}

impl Receiver {
    /// Answers 200 for as long as nothing else is said.
    pub fn start() -> Receiver {
        let listener = listener();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script {
            next: VecDeque::new(),
            then: Answer::status(200),
        }));
        let connections = Arc::new(AtomicUsize::new(0));
        let (came, requests) = mpsc::channel();
        let (answers, count) = (script.clone(), connections.clone());
        let door = Arc::new(Door {
            listener,
            is_open: Mutex::new(true),
            opened: Condvar::new(),
        });
        let way_in = door.clone();
        thread::spawn(move || {
            loop {
                let stream = way_in.connection();
                count.fetch_add(1, Ordering::Relaxed);
                let (came, answers) = (came.clone(), answers.clone());
                thread::spawn(move || serve(stream, &came, &answers));
            }
        });
        Receiver {
            address,
            requests,
            script,
            connections,
            door,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/yizhan?key=in-the-url", self.address)
    }

    /// The next request is answered so, or those after it if others were said before.
    pub fn next(&self, answer: Answer) {
        self.script.lock().unwrap().next.push_back(answer);
    }

    /// Every request is answered so of which nothing else is said.
    pub fn always(&self, answer: Answer) {
        self.script.lock().unwrap().then = answer;
    }

    /// From here on nobody can connect; connections that are there stay.
    pub fn refuse(&self) {
        let mut is_open = self.door.is_open.lock().unwrap();
        if std::mem::take(&mut *is_open) {
            let socket = SockRef::from(&self.door.listener);
            socket.shutdown(Shutdown::Both).unwrap();
        }
    }

    /// From here on everybody can again, at the same address.
    pub fn admit(&self) {
        let mut is_open = self.door.is_open.lock().unwrap();
        if !std::mem::replace(&mut *is_open, true) {
            let socket = SockRef::from(&self.door.listener);
            socket.listen(BACKLOG).unwrap();
            self.door.opened.notify_all();
        }
    }

    pub fn request(&self) -> Request {
        self.requests.recv_timeout(SOON).expect("a request")
    }

    pub fn try_request(&self) -> Option<Request> {
        self.requests.try_recv().ok()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A listener that keeps its port when it does not listen: the kernel lets go of one that it has chosen itself.
fn listener() -> TcpListener {
    let bound = |address: SocketAddr| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket
    };
    let chosen = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = chosen.local_addr().unwrap().as_socket().unwrap();
    let socket = bound(address);
    drop(chosen);
    socket.listen(BACKLOG).unwrap();
    socket.into()
}

impl Door {
    /// The next connection, whenever it comes.
    fn connection(&self) -> TcpStream {
        loop {
            if let Ok((stream, _)) = self.listener.accept() {
                return stream;
            }
            let is_open = self.is_open.lock().unwrap();
            drop(self.opened.wait_while(is_open, |is_open| !*is_open));
        }
    }
}

fn serve(stream: TcpStream, came: &Sender<Request>, script: &Mutex<Script>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let request = read(&mut reader)?;
        let answer = {
            let mut script = script.lock().unwrap();
            script.next.pop_front().unwrap_or(script.then.clone())
        };
        came.send(request).ok()?;
        answer_so(answer, &mut reader, &mut writer)?;
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then_some(())?;
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        let twice = headers.insert(name.to_ascii_lowercase(), value.to_string());
        assert_eq!(twice, None, "{name} is there once");
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        line: line.trim_end().into(),
        headers,
        body,
    })
}

/// None when the connection ends with it.
fn answer_so(
    answer: Answer,
    reader: &mut BufReader<TcpStream>,
    writer: &mut TcpStream,
) -> Option<()> {
    match answer {
        Answer::Status(status, headers, body) => {
            let headers: String = headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n");
            writer.write_all(head.as_bytes()).ok()?;
            writer.write_all(&body).ok()
        }
        Answer::Cut => None,
        Answer::Hang => {
            // Until the other side closes.
            let _ = reader.read(&mut [0]);
            None
        }
        Answer::Gate(gate) => {
            gate.lock().unwrap().recv().ok()?;
            answer_so(Answer::status(200), reader, writer)
        }
        Answer::DripHead => drip(writer, b"HTTP/1.1 200 OK\r\nx: "),
        Answer::DripBody => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
            writer.write_all(head).ok()?;
            drip(writer, b"")
        }
        Answer::Flood => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            writer.write_all(head).ok()?;
            let chunk = [&b"8000\r\n"[..], &[b'x'; 0x8000], b"\r\n"].concat();
            loop {
                writer.write_all(&chunk).ok()?;
            }
        }
        Answer::Garbage => {
            writer.write_all(b"220 mail.example ESMTP\r\n\r\n").ok()?;
            None
        }
    }
}

/// It drips for as long as somebody listens: this is what is slow, and nobody waits for it.
fn drip(writer: &mut TcpStream, begin: &[u8]) -> Option<()> {
    for byte in begin.iter().chain(std::iter::repeat(&b'x')) {
        writer.write_all(&[*byte]).ok()?;
        thread::sleep(DRIP);
    }
    None
}
