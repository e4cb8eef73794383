//! One snapshot of every actor, for the shell, the page and the tests alike.
//!
//! Devices tell how they stand in gauges that anybody may read; only those with deliveries on their way are asked. A
//! snapshot is shared by whoever asks soon after, so that many shells in loops cost the devices no more than one.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, oneshot};
use tokio::time::{timeout, timeout_at};

use crate::actor::device::Services;
use crate::actor::device::operator::{Flight, Look, Snapshot};
use crate::actor::mailroom::{DeviceRef, Stand};

/// How old a snapshot may be that is shown again, at least.
const FRESH: Duration = Duration::from_millis(200);
/// A snapshot is shown again for this many times as long as it took to make.
const THRIFT: u32 = 20;
/// Devices that are asked for their deliveries; of the others it is known how many walk.
const ASKED: usize = 512;
/// How long devices may take to answer, all that are asked at once together.
const PATIENCE: Duration = Duration::from_millis(500);

/// All devices and what is on its way, at one moment.
#[derive(Clone, Debug)]
pub struct Observed {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// Every device, in the order of the numbers.
    pub devices: Vec<Seen>,
    /// Deliveries of the devices that were asked, those with most on their way first.
    pub flights: Vec<(DeviceRef, Flight)>,
}

/// A device.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The way to it. Its locks are for those who carry messages, and for the desk.
    pub device: DeviceRef,
    /// The device type that its connection has named.
    pub dtype: Option<Box<str>>,
    /// How it stands.
    pub stand: Stand,
    /// Letters that wait for it.
    pub mailbox: usize,
}

impl Seen {
    /// The device as it stands.
    pub fn of(device: DeviceRef) -> Seen {
        Seen {
            dtype: device.dtype(),
            stand: device.stand(),
            mailbox: device.waiting(),
            device,
        }
    }
}

/// Makes snapshots.
#[derive(Debug, Default)]
pub struct Observer {
    latest: Mutex<Option<Latest>>,
}

#[derive(Debug)]
struct Latest {
    made: Instant,
    took: Duration,
    observed: Arc<Observed>,
}

impl Observer {
    /// A snapshot that is not old.
    pub async fn look(&self, services: &Services) -> Arc<Observed> {
        let mut latest = self.latest.lock().await;
        if let Some(latest) = latest.as_ref()
            && latest.made.elapsed() < FRESH.max(latest.took * THRIFT)
        {
            return latest.observed.clone();
        }
        self.make(&mut latest, services).await
    }

    /// A snapshot that is made for this question.
    pub async fn look_now(&self, services: &Services) -> Arc<Observed> {
        let mut latest = self.latest.lock().await;
        self.make(&mut latest, services).await
    }

    async fn make(&self, latest: &mut Option<Latest>, services: &Services) -> Arc<Observed> {
        let begun = Instant::now();
        let observed = Arc::new(observe(services).await);
        *latest = Some(Latest {
            made: Instant::now(),
            took: begun.elapsed(),
            observed: observed.clone(),
        });
        observed
    }
}

async fn observe(services: &Services) -> Observed {
    let at_ms = services.clock.now_ms();
    let mut devices: Vec<Seen> = services.registry.all().into_iter().map(Seen::of).collect();
    devices.sort_by_key(|seen| seen.device.number());
    let mut busy: Vec<&Seen> = devices
        .iter()
        .filter(|seen| seen.stand.walking > 0)
        .collect();
    busy.sort_by_key(|seen| Reverse(seen.stand.walking));
    busy.truncate(ASKED);
    let asked: Vec<_> = busy
        .into_iter()
        .map(|seen| (seen.device.clone(), ask(&seen.device)))
        .collect();
    let mut flights = Vec::new();
    let until = tokio::time::Instant::now() + PATIENCE;
    for (device, answer) in asked {
        if let Ok(Ok(snapshot)) = timeout_at(until, answer).await {
            let own = snapshot.deliveries.into_iter();
            flights.extend(own.map(|flight| (device.clone(), flight)));
        }
    }
    Observed {
        at_ms,
        devices,
        flights,
    }
}

/// How one device stands; none if it ended meanwhile, or is too busy to say.
pub async fn look_at(device: &DeviceRef) -> Option<Snapshot> {
    timeout(PATIENCE, ask(device)).await.ok()?.ok()
}

fn ask(device: &DeviceRef) -> oneshot::Receiver<Snapshot> {
    let (answer, snapshot) = oneshot::channel();
    // One for each question of an operator, and snapshots are shared.
    device.addr().do_send(Look(answer));
    snapshot
}
