//! `yizhan store check` and `yizhan store salvage`, on the store of a server that was killed, damaged by hand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{ALICE, BOB, ONCE, Refusal, Server, cli};

/// The segment that was written last, and where what was written into it ends.
fn last_segment(data: &Path) -> (PathBuf, usize) {
    let entries = fs::read_dir(data.join("log")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let used = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.iter().rposition(|byte| *byte != 0).unwrap()
    };
    let used = files.into_iter().map(|path| (used(&path), path));
    let mut used = used.filter(|(end, _)| *end > 64);
    let (end, path) = used.next_back().unwrap();
    (path, end)
}

#[tokio::test]
async fn a_store_is_looked_after_while_no_server_has_it() {
    let mut server = Server::start(&[ONCE]).await;
    let data = server.data_dir();
    let path = format!("store.path={}", data.display());
    for command in ["check", "salvage"] {
        let refusal = Refusal::of(&["store", command, "--set", &path]).await;
        assert!(refusal.one_line().contains("in use by another server"));
    }
    let mut alice = server.login(ALICE, "a-phone").await;
    for n in 1..=20 {
        alice.send_c2c(&format!("m{n}"), BOB, "hello").await;
        alice.accepted(&format!("m{n}")).await;
    }
    server.kill9().await;
    let said = cli(&["store", "check", "--set", &path]);
    assert!(said.ends_with("the store is well\n"), "{said}");

    // In the middle of what was flushed long ago.
    let (segment, end) = last_segment(&data);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[end / 2] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let refusal = Refusal::of_serving(&[], &data, &[]).await;
    let line = refusal.stderr.lines().last().unwrap();
    assert!(
        line.contains(name) && line.contains("damaged at byte"),
        "{line}"
    );
    assert!(line.contains("`yizhan store check`"), "{line}");
    let refusal = Refusal::of(&["store", "check", "--set", &path]).await;
    assert!(!refusal.status.success());
    assert!(refusal.stdout.contains(name), "{}", refusal.stdout);

    let said = cli(&["store", "salvage", "--set", &path]);
    assert!(said.contains("1 records are lost"), "{said}");
    assert!(said.ends_with("the store can be opened again\n"), "{said}");
    assert!(data.join("damaged-1").join(name).exists(), "{said}");
    let said = cli(&["store", "check", "--set", &path]);
    assert!(said.ends_with("the store is well\n"), "{said}");
    server.restart().await;
    let mut bob = server.login(BOB, "b-phone").await;
    // One batch was lost, and it held at most one of the twenty.
    assert!(bob.waiting() >= 19);
    for _ in 0..19 {
        bob.expect("a message", |frame| frame.is("C2C")).await;
    }
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("after", BOB, "hello").await;
    alice.accepted("after").await;
    let after = bob
        .expect("the new one", |frame| frame.is_about("after"))
        .await;
    assert!(
        after.seq() > 1 << 32,
        "a lost number is not given out again"
    );
    assert!(server.term().await.success());
    let said = cli(&["store", "salvage", "--set", &path]);
    assert!(
        said.ends_with("the store is well, and was left as it is\n"),
        "{said}"
    );
    assert!(!data.join("SALVAGING").exists());
}

#[tokio::test]
async fn a_salvage_that_was_killed_has_to_come_to_its_end_first() {
    let mut server = Server::start(&[ONCE]).await;
    let data = server.data_dir();
    let path = format!("store.path={}", data.display());
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("before", BOB, "hello").await;
    alice.accepted("before").await;
    server.kill9().await;
    // It was killed when the log was whole again, and before the numbers had moved on.
    fs::write(data.join("SALVAGING"), "").unwrap();
    let refusal = Refusal::of_serving(&[], &data, &[]).await;
    let line = refusal.stderr.lines().last().unwrap();
    assert!(line.contains("`yizhan store salvage`"), "{line}");
    let said = cli(&["store", "salvage", "--set", &path]);
    assert!(said.contains("an earlier salvage"), "{said}");
    assert!(said.ends_with("the store can be opened again\n"), "{said}");
    server.restart().await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("after", BOB, "hello").await;
    alice.accepted("after").await;
    let mut bob = server.login(BOB, "b-phone").await;
    for (id, moved) in [("before", false), ("after", true)] {
        let frame = bob.expect("a message", |frame| frame.is_about(id)).await;
        assert_eq!(frame.seq() > 1 << 32, moved, "{id}");
    }
}
