use std::net::SocketAddr;

use serde_json::Value;

use super::DEADLINE;

/// An HTTP request to a listener.
pub struct Call {
    method: &'static str,
    body: String,
    url: String,
    headers: Vec<(String, String)>,
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Call {
    pub fn get(listener: SocketAddr, path: &str) -> Self {
        Self::new("GET", listener, path)
    }

    pub fn put(listener: SocketAddr, path: &str) -> Self {
        Self::new("PUT", listener, path)
    }

    pub fn delete(listener: SocketAddr, path: &str) -> Self {
        Self::new("DELETE", listener, path)
    }

    fn new(method: &'static str, listener: SocketAddr, path: &str) -> Self {
        Self {
            method,
            body: String::new(),
            url: format!("http://{listener}{path}"),
            headers: Vec::new(),
        }
    }

    /// Any method, with this JSON if there is any.
    pub fn of(method: &'static str, listener: SocketAddr, path: &str, body: &Value) -> Self {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        Self {
            body: text,
            ..Self::new(method, listener, path)
        }
    }

    pub fn post(listener: SocketAddr, path: &str, body: &str) -> Self {
        Self {
            body: body.to_owned(),
            ..Self::new("POST", listener, path)
        }
        .header("content-type", "application/json")
    }

    /// What a browser asks before a page of this origin may send such a request.
    pub fn preflight(listener: SocketAddr, path: &str, origin: &str, method: &str) -> Self {
        Self::new("OPTIONS", listener, path)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            )
    }

    /// A WebSocket handshake done by hand, to see the answer of one that is refused.
    pub fn upgrade(listener: SocketAddr, path: &str) -> Self {
        Self::get(listener, path)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub async fn send(self) -> Answer {
        tokio::task::spawn_blocking(move || self.send_blocking())
            .await
            .unwrap()
    }

    fn send_blocking(self) -> Answer {
        // Whatever proxy the machine uses, the loopback needs none.
        let agent = ureq::Agent::new_with_config(
            ureq::config::Config::builder()
                .http_status_as_error(false)
                .proxy(None)
                .timeout_global(Some(DEADLINE))
                .build(),
        );
        let mut request = ureq::http::Request::builder()
            .method(self.method)
            .uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = match self.body.is_empty() && self.method != "POST" {
            true => agent.run(request.body(()).unwrap()),
            false => agent.run(request.body(self.body).unwrap()),
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{}: {error}", self.url));
        let text = |value: &ureq::http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = answer.headers().iter();
        Answer {
            status: answer.status().as_u16(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            body: answer.body_mut().read_to_string().unwrap(),
        }
    }
}

impl Answer {
    /// The value of a header, if the answer has it.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut like = self.headers.iter().filter(|(key, _)| key == name);
        like.next().map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Holds that the call succeeded in the form every success has, and gives its payload.
    pub fn payload(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        let json = self.json();
        assert_eq!(super::keys(&json), ["code", "msg", "payload"]);
        assert_eq!(json["code"], 0, "{self:?}");
        assert_eq!(json["msg"], "success");
        json["payload"].clone()
    }

    /// Holds that the call was refused with this status, in the form every refusal has, and gives its code.
    pub fn refusal(&self, status: u16) -> u64 {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert_eq!(super::keys(&json), ["code", "msg", "payload"], "{self:?}");
        assert!(
            json["msg"].as_str().is_some_and(|msg| !msg.is_empty()),
            "{self:?}"
        );
        super::field(&json, "code")
    }
}
