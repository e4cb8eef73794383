//! What a receiver has been told, taken as docs/WEBHOOKS.md has receivers take it.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::receiver::Request;

/// How far a signature may be from the receiver's clock, seconds.
const FRESH_S: u64 = 300;

/// The events of one store, each of them once.
pub struct Told {
    secret: String,
    events: Vec<Value>,
    /// Each as it came first.
    known: HashMap<String, Value>,
}

impl Told {
    pub fn new(secret: &str) -> Told {
        Told {
            secret: secret.into(),
            events: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Verifies a request that came at this time, and drops what is there.
    pub fn take(&mut self, request: &Request, now_s: u64) {
        let signature = request.header("yizhan-signature");
        assert_eq!(signature, request.signature(&self.secret));
        let timestamp: u64 = request.header("yizhan-timestamp").parse().unwrap();
        let age = timestamp.abs_diff(now_s);
        assert!(age <= FRESH_S, "signed {age} s away from now");
        let events: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
        let numbers: Vec<u64> = events.iter().map(number).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        let span = format!("{}-{}", numbers[0], numbers[numbers.len() - 1]);
        assert_eq!(request.header("yizhan-delivery"), span);
        for event in events {
            let id = id(&event);
            if let Some(first) = self.known.get(&id) {
                assert_eq!(&event, first, "a repeat is the same");
                continue;
            }
            let last = self.events.last().map(self::id);
            assert!(
                last.as_ref() < Some(&id),
                "{id} came first after {last:?}, so something passed it"
            );
            self.known.insert(id, event.clone());
            self.events.push(event);
        }
    }

    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// A line for each event that concerns somebody, for each whom it concerns, in the order in which they came.
    pub fn by_user(&self) -> BTreeMap<String, Vec<String>> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (user, line) in self.events.iter().flat_map(lines) {
            all.entry(user).or_default().push(line);
        }
        all
    }

    pub fn has(&self, user: &str, line: &str) -> bool {
        let mut all = self.events.iter().flat_map(lines);
        all.any(|(whose, told)| whose == user && told == line)
    }
}

fn id(event: &Value) -> String {
    event["id"].as_str().unwrap().to_owned()
}

/// The number of an event within its store.
fn number(event: &Value) -> u64 {
    let id = id(event);
    let (_, number) = id.rsplit_once('_').unwrap();
    number.parse().unwrap()
}

fn lines(event: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let kind = text(&event["event"]);
    let message = || text(&event["message"]["id"]);
    match kind.as_str() {
        "accepted" => vec![(
            text(&event["message"]["from"]),
            format!("accepted {}", message()),
        )],
        "parked" => {
            let line = format!("parked {} {}", message(), text(&event["reason"]));
            let readers = event["readers"].as_array().unwrap().iter();
            readers.map(|reader| (text(reader), line.clone())).collect()
        }
        "delivered" => vec![(
            text(&event["reader"]),
            format!("delivered {} {}", message(), text(&event["did"])),
        )],
        "read" => vec![(
            text(&event["reader"]),
            format!("read {} {}", text(&event["to"]), event["up_to"]),
        )],
        "online" | "offline" => {
            let did = event["did"].as_str().unwrap_or("all");
            vec![(text(&event["uid"]), format!("{kind} {did}"))]
        }
        "started" => Vec::new(),
        _ => panic!("what is this? {event}"),
    }
}
