//! The process of one message on its way to one device: it walks the schedule and is gone.

use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};
use tokio::time::Instant;

use crate::machine::delivery::Delivery as Machine;
use crate::machine::device::Slot;
use crate::machine::schedule::Schedule;
use crate::metrics::Counted;

use super::device::{Device, Resend};

/// Started by its device on the device's own thread, after the first copy has left.
#[derive(Debug)]
pub struct Delivery {
    machine: Machine,
    slot: Slot,
    device: Addr<Device>,
    started: Instant,
    _counted: Counted,
}

/// The delivery is over: acknowledged, or its connection has ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Halt;

impl Delivery {
    /// A delivery whose first copy leaves now.
    pub fn new(slot: Slot, schedule: Schedule, device: Addr<Device>, counted: Counted) -> Delivery {
        Delivery {
            machine: Machine::after_first(schedule),
            slot,
            device,
            started: Instant::now(),
            _counted: counted,
        }
    }

    /// Arms the timer for the next copy; without one the process ends.
    fn arm(&self, ctx: &mut Context<Self>) {
        let Some(due) = self.machine.due() else {
            return ctx.stop();
        };
        let wait = Duration::from_millis(due).saturating_sub(self.started.elapsed());
        ctx.run_later(wait, |delivery, ctx| delivery.fire(ctx));
    }

    fn fire(&mut self, ctx: &mut Context<Self>) {
        // A dead device takes its deliveries with it; the row waits.
        if !self.device.connected() {
            return ctx.stop();
        }
        let elapsed = self.started.elapsed().as_millis() as u64;
        if let Some(attempt) = self.machine.fire(elapsed) {
            // One message per copy, and a device has a window of deliveries: bounded without the mailbox's help.
            self.device.do_send(Resend {
                slot: self.slot,
                last: attempt.last,
            });
        }
        self.arm(ctx);
    }
}

impl Actor for Delivery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.arm(ctx);
    }
}

impl Handler<Halt> for Delivery {
    type Result = ();

    fn handle(&mut self, _: Halt, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
