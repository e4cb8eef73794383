//! What an operator asks of a device: a snapshot of it, and orders.

use std::sync::Arc;

use actix::{ActorContext, Context, Handler, Message};
use tokio::sync::oneshot;

use crate::machine::device::{Carried, Slot, View};
use crate::machine::ranges::Ranges;
use crate::message::trace::Cause;

use super::Device;

/// Asks how a device stands.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Look(pub oneshot::Sender<Snapshot>);

/// How a device and its deliveries stand.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The rules' view of it.
    pub view: View,
    /// What walks, in the order of the slots.
    pub deliveries: Vec<Flight>,
}

/// A delivery that walks.
#[derive(Clone, Debug)]
pub struct Flight {
    /// Its number as a process.
    pub number: u64,
    /// Its slot.
    pub slot: Slot,
    /// What it carries.
    pub carried: Carried,
    /// Copies that were due so far.
    pub attempts: u32,
    /// Copies of its schedule.
    pub of: usize,
    /// When the first copy left, Unix milliseconds.
    pub started_ms: u64,
    /// When the next one is due, Unix milliseconds; none after the last.
    pub next_ms: Option<u64>,
}

/// Tells a device to do something; hears when it is done.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Obey {
    /// What.
    pub order: Order,
    /// Dropped, or answered, when it is done.
    pub done: oneshot::Sender<()>,
}

/// What an operator may have a device do.
#[derive(Clone, Debug)]
pub enum Order {
    /// End every connection, with close code 4013.
    Kick,
    /// Send these rows anew, or all that are not acknowledged.
    Redeliver(Option<Ranges>),
    /// These rows have expired.
    Expired(Ranges),
    /// Write this frame to the client.
    Text(Arc<str>),
    /// End a delivery: what it carries is parked.
    Halt(Slot),
    /// Die: connections close with 4053, and what is not acknowledged waits.
    Die,
}

impl Device {
    fn snapshot(&self) -> Snapshot {
        let at = |instant| self.services.clock.ms_at(instant);
        let mut deliveries: Vec<Flight> = self
            .deliveries
            .iter()
            .filter_map(|(slot, running)| {
                let started_ms = at(running.started);
                let next = running.schedule.offset(running.attempts as usize);
                Some(Flight {
                    number: self.number_of(*slot)?,
                    slot: *slot,
                    carried: running.carried.clone(),
                    attempts: running.attempts,
                    of: running.schedule.len(),
                    started_ms,
                    next_ms: next.map(|offset| started_ms.saturating_add(offset)),
                })
            })
            .collect();
        deliveries.sort_by_key(|flight| flight.slot);
        Snapshot {
            view: self.machine.view(),
            deliveries,
        }
    }

    fn obey_order(&mut self, order: Order, ctx: &mut Context<Self>) {
        match order {
            Order::Kick => self.machine.kicked(),
            Order::Redeliver(rows) => self.machine.redeliver(rows.as_ref()),
            Order::Expired(rows) => self.machine.expired(&rows),
            Order::Text(text) => self.machine.text(text),
            Order::Halt(slot) => {
                if let Some(running) = self.deliveries.remove(&slot) {
                    self.note_parked(&running.carried, running.attempts, Cause::Operator);
                    if !self.trips.contains_key(&slot) {
                        self.services.metrics.parked(1);
                    }
                    self.machine.park(slot);
                }
            }
            Order::Die => ctx.stop(),
        }
    }
}

impl Handler<Look> for Device {
    type Result = ();

    fn handle(&mut self, Look(answer): Look, _: &mut Context<Self>) {
        self.catch_up();
        // Whoever asked may have gone.
        let _ = answer.send(self.snapshot());
    }
}

impl Handler<Obey> for Device {
    type Result = ();

    fn handle(&mut self, obey: Obey, ctx: &mut Context<Self>) {
        self.catch_up();
        let now = self.begin();
        self.obey_order(obey.order, ctx);
        self.settle(now, ctx);
        let _ = obey.done.send(());
    }
}
