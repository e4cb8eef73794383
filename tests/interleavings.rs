//! Logins, replacements and acknowledgements against arriving messages, at every interleaving of the steps between them.
//!
//! Sender, committer, publication, reader thread and device each take one step at a time; every order that the real
//! threads could take is taken once.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, dead_code)]

#[path = "sim/paths.rs"]
mod paths;
#[path = "sim/server.rs"]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use yizhan::actor::mailroom;
use yizhan::code::Close;
use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::machine::access::Pass;
use yizhan::machine::device::{Effect, Epoch, Rules, Ticket};
use yizhan::machine::inbox::Bounds;
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::Chat;
use yizhan::message::look::Look;
use yizhan::message::{Ack, Answer, Command, Draft, Event, Op};
use yizhan::store::Engine;
use yizhan::store::ledger::{self, Ledger, People, Policy};
use yizhan::store::memory::MemoryEngine;

use server::{Batch, Line, Server};

const READER: Uid = Uid(2);
const SENDER: Uid = Uid(1);
const NOW: u64 = 1_000;
/// Answers to this process go nowhere.
const NOBODY: u64 = u64::MAX;

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The sender's next message reaches the committer.
    Send,
    /// The committer commits and flushes what waits first.
    Commit,
    /// It publishes that.
    Publish,
    /// The reader threads read a page.
    Read,
    /// The device opens its letters.
    Open,
    /// This script of the scenario goes on.
    Script(usize),
}

/// What the reader's side does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Connect(Epoch),
    Closed(Epoch),
    AckUpTo(Epoch, Seq),
    AckSeq(Epoch, Seq),
    /// An acknowledgement as text, of the row with this number.
    AckText(Epoch, Seq),
    /// Another device of the reader acknowledges a row.
    OtherAcks(&'static str, Seq),
}

struct Scenario {
    waiting: u64,
    arriving: u64,
    window: usize,
    /// Devices of the reader that are known from the beginning.
    known: &'static [&'static str],
    /// The device that connects.
    did: &'static str,
    /// Each goes on at any time, one act after the other.
    scripts: &'static [&'static [Act]],
}

/// One device that is known, and everything it does in one order.
const PLAIN: Scenario = Scenario {
    waiting: 0,
    arriving: 0,
    window: 8,
    known: &["phone"],
    did: "phone",
    scripts: &[],
};

struct World<'a> {
    engine: Arc<MemoryEngine>,
    server: Server,
    serial: u64,
    did: Did,
    scenario: &'a Scenario,
    sent: u64,
    done: Vec<usize>,
    /// Everything that was said, in order.
    said: Vec<(Epoch, Event)>,
    /// Every request that was committed, in order.
    committed: Vec<Op>,
    /// What was acknowledged on a connection that had been sent it.
    acked: BTreeSet<Seq>,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> World<'a> {
        let engine = Arc::new(MemoryEngine::new());
        ledger::prepare(&*engine).unwrap();
        let policy = Policy {
            bounds: Bounds {
                max_messages: 100,
                max_devices: 10,
                forget_ms: 1 << 40,
            },
            ttl_ms: 1 << 40,
            people: People::DEFAULT,
        };
        let rules = Rules {
            deliver_window: scenario.window,
            send_window: 8,
            page_bytes: 1 << 20,
            token_notice_ms: 0,
            read_retry_ms: 0,
            retry_ms: 0,
            seen_every_ms: 1 << 40,
            ttl_ms: 1 << 40,
            write_deadline_ms: u64::MAX,
            silence_ms: u64::MAX,
        };
        let mut ledger = Ledger::new(engine.clone(), policy);
        // A device that is known is owed its rows, whatever happens to a connection.
        for did in scenario.known {
            ledger.commit(NOW, [&attach(did)]).unwrap();
        }
        for n in 1..=scenario.waiting {
            ledger.commit(NOW, [&message(n)]).unwrap();
        }
        engine.flush().unwrap();
        let mut server = Server::new(ledger, rules, mailroom::Bounds::default());
        let did = Did::parse(scenario.did).unwrap();
        let serial = server.process(READER, &did, 1);
        World {
            engine,
            server,
            serial,
            did,
            scenario,
            sent: 0,
            done: vec![0; scenario.scripts.len()],
            said: Vec::new(),
            committed: Vec::new(),
            acked: BTreeSet::new(),
        }
    }

    fn enabled(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.sent < self.scenario.arriving {
            steps.push(Step::Send);
        }
        match self.server.flushing {
            Some(_) => steps.push(Step::Publish),
            None if !self.server.requests.is_empty() => steps.push(Step::Commit),
            None => {}
        }
        if !self.server.reads.is_empty() {
            steps.push(Step::Read);
        }
        if self.server.procs.get(&self.serial).is_some_and(|p| p.woken) {
            steps.push(Step::Open);
        }
        for (n, script) in self.scenario.scripts.iter().enumerate() {
            let act = script.get(self.done[n]);
            if act.is_some_and(|act| self.is_ready_for(*act)) {
                steps.push(Step::Script(n));
            }
        }
        steps
    }

    /// A client acknowledges what it has got, and its socket ends after it was made.
    fn is_ready_for(&self, act: Act) -> bool {
        let proc = self.server.procs.get(&self.serial);
        match act {
            Act::AckUpTo(epoch, seq) | Act::AckSeq(epoch, seq) | Act::AckText(epoch, seq) => {
                self.delivered(epoch).contains(&seq)
            }
            Act::Closed(epoch) => proc.is_some_and(|proc| proc.lines.contains_key(&epoch)),
            Act::Connect(_) | Act::OtherAcks(..) => true,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Send => {
                self.sent += 1;
                let op = message(self.scenario.waiting + self.sent);
                self.server.requests.push_back((NOBODY, Ticket::Seen, op));
            }
            Step::Commit => {
                let (serial, ticket, op) = self.server.requests.pop_front().unwrap();
                let done = self.server.ledger.commit(NOW, [&op]).unwrap();
                self.engine.flush().unwrap();
                self.committed.push(op);
                self.server.flushing = Some(Batch {
                    askers: vec![(serial, ticket)],
                    ops: Vec::new(),
                    at: NOW,
                    done,
                    flushed: true,
                    refused: false,
                });
            }
            Step::Publish => {
                let batch = self.server.flushing.take().unwrap();
                self.server.publish(batch.askers, batch.done);
            }
            Step::Read => {
                let (serial, ticket, read) = self.server.reads.remove(0);
                let found = ledger::found(&*self.engine, &read, NOW, 0, 0).unwrap();
                self.server.found(serial, ticket, Ok(found));
            }
            Step::Open => {
                let proc = self.server.procs.get_mut(&self.serial).unwrap();
                let letters = proc.collect();
                mailroom::open(letters, &mut proc.machine, NOW, |_, _| {
                    panic!("nobody sends signals here");
                });
                self.settle();
            }
            Step::Script(n) => {
                let act = self.scenario.scripts[n][self.done[n]];
                self.done[n] += 1;
                self.act(act);
            }
        }
    }

    fn act(&mut self, act: Act) {
        let Some(proc) = self.server.procs.get_mut(&self.serial) else {
            return;
        };
        let did = self.did.clone();
        match act {
            Act::Connect(epoch) => {
                proc.lines.insert(epoch, Line::default());
                proc.machine.connect(epoch, Pass::until(u64::MAX));
            }
            Act::Closed(epoch) => {
                proc.machine.closed(epoch);
                proc.lines.remove(&epoch);
            }
            Act::AckUpTo(epoch, seq) => self.ack(epoch, Ack::UpTo(seq), 1..=seq),
            Act::AckSeq(epoch, seq) => self.ack(epoch, Ack::Seqs(vec![seq]), seq..=seq),
            Act::AckText(epoch, seq) => {
                let id = id(seq);
                self.ack(epoch, Ack::Id { id, did }, seq..=seq);
            }
            Act::OtherAcks(did, seq) => {
                let op = Op::Ack {
                    reader: READER,
                    did: Did::parse(did).unwrap(),
                    seqs: Ranges::span(seq, seq),
                };
                self.server.requests.push_back((NOBODY, Ticket::Seen, op));
            }
        }
        self.settle();
    }

    fn ack(&mut self, epoch: Epoch, ack: Ack, of: std::ops::RangeInclusive<Seq>) {
        let delivered = self.delivered(epoch);
        let Some(proc) = self.server.procs.get_mut(&self.serial) else {
            return;
        };
        // An acknowledgement on a socket that has ended reaches nobody.
        if proc.lines.contains_key(&epoch) {
            self.acked.extend(of.filter(|seq| delivered.contains(seq)));
            proc.machine.command(NOW, epoch, Command::Ack(ack));
        }
    }

    fn settle(&mut self) {
        loop {
            let Some(proc) = self.server.procs.get_mut(&self.serial) else {
                return;
            };
            let Some(effect) = proc.machine.next_effect() else {
                // The adapter takes what there is, and says so if the machine waits for it.
                let starved = proc.machine.starved().is_some();
                for (epoch, line) in &mut proc.lines {
                    while line.frames.take().is_some() {}
                    proc.machine.taken(*epoch, line.outbox.taken());
                }
                if !starved {
                    return;
                }
                proc.machine.alive();
                continue;
            };
            match effect {
                Effect::Push { epoch, event } => self.say(epoch, event),
                Effect::Notify { epoch, notice } => {
                    let event = Event::Notice {
                        id: id(0),
                        to: READER,
                        notice,
                        server_ts: NOW,
                    };
                    self.say(epoch, event);
                }
                Effect::Close { epoch, close } => self.say(epoch, Event::Close(close)),
                Effect::Submit { op, ticket } => {
                    self.server.requests.push_back((self.serial, ticket, op));
                }
                Effect::Read { read, ticket } => {
                    let look = Look::Rows(read);
                    self.server.reads.push((self.serial, ticket, look));
                }
                Effect::Register(epoch) => {
                    let registry = &self.server.registry;
                    registry.register(READER, &self.did, self.serial, epoch);
                }
                Effect::Unregister(epoch) => {
                    self.server.registry.unregister(READER, &self.did, epoch);
                }
                Effect::Stop => self.server.end(self.serial),
                _ => {}
            }
        }
    }

    fn say(&mut self, epoch: Epoch, event: Event) {
        let Some(proc) = self.server.procs.get_mut(&self.serial) else {
            return;
        };
        // What leaves for a socket that has ended is heard by nobody.
        if let Some(line) = proc.lines.get_mut(&epoch) {
            line.outbox.push(event.clone());
            self.said.push((epoch, event));
        }
    }

    fn delivered(&self, epoch: Epoch) -> Vec<Seq> {
        let said = self.said.iter().filter(|(on, _)| *on == epoch);
        said.filter_map(|(_, event)| match event {
            Event::Deliver(row) => Some(row.seq),
            _ => None,
        })
        .collect()
    }

    /// How many processes commits are announced to, and how many there are.
    fn registered(&self) -> (usize, usize) {
        let mut announced = 0;
        self.server.registry.lookup(READER, |_| announced += 1);
        (announced, self.server.registry.all().len())
    }

    /// What the store has of this device's acknowledgements.
    fn stored_acks(&mut self) -> Ranges {
        let done = self.server.ledger.commit(NOW, [&attach(self.scenario.did)]);
        match &done.unwrap().answers[0] {
            Answer::Attached(attached) => attached.acks.clone(),
            answer => panic!("{answer:?}"),
        }
    }

    /// Every message whose acknowledgement was confirmed, with the place of its confirmation in what was said.
    fn confirmed(&self) -> BTreeMap<Seq, usize> {
        let mut confirmed = BTreeMap::new();
        for (at, (epoch, event)) in self.said.iter().enumerate() {
            let covered: Vec<Seq> = match event {
                Event::AckOk(Ack::Seqs(seqs)) => seqs.clone(),
                Event::AckOk(Ack::UpTo(up_to)) => {
                    let mut sent = self.delivered(*epoch);
                    sent.retain(|seq| seq <= up_to);
                    sent
                }
                Event::AckOk(Ack::Id { id: of, .. }) => (1..10).filter(|n| id(*n) == *of).collect(),
                _ => Vec::new(),
            };
            for seq in covered {
                confirmed.entry(seq).or_insert(at);
            }
        }
        confirmed
    }
}

fn id(n: u64) -> MsgId {
    MsgId::parse(&format!("m{n}")).unwrap()
}

fn attach(did: &str) -> Op {
    Op::Attach {
        uid: READER,
        did: Did::parse(did).unwrap(),
        online: Vec::new(),
        issued_ms: None,
    }
}

fn message(n: u64) -> Op {
    let draft = Draft {
        id: id(n),
        to: Chat::User(READER),
        payload: "{}".into(),
        created_at: None,
        expires_at: None,
    };
    Op::Append(draft.signed_by(SENDER, None))
}

/// Takes every order of a scenario and shows each end to `check`; returns how many there were.
fn explore(scenario: &Scenario, check: impl Fn(&mut World<'_>)) -> u64 {
    let orders = paths::explore(|path, taken| {
        let mut world = World::new(scenario);
        loop {
            let steps = world.enabled();
            if steps.is_empty() {
                break;
            }
            let step = steps[path.choose(steps.len())];
            taken.push(step);
            world.take(step);
        }
        check(&mut world);
    });
    println!("{orders} orders");
    orders
}

fn all(scenario: &Scenario) -> Vec<Seq> {
    (1..=scenario.waiting + scenario.arriving).collect()
}

#[test]
fn a_reader_who_logs_in_while_messages_arrive_gets_each_once_in_order() {
    for (waiting, arriving) in [(0, 3), (1, 2), (2, 2), (3, 1)] {
        let scenario = Scenario {
            waiting,
            arriving,
            scripts: &[&[Act::Connect(1)]],
            ..PLAIN
        };
        let orders = explore(&scenario, |world| {
            assert_eq!(world.delivered(1), all(&scenario));
        });
        assert!(orders > 20);
    }
}

#[test]
fn a_small_window_delays_and_never_skips() {
    for (waiting, window) in [(1, 1), (2, 2)] {
        let scenario = Scenario {
            waiting,
            arriving: 1,
            window,
            scripts: &[&[Act::Connect(1), Act::AckUpTo(1, 1)]],
            ..PLAIN
        };
        explore(&scenario, |world| {
            assert_eq!(world.delivered(1), all(&scenario));
        });
    }
}

#[test]
fn a_connection_that_replaces_another_gets_everything_that_was_not_acknowledged() {
    let scenario = Scenario {
        waiting: 1,
        arriving: 1,
        scripts: &[&[Act::Connect(1), Act::Connect(2), Act::Closed(1)]],
        ..PLAIN
    };
    explore(&scenario, |world| {
        assert_eq!(world.delivered(2), all(&scenario));
        assert_eq!(
            world.registered(),
            (1, 1),
            "the old connection's end does not unregister the new one"
        );
    });
}

/// What holds wherever in an exchange a connection was replaced: the old one was told, no acknowledgement was lost,
/// nothing that was confirmed came again, and the rest came on the new one.
fn check_replacement(world: &mut World<'_>) {
    let closed = world
        .said
        .iter()
        .any(|(epoch, event)| *epoch == 1 && matches!(event, Event::Close(Close::Replaced)));
    assert!(closed, "the old socket is closed with 4008");
    for (seq, at) in world.confirmed() {
        let after = &world.said[at..];
        let again = after
            .iter()
            .any(|(_, event)| matches!(event, Event::Deliver(row) if row.seq == seq));
        assert!(!again, "row {seq} came again after its confirmation");
    }
    let delivered = world.delivered(2);
    assert!(delivered.is_sorted(), "{delivered:?}");
    let stored = world.stored_acks();
    for seq in &world.acked {
        assert!(stored.contains(*seq), "the ack of row {seq} is lost");
    }
    for seq in all(world.scenario) {
        assert!(
            stored.contains(seq) || delivered.contains(&seq),
            "row {seq} is owed and was not sent on the new connection"
        );
        assert!(world.acked.contains(&seq) || !stored.contains(seq));
    }
}

#[test]
fn a_replacement_at_any_point_loses_no_ack_and_repeats_nothing_confirmed() {
    let scenarios: [&'static [&'static [Act]]; 4] = [
        &[
            &[Act::Connect(1), Act::Connect(2)],
            &[Act::AckSeq(1, 1)],
            &[Act::AckUpTo(2, 1)],
        ],
        &[
            &[Act::Connect(1), Act::Connect(2)],
            &[Act::AckText(1, 1)],
            &[Act::AckText(2, 1)],
        ],
        &[
            &[Act::Connect(1), Act::Connect(2)],
            &[Act::AckUpTo(1, 1), Act::AckSeq(1, 1)],
        ],
        &[
            &[Act::Connect(1), Act::Connect(2), Act::Closed(1)],
            &[Act::AckText(1, 1)],
        ],
    ];
    for scripts in scenarios {
        let scenario = Scenario {
            waiting: 1,
            scripts,
            ..PLAIN
        };
        explore(&scenario, |world| {
            check_replacement(world);
            assert_eq!(world.registered(), (1, 1));
        });
    }
    let scenario = Scenario {
        waiting: 1,
        arriving: 1,
        scripts: &[&[Act::Connect(1), Act::Connect(2)], &[Act::AckUpTo(1, 1)]],
        ..PLAIN
    };
    explore(&scenario, check_replacement);
}

#[test]
fn two_connections_that_end_in_any_order_leave_no_ghost_behind() {
    let scenario = Scenario {
        waiting: 1,
        scripts: &[
            &[Act::Connect(1), Act::Connect(2)],
            &[Act::Closed(1)],
            &[Act::Closed(2)],
        ],
        ..PLAIN
    };
    explore(&scenario, |world| {
        // A connection that came after its process had ended has another process, which is not there to see.
        if world.server.procs.is_empty() {
            assert_eq!(world.registered(), (0, 0));
        }
    });
}

#[test]
fn an_ack_on_the_old_connection_counts_while_a_new_one_takes_its_place() {
    let scenario = Scenario {
        waiting: 2,
        arriving: 1,
        scripts: &[&[Act::Connect(1), Act::Connect(2), Act::AckUpTo(1, 2)]],
        ..PLAIN
    };
    explore(&scenario, |world| {
        let first: BTreeSet<Seq> = world.delivered(1).into_iter().collect();
        let second: BTreeSet<Seq> = world.delivered(2).into_iter().collect();
        // Where nothing was sent before the replacement, there is no late acknowledgement.
        let owed = if first.contains(&2) { 3..=3 } else { 1..=3 };
        assert!(
            owed.clone().all(|seq| second.contains(&seq)),
            "{owed:?} in {second:?}"
        );
    });
}

/// A new device gets what nobody had acknowledged when it became known, whoever acknowledges it afterwards, and
/// nothing that somebody had.
fn check_new_device(world: &World<'_>) {
    let is_attach = |op: &Op| matches!(op, Op::Attach { .. });
    let known_at = world.committed.iter().position(is_attach).unwrap();
    let mut had = Ranges::new();
    for op in &world.committed[..known_at] {
        if let Op::Ack { seqs, .. } = op {
            had.union(seqs);
        }
    }
    let owed: Vec<Seq> = all(world.scenario)
        .into_iter()
        .filter(|seq| !had.contains(*seq))
        .collect();
    assert_eq!(world.delivered(1), owed);
}

#[test]
fn a_new_third_device_begins_behind_what_any_other_has_wherever_the_holes_are() {
    let scenarios: [(u64, u64, &'static [&'static [Act]]); 3] = [
        // Rows that one device has, that the other has, and that none has.
        (
            4,
            0,
            &[
                &[Act::Connect(1)],
                &[Act::OtherAcks("phone", 2)],
                &[Act::OtherAcks("web", 3)],
            ],
        ),
        (2, 1, &[&[Act::Connect(1)], &[Act::OtherAcks("phone", 2)]]),
        (3, 1, &[&[Act::Connect(1)]]),
    ];
    for (waiting, arriving, scripts) in scenarios {
        let scenario = Scenario {
            waiting,
            arriving,
            known: &["phone", "web"],
            did: "tablet",
            scripts,
            ..PLAIN
        };
        explore(&scenario, |world| check_new_device(world));
    }
}
