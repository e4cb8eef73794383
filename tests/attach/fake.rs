//! A server that opens shells and evaluates nothing: what it answers follows from a word in the text.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// How long anything may take before the test calls it lost. It is never waited out by a test that passes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const TOKEN: &str = "the-token-of-operators";
pub(crate) const READ_TOKEN: &str = "the-token-of-those-who-look";

/// A listener on the loopback.
pub(crate) struct Fake {
    pub(crate) url: String,
    heard: Receiver<Heard>,
    current: Current,
    _runtime: Runtime,
}

/// What a test sees of a shell.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Heard {
    /// A shell was opened, for this session.
    Login(Option<String>),
    /// What it was asked, without the id.
    Asked(Value),
    /// The shell said goodbye.
    Goodbye,
}

enum Order {
    Say(Value),
    Close(&'static str),
    Cut,
}

type Current = Arc<Mutex<Option<UnboundedSender<Order>>>>;

impl Fake {
    pub(crate) fn start() -> Fake {
        Fake::listen("http", None)
    }

    /// One with TLS, and the file of its certificate.
    pub(crate) fn start_with_tls(dir: &Path) -> (Fake, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let file = dir.join("certificate.pem");
        std::fs::write(&file, made.cert.pem()).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        (Fake::listen("https", Some(acceptor)), file)
    }

    fn listen(scheme: &str, tls: Option<TlsAcceptor>) -> Fake {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (hears, heard) = channel();
        let house = House {
            hears,
            current: Current::default(),
            pids: Arc::default(),
        };
        let current = house.current.clone();
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (house, tls) = (house.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => house.welcome(stream).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => house.welcome(stream).await,
                            Err(error) => println!("no TLS: {error}"),
                        },
                    }
                });
            }
        });
        Fake {
            url,
            heard,
            current,
            _runtime: runtime,
        }
    }

    /// What comes next.
    pub(crate) fn hears(&self) -> Heard {
        self.heard.recv_timeout(DEADLINE).expect("nothing is heard")
    }

    /// The text that is evaluated next.
    pub(crate) fn evaluates(&self) -> String {
        match self.hears() {
            Heard::Asked(asked) if asked["type"] == "eval" => {
                asked["text"].as_str().unwrap().to_owned()
            }
            other => panic!("{other:?}"),
        }
    }

    /// A shell is opened, for this session.
    pub(crate) fn lets_in(&self) -> String {
        match self.hears() {
            Heard::Login(Some(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that was heard and nobody asked for yet.
    pub(crate) fn rest(&self) -> Vec<Heard> {
        self.heard.try_iter().collect()
    }

    /// Tells the open shell something that it did not ask for.
    pub(crate) fn says(&self, told: Value) {
        self.order(Order::Say(told));
    }

    /// Closes the open shell's connection with a reason.
    pub(crate) fn closes(&self, reason: &'static str) {
        self.order(Order::Close(reason));
    }

    /// Ends the open shell's connection without a word.
    pub(crate) fn cuts(&self) {
        self.order(Order::Cut);
    }

    fn order(&self, order: Order) {
        let current = self.current.lock().unwrap();
        let sent = current.as_ref().map(|orders| orders.send(order));
        assert!(matches!(sent, Some(Ok(()))), "no shell is open");
    }
}

#[derive(Clone)]
struct House {
    hears: Sender<Heard>,
    current: Current,
    pids: Arc<Mutex<HashMap<String, usize>>>,
}

impl House {
    async fn welcome(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut headers = HeaderMap::new();
        #[allow(clippy::result_large_err)]
        let admit = |request: &Request, response: Response| {
            headers.clone_from(request.headers());
            assert_eq!(request.uri().path(), "/repl/ws");
            match whose(request.headers()) {
                Some(_) => Ok(response),
                None => Err(refusal()),
            }
        };
        let Ok(mut socket) = accept_hdr_async(stream, admit).await else {
            return;
        };
        let read_only = whose(&headers) == Some("read");
        let session = headers
            .get("x-session")
            .map(|name| name.to_str().unwrap().to_owned());
        let (orders, mut ordered) = unbounded_channel();
        *self.current.lock().unwrap() = Some(orders);
        let hello = self.hello(session.as_deref(), read_only);
        self.hear(Heard::Login(session));
        socket.send(Message::text(hello.to_string())).await.unwrap();
        loop {
            let asked = tokio::select! {
                order = next(&mut ordered) => {
                    match order {
                        Order::Say(told) => socket.send(Message::text(told.to_string())).await.unwrap(),
                        Order::Close(reason) => {
                            let frame = CloseFrame { code: 1001.into(), reason: reason.into() };
                            socket.close(Some(frame)).await.unwrap();
                        }
                        Order::Cut => return,
                    }
                    continue;
                }
                asked = socket.next() => match asked {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(Message::Close(_))) => {
                        self.hear(Heard::Goodbye);
                        continue;
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return,
                },
            };
            let mut asked: Value = serde_json::from_str(&asked).unwrap();
            let id = asked.as_object_mut().unwrap().remove("id");
            self.hear(Heard::Asked(asked.clone()));
            let Some(answers) = answers(&id.unwrap_or_default(), &asked) else {
                return;
            };
            for answer in answers {
                socket
                    .send(Message::text(answer.to_string()))
                    .await
                    .unwrap();
            }
        }
    }

    fn hello(&self, session: Option<&str>, read_only: bool) -> Value {
        let mut pids = self.pids.lock().unwrap();
        let session = session.map_or_else(|| format!("made-{}", pids.len()), str::to_owned);
        let new = 60 + pids.len();
        let pid = *pids.entry(session.clone()).or_insert(new);
        let next = (session == "numbered").then_some(41);
        json!({
            "type": "hello", "version": "0.1.0", "pid": format!("<0.{pid}.0>"),
            "session": session, "read_only": read_only, "next": next,
        })
    }

    fn hear(&self, heard: Heard) {
        // The test may be over.
        let _ = self.hears.send(heard);
    }
}

async fn next(orders: &mut UnboundedReceiver<Order>) -> Order {
    match orders.recv().await {
        Some(order) => order,
        // Another shell has taken its place.
        None => std::future::pending().await,
    }
}

fn whose(headers: &HeaderMap) -> Option<&'static str> {
    let bearer = headers.get("authorization")?.to_str().unwrap();
    match bearer.strip_prefix("Bearer ")? {
        TOKEN => Some("all"),
        READ_TOKEN => Some("read"),
        _ => None,
    }
}

fn refusal() -> ErrorResponse {
    let body = json!({"code": 706, "msg": "Invalid token", "payload": {}});
    tokio_tungstenite::tungstenite::http::Response::builder()
        .status(401)
        .body(Some(body.to_string()))
        .unwrap()
}

/// None where the connection is to end.
fn answers(id: &Value, asked: &Value) -> Option<Vec<Value>> {
    let output = |text: &str| json!({"type": "output", "id": id, "text": text});
    let value = json!({"type": "done", "id": id, "value": "ok", "error": null});
    let failed = |error: &str| json!({"type": "done", "id": id, "value": null, "error": error});
    let text = asked["text"].as_str().unwrap_or_default();
    let has = |word: &str| text.contains(word);
    Some(match asked["type"].as_str().unwrap() {
        "eval" if has("boom") => {
            let error = "** exception error: boom";
            vec![output(&format!("{error}\n")), failed(error)]
        }
        "eval" if has("loop") => vec![output("looping\n")],
        "eval" if has("refuse") => vec![json!({"type": "error", "msg": "the server is full"})],
        "eval" if has("cut") => return None,
        "eval" if has("late") => vec![value, output("late\n")],
        "eval" if has("pieces") => vec![output("a"), output("\u{1b}[1mb"), output("c"), value],
        "eval" => vec![output(&format!("= {text}\n")), value],
        // Of the one evaluation that is on: its id is not told, and the tests begin with it.
        "interrupt" => vec![
            json!({"type": "output", "id": 1, "text": "** interrupted\n"}),
            json!({"type": "done", "id": 1, "value": null, "error": "** interrupted"}),
        ],
        "complete" => {
            let from = text.encode_utf16().count()
                - text
                    .chars()
                    .rev()
                    .take_while(char::is_ascii_alphabetic)
                    .count();
            let word: String = text
                .encode_utf16()
                .skip(from)
                .map(|unit| unit as u8 as char)
                .collect();
            let all = ["kick/1", "kick/2", "kill_all/0", "lists:"];
            let fit: Vec<_> = all.iter().filter(|name| name.starts_with(&word)).collect();
            vec![json!({"type": "complete", "id": id, "from": from, "candidates": fit})]
        }
        other => panic!("{other}"),
    })
}
