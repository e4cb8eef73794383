//! `yizhan archive`, as an operator sees it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use yizhan::id::{MsgId, Uid};
use yizhan::message::chat::Chat;
use yizhan::message::{Fate, Kind, Message};
use yizhan::store::archive::{Identity, Writer};
use yizhan::store::files::DiskFolder;
use yizhan::store::history::{DAY_MS, key_of};
use yizhan::store::record;

/// Two days of a conversation, ten messages each.
fn archive(store: &Path) {
    let folder = Arc::new(DiskFolder::open(&store.join("archive")).unwrap());
    for day in 0..2u64 {
        let of = Identity {
            store: 1,
            period: 20_693 + day as u32,
            part: 1,
        };
        let mut writer = Writer::begin(folder.clone(), of).unwrap();
        for n in 0..10 {
            let ts = (20_693 + day) * DAY_MS + n * 60_000;
            let message = Message {
                kind: Kind::Words,
                from: Uid(1 + n % 2),
                to: Chat::User(Uid(9)),
                id: MsgId::parse(&format!("id-{n}")).unwrap(),
                payload: format!("{{\"text\":\"Word {n} of day {day}\"}}").into(),
                created_at: None,
                server_ts: ts,
                expires_at: None,
                fate: Fate::Whole,
                cseq: 0,
            };
            let value = record::encode(&message).unwrap();
            writer
                .add(&key_of(7, day * 10 + n), Some(&value), Some(ts))
                .unwrap();
        }
        writer.finish().unwrap();
    }
}

fn run(store: &Path, args: &[&str]) -> (bool, Vec<String>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_yizhan"))
        .args(["archive", "--store"])
        .arg(store)
        .args(args)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let lines = String::from_utf8(stdout).unwrap();
    let lines = lines.lines().map(str::to_owned).collect();
    (status.success(), lines, String::from_utf8(stderr).unwrap())
}

#[test]
fn an_archive_is_listed_read_and_searched() {
    let dir = tempfile::tempdir().unwrap();
    archive(dir.path());
    let (done, lines, _) = run(dir.path(), &["list"]);
    assert!(done && lines.len() == 4, "{lines:?}");
    assert!(lines[1].starts_with("2026-08-28.yza"), "{lines:?}");
    let (done, lines, _) = run(dir.path(), &["read", "7", "--from", "8", "--limit", "4"]);
    let cseqs = lines.iter().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["cseq"].as_u64().unwrap()
    });
    assert!(done);
    assert_eq!(cseqs.collect::<Vec<_>>(), [8, 9, 10, 11]);
    let (_, lines, _) = run(dir.path(), &["read", "7", "--since", "2026-08-29"]);
    assert_eq!(lines.len(), 10);
    let (_, lines, _) = run(
        dir.path(),
        &["read", "7", "--until", "2026-08-28T00:03:00Z"],
    );
    assert_eq!(lines.len(), 3);
    let (_, lines, _) = run(dir.path(), &["search", "WORD", "--sender", "2"]);
    assert_eq!(lines.len(), 10);
    let (done, lines, errors) = run(dir.path(), &["search", "nothing"]);
    assert!(done && lines.is_empty() && errors.is_empty());
}

#[test]
fn damage_is_said_and_read_past() {
    let dir = tempfile::tempdir().unwrap();
    archive(dir.path());
    let (done, lines, _) = run(dir.path(), &["verify"]);
    assert!(done);
    assert_eq!(lines, ["2 files with 20 messages are whole"]);
    let file = dir.path().join("archive/2026-08-28.yza");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (done, _, errors) = run(dir.path(), &["verify", "2026-08-28"]);
    assert!(
        !done && errors.contains("2026-08-28.yza: damaged at byte 36"),
        "{errors}"
    );
    let (done, lines, errors) = run(dir.path(), &["read", "7"]);
    assert!(!done && errors.contains("damaged at byte 36"), "{errors}");
    assert_eq!(lines.len(), 10, "the other day");
    assert!(run(dir.path(), &["verify", "2026-08-29.yza"]).0);
}

#[test]
fn what_is_not_there_is_said_in_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let said = |args: &[&str], store: &Path| {
        let (done, lines, errors) = run(store, args);
        assert!(
            !done && lines.is_empty() && errors.lines().count() == 1,
            "{errors}"
        );
        errors
    };
    assert!(said(&["list"], dir.path()).contains("has no archive yet"));
    assert!(said(&["list"], Path::new("/not/there")).contains("/not/there/archive"));
    archive(dir.path());
    let error = said(&["verify", "2026-09-01"], dir.path());
    assert!(error.contains("2026-09-01 is no file of"), "{error}");
    said(&["read", "x"], dir.path());
    said(
        &[
            "read",
            "7",
            "--since",
            "2026-01-02",
            "--until",
            "2026-01-02",
        ],
        dir.path(),
    );
}
