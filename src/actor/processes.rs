//! Every process by its number, as an operator names it: `<0.N.0>`.
//!
//! A number is never given out twice. Deliveries come and go by the hundred thousand, so a device takes numbers for its
//! deliveries in blocks, and the table knows the blocks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::machine::device::Slot;

use super::mailroom::DeviceRef;

/// Numbers in a block.
pub const BLOCK: u64 = 1024;

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

    /// Ends it; false if that is nothing for an operator to do.
    fn end(&self) -> bool {
        false
    }
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

/// The table.
pub struct Processes {
    next: AtomicU64,
    table: RwLock<BTreeMap<u64, Entry>>,
}

enum Entry {
    Device(DeviceRef),
    /// Numbers of deliveries, the first of which is this slot.
    Block(DeviceRef, Slot),
    Fixture(Arc<dyn Fixture>),
}

impl Default for Processes {
    fn default() -> Processes {
        Processes {
            next: AtomicU64::new(1),
            table: RwLock::default(),
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

    /// Enters a device under its serial.
    pub fn add_device(&self, device: DeviceRef) {
        let number = device.number();
        self.table.write().insert(number, Entry::Device(device));
    }

    /// Takes a block of numbers for the deliveries of a device from this slot on; returns the first.
    pub fn add_block(&self, device: DeviceRef, first: Slot) -> u64 {
        let number = self.next.fetch_add(BLOCK, Ordering::Relaxed);
        let mut table = self.table.write();
        table.insert(number, Entry::Block(device, first));
        number
    }

    /// Enters something else; returns its number.
    pub fn add(&self, fixture: Arc<dyn Fixture>) -> u64 {
        let number = self.number();
        self.table.write().insert(number, Entry::Fixture(fixture));
        number
    }

    /// The same under a number that was taken before.
    pub fn add_as(&self, number: u64, fixture: Arc<dyn Fixture>) {
        self.table.write().insert(number, Entry::Fixture(fixture));
    }

    /// Takes a process, or a block, out.
    pub fn remove(&self, number: u64) {
        self.table.write().remove(&number);
    }

    /// Who has this number.
    pub fn find(&self, number: u64) -> Option<Process> {
        let table = self.table.read();
        let (first, entry) = table.range(..=number).next_back()?;
        match entry {
            Entry::Block(device, slot) if number < first + BLOCK => Some(Process::Delivery {
                device: device.clone(),
                slot: slot + (number - first),
            }),
            Entry::Device(device) if *first == number => Some(Process::Device(device.clone())),
            Entry::Fixture(fixture) if *first == number => Some(Process::Fixture(fixture.clone())),
            _ => None,
        }
    }

    /// Everything that is neither a device nor a delivery, in the order of the numbers.
    pub fn fixtures(&self) -> Vec<(u64, Arc<dyn Fixture>)> {
        let table = self.table.read();
        let fixtures = table.iter().filter_map(|(number, entry)| match entry {
            Entry::Fixture(fixture) => Some((*number, fixture.clone())),
            _ => None,
        });
        fixtures.collect()
    }

    /// Who is registered under a name.
    pub fn whereis(&self, name: &str) -> Option<u64> {
        let table = self.table.read();
        let found = table.iter().find(|(_, entry)| match entry {
            Entry::Fixture(fixture) => fixture.name() == Some(name),
            _ => false,
        });
        found.map(|(number, _)| *number)
    }
}
