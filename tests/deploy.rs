//! That what stands in `deploy/` and docs/OPERATIONS.md fits the server: its metrics, its settings, its commands.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{ADMIN_TOKEN, Call, Server, cli};

const BINARY: &str = env!("CARGO_BIN_EXE_yizhan");

// ---- the alerts ----

#[tokio::test]
async fn every_metric_that_the_alerts_watch_is_counted() {
    let server = Server::start(&[]).await;
    let page = Call::get(server.admin, "/metrics").bearer(ADMIN_TOKEN);
    let page = page.send().await.body;
    let counted: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let mut named = BTreeSet::new();
    for file in ["prometheus/alerts.yml", "prometheus/alerts_test.yml"] {
        named.extend(metrics_in(&deploy(file)));
    }
    named.extend(metrics_in(&page_of_operations()));
    assert!(named.len() > 10, "{named:?}");
    for name in &named {
        assert!(counted.contains(name.as_str()), "nothing counts {name}");
    }
}

#[test]
fn every_alert_is_tested_and_explained_and_no_other() {
    let after = |text: &str, word: &str| -> BTreeSet<String> {
        text.lines()
            .filter_map(|line| line.trim().strip_prefix(word))
            .map(|name| name.trim_matches('`').to_owned())
            .collect()
    };
    let alerts = after(&deploy("prometheus/alerts.yml"), "- alert: ");
    assert!(alerts.len() > 10, "{alerts:?}");
    let tested = after(&deploy("prometheus/alerts_test.yml"), "alertname: ");
    assert_eq!(alerts, tested);
    let explained = after(&page_of_operations(), "### `Yizhan");
    let explained = explained.iter().map(|rest| format!("Yizhan{rest}"));
    assert_eq!(alerts, explained.collect());
}

#[test]
fn prometheus_takes_the_alerts_and_they_fire_when_they_must() {
    let Some(promtool) = promtool() else {
        println!("skipped: there is no promtool (.ci/run fetches it)");
        return;
    };
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let ran = Command::new(&promtool)
            .args(arguments)
            .current_dir(root().join("deploy/prometheus"))
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", said(&ran));
    }
}

/// The one that `.ci/run` names, which must be there, or one that happens to be installed.
fn promtool() -> Option<PathBuf> {
    if let Some(named) = env::var_os("YIZHAN_PROMTOOL") {
        return Some(named.into());
    }
    let found = Command::new("promtool").arg("--version").output();
    found.is_ok().then(|| "promtool".into())
}

// ---- the unit ----

#[test]
fn systemd_takes_the_unit() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: there is no systemd-analyze");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // It also looks whether the commands are there, which on this machine they need not be.
    let unit = deploy("yizhan.service")
        .replace("/usr/local/bin/yizhan", BINARY)
        .replace("/bin/kill", BINARY);
    let file = dir.path().join("yizhan.service");
    fs::write(&file, unit).unwrap();
    let ran = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .unwrap();
    let said = said(&ran);
    assert!(
        ran.status.success() && !said.contains("yizhan.service"),
        "{said}"
    );
}

#[test]
fn the_unit_starts_the_server_with_settings_that_it_takes() {
    let unit = deploy("yizhan.service");
    let value = |key: &str| {
        unit.lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
    };
    assert_eq!(
        value("ExecStart="),
        "/usr/local/bin/yizhan serve --config /etc/yizhan/yizhan.toml"
    );
    let shipped = root().join("deploy/yizhan.toml");
    let shown = cli(&["config", "--config", shipped.to_str().unwrap()]);
    let directory = value("StateDirectory=");
    assert!(
        shown.contains(&format!("path = \"/var/lib/{directory}\"")),
        "{shown}"
    );
    // Users and groups of the unit are those that systemd-sysusers makes.
    let user = value("User=");
    assert!(deploy("yizhan.sysusers").contains(&format!("\nu {user} - ")));
}

// ---- the image ----

#[test]
fn the_image_sets_what_the_server_takes_and_probes_with_a_command_it_has() {
    let text = deploy("Containerfile");
    let variables: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("YIZHAN__"))
        .filter_map(|word| word.split_once('='))
        .collect();
    assert_eq!(variables.len(), 3, "{variables:?}");
    let ran = Command::new(BINARY)
        .arg("config")
        .envs(variables)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", said(&ran));
    let shown = String::from_utf8(ran.stdout).unwrap();
    for line in ["public = \"0.0.0.0:9800\"", "path = \"/data\""] {
        assert!(shown.contains(line), "{shown}");
    }
    let last = text.rsplit_once("\nFROM ").unwrap().1;
    for line in [
        "USER 65532:65532",
        "VOLUME /data",
        "EXPOSE 9800",
        "STOPSIGNAL SIGTERM",
        "CMD [\"/usr/local/bin/yizhan\", \"health\"]",
    ] {
        assert!(last.contains(line), "{line} is missing");
    }
    assert!(cli(&["--help"]).contains("health"));
    // What is copied is there.
    for from in text.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let mut words: Vec<_> = from.split(' ').filter(|w| !w.starts_with("--")).collect();
        words.pop();
        let exists = |word: &&str| word.starts_with("/image") || root().join(word).exists();
        assert!(words.iter().all(exists), "{from}");
    }
}

// ---- the page ----

#[test]
fn every_setting_that_the_page_names_exists() {
    let defaults = fs::read_to_string(root().join("config/default.toml")).unwrap();
    let defaults: toml::Table = defaults.parse().unwrap();
    let mut named = 0;
    let texts = [page_of_operations(), deploy("Containerfile")];
    for word in texts.iter().flat_map(|text| words(text)) {
        let path = match word.strip_prefix("YIZHAN__") {
            Some(rest) => rest.to_ascii_lowercase().replacen("__", ".", 1),
            None => word.clone(),
        };
        let Some((section, key)) = path.split_once('.') else {
            continue;
        };
        let Some(section) = defaults.get(section) else {
            assert!(!word.starts_with("YIZHAN__"), "there is no setting {word}");
            continue;
        };
        named += 1;
        assert!(section.get(key).is_some(), "there is no setting {word}");
    }
    assert!(named > 15, "only {named} settings are named");
}

#[test]
fn every_file_and_page_that_the_page_links_exists() {
    let page = page_of_operations();
    let links = page
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.contains("://")) {
        let file = link.split('#').next().unwrap();
        assert!(root().join("docs").join(file).exists(), "{link}");
    }
}

/// Words of letters, digits, underscores and dots; a dot at the end belongs to the sentence.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
        .map(|word| word.trim_matches('.').to_owned())
        .collect()
}

/// The series of these metrics, under the name of their metric.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let ours = |word: &String| word.starts_with("yizhan_") || word.starts_with("process_");
    words(text)
        .into_iter()
        .filter(ours)
        .filter(|word| !word.ends_with('_'))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

fn deploy(file: &str) -> String {
    fs::read_to_string(root().join("deploy").join(file)).unwrap()
}

fn page_of_operations() -> String {
    fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap()
}

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
