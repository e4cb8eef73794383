//! Whether the store takes messages, and if not, why: the committer and the watch over the disk each have their say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::metrics::Metrics;

/// Shared by those who know how the store is and those who ask; cheap to clone.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

/// The same for somebody who must not keep it alive.
#[derive(Clone, Debug)]
pub struct WeakHealth(Weak<Inner>);

#[derive(Debug)]
struct Inner {
    troubles: Mutex<Troubles>,
    /// Asked for every batch, so without the lock.
    is_nearly_full: AtomicBool,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Troubles {
    engine: Option<String>,
    space: Option<String>,
}

impl Health {
    /// A store that is well.
    pub fn new(metrics: Metrics) -> Health {
        metrics.store_ready(true);
        Health(Arc::new(Inner {
            troubles: Mutex::default(),
            is_nearly_full: AtomicBool::new(false),
            metrics,
        }))
    }

    /// Why the store does not take messages; none while it does.
    pub fn trouble(&self) -> Option<String> {
        let troubles = self.0.troubles.lock();
        match (&troubles.engine, &troubles.space) {
            (Some(engine), Some(space)) => Some(format!("{engine}; {space}")),
            (engine, space) => engine.as_ref().or(space.as_ref()).cloned(),
        }
    }

    /// Whether there is too little room for new messages.
    pub fn is_nearly_full(&self) -> bool {
        self.0.is_nearly_full.load(Ordering::Acquire)
    }

    /// Notes why the engine takes nothing, or that it works.
    pub fn engine(&self, trouble: Option<String>) {
        self.note(|troubles| troubles.engine = trouble);
    }

    /// Notes why there is too little room, or that there is enough.
    pub fn space(&self, trouble: Option<String>) {
        self.note(|troubles| troubles.space = trouble);
    }

    /// The same, without keeping it alive.
    pub fn downgrade(&self) -> WeakHealth {
        WeakHealth(Arc::downgrade(&self.0))
    }

    fn note(&self, change: impl FnOnce(&mut Troubles)) {
        let mut troubles = self.0.troubles.lock();
        change(&mut troubles);
        let is_nearly_full = troubles.space.is_some();
        self.0
            .is_nearly_full
            .store(is_nearly_full, Ordering::Release);
        let well = troubles.engine.is_none() && troubles.space.is_none();
        self.0.metrics.store_ready(well);
    }
}

impl WeakHealth {
    /// The health, if anybody still asks for it.
    pub fn upgrade(&self) -> Option<Health> {
        self.0.upgrade().map(Health)
    }
}
