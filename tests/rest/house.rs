//! A server, who calls it, and what it answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use actix_web::http::Method;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use yizhan::config::{Settings, Sources};
use yizhan::http::v1::table::{self, Listener, Needs, Route};
use yizhan::id::{Hashids, Uid};
use yizhan::token::Kind;

use super::support::{ADMIN_TOKEN, Client, DEADLINE, SEED, Server, token};

pub(crate) const ADMIN: &str = ADMIN_TOKEN;
pub(crate) const READER: &str = "the-token-that-reads";
pub(crate) const ALICE: Uid = Uid(1);
pub(crate) const BOB: Uid = Uid(2);
pub(crate) const MALLORY: Uid = Uid(3);
pub(crate) const PUBLIC: Listener = Listener::Public { dev: true };
pub(crate) const BOTH: [Listener; 2] = [PUBLIC, Listener::Admin];

/// A server for developers, which has every route there is.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) hashids: Hashids,
    documents: RefCell<BTreeMap<String, Value>>,
}

/// One request.
pub(crate) struct Call {
    pub(crate) on: Listener,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A connection to a listener, over which one request follows another.
pub(crate) struct Line {
    stream: BufReader<TcpStream>,
}

impl House {
    pub(crate) async fn start() -> House {
        House::start_with(&[]).await
    }

    /// With these settings.
    pub(crate) async fn start_with(sets: &[&str]) -> House {
        let reader = format!("admin.read_token={READER}");
        // What the samples of 2022 need, and an expired token must not have.
        let strict = "auth.expiry_leeway_ms=0";
        // Everything comes from one address here.
        let crowd = "limits.handshakes_per_s=1000000";
        let sets = [&[reader.as_str(), strict, crowd], sets].concat();
        let server = Server::start_with(&["--dev", "--config", SEED], &sets).await;
        let sources = Sources {
            files: vec![SEED.into()],
            ..Sources::default()
        };
        let settings = Settings::load(&sources).unwrap();
        House {
            server,
            hashids: Hashids::new(&settings.ids).unwrap(),
            documents: RefCell::default(),
        }
    }

    pub(crate) fn name(&self, uid: Uid) -> String {
        self.hashids.encode(uid)
    }

    pub(crate) fn token(&self, uid: Uid) -> String {
        self.minted(uid, Kind::Access, token::now_ms() + 60_000)
    }

    pub(crate) fn minted(&self, uid: Uid, kind: Kind, exp_ms: u64) -> String {
        let sub = match kind {
            Kind::Access => "tk",
            Kind::Refresh => "rtk",
        };
        let (uid, iat) = (self.name(uid), exp_ms - 60_000);
        let claims = json!({"uid": uid, "sub": sub, "exp": exp_ms, "iat": iat}).to_string();
        token::signed(token::HEADER, &claims, token::KEY, Algorithm::HS256)
    }

    /// A request to a route that has everything but a token: names of this house, and the body of its example.
    pub(crate) fn call(&self, route: &Route, on: Listener) -> Call {
        let body = self
            .example(route, on)
            .map_or(String::new(), |body| body.to_string());
        Call {
            on,
            method: route.method.clone(),
            path: self.path(&route.path, "nobody"),
            token: None,
            body: body.into_bytes(),
        }
    }

    /// A path with the names of this house in it; groups are this one.
    pub(crate) fn path(&self, path: &str, gid: &str) -> String {
        let to = if path.contains("{type}") || path.contains("c2g") {
            gid
        } else {
            "nobody"
        };
        path.replace("{type}", "c2g")
            .replace("{to}", to)
            .replace("{gid}", gid)
            .replace("{uid}", &self.name(BOB))
            .replace("{did}", "phone")
            .replace("{id}", "m1")
            + if path == "/v1/presence" { "?uids=" } else { "" }
            + &if path == "/v1/presence" {
                self.name(BOB)
            } else {
                String::new()
            }
    }

    /// The example of a route's body, with names of this house.
    pub(crate) fn example(&self, route: &Route, on: Listener) -> Option<Value> {
        let mut known = self.documents.borrow_mut();
        let document = known
            .entry(format!("{on:?}"))
            .or_insert_with(|| document(on));
        let method = route.method.as_str().to_ascii_lowercase();
        let schema = &document["paths"][&route.path][method]["requestBody"]["content"]["application/json"]
            ["schema"];
        let reference = schema["$ref"]
            .as_str()
            .or(schema["oneOf"][1]["$ref"].as_str())?;
        let named = &document["components"]["schemas"][reference.rsplit('/').next()?];
        let example = named["example"].to_string();
        let example = example.replace("kybqdp", &self.name(ALICE));
        let example = example.replace("7b4v1b", &self.name(BOB));
        Some(serde_json::from_str(&example).unwrap())
    }

    pub(crate) async fn send(&self, call: Call) -> Answer {
        self.line(call.on).await.ask(&call).await
    }

    /// A connection that stays.
    pub(crate) async fn line(&self, on: Listener) -> Line {
        let address = match on {
            Listener::Public { .. } => self.server.public,
            Listener::Admin => self.server.admin,
        };
        Line::connect(address).await
    }

    /// Asks as a user, on the public listener, and gets the payload.
    pub(crate) async fn ask(&self, uid: Uid, method: &str, path: &str, body: Value) -> Value {
        self.tries(uid, method, path, body).await.payload()
    }

    /// The same, whatever comes.
    pub(crate) async fn tries(&self, uid: Uid, method: &str, path: &str, body: Value) -> Answer {
        let call = Call {
            on: PUBLIC,
            method: method.parse().unwrap(),
            path: path.into(),
            token: Some(self.token(uid)),
            body: if body.is_null() {
                Vec::new()
            } else {
                body.to_string().into_bytes()
            },
        };
        self.send(call).await
    }

    /// Asks with the admin token.
    pub(crate) async fn operate(&self, method: &str, path: &str, body: String) -> Answer {
        let call = Call {
            on: Listener::Admin,
            method: method.parse().unwrap(),
            path: path.into(),
            token: Some(ADMIN.into()),
            body: body.into_bytes(),
        };
        self.send(call).await
    }

    /// A device of a user logs in.
    pub(crate) async fn bring(&self, uid: Uid, did: &str, dtype: &str) -> Client {
        let token = self.token(uid);
        let headers = [
            ("authorization", token.as_str()),
            ("did", did),
            ("dtype", dtype),
        ];
        let mut client = Client::open_with(self.server.public, "/ws", &headers).await;
        assert!(client.frame().await.is("S2C"));
        client
    }

    /// A group of Alice and Bob, in which Alice has said something.
    pub(crate) async fn group(&self) -> String {
        let body = json!({"id": "g1", "name": "Hikers", "members": [self.name(BOB)]});
        let group = self.ask(ALICE, "POST", "/v1/groups", body).await;
        let gid = group["gid"].as_str().unwrap().to_string();
        let message = json!({"id": "m1", "type": "C2G", "to": gid, "payload": {"text": "hello"}});
        self.ask(ALICE, "POST", "/v1/messages", message).await;
        gid
    }
}

impl Line {
    async fn connect(address: SocketAddr) -> Line {
        let connecting = timeout(DEADLINE, TcpStream::connect(address)).await;
        Line {
            stream: BufReader::new(connecting.expect("nobody accepts").unwrap()),
        }
    }

    pub(crate) async fn ask(&mut self, call: &Call) -> Answer {
        let answer = timeout(DEADLINE, self.exchange(call)).await;
        let what = || format!("{:?} {} {}", call.on, call.method, call.path);
        answer.unwrap_or_else(|_| panic!("no answer to {}", what()))
    }

    async fn exchange(&mut self, call: &Call) -> Answer {
        let (method, path) = (&call.method, &call.path);
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        if let Some(token) = &call.token {
            head.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        if !call.body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", call.body.len()));
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes()).await.unwrap();
        // A body that is too long may be refused before it is all there.
        let _ = self.stream.write_all(&call.body).await;
        self.answer(call.method == Method::HEAD).await
    }

    async fn answer(&mut self, is_head: bool) -> Answer {
        let first = self.text().await;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut headers = BTreeMap::new();
        loop {
            let line = self.text().await;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
        }
        let length = headers.get("content-length");
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        let is_chunked = headers
            .get("transfer-encoding")
            .is_some_and(|how| how == "chunked");
        if is_chunked && !is_head {
            body = self.chunks().await;
        } else if !is_head {
            self.stream.read_exact(&mut body).await.unwrap();
        }
        Answer {
            status: status.unwrap_or_else(|| panic!("instead of a status: {first:?}")),
            headers,
            body,
        }
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.text().await, 16).unwrap();
            let mut chunk = vec![0; size];
            self.stream.read_exact(&mut chunk).await.unwrap();
            self.text().await;
            match size {
                0 => return body,
                _ => body.append(&mut chunk),
            }
        }
    }

    async fn text(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().to_string()
    }
}

impl Call {
    pub(crate) fn as_(mut self, token: impl Into<String>) -> Call {
        self.token = Some(token.into());
        self
    }

    pub(crate) fn with_query(mut self, part: &str) -> Call {
        self.path
            .push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(part);
        self
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn json_or_nothing(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn payload(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        let json = self.json();
        assert_eq!(
            (&json["code"], &json["msg"]),
            (&json!(0), &json!("success"))
        );
        json["payload"].clone()
    }

    /// The code of a refusal, which has the one shape.
    pub(crate) fn refusal(&self) -> (u16, u64) {
        let json: BTreeMap<String, Value> = serde_json::from_slice(&self.body).unwrap();
        let members: Vec<&str> = json.keys().map(String::as_str).collect();
        assert_eq!(members, ["code", "msg", "payload"], "{self:?}");
        assert!(!json["msg"].as_str().unwrap().is_empty(), "{self:?}");
        let retry_ms = json["payload"].get("retry_ms");
        assert_eq!(
            retry_ms.is_some(),
            self.headers.contains_key("retry-after"),
            "{self:?}"
        );
        (self.status, json["code"].as_u64().unwrap())
    }
}

/// Every route with a listener that has it.
pub(crate) fn everywhere() -> Vec<(Listener, Route)> {
    let of = |on| table::of(on).into_iter().map(move |route| (on, route));
    BOTH.into_iter().flat_map(of).collect()
}

/// Those that want a token.
pub(crate) fn guarded() -> Vec<(Listener, Route)> {
    let mut all = everywhere();
    all.retain(|(_, route)| route.needs != Needs::Nothing);
    all
}

/// Those that users may call.
pub(crate) fn for_users() -> Vec<(Listener, Route)> {
    let mut all = everywhere();
    all.retain(|(_, route)| matches!(route.needs, Needs::User | Needs::Anybody));
    all
}

/// The document of a listener.
pub(crate) fn document(on: Listener) -> Value {
    serde_json::from_str(yizhan::http::v1::document(on)).unwrap()
}
