//! Runs of the dedupe index are what they were.

use std::path::Path;
use std::sync::Arc;

use yizhan::store::files::DiskFolder;
use yizhan::store::runs::{Found, Run, Runs, Shape, Shelved};

const OLD: &[u8] = include_bytes!("older/0000000000000041.run");
const STORE: u64 = 0x0123_4567_89ab_cdef;

fn entries() -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
    (0..600u32).map(|n| {
        let mut key = format!("d{:08x}", n * 7919 + 13).into_bytes();
        key.extend(u64::from(n).to_be_bytes());
        let value = (n % 5 != 0).then(|| vec![(n % 251) as u8; (n % 40) as usize]);
        (key, value)
    })
}

fn folder(path: &Path) -> Arc<DiskFolder> {
    Arc::new(DiskFolder::open(path).unwrap())
}

#[test]
fn a_run_of_an_older_build_is_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("0000000000000041.run"), OLD).unwrap();
    let shelved = Shelved {
        run: 41,
        entries: 600,
        bytes: OLD.len() as u64,
    };
    let runs = Runs::open(folder(dir.path()), STORE, &[shelved]).unwrap();
    for (key, value) in entries() {
        let expected = value.map_or(Found::Removed, Found::Value);
        assert_eq!(runs.get(&key).unwrap(), expected);
    }
    let mut all = runs.entries(b"d", b"e").unwrap();
    for entry in entries() {
        assert_eq!(all.next().unwrap(), Some(entry));
    }
    assert_eq!(all.next().unwrap(), None);
    let wrong = Run::open(Shape::HISTORY, &*folder(dir.path()), STORE, shelved);
    assert!(
        wrong
            .err()
            .unwrap()
            .to_string()
            .contains("the footer cannot be read")
    );
}

#[test]
fn a_run_of_this_build_is_the_same_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let runs = Runs::open(folder(dir.path()), STORE, &[]).unwrap();
    let mut builder = runs.begin(41).unwrap();
    for (key, value) in entries() {
        builder.add(&key, value.as_deref()).unwrap();
    }
    builder.finish().unwrap();
    let written = std::fs::read(dir.path().join("0000000000000041.run")).unwrap();
    assert!(written == OLD);
}
