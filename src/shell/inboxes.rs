//! The fullest inboxes, as they were looked through last: a look goes through all users, so it is shared and spared.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web;
use tokio::sync::Mutex;

use crate::id::Uid;
use crate::store::ledger::look;
use crate::store::{Engine, EngineError};

/// Inboxes that are remembered.
pub const LISTED_MAX: usize = 1000;
/// Of the fullest it is known how long the oldest message has waited.
const DATED: usize = 50;
/// Users that one look goes through.
const USERS_MAX: usize = 1_000_000;
/// How old a look may be that is shown again, at least.
const FRESH: Duration = Duration::from_secs(2);
/// A look is shown again for this many times as long as it took.
const THRIFT: u32 = 20;

/// The fullest inboxes.
#[derive(Clone, Debug, Default)]
pub struct Fullest {
    /// Most first.
    pub users: Vec<Waiting>,
    /// Users in whose inbox something waits.
    pub total: usize,
    /// Whether there are more users than are looked through.
    pub is_partial: bool,
}

/// What waits for a user.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The user.
    pub uid: Uid,
    /// Messages that no device has acknowledged.
    pub waiting: u64,
    /// Known devices.
    pub devices: usize,
    /// When the oldest was accepted, Unix milliseconds, where that was looked up.
    pub oldest_ms: Option<u64>,
}

/// Looks through the inboxes now and then.
#[derive(Debug, Default)]
pub struct Inboxes(Mutex<Option<Latest>>);

#[derive(Debug)]
struct Latest {
    made: Instant,
    took: Duration,
    found: Arc<Fullest>,
}

impl Inboxes {
    /// The fullest inboxes, as of a moment that is not long ago.
    pub async fn look(&self, engine: &Arc<dyn Engine>) -> Result<Arc<Fullest>, EngineError> {
        // Whoever comes while somebody looks waits for that.
        let mut latest = self.0.lock().await;
        if let Some(latest) = latest.as_ref()
            && latest.made.elapsed() < FRESH.max(latest.took * THRIFT)
        {
            return Ok(latest.found.clone());
        }
        let (begun, engine) = (Instant::now(), engine.clone());
        let found = web::block(move || Fullest::find(&*engine)).await;
        let found = found.map_err(|error| EngineError::Failed(error.to_string()))?;
        let found = Arc::new(found?);
        *latest = Some(Latest {
            made: Instant::now(),
            took: begun.elapsed(),
            found: found.clone(),
        });
        Ok(found)
    }
}

impl Fullest {
    fn find(engine: &dyn Engine) -> Result<Fullest, EngineError> {
        let mut fullest = Fullest::default();
        let mut seen = 0;
        look::inboxes(engine, &mut |uid, inbox| {
            seen += 1;
            let waiting = inbox.waiting();
            if waiting > 0 {
                fullest.total += 1;
                fullest.users.push(Waiting {
                    uid,
                    waiting,
                    devices: inbox.devices().count(),
                    oldest_ms: None,
                });
            }
            // Cut now and then, so that a million of them are not held at once.
            if fullest.users.len() > 2 * LISTED_MAX {
                fullest.cut();
            }
            fullest.is_partial = seen >= USERS_MAX;
            !fullest.is_partial
        })?;
        fullest.cut();
        for user in fullest.users.iter_mut().take(DATED) {
            let oldest = look::rows_of(engine, user.uid, 0, 1)?;
            user.oldest_ms = oldest.first().map(|(_, row)| row.server_ts);
        }
        Ok(fullest)
    }

    fn cut(&mut self) {
        self.users
            .sort_by_key(|user| (Reverse(user.waiting), user.uid));
        self.users.truncate(LISTED_MAX);
    }
}
