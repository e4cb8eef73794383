//! A store from before there was a log: it gets one, and everything in it goes on.

use std::sync::Arc;

use yizhan::store::ledger::prepare;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch, Engine, record};

use super::disk::Disk;
use super::store::{BOUNDS, open};

fn older() -> Arc<MemoryEngine> {
    let base = MemoryEngine::new();
    let mut batch = Batch::default();
    let layout = record::encode(&record::LAYOUT_BEFORE_LOG).unwrap();
    batch.put(record::LAYOUT_KEY.to_vec(), layout);
    for n in 0..20u8 {
        batch.put(vec![b'd', n], vec![n]);
        batch.put(vec![b'i', n], vec![n]);
    }
    base.apply(batch).unwrap();
    base.flush().unwrap();
    Arc::new(base)
}

#[test]
fn an_older_store_gets_a_log_and_the_build_that_wrote_it_refuses_it_from_then_on() {
    let (disk, base) = (Arc::new(Disk::default()), older());
    let (journal, _) = open(&disk, &base, BOUNDS).unwrap();
    assert!(!prepare(&journal).unwrap(), "it is not empty");
    let layout = base.get(record::LAYOUT_KEY).unwrap().unwrap();
    let layout: u32 = record::decode(record::LAYOUT_KEY, &layout).unwrap();
    assert_eq!((layout, base.unflushed()), (record::LAYOUT, 0));
}

#[test]
fn what_an_older_store_remembers_is_found_and_what_is_removed_of_it_stays_so() {
    let (disk, base) = (Arc::new(Disk::default()), older());
    let (mut journal, _) = open(&disk, &base, BOUNDS).unwrap();
    for round in 0..20u8 {
        assert_eq!(journal.get(&[b'd', round]).unwrap(), Some(vec![round]));
        let mut batch = Batch::default();
        match round % 2 {
            0 => batch.delete(vec![b'd', round]),
            _ => batch.put(vec![b'd', round], vec![100]),
        }
        journal.apply(batch).unwrap();
        journal.settle().unwrap();
        if round % 5 == 4 {
            journal.close().unwrap();
            journal = open(&disk, &base, BOUNDS).unwrap().0;
        }
    }
    let mut found = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        found.push((key[1], value.to_vec()));
        true
    };
    journal.scan(b"d", b"e", &mut visit).unwrap();
    let left: Vec<_> = (0..10).map(|n| (2 * n + 1, vec![100])).collect();
    assert_eq!(found, left);
}
