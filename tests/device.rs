//! The machine of one device, step by step, where no faster or slower world would show the difference.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "device/access.rs"]
mod access;
#[path = "device/operator.rs"]
mod operator;

use std::sync::Arc;

use yizhan::code::{Close, Code};
use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::machine::access::Pass;
use yizhan::machine::device::{Device, Effect, Epoch, ReadTicket, Resend, Rules, Ticket};
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::{Chat, Side};
use yizhan::message::look::{Found, History};
use yizhan::message::{
    Ack, Acked, Answer, Attached, Command, Event, Fate, Kind, Message, Notice, Op, Page, Query,
    Read, Refusal, Row, Signal, What,
};

const UID: Uid = Uid(2);
const NOW: u64 = 1_000;
const RULES: Rules = Rules {
    deliver_window: 4,
    send_window: 8,
    page_bytes: 1 << 20,
    token_notice_ms: 0,
    read_retry_ms: 200,
    retry_ms: 100,
    seen_every_ms: 5_000,
    ttl_ms: 1 << 40,
    write_deadline_ms: 30_000,
    silence_ms: 100_000,
};

/// How long a connection whose time is over is spared.
const GRACE: u64 = 100;

fn device() -> Device {
    Device::new(UID, Did::parse("phone").unwrap(), RULES)
}

fn effects(device: &mut Device) -> Vec<Effect> {
    std::iter::from_fn(|| device.next_effect()).collect()
}

fn attached(acks: Ranges) -> Answer {
    Answer::Attached(Attached {
        acks,
        resync: false,
    })
}

/// Logs a connection in, to an inbox with this head of which these rows are acknowledged.
fn log_in(device: &mut Device, epoch: Epoch, head: Seq, acks: Ranges) -> Vec<Effect> {
    device.connect(epoch, Pass::until(u64::MAX));
    device.answered(NOW, Ticket::Attach(epoch), attached(acks));
    device.answered(NOW, Ticket::Head(epoch), Answer::Head(head));
    effects(device)
}

fn row(seq: Seq) -> Row {
    row_of(seq, 2)
}

fn row_of(seq: Seq, bytes: usize) -> Row {
    Row {
        reader: UID,
        seq,
        since: NOW,
        what: What::Message,
        message: Arc::new(Message {
            id: MsgId::parse(&format!("m{seq}")).unwrap(),
            kind: Kind::Words,
            from: Uid(1),
            to: Chat::User(UID),
            payload: "1".repeat(bytes).into(),
            created_at: None,
            server_ts: NOW,
            expires_at: None,
            fate: Fate::Whole,
            cseq: 0,
        }),
    }
}

fn signal(n: u64) -> Arc<Signal> {
    Arc::new(Signal {
        id: MsgId::parse(&format!("s{n}")).unwrap(),
        kind: "WEBRTC_OFFER".into(),
        from: Uid(1),
        to: UID,
        payload: "{}".into(),
        created_at: None,
        bare: false,
    })
}

fn delivered(effects: &[Effect]) -> Vec<Seq> {
    let rows = effects.iter().filter_map(|effect| match effect {
        Effect::Push {
            event: Event::Deliver(row),
            ..
        } => Some(row.seq),
        _ => None,
    });
    rows.collect()
}

fn reads(effects: &[Effect]) -> Vec<Read> {
    let reads = effects.iter().filter_map(|effect| match effect {
        Effect::Read { read, .. } => Some(*read),
        _ => None,
    });
    reads.collect()
}

fn codes(effects: &[Effect]) -> Vec<Code> {
    let codes = effects.iter().filter_map(|effect| match effect {
        Effect::Push {
            event: Event::Error { fault, .. },
            ..
        } => Some(fault.code),
        _ => None,
    });
    codes.collect()
}

/// The acknowledgements on their way to the store.
fn acks(effects: &[Effect]) -> Vec<(Ranges, Ticket)> {
    let acks = effects.iter().filter_map(|effect| match effect {
        Effect::Submit {
            op: Op::Ack { seqs, .. },
            ticket,
        } => Some((seqs.clone(), ticket.clone())),
        _ => None,
    });
    acks.collect()
}

fn notices(effects: &[Effect]) -> Vec<&Notice> {
    let notices = effects.iter().filter_map(|effect| match effect {
        Effect::Notify { notice, .. } => Some(notice),
        _ => None,
    });
    notices.collect()
}

#[test]
fn a_connected_device_is_noted_as_seen_again_and_again() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    for round in 1..=3 {
        let due = NOW + round * RULES.seen_every_ms;
        assert_eq!(device.deadline(), Some(due));
        device.tick(due - 1);
        assert!(effects(&mut device).is_empty());
        device.tick(due);
        let seen = |effect: &Effect| {
            matches!(
                effect,
                Effect::Submit {
                    op: Op::Seen { .. },
                    ..
                }
            )
        };
        assert!(effects(&mut device).iter().any(seen));
    }
}

#[test]
fn a_delivery_ends_when_its_message_expires_and_makes_room_for_the_next() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(5, (1..=5).map(row).collect());
    let walks = effects(&mut device);
    assert_eq!(delivered(&walks), [1, 2, 3]);
    device.taken(1, 4);
    let expiry = NOW + RULES.ttl_ms;
    assert_eq!(device.resend(expiry - 1, 0, false), Resend::Written);
    effects(&mut device);
    assert_eq!(device.resend(expiry, 0, false), Resend::Over);
    let over = effects(&mut device);
    let parked = false;
    assert!(over.contains(&Effect::Halt { slot: 0, parked }));
    assert!(delivered(&over).is_empty());
    assert_eq!(device.walking(), 2);
    assert_eq!(device.resend(expiry, 0, true), Resend::Over);
}

#[test]
fn a_failed_read_is_tried_again_when_its_time_has_come() {
    let mut device = device();
    assert_eq!(reads(&log_in(&mut device, 1, 1, Ranges::new())).len(), 1);
    device.page(NOW, ReadTicket::Pull(1), Err(Code::Storage));
    assert!(reads(&effects(&mut device)).is_empty());
    assert_eq!(device.deadline(), Some(NOW + RULES.read_retry_ms));
    device.tick(NOW + RULES.read_retry_ms);
    assert_eq!(reads(&effects(&mut device)).len(), 1);
}

#[test]
fn an_ack_that_could_not_be_stored_leaves_its_row_owed() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(1, vec![row(1)]);
    effects(&mut device);
    device.command(NOW, 1, Command::Ack(Ack::UpTo(1)));
    let (seqs, ticket) = acks(&effects(&mut device)).remove(0);
    assert_eq!(seqs, Ranges::span(1, 1));
    device.answered(NOW, ticket, Answer::Refused(Refusal::Storage));
    assert_eq!(codes(&effects(&mut device)), [Code::Storage]);

    device.command(NOW, 1, Command::Ack(Ack::UpTo(1)));
    let (_, ticket) = acks(&effects(&mut device)).remove(0);
    device.answered(NOW, ticket, Answer::Refused(Refusal::Storage));
    effects(&mut device);
    let login = log_in(&mut device, 2, 1, Ranges::new());
    assert_eq!(reads(&login)[0].from, 1, "the next connection gets it");
}

#[test]
fn a_device_that_falls_behind_during_its_login_is_told_after_the_first_frame() {
    let mut device = device();
    device.connect(1, Pass::until(u64::MAX));
    device.answered(NOW, Ticket::Attach(1), attached(Ranges::new()));
    device.lags();
    device.answered(NOW, Ticket::Head(1), Answer::Head(0));
    let effects = effects(&mut device);
    let [Notice::OfflineSummary { .. }, Notice::Resync] = notices(&effects)[..] else {
        panic!("{effects:?}");
    };
}

#[test]
fn a_device_that_has_to_make_room_during_its_login_is_ended_after_the_first_frame() {
    let mut device = device();
    device.connect(1, Pass::until(u64::MAX));
    device.answered(NOW, Ticket::Attach(1), attached(Ranges::new()));
    device.forgotten();
    device.answered(NOW, Ticket::Head(1), Answer::Head(1));
    let effects = effects(&mut device);
    let [Notice::OfflineSummary { .. }, Notice::Resync] = notices(&effects)[..] else {
        panic!("{effects:?}");
    };
    let close = Close::Kicked;
    assert!(effects.contains(&Effect::Close { epoch: 1, close }));
    assert!(reads(&effects).is_empty(), "nothing is delivered any more");
}

#[test]
fn a_row_whose_ack_met_a_forgotten_device_comes_to_its_next_connection() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(1, vec![row(1)]);
    effects(&mut device);
    device.command(NOW, 1, Command::Ack(Ack::UpTo(1)));
    let (_, ticket) = acks(&effects(&mut device)).remove(0);
    device.answered(NOW, ticket, Answer::Refused(Refusal::Forgotten));
    let told = effects(&mut device);
    assert_eq!(notices(&told), [&Notice::Resync]);
    let close = Close::Kicked;
    assert!(told.contains(&Effect::Close { epoch: 1, close }));
    let login = log_in(&mut device, 2, 1, Ranges::new());
    assert_eq!(reads(&login)[0].from, 1);
}

#[test]
fn what_ends_before_it_was_announced_to_ends_the_announcement_of_the_one_before() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.connect(2, Pass::until(u64::MAX));
    effects(&mut device);
    device.closed(2);
    assert!(effects(&mut device).contains(&Effect::Unregister(1)));
}

fn cuts(effects: &[Effect]) -> Vec<(Epoch, Close)> {
    let cuts = effects.iter().filter_map(|effect| match effect {
        Effect::Cut { epoch, close } => Some((*epoch, *close)),
        _ => None,
    });
    cuts.collect()
}

/// The deadline comes, and nothing has happened meanwhile; returns what was cut, and when.
fn wait(device: &mut Device) -> (u64, Vec<(Epoch, Close)>) {
    let at = device.deadline().unwrap();
    device.tick(at);
    device.watch(at);
    (at, cuts(&effects(device)))
}

#[test]
fn what_waits_for_a_connection_is_bounded_in_bytes_and_never_to_nothing() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.taken(1, 1);
    let large = (1 << 20) - 1;
    device.hint(3, (1..=3).map(|seq| row_of(seq, large)).collect());
    assert_eq!(delivered(&effects(&mut device)), [1]);
    assert_eq!(device.starved(), Some(1));
    // Also a repeat must find room.
    assert_eq!(device.resend(NOW, 0, false), Resend::Skipped);
    device.taken(1, 2);
    assert_eq!(device.starved(), None);
    device.alive();
    assert_eq!(reads(&effects(&mut device)).len(), 1);
}

#[test]
fn what_walks_is_bounded_in_bytes_and_given_back() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    let large = 3 << 20;
    let walking = |device: &mut Device, seq: Seq| {
        device.taken(1, u64::MAX);
        device.hint(seq, vec![row_of(seq, large)]);
        delivered(&effects(device))
    };
    assert_eq!(walking(&mut device, 1), [1]);
    assert_eq!(walking(&mut device, 2), [2]);
    assert_eq!(walking(&mut device, 3), [0; 0]);
    device.park(0);
    assert_eq!(reads(&effects(&mut device))[0].from, 3, "one has parked");
    let page = |seq| Page {
        rows: vec![row_of(seq, large)],
        scanned_to: seq,
        dead: Ranges::new(),
    };
    device.page(NOW, ReadTicket::Pull(1), Ok(page(3)));
    assert_eq!(delivered(&effects(&mut device)), [3]);
    assert_eq!(walking(&mut device, 4), [0; 0]);
    device.command(NOW, 1, Command::Ack(Ack::UpTo(2)));
    assert_eq!(reads(&effects(&mut device))[0].from, 4, "one is acked");
    // A newer connection begins with nothing that walks.
    log_in(&mut device, 2, 4, Ranges::span(1, 2));
    device.page(NOW, ReadTicket::Pull(2), Ok(page(3)));
    assert_eq!(delivered(&effects(&mut device)), [3]);
    device.taken(2, u64::MAX);
    device.alive();
    let more = effects(&mut device);
    assert_eq!(reads(&more).first().map(|read| read.from), Some(4));
}

#[test]
fn a_connection_whose_frames_nobody_takes_is_cut_after_the_write_deadline() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.taken(1, 1);
    device.watch(NOW);
    // Long after the login nothing waits, and the time begins with the first frame that does.
    device.attended(1);
    let later = NOW + 50_000;
    device.hint(1, vec![row(1)]);
    device.watch(later);
    effects(&mut device);
    loop {
        let (at, cuts) = wait(&mut device);
        if !cuts.is_empty() {
            assert_eq!(cuts, [(1, Close::TooSlow)]);
            assert_eq!(at, later + RULES.write_deadline_ms + GRACE);
            break;
        }
    }
    // It can be cut once only, and its adapter's own word comes too late to matter.
    device.closed(1);
    assert!(cuts(&effects(&mut device)).is_empty());
    assert_eq!(device.deadline(), None);
    let login = log_in(&mut device, 2, 1, Ranges::new());
    assert_eq!(reads(&login)[0].from, 1, "the row waits");
}

#[test]
fn a_connection_that_goes_on_when_the_whole_process_does_is_not_cut() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.watch(NOW);
    // Everything stood still for an hour, and the device is the first to come to work.
    let much_later = NOW + 3_600_000;
    device.tick(much_later);
    assert!(cuts(&effects(&mut device)).is_empty());
    device.taken(1, 1);
    device.attended(1);
    device.tick(much_later + GRACE);
    assert!(cuts(&effects(&mut device)).is_empty());
    // And its time begins anew.
    device.hint(1, vec![row(1)]);
    device.watch(much_later + GRACE);
    device.attended(1);
    device.tick(much_later + GRACE + RULES.write_deadline_ms);
    assert!(cuts(&effects(&mut device)).is_empty());
    device.tick(much_later + 2 * GRACE + RULES.write_deadline_ms);
    assert_eq!(cuts(&effects(&mut device)), [(1, Close::TooSlow)]);
}

#[test]
fn an_older_connection_that_nobody_reads_is_cut_when_there_are_too_many() {
    let mut device = device();
    for epoch in 1..=5 {
        let login = log_in(&mut device, epoch, 0, Ranges::new());
        assert!(cuts(&login).is_empty());
    }
    // The first one's adapter works, and the second one's does not.
    device.taken(1, 2);
    assert!(cuts(&log_in(&mut device, 6, 0, Ranges::new())).is_empty());
    let login = log_in(&mut device, 7, 0, Ranges::new());
    assert_eq!(cuts(&login), [(2, Close::TooSlow)]);
}

#[test]
fn a_replaced_connection_that_never_ends_is_cut_and_the_newer_one_goes_on() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.taken(1, 1);
    device.watch(NOW);
    log_in(&mut device, 2, 0, Ranges::new());
    device.taken(1, 2);
    device.taken(2, 1);
    device.watch(NOW);
    loop {
        device.attended(2);
        let (at, cuts) = wait(&mut device);
        if !cuts.is_empty() {
            assert_eq!(cuts, [(1, Close::TooSlow)]);
            assert_eq!(at, NOW + RULES.write_deadline_ms + GRACE);
            break;
        }
    }
    device.hint(1, vec![row(1)]);
    assert_eq!(delivered(&effects(&mut device)), [1]);
}

#[test]
fn a_connection_whose_adapter_is_frozen_for_too_long_is_cut() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.taken(1, 1);
    device.watch(NOW);
    device.attended(1);
    device.watch(NOW + 60_000);
    loop {
        let (at, cuts) = wait(&mut device);
        if !cuts.is_empty() {
            assert_eq!(cuts, [(1, Close::Idle)]);
            assert_eq!(at, NOW + 60_000 + RULES.silence_ms + GRACE);
            break;
        }
    }
}

#[test]
fn signals_take_at_most_half_of_the_window() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    let taken = (0..4).filter(|n| device.signal(signal(*n)).is_some());
    assert_eq!(taken.count(), 2);
    // The summary and the signals are written.
    device.taken(1, 3);
    device.hint(3, vec![row(1), row(2), row(3)]);
    assert_eq!(delivered(&effects(&mut device)), [1, 2]);
}

#[test]
fn a_page_is_asked_for_when_the_one_before_has_been_written() {
    let mut device = device();
    let acked = Ranges::span(2, 2);
    log_in(&mut device, 1, 3, acked);
    let sync = || Command::Sync { after: 0, limit: 1 };
    device.command(NOW, 1, sync());
    device.command(NOW, 1, sync());
    let asked = effects(&mut device);
    assert_eq!(
        (reads(&asked).len(), codes(&asked)),
        (1, vec![Code::TooFast])
    );
    let page = Page {
        rows: vec![row(1)],
        scanned_to: 1,
        dead: Ranges::new(),
    };
    device.page(NOW, ReadTicket::Sync { epoch: 1, head: 3 }, Ok(page));
    device.command(NOW, 1, sync());
    assert_eq!(codes(&effects(&mut device)), [Code::TooFast]);
    // The summary and the refusal were frames too.
    device.taken(1, 5);
    device.command(NOW, 1, sync());
    assert_eq!(reads(&effects(&mut device)).len(), 1);
}

#[test]
fn a_row_on_its_way_again_stops_when_an_earlier_ack_of_it_becomes_durable() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(1, vec![row(1)]);
    effects(&mut device);
    // Two acks on the old connection, of which only the second is refused.
    device.command(NOW, 1, Command::Ack(Ack::UpTo(1)));
    let (_, first) = acks(&effects(&mut device)).remove(0);
    device.command(NOW, 1, Command::Ack(Ack::Seqs(vec![1])));
    let (_, second) = acks(&effects(&mut device)).remove(0);
    device.busy(NOW, second);
    assert_eq!(reads(&log_in(&mut device, 2, 1, Ranges::new())).len(), 1);
    let page = Page {
        rows: vec![row(1)],
        scanned_to: 1,
        dead: Ranges::new(),
    };
    device.page(NOW, ReadTicket::Pull(2), Ok(page));
    let started = effects(&mut device);
    assert_eq!(delivered(&started), [1]);
    let Some(Effect::Walk(slot)) = started.iter().find(|e| matches!(e, Effect::Walk(_))) else {
        panic!("{started:?}");
    };
    device.answered(NOW, first, Answer::Acked(Acked { fresh: 1 }));
    let halt = Effect::Halt {
        slot: *slot,
        parked: false,
    };
    assert!(effects(&mut device).contains(&halt));
    assert_eq!(device.resend(NOW, *slot, false), Resend::Over);
}

#[test]
fn an_ack_confirmed_is_never_asked_of_the_store_again() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    device.hint(1, vec![row(1)]);
    effects(&mut device);
    device.command(NOW, 1, Command::Ack(Ack::Seqs(vec![1, 7])));
    let (_, ticket) = acks(&effects(&mut device)).remove(0);
    device.answered(NOW, ticket, Answer::Acked(Acked { fresh: 1 }));
    effects(&mut device);
    device.command(NOW, 1, Command::Ack(Ack::Seqs(vec![1, 7])));
    let again = effects(&mut device);
    assert!(acks(&again).is_empty());
    let event = Event::AckOk(Ack::Seqs(vec![1]));
    assert!(again.contains(&Effect::Push { epoch: 1, event }));
}

#[test]
fn what_was_read_of_a_conversation_is_said_when_it_is_durable() {
    let mut device = device();
    log_in(&mut device, 1, 0, Ranges::new());
    let chat = Chat::User(Uid(1));
    let query = Query::History {
        chat,
        side: Side::Newest,
        limit: 10,
    };
    let ticket = ReadTicket::Query {
        epoch: 1,
        id: None,
        query: query.clone(),
        head: 1,
    };
    device.command(NOW, 1, Command::Query { id: None, query });
    effects(&mut device);
    let history = History {
        messages: vec![row(1).message],
        next: 1,
        more: false,
    };
    let event = Event::HistoryPage {
        id: None,
        to: chat,
        history: history.clone(),
        head: 1,
    };
    device.found(NOW, ticket, Ok(Found::History(history)));
    let ticket = Ticket::Say {
        epoch: 1,
        event: event.clone(),
    };
    let barrier = Effect::Submit {
        op: Op::Barrier,
        ticket: ticket.clone(),
    };
    assert_eq!(effects(&mut device), [barrier]);
    device.answered(NOW, ticket, Answer::Done);
    assert_eq!(effects(&mut device), [Effect::Push { epoch: 1, event }]);
}
