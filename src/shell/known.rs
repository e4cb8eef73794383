//! Who has a number, how everybody stands, and orders to devices; all of it at the desk.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::actor::device::operator::{Flight, Obey, Order, Snapshot};
use crate::actor::mailroom::DeviceRef;
use crate::actor::processes::{Fact, Fixture, Process};
use crate::actor::registry::Member;
use crate::erl::function::Raised;
use crate::erl::term::Term;

use super::Call;
use super::observer::{Observed, Seen, look_at};

/// What is known of one process.
pub enum Known {
    /// A device.
    Device(Seen, Snapshot),
    /// A delivery that walks.
    Delivery(DeviceRef, Flight),
    /// Anything else.
    Fixture(Standing, Arc<dyn Fixture>),
}

/// How something that is neither stands: what it says takes locks of its own, so it is asked at the desk.
pub struct Standing {
    /// Its number.
    pub number: u64,
    /// What it is, in one word.
    pub kind: &'static str,
    /// The name that it is registered under.
    pub name: Option<String>,
    /// What it is for.
    pub label: String,
    /// The number of the process that started it.
    pub parent: Option<u64>,
    /// When it began, Unix milliseconds.
    pub since_ms: u64,
    /// What waits for it.
    pub mailbox: usize,
    /// What else there is to know of it.
    pub facts: Vec<(&'static str, Fact)>,
}

impl Standing {
    fn of(number: u64, fixture: &dyn Fixture) -> Standing {
        Standing {
            number,
            kind: fixture.kind(),
            name: fixture.name().map(str::to_string),
            label: fixture.label(),
            parent: fixture.parent(),
            since_ms: fixture.since_ms(),
            mailbox: fixture.mailbox(),
            facts: fixture.facts(),
        }
    }
}

/// Who has that number and lives.
pub fn find(call: &Call<'_>, number: u64) -> Result<Option<Known>, Raised> {
    let state = call.shell.state.clone();
    call.ask(async move {
        match state.services.processes.find(number)? {
            Process::Fixture(fixture) => {
                Some(Known::Fixture(Standing::of(number, &*fixture), fixture))
            }
            Process::Device(device) => {
                let snapshot = look_at(&device).await;
                let alive = device.is_alive();
                // One that is too busy to say how it stands is alive.
                alive.then(|| Known::Device(Seen::of(device), snapshot.unwrap_or_default()))
            }
            Process::Delivery { device, slot } => {
                let snapshot = look_at(&device).await?;
                let mut flights = snapshot.deliveries.into_iter();
                let flight = flights.find(|flight| flight.slot == slot)?;
                Some(Known::Delivery(device, flight))
            }
        }
    })
}

/// What is neither a device nor a delivery; and the devices, with what is on its way to them.
pub type Everything = (Vec<Standing>, Arc<Observed>);

/// Everything that runs, as it stood a moment ago at most.
pub fn everything(call: &Call<'_>) -> Result<Everything, Raised> {
    let shell = call.shell.clone();
    call.ask(async move {
        let services = &shell.state.services;
        let observed = shell.observer.look(services).await;
        let fixtures = services.processes.fixtures().into_iter();
        let standing = fixtures.map(|(number, fixture)| Standing::of(number, &*fixture));
        (standing.collect(), observed)
    })
}

/// Has a device do something, and waits until it is done; `true`, as signals in Erlang say it.
pub fn order(call: &Call<'_>, device: &DeviceRef, order: Order) -> Result<Term, Raised> {
    let device = device.clone();
    call.ask(async move { tell(&device, order).await })?;
    Ok(Term::bool(true))
}

/// Has a device do something, and waits until it is done.
pub async fn tell(device: &DeviceRef, order: Order) {
    let (done, heard) = oneshot::channel();
    device.addr().do_send(Obey { order, done });
    // One that ends meanwhile does nothing any more.
    let _ = heard.await;
}
