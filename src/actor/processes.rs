//! Every process by its number, as an operator names it: `<0.N.0>`.
//!
//! A number is never given out twice. Deliveries come and go by the hundred thousand, so a device takes numbers for its
//! deliveries in blocks, and the table knows the blocks.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::machine::device::Slot;

use super::mailroom::DeviceRef;

/// Numbers in a block, which begins at a multiple of that.
pub const BLOCK: u64 = 1024;
const SHARDS: u64 = 64;

/// What has a number and is neither a device nor a delivery.
pub trait Fixture: Send + Sync {
    /// What it is, in one word.
    fn kind(&self) -> &'static str;

    /// The name that it is registered under, if it is.
    fn name(&self) -> Option<&str> {
        None
    }

    /// What it is for.
    fn label(&self) -> String;

    /// The number of the process that started it, if one did.
    fn parent(&self) -> Option<u64> {
        None
    }

    /// When it began, Unix milliseconds.
    fn since_ms(&self) -> u64;

    /// What waits for it.
    fn mailbox(&self) -> usize {
        0
    }

    /// What else there is to know of it.
    fn facts(&self) -> Vec<(&'static str, Fact)> {
        Vec::new()
    }

    /// Whether an operator may end it.
    fn is_endable(&self) -> bool {
        false
    }

    /// Ends it, if an operator may.
    fn end(&self) {}
}

/// Something that is known of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// Several.
    List(Vec<Fact>),
    /// Several, by name.
    Map(Vec<(&'static str, Fact)>),
}

/// A thread or a task of the server that lives as long as it does.
pub struct Part {
    /// What it is, in one word.
    pub kind: &'static str,
    /// The name that it is registered under.
    pub name: &'static str,
    /// What it is for.
    pub label: String,
    /// The number of the process that started it.
    pub parent: Option<u64>,
    /// When it began, Unix milliseconds.
    pub since_ms: u64,
    /// Counts what waits for it.
    pub mailbox: Box<dyn Fn() -> usize + Send + Sync>,
    /// Says how it stands.
    pub facts: Box<dyn Fn() -> Vec<(&'static str, Fact)> + Send + Sync>,
}

impl Fixture for Part {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn name(&self) -> Option<&str> {
        Some(self.name)
    }

    fn label(&self) -> String {
        self.label.clone()
    }

    fn parent(&self) -> Option<u64> {
        self.parent
    }

    fn since_ms(&self) -> u64 {
        self.since_ms
    }

    fn mailbox(&self) -> usize {
        (self.mailbox)()
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        (self.facts)()
    }
}

/// A living process.
#[derive(Clone)]
pub enum Process {
    /// A device.
    Device(DeviceRef),
    /// A delivery of a device; whether it walks only the device knows.
    Delivery {
        /// The device.
        device: DeviceRef,
        /// Which of its deliveries.
        slot: Slot,
    },
    /// Anything else.
    Fixture(Arc<dyn Fixture>),
}

/// The table. Devices come and go by the thousand in a second, so they are spread over shards; what else there is has a map of
/// its own, through which somebody may look at leisure.
pub struct Processes {
    next: AtomicU64,
    devices: Vec<RwLock<HashMap<u64, DeviceRef>>>,
    /// By the first number of each.
    blocks: Vec<RwLock<HashMap<u64, (DeviceRef, Slot)>>>,
    fixtures: RwLock<BTreeMap<u64, Arc<dyn Fixture>>>,
}

impl Default for Processes {
    fn default() -> Processes {
        Processes {
            next: AtomicU64::new(1),
            devices: (0..SHARDS).map(|_| RwLock::default()).collect(),
            blocks: (0..SHARDS).map(|_| RwLock::default()).collect(),
            fixtures: RwLock::default(),
        }
    }
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").finish_non_exhaustive()
    }
}

impl Processes {
    /// A number for a process that is about to begin.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Enters a device under its number.
    pub fn add_device(&self, device: DeviceRef) {
        let number = device.number();
        let mut shard = self.devices[shard(number)].write();
        shard.insert(number, device);
    }

    /// Takes a device out.
    pub fn remove_device(&self, number: u64) {
        self.devices[shard(number)].write().remove(&number);
    }

    /// Takes a block of numbers for the deliveries of a device from this slot on; returns the first.
    pub fn add_block(&self, device: DeviceRef, first: Slot) -> u64 {
        let aligned = |next: u64| next.next_multiple_of(BLOCK);
        let before = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                Some(aligned(next) + BLOCK)
            });
        let number = aligned(before.unwrap_or_default());
        let mut shard = self.blocks[shard(number / BLOCK)].write();
        shard.insert(number, (device, first));
        number
    }

    /// Takes a block out.
    pub fn remove_block(&self, number: u64) {
        self.blocks[shard(number / BLOCK)].write().remove(&number);
    }

    /// Enters something else; returns its number.
    pub fn add(&self, fixture: Arc<dyn Fixture>) -> u64 {
        let number = self.number();
        self.add_as(number, fixture);
        number
    }

    /// The same under a number that was taken before.
    pub fn add_as(&self, number: u64, fixture: Arc<dyn Fixture>) {
        self.fixtures.write().insert(number, fixture);
    }

    /// Takes what was entered as a fixture out.
    pub fn remove(&self, number: u64) {
        self.fixtures.write().remove(&number);
    }

    /// Who has this number.
    pub fn find(&self, number: u64) -> Option<Process> {
        if let Some(fixture) = self.fixtures.read().get(&number) {
            return Some(Process::Fixture(fixture.clone()));
        }
        if let Some(device) = self.devices[shard(number)].read().get(&number) {
            return Some(Process::Device(device.clone()));
        }
        let first = number - number % BLOCK;
        let blocks = self.blocks[shard(first / BLOCK)].read();
        let (device, slot) = blocks.get(&first)?;
        Some(Process::Delivery {
            device: device.clone(),
            slot: slot + (number - first),
        })
    }

    /// Everything that is neither a device nor a delivery, in the order of the numbers.
    pub fn fixtures(&self) -> Vec<(u64, Arc<dyn Fixture>)> {
        let fixtures = self.fixtures.read();
        let fixtures = fixtures.iter();
        fixtures
            .map(|(number, fixture)| (*number, fixture.clone()))
            .collect()
    }

    /// Who is registered under a name.
    pub fn whereis(&self, name: &str) -> Option<u64> {
        let fixtures = self.fixtures.read();
        let found = fixtures.iter().find(|(_, f)| f.name() == Some(name));
        found.map(|(number, _)| *number)
    }
}

fn shard(number: u64) -> usize {
    (number % SHARDS) as usize
}
