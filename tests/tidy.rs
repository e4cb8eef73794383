//! What no compiler holds: which room may use which, and that the documents say what the code says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use yizhan::code::{Close, Code};
use yizhan::erl::lib;
use yizhan::metrics::Metrics;
use yizhan::shell::call::help;
use yizhan::shell::table;

// ---- the rule ----

/// A room may use its own layer and those above it here, and never anything that its layer's last column names.
#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    Layer { name: "leaf",   rooms: &["code", "config", "id", "token"],   never: &[ACTORS, ASYNC, IO, STORES, LOCKS, CLOCK, CHANCE] },
    Layer { name: "pure",   rooms: &["codec", "erl", "machine", "message"], never: &[ACTORS, ASYNC, IO, STORES, LOCKS, CLOCK, CHANCE] },
    Layer { name: "ports",  rooms: &["clock", "metrics", "store", "webhook"], never: &[ACTORS, SOCKETS, FILES, STORES, WALL, CHANCE, DIALECTS] },
    Layer { name: "actors", rooms: &["actor"],                           never: &[SOCKETS, FILES, STORES, ENGINES, WALL, CHANCE, DIALECTS] },
    Layer { name: "edges",  rooms: &["gateway", "http", "relay", "shell"], never: &[FILES, STORES, ENGINES, WALL, CHANCE] },
    Layer { name: "root",   rooms: &["node"],                            never: &[STORES, WALL, CHANCE] },
    Layer { name: "client", rooms: &["load"],                            never: &[ACTORS, STORES, SERVER] },
    Layer { name: "line",   rooms: &["cli", "main"],                     never: &[STORES, CHANCE] },
];

const ACTORS: &[&str] = &[
    "actix",
    "actix_cors",
    "actix_http",
    "actix_rt",
    "actix_tls",
    "actix_web",
    "actix_web_actors",
];
const ASYNC: &[&str] = &["tokio", "futures_core", "futures_util"];
const SOCKETS: &[&str] = &[
    "std::net",
    "std::os::unix::net",
    "socket2",
    "tokio::net",
    "rustls",
    "actix_cors",
    "actix_http",
    "actix_tls",
    "actix_web",
    "actix_web_actors",
];
const FILES: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "rustix",
    "clap",
    "anyhow",
];
const IO: &[&str] = &[
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::env",
    "std::process",
    "std::thread",
    "rustix",
    "socket2",
    "clap",
    "anyhow",
    "log",
    "env_logger",
    "prometheus",
    "rustls",
];
const STORES: &[&str] = &["sled"];
const ENGINES: &[&str] = &[
    "crate::store::journal",
    "crate::store::memory",
    "crate::store::sled",
];
/// Everything but names, numbers and settings: a client shares nothing with the server.
const SERVER: &[&str] = &[
    "crate::actor",
    "crate::clock",
    "crate::codec",
    "crate::gateway",
    "crate::http",
    "crate::machine",
    "crate::message",
    "crate::metrics",
    "crate::node",
    "crate::store",
];
const DIALECTS: &[&str] = &["crate::codec", "serde_json"];
const LOCKS: &[&str] = &[
    "parking_lot",
    "std::cell",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "std::sync::OnceLock",
    "std::sync::LazyLock",
    "std::sync::mpsc",
    "std::sync::atomic",
];
const CLOCK: &[&str] = &["std::time"];
const WALL: &[&str] = &["std::time::SystemTime", "std::time::UNIX_EPOCH"];
const CHANCE: &[&str] = &["getrandom", "fastrand", "rand", "std::hash::RandomState"];

/// Who may use what its layer may not, and why. One that nobody needs is an error.
#[rustfmt::skip]
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("config",         "std::net::SocketAddr",  "a value; nothing is connected"),
    ("config",         "std::net::IpAddr",      "the same"),
    ("config::origin", "std::net::Ipv6Addr",    "the same"),
    ("config::layers", "std::fs",               "reads settings files"),
    ("config::keys",   "std::fs",               "keeps generated secrets"),
    ("config::keys",   "std::io",               "the errors of files"),
    ("config::keys",   "std::os",               "makes that file unreadable for others"),
    ("config::keys",   "getrandom",             "generates secrets"),
    ("id::xid",        "getrandom",             "an id is unlike those of other processes"),
    ("id::xid",        "std::hash::RandomState", "stands in where there is no random device"),
    ("id::xid",        "std::process",          "the same"),
    ("id::xid",        "std::sync::OnceLock",   "one counter for the process"),
    ("id::xid",        "std::sync::atomic",     "the same"),
    ("clock",          "std::time::SystemTime", "the one reading of the wall clock"),
    ("clock",          "std::time::UNIX_EPOCH", "the same"),
    ("clock",          "rustix",                "the time since the machine was booted"),
    ("clock",          "std::fs",               "which boot of the machine this is"),
    ("store::committer", "std::process",        "the only writer ends the process when it cannot answer"),
    ("store::sled",    "sled",                  "the engine on disk"),
    ("store::sled",    "std::fs",               "syncs what sled does not"),
    ("gateway::wire",  "rustix",                "ends a connection that the stack gives no handle to"),
    ("store::sled",    "rustix",                "lets go of pages that may not be on the disk"),
    ("store::sled",    "std::time::SystemTime", "the age of a directory"),
    ("store::space",   "rustix",                "asks how much room is left"),
    ("store::files",   "std::fs",               "the files of the log and of the runs"),
    ("store::files",   "rustix",                "lets go of pages that may not be on the disk"),
    ("shell::call::system", "std::env",         "for which machine it was built"),
    ("shell::audit",   "std::fs",               "keeps the audit log"),
    ("webhook::json",  "serde_json",            "what a receiver reads; no client speaks it"),
    ("webhook::sender", "fastrand",             "servers that failed together do not come back together"),
    ("node::random",   "getrandom",             "nobody can tell the id of a notice beforehand, or the name of a store"),
    ("store::journal", "getrandom",             "no file of another store passes for one of this"),
];

struct Layer {
    name: &'static str,
    rooms: &'static [&'static str],
    never: &'static [&'static [&'static str]],
}

// ---- the code ----

#[test]
fn every_room_uses_only_what_it_may() {
    let mut needed = BTreeSet::new();
    let mut broken = Vec::new();
    for file in sources() {
        let module = module_of(&file);
        let text = fs::read_to_string(&file).unwrap();
        broken.extend(violations(&module, &text, &mut needed));
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    let idle: Vec<_> = EXCEPTIONS
        .iter()
        .filter(|(module, path, _)| !needed.contains(&(*module, *path)))
        .collect();
    assert!(idle.is_empty(), "nobody needs these exceptions: {idle:#?}");
}

#[test]
fn a_planted_violation_is_found() {
    let found = |module: &str, text: &str| violations(module, text, &mut BTreeSet::new());
    for (module, text) in [
        ("machine::device", "use tokio::time::Instant;"),
        (
            "machine::device",
            "use std::{collections::HashMap, time::Duration};",
        ),
        ("machine::device", "fn f() { std::fs::read(\"x\"); }"),
        (
            "machine::device::acks",
            "use super::super::super::actor::registry;",
        ),
        ("machine", "use crate::store::Engine;"),
        ("code", "use crate::message::Kind;"),
        (
            "token",
            "use std::time::{Duration as D, SystemTime as Now};",
        ),
        (
            "store::ledger",
            "use crate::{id::Uid, actor::device::{self, Ask}};",
        ),
        ("store::ledger", "fn f(db: ::sled::Db) {}"),
        ("store::ledger", "use crate::codec::json::Json;"),
        ("actor::device", "use crate::codec::json::Json;"),
        (
            "actor::device",
            "use crate::gateway::ws; // nothing to see here",
        ),
        ("actor::device", "fn f() -> actix_web::HttpResponse {}"),
        ("http::admin", "use crate::store::sled::SledEngine;"),
        ("gateway::ws", "use crate::node::Node;"),
        ("node", "use std::time::SystemTime;"),
        ("node", "use crate::load::Report;"),
        ("load::crew", "use crate::machine::device::Rules;"),
        ("main", "use yizhan::attic::Box;"),
        ("attic", "use std::fmt;"),
    ] {
        assert!(!found(module, text).is_empty(), "{module}: {text}");
    }
    for (module, text) in [
        ("machine::device::acks", "use super::super::ranges::Ranges;"),
        ("machine", "// use tokio::time;\n/* std::fs /* */ */"),
        (
            "machine",
            "const A: &str = \"std::fs::read\"; const B: &str = r#\"\"tokio::spawn\"#;",
        ),
        (
            "machine",
            "fn f<'a>(a: &'a str) { a.split('\"'); }\n#[cfg(test)]\n#[allow(x)]\nmod tests { use std::time::Instant; }",
        ),
        ("actor::device", "use std::time::Duration;"),
        ("node", "use crate::store::sled::SledEngine;"),
        ("store::sled", "fn f(db: ::sled::Db) {}"),
        ("config::keys", "use std::fs::{self, File};"),
    ] {
        assert_eq!(found(module, text), [] as [String; 0], "{module}: {text}");
    }
}

#[test]
fn every_room_has_its_place() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut declared: BTreeSet<&str> = declared.collect();
    declared.insert("main");
    let placed: BTreeSet<&str> = LAYERS.iter().flat_map(|l| l.rooms).copied().collect();
    assert_eq!(declared, placed);
}

#[test]
fn no_source_file_is_unfinished_or_called_mod() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        for word in ["todo!(", "dbg!(", "unimplemented!("] {
            assert!(!text.contains(word), "{name} has {word}");
        }
        assert!(
            !file.ends_with("mod.rs"),
            "{name}: write x.rs beside x/ instead"
        );
    }
}

#[test]
fn no_file_names_somebodys_home() {
    let mut files = vec![root().join("README.md"), root().join("Cargo.toml")];
    files.extend(["fuzz/Cargo.toml", "fuzz/run.sh"].map(|file| root().join(file)));
    for folder in [
        "src",
        "tests",
        "docs",
        "clients",
        "config",
        "deploy",
        ".ci",
        "fuzz/fuzz_targets",
    ] {
        walk(&root().join(folder), &mut files);
    }
    let homes = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
    ];
    for file in files {
        // Pictures, and runs of an older build, are no text.
        let bytes = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for home in homes {
            assert!(!text.contains(home), "{} has {home}", file.display());
        }
    }
}

// ---- the documents ----

#[test]
fn the_tests_that_the_guarantees_name_exist() {
    let page = fs::read_to_string(root().join("docs/SEMANTICS.md")).unwrap();
    let mut names = 0;
    for line in page.lines().filter(|line| line.starts_with("Held by:")) {
        for name in line.split('`').skip(1).step_by(2) {
            let (file, test) = name.rsplit_once("::").expect(name);
            assert!(
                tests_in(file).contains(test),
                "{name} is no test, though docs/SEMANTICS.md says so"
            );
            names += 1;
        }
    }
    assert!(names > 0, "no guarantee names a test");
}

#[test]
fn every_guarantee_names_its_tests() {
    let page = fs::read_to_string(root().join("docs/SEMANTICS.md")).unwrap();
    let (promised, _) = page
        .split_once("\n# What is not promised\n")
        .expect("the second part");
    for section in promised.split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap();
        assert!(section.contains("\nHeld by: `"), "{heading:?} names none");
    }
}

#[test]
fn the_protocol_page_has_every_code_and_no_other() {
    let page = fs::read_to_string(root().join("docs/PROTOCOL.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    let told: BTreeSet<u16> = rows
        .filter_map(|row| row.split_once(" |")?.0.parse().ok())
        .filter(|number| *number >= 100)
        .collect();
    let codes = Code::ALL.into_iter().map(Code::number);
    let closes = Close::ALL.into_iter().map(Close::number);
    assert_eq!(told, codes.chain(closes).collect());
}

#[test]
fn the_shell_page_has_every_function_and_no_other() {
    const BEGIN: &str = "tidy` -->\n";
    const END: &str = "<!-- end of functions -->";
    let path = root().join("docs/SHELL.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("where the functions begin");
    let (told, after) = rest.split_once(END).expect("where the functions end");
    let functions = functions();
    if std::env::var_os("YIZHAN_DOCS_UPDATE").is_some() {
        let written = format!("{before}{BEGIN}{functions}{END}{after}");
        fs::write(&path, written).unwrap();
        return;
    }
    assert!(
        told == functions,
        "docs/SHELL.md is behind the table: YIZHAN_DOCS_UPDATE=1 cargo test --test tidy"
    );
}

/// Every function of the shell as the page tells it.
fn functions() -> String {
    let mut page = String::new();
    let row = |usage: &str, doc: &str, changes: bool| {
        let mark = if changes { " *" } else { "" };
        let doc = doc.replace('|', "\\|");
        format!("| `{usage}`{mark} | {doc} |\n")
    };
    let own: Vec<_> = table::all().collect();
    let mut modules: Vec<&str> = own.iter().map(|function| function.module).collect();
    modules.sort_unstable();
    modules.dedup();
    modules.sort_by_key(|module| (*module != table::COMMANDS, *module != "yizhan"));
    for module in modules {
        let title = match module {
            table::COMMANDS => "Commands, without a module".to_string(),
            module => format!("`{module}`"),
        };
        page.push_str(&format!("\n### {title}\n\n| call | does |\n|---|---|\n"));
        if module == table::COMMANDS {
            for (usage, doc) in help::LANGUAGE {
                page.push_str(&row(usage, doc, false));
            }
        }
        let mut of: Vec<_> = own.iter().filter(|f| f.module == module).collect();
        of.sort_by_key(|function| (function.name, function.arity));
        for function in of {
            page.push_str(&row(function.usage, function.doc, function.changes()));
        }
    }
    page.push_str("\n### Erlang's own\n\n`help(Module)` says what each does.\n\n");
    let mut natives: Vec<_> = lib::all().collect();
    natives.sort_by_key(|native| (native.module, native.name, native.arity));
    for module in natives.chunk_by(|a, b| a.module == b.module) {
        let names = module.iter().map(|n| format!("`{}/{}`", n.name, n.arity));
        let names: Vec<String> = names.collect();
        page.push_str(&format!(
            "- **{}**: {}\n",
            module[0].module,
            names.join(", ")
        ));
    }
    page.push('\n');
    page
}

#[test]
fn the_readme_has_every_metric_and_no_other() {
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let told: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `yizhan_")?.split('`').next())
        .map(|rest| format!("yizhan_{rest}"))
        .collect();
    let text = String::from_utf8(Metrics::new().unwrap().render().unwrap()).unwrap();
    let counted: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| name.starts_with("yizhan_"))
        .map(str::to_string)
        .collect();
    assert_eq!(told, counted);
}

// ---- how it is found out ----

/// What this module uses and may not, a line each; notes the exceptions that it needs.
fn violations(
    module: &str,
    text: &str,
    needed: &mut BTreeSet<(&'static str, &'static str)>,
) -> Vec<String> {
    let mut broken = Vec::new();
    let own = module.split("::").next().unwrap_or_default();
    let Some(at) = layer_of(own) else {
        return vec![format!("{module}: the room {own} has no layer")];
    };
    for path in paths(module, text) {
        let is_within = |word: &str| {
            path.strip_prefix(word)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let excused = EXCEPTIONS
            .iter()
            .find(|(who, what, _)| *who == module && is_within(what));
        let forbidden = LAYERS[at].never.iter().copied().flatten();
        if forbidden.into_iter().any(|word| is_within(word)) {
            match excused {
                Some((who, what, _)) => drop(needed.insert((who, what))),
                None => broken.push(format!(
                    "{module} uses {path}, and the layer {} may not",
                    LAYERS[at].name
                )),
            }
        }
        let Some(room) = path.strip_prefix("crate::") else {
            continue;
        };
        let room = room.split("::").next().unwrap_or_default();
        match layer_of(room) {
            Some(other) if other <= at => {}
            Some(other) => broken.push(format!(
                "{module} uses {path}, and the layer {} may not use the layer {}",
                LAYERS[at].name, LAYERS[other].name
            )),
            None => broken.push(format!("{module} uses {path}: that room has no layer")),
        }
    }
    broken
}

fn layer_of(room: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.rooms.contains(&room))
}

/// Every path that begins at a crate, with the groups of `use` written out and `super` resolved.
fn paths(module: &str, text: &str) -> BTreeSet<String> {
    let tokens = tokens(&without_tests(&plain(text)));
    let mut found = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let after = at.checked_sub(1).map(|before| tokens[before].as_str());
        let begins = match after {
            // A path may begin with `::`, which then follows no name.
            Some("::") => at < 2 || !is_name(&tokens[at - 2]),
            _ => true,
        };
        let goes_on = tokens.get(at + 1).is_some_and(|token| token == "::");
        if is_name(&tokens[at]) && begins && (goes_on || after == Some("use")) {
            let mut whole = Vec::new();
            at = tree(&tokens, at, &mut Vec::new(), &mut whole).max(at + 1);
            found.extend(whole.iter().filter_map(|path| resolve(module, path)));
        } else {
            at += 1;
        }
    }
    found
}

/// Reads a path with its groups from `at` on, and returns where it ends.
fn tree(
    tokens: &[String],
    mut at: usize,
    before: &mut Vec<String>,
    whole: &mut Vec<Vec<String>>,
) -> usize {
    let depth = before.len();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    let end = tree(tokens, at, before, whole);
                    at = end.max(at + 1);
                    while tokens.get(at).is_some_and(|t| t != "," && t != "}") {
                        at += 1;
                    }
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                before.truncate(depth);
                return at + 1;
            }
            Some(name) if is_name(name) => {
                if name != "self" || before.is_empty() {
                    before.push(name.to_string());
                }
                at += 1;
                if tokens.get(at).is_none_or(|token| token != "::") {
                    break;
                }
                at += 1;
            }
            _ => break,
        }
    }
    whole.push(before.clone());
    before.truncate(depth);
    at
}

/// The path from its crate on; none if it begins elsewhere.
fn resolve(module: &str, path: &[String]) -> Option<String> {
    let mut segments: Vec<&str> = match path.first()?.as_str() {
        "crate" | "yizhan" => vec!["crate"],
        "self" | "super" => {
            let mut here = vec!["crate"];
            here.extend(module.split("::"));
            here
        }
        first if first.starts_with(char::is_lowercase) => vec![first],
        _ => return None,
    };
    let first_is_super = path[0] == "super";
    let rest = if first_is_super { path } else { &path[1..] };
    for segment in rest {
        if segment == "super" {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    Some(segments.join("::"))
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push(rest[..length].to_string());
        }
        rest = &rest[length..];
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The text without comments and without what stands in quotes.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| !ends_in_name(&out)) {
            length
        } else if first == '"' {
            quoted(rest)
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.push(' ');
            rest = &rest[skipped..];
        }
    }
    out
}

fn ends_in_name(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let body = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character in quotes; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        // The character after the backslash may be a quote itself.
        (Some((_, '\\')), Some((at, c))) => {
            let from = at + c.len_utf8();
            text[from..].find('\'').map_or(0, |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// The text without modules of tests; what is in quotes must be gone already.
fn without_tests(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let mut item = rest[at + "#[cfg(test)]".len()..].trim_start();
        while item.starts_with("#[") {
            item = item.split_once(']').map_or("", |(_, after)| after);
            item = item.trim_start();
        }
        rest = match item.starts_with("mod ") {
            true => after_block(item),
            false => item,
        };
    }
    out + rest
}

fn after_block(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return &text[at + 1..];
                }
            }
            _ => {}
        }
    }
    ""
}

/// The names of the tests in a file of `tests/`, or in a module of the library.
fn tests_in(file: &str) -> BTreeSet<String> {
    let place = |folder: &str| root().join(folder).join(file.replace("::", "/"));
    let Some(home) = ["tests", "src"]
        .into_iter()
        .map(place)
        .find(|path| path.with_extension("rs").exists())
    else {
        return BTreeSet::new();
    };
    let text = fs::read_to_string(home.with_extension("rs")).unwrap();
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = function(line) {
            if is_test {
                names.insert(name.to_string());
            }
            is_test = false;
        }
    }
    // A contract lists its cases, a line each, and a macro makes tests of them.
    if text.contains("macro_rules! contract") {
        let mut cases = Vec::new();
        walk(&home, &mut cases);
        let cases: Vec<String> = cases
            .iter()
            .map(|case| fs::read_to_string(case).unwrap())
            .collect();
        let written = |name: &str| {
            cases
                .iter()
                .flat_map(|c| c.lines())
                .any(|l| function(l) == Some(name))
        };
        let listed = text.lines().map(|line| line.trim().trim_end_matches(';'));
        names.extend(listed.filter(|name| written(name)).map(str::to_string));
    }
    names
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("fn ")?;
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(&after[..end.unwrap_or(after.len())])
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(&root().join("src"), &mut files);
    files.retain(|file| file.extension().is_some_and(|end| end == "rs"));
    files.retain(|file| !file.ends_with("src/lib.rs") && !is_for_tests(file));
    assert!(files.len() > 20, "the sources are elsewhere");
    files
}

/// Whether the module that declares this file has it for its tests only.
fn is_for_tests(file: &Path) -> bool {
    let folder = file.parent().unwrap();
    let name = file.file_stem().unwrap().to_str().unwrap();
    let declared = fs::read_to_string(folder.with_extension("rs")).unwrap_or_default();
    let (mut is_test, declaration) = (false, format!("mod {name};"));
    for line in declared.lines() {
        if line.ends_with(&declaration) {
            return is_test;
        }
        is_test = line == "#[cfg(test)]" || is_test && line.starts_with("#[");
    }
    false
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// `src/machine/device.rs` is `machine::device`.
fn module_of(file: &Path) -> String {
    let path = file.strip_prefix(root().join("src")).unwrap();
    let path = path.with_extension("");
    let segments: Vec<_> = path.iter().map(|s| s.to_str().unwrap()).collect();
    segments.join("::")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
