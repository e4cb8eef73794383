//! From the committer to the devices: answers to who asked, news to whom they concern, one wake-up for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::code::Code;
use crate::id::{Did, Uid};
use crate::machine::device::{ReadTicket, Ticket};
use crate::machine::schedule::Schedule;
use crate::message::chat::Chat;
use crate::message::look::Found;
use crate::message::trace::Step;
use crate::message::{Answer, Event, Fault, Row, Signal, What};
use crate::metrics::Metrics;
use crate::store::committer::Outlet;
use crate::store::ledger::News;
use crate::store::reader::FoundOutlet;

use super::diary::Diary;
use super::events::Horizon;
use super::mailroom::{Addressee, DeviceRef, Letter};
use super::registry::{Member, Registry};

/// Who asked the committer.
#[derive(Debug)]
pub enum Asker {
    /// A device, and what it said the answer is for.
    Device {
        /// The device.
        device: DeviceRef,
        /// Goes back with the answer.
        ticket: Ticket,
        /// When it asked.
        at: Instant,
    },
    /// A request that waits, such as one over HTTP.
    Waiting(oneshot::Sender<Answer>),
}

/// Publishes commits.
#[derive(Debug)]
pub struct Dispatch {
    registry: Arc<Registry<DeviceRef>>,
    metrics: Metrics,
    diary: Diary,
    horizon: Horizon,
    touched: Vec<DeviceRef>,
}

impl Dispatch {
    /// Publishes to the devices of this registry.
    pub fn new(registry: Arc<Registry<DeviceRef>>, metrics: Metrics, diary: Diary) -> Dispatch {
        Dispatch::with_events(registry, metrics, diary, Horizon::default())
    }

    /// The same, and says how far events are durable.
    pub fn with_events(
        registry: Arc<Registry<DeviceRef>>,
        metrics: Metrics,
        diary: Diary,
        horizon: Horizon,
    ) -> Dispatch {
        Dispatch {
            registry,
            metrics,
            diary,
            horizon,
            touched: Vec::new(),
        }
    }

    /// Writes down who has been accepted and acknowledged.
    fn note(&self, news: &[News]) {
        for item in news {
            match item {
                // What is told of a message, and copies of it, have no life of their own.
                News::Row(row) if row.what == What::Message => {
                    let (id, from) = (row.id(), Some(row.message.from));
                    let step = Step::Accepted { seq: row.seq };
                    self.diary.message(row.since, id, from, row.reader, step);
                }
                News::Receipt(receipt) => {
                    let (id, from) = (&receipt.id, Some(receipt.sender));
                    let did = receipt.did.clone();
                    let (at_ms, to) = (receipt.server_ts, receipt.reader);
                    self.diary.message(at_ms, id, from, to, Step::Acked { did });
                }
                _ => {}
            }
        }
    }
}

impl Outlet<Asker> for Dispatch {
    fn publish(&mut self, answers: Vec<(Asker, Answer)>, news: Vec<News>) {
        if self.diary.is_kept() {
            self.note(&news);
        }
        let touched = &mut self.touched;
        let mut leave = |device: &DeviceRef, letter| {
            if device.leave(letter) {
                touched.push(device.clone());
            }
        };
        let now = Instant::now();
        let mut requests = Vec::new();
        for (asker, answer) in answers {
            match asker {
                Asker::Device { device, ticket, at } => {
                    if matches!(answer, Answer::Accepted(_)) {
                        self.metrics
                            .answered_accept(now.saturating_duration_since(at));
                    }
                    leave(&device, Letter::Answer(ticket, answer));
                }
                Asker::Waiting(waiting) => requests.push((waiting, answer)),
            }
        }
        let events = news.iter().filter_map(|news| match news {
            News::Events(last) => Some(*last),
            _ => None,
        });
        if let Some(last) = events.max() {
            self.horizon.reached(last);
        }
        let diary = &self.diary;
        let parked = route(&self.registry, news, leave, |row| {
            let (id, from) = (row.id(), Some(row.message.from));
            diary.message(row.since, id, from, row.reader, Step::Alone);
        });
        self.metrics.parked(parked);
        for device in touched.drain(..) {
            device.wake();
        }
        // Last: who hears of a commit may count on its news having been left with the devices.
        for (waiting, answer) in requests {
            // Whoever asked may have gone.
            drop(waiting.send(answer));
        }
    }
}

/// Hands news to the devices they concern, in the order of the commits; shows the rows that found nobody, and returns how
/// many they are.
pub fn route<M: Member>(
    registry: &Registry<M>,
    news: Vec<News>,
    mut leave: impl FnMut(&M, Letter),
    mut alone: impl FnMut(&Row),
) -> u64 {
    let mut parked = 0;
    for item in news {
        match item {
            News::Row(row) => {
                let mut found = false;
                registry.lookup(row.reader, |device| {
                    found = true;
                    leave(device, Letter::Row(row.clone()));
                });
                if !found && row.what == What::Message {
                    parked += 1;
                    alone(&row);
                }
            }
            News::Head { uid, head } => {
                registry.lookup(uid, |device| leave(device, Letter::Head(head)));
            }
            News::Receipt(receipt) => registry.lookup(receipt.sender, |device| {
                leave(device, Letter::Receipt(receipt.clone()));
            }),
            News::Counted(counted) => registry.lookup(counted.sender, |device| {
                leave(device, Letter::Counted(counted.clone()));
            }),
            News::Withdrawn { uid, seqs } => registry.lookup(uid, |device| {
                leave(device, Letter::Withdrawn(seqs.clone()));
            }),
            News::Read {
                chat,
                by,
                peer,
                up_to,
                server_ts,
            } => {
                let mut tell = |to: Uid, but: Option<&Did>| {
                    registry.lookup_but(to, but, |device| {
                        let event = Event::Read {
                            chat,
                            by: by.uid,
                            to,
                            up_to,
                            server_ts,
                        };
                        leave(device, Letter::Mention(event));
                    });
                };
                // The device that said so has its answer.
                tell(by.uid, by.did.as_ref());
                if let Some(peer) = peer {
                    tell(peer, None);
                }
            }
            News::Typing {
                readers,
                from,
                chat,
            } => {
                for reader in readers {
                    let to = match chat {
                        Chat::User(_) => Chat::User(reader),
                        group => group,
                    };
                    registry.lookup(reader, |device| {
                        let event = Event::Typing { from, to };
                        leave(device, Letter::Mention(event));
                    });
                }
            }
            // For the webhook's sender, which is no device.
            News::Events(_) => {}
            News::Passed { uid, did, seqs } => {
                if let Some(device) = registry.device(uid, &did) {
                    leave(&device, Letter::Withdrawn(seqs));
                }
            }
            News::Lagging { uid, did } => {
                if let Some(device) = registry.device(uid, &did) {
                    leave(&device, Letter::Lagging);
                }
            }
            News::Forgotten { uid, did } => {
                if let Some(device) = registry.device(uid, &did) {
                    leave(&device, Letter::Forgotten);
                }
            }
            News::Restricted { uid, access } => {
                for device in registry.of_user(uid) {
                    leave(&device, Letter::Restricted(access.clone()));
                }
            }
        }
    }
    parked
}

/// Who asked the readers.
#[derive(Debug)]
pub enum Looker {
    /// A device, and what it said the answer is for.
    Device(DeviceRef, ReadTicket),
    /// A request that waits, such as one over HTTP.
    Waiting(oneshot::Sender<Result<Found, Fault>>),
}

/// Hands what was found to those who asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Pages;

impl FoundOutlet<Looker> for Pages {
    fn found(&self, looker: Looker, found: Option<Found>) {
        match looker {
            Looker::Device(device, ticket) => {
                device.post(Letter::Found(ticket, found.ok_or(Code::Storage)));
            }
            // Whoever asked may have gone.
            Looker::Waiting(waiting) => {
                let found = found.ok_or_else(|| Fault::new(Code::Storage));
                drop(waiting.send(found));
            }
        }
    }
}

/// A signal on its way to several devices. When the last of them is done with it and none has acknowledged it, its
/// sender hears of that, also when a device dies with it.
#[derive(Debug)]
pub struct Trip {
    signal: Arc<Signal>,
    /// Who hears of a failure.
    origin: Option<Box<dyn Addressee>>,
    /// When its copies leave, if not as those of everything else.
    schedule: Option<Schedule>,
    settled: AtomicBool,
}

impl Trip {
    /// A signal whose sender hears of a failure through `origin`.
    pub fn from_device(signal: Arc<Signal>, origin: impl Addressee + 'static) -> Trip {
        Trip {
            signal,
            origin: Some(Box::new(origin)),
            schedule: None,
            settled: AtomicBool::new(false),
        }
    }

    /// A signal of an operator, whose copies leave by this schedule.
    pub fn from_operator(signal: Arc<Signal>, schedule: Schedule) -> Trip {
        Trip {
            signal,
            origin: None,
            schedule: Some(schedule),
            settled: AtomicBool::new(false),
        }
    }

    /// When its copies leave, if not as those of everything else.
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// The signal.
    pub fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Its sender has heard of its end, or need not.
    pub fn settle(&self) {
        self.settled.store(true, Ordering::Release);
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        if !self.settled.load(Ordering::Acquire)
            && let Some(origin) = &self.origin
        {
            origin.post(Letter::SignalFailed(self.signal.clone()));
        }
    }
}
