//! What every engine promises.

use yizhan::store::{BATCH_MAX, Batch, Engine};

use super::house::House;

fn put(engine: &dyn Engine, key: &str, value: &str) {
    let mut batch = Batch::default();
    batch.put(key.into(), value.into());
    engine.apply(batch).unwrap();
}

fn found(engine: &dyn Engine, key: &str) -> Option<String> {
    let value = engine.get(key.as_bytes()).unwrap()?;
    Some(String::from_utf8(value).unwrap())
}

/// The keys from `from` to `to`, at most `limit` of them.
fn keys(engine: &dyn Engine, from: &str, to: &str, limit: usize) -> Vec<String> {
    let mut keys = Vec::new();
    engine
        .scan(from.as_bytes(), to.as_bytes(), &mut |key, value| {
            assert_eq!(engine_value(key), value);
            keys.push(String::from_utf8(key.to_vec()).unwrap());
            keys.len() < limit
        })
        .unwrap();
    keys
}

fn engine_value(key: &[u8]) -> Vec<u8> {
    [b"value of ", key].concat()
}

fn filled<H: House>(keys: &[&str]) -> H {
    let house = H::build();
    for key in keys {
        put(&*house.engine(), key, &format!("value of {key}"));
    }
    house
}

pub(crate) fn what_is_put_can_be_had_until_it_is_deleted<H: House>() {
    let house = H::build();
    let engine = house.engine();
    assert_eq!(found(&*engine, "k"), None);
    put(&*engine, "k", "one");
    assert_eq!(found(&*engine, "k").as_deref(), Some("one"));
    put(&*engine, "k", "two");
    assert_eq!(found(&*engine, "k").as_deref(), Some("two"));
    let mut batch = Batch::default();
    batch.delete(b"k".to_vec());
    batch.delete(b"never there".to_vec());
    engine.apply(batch).unwrap();
    assert_eq!(found(&*engine, "k"), None);
}

pub(crate) fn a_batch_is_visible_as_soon_as_it_is_applied<H: House>() {
    let house: H = filled(&["gone"]);
    let engine = house.engine();
    let mut batch = Batch::default();
    batch.put(b"a".to_vec(), engine_value(b"a"));
    batch.put(b"b".to_vec(), engine_value(b"b"));
    batch.delete(b"gone".to_vec());
    engine.apply(batch).unwrap();
    assert_eq!(keys(&*engine, "a", "z", usize::MAX), ["a", "b"]);
}

pub(crate) fn the_latest_write_of_a_batch_wins<H: House>() {
    let house: H = filled(&["d"]);
    let engine = house.engine();
    let mut batch = Batch::default();
    batch.put(b"k".to_vec(), b"first".to_vec());
    batch.put(b"k".to_vec(), b"last".to_vec());
    batch.put(b"d".to_vec(), b"for a moment".to_vec());
    batch.delete(b"d".to_vec());
    batch.delete(b"r".to_vec());
    batch.put(b"r".to_vec(), b"returned".to_vec());
    assert_eq!(batch.len(), 3);
    assert_eq!(batch.find(b"k"), Some(Some(&b"last"[..])));
    assert_eq!(batch.find(b"d"), Some(None));
    assert_eq!(batch.find(b"untouched"), None);
    engine.apply(batch).unwrap();
    assert_eq!(found(&*engine, "k").as_deref(), Some("last"));
    assert_eq!(found(&*engine, "d"), None);
    assert_eq!(found(&*engine, "r").as_deref(), Some("returned"));
}

pub(crate) fn a_scan_is_ordered_and_includes_both_ends<H: House>() {
    let house: H = filled(&["c", "a", "ba", "d", "b"]);
    let engine = house.engine();
    assert_eq!(keys(&*engine, "a", "c", usize::MAX), ["a", "b", "ba", "c"]);
    assert_eq!(keys(&*engine, "b", "b", usize::MAX), ["b"]);
    assert_eq!(keys(&*engine, "bb", "cz", usize::MAX), ["c"]);
    assert!(keys(&*engine, "e", "z", usize::MAX).is_empty());
}

pub(crate) fn a_scan_stops_when_it_is_told_to<H: House>() {
    let house: H = filled(&["a", "b", "c"]);
    assert_eq!(keys(&*house.engine(), "a", "c", 1), ["a"]);
    assert_eq!(keys(&*house.engine(), "a", "c", 2), ["a", "b"]);
}

pub(crate) fn a_scan_from_above_its_end_is_empty<H: House>() {
    let house: H = filled(&["a", "b", "c"]);
    assert!(keys(&*house.engine(), "c", "a", usize::MAX).is_empty());
}

pub(crate) fn a_batch_of_256_is_taken<H: House>() {
    let mut house = H::build();
    let mut batch = Batch::default();
    for n in 0..BATCH_MAX {
        let key = format!("{n:03}");
        batch.put(key.clone().into(), engine_value(key.as_bytes()));
    }
    assert_eq!(batch.len(), 256);
    house.engine().apply(batch).unwrap();
    house.engine().flush().unwrap();
    house.restart();
    assert_eq!(keys(&*house.engine(), "0", "9", usize::MAX).len(), 256);
}

pub(crate) fn values_of_300_kilobytes_come_back_whole<H: House>() {
    let mut house = H::build();
    let large = |seed| {
        let mut rng = fastrand::Rng::with_seed(seed);
        (0..300_000).map(|_| rng.u8(..)).collect::<Vec<u8>>()
    };
    for n in 0..4u8 {
        let mut batch = Batch::default();
        batch.put(vec![n], large(n.into()));
        batch.put(vec![n, n], large(u64::from(n) + 100));
        house.engine().apply(batch).unwrap();
    }
    house.engine().flush().unwrap();
    house.restart();
    for n in 0..4u8 {
        assert!(house.engine().get(&[n]).unwrap() == Some(large(n.into())));
        let second = large(u64::from(n) + 100);
        assert!(house.engine().get(&[n, n]).unwrap() == Some(second));
    }
}

pub(crate) fn what_was_flushed_is_there_after_a_reopen<H: House>() {
    let house: H = filled(&["a", "b"]);
    let engine = house.engine();
    let mut batch = Batch::default();
    batch.delete(b"b".to_vec());
    engine.apply(batch).unwrap();
    engine.flush().unwrap();
    engine.reopen().unwrap();
    assert_eq!(keys(&*engine, "a", "z", usize::MAX), ["a"]);
}

pub(crate) fn what_was_flushed_is_there_after_a_restart<H: House>() {
    let mut house: H = filled(&["a", "b", "c"]);
    house.engine().flush().unwrap();
    for _ in 0..3 {
        house.restart();
        let there = keys(&*house.engine(), "a", "z", usize::MAX);
        assert_eq!(there, ["a", "b", "c"]);
    }
}

pub(crate) fn a_reopened_engine_takes_writes_again<H: House>() {
    let mut house: H = filled(&["a"]);
    house.engine().flush().unwrap();
    house.engine().reopen().unwrap();
    put(&*house.engine(), "b", "value of b");
    house.engine().flush().unwrap();
    house.restart();
    let there = keys(&*house.engine(), "a", "z", usize::MAX);
    assert_eq!(there, ["a", "b"]);
}
