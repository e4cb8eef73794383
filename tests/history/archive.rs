//! What has left is found again.

use std::sync::Arc;

use yizhan::store::archive::Identity;
use yizhan::store::archive::{Archive, Event, Needle, Query, Writer};
use yizhan::store::history::{DAY_MS, key_of};
use yizhan::store::record::look;

use crate::disk::{Disk, State};
use crate::world::{encode, message};

/// Three days: conversations 1 to 3, each with ten messages a day from a minute after midnight on, a minute apart.
fn three_days() -> (Arc<Disk>, Archive) {
    let disk = Disk::with(State::default());
    for day in 0..3u64 {
        let of = Identity {
            store: 1,
            period: 20_000 + day as u32,
            part: 1,
        };
        let mut writer = Writer::begin(disk.folder("archive"), of).unwrap();
        for conversation in 1..=3 {
            for n in 0..10 {
                let ts = (20_000 + day) * DAY_MS + (n + 1) * 60_000;
                let text = format!("Word{n} of day {day}");
                let value = encode(&message(ts, &text, false));
                writer
                    .add(&key_of(conversation, day * 10 + n), Some(&value), Some(ts))
                    .unwrap();
            }
        }
        writer.finish().unwrap();
    }
    let archive = Archive::new(disk.folder("archive"));
    (disk, archive)
}

fn found(archive: &Archive, query: &Query, limit: usize) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    archive
        .read(query, look, &mut |event| match event {
            Event::Message(message) => {
                found.push((message.conversation, message.cseq));
                found.len() < limit
            }
            Event::Damage(damage) => panic!("{damage}"),
        })
        .unwrap();
    found
}

#[test]
fn a_conversation_is_read_in_order() {
    let (_, archive) = three_days();
    let query = Query {
        conversation: Some(2),
        ..Query::default()
    };
    let all: Vec<(u64, u64)> = (0..30).map(|n| (2, n)).collect();
    assert_eq!(found(&archive, &query, usize::MAX), all);
    assert_eq!(found(&archive, &query, 5), all[..5]);
    let query = Query {
        cseq: 8..=12,
        ..query
    };
    assert_eq!(found(&archive, &query, usize::MAX), all[8..13]);
    let query = Query {
        conversation: Some(4),
        ..Query::default()
    };
    assert_eq!(found(&archive, &query, usize::MAX), []);
}

#[test]
fn a_time_is_read_of_the_days_it_is_in() {
    let (_, archive) = three_days();
    let query = Query {
        conversation: Some(1),
        ts: 20_001 * DAY_MS + 120_000..=20_001 * DAY_MS + 180_000,
        ..Query::default()
    };
    assert_eq!(found(&archive, &query, usize::MAX), [(1, 11), (1, 12)]);
    let query = Query {
        ts: 0..=20_000 * DAY_MS + 60_000,
        ..Query::default()
    };
    assert_eq!(
        found(&archive, &query, usize::MAX),
        [(1, 0), (2, 0), (3, 0)]
    );
}

#[test]
fn a_search_finds_a_text_in_either_case_of_whom_and_where_it_is_asked() {
    let (_, archive) = three_days();
    let query = |text: &str| Query {
        text: Some(Needle::new(text)),
        ..Query::default()
    };
    assert_eq!(
        found(&archive, &query("wORD3 of DAY 2"), usize::MAX),
        [(1, 23), (2, 23), (3, 23)]
    );
    assert_eq!(found(&archive, &query("word11"), usize::MAX), []);
    assert_eq!(found(&archive, &query("word"), usize::MAX).len(), 90);
    let of_one = Query {
        conversation: Some(3),
        ..query("word3")
    };
    assert_eq!(
        found(&archive, &of_one, usize::MAX),
        [(3, 3), (3, 13), (3, 23)]
    );
    let sender = message(20_000 * DAY_MS + 60_000, "", false).from;
    let of_sender = Query {
        from: Some(sender.0),
        ts: 0..=20_001 * DAY_MS,
        ..query("word")
    };
    let senders = found(&archive, &of_sender, usize::MAX);
    assert!(
        senders.contains(&(1, 0)) && senders.len() < 30,
        "{senders:?}"
    );
}

#[test]
fn a_list_tells_what_is_in_each_file() {
    let (_, archive) = three_days();
    let names = archive.names().unwrap();
    assert_eq!(
        names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["2024-10-04.yza", "2024-10-05.yza", "2024-10-06.yza"]
    );
    for name in names {
        let listed = archive.list(name).unwrap();
        let summary = listed.summary.unwrap();
        assert_eq!(
            (summary.messages, summary.conversations, summary.removals),
            (30, 3, 0)
        );
        let day = u64::from(name.period) * DAY_MS;
        assert_eq!(
            (summary.first_ts, summary.last_ts),
            (day + 60_000, day + 600_000)
        );
        assert!(summary.raw > listed.bytes && listed.damages.is_empty());
        assert_eq!(
            archive
                .verify(name, &mut |damage| panic!("{damage}"))
                .unwrap(),
            Some(summary)
        );
    }
}

#[test]
fn a_later_file_of_a_day_is_read_over_the_earlier_one() {
    let (disk, archive) = three_days();
    let of = Identity {
        store: 1,
        period: 20_001,
        part: 2,
    };
    let mut writer = Writer::begin(disk.folder("archive"), of).unwrap();
    let ts = 20_001 * DAY_MS + 60_000;
    let value = encode(&message(ts, "it was edited", false));
    writer.add(&key_of(1, 10), Some(&value), Some(ts)).unwrap();
    writer.add(&key_of(1, 11), None, None).unwrap();
    assert_eq!(writer.finish().unwrap().unwrap(), "2024-10-05.2.yza");
    let query = |text: &str| Query {
        conversation: Some(1),
        ts: ts..=ts + 100_000,
        text: Some(Needle::new(text)),
        ..Query::default()
    };
    assert_eq!(found(&archive, &query("edited"), usize::MAX), [(1, 10)]);
    assert_eq!(found(&archive, &query("word"), usize::MAX), []);
    let listed = archive.list(archive.names().unwrap()[2]).unwrap();
    assert_eq!(
        listed.summary.map(|s| (s.messages, s.removals)),
        Some((1, 1))
    );
}

#[test]
fn a_file_without_entries_is_none() {
    let disk = Disk::with(State::default());
    let of = Identity {
        store: 1,
        period: 20_001,
        part: 1,
    };
    let writer = Writer::begin(disk.folder("archive"), of).unwrap();
    assert_eq!(writer.finish().unwrap(), None);
    assert!(disk.files().is_empty());
}
