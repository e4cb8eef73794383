//! The JavaScript client: its own tests against this server, and what it has to share with the server's sources.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use support::{BOB, Client, Server, User, text_payload};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};
use yizhan::code::{Close, Code};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The oldest Node that the client promises to run on.
const NODE_MIN: u32 = 20;

/// How many seeds the two clients with a bad network between them are tried with.
const CHAOS_RUNS: &str = "500";

/// All of the client's tests together; they take half a minute on an idle machine.
const WITHIN: Duration = Duration::from_secs(170);

/// The Node on the PATH that is new enough. Without one, the test says so and there is none; where `CI` is set that is a failure.
fn node() -> Option<&'static str> {
    let asked = std::process::Command::new("node").arg("--version").output();
    let version = asked.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    let major = version
        .strip_prefix('v')
        .and_then(|version| version.split('.').next()?.parse().ok());
    if major.is_some_and(|major: u32| major >= NODE_MIN) {
        return Some("node");
    }
    let missing = format!("there is no Node {NODE_MIN} or later, but {version:?}: install one");
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("skipped: {missing}");
    None
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below this directory, by their paths from there.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(
                files(&path)
                    .into_iter()
                    .map(|file| format!("{name}/{file}")),
            );
        } else {
            found.insert(name);
        }
    }
    found
}

#[tokio::test]
async fn the_clients_own_tests_pass_against_this_server() {
    let Some(node) = node() else {
        return;
    };
    let tests = Path::new(ROOT).join("clients/js/test");
    let tests: Vec<PathBuf> = files(&tests)
        .into_iter()
        .filter(|file| file.ends_with(".test.js"))
        .map(|file| tests.join(file))
        .collect();
    let running = Command::new(node)
        .args(["--test", "--test-reporter=tap"])
        .args(&tests)
        .env("YIZHAN_BIN", env!("CARGO_BIN_EXE_yizhan"))
        .env("YIZHAN_RUNS", CHAOS_RUNS)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = timeout(WITHIN, running.wait_with_output()).await;
    let output = ended.expect("the client's tests end in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let count = |what: &str| {
        let line = said.lines().find_map(|line| {
            let rest = line.strip_prefix("# ")?.strip_prefix(what)?;
            rest.trim().parse::<u32>().ok()
        });
        line.unwrap_or_else(|| panic!("no number of {what} in\n{said}"))
    };
    assert!(count("pass ") > 150, "{said}");
    // Without a browser what needs one is left out; `Browser::find` says so, or fails, in the page's own tests.
    if std::env::var_os("YIZHAN_CHROMIUM").is_some() {
        assert_eq!(count("skipped "), 0, "{said}");
    }
}

/// The names and numbers of one frozen object of the client's codes.
fn numbers(source: &str, object: &str) -> Vec<(String, u16)> {
    let begin = format!("export const {object} = Object.freeze({{");
    let (_, rest) = source.split_once(&begin).unwrap();
    let (body, _) = rest.split_once("});").unwrap();
    let lines = body.split(',').filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (name, number) = line.split_once(':').unwrap();
            (name.trim().to_owned(), number.trim().parse().unwrap())
        })
        .collect()
}

#[test]
fn the_client_has_the_servers_codes() {
    let source = read("clients/js/src/codes.js");
    // The client's name for 403 is older than its wider meaning.
    let named = |name: String| match name.as_str() {
        "Forbidden" => "Banned".to_owned(),
        _ => name,
    };
    let codes = Code::ALL.map(|code| (named(format!("{code:?}")), code.number()));
    assert_eq!(numbers(&source, "Code"), codes);
    let closes = Close::ALL.map(|close| (format!("{close:?}"), close.number()));
    assert_eq!(numbers(&source, "Close"), closes);
    for close in Close::ALL
        .into_iter()
        .filter(|close| close.number() >= 4000)
    {
        let stays = (4000..=4049).contains(&close.number());
        assert_eq!(close.reconnect(), !stays, "{close:?}");
    }
}

#[test]
fn every_file_of_the_page_and_of_the_client_is_served() {
    let table = read("src/http/chat.rs");
    for file in files(&Path::new(ROOT).join("src/http/chat")) {
        let entry = match file.as_str() {
            "index.html" => "(\"/\", HTML, include_str!(\"chat/index.html\"))".to_owned(),
            _ => format!("page!(\"{file}\", "),
        };
        assert!(table.contains(&entry), "{file} is not in the table");
    }
    for file in files(&Path::new(ROOT).join("clients/js/src")) {
        let is_listed = table.contains(&format!("client!(\"{file}\")"));
        assert_eq!(is_listed, !file.starts_with("node-"), "{file}");
    }
}

#[test]
fn the_client_depends_on_nothing() {
    let package: serde_json::Value =
        serde_json::from_str(&read("clients/js/package.json")).unwrap();
    for kind in [
        "dependencies",
        "devDependencies",
        "peerDependencies",
        "optionalDependencies",
    ] {
        assert!(package.get(kind).is_none(), "{kind}");
    }
    for file in files(&Path::new(ROOT).join("clients/js/src")) {
        let source = read(&format!("clients/js/src/{file}"));
        let imports = source.lines().filter_map(|line| {
            let (_, from) = line
                .split_once(" from \"")
                .or_else(|| line.split_once("import(\""))?;
            from.split('"').next()
        });
        for import in imports {
            let is_own = import.starts_with("./") || import.starts_with("../");
            let is_nodes = file.starts_with("node-") && import.starts_with("node:");
            assert!(is_own || is_nodes, "{file} imports {import}");
        }
    }
}

/// The scripts of a document, in their order.
fn scripts(document: &str) -> Vec<&str> {
    let blocks = document.split("```js\n").skip(1);
    blocks
        .filter_map(|block| block.split_once("```").map(|(script, _)| script))
        .collect()
}

/// The arguments of `yizhan serve` in the README, with files of this repository by their full paths.
fn served(readme: &str) -> Vec<String> {
    let mut lines = readme.lines();
    let line = lines.find_map(|line| line.strip_prefix("yizhan serve "));
    let words = line.expect("the README says how to serve").split(' ');
    words
        .map(|word| {
            let file = Path::new(ROOT).join(word);
            match file.is_file() {
                true => file.to_str().unwrap().to_owned(),
                false => word.to_owned(),
            }
        })
        .collect()
}

#[tokio::test]
async fn the_first_lines_of_the_readme_run() {
    let Some(node) = node() else {
        return;
    };
    let readme = read("clients/js/README.md");
    let arguments = served(&readme);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Server::start_with(&arguments, &[]).await;
    let [first, token, ..] = scripts(&readme)[..] else {
        panic!("the README begins with two scripts");
    };
    assert!(first.lines().count() <= 10, "{first}");
    let bob = User::new(BOB);
    // The lines run as they stand, but for the port: that of the defaults may be in use here.
    assert!(read("config/default.toml").contains("\npublic = \"127.0.0.1:9800\"\n"));
    let here = format!("http://{}", server.public);
    let script = format!("{first}\n{token}").replace("http://127.0.0.1:9800", &here);
    assert_eq!(script.matches(&here).count(), 2, "{script}");
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("readme.mjs");
    fs::write(&path, script).unwrap();
    let modules = home.path().join("node_modules");
    fs::create_dir(&modules).unwrap();
    let client = Path::new(ROOT).join("clients/js");
    std::os::unix::fs::symlink(client, modules.join("yizhan-client")).unwrap();
    let mut running = Command::new(node)
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut says = async |words: &str| {
        let looking = async {
            while let Some(line) = said.next_line().await.unwrap() {
                if line.contains(words) {
                    return;
                }
            }
            panic!("the script ended before it said {words:?}");
        };
        let looked = timeout(support::DEADLINE, looking).await;
        looked.unwrap_or_else(|_| panic!("the script never says {words:?}"));
    };
    says("accepted").await;
    let mut device = Client::login(server.public, &bob, "phone").await;
    let hello = device.expect("the message", |frame| frame.is("C2C")).await;
    assert_eq!(hello.json("payload")["text"], "hello");
    device.ack_text(&hello.id()).await;
    says("delivered").await;
    device
        .send_payload("b1", support::ALICE, &text_payload("hello"))
        .await;
    says("hello").await;
    let answer = device
        .expect("an answer", |frame| {
            frame.is("C2C") && frame.id() != hello.id()
        })
        .await;
    assert_eq!(answer.json("payload")["text"], "got it");
}
