//! How an event looks on the wire.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::message::hook::{Event, Message, Party, Reason, Target, What};

/// Gives a user or a group its name on the wire.
pub type Names = Box<dyn Fn(Party) -> String + Send + Sync>;

/// Writes events as JSON.
pub struct Renderer {
    tag: Box<str>,
    payload: bool,
    names: Names,
}

impl Renderer {
    /// Takes the tag of the store, which goes into the ids of events, and whether payloads are told.
    pub fn new(tag: impl Into<Box<str>>, payload: bool, names: Names) -> Renderer {
        Renderer {
            tag: tag.into(),
            payload,
            names,
        }
    }

    /// The id of the event with this number. As texts, the ids of one store are in the order of the events.
    pub fn id(&self, number: u64) -> String {
        format!("evt_{}_{number:020}", self.tag)
    }

    /// Returns the event as a JSON object.
    pub fn render(&self, number: u64, event: &Event) -> Result<String, serde_json::Error> {
        serde_json::to_string(&View {
            id: self.id(number),
            event: event.what.kind().name(),
            at: event.at,
            body: self.body(&event.what),
        })
    }

    fn body<'a>(&self, what: &'a What) -> Body<'a> {
        let user = |uid: u64| (self.names)(Party::User(uid));
        match what {
            What::Accepted { message } => Body::Accepted {
                message: self.message(message),
            },
            What::Parked {
                message,
                readers,
                reason,
            } => Body::Parked {
                message: self.message(message),
                readers: readers.iter().map(|uid| user(*uid)).collect(),
                reason: Reason::name(*reason),
            },
            What::Delivered {
                message,
                reader,
                did,
            } => Body::Delivered {
                message: self.target(message),
                reader: user(*reader),
                did,
            },
            What::Read {
                kind,
                reader,
                to,
                up_to,
            } => Body::Read {
                kind,
                reader: user(*reader),
                to: (self.names)(*to),
                up_to: *up_to,
            },
            What::Online { uid, did, dtype } => Body::Device {
                uid: user(*uid),
                did: Some(did),
                dtype: dtype.as_deref(),
            },
            What::Offline { uid, did } => Body::Device {
                uid: user(*uid),
                did: did.as_deref(),
                dtype: None,
            },
            What::Started => Body::Started {},
        }
    }

    fn message<'a>(&self, message: &'a Message) -> MessageView<'a> {
        let payload = message.payload.as_deref().filter(|_| self.payload);
        MessageView {
            id: &message.id,
            kind: &message.kind,
            from: (self.names)(Party::User(message.from)),
            to: (self.names)(message.to),
            cseq: message.cseq,
            payload: payload.map(PayloadView::new),
            created_at: message.created_at,
            expires_at: message.expires_at,
        }
    }

    fn target<'a>(&self, target: &'a Target) -> TargetView<'a> {
        TargetView {
            id: &target.id,
            kind: &target.kind,
            from: (self.names)(Party::User(target.from)),
            to: (self.names)(target.to),
        }
    }
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renderer({})", self.tag)
    }
}

#[derive(Serialize)]
struct View<'a> {
    id: String,
    event: &'static str,
    at: u64,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Accepted {
        message: MessageView<'a>,
    },
    Parked {
        message: MessageView<'a>,
        readers: Vec<String>,
        reason: &'static str,
    },
    Delivered {
        message: TargetView<'a>,
        reader: String,
        did: &'a str,
    },
    Read {
        #[serde(rename = "type")]
        kind: &'a str,
        reader: String,
        to: String,
        up_to: u64,
    },
    Device {
        uid: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        did: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dtype: Option<&'a str>,
    },
    Started {},
}

#[derive(Serialize)]
struct MessageView<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cseq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<PayloadView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

#[derive(Serialize)]
struct TargetView<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    from: String,
    to: String,
}

/// A payload as it came. Should it be no JSON, it is told as text: it must not hold up what comes after it.
#[derive(Serialize)]
#[serde(untagged)]
enum PayloadView<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

impl PayloadView<'_> {
    fn new(payload: &str) -> PayloadView<'_> {
        serde_json::from_str(payload).map_or(PayloadView::Text(payload), PayloadView::Json)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn renderer(payload: bool) -> Renderer {
        Renderer::new("9f86d081", payload, Box::new(|party| format!("{party:?}")))
    }

    fn accepted(payload: &str) -> Event {
        let message = Message {
            id: "m1".into(),
            kind: "C2C".into(),
            from: 1,
            to: Party::User(2),
            cseq: None,
            payload: Some(payload.into()),
            created_at: None,
            expires_at: None,
        };
        Event {
            at: 5,
            what: What::Accepted { message },
        }
    }

    #[test]
    fn a_payload_passes_byte_for_byte() {
        let payload = r#"{ "b":1.0, "a":1e3, "b":12345678901234567890123,"u":"\u00fc" }"#;
        let json = renderer(true).render(7, &accepted(payload)).unwrap();
        assert_eq!(
            json,
            format!(
                r#"{{"id":"evt_9f86d081_00000000000000000007","event":"accepted","at":5,"message":{{"id":"m1","type":"C2C","from":"User(1)","to":"User(2)","payload":{payload}}}}}"#
            )
        );
    }

    #[test]
    fn a_payload_is_left_out_when_nobody_is_to_see_it() {
        let json = renderer(false).render(7, &accepted("{}")).unwrap();
        assert!(!json.contains("payload"), "{json}");
    }

    #[test]
    fn a_payload_that_is_no_json_breaks_nothing() {
        let json = renderer(true).render(7, &accepted("\"}],{")).unwrap();
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["message"]["payload"], "\"}],{");
    }

    #[test]
    fn ids_are_in_the_order_of_the_numbers_as_texts_too() {
        let numbers = [1, 9, 10, 4_294_967_296, u64::MAX];
        let ids = numbers.map(|number| renderer(true).id(number));
        assert!(ids.is_sorted(), "{ids:?}");
    }
}
