//! Pages of an inbox, over any engine.

use yizhan::id::Seq;
use yizhan::message::chat::Chat;
use yizhan::message::{Page, Read};
use yizhan::store::ledger::read_page;

use super::desk::{ALICE, BOB, CAROL, Desk, POLICY, ROOMY, START};
use super::house::House;

const ALL: Read = Read {
    uid: BOB,
    from: 1,
    to: 100,
    limit: 100,
    max_bytes: usize::MAX,
};

fn seqs(page: &Page) -> Vec<Seq> {
    page.rows.iter().map(|row| row.seq).collect()
}

/// Room in a page for this many rows of this many payload bytes.
fn bytes(rows: usize, payload: usize) -> usize {
    rows * (payload + 512)
}

pub(crate) fn a_page_has_the_rows_asked_for_in_order<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.fill(6);
    let page = desk.page(Read {
        from: 2,
        to: 5,
        ..ALL
    });
    assert_eq!(seqs(&page), [2, 3, 4, 5]);
    assert_eq!(page.scanned_to, 5);
    let message = &page.rows[0].message;
    assert_eq!((message.from, message.to), (ALICE, Chat::User(BOB)));
    assert_eq!(message.id.as_str(), "m2");
    assert_eq!(&*message.payload, r#"{"text":"hello"}"#);
    assert_eq!(message.server_ts, START);
}

pub(crate) fn a_page_ends_at_its_limit_and_says_where<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.fill(5);
    let page = desk.page(Read { limit: 3, ..ALL });
    assert_eq!((seqs(&page), page.scanned_to), (vec![1, 2, 3], 3));
    let rest = desk.page(Read {
        from: page.scanned_to + 1,
        limit: 3,
        ..ALL
    });
    assert_eq!((seqs(&rest), rest.scanned_to), (vec![4, 5], 100));
}

pub(crate) fn a_page_passes_over_holes<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(9);
    desk.acks(BOB, "phone", &[1, 3, 4, 9]);
    let page = desk.page(Read { limit: 3, ..ALL });
    assert_eq!((seqs(&page), page.scanned_to), (vec![2, 5, 6], 6));
    let page = desk.page(Read {
        from: 3,
        to: 4,
        ..ALL
    });
    assert_eq!((seqs(&page), page.scanned_to), (vec![], 4));
    let page = desk.page(Read {
        from: 8,
        to: 9,
        ..ALL
    });
    assert_eq!((seqs(&page), page.scanned_to), (vec![8], 9));
}

pub(crate) fn a_page_ends_before_the_row_that_would_make_it_too_large<H: House>() {
    let mut desk = Desk::<H>::open(ROOMY);
    desk.comes(BOB, "phone");
    for n in 1..=6 {
        desk.accepts(ALICE, BOB, &format!("m{n}"), &"x".repeat(989));
    }
    desk.acks(BOB, "phone", &[3]);
    let read = |max_bytes| desk.page(Read { max_bytes, ..ALL });
    let page = read(bytes(3, 1_000));
    assert_eq!((seqs(&page), page.scanned_to), (vec![1, 2, 4], 4));
    let page = read(bytes(3, 1_000) - 1);
    assert_eq!(
        (seqs(&page), page.scanned_to),
        (vec![1, 2], 3),
        "the hole before the row that did not fit was looked at"
    );
}

pub(crate) fn a_page_has_one_row_however_large<H: House>() {
    let mut desk = Desk::<H>::open(ROOMY);
    desk.accepts(ALICE, BOB, "large", &"x".repeat(60_000));
    desk.accepts(ALICE, BOB, "small", "x");
    let page = desk.page(Read {
        max_bytes: 1,
        ..ALL
    });
    assert_eq!((seqs(&page), page.scanned_to), (vec![1], 1));
}

pub(crate) fn a_page_leaves_out_rows_that_are_too_old<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    for n in 1..=3 {
        desk.accepts(ALICE, BOB, &format!("m{n}"), "hello");
        desk.now += 1;
    }
    let page = |oldest| read_page(&*desk.engine(), &ALL, desk.now, oldest, None).unwrap();
    assert_eq!(seqs(&page(START - 1)), [1, 2, 3]);
    assert_eq!(seqs(&page(START)), [2, 3]);
    let none = page(START + 2);
    assert_eq!((seqs(&none), none.scanned_to), (vec![], 100));
}

pub(crate) fn a_page_of_an_empty_inbox_was_looked_through<H: House>() {
    let desk = Desk::<H>::open(POLICY);
    let page = desk.page(ALL);
    assert_eq!((seqs(&page), page.scanned_to), (vec![], 100));
}

pub(crate) fn a_page_never_shows_another_readers_rows<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.accepts(ALICE, CAROL, "m1", "hello");
    desk.accepts(BOB, ALICE, "m1", "hello");
    let page = desk.page(Read {
        from: 0,
        to: Seq::MAX,
        ..ALL
    });
    assert!(page.rows.is_empty());
}
