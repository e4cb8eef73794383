//! Who may come, in the order of the commits.

use yizhan::id::Uid;
use yizhan::machine::access::{Access, Change};
use yizhan::message::{Answer, Bans, Op, Refusal};
use yizhan::store::ledger::{Committed, News};
use yizhan::store::{Batch, record};

use super::desk::{ALICE, BOB, CAROL, Desk, POLICY, attach, did, send};
use super::house::House;

fn restrict(uid: Uid, change: Change) -> Op {
    Op::Restrict { uid, change }
}

fn admit(uid: Uid, device: Option<&str>, issued_ms: Option<u64>) -> Op {
    Op::Admit {
        uid,
        did: device.map(did),
        issued_ms,
    }
}

fn attach_with(uid: Uid, device: &str, issued_ms: Option<u64>) -> Op {
    match attach(uid, device) {
        Op::Attach {
            uid, did, online, ..
        } => Op::Attach {
            uid,
            did,
            online,
            issued_ms,
        },
        op => op,
    }
}

fn with(changes: &[Change]) -> Access {
    let mut access = Access::default();
    for change in changes {
        access.change(change).unwrap();
    }
    access
}

/// Whose access was announced, and as what.
fn announced(done: &Committed) -> Vec<(Uid, Access)> {
    let announced = done.news.iter().filter_map(|news| match news {
        News::Restricted { uid, access } => Some((*uid, Access::clone(access))),
        _ => None,
    });
    announced.collect()
}

const BANNED: Answer = Answer::Refused(Refusal::Banned);
const REVOKED: Answer = Answer::Refused(Refusal::TokenRevoked);

pub(crate) fn a_banned_user_is_not_attached_and_becomes_no_device<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    let banned = with(&[Change::Ban]);
    let answer = desk.ask(restrict(BOB, Change::Ban));
    assert_eq!(answer, Answer::Access(banned.clone()));
    let done = desk.commit(&[attach(BOB, "phone"), admit(BOB, None, None)]);
    assert_eq!(done.answers, [BANNED, BANNED]);
    assert!(!done.tally.wrote);
    assert_eq!(desk.keys(record::USER), 0);
    assert_eq!(desk.ask(Op::Access(BOB)), Answer::Access(banned));
    desk.comes(ALICE, "phone");
}

pub(crate) fn a_ban_of_a_device_is_one_of_that_device<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.ask(restrict(BOB, Change::BanDevice(did("phone"))));
    assert_eq!(desk.ask(attach(BOB, "phone")), BANNED);
    assert_eq!(desk.ask(admit(BOB, Some("phone"), None)), BANNED);
    assert_eq!(desk.ask(admit(BOB, None, None)), Answer::Done);
    desk.comes(BOB, "web");
}

pub(crate) fn a_ban_and_a_login_in_one_commit_take_effect_in_their_order<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    let done = desk.commit(&[
        attach(BOB, "before"),
        restrict(BOB, Change::Ban),
        attach(BOB, "after"),
        admit(BOB, None, None),
        restrict(CAROL, Change::Ban),
        restrict(CAROL, Change::Unban),
        attach(CAROL, "phone"),
    ]);
    assert!(matches!(done.answers[0], Answer::Attached(_)));
    assert_eq!(done.answers[2..4], [BANNED, BANNED]);
    assert!(matches!(done.answers[6], Answer::Attached(_)));
    // Carol's device came after the end of her ban, and must not hear of its beginning.
    let expected = [(BOB, with(&[Change::Ban])), (CAROL, Access::default())];
    assert_eq!(announced(&done), expected);
}

pub(crate) fn what_is_forbidden_is_so_after_a_restart<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    let changes = [
        Change::Ban,
        Change::BanDevice(did("phone")),
        Change::TokensNotBefore(500),
    ];
    for change in &changes {
        desk.ask(restrict(BOB, change.clone()));
    }
    desk.restart();
    assert_eq!(desk.ask(Op::Access(BOB)), Answer::Access(with(&changes)));
    assert_eq!(desk.ask(attach(BOB, "web")), BANNED);
    desk.ask(restrict(BOB, Change::Unban));
    desk.restart();
    assert_eq!(desk.ask(attach_with(BOB, "phone", Some(500))), BANNED);
    assert_eq!(desk.ask(attach_with(BOB, "web", Some(499))), REVOKED);
    assert_eq!(desk.ask(attach_with(BOB, "web", None)), REVOKED);
    let comes = desk.ask(attach_with(BOB, "web", Some(500)));
    assert!(matches!(comes, Answer::Attached(_)), "{comes:?}");
}

pub(crate) fn a_ban_that_is_lifted_leaves_no_record<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.ask(restrict(BOB, Change::Ban));
    desk.ask(restrict(BOB, Change::BanDevice(did("phone"))));
    assert_eq!(desk.keys(record::ACCESS), 1);
    desk.ask(restrict(BOB, Change::Unban));
    assert_eq!(desk.keys(record::ACCESS), 1);
    desk.ask(restrict(BOB, Change::UnbanDevice(did("phone"))));
    assert_eq!(desk.keys(record::ACCESS), 0);
    desk.ask(restrict(BOB, Change::Unban));
    assert_eq!(desk.keys(record::ACCESS), 0);
    desk.comes(BOB, "phone");
}

pub(crate) fn a_change_said_again_is_written_and_announced_again<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    for _ in 0..2 {
        let done = desk.commit(&[restrict(BOB, Change::Ban)]);
        assert!(done.tally.wrote);
        assert_eq!(announced(&done), [(BOB, with(&[Change::Ban]))]);
    }
    assert_eq!(announced(&desk.sweep()), [], "once for each commit");
}

pub(crate) fn messages_to_a_banned_user_are_accepted_and_wait<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.ask(restrict(BOB, Change::Ban));
    desk.fill(3);
    assert_eq!(desk.seqs(BOB), [1, 2, 3]);
    desk.ask(restrict(BOB, Change::Unban));
    assert!(desk.comes(BOB, "phone").acks.is_empty());
    assert_eq!(desk.seqs(BOB), [1, 2, 3]);
}

pub(crate) fn a_damaged_record_of_access_lets_nobody_in_and_hinders_nobody_else<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    let mut batch = Batch::default();
    batch.put(record::access_key(BOB), vec![7, 7, 7]);
    desk.engine().apply(batch).unwrap();
    let done = desk.commit(&[
        attach(BOB, "phone"),
        admit(BOB, None, None),
        restrict(BOB, Change::Ban),
        attach(ALICE, "phone"),
        send(ALICE, BOB, "m1", "hello"),
    ]);
    let refused = Answer::Refused(Refusal::Storage);
    let banned = Answer::Access(with(&[Change::Ban]));
    assert_eq!(
        done.answers[..3],
        [refused.clone(), refused.clone(), banned]
    );
    assert!(matches!(done.answers[3], Answer::Attached(_)));
    assert!(matches!(done.answers[4], Answer::Accepted(_)));
    desk.ask(restrict(ALICE, Change::Ban));
    let bans = listed(&mut desk, None, 10);
    let banned = with(&[Change::Ban]);
    assert_eq!(bans.users, [(ALICE, banned.clone()), (BOB, banned)]);
}

fn listed<H: House>(desk: &mut Desk<H>, after: Option<Uid>, limit: usize) -> Bans {
    match desk.ask(Op::Bans { after, limit }) {
        Answer::Bans(bans) => bans,
        answer => panic!("no bans: {answer:?}"),
    }
}

pub(crate) fn bans_are_listed_in_pages_by_the_number_of_the_user<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    assert_eq!(listed(&mut desk, None, 10), Bans::default());
    for uid in [u64::MAX, 0, 256, 255, 1] {
        desk.ask(restrict(Uid(uid), Change::Ban));
    }
    desk.ask(restrict(Uid(2), Change::TokensNotBefore(500)));
    let numbers = |bans: &Bans| -> Vec<u64> { bans.users.iter().map(|(uid, _)| uid.0).collect() };
    let all = listed(&mut desk, None, 10);
    assert_eq!(numbers(&all), [0, 1, 255, 256, u64::MAX]);
    assert_eq!(all.next, None);
    let page = listed(&mut desk, Some(Uid(0)), 2);
    assert_eq!((numbers(&page), page.next), (vec![1, 255], Some(Uid(255))));
    let page = listed(&mut desk, page.next, 2);
    assert_eq!(numbers(&page), [256, u64::MAX]);
    assert_eq!(listed(&mut desk, page.next, 2), Bans::default());
}

pub(crate) fn a_listing_looks_at_so_many_records_and_says_where_it_stopped<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    let invalidate = |uid| restrict(Uid(uid), Change::TokensNotBefore(500));
    let mut ops: Vec<Op> = (0..1500).map(invalidate).collect();
    ops.push(restrict(Uid(1500), Change::Ban));
    // Asked in the same commit, it knows what stands before it there.
    ops.push(Op::Bans {
        after: None,
        limit: 1,
    });
    let answer = desk.commit(&ops).answers.pop();
    let Some(Answer::Bans(page)) = answer else {
        panic!("no bans: {answer:?}");
    };
    assert_eq!((page.users.len(), page.next), (0, Some(Uid(999))));
    let page = listed(&mut desk, page.next, 1);
    assert_eq!(page.users, [(Uid(1500), with(&[Change::Ban]))]);
}
