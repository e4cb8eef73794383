//! How fast a history is written, read and archived, and how small it gets: chat-like messages, everything in the cache
//! of the file system.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use yizhan::id::{MsgId, Uid};
use yizhan::message::chat;
use yizhan::message::{Fate, Kind, Message};
use yizhan::store::archive::{Archive, Event, Needle, Query};
use yizhan::store::files::DiskFolder;
use yizhan::store::history::{Catalog, DAY_MS, History, Place, key_of};
use yizhan::store::record::{self, look};

const DAYS: u64 = 90;
const CONVERSATIONS: u64 = 2_000;

struct Chat {
    rng: Rng,
    words: Vec<String>,
    cseqs: Vec<u64>,
}

impl Chat {
    fn new() -> Chat {
        let mut rng = Rng::with_seed(1);
        let letters = b"etaoinshrdlucmfwypvbgk";
        let mut word = || {
            let length = 2 + rng.usize(..4) + rng.usize(..4);
            let letter =
                |_| char::from(letters[rng.usize(..letters.len()).min(rng.usize(..letters.len()))]);
            (0..length).map(letter).collect()
        };
        Chat {
            words: (0..4_000).map(|_| word()).collect(),
            cseqs: vec![1; CONVERSATIONS as usize],
            rng,
        }
    }

    fn message(&mut self, ts: u64) -> Vec<u8> {
        let rng = &mut self.rng;
        let count = 2 + rng.usize(..8) + rng.usize(..14);
        // A few words are most of what is said.
        let word = |_| self.words[(rng.f64().powi(3) * self.words.len() as f64) as usize].as_str();
        let text = (0..count).map(word).collect::<Vec<_>>().join(" ");
        let id = format!("{:010x}{:010x}", ts / 1000, rng.u64(..1 << 40));
        let payload = format!(
            "{{\"type\":\"text\",\"text\":\"{text}\",\"client_ts\":{}}}",
            ts - rng.u64(..900)
        );
        record::encode(&Message {
            kind: Kind::Words,
            from: Uid(1 + rng.u64(..3_000)),
            to: chat::Chat::User(Uid(1 + rng.u64(..3_000))),
            id: MsgId::parse(&id).unwrap(),
            payload: payload.into(),
            created_at: Some(ts as i64 - 40),
            server_ts: ts,
            expires_at: None,
            fate: Fate::Whole,
            cseq: 0,
        })
        .unwrap()
    }

    /// Messages of conversations, most of them of a few, in key order.
    fn batch(&mut self, count: usize, from: u64, span: u64) -> Vec<([u8; 17], Vec<u8>, u64)> {
        let mut batch = Vec::with_capacity(count);
        for n in 0..count as u64 {
            let ts = from + n * span / count as u64;
            let conversation = (self.rng.f64().powi(2) * CONVERSATIONS as f64) as usize;
            let cseq = self.cseqs[conversation];
            self.cseqs[conversation] += 1;
            batch.push((key_of(conversation as u64, cseq), self.message(ts), ts));
        }
        batch.sort_unstable();
        batch
    }
}

/// How long this thread has been at work: on a machine that others use, a better measure than the time that passed.
fn at_work() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// A time at work that has begun.
struct Work(Duration);

impl Work {
    fn begin() -> Work {
        Work(at_work())
    }

    fn elapsed(&self) -> Duration {
        at_work() - self.0
    }
}

fn place(path: &Path) -> Place {
    Place {
        runs: Arc::new(DiskFolder::open(&path.join("history")).unwrap()),
        archive: Arc::new(DiskFolder::open(&path.join("archive")).unwrap()),
    }
}

fn main() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let mut chat = Chat::new();
    let start = 20_000 * DAY_MS;
    building(&mut chat, start);
    chat.cseqs = vec![1; CONVERSATIONS as usize];
    let history = History::open(place(dir.path()), 1, &Catalog::default()).unwrap();
    let mut next_run = 1;
    for day in 0..DAYS {
        for half in 0..2 {
            let from = start + day * DAY_MS + half * DAY_MS / 2;
            let batch = chat.batch(10_000, from, DAY_MS / 2);
            let mut writing = history.begin(next_run);
            for (key, value, ts) in &batch {
                writing.add(key, value, *ts).unwrap();
            }
            let written = writing.finish().unwrap();
            next_run = written.next_run();
            history.push(written, from);
        }
    }
    let (runs, bytes) = history.size();
    println!("history: {runs} runs of {DAYS} days, {} MB", bytes >> 20);
    opening(dir.path(), &history.catalog());
    pages(&mut chat, &history);
    scanning(&history);
    leaving(dir.path(), &history, start + (DAYS + 200) * DAY_MS);
}

fn building(chat: &mut Chat, start: u64) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let history = History::open(place(dir.path()), 1, &Catalog::default()).unwrap();
    let batch = chat.batch(300_000, start, DAY_MS);
    let raw: usize = batch
        .iter()
        .map(|(key, value, _)| key.len() + value.len())
        .sum();
    for round in 0..3 {
        let began = Work::begin();
        let mut writing = history.begin(1 + round);
        for (key, value, ts) in &batch {
            writing.add(key, value, *ts).unwrap();
        }
        let added = began.elapsed();
        let written = writing.finish().unwrap();
        let took = began.elapsed();
        let bytes: u64 = written.kept().map(|kept| kept.shelved.bytes).sum();
        println!(
            "build: {} MB raw into {} MB (ratio {:.2}) in {took:?}, {added:?} before the last sync: {:.0} MB/s, {:.2} us a message",
            raw >> 20,
            bytes >> 20,
            raw as f64 / bytes as f64,
            raw as f64 / added.as_secs_f64() / 1e6,
            added.as_micros() as f64 / batch.len() as f64
        );
        history.push(written, start);
    }
    let now = start + 3 * DAY_MS;
    let began = Work::begin();
    let mut merging = history.merge(now, 9).unwrap().unwrap();
    let mut longest = began.elapsed();
    loop {
        let step = Work::begin();
        let goes_on = merging.step(4096).unwrap();
        longest = longest.max(step.elapsed());
        if !goes_on {
            break;
        }
    }
    drop(merging.finish().unwrap());
    let took = began.elapsed();
    let rate = 3.0 * raw as f64 / took.as_secs_f64() / 1e6;
    println!("merge: three of them in {took:?}: {rate:.0} MB/s; the longest step {longest:?}");
}

fn opening(path: &Path, catalog: &Catalog) {
    let began = Instant::now();
    let history = History::open(place(path), 1, catalog).unwrap();
    println!("open: {} runs in {:?}", history.size().0, began.elapsed());
    let manifest = postcard::to_allocvec(catalog).unwrap().len();
    println!("catalog: {manifest} bytes");
    // The cache was let go; everything is read once.
    let mut all = history.entries(&[], &[0xff; 32]).unwrap();
    while all.show(|_, _| ()).unwrap().is_some() {}
}

fn timed(what: &str, mut act: impl FnMut(u64)) {
    let work = Work::begin();
    let mut times: Vec<_> = (0..2_000)
        .map(|n| {
            let began = Instant::now();
            act(n);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "{what}: {:?} of work on average; median {:?}, 99% {:?}",
        work.elapsed() / 2_000,
        times[1_000],
        times[1_980]
    );
}

fn read(history: &History, conversation: u64, from: u64, to: u64) -> usize {
    let mut entries = history
        .entries(&key_of(conversation, from), &key_of(conversation, to))
        .unwrap();
    let mut count = 0;
    while count < 50 && entries.next().unwrap().is_some() {
        count += 1;
    }
    count
}

fn pages(chat: &mut Chat, history: &History) {
    let heads = chat.cseqs.clone();
    let (busiest, quietest) = (0, CONVERSATIONS - 1);
    println!(
        "conversations: from {} to {} messages",
        heads[quietest as usize], heads[busiest as usize]
    );
    let mut rng = Rng::with_seed(2);
    timed("page of 50, any of the busiest", |_| {
        let from = rng.u64(1..heads[busiest as usize] - 50);
        assert_eq!(read(history, busiest, from, from + 49), 50);
    });
    timed(
        "page of 50, any of a quiet one (50 messages are weeks)",
        |_| {
            let conversation = CONVERSATIONS - 1 - rng.u64(..200);
            let from = rng.u64(1..heads[conversation as usize] - 50);
            assert_eq!(read(history, conversation, from, from + 49), 50);
        },
    );
    timed("page of 50, any of any", |_| {
        let conversation = rng.u64(..CONVERSATIONS);
        let from = rng.u64(1..heads[conversation as usize] - 50);
        assert_eq!(read(history, conversation, from, from + 49), 50);
    });
    timed("first 50 of a scan of all of a conversation", |_| {
        let conversation = rng.u64(..CONVERSATIONS);
        assert_eq!(read(history, conversation, 0, u64::MAX), 50);
    });
    timed("a conversation that is not there", |n| {
        assert_eq!(read(history, 1_000_000 + n, 0, u64::MAX), 0);
    });
    timed("one message", |_| {
        let conversation = rng.u64(..CONVERSATIONS);
        let cseq = rng.u64(1..heads[conversation as usize]);
        assert!(history.get(&key_of(conversation, cseq)).unwrap().is_some());
    });
}

fn scanning(history: &History) {
    let began = Work::begin();
    let (mut count, mut raw) = (0u64, 0);
    let mut all = history.entries(&[], &[0xff; 32]).unwrap();
    while let Some(bytes) = all
        .show(|key, value| key.len() + value.map_or(0, <[u8]>::len))
        .unwrap()
    {
        count += 1;
        raw += bytes;
    }
    let took = began.elapsed();
    println!(
        "scan of all: {count} messages in {took:?}: {:.0} MB/s",
        raw as f64 / took.as_secs_f64() / 1e6
    );
}

fn leaving(path: &Path, history: &History, now: u64) {
    let began = Work::begin();
    let mut longest = began.elapsed();
    while let Some(period) = history.due_for_archive(now, 0) {
        let mut leaving = history.leave(period, look).unwrap();
        loop {
            let step = Work::begin();
            let goes_on = leaving.step(4096).unwrap();
            longest = longest.max(step.elapsed());
            if !goes_on {
                break;
            }
        }
        history.drop_period(leaving.finish().unwrap()).unwrap();
    }
    let took = began.elapsed();
    let archive = Archive::new(Arc::new(DiskFolder::look(&path.join("archive")).unwrap()));
    let listed: Vec<_> = archive
        .names()
        .unwrap()
        .into_iter()
        .map(|name| archive.list(name).unwrap())
        .collect();
    let raw: u64 = listed
        .iter()
        .map(|listed| listed.summary.unwrap().raw)
        .sum();
    let bytes: u64 = listed.iter().map(|listed| listed.bytes).sum();
    println!(
        "archive: {} files, {} MB raw into {} MB (ratio {:.2}) in {took:?}: {:.0} MB/s; the longest step {longest:?}",
        listed.len(),
        raw >> 20,
        bytes >> 20,
        raw as f64 / bytes as f64,
        raw as f64 / took.as_secs_f64() / 1e6
    );
    let read = |query: &Query| {
        let (mut count, began) = (0, Work::begin());
        archive
            .read(query, look, &mut |event| {
                count += u64::from(matches!(event, Event::Message(_)));
                true
            })
            .unwrap();
        (count, began.elapsed())
    };
    for text in ["xyzzy", "Öl"] {
        let (count, took) = read(&Query {
            text: Some(Needle::new(text)),
            ..Query::default()
        });
        let rate = raw as f64 / took.as_secs_f64() / 1e6;
        println!("search for {text} in all of it: {count} found in {took:?}: {rate:.0} MB/s");
    }
    let (count, took) = read(&Query {
        conversation: Some(700),
        ..Query::default()
    });
    println!("one conversation of all files: {count} messages in {took:?}");
    let began = Work::begin();
    for name in archive.names().unwrap() {
        archive
            .verify(name, &mut |damage| panic!("{damage}"))
            .unwrap();
    }
    println!("verify: {:?}", began.elapsed());
}
