//! A real browser: headless Chromium, driven over its own protocol, one page at a time.

use std::{path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::DEADLINE;

/// The names under which distributions install the browser.
const NAMES: [&str; 5] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "chrome",
];

/// The desktop that a page begins on.
const DESK: (u32, u32) = (1440, 900);

/// How often it is tried to remove a profile.
const REMOVALS_MAX: usize = 10_000;

/// Where a browser is installed.
pub struct Browser {
    binary: PathBuf,
}

/// One page of a browser with a profile of its own. Dropped, the browser is killed.
pub struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    next: u64,
    complaints: Vec<String>,
    child: Child,
    profile: TempDir,
}

impl Browser {
    /// The browser that `YIZHAN_CHROMIUM` names, or the first on the PATH. Without one, the test says so and there is none; where
    /// `CI` is set that is a failure.
    pub fn find() -> Option<Self> {
        let named = std::env::var_os("YIZHAN_CHROMIUM").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = NAMES.iter().find_map(|name| {
            let mut places = std::env::split_paths(&path).map(|place| place.join(name));
            places.find(|file| file.is_file())
        });
        let Some(binary) = named.or(installed) else {
            let missing = "there is no Chromium: set YIZHAN_CHROMIUM or install one";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("skipped: {missing}");
            return None;
        };
        Some(Self { binary })
    }

    /// Starts the browser with one empty page.
    pub async fn start(&self) -> Page {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(&self.binary)
            .args([
                "--headless",
                // As root, as in a container, Chromium refuses to make a sandbox.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--no-proxy-server",
                "--hide-scrollbars",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let listening = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    return Some(url.to_owned());
                }
                said.push(line);
            }
            None
        };
        let url = timeout(DEADLINE, listening).await.ok().flatten();
        let url = url.unwrap_or_else(|| panic!("the browser does not start\n{}", said.join("\n")));
        // Its further words are read to their end: a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        // A screenshot is one message of some megabytes.
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let (socket, _) = connect_async_with_config(url, Some(config), true)
            .await
            .unwrap();
        let mut page = Page {
            socket,
            session: None,
            next: 0,
            complaints: Vec::new(),
            child,
            profile,
        };
        page.attach().await;
        page
    }
}

impl Page {
    async fn attach(&mut self) {
        let targets = self.call("Target.getTargets", json!({})).await;
        let targets = targets["targetInfos"].as_array().unwrap();
        let page = targets.iter().find(|target| target["type"] == "page");
        let target = page.expect("the browser has a page")["targetId"].clone();
        let attached = json!({"targetId": target, "flatten": true});
        let attached = self.call("Target.attachToTarget", attached).await;
        self.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log"] {
            self.call(&format!("{domain}.enable"), json!({})).await;
        }
        self.resize(DESK.0, DESK.1).await;
    }

    /// Loads this address and waits until the document is there with its scripts.
    pub async fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({"url": url})).await;
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")
            .await;
    }

    /// Clicks the first element that this selector finds in its middle, with a real mouse, as soon as nothing covers it.
    pub async fn click(&mut self, css: &str) {
        let middle = format!(
            "(() => {{ const it = {}; if (!it) return null; it.scrollIntoView({{block: 'nearest'}}); \
             const box = it.getBoundingClientRect(), at = [box.x + box.width / 2, box.y + box.height / 2]; \
             return it.contains(document.elementFromPoint(...at)) ? at : null; }})()",
            find(css)
        );
        self.wait_for(&format!("(globalThis.middle = {middle})"))
            .await;
        let middle = self.evaluate("middle").await;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Focuses the element and types this text into it.
    pub async fn type_into(&mut self, css: &str, text: &str) {
        self.wait_for(&format!("{} !== null", find(css))).await;
        self.evaluate(&format!("{}.focus()", find(css))).await;
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses a key where the focus is: `Enter`, `Tab`, `Escape`, `ArrowUp`, `Shift+Enter`, `Control+c`.
    pub async fn press(&mut self, keys: &str) {
        let (modifier, key) = keys.rsplit_once('+').unwrap_or(("", keys));
        let modifiers = match modifier {
            "" => 0,
            "Control" => 2,
            "Shift" => 8,
            other => panic!("no key {other}"),
        };
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "Escape" => (27, ""),
            "ArrowUp" => (38, ""),
            "ArrowDown" => (40, ""),
            _ => (i32::from(key.as_bytes()[0].to_ascii_uppercase()), ""),
        };
        let down = match text {
            "" => "rawKeyDown",
            _ => "keyDown",
        };
        for kind in [down, "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "modifiers": modifiers, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// The text of the first element that this selector finds, as a reader sees it.
    pub async fn text(&mut self, css: &str) -> String {
        self.wait_for(&format!("{} !== null", find(css))).await;
        let text = self.evaluate(&format!("{}.innerText", find(css))).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until this JavaScript expression is true in the page, also across a reload of it.
    pub async fn wait_for(&mut self, condition: &str) {
        let waiting = format!(
            "(async () => {{ while (!({condition})) {{ await new Promise((next) => setTimeout(next, 20)); }} return true; }})()"
        );
        let holding = async { while self.try_evaluate(&waiting).await != Ok(true.into()) {} };
        if timeout(DEADLINE, holding).await.is_err() {
            let seen = "document.body.innerText.slice(0, 4000)";
            let seen = timeout(Duration::from_secs(5), self.evaluate(seen)).await;
            let complaints = self.complaints.join("\n");
            panic!(
                "never: {condition}\n{}\n{complaints}",
                seen.unwrap_or_default()
            );
        }
    }

    /// The value of a JavaScript expression, awaited if it is a promise.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.try_evaluate(expression).await;
        answer.unwrap_or_else(|error| panic!("{expression}\n{error}"))
    }

    /// As `evaluate`; an error if the page went away meanwhile. An exception is none: no test expects one.
    async fn try_evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.try_call("Runtime.evaluate", asked).await?;
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}\n{thrown}");
        Ok(answer["result"]["value"].clone())
    }

    /// Gives the page another size; narrow ones are a phone's.
    pub async fn resize(&mut self, width: u32, height: u32) {
        let phone = width < 600;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": if phone { 2 } else { 1 }, "mobile": phone});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Writes what is seen at this size as a PNG into the directory that `YIZHAN_SCREENSHOTS` names, if it names one, and
    /// leaves the page at that size.
    pub async fn picture(&mut self, name: &str, width: u32, height: u32) {
        let Some(directory) = std::env::var_os("YIZHAN_SCREENSHOTS").map(PathBuf::from) else {
            return;
        };
        std::fs::create_dir_all(&directory).unwrap();
        self.resize(width, height).await;
        // Two frames later the new size has been laid out and drawn.
        self.evaluate("new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(() => next(true))))")
            .await;
        let shot = self
            .call("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        let png = BASE64_STANDARD.decode(shot["data"].as_str().unwrap());
        let path = directory.join(format!("{name}-{width}x{height}.png"));
        std::fs::write(path, png.unwrap()).unwrap();
    }

    /// Lets the page see one of the user's preferences, as `("prefers-color-scheme", "dark")`.
    pub async fn prefer(&mut self, feature: &str, value: &str) {
        let features = json!({"features": [{"name": feature, "value": value}]});
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// What the console has complained of since the last look: errors, exceptions, requests that failed, violations of the
    /// content-security policy.
    pub async fn console_errors(&mut self) -> Vec<String> {
        // An answer comes after everything that was said before it.
        self.evaluate("true").await;
        std::mem::take(&mut self.complaints)
    }

    /// Nothing was complained of since the last look.
    pub async fn no_complaints(&mut self) {
        assert_eq!(self.console_errors().await, Vec::<String>::new());
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.try_call(method, params).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.next += 1;
        let id = self.next;
        let mut call = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            call["sessionId"] = session.as_str().into();
        }
        self.socket
            .send(Message::text(call.to_string()))
            .await
            .unwrap();
        let answered = async {
            loop {
                let frame = self.socket.next().await.expect("the browser is gone");
                let Message::Text(text) = frame.unwrap() else {
                    continue;
                };
                let said: Value = serde_json::from_str(&text).unwrap();
                if said["id"] == id {
                    return said;
                }
                self.complaints.extend(complaint(&said));
            }
        };
        // Longer than what a page itself waits for, which tells more when it is over.
        let answer = timeout(DEADLINE * 2, answered).await;
        let answer = answer.unwrap_or_else(|_| panic!("the browser does not answer {method}"));
        match &answer["error"] {
            Value::Null => Ok(answer["result"].clone()),
            error => Err(error.to_string()),
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // What is installed as the browser may be a script that waits for it: the whole group ends.
        if let Some(group) = self.child.id() {
            let _ = std::process::Command::new("sh")
                .args(["-c", &format!("kill -KILL -{group}")])
                .status();
        }
        // The killed take a moment to be gone, and write into the profile until then.
        for _ in 0..REMOVALS_MAX {
            let _ = std::fs::remove_dir_all(self.profile.path());
            if !self.profile.path().exists() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

fn find(css: &str) -> String {
    format!("document.querySelector({})", json!(css))
}

fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params["args"].to_string()),
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            let (text, url) = (&params["entry"]["text"], &params["entry"]["url"]);
            Some(format!("{text} {url}"))
        }
        _ => None,
    }
}
