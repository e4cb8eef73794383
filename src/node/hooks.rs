//! The webhook, joined to the store and the devices.

use std::sync::Arc;

use crate::actor::dispatch::Asker;
use crate::actor::events::{Horizon, Stored};
use crate::actor::mailroom::DeviceRef;
use crate::actor::registry::Registry;
use crate::clock::Clock;
use crate::config::webhook::EventKind;
use crate::config::{Secret, Settings};
use crate::id::{Cid, Hashids, Uid};
use crate::metrics::Metrics;
use crate::store::committer::CommitQueue;
use crate::store::ledger::Hooks;
use crate::store::{Engine, EngineError, record};
use crate::webhook::{Board, Clocks, Meter, Party, Plan, Sender, Timing};

use super::random;

/// How long after the last copy of a message it counts as parked, milliseconds.
const AFTER_LAST_MS: u64 = 1000;

/// What the ledger has to write; none if there is no receiver.
pub(super) fn hooks(settings: &Settings, registry: &Arc<Registry<DeviceRef>>) -> Option<Hooks> {
    let webhook = &settings.webhook;
    if webhook.url.is_empty() {
        return None;
    }
    let wanted = EventKind::ALL.into_iter();
    let registry = registry.clone();
    let walk_ms: u64 = settings.delivery.schedule_ms.iter().sum();
    Some(Hooks {
        wanted: wanted.filter(|kind| webhook.wants(*kind)).collect(),
        payload: webhook.payload,
        keep_ms: webhook.keep_ms,
        max_events: webhook.max_events,
        park_ms: walk_ms.saturating_add(AFTER_LAST_MS),
        is_online: Arc::new(move |uid| registry.is_online(uid)),
    })
}

/// What the sender works with.
pub(super) struct Parts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) secret: Secret,
    pub(super) hashids: &'a Hashids,
    pub(super) engine: &'a Arc<dyn Engine>,
    pub(super) commits: &'a CommitQueue<Asker>,
    pub(super) horizon: &'a Horizon,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Metrics,
    pub(super) board: &'a Board,
}

/// Starts the sender.
pub(super) fn start(parts: Parts<'_>) -> Result<Sender, String> {
    let tag = tag(&**parts.engine).map_err(|error| error.to_string())?;
    let hashids = parts.hashids.clone();
    let names = move |party| match party {
        Party::User(uid) => hashids.encode(Uid(uid)),
        Party::Group(gid) => hashids.encode_group(Cid(gid)),
    };
    let plan = Plan {
        settings: parts.settings.webhook.clone(),
        secret: parts.secret,
        tag,
        names: Box::new(names),
        timing: Timing::default(),
    };
    let queue = Stored {
        engine: parts.engine.clone(),
        commits: parts.commits.clone(),
        horizon: parts.horizon.clone(),
    };
    let (server, wall) = (parts.clock.clone(), parts.clock.clone());
    let clocks = Clocks {
        server: Arc::new(move || server.now_ms()),
        wall: Arc::new(move || wall.wall_ms()),
    };
    let meter = Counts(parts.metrics.clone());
    let bell = parts.horizon.bell();
    let started = Sender::start(
        plan,
        Arc::new(queue),
        bell,
        parts.board.clone(),
        Arc::new(meter),
        clocks,
    );
    started.map_err(|error| error.to_string())
}

struct Counts(Metrics);

impl Meter for Counts {
    fn sent(&self, events: u64) {
        self.0.events_sent(events);
    }

    fn failed(&self) {
        self.0.events_failed();
    }
}

/// What the numbers of events are good in. It is drawn anew when they may come twice: then the key is gone.
fn tag(engine: &dyn Engine) -> Result<Box<str>, EngineError> {
    random::once(engine, record::EVENTS_TAG_KEY, |random| {
        format!("{:08x}", u32::from_be_bytes(random)).into()
    })
}
