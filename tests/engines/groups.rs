//! Groups, as the commits see them: who is told of a change, who counts, and what a crash leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use yizhan::id::{Cid, Seq, Uid};
use yizhan::machine::conversation::Conversation;
use yizhan::machine::group::Member;
use yizhan::message::chat::{Amendment, By, Chat};
use yizhan::message::group::{Joining, Order};
use yizhan::message::{Accepted, Answer, Draft, Op, Read, Refusal, State, Target, What, digest};
use yizhan::store::ledger::{Committed, Ledger, News, People, Policy, prepare};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch, Engine, EngineError, record};

use super::desk::{ALICE, BOB, CAROL, POLICY, ROOMY, START, ack, id, send, table_of};
use super::house::Memory;

type Desk = super::desk::Desk<Memory>;

/// The most that a group may have at once without a task.
const FEW: u64 = 64;

fn crowd(members: u64) -> Vec<Uid> {
    (0..members).map(|n| Uid(1_000_000 + n)).collect()
}

fn order(by: Uid, gid: Cid, order: Order) -> Op {
    Op::Group { by, gid, order }
}

fn founding(by: Uid, name: &str, members: &[Uid]) -> Op {
    let create = Order::Create {
        id: id(name),
        name: name.into(),
        members: members.to_vec(),
        joining: Joining::Invited,
    };
    order(by, Cid(0), create)
}

fn found(desk: &mut Desk, by: Uid, name: &str, members: &[Uid]) -> Cid {
    let gid = match desk.ask(founding(by, name, members)) {
        Answer::Group(group) => group.gid,
        answer => panic!("{name} was not founded: {answer:?}"),
    };
    desk.fan_out();
    gid
}

fn says(from: Uid, gid: Cid, name: &str, expires_at: Option<u64>) -> Op {
    let draft = Draft {
        id: id(name),
        to: Chat::Group(gid),
        payload: "{}".into(),
        created_at: None,
        expires_at,
    };
    Op::Append(draft.signed_by(from, None))
}

fn said(desk: &mut Desk, from: Uid, gid: Cid, name: &str) -> Accepted {
    match desk.ask(says(from, gid, name, None)) {
        Answer::Accepted(accepted) => accepted,
        answer => panic!("{name} was not accepted: {answer:?}"),
    }
}

fn amendment(by: Uid, gid: Cid, amendment: Amendment) -> Op {
    Op::Amend {
        by: By { uid: by, did: None },
        chat: Chat::Group(gid),
        amendment,
    }
}

fn edit(by: Uid, gid: Cid, target: &str) -> Op {
    let payload = r#"{"text":"changed"}"#;
    let edit = Amendment::Edit {
        id: id(&format!("{target}-edit")),
        target: id(target),
        payload: payload.into(),
        digest: digest(target, payload),
    };
    amendment(by, gid, edit)
}

fn revocation(by: Uid, gid: Cid, target: &str) -> Op {
    amendment(by, gid, Amendment::Revoke { id: id(target) })
}

/// Of what changes somebody is told, by the message.
fn changes(desk: &Desk, uid: Uid) -> Vec<(String, &'static str)> {
    let read = Read {
        uid,
        from: 1,
        to: Seq::MAX,
        limit: usize::MAX,
        max_bytes: usize::MAX,
    };
    let rows = desk.page(read).rows.into_iter();
    let changes = rows.filter_map(|row| {
        let what = match row.what {
            What::Edit(_) => "edit",
            What::Revoke => "revoke",
            _ => return None,
        };
        Some((row.message.id.to_string(), what))
    });
    changes.collect()
}

fn status(from: Uid, gid: Cid, name: &str) -> Op {
    let of = vec![Target {
        to: Chat::Group(gid),
        id: id(name),
    }];
    Op::Status { from, of }
}

fn state(desk: &mut Desk, from: Uid, gid: Cid, name: &str) -> (State, u64) {
    match desk.ask(status(from, gid, name)) {
        Answer::Status(states) => (states[0].1, states[0].2),
        answer => panic!("no state of {name}: {answer:?}"),
    }
}

fn counts(done: &Committed) -> Vec<(String, u64)> {
    let counts = done.news.iter().filter_map(|news| match news {
        News::Counted(counted) => Some((counted.id.to_string(), counted.count)),
        _ => None,
    });
    counts.collect()
}

/// The counts that are told when somebody takes a message.
fn told(desk: &mut Desk, uid: Uid, name: &str) -> Vec<u64> {
    let counts = counts(&takes(desk, uid, name)).into_iter();
    let of = counts.filter(|(id, _)| id == name);
    of.map(|(_, count)| count).collect()
}

/// The row that tells of this message.
fn row_of(desk: &Desk, uid: Uid, name: &str) -> Seq {
    let mut rows = desk.rows(uid).into_iter();
    let row = rows.find(|(_, id)| id == name);
    row.unwrap_or_else(|| panic!("{name} does not wait for {uid}"))
        .0
}

fn takes(desk: &mut Desk, uid: Uid, name: &str) -> Committed {
    let seq = row_of(desk, uid, name);
    desk.commit(&[ack(uid, "phone", &[seq])])
}

fn takes_all(desk: &mut Desk, uid: Uid) {
    let seqs = desk.seqs(uid);
    desk.commit(&[ack(uid, "phone", &seqs)]);
}

fn member(engine: &dyn Engine, gid: Cid, uid: Uid) -> Option<Member> {
    let key = record::member_key(gid, uid);
    let found = engine.get(&key).unwrap();
    found.map(|bytes| record::decode(&key, &bytes).unwrap())
}

fn is_listed(engine: &dyn Engine, uid: Uid, gid: Cid) -> bool {
    engine.get(&record::list_key(uid, gid)).unwrap().is_some()
}

fn is_in(desk: &Desk, gid: Cid, uid: Uid) -> bool {
    member(&*desk.engine(), gid, uid).is_some_and(|member| member.is_in())
}

// ---- who is told of a change ----

#[test]
fn whoever_joins_is_told_of_no_change_to_what_was_said_before() {
    let mut desk = Desk::open(ROOMY);
    let gid = found(&mut desk, ALICE, "g", &[BOB]);
    said(&mut desk, ALICE, gid, "m1");
    said(&mut desk, ALICE, gid, "m2");
    desk.ask(order(ALICE, gid, Order::Invite(vec![CAROL])));
    said(&mut desk, ALICE, gid, "m3");
    for op in [
        edit(ALICE, gid, "m1"),
        revocation(ALICE, gid, "m2"),
        edit(ALICE, gid, "m3"),
    ] {
        assert!(matches!(desk.ask(op), Answer::Amended(_)));
    }
    let own = |name: &str, what| (name.to_string(), what);
    assert_eq!(changes(&desk, CAROL), [own("m3", "edit")]);
    let all = [own("m1", "edit"), own("m2", "revoke"), own("m3", "edit")];
    assert_eq!(changes(&desk, BOB), all);
}

#[test]
fn whoever_may_read_what_was_said_before_is_told_of_changes_to_it() {
    let people = People {
        history_before_join: true,
        ..ROOMY.people
    };
    let mut desk = Desk::open(Policy { people, ..ROOMY });
    let gid = found(&mut desk, ALICE, "g", &[BOB]);
    said(&mut desk, ALICE, gid, "m1");
    desk.ask(order(ALICE, gid, Order::Invite(vec![CAROL])));
    desk.ask(edit(ALICE, gid, "m1"));
    assert_eq!(changes(&desk, CAROL), [("m1".to_string(), "edit")]);
}

#[test]
fn whoever_is_removed_is_told_of_no_change_that_is_made_after_it() {
    for members in [2, FEW + 10] {
        let mut desk = Desk::open(ROOMY);
        let mut all = crowd(members);
        all.push(CAROL);
        let gid = found(&mut desk, ALICE, "g", &all);
        for name in ["m1", "m2", "m3"] {
            said(&mut desk, ALICE, gid, name);
        }
        // In a large group all of this is on its way at once.
        desk.commit(&[
            edit(ALICE, gid, "m1"),
            order(ALICE, gid, Order::Remove(CAROL)),
            edit(ALICE, gid, "m2"),
            revocation(ALICE, gid, "m3"),
        ]);
        desk.fan_out();
        assert_eq!(changes(&desk, CAROL), [("m1".to_string(), "edit")]);
        assert_eq!(changes(&desk, all[0]).len(), 3);
    }
}

// ---- the end of a group ----

#[test]
fn a_group_that_was_dissolved_is_left_by_everybody_and_counts_for_nobody() {
    let people = People {
        max_groups: 2,
        ..ROOMY.people
    };
    for members in [1, FEW + 10] {
        let mut desk = Desk::open(Policy { people, ..ROOMY });
        let mut gids = Vec::new();
        for name in ["g1", "g2", "g3"] {
            let mut named = crowd(members);
            named.push(BOB);
            let gid = found(&mut desk, ALICE, name, &named);
            assert!(is_in(&desk, gid, BOB), "{name}");
            desk.ask(order(ALICE, gid, Order::Dissolve));
            desk.fan_out();
            gids.push(gid);
        }
        for name in ["g4", "g5"] {
            let gid = found(&mut desk, CAROL, name, &[BOB]);
            assert!(is_in(&desk, gid, BOB));
        }
        let full = found(&mut desk, Uid(7), "g6", &[]);
        let invited = desk.ask(order(Uid(7), full, Order::Invite(vec![BOB])));
        assert!(!is_in(&desk, full, BOB), "{invited:?}");

        let gid = gids[0];
        let head = desk.head(ALICE);
        for uid in [BOB, ALICE] {
            assert!(is_listed(&*desk.engine(), uid, gid));
            assert_eq!(desk.ask(order(uid, gid, Order::Leave)), Answer::Done);
            assert!(!is_listed(&*desk.engine(), uid, gid));
            assert!(!is_in(&desk, gid, uid));
        }
        assert_eq!(desk.head(ALICE), head, "nobody hears of it");
        let again = desk.ask(order(BOB, gid, Order::Leave));
        assert!(matches!(again, Answer::Refused(Refusal::Forbidden(_))));
    }
}

#[test]
fn a_crash_leaves_no_group_that_its_last_member_has_ended_and_not_left() {
    for before in 0..120 {
        let story = || {
            let engine = Arc::new(MemoryEngine::new());
            prepare(&*engine).unwrap();
            let mut ledger = Ledger::new(engine.clone(), ROOMY);
            let group = founding(ALICE, "g", &[]);
            let Answer::Group(group) = ledger.commit(START, [&group]).unwrap().answers.remove(0)
            else {
                panic!("no group");
            };
            engine.flush().unwrap();
            let mut ops: Vec<Op> = (0..before)
                .map(|n| send(BOB, CAROL, &format!("m{n}"), "hello"))
                .collect();
            ops.push(order(ALICE, group.gid, Order::Leave));
            ledger.commit(START, &ops).unwrap();
            (engine, group.gid)
        };
        let batches = story().0.unflushed();
        for kept in 0..=batches {
            let (engine, gid) = story();
            engine.crash(kept);
            let key = record::chat_key(gid);
            let chat: Conversation =
                record::decode(&key, &engine.get(&key).unwrap().unwrap()).unwrap();
            let is_over = chat.group().unwrap().dissolved;
            assert_ne!(is_over, is_listed(&*engine, ALICE, gid), "{before}, {kept}");
        }
    }
}

// ---- how much is kept of who has what ----

#[test]
fn what_a_member_has_stays_whole_whoever_writes() {
    let mut desk = Desk::open(ROOMY);
    let gid = found(&mut desk, ALICE, "g", &[BOB]);
    for uid in [ALICE, BOB] {
        desk.comes(uid, "phone");
    }
    for n in 0..20 {
        said(&mut desk, ALICE, gid, &format!("a{n}"));
        said(&mut desk, BOB, gid, &format!("b{n}"));
        let rename = Order::Update {
            name: Some(format!("g{n}").into()),
            joining: None,
            muted: None,
        };
        desk.ask(order(ALICE, gid, rename));
        for uid in [ALICE, BOB] {
            takes_all(&mut desk, uid);
        }
    }
    for uid in [ALICE, BOB] {
        let got = member(&*desk.engine(), gid, uid).unwrap().got;
        assert_eq!(got.iter().count(), 1, "{got:?}");
    }
    assert_eq!(state(&mut desk, ALICE, gid, "a7"), (State::Delivered, 1));
    assert_eq!(state(&mut desk, BOB, gid, "b7"), (State::Delivered, 1));
}

#[test]
fn a_member_who_takes_every_other_message_is_remembered_within_bounds() {
    let mut desk = Desk::open(ROOMY);
    let gid = found(&mut desk, ALICE, "g", &[BOB]);
    desk.comes(BOB, "phone");
    for n in 0..700 {
        said(&mut desk, ALICE, gid, &format!("m{n}"));
        if n % 2 == 0 {
            takes(&mut desk, BOB, &format!("m{n}"));
        }
    }
    let got = member(&*desk.engine(), gid, BOB).unwrap().got;
    assert_eq!(got.iter().count(), 256);
    // What lies between two places that are had may count as had, and the state goes by what was taken.
    assert_eq!(state(&mut desk, ALICE, gid, "m1"), (State::Accepted, 0));
    assert_eq!(state(&mut desk, ALICE, gid, "m699"), (State::Accepted, 0));
    for name in ["m0", "m400", "m698"] {
        assert_eq!(state(&mut desk, ALICE, gid, name), (State::Delivered, 1));
    }
}

// ---- how many have a message ----

#[test]
fn a_count_goes_with_those_who_leave_and_the_state_stays() {
    let mut desk = Desk::open(ROOMY);
    let gid = found(&mut desk, ALICE, "g", &[BOB, CAROL]);
    for uid in [BOB, CAROL] {
        desk.comes(uid, "phone");
    }
    said(&mut desk, ALICE, gid, "both");
    said(&mut desk, ALICE, gid, "bobs");
    takes(&mut desk, BOB, "both");
    assert_eq!(told(&mut desk, CAROL, "both"), [2]);
    takes(&mut desk, BOB, "bobs");
    desk.ask(order(BOB, gid, Order::Leave));
    for _ in ["before a restart", "after it"] {
        let states = ["both", "bobs"].map(|name| state(&mut desk, ALICE, gid, name));
        assert_eq!(states, [(State::Delivered, 1), (State::Delivered, 0)]);
        desk.restart();
    }
    desk.now += ROOMY.ttl_ms;
    desk.sweep();
    assert_eq!(state(&mut desk, ALICE, gid, "bobs"), (State::Delivered, 0));
    // Who comes again has what they take from then on.
    desk.ask(order(ALICE, gid, Order::Invite(vec![BOB])));
    said(&mut desk, ALICE, gid, "again");
    assert_eq!(told(&mut desk, BOB, "again"), [1]);
    desk.restart();
    assert_eq!(state(&mut desk, ALICE, gid, "again"), (State::Delivered, 1));
}

#[test]
fn an_old_message_of_a_large_group_is_counted_when_it_is_asked_for() {
    let mut desk = Desk::open(ROOMY);
    let mut members = crowd(FEW);
    members.extend([BOB, CAROL]);
    let gid = found(&mut desk, ALICE, "g", &members);
    for uid in [BOB, CAROL] {
        desk.comes(uid, "phone");
    }
    for n in 0..1100 {
        said(&mut desk, ALICE, gid, &format!("m{n}"));
    }
    desk.fan_out();
    assert_eq!(state(&mut desk, ALICE, gid, "m3"), (State::Accepted, 0));
    assert_eq!(told(&mut desk, BOB, "m3"), [0; 0]);
    assert_eq!(state(&mut desk, ALICE, gid, "m3"), (State::Delivered, 1));
    desk.restart();
    assert_eq!(told(&mut desk, CAROL, "m3"), [0; 0]);
    assert_eq!(state(&mut desk, ALICE, gid, "m3"), (State::Delivered, 2));
    assert_eq!(told(&mut desk, BOB, "m1000"), [1]);
    desk.restart();
    assert_eq!(told(&mut desk, CAROL, "m1000"), [2]);
    let repeat = said(&mut desk, ALICE, gid, "m3");
    let told = (repeat.repeat, repeat.state, repeat.count);
    assert_eq!(told, (true, State::Delivered, 2));
}

#[test]
fn of_a_small_group_every_count_is_told_however_old_the_message_is() {
    let mut desk = Desk::open(ROOMY);
    let gid = found(&mut desk, ALICE, "g", &[BOB, CAROL]);
    for uid in [BOB, CAROL] {
        desk.comes(uid, "phone");
    }
    for n in 0..1100 {
        said(&mut desk, ALICE, gid, &format!("m{n}"));
    }
    assert_eq!(told(&mut desk, BOB, "m3"), [1]);
    desk.restart();
    assert_eq!(told(&mut desk, CAROL, "m3"), [2]);
}

#[test]
fn questions_for_old_messages_of_groups_take_a_commit_no_longer_than_others() {
    let mut desk = Desk::open(ROOMY);
    let gid = found(&mut desk, ALICE, "g", &crowd(500));
    let reader = crowd(1)[0];
    desk.comes(reader, "phone");
    said(&mut desk, ALICE, gid, "old");
    desk.fan_out();
    takes(&mut desk, reader, "old");
    for n in 0..1100 {
        said(&mut desk, ALICE, gid, &format!("m{n}"));
    }
    desk.fan_out();
    let questions = vec![status(ALICE, gid, "old"); 1024];
    let answers = desk.commit(&questions).answers;
    let answered = answers.iter().filter(|answer| match answer {
        Answer::Status(states) => {
            assert_eq!((states[0].1, states[0].2), (State::Delivered, 1));
            true
        }
        Answer::Refused(Refusal::Busy) => false,
        answer => panic!("{answer:?}"),
    });
    let answered = answered.count();
    assert!((100..1000).contains(&answered), "{answered} were answered");
    // Nobody is refused for long.
    assert_eq!(state(&mut desk, ALICE, gid, "old"), (State::Delivered, 1));
}

#[test]
fn a_message_that_nobody_took_in_time_is_expired_whenever_the_server_dies() {
    let story = || {
        let engine = Arc::new(MemoryEngine::new());
        prepare(&*engine).unwrap();
        let mut ledger = Ledger::new(engine.clone(), ROOMY);
        let group = founding(ALICE, "g", &[BOB]);
        let Answer::Group(group) = ledger.commit(START, [&group]).unwrap().answers.remove(0) else {
            panic!("no group");
        };
        let gid = group.gid;
        let message = says(ALICE, gid, "m1", Some(START + 100));
        ledger.commit(START, [&message]).unwrap();
        engine.flush().unwrap();
        // The members have to be read anew.
        let mut ledger = Ledger::new(engine.clone(), ROOMY);
        ledger.commit(START + 100, [&Op::Sweep]).unwrap();
        (engine, gid)
    };
    let batches = story().0.unflushed();
    assert!(batches > 0);
    for kept in 0..=batches {
        let (engine, gid) = story();
        engine.crash(kept);
        let mut ledger = Ledger::new(engine.clone(), ROOMY);
        let question = status(ALICE, gid, "m1");
        let done = ledger.commit(START + 100, [&Op::Sweep, &question]).unwrap();
        let Answer::Status(states) = &done.answers[1] else {
            panic!("{:?}", done.answers);
        };
        assert_eq!((states[0].1, states[0].2), (State::Expired, 0), "{kept}");
    }
}

// ---- how many groups somebody is in ----

#[test]
fn groups_that_are_founded_in_one_commit_count_there() {
    let people = People {
        max_groups: 2,
        ..ROOMY.people
    };
    let mut desk = Desk::open(Policy { people, ..ROOMY });
    let names = ["g1", "g2", "g3"];
    let founders = [ALICE, CAROL, Uid(7)];
    let ops: Vec<Op> = (0..3)
        .map(|n| founding(founders[n], names[n], &[BOB]))
        .collect();
    let answers = desk.commit(&ops).answers;
    let members: Vec<u64> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Group(group) => group.members,
            answer => panic!("{answer:?}"),
        })
        .collect();
    assert_eq!(members, [2, 2, 1]);
    // Whoever leaves one has room for another, in the same commit.
    let (first, third) = (Cid(1), Cid(3));
    desk.commit(&[
        order(BOB, first, Order::Leave),
        order(founders[2], third, Order::Invite(vec![BOB])),
    ]);
    assert!(is_in(&desk, third, BOB));
}

/// Counts the entries that scans look at.
struct Counting {
    engine: MemoryEngine,
    seen: AtomicUsize,
}

impl Engine for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.engine.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        self.engine.scan(from, to, &mut |key, value| {
            self.seen.fetch_add(1, Ordering::Relaxed);
            visit(key, value)
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.engine.apply(batch)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.engine.flush()
    }

    fn reopen(&self) -> Result<(), EngineError> {
        self.engine.reopen()
    }

    fn forgets_dedupe(&self) -> bool {
        self.engine.forgets_dedupe()
    }

    fn keeps_history(&self) -> bool {
        self.engine.keeps_history()
    }
}

#[test]
fn an_invitation_looks_at_nobodys_conversations_but_groups() {
    let engine = Arc::new(Counting {
        engine: MemoryEngine::new(),
        seen: AtomicUsize::new(0),
    });
    prepare(&*engine).unwrap();
    let mut ledger = Ledger::new(engine.clone(), ROOMY);
    let mut ops: Vec<Op> = (0..500)
        .map(|n| send(BOB, Uid(5000 + n), "m1", "hello"))
        .collect();
    ops.push(founding(ALICE, "g", &[CAROL]));
    ledger.commit(START, &ops).unwrap();
    let invitation = order(ALICE, Cid(501), Order::Invite(vec![BOB]));
    engine.seen.store(0, Ordering::Relaxed);
    let done = ledger.commit(START, [&invitation]).unwrap();
    let Answer::Invited(invited) = &done.answers[0] else {
        panic!("{:?}", done.answers);
    };
    assert_eq!(invited.added, [BOB]);
    let seen = engine.seen.load(Ordering::Relaxed);
    assert!(seen < 50, "{seen} entries were looked at");
}

// ---- a full inbox ----

#[test]
fn rows_that_tell_of_nothing_make_room_in_a_full_inbox() {
    let mut desk = Desk::open(POLICY);
    desk.comes(BOB, "phone");
    let gid = found(&mut desk, ALICE, "g", &[BOB]);
    takes_all(&mut desk, BOB);
    for n in 0..4 {
        let at = Some(START + 100);
        let accepted = desk.ask(says(ALICE, gid, &format!("over{n}"), at));
        assert!(matches!(accepted, Answer::Accepted(_)));
    }
    for n in 0..3 {
        said(&mut desk, ALICE, gid, &format!("taken{n}"));
        desk.ask(edit(ALICE, gid, &format!("taken{n}")));
    }
    assert_eq!(desk.refuses(CAROL, BOB, "m1", "hello"), Refusal::InboxFull);
    for n in 0..3 {
        desk.ask(revocation(ALICE, gid, &format!("taken{n}")));
    }
    desk.now += 1000;
    desk.sweep();
    let table = table_of(&*desk.engine(), record::INBOX).len();
    assert_eq!(table, 14, "they wait for a device to look at them");
    let mut accepted = BTreeMap::new();
    for n in 2..12 {
        let name = format!("m{n}");
        let answer = desk.ask(send(CAROL, BOB, &name, "hello"));
        accepted.insert(n, matches!(answer, Answer::Accepted(_)));
    }
    // Three revocations are left, and seven messages.
    assert_eq!(accepted.values().filter(|is_in| **is_in).count(), 7);
    assert!(accepted[&2] && accepted[&8] && !accepted[&9]);
    assert_eq!(changes(&desk, BOB).len(), 3);
}
