//! Which messages an acknowledgement is for, in every order in which copies and acknowledgements can meet.
//!
//! One device, one connection: the machine sends, the client acknowledges what has arrived, and the store takes it. Every
//! order of these steps is taken once.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "sim/paths.rs"]
mod paths;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::machine::access::Pass;
use yizhan::machine::device::{Device, Effect, Epoch, ReadTicket, Resend, Rules, Slot, Ticket};
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::Chat;
use yizhan::message::{
    Ack, Acked, Answer, Attached, Command, Event, Fate, Kind, Message, Op, Page, Row, What,
};

const UID: Uid = Uid(2);
const NOW: u64 = 1_000;
const EPOCH: Epoch = 1;

/// A device that is connected, its client, and what is between them.
struct Line {
    device: Device,
    /// The frames on their way.
    wire: VecDeque<Seq>,
    slots: BTreeMap<Seq, Slot>,
    /// What has arrived, copies counted.
    arrived: Vec<Seq>,
    stored: Ranges,
    confirmed: Vec<Ack>,
    /// Acknowledgements that the store has not answered.
    asked: VecDeque<(Ranges, Ticket)>,
    rows: Vec<Row>,
}

impl Line {
    /// A device that has logged in, to an inbox with these messages.
    fn open(window: usize, ids: &[&str]) -> Line {
        let rules = Rules {
            deliver_window: window,
            send_window: 8,
            page_bytes: 1 << 20,
            token_notice_ms: 0,
            read_retry_ms: 200,
            retry_ms: 100,
            seen_every_ms: 5_000,
            write_deadline_ms: u64::MAX,
            silence_ms: u64::MAX,
            ttl_ms: 1 << 40,
        };
        let device = Device::new(UID, Did::parse("phone").unwrap(), rules);
        let rows = (1..).zip(ids).map(|(seq, id)| Row {
            reader: UID,
            seq,
            since: NOW,
            what: What::Message,
            message: Arc::new(Message {
                id: MsgId::parse(id).unwrap(),
                kind: Kind::Words,
                // Every message has a sender of its own.
                from: Uid(10 + seq),
                to: Chat::User(UID),
                payload: "{}".into(),
                created_at: None,
                server_ts: NOW,
                expires_at: None,
                fate: Fate::Whole,
                cseq: 0,
            }),
        });
        let mut line = Line {
            device,
            wire: VecDeque::new(),
            slots: BTreeMap::new(),
            arrived: Vec::new(),
            stored: Ranges::new(),
            confirmed: Vec::new(),
            asked: VecDeque::new(),
            rows: rows.collect(),
        };
        let head = ids.len() as u64;
        line.device.connect(EPOCH, Pass::until(u64::MAX));
        let attached = Answer::Attached(Attached {
            acks: Ranges::new(),
            resync: false,
        });
        line.device.answered(NOW, Ticket::Attach(EPOCH), attached);
        line.device
            .answered(NOW, Ticket::Head(EPOCH), Answer::Head(head));
        line.settle();
        line
    }

    fn settle(&mut self) {
        let mut started = None;
        loop {
            let Some(effect) = self.device.next_effect() else {
                return;
            };
            match effect {
                Effect::Push { event, .. } => match event {
                    Event::Deliver(row) => {
                        started = Some(row.seq);
                        self.wire.push_back(row.seq);
                    }
                    Event::AckOk(ack) => self.confirmed.push(ack),
                    event => panic!("nothing is wrong here: {event:?}"),
                },
                Effect::Walk(slot) => {
                    self.slots.insert(started.unwrap(), slot);
                }
                Effect::Submit {
                    op: Op::Ack { seqs, .. },
                    ticket,
                } => self.asked.push_back((seqs, ticket)),
                Effect::Read { read, ticket } => {
                    let rows = self.rows.iter();
                    let rows = rows.filter(|row| (read.from..=read.to).contains(&row.seq));
                    let rows: Vec<Row> = rows.take(read.limit).cloned().collect();
                    let scanned_to = match rows.len() == read.limit {
                        true => rows.last().map_or(read.to, |row| row.seq),
                        false => read.to,
                    };
                    let page = Page {
                        rows,
                        scanned_to,
                        dead: Ranges::new(),
                    };
                    assert!(matches!(ticket, ReadTicket::Pull(_)));
                    self.device.page(NOW, ticket, Ok(page));
                }
                _ => {}
            }
            // Everything is written at once.
            self.device.taken(EPOCH, u64::MAX);
        }
    }

    /// One more copy leaves, unless the message is acknowledged.
    fn resend(&mut self, seq: Seq) -> Resend {
        let outcome = self.device.resend(NOW, self.slots[&seq], false);
        self.settle();
        outcome
    }

    fn arrive(&mut self) {
        let seq = self.wire.pop_front().unwrap();
        self.arrived.push(seq);
    }

    fn ack(&mut self, ack: Ack) {
        self.device.command(NOW, EPOCH, Command::Ack(ack));
        self.settle();
    }

    fn id_of(&self, seq: Seq) -> MsgId {
        self.rows[seq as usize - 1].message.id.clone()
    }

    fn text(&self, seq: Seq) -> Ack {
        Ack::Id {
            id: self.id_of(seq),
            did: Did::parse("phone").unwrap(),
        }
    }

    /// The store takes the acknowledgement that waits longest.
    fn store(&mut self) {
        let (seqs, ticket) = self.asked.pop_front().unwrap();
        self.stored.union(&seqs);
        let fresh = seqs.len();
        self.device
            .answered(NOW, ticket, Answer::Acked(Acked { fresh }));
        self.settle();
    }

    /// What was asked of the store, answered or not.
    fn taken(&self) -> Ranges {
        let mut taken = self.stored.clone();
        for (seqs, _) in &self.asked {
            taken.union(seqs);
        }
        taken
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Resend(Seq),
    Arrive,
    /// A copy of this row is acknowledged, as text or by its number.
    Text(Seq),
    Number(Seq),
    /// The client repeats by its number what it has acknowledged before, on this connection or on an older one.
    Repeat(Seq),
    UpTo(Seq),
    Store,
}

/// Every way in which two messages under one id, each sent twice, can be acknowledged, once for each copy that has
/// arrived, in any order and in both forms, with a repeat of the first at any moment: the client may have it from an
/// older connection.
#[test]
fn the_same_id_from_two_senders_is_acked_in_every_order_and_nothing_unseen_goes() {
    let orders = paths::explore(|path, taken| {
        let mut line = Line::open(4, &["x", "x"]);
        assert_eq!(line.wire, [1, 2]);
        let mut repeated = false;
        let mut resent = BTreeSet::new();
        // Copies that have arrived and are not acknowledged.
        let mut open: Vec<Seq> = Vec::new();
        loop {
            let mut steps: Vec<Step> = Vec::new();
            for seq in [1, 2] {
                if !resent.contains(&seq) {
                    steps.push(Step::Resend(seq));
                }
                if open.contains(&seq) {
                    steps.push(Step::Number(seq));
                }
            }
            // The text is the same for every copy.
            if let Some(seq) = open.first() {
                steps.push(Step::Text(*seq));
            }
            if !line.wire.is_empty() {
                steps.push(Step::Arrive);
            }
            if steps.is_empty() {
                break;
            }
            if !repeated {
                steps.push(Step::Repeat(1));
            }
            let step = steps[path.choose(steps.len())];
            taken.push(step);
            match step {
                Step::Repeat(seq) => {
                    repeated = true;
                    line.ack(Ack::Seqs(vec![seq]));
                }
                Step::Resend(seq) => {
                    resent.insert(seq);
                    let is_acked = line.taken().contains(seq);
                    let outcome = line.resend(seq);
                    assert_eq!(outcome == Resend::Over, is_acked, "{outcome:?}");
                }
                Step::Arrive => {
                    line.arrive();
                    open.push(*line.arrived.last().unwrap());
                }
                Step::Number(seq) => {
                    line.ack(Ack::Seqs(vec![seq]));
                    let at = open.iter().position(|of| *of == seq).unwrap();
                    open.remove(at);
                }
                Step::Text(seq) => {
                    line.ack(line.text(seq));
                    open.remove(0);
                }
                Step::UpTo(_) | Step::Store => {}
            }
            while !line.asked.is_empty() {
                line.store();
            }
            let seen = |seq: &Seq| line.arrived.contains(seq) || (repeated && *seq == 1);
            let unseen = line.stored.values().find(|seq| !seen(seq));
            assert_eq!(unseen, None, "it was acknowledged unseen");
        }
        // A text may have gone to the other one, acknowledged by its number: each further copy brings another.
        let mut further = 0;
        while let Some(owed) = (1..=2).find(|seq| !line.stored.contains(*seq)) {
            further += 1;
            assert!(further <= 2, "row {owed} stays owed");
            assert_eq!(line.resend(owed), Resend::Written);
            line.ack(line.text(owed));
            while !line.asked.is_empty() {
                line.store();
            }
        }
    });
    println!("{orders} orders");
    assert!(orders > 1_000);
}

/// A cumulative acknowledgement takes everything below it that was sent, and nothing else; what it confirms is the
/// highest that holds.
#[test]
fn a_cumulative_ack_takes_all_below_it_that_was_sent_in_every_order() {
    let orders = paths::explore(|path, taken| {
        let mut line = Line::open(2, &["a", "b", "c"]);
        assert_eq!(line.wire, [1, 2], "the window is full");
        let mut acks = 0;
        loop {
            let mut steps: Vec<Step> = Vec::new();
            if acks < 3 {
                // Numbers beyond what was sent, and beyond what there is, among them.
                steps.extend((0..=4).map(Step::UpTo));
            }
            if !line.asked.is_empty() {
                steps.push(Step::Store);
            }
            if steps.is_empty() {
                break;
            }
            let step = steps[path.choose(steps.len())];
            taken.push(step);
            match step {
                Step::UpTo(up_to) => {
                    acks += 1;
                    let sent: Ranges = line.slots.keys().copied().collect();
                    let before = line.taken();
                    line.ack(Ack::UpTo(up_to));
                    let mut expected = sent.within(1, up_to);
                    expected.union(&before);
                    assert_eq!(line.taken(), expected);
                }
                _ => line.store(),
            }
            for ack in line.confirmed.drain(..) {
                let Ack::UpTo(up_to) = ack else {
                    panic!("{ack:?}");
                };
                let holds = up_to == 0 || line.stored.contains(up_to);
                assert!(holds, "{up_to} is confirmed and is not stored");
            }
        }
        // Whatever was sent and is not acknowledged still walks.
        let mut sent: Ranges = line.slots.keys().copied().collect();
        sent.subtract(&line.stored);
        for seq in sent.values() {
            assert_ne!(line.resend(seq), Resend::Over, "row {seq} is owed");
        }
    });
    println!("{orders} orders");
    assert!(orders > 100);
}
