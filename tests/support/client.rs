use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        Bytes, Message,
        client::IntoClientRequest,
        handshake::client::Request,
        protocol::{
            WebSocketConfig,
            frame::{
                Frame as RawFrame,
                coding::{Data, OpCode},
            },
        },
    },
};

use super::{DEADLINE, Frame, User};

/// A device: one WebSocket connection and the frames that came while the test was looking for another.
pub struct Client {
    pub did: String,
    /// The first frame of every login: how much waits.
    pub summary: Option<Frame>,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    aside: VecDeque<Frame>,
}

/// What a client hears next.
#[derive(Debug)]
pub enum Heard {
    Frame(Frame),
    Pong,
    /// The connection is over, with the code of the close frame if there was one.
    Closed(Option<u16>),
}

/// Opening and closing.
impl Client {
    /// Logs a device of this user in and takes the summary, which must be the first frame.
    pub async fn login(listener: SocketAddr, user: &User, did: &str) -> Self {
        Self::try_login(listener, user, did)
            .await
            .unwrap_or_else(|| panic!("{} cannot log in as {did}", user.uid))
    }

    /// As `login`, for a server that may be killed meanwhile: then there is no client.
    pub async fn try_login(listener: SocketAddr, user: &User, did: &str) -> Option<Self> {
        let path = format!("/ws?authorization={}&did={did}&dtype=test", user.token);
        let mut client = Self::try_open(listener, &path).await?;
        client.did = did.to_owned();
        match client.next().await {
            Heard::Frame(summary) => {
                assert!(
                    summary.is("S2C"),
                    "the first frame is no summary: {summary:?}"
                );
                assert_eq!(summary.json("payload")["msg_type"], "offline_summary");
                client.summary = Some(summary);
                Some(client)
            }
            Heard::Closed(None) => None,
            other => panic!("instead of a summary: {other:?}"),
        }
    }

    /// As `login`, over TLS.
    pub async fn login_tls(
        listener: SocketAddr,
        trust: &Arc<ClientConfig>,
        user: &User,
        did: &str,
    ) -> Self {
        let token = &user.token;
        let request = format!("wss://{listener}/ws?authorization={token}&did={did}")
            .into_client_request()
            .unwrap();
        let connector = Connector::Rustls(trust.clone());
        let mut client = Self::try_connect_with(request, Some(connector))
            .await
            .expect("cannot connect over TLS");
        client.did = did.to_owned();
        client.summary = Some(client.frame().await);
        client
    }

    /// The certificate that the server showed, as DER.
    pub fn certificate(&self) -> Vec<u8> {
        let MaybeTlsStream::Rustls(stream) = self.socket.get_ref() else {
            panic!("this connection has no certificate");
        };
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    /// Connects to this path and query as it is and takes no frame.
    pub async fn open(listener: SocketAddr, path: &str) -> Self {
        Self::try_open(listener, path)
            .await
            .unwrap_or_else(|| panic!("cannot connect to {path}"))
    }

    /// As `open`, with these headers.
    pub async fn open_with(
        listener: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let mut request = format!("ws://{listener}{path}")
            .into_client_request()
            .unwrap();
        for &(name, value) in headers {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        Self::try_connect(request)
            .await
            .unwrap_or_else(|| panic!("cannot connect to {path} with {headers:?}"))
    }

    async fn try_open(listener: SocketAddr, path: &str) -> Option<Self> {
        let request = format!("ws://{listener}{path}")
            .into_client_request()
            .unwrap();
        Self::try_connect(request).await
    }

    async fn try_connect(request: Request) -> Option<Self> {
        Self::try_connect_with(request, None).await
    }

    async fn try_connect_with(request: Request, connector: Option<Connector>) -> Option<Self> {
        let config = WebSocketConfig::default().read_buffer_size(16 * 1024);
        let opening = connect_async_tls_with_config(request, Some(config), true, connector);
        let (socket, _) = timeout(DEADLINE, opening)
            .await
            .expect("the handshake takes too long")
            .ok()?;
        Some(Self {
            did: "did".to_owned(),
            summary: None,
            socket,
            aside: VecDeque::new(),
        })
    }

    /// How many messages waited at login, at most: exact where there are no acks above an unacked one.
    pub fn waiting(&self) -> u64 {
        let summary = self.summary.as_ref().expect("logged in").json("payload");
        super::field(&summary, "count")
    }

    /// Says goodbye and waits until the server has, too.
    pub async fn leave(mut self) {
        let _ = self.socket.close(None).await;
        self.closed().await;
    }

    /// Is gone without a word, as a phone in a tunnel.
    pub fn vanish(self) {
        drop(self);
    }

    /// Waits for the end of the connection and gives its close code.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.next().await {
                Heard::Frame(frame) => self.aside.push_back(frame),
                Heard::Pong => {}
                Heard::Closed(code) => {
                    // The answer to the close frame is written when something is; the server may wait for it.
                    let _ = timeout(DEADLINE, self.socket.flush()).await;
                    return code;
                }
            }
        }
    }
}

/// Speaking.
impl Client {
    pub async fn send(&mut self, text: impl Into<String>) {
        assert!(self.try_send(text).await, "the connection is gone");
    }

    /// As `send`, for a server that may be killed meanwhile: then it is false.
    pub async fn try_send(&mut self, text: impl Into<String>) -> bool {
        let sending = self.socket.send(Message::text(text.into()));
        timeout(DEADLINE, sending)
            .await
            .expect("the server does not read")
            .is_ok()
    }

    pub async fn send_c2c(&mut self, id: &str, to: u64, text: &str) {
        self.send(c2c(id, &User::new(to).name, &text_payload(text)))
            .await;
    }

    /// Sends a C2C with this payload, byte for byte.
    pub async fn send_payload(&mut self, id: &str, to: u64, payload: &str) {
        self.send(c2c(id, &User::new(to).name, payload)).await;
    }

    pub async fn ack_text(&mut self, id: &str) {
        let ack = format!("CLIENT_ACK,C2C,{id},{}", self.did);
        self.send(ack).await;
    }

    pub async fn ack_seqs(&mut self, seqs: &[u64]) {
        self.send(format!(r#"{{"type":"CLIENT_ACK","seqs":{seqs:?}}}"#))
            .await;
    }

    pub async fn ack_up_to(&mut self, seq: u64) {
        self.send(format!(r#"{{"type":"CLIENT_ACK","up_to":{seq}}}"#))
            .await;
    }

    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.socket
            .send(Message::binary(bytes.to_vec()))
            .await
            .unwrap();
    }

    /// Sends a text frame whose bytes need not be text.
    pub async fn send_as_text(&mut self, bytes: &[u8]) {
        self.send_fragment(bytes, Data::Text, true).await;
    }

    /// Sends one message in this many frames.
    pub async fn send_in_fragments(&mut self, text: &str, count: usize) {
        let pieces: Vec<_> = text.as_bytes().chunks(text.len().div_ceil(count)).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let kind = if at == 0 { Data::Text } else { Data::Continue };
            self.send_fragment(piece, kind, at + 1 == pieces.len())
                .await;
        }
    }

    async fn send_fragment(&mut self, bytes: &[u8], kind: Data, last: bool) {
        let frame = RawFrame::message(Bytes::copy_from_slice(bytes), OpCode::Data(kind), last);
        self.socket.send(Message::Frame(frame)).await.unwrap();
    }

    /// Writes bytes to the socket that are no whole frame.
    pub async fn write_raw(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).await.unwrap();
    }
}

/// Misbehaving.
impl Client {
    /// Writes these bytes so many times, or until the server cuts the connection.
    pub async fn pour(&mut self, bytes: &[u8], times: usize) {
        for _ in 0..times {
            let writing = self.socket.get_mut().write_all(bytes);
            let written = timeout(DEADLINE, writing).await;
            if written.expect("the server does not read").is_err() {
                return;
            }
        }
    }

    /// Says that nothing more will come, and goes on listening.
    pub async fn close_own_half(&mut self) {
        self.socket.get_mut().shutdown().await.unwrap();
    }
}

/// Hearing. What a look-up passes over is set aside, and later look-ups find it there.
impl Client {
    /// The next thing from the socket itself.
    pub async fn next(&mut self) -> Heard {
        loop {
            let message = timeout(DEADLINE, self.socket.next())
                .await
                .unwrap_or_else(|_| panic!("nothing more comes; set aside: {:#?}", self.aside));
            match message {
                Some(Ok(Message::Text(text))) if text.as_str() == "pong" => return Heard::Pong,
                Some(Ok(Message::Text(text))) => return Heard::Frame(Frame::parse(&text)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(other)) => panic!("the server sent {other:?}"),
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }

    /// The next text frame as it came, whatever is in it.
    pub async fn text(&mut self) -> String {
        loop {
            let message = timeout(DEADLINE, self.socket.next()).await;
            match message.expect("nothing more comes") {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("instead of a text: {other:?}"),
            }
        }
    }

    /// The next frame in the order they came.
    pub async fn frame(&mut self) -> Frame {
        if let Some(frame) = self.aside.pop_front() {
            return frame;
        }
        match self.next().await {
            Heard::Frame(frame) => frame,
            other => panic!("instead of a frame: {other:?}"),
        }
    }

    /// The first frame like this one, or none if the connection ends before it comes.
    pub async fn hear(&mut self, like: impl Fn(&Frame) -> bool) -> Option<Frame> {
        if let Some(at) = self.aside.iter().position(&like) {
            return self.aside.remove(at);
        }
        loop {
            match self.next().await {
                Heard::Frame(frame) if like(&frame) => return Some(frame),
                Heard::Frame(frame) => self.aside.push_back(frame),
                Heard::Pong => {}
                Heard::Closed(_) => return None,
            }
        }
    }

    pub async fn expect(&mut self, what: &str, like: impl Fn(&Frame) -> bool) -> Frame {
        self.hear(like).await.unwrap_or_else(|| {
            panic!(
                "the connection ended before {what}; set aside: {:#?}",
                self.aside
            )
        })
    }

    /// Frame 2: the server has it.
    pub async fn accepted(&mut self, id: &str) -> Frame {
        self.expect("acceptance", |frame| {
            frame.is("C2C_SERVER_ACK") && frame.is_about(id)
        })
        .await
    }

    /// Frame 3: a message.
    pub async fn receives(&mut self, id: &str) -> Frame {
        self.expect("the message", |frame| frame.is("C2C") && frame.is_about(id))
            .await
    }

    /// Frame 5, to an ack by text.
    pub async fn ack_ok(&mut self, id: &str) -> Frame {
        self.expect("the ack's ack", |frame| {
            frame.is("CLIENT_ACK_OK") && frame.is_about(id)
        })
        .await
    }

    /// Frame 5, to an ack by numbers.
    pub async fn ack_ok_numbers(&mut self) -> Frame {
        self.expect("the ack's ack", |frame| {
            frame.is("CLIENT_ACK_OK") && !frame.has("id")
        })
        .await
    }

    /// Frame 6: a device of the reader has it.
    pub async fn delivered(&mut self, id: &str) -> Frame {
        self.expect("the receipt", |frame| {
            frame.is("C2C_DELIVERED") && frame.is_about(id)
        })
        .await
    }

    /// The next ERROR, which must have this code.
    pub async fn error(&mut self, code: u64) -> Frame {
        let error = self.expect("an ERROR", |frame| frame.is("ERROR")).await;
        assert_eq!(error.num("code"), code, "{error:?}");
        error
    }

    /// Everything the server had to say before it answered a ping is heard now.
    pub async fn ping(&mut self) {
        self.send("ping").await;
        loop {
            match self.next().await {
                Heard::Frame(frame) => self.aside.push_back(frame),
                Heard::Pong => return,
                Heard::Closed(code) => panic!("closed ({code:?}) instead of a pong"),
            }
        }
    }

    /// Takes every frame that was passed over.
    pub fn take_aside(&mut self) -> Vec<Frame> {
        self.aside.drain(..).collect()
    }

    /// Holds that nothing came but what the test has looked at, up to the answer to a ping.
    pub async fn heard_nothing_else(&mut self) {
        self.ping().await;
        assert!(self.aside.is_empty(), "this came too: {:#?}", self.aside);
    }
}

/// Whole exchanges.
impl Client {
    /// Receives a message and acks it; afterwards the ack is durable.
    pub async fn takes(&mut self, id: &str) -> Frame {
        let message = self.receives(id).await;
        self.ack_text(id).await;
        self.ack_ok(id).await;
        message
    }

    /// Asks for a page of this device's unacked rows.
    pub async fn sync(&mut self, after: u64, limit: u64) -> Frame {
        self.send(format!(
            r#"{{"type":"SYNC","after":{after},"limit":{limit}}}"#
        ))
        .await;
        self.expect("a page", |frame| frame.is("SYNC_PAGE")).await
    }

    /// Asks what became of messages to these users, and gives the states in the same order.
    pub async fn status(&mut self, of: &[(u64, &str)]) -> Vec<String> {
        let of: Vec<_> = of
            .iter()
            .map(|&(to, id)| (User::new(to).name, id.to_owned()))
            .collect();
        self.try_status(&of).await.expect("the connection is gone")
    }

    /// As `status`, by names on the wire, for a server that may be killed meanwhile.
    pub async fn try_status(&mut self, of: &[(String, String)]) -> Option<Vec<String>> {
        let asked: Vec<_> = of
            .iter()
            .map(|(to, id)| format!(r#"{{"to":"{to}","id":"{id}"}}"#))
            .collect();
        if !self
            .try_send(format!(r#"{{"type":"STATUS","of":[{}]}}"#, asked.join(",")))
            .await
        {
            return None;
        }
        let told = self.hear(|frame| frame.is("STATUS")).await?.frames("of");
        assert_eq!(told.len(), of.len(), "{told:?}");
        let mut states = Vec::new();
        for (one, (to, id)) in told.iter().zip(of) {
            assert_eq!(one.keys(), ["id", "state", "to"]);
            assert_eq!((one.str("to"), one.id()), (to.clone(), id.clone()));
            states.push(one.str("state"));
        }
        Some(states)
    }
}

/// Frame 1 with this payload, byte for byte.
pub fn c2c(id: &str, to: &str, payload: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"C2C","from":"","to":"{to}","payload":{payload},"created_at":1668877742828}}"#
    )
}

/// The payload of a message that is a text.
pub fn text_payload(text: &str) -> String {
    format!(r#"{{"msg_type":"text","text":"{text}"}}"#)
}
