//! The process of one message on its way to one device: it walks the schedule and is gone.
//!
//! There is one for every message that is not acknowledged, and most of them live for a millisecond. So it is a task with
//! one timer, linked to its device, which has nothing to say to it but that it is over: a context and a mailbox as devices
//! have them would cost more than the rest of the delivery.

use std::time::Duration;

use actix::Addr;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::machine::delivery::Delivery as Machine;
use crate::machine::device::Slot;
use crate::machine::schedule::Schedule;
use crate::metrics::Counted;

use super::device::{Device, Resend};

/// What walks.
#[derive(Debug)]
pub struct Delivery {
    machine: Machine,
    slot: Slot,
    device: Addr<Device>,
    started: Instant,
    _counted: Counted,
}

/// The way to a living delivery, for the device that is linked to it: without it the delivery ends.
#[derive(Debug)]
pub struct Link(JoinHandle<()>);

impl Delivery {
    /// Starts a delivery whose first copy left at `started`, on the thread of its device.
    pub fn start(
        slot: Slot,
        schedule: Schedule,
        device: Addr<Device>,
        counted: Counted,
        started: Instant,
    ) -> Link {
        let delivery = Delivery {
            machine: Machine::after_first(schedule),
            slot,
            device,
            started,
            _counted: counted,
        };
        Link(actix::spawn(delivery.walk()))
    }

    async fn walk(mut self) {
        while let Some(due) = self.machine.due() {
            sleep_until(self.started + Duration::from_millis(due)).await;
            let elapsed = self.started.elapsed().as_millis() as u64;
            if let Some(attempt) = self.machine.fire(elapsed) {
                // One message per copy, and a device has a window of deliveries: bounded without the mailbox's help.
                self.device.do_send(Resend {
                    slot: self.slot,
                    last: attempt.last,
                });
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.0.abort();
    }
}
