//! What people do to each other's inboxes and lists, over any engine.

use std::collections::BTreeSet;

use yizhan::id::Uid;
use yizhan::message::chat::{Amendment, By, Chat};
use yizhan::message::contact::{ContactOrder, Tie};
use yizhan::message::look::{Chats, Found, Look};
use yizhan::message::{Answer, Op, Refusal, digest};
use yizhan::store::ledger::{News, People, Policy, found};
use yizhan::store::record;

use super::desk::{ALICE, BOB, CAROL, Desk, POLICY, ROOMY, START, did, id, send};
use super::house::House;

const FULL: u64 = POLICY.bounds.max_messages;

/// Three of everything that a user may have.
const FEW: Policy = Policy {
    people: People {
        max_contacts: 3,
        ..People::DEFAULT
    },
    ..POLICY
};

fn edit(from: Uid, to: Uid, name: &str, target: &str) -> Op {
    let payload = format!("\"{name}\"");
    Op::Amend {
        by: By {
            uid: from,
            did: None,
        },
        chat: Chat::User(to),
        amendment: Amendment::Edit {
            id: id(name),
            target: id(target),
            digest: digest(target, &payload),
            payload: payload.into(),
        },
    }
}

fn order(uid: Uid, other: Uid, order: ContactOrder) -> Op {
    Op::Contact { uid, other, order }
}

fn ask(uid: Uid, other: Uid) -> Op {
    order(uid, other, ContactOrder::Ask { text: None })
}

fn expiry(by: Uid, with: Uid, expire_ms: u64) -> Op {
    Op::SetExpiry {
        by,
        chat: Chat::User(with),
        expire_ms,
    }
}

fn is_forbidden(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused(Refusal::Forbidden(_)))
}

pub(crate) fn changes_do_not_fill_an_inbox_beyond_its_bound<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(FULL - 2);
    let mut lagging = BTreeSet::new();
    for n in 0..20 {
        let done = desk.commit(&[edit(ALICE, BOB, &format!("e{n}"), "m1")]);
        assert!(matches!(done.answers[..], [Answer::Amended(_)]), "{done:?}");
        lagging.extend(done.news.into_iter().filter_map(|news| match news {
            News::Lagging { uid, did } => Some((uid, did)),
            _ => None,
        }));
    }
    assert_eq!((desk.head(BOB), desk.rows(BOB).len() as u64), (FULL, FULL));
    // It finds the latest payload in the history, and is told to look.
    assert_eq!(lagging, BTreeSet::from([(BOB, did("phone"))]));
}

pub(crate) fn a_full_inbox_takes_no_notice_and_nothing_is_changed<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.fill(FULL);
    let chats = desk.keys(record::CHAT);
    for op in [
        ask(CAROL, BOB),
        expiry(ALICE, BOB, 60_000),
        expiry(CAROL, BOB, 60_000),
    ] {
        let answer = desk.ask(op);
        assert!(
            matches!(answer, Answer::Refused(Refusal::InboxFull)),
            "{answer:?}"
        );
    }
    let kept = (desk.keys(record::RELATION), desk.keys(record::CHAT));
    assert_eq!(kept, (0, chats));
    assert_eq!(desk.head(BOB), FULL);
    desk.comes(BOB, "phone");
    desk.acks(BOB, "phone", &[1, 2]);
    assert!(matches!(desk.ask(ask(CAROL, BOB)), Answer::Contact(_)));
    let answer = desk.ask(expiry(ALICE, BOB, 60_000));
    assert!(matches!(answer, Answer::Done), "{answer:?}");
}

pub(crate) fn whoever_asks_again_with_other_words_is_no_news<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    for text in ["one", "two", "one", "two"] {
        let text = Some(text.into());
        let asked = desk.ask(order(ALICE, BOB, ContactOrder::Ask { text }));
        assert!(matches!(asked, Answer::Contact(_)), "{asked:?}");
    }
    assert_eq!(desk.head(BOB), 1);
    let Answer::Contact(view) = desk.ask(order(BOB, ALICE, ContactOrder::Unblock)) else {
        panic!("no contact");
    };
    assert_eq!(
        (view.tie, view.text.as_deref()),
        (Some(Tie::Pending), Some("two"))
    );
}

pub(crate) fn strangers_who_ask_keep_nobody_from_blocking_and_agreeing<H: House>() {
    let mut desk = Desk::<H>::open(FEW);
    for stranger in 1000..1003 {
        let asked = desk.ask(ask(Uid(stranger), BOB));
        assert!(matches!(asked, Answer::Contact(_)), "{asked:?}");
    }
    // As many wait for Bob's answer as may.
    assert!(is_forbidden(&desk.ask(ask(Uid(1003), BOB))));
    let blocked = desk.ask(order(BOB, Uid(2000), ContactOrder::Block));
    assert!(matches!(blocked, Answer::Contact(_)), "{blocked:?}");
    for friend in 3000..3002 {
        let asked = desk.ask(ask(BOB, Uid(friend)));
        assert!(matches!(asked, Answer::Contact(_)), "{asked:?}");
    }
    let confirmed = desk.ask(order(BOB, Uid(1000), ContactOrder::Confirm));
    assert!(matches!(confirmed, Answer::Contact(_)), "{confirmed:?}");
    // Bob's own ties are three by now, and two others still wait.
    assert!(is_forbidden(&desk.ask(ask(BOB, Uid(3002)))));
    let confirm = order(BOB, Uid(1001), ContactOrder::Confirm);
    assert!(is_forbidden(&desk.ask(confirm)));
    let asked = desk.ask(ask(Uid(1003), BOB));
    assert!(matches!(asked, Answer::Contact(_)), "{asked:?}");
    // Whoever is blocked waits for no answer.
    for stranger in [1001, 1002] {
        let blocked = desk.ask(order(BOB, Uid(stranger), ContactOrder::Block));
        assert!(matches!(blocked, Answer::Contact(_)), "{blocked:?}");
    }
    let asked = desk.ask(ask(Uid(1004), BOB));
    assert!(matches!(asked, Answer::Contact(_)), "{asked:?}");
    // His own blocks have a bound as well.
    let fourth = order(BOB, Uid(2001), ContactOrder::Block);
    assert!(is_forbidden(&desk.ask(fourth)));
}

fn chats(desk: &Desk<impl House>, before: Option<u64>, max_bytes: usize) -> Chats {
    let look = Look::Chats {
        uid: BOB,
        before,
        limit: 7,
        max_bytes,
    };
    match found(&*desk.engine(), &look, desk.now, 0, 0) {
        Ok(Found::Chats(chats)) => chats,
        found => panic!("no list: {found:?}"),
    }
}

pub(crate) fn conversations_of_one_millisecond_are_listed_in_pages_too<H: House>() {
    let mut desk = Desk::<H>::open(ROOMY);
    desk.accepts(Uid(999), BOB, "m1", "hello");
    desk.now += 1;
    let ops: Vec<Op> = (1000..1040)
        .map(|from| send(Uid(from), BOB, "m1", &"x".repeat(1000)))
        .collect();
    desk.commit(&ops);
    desk.now += 1;
    desk.accepts(Uid(2000), BOB, "m1", "hello");
    for (max_bytes, most) in [(1 << 20, 7), (4000, 3), (0, 1)] {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let page = chats(&desk, before, max_bytes);
            assert!((1..=most).contains(&page.chats.len()), "{page:?}");
            listed.extend(page.chats.iter().filter_map(|of| of.chat.user()));
            if !page.more {
                break;
            }
            // Doubles hold it.
            assert!(page.next < 1 << 53);
            before = Some(page.next);
            // One that was shown has another message: the others are where they were.
            if listed.len() == 7 {
                let again = format!("m{}", desk.now);
                desk.accepts(listed[3], BOB, &again, "hello again");
            }
        }
        let all: BTreeSet<Uid> = listed.iter().copied().collect();
        assert_eq!((listed.len(), all.len()), (42, 42));
        desk.now += 1;
    }
    // A time is a time, and a number above them all is the beginning.
    assert_eq!(chats(&desk, Some(START + 1), 1 << 20).chats.len(), 1);
    let first = chats(&desk, None, 1 << 20);
    for number in [u64::MAX, (1 << 53) - 1, 1 << 51] {
        assert_eq!(chats(&desk, Some(number), 1 << 20), first);
    }
}
