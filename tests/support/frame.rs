use std::{collections::BTreeMap, fmt};

use serde_json::{Value, value::RawValue};

/// One JSON frame from the server. Fields keep their bytes: a payload is compared as it came, not as it parses.
#[derive(Clone)]
pub struct Frame {
    pub text: String,
    fields: BTreeMap<String, Box<RawValue>>,
}

impl Frame {
    pub fn parse(text: &str) -> Self {
        let fields = serde_json::from_str(text).unwrap_or_else(|error| {
            panic!("the server sent a frame that is no JSON object ({error}): {text}")
        });
        Self {
            text: text.to_owned(),
            fields,
        }
    }

    pub fn kind(&self) -> String {
        self.str("type")
    }

    pub fn id(&self) -> String {
        self.str("id")
    }

    pub fn seq(&self) -> u64 {
        self.num("seq")
    }

    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub fn is(&self, kind: &str) -> bool {
        self.maybe_str("type").as_deref() == Some(kind)
    }

    pub fn is_about(&self, id: &str) -> bool {
        self.maybe_str("id").as_deref() == Some(id)
    }

    pub fn str(&self, name: &str) -> String {
        self.maybe_str(name)
            .unwrap_or_else(|| panic!("no text `{name}` in {}", self.text))
    }

    pub fn num(&self, name: &str) -> u64 {
        serde_json::from_str(self.raw(name))
            .unwrap_or_else(|_| panic!("no whole number `{name}` in {}", self.text))
    }

    pub fn flag(&self, name: &str) -> bool {
        serde_json::from_str(self.raw(name))
            .unwrap_or_else(|_| panic!("no true or false `{name}` in {}", self.text))
    }

    pub fn nums(&self, name: &str) -> Vec<u64> {
        serde_json::from_str(self.raw(name))
            .unwrap_or_else(|_| panic!("no list of numbers `{name}` in {}", self.text))
    }

    /// The value of a field, parsed.
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(self.raw(name))
            .unwrap_or_else(|error| panic!("`{name}` ({error}) in {}", self.text))
    }

    /// The value of a field, byte for byte.
    pub fn raw(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .unwrap_or_else(|| panic!("no `{name}` in {}", self.text))
            .get()
    }

    /// The frames inside a list, as a SYNC_PAGE holds them.
    pub fn frames(&self, name: &str) -> Vec<Self> {
        let list: Vec<Box<RawValue>> = serde_json::from_str(self.raw(name)).unwrap();
        list.iter().map(|raw| Self::parse(raw.get())).collect()
    }

    /// The names of all fields, sorted.
    pub fn keys(&self) -> Vec<&str> {
        self.fields.keys().map(String::as_str).collect()
    }

    fn maybe_str(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.fields.get(name)?.get()).ok()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// The names of an object's fields, sorted.
pub fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"))
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

/// A whole number inside an object.
pub fn field(value: &Value, name: &str) -> u64 {
    value[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no whole number `{name}` in {value}"))
}
