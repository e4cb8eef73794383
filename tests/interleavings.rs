//! Logins against arriving messages, at every interleaving of the steps between them.
//!
//! Sender, committer, publication, reader thread and device each take one step at a time; every order that the real
//! threads could take is taken once.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, dead_code)]

#[path = "sim/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::sync::Arc;

use yizhan::actor::mailroom::Letter;
use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::machine::device::{Effect, Epoch, Rules, Ticket};
use yizhan::machine::inbox::Bounds;
use yizhan::message::{Ack, Command, Draft, Event, Kind, Op};
use yizhan::store::Engine;
use yizhan::store::ledger::{self, Ledger, Policy};
use yizhan::store::memory::MemoryEngine;

use server::{Batch, Outbox, Server};

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
    /// The script of the scenario goes on.
    Script,
}

/// What the reader's side does, one after the other, at any time.
#[derive(Clone, Copy, Debug)]
enum Act {
    Connect(Epoch),
    Closed(Epoch),
    AckUpTo(Epoch, Seq),
}

struct Scenario {
    waiting: u64,
    arriving: u64,
    window: usize,
    script: &'static [Act],
}

struct World<'a> {
    engine: Arc<MemoryEngine>,
    server: Server,
    serial: u64,
    scenario: &'a Scenario,
    sent: u64,
    done: usize,
}

/// Follows one order and notes where another could have been taken.
struct Path {
    choices: Vec<(usize, usize)>,
    at: usize,
}

impl Path {
    fn choose(&mut self, options: usize) -> usize {
        if self.at == self.choices.len() {
            self.choices.push((0, options));
        }
        let (choice, known) = self.choices[self.at];
        assert_eq!(known, options, "the same order leads to the same place");
        self.at += 1;
        choice
    }

    /// Turns to the next order; false after the last.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, options)) = self.choices.pop() {
            if choice + 1 < options {
                self.choices.push((choice + 1, options));
                return true;
            }
        }
        false
    }
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
        };
        let rules = Rules {
            deliver_window: scenario.window,
            send_window: 8,
            page_bytes: 1 << 20,
            token_notice_ms: 0,
            read_retry_ms: 0,
            retry_ms: 0,
            seen_every_ms: 1 << 40,
            write_deadline_ms: u64::MAX,
            silence_ms: u64::MAX,
        };
        let mut ledger = Ledger::new(engine.clone(), policy);
        // The device is known, so that whatever happens to a connection its rows are owed.
        let did = Did::parse("phone").unwrap();
        ledger
            .commit(
                NOW,
                [&Op::Attach {
                    uid: READER,
                    did: did.clone(),
                    online: Vec::new(),
                }],
            )
            .unwrap();
        for n in 1..=scenario.waiting {
            ledger.commit(NOW, [&message(n)]).unwrap();
        }
        engine.flush().unwrap();
        let mut server = Server::new(ledger, rules);
        let serial = server.process(READER, &did, 1);
        World {
            engine,
            server,
            serial,
            scenario,
            sent: 0,
            done: 0,
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
        if self.done < self.scenario.script.len()
            && self.is_ready_for(self.scenario.script[self.done])
        {
            steps.push(Step::Script);
        }
        steps
    }

    /// A client acknowledges what it has got.
    fn is_ready_for(&self, act: Act) -> bool {
        match act {
            Act::AckUpTo(epoch, seq) => self.delivered(epoch).contains(&seq),
            Act::Connect(_) | Act::Closed(_) => true,
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
                let asked = self.server.requests.pop_front().unwrap();
                let done = self.server.ledger.commit(NOW, [&asked.2]).unwrap();
                self.engine.flush().unwrap();
                self.server.flushing = Some(Batch {
                    askers: vec![asked],
                    done,
                });
            }
            Step::Publish => {
                let batch = self.server.flushing.take().unwrap();
                self.server.publish(batch);
            }
            Step::Read => {
                let (serial, ticket, read) = self.server.reads.remove(0);
                let page = ledger::read_page(&*self.engine, &read, 0).unwrap();
                self.server.page(serial, ticket, Ok(page));
            }
            Step::Open => self.open(),
            Step::Script => {
                let act = self.scenario.script[self.done];
                self.done += 1;
                self.act(act);
            }
        }
    }

    fn act(&mut self, act: Act) {
        let proc = self.server.procs.get_mut(&self.serial).unwrap();
        match act {
            Act::Connect(epoch) => {
                proc.outboxes.insert(epoch, Outbox::default());
                proc.machine.connect(epoch, u64::MAX);
            }
            Act::Closed(epoch) => proc.machine.closed(epoch),
            Act::AckUpTo(epoch, seq) => {
                proc.machine
                    .command(NOW, epoch, Command::Ack(Ack::UpTo(seq)));
            }
        }
        self.settle();
    }

    fn open(&mut self) {
        let proc = self.server.procs.get_mut(&self.serial).unwrap();
        proc.woken = false;
        for letter in std::mem::take(&mut proc.letters) {
            match letter {
                Letter::Answer(ticket, answer) => proc.machine.answered(NOW, ticket, answer),
                Letter::Page(ticket, page) => proc.machine.page(NOW, ticket, page),
                Letter::Row(row) => proc.machine.hint(row.seq, vec![row]),
                Letter::Head(head) => proc.machine.hint(head, Vec::new()),
                other => panic!("nobody sends {other:?} here"),
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let proc = self.server.procs.get_mut(&self.serial).unwrap();
            let Some(effect) = proc.machine.next_effect() else {
                // The adapter takes what there is, and says so if the machine waits for it.
                let starved = proc.machine.starved().is_some();
                for (epoch, outbox) in &proc.outboxes {
                    proc.machine.taken(*epoch, outbox.taken);
                }
                if !starved {
                    return;
                }
                proc.machine.alive();
                continue;
            };
            match effect {
                Effect::Push { epoch, event } => {
                    let outbox = proc.outboxes.get_mut(&epoch).unwrap();
                    outbox.queue.push_back(event);
                    outbox.taken += 1;
                }
                Effect::Notify { epoch, .. } => {
                    proc.outboxes.get_mut(&epoch).unwrap().taken += 1;
                }
                Effect::Submit { op, ticket } => {
                    self.server.requests.push_back((self.serial, ticket, op));
                }
                Effect::Read { read, ticket } => {
                    self.server.reads.push((self.serial, ticket, read))
                }
                Effect::Register(epoch) => {
                    let did = Did::parse("phone").unwrap();
                    self.server
                        .registry
                        .register(READER, &did, self.serial, epoch);
                }
                Effect::Unregister(epoch) => {
                    let did = Did::parse("phone").unwrap();
                    self.server.registry.unregister(READER, &did, epoch);
                }
                _ => {}
            }
        }
    }

    fn delivered(&self, epoch: Epoch) -> Vec<Seq> {
        let proc = &self.server.procs[&self.serial];
        let outbox = proc.outboxes.get(&epoch);
        let events = outbox.into_iter().flat_map(|o| o.queue.iter());
        events
            .filter_map(|event| match event {
                Event::Deliver(row) => Some(row.seq),
                _ => None,
            })
            .collect()
    }
}

fn message(n: u64) -> Op {
    let draft = Draft {
        id: MsgId::parse(&format!("m{n}")).unwrap(),
        kind: Kind::C2c,
        to: READER,
        payload: "{}".into(),
        created_at: None,
    };
    Op::Append(draft.signed_by(SENDER))
}

/// Takes every order of a scenario and shows each end to `check`; returns how many there were.
fn explore(scenario: &Scenario, check: impl Fn(&World<'_>)) -> u64 {
    let mut path = Path {
        choices: Vec::new(),
        at: 0,
    };
    let mut orders = 0;
    loop {
        let mut world = World::new(scenario);
        let mut taken = Vec::new();
        loop {
            let steps = world.enabled();
            if steps.is_empty() {
                break;
            }
            let step = steps[path.choose(steps.len())];
            taken.push(step);
            world.take(step);
        }
        orders += 1;
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&world)));
        if let Err(panic) = ended {
            eprintln!("in this order: {taken:?}");
            std::panic::resume_unwind(panic);
        }
        if !path.next() {
            return orders;
        }
    }
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
            window: 8,
            script: &[Act::Connect(1)],
        };
        let orders = explore(&scenario, |world| {
            assert_eq!(world.delivered(1), all(&scenario));
        });
        println!("{waiting} waiting, {arriving} arriving: {orders} orders");
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
            script: &[Act::Connect(1), Act::AckUpTo(1, 1)],
        };
        let orders = explore(&scenario, |world| {
            assert_eq!(world.delivered(1), all(&scenario));
        });
        println!("{waiting} waiting, a window of {window}: {orders} orders");
    }
}

#[test]
fn a_connection_that_replaces_another_gets_everything_that_was_not_acknowledged() {
    let scenario = Scenario {
        waiting: 1,
        arriving: 1,
        window: 8,
        script: &[Act::Connect(1), Act::Connect(2), Act::Closed(1)],
    };
    let orders = explore(&scenario, |world| {
        assert_eq!(world.delivered(2), all(&scenario));
        let mut announced = 0;
        world.server.registry.lookup(READER, |_| announced += 1);
        assert_eq!(
            announced, 1,
            "the old connection's end does not unregister the new one"
        );
    });
    println!("{orders} orders");
}

#[test]
fn an_ack_on_the_old_connection_counts_while_a_new_one_takes_its_place() {
    let scenario = Scenario {
        waiting: 2,
        arriving: 1,
        window: 8,
        script: &[Act::Connect(1), Act::Connect(2), Act::AckUpTo(1, 2)],
    };
    let orders = explore(&scenario, |world| {
        let first: BTreeSet<Seq> = world.delivered(1).into_iter().collect();
        let second: BTreeSet<Seq> = world.delivered(2).into_iter().collect();
        // Where nothing was sent before the replacement, there is no late acknowledgement.
        let owed = if first.contains(&2) { 3..=3 } else { 1..=3 };
        assert!(
            owed.clone().all(|seq| second.contains(&seq)),
            "{owed:?} in {second:?}"
        );
    });
    println!("{orders} orders");
}
