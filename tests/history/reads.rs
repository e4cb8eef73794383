//! Only runs that have a part of a conversation are read for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use yizhan::store::files::{Folder, Handle};
use yizhan::store::history::{Catalog, DAY_MS, History, Place, key_of};

use crate::disk::{Disk, State};
use crate::world::{STORE, encode, message};

/// A folder that counts what is read of its files.
struct Counting(Arc<dyn Folder>, Arc<AtomicUsize>);

struct Counted(Arc<dyn Handle>, Arc<AtomicUsize>);

impl Folder for Counting {
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn Handle>> {
        Ok(Arc::new(Counted(self.0.create(name)?, self.1.clone())))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn Handle>> {
        Ok(Arc::new(Counted(self.0.open(name)?, self.1.clone())))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn free(&self) -> io::Result<u64> {
        self.0.free()
    }
    fn path(&self, name: &str) -> String {
        self.0.path(name)
    }
}

impl Handle for Counted {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_at(at, into)
    }
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(at, bytes)
    }
    fn cut(&self, size: u64) -> io::Result<()> {
        self.0.cut(size)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn go_by_the_disk(&self) -> io::Result<()> {
        self.0.go_by_the_disk()
    }
}

/// 40 days of 200 conversations that speak each day, and one that speaks on three of them; and the reads so far.
fn forty_days() -> (History, Arc<AtomicUsize>) {
    let (disk, reads) = (Disk::with(State::default()), Arc::new(AtomicUsize::new(0)));
    let place = Place {
        runs: Arc::new(Counting(disk.folder("history"), reads.clone())),
        archive: disk.folder("archive"),
    };
    let history = History::open(place, STORE, &Catalog::default()).unwrap();
    let mut next_run = 1;
    for day in 0..40u64 {
        let ts = (20_000 + day) * DAY_MS;
        let mut writing = history.begin(next_run);
        for conversation in 1..=200 {
            for n in 0..40 {
                let value = encode(&message(ts + n, "good morning to you", false));
                writing
                    .add(&key_of(conversation, day * 40 + n), &value, ts + n)
                    .unwrap();
            }
        }
        if day % 15 == 3 {
            let value = encode(&message(ts, "a rare word", false));
            writing.add(&key_of(1000, day), &value, ts).unwrap();
        }
        let written = writing.finish().unwrap();
        next_run = written.next_run();
        history.push(written, ts);
    }
    reads.store(0, Ordering::Relaxed);
    (history, reads)
}

fn scan(history: &History, from: (u64, u64), to: (u64, u64)) -> usize {
    let mut entries = history
        .entries(&key_of(from.0, from.1), &key_of(to.0, to.1))
        .unwrap();
    let mut count = 0;
    while entries.next().unwrap().is_some() {
        count += 1;
    }
    count
}

#[test]
fn a_rare_conversation_is_read_where_it_is() {
    let (history, reads) = forty_days();
    assert_eq!(scan(&history, (1000, 0), (1000, u64::MAX)), 3);
    // One look into each of three runs, and what the filters are wrong about: one in a hundred.
    assert!(reads.load(Ordering::Relaxed) <= 6, "{reads:?}");
    reads.store(0, Ordering::Relaxed);
    assert_eq!(scan(&history, (1001, 0), (1001, u64::MAX)), 0);
    assert!(reads.load(Ordering::Relaxed) <= 3, "{reads:?}");
}

#[test]
fn a_page_of_a_busy_conversation_is_read_where_its_numbers_are() {
    let (history, reads) = forty_days();
    assert_eq!(scan(&history, (100, 700), (100, 749)), 50);
    // Of two or three days, each with a block or two; not of forty.
    assert!(reads.load(Ordering::Relaxed) <= 10, "{reads:?}");
    reads.store(0, Ordering::Relaxed);
    assert!(history.get(&key_of(100, 700)).unwrap().is_some());
    assert!(reads.load(Ordering::Relaxed) <= 4, "{reads:?}");
    reads.store(0, Ordering::Relaxed);
    assert!(history.get(&key_of(100, 7_000_000)).unwrap().is_none());
    assert!(reads.load(Ordering::Relaxed) <= 3, "{reads:?}");
}
