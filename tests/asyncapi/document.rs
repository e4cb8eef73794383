//! docs/asyncapi.yaml, and the parts of it by their JSON pointers.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::rc::Rc;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/asyncapi.yaml");

pub struct Document {
    root: Value,
    validators: RefCell<HashMap<String, Rc<Validator>>>,
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

impl Document {
    pub fn read() -> Document {
        let text = fs::read_to_string(PATH).unwrap();
        Document {
            root: serde_saphyr::from_str(&text).unwrap(),
            validators: RefCell::default(),
        }
    }

    pub fn root(&self) -> &Value {
        &self.root
    }

    pub fn at(&self, pointer: &str) -> &Value {
        let found = self.root.pointer(pointer);
        found.unwrap_or_else(|| panic!("{pointer} is not in the document"))
    }

    /// Where a part is, which may be a reference to another.
    pub fn resolved(&self, pointer: &str) -> String {
        match self.at(pointer).get("$ref") {
            Some(reference) => self.resolved(target(reference)),
            None => pointer.to_string(),
        }
    }

    /// The messages of a side by their names in `components`, as the operations of the server say: it receives what clients
    /// say, and is answered by them; it sends what it says itself, and answers.
    pub fn messages(&self, side: Side) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for operation in entries(self.at("/operations")) {
            let (asked, answered) = match operation["action"].as_str() {
                Some("receive") => (Side::Client, Side::Server),
                Some("send") => (Side::Server, Side::Client),
                other => panic!("{other:?} is no action"),
            };
            for (said_by, list) in [
                (asked, &operation["messages"]),
                (answered, &operation["reply"]["messages"]),
            ] {
                let list = list.as_array().into_iter().flatten();
                if said_by == side {
                    names.extend(list.map(|message| self.name_of(target(&message["$ref"]))));
                }
            }
        }
        names
    }

    /// The name in `components` of a message of the channel.
    pub fn name_of(&self, in_channel: &str) -> &str {
        assert!(in_channel.starts_with("/channels/socket/messages/"));
        let component = target(&self.at(in_channel)["$ref"]);
        component.strip_prefix("/components/messages/").unwrap()
    }

    pub fn examples(&self, message: &str) -> Vec<&Value> {
        let examples = &self.at(&format!("/components/messages/{message}"))["examples"];
        let examples = examples.as_array().expect(message);
        examples.iter().map(|example| &example["payload"]).collect()
    }

    /// A frame as it goes over the wire.
    pub fn text(&self, message: &str, frame: &Value) -> String {
        match self.at(&format!("/components/messages/{message}"))["contentType"].as_str() {
            Some("text/plain") => frame.as_str().expect("a text").to_string(),
            Some(other) => panic!("{other}"),
            None => frame.to_string(),
        }
    }

    pub fn fits(&self, schema: &str, value: &Value) -> bool {
        self.validator(schema).is_valid(value)
    }

    /// What is wrong with a value, for people.
    pub fn faults(&self, schema: &str, value: &Value) -> Vec<String> {
        let validator = self.validator(schema);
        let faults = validator.iter_errors(value);
        faults.map(|fault| fault.to_string()).collect()
    }

    /// The messages among these whose schema a frame fits.
    pub fn fitting<'a>(&self, among: &BTreeSet<&'a str>, frame: &Value) -> Vec<&'a str> {
        let fits = |message: &&str| self.fits(&payload(message), frame);
        among.iter().copied().filter(fits).collect()
    }

    fn validator(&self, schema: &str) -> Rc<Validator> {
        let mut validators = self.validators.borrow_mut();
        let validator = validators.entry(schema.to_string()).or_insert_with(|| {
            // AsyncAPI's schemas are those of Draft 7, in which nothing beside a reference counts.
            let mut root = self.root.clone();
            root["$ref"] = json!(format!("#{schema}"));
            let options = jsonschema::options().with_draft(Draft::Draft7);
            options.build(&root).expect(schema).into()
        });
        validator.clone()
    }

    /// Every schema that this one leads to, each once and resolved.
    pub fn reachable(&self, schema: &str, found: &mut BTreeSet<String>) {
        let at = self.resolved(schema);
        if !found.insert(at.clone()) {
            return;
        }
        for next in self.parts(&at) {
            self.reachable(&next, found);
        }
    }

    fn parts(&self, at: &str) -> Vec<String> {
        let schema = self.at(at);
        let mut parts = Vec::new();
        for name in keys(&schema["properties"]) {
            parts.push(format!("{at}/properties/{name}"));
        }
        for option in 0..schema["oneOf"].as_array().map_or(0, Vec::len) {
            parts.push(format!("{at}/oneOf/{option}"));
        }
        if schema.get("items").is_some() {
            parts.push(format!("{at}/items"));
        }
        parts
    }
}

/// The schema of a message.
pub fn payload(message: &str) -> String {
    format!("/components/messages/{message}/payload")
}

/// To where a reference within the document points.
pub fn target(reference: &Value) -> &str {
    let reference = reference.as_str().expect("a reference");
    reference.strip_prefix('#').expect(reference)
}

pub fn keys(object: &Value) -> impl Iterator<Item = &str> {
    let object = object.as_object().into_iter().flatten();
    object.map(|(key, _)| key.as_str())
}

pub fn entries(object: &Value) -> impl Iterator<Item = &Value> {
    object.as_object().expect("an object").values()
}

/// The texts of a list, none if there is no list.
pub fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}
