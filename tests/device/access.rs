//! Who may stay: bans, invalidated tokens, and another token shown.

use yizhan::machine::access::{Access, Change};
use yizhan::message::{Draft, SignalDraft};

use super::*;

const BANNED: Change = Change::Ban;

fn access(change: Change) -> Access {
    let mut access = Access::default();
    access.change(&change).unwrap();
    access
}

fn pass(issued_ms: Option<u64>) -> Pass {
    Pass {
        good_until: 1 << 40,
        issued_ms,
    }
}

fn closes(effects: &[Effect]) -> Vec<(Epoch, Close)> {
    let closes = effects.iter().filter_map(|effect| match effect {
        Effect::Close { epoch, close } => Some((*epoch, *close)),
        _ => None,
    });
    closes.collect()
}

fn logins(effects: &[Effect]) -> Vec<(Epoch, Result<(), Code>)> {
    let logins = effects.iter().filter_map(|effect| match effect {
        Effect::Ready { epoch, result } => Some((*epoch, *result)),
        _ => None,
    });
    logins.collect()
}

/// What the committer is asked for about tokens: when they were issued, and the tickets.
fn admissions(effects: &[Effect]) -> Vec<(Option<u64>, Ticket)> {
    let admissions = effects.iter().filter_map(|effect| match effect {
        Effect::Submit {
            op:
                Op::Admit {
                    uid,
                    did,
                    issued_ms,
                },
            ticket,
        } => {
            assert_eq!((*uid, did.as_ref().unwrap().as_str()), (UID, "phone"));
            Some((*issued_ms, ticket.clone()))
        }
        _ => None,
    });
    admissions.collect()
}

fn send(id: &str) -> Command {
    Command::Send(Draft {
        id: MsgId::parse(id).unwrap(),
        to: Chat::User(Uid(1)),
        payload: "{}".into(),
        created_at: None,
        expires_at: None,
    })
}

fn call(id: &str) -> Command {
    Command::Signal(SignalDraft {
        id: MsgId::parse(id).unwrap(),
        kind: "WEBRTC_OFFER".into(),
        to: Uid(1),
        payload: "{}".into(),
        created_at: None,
    })
}

#[test]
fn a_login_says_when_its_token_was_issued() {
    let mut device = device();
    device.connect(1, pass(Some(7)));
    let asked = effects(&mut device);
    assert!(asked.iter().any(|effect| matches!(
        effect,
        Effect::Submit {
            op: Op::Attach {
                issued_ms: Some(7),
                ..
            },
            ticket: Ticket::Attach(1),
        }
    )));
}

#[test]
fn a_login_that_the_committer_refuses_hears_why() {
    for (refusal, code) in [
        (Refusal::Banned, Code::Forbidden),
        (Refusal::TokenRevoked, Code::InvalidToken),
    ] {
        let mut device = device();
        device.connect(1, pass(None));
        device.answered(NOW, Ticket::Attach(1), Answer::Refused(refusal));
        let told = effects(&mut device);
        assert_eq!(logins(&told), [(1, Err(code))]);
        assert!(told.contains(&Effect::Stop));
    }
}

#[test]
fn a_change_that_bars_nobody_ends_nothing() {
    let mut device = device();
    device.connect(1, pass(Some(500)));
    device.answered(NOW, Ticket::Attach(1), attached(Ranges::new()));
    device.answered(NOW, Ticket::Head(1), Answer::Head(0));
    effects(&mut device);
    let other = Did::parse("web").unwrap();
    device.restricted(&Access::default());
    device.restricted(&access(Change::BanDevice(other)));
    device.restricted(&access(Change::TokensNotBefore(500)));
    assert!(effects(&mut device).is_empty());
    device.restricted(&access(Change::TokensNotBefore(501)));
    assert_eq!(closes(&effects(&mut device)), [(1, Close::Kicked)]);
    device.restricted(&access(BANNED));
    assert!(effects(&mut device).is_empty(), "it is closed once");
}

#[test]
fn a_login_half_done_is_refused_by_a_ban_that_came_after_its_commit() {
    for (change, code) in [
        (BANNED, Code::Forbidden),
        (Change::TokensNotBefore(5), Code::InvalidToken),
    ] {
        let mut device = device();
        device.connect(1, pass(None));
        device.answered(NOW, Ticket::Attach(1), attached(Ranges::new()));
        effects(&mut device);
        device.restricted(&access(change));
        let told = effects(&mut device);
        assert_eq!(logins(&told), [(1, Err(code))]);
        assert!(told.contains(&Effect::Unregister(1)));
        device.answered(NOW, Ticket::Head(1), Answer::Head(3));
        assert!(effects(&mut device).is_empty(), "it is over");
    }
}

#[test]
fn a_login_that_is_still_to_be_judged_is_left_to_its_commit() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.connect(2, pass(None));
    effects(&mut device);
    // The ban is older than the login's place in the order of commits, or newer: its answer tells.
    device.restricted(&access(BANNED));
    assert!(logins(&effects(&mut device)).is_empty());
    device.answered(NOW, Ticket::Attach(2), attached(Ranges::new()));
    device.answered(NOW, Ticket::Head(2), Answer::Head(0));
    let told = effects(&mut device);
    assert_eq!(logins(&told), [(2, Ok(()))]);
    assert!(closes(&told).is_empty());
}

#[test]
fn a_barred_connection_is_heard_no_more_but_for_its_acks() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(2, vec![row(1), row(2)]);
    // One that was replaced lingers, and was told to go already.
    device.connect(2, pass(None));
    device.answered(NOW, Ticket::Attach(2), attached(Ranges::new()));
    device.answered(NOW, Ticket::Head(2), Answer::Head(2));
    effects(&mut device);
    device.restricted(&access(BANNED));
    let told = effects(&mut device);
    assert_eq!(closes(&told), [(2, Close::Kicked)]);
    for epoch in [1, 2] {
        assert!(told.contains(&Effect::Discard(epoch)), "connection {epoch}");

        device.command(NOW, epoch, send("late"));
        device.command(NOW, epoch, call("late"));
        device.command(NOW, epoch, Command::Status(Vec::new()));
        device.command(NOW, epoch, Command::Sync { after: 0, limit: 1 });
        device.renew(NOW, epoch, pass(Some(9)), 7);
        assert!(effects(&mut device).is_empty(), "connection {epoch}");
    }
    device.command(NOW, 1, Command::Ack(Ack::Seqs(vec![1])));
    assert_eq!(acks(&effects(&mut device)).len(), 1);
}

#[test]
fn another_token_counts_once_the_committer_has_admitted_it() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.renew(NOW, 1, pass(Some(500)), 77);
    let (issued_ms, ticket) = admissions(&effects(&mut device)).remove(0);
    assert_eq!(issued_ms, Some(500));
    device.answered(NOW, ticket, Answer::Done);
    let event = Event::RefreshOk { expire_at: 77 };
    let told = effects(&mut device);
    assert_eq!(told, [Effect::Push { epoch: 1, event }]);
    device.restricted(&access(Change::TokensNotBefore(500)));
    assert!(effects(&mut device).is_empty());
}

#[test]
fn another_token_that_is_refused_leaves_the_old_one_in_force() {
    let mut device = device();
    device.connect(1, pass(Some(600)));
    device.answered(NOW, Ticket::Attach(1), attached(Ranges::new()));
    device.answered(NOW, Ticket::Head(1), Answer::Head(0));
    effects(&mut device);
    for (answer, code) in [
        (Answer::Refused(Refusal::TokenRevoked), Code::InvalidToken),
        (Answer::Refused(Refusal::Banned), Code::Forbidden),
        (Answer::Refused(Refusal::Storage), Code::Storage),
    ] {
        device.renew(NOW, 1, pass(Some(500)), 77);
        let (_, ticket) = admissions(&effects(&mut device)).remove(0);
        device.answered(NOW, ticket, answer);
        assert_eq!(codes(&effects(&mut device)), [code]);
    }
    device.restricted(&access(Change::TokensNotBefore(600)));
    assert!(effects(&mut device).is_empty());
}

#[test]
fn tokens_shown_without_end_are_refused_as_any_request() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    for _ in 0..=RULES.send_window {
        device.renew(NOW, 1, pass(None), 77);
    }
    let told = effects(&mut device);
    assert_eq!(admissions(&told).len(), RULES.send_window);
    assert_eq!(codes(&told), [Code::TooFast]);
    for (_, ticket) in admissions(&told) {
        device.answered(NOW, ticket, Answer::Done);
    }
    effects(&mut device);
    device.renew(NOW, 1, pass(None), 77);
    assert_eq!(admissions(&effects(&mut device)).len(), 1);
}
