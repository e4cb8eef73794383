//! Who is told of what happens: the section `webhook`.

use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use super::{CENTURY_MS, Impossible, Secret, impossible, within};

/// How many events one request may carry.
const MAX_BATCH: u64 = 1_000;
/// How many events may wait for the receiver.
const MAX_EVENTS: u64 = 100_000_000;

/// Who is told of what happens, and of what.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where events are posted; empty when nobody is told.
    pub url: String,
    /// What requests are signed with; empty when it is to come from `keys.toml`.
    pub secret: Secret,
    /// Of what the receiver is told.
    pub events: Vec<EventKind>,
    /// Whether it is told the payloads of messages.
    pub payload: bool,
    /// How many events one request carries at most.
    pub batch: usize,
    /// How long an event waits for the receiver, in milliseconds.
    pub keep_ms: u64,
    /// How many events wait for the receiver at most.
    pub max_events: u64,
}

/// What an event is about, by its name in settings and on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A message is durable on the server.
    Accepted,
    /// It waits for readers whose devices did not take it.
    Parked,
    /// A device has it.
    Delivered,
    /// A user has read up to it.
    Read,
    /// A device has connected.
    Online,
    /// A device is gone.
    Offline,
    /// The server has started, and nobody is connected.
    Started,
}

impl EventKind {
    /// Every kind, in the order of the settings.
    pub const ALL: [EventKind; 7] = [
        EventKind::Accepted,
        EventKind::Parked,
        EventKind::Delivered,
        EventKind::Read,
        EventKind::Online,
        EventKind::Offline,
        EventKind::Started,
    ];

    /// The name in settings and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Accepted => "accepted",
            EventKind::Parked => "parked",
            EventKind::Delivered => "delivered",
            EventKind::Read => "read",
            EventKind::Online => "online",
            EventKind::Offline => "offline",
            EventKind::Started => "started",
        }
    }
}

impl Webhook {
    /// Returns [`Webhook::url`] as an address, if there is one; settings that were loaded never have an impossible one.
    pub fn uri(&self) -> Result<Option<Uri>, Impossible> {
        match self.url.is_empty() {
            true => Ok(None),
            false => parse(&self.url)
                .map(Some)
                .map_err(|reason| impossible("webhook.url", reason)),
        }
    }

    /// Returns the configured secret, if there is one.
    pub fn secret(&self) -> Option<&str> {
        Some(self.secret.expose()).filter(|text| !text.is_empty())
    }

    /// Whether the receiver is to be told of this; false for everything if there is none.
    pub fn wants(&self, kind: EventKind) -> bool {
        !self.url.is_empty() && self.events.contains(&kind)
    }

    /// Refuses the first value that no server can work with.
    pub fn check(&self) -> Result<(), Impossible> {
        if self.uri()?.is_some() && self.events.is_empty() {
            return Err(Impossible {
                key: "webhook.events",
                with: Some("webhook.url"),
                reason: "must name what webhook.url is told of".into(),
            });
        }
        within("webhook.batch", self.batch as u64, 1..=MAX_BATCH)?;
        within("webhook.keep_ms", self.keep_ms, 1..=CENTURY_MS)?;
        within("webhook.max_events", self.max_events, 1..=MAX_EVENTS)
    }
}

/// The reasons quote nothing of the URL, which may hold what nobody is to see.
fn parse(url: &str) -> Result<Uri, &'static str> {
    let uri: Uri = url
        .parse()
        .map_err(|_| "must be a URL such as https://app.example/yizhan")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("must begin with https:// or http://");
    }
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || host == "[]" {
        return Err("must name a host");
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(
            "must not hold a user or a password: requests are signed with webhook.secret instead",
        );
    }
    // The parser lets a port pass that is none.
    let port = authority.strip_prefix(host).unwrap_or_default();
    if !port.is_empty() && uri.port_u16().is_none_or(|port| port == 0) {
        return Err("must have a port between 1 and 65535, or none");
    }
    // The parser drops it without a word.
    if url.contains('#') {
        return Err("must not have a fragment, which no receiver would see");
    }
    Ok(uri)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Webhook {
        Webhook {
            url: url.into(),
            secret: Secret::new(""),
            events: EventKind::ALL.to_vec(),
            payload: true,
            batch: 100,
            keep_ms: 259_200_000,
            max_events: 1_000_000,
        }
    }

    #[test]
    fn receivers_near_and_far_pass() {
        for url in [
            "https://app.example/yizhan",
            "https://app.example",
            "https://app.example:8443/a/b?c=d",
            "http://127.0.0.1:8080/events",
            "http://[::1]:8080/",
            "http://receiver.internal/",
        ] {
            assert_eq!(settings(url).check(), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_url_that_is_none_is_refused_and_never_quoted() {
        for url in [
            "app.example",
            "/hunter2",
            "ftp://app.example/hunter2",
            "https://",
            "https:///hunter2",
            "https://:443/hunter2",
            "https://user:hunter2@app.example/",
            "https://hunter2@app.example/",
            "https://app.example:0/hunter2",
            "https://app.example:/hunter2",
            "https://app.example:70000/hunter2",
            "https://app.example/a#hunter2",
            "https://app.example/hunter2 b",
            "https://[::1/hunter2",
        ] {
            let error = settings(url).check().unwrap_err().to_string();
            assert!(error.starts_with("webhook.url: must "), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn nobody_is_told_of_anything_without_a_url() {
        let off = settings("");
        assert_eq!(off.check(), Ok(()));
        assert!(!EventKind::ALL.into_iter().any(|kind| off.wants(kind)));
        let mut on = settings("http://127.0.0.1/");
        on.events = vec![EventKind::Parked];
        assert!(on.wants(EventKind::Parked) && !on.wants(EventKind::Online));
    }

    #[test]
    fn impossible_values_are_named() {
        type Spoil = fn(&mut Webhook);
        let cases: [(&str, Spoil); 5] = [
            ("webhook.events: must name", |w| w.events.clear()),
            ("webhook.batch: ", |w| w.batch = 0),
            ("webhook.batch: ", |w| w.batch = 1_001),
            ("webhook.keep_ms: ", |w| w.keep_ms = 0),
            ("webhook.max_events: ", |w| w.max_events = 0),
        ];
        for (expected, spoil) in cases {
            let mut settings = settings("http://127.0.0.1/");
            spoil(&mut settings);
            let error = settings.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_kind_has_one_name_everywhere() {
        for kind in EventKind::ALL {
            let in_settings = serde_json::to_value(kind).unwrap();
            assert_eq!(in_settings, kind.name());
        }
    }
}
