//! What of a schema was seen in values that fit it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::document::{Document, keys, texts};

#[derive(Default)]
pub struct Coverage {
    /// Schemas that something was held against.
    visited: BTreeSet<String>,
    present: BTreeSet<String>,
    absent: BTreeSet<String>,
    /// A schema, and a value of its `enum`.
    values: BTreeSet<(String, String)>,
}

impl Coverage {
    pub fn look(&mut self, document: &Document, schema: &str, value: &Value) {
        let at = document.resolved(schema);
        let schema = document.at(&at);
        for option in 0..schema["oneOf"].as_array().map_or(0, Vec::len) {
            let option = format!("{at}/oneOf/{option}");
            if document.fits(&option, value) {
                self.look(document, &option, value);
            }
        }
        if schema.get("enum").is_some() {
            self.values.insert((at.clone(), value.to_string()));
        }
        for name in keys(&schema["properties"]) {
            let property = format!("{at}/properties/{name}");
            match value.get(name) {
                Some(value) => {
                    self.look(document, &property, value);
                    self.present.insert(property);
                }
                None => drop(self.absent.insert(property)),
            }
        }
        if schema.get("items").is_some() {
            for item in value.as_array().into_iter().flatten() {
                self.look(document, &format!("{at}/items"), item);
            }
        }
        self.visited.insert(at);
    }

    /// What a schema allows and no value had.
    pub fn gaps(&self, document: &Document, schema: &str) -> Vec<String> {
        let mut reachable = BTreeSet::new();
        document.reachable(schema, &mut reachable);
        let mut gaps = Vec::new();
        for at in reachable {
            if !self.visited.contains(&at) {
                gaps.push(format!("{at}: nothing is like this"));
                continue;
            }
            let schema = document.at(&at);
            for value in schema["enum"].as_array().into_iter().flatten() {
                if !self.values.contains(&(at.clone(), value.to_string())) {
                    gaps.push(format!("{at}: nothing is {value}"));
                }
            }
            let required = texts(&schema["required"]);
            for name in keys(&schema["properties"]) {
                let property = format!("{at}/properties/{name}");
                if !self.present.contains(&property) {
                    gaps.push(format!("{property}: never there"));
                } else if !required.contains(&name) && !self.absent.contains(&property) {
                    gaps.push(format!("{property}: always there, and not required"));
                }
            }
        }
        gaps
    }
}
