//! What every request may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, oneshot};

use crate::actor::device::Services;
use crate::actor::device::operator::{Obey, Order};
use crate::actor::dispatch::{Asker, Looker};
use crate::code::Code;
use crate::codec::json::Json;
use crate::config::{Keys, Secret, Settings};
use crate::gateway::rates::Rates;
use crate::id::{Did, Hashids, Uid};
use crate::message::look::{Found, KnownDevice, Look};
use crate::message::{Answer, Fault, Op};
use crate::token::Tokens;

/// Logins that attach at once: a crowd that comes back waits its turn, and leaves the messages of others theirs.
const LOGINS: usize = 128;

/// A device that is connected.
#[derive(Debug)]
pub struct DeviceOnline {
    /// Its name.
    pub did: Did,
    /// Its type, if it says.
    pub dtype: Option<String>,
}

/// Shared by all workers of both listeners.
pub struct AppState {
    /// The settings in force.
    pub settings: Settings,
    /// What devices work with.
    pub services: Arc<Services>,
    /// Makes and checks tokens.
    pub tokens: Tokens,
    /// The dialect of clients.
    pub json: Json,
    /// Users as clients name them.
    pub hashids: Hashids,
    /// What an operator shows.
    pub admin_token: Secret,
    /// What tokens are signed with.
    pub jwt_key: Secret,
    /// What somebody shows who only looks, if anybody does.
    pub read_token: Option<Secret>,
    /// How fast clients may be.
    pub rates: Rates,
    /// A turn for each login that attaches.
    pub logins: Semaphore,
    /// When the server was started, Unix milliseconds.
    pub started_ms: u64,
    draining: AtomicBool,
}

impl AppState {
    /// The state of a server that is up.
    pub fn new(
        settings: Settings,
        services: Arc<Services>,
        tokens: Tokens,
        json: Json,
        hashids: Hashids,
        keys: Keys,
    ) -> AppState {
        AppState {
            rates: Rates::new(&settings.limits),
            logins: Semaphore::new(LOGINS),
            started_ms: services.clock.now_ms(),
            settings,
            services,
            tokens,
            json,
            hashids,
            admin_token: keys.admin_token,
            jwt_key: keys.jwt_key,
            read_token: keys.read_token,
            draining: AtomicBool::new(false),
        }
    }

    /// Asks the committer and waits until its answer is durable.
    pub async fn commit(&self, op: Op) -> Result<Answer, Fault> {
        let (waiting, answer) = oneshot::channel();
        let submitted = self.services.commits.submit(Asker::Waiting(waiting), op);
        submitted.map_err(|_| Fault::new(Code::Busy).later(self.services.rules.retry_ms))?;
        match answer.await {
            Ok(Answer::Refused(refusal)) => Err(refusal.fault(self.services.rules.retry_ms)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(Fault::new(Code::Storage)),
        }
    }

    /// Asks the readers and waits for what they find.
    pub async fn look(&self, look: Look) -> Result<Found, Fault> {
        let (waiting, found) = oneshot::channel();
        let submitted = self.services.reads.submit(Looker::Waiting(waiting), look);
        submitted.map_err(|_| Fault::new(Code::Busy).later(self.services.rules.retry_ms))?;
        found
            .await
            .unwrap_or_else(|_| Err(Fault::new(Code::Storage)))
    }

    /// The devices that a user is known by.
    pub async fn known_devices(&self, uid: Uid) -> Result<Vec<KnownDevice>, Fault> {
        match self.look(Look::Devices(uid)).await? {
            Found::Devices(devices) => Ok(devices),
            _ => Err(Fault::new(Code::Storage)),
        }
    }

    /// Whether a device of a user is connected.
    pub fn is_online(&self, uid: Uid) -> bool {
        self.services.registry.is_online(uid)
    }

    /// The devices of a user that are connected.
    pub fn devices_of(&self, uid: Uid) -> Vec<DeviceOnline> {
        let mut devices = Vec::new();
        self.services.registry.lookup(uid, |device| {
            devices.push(DeviceOnline {
                did: device.did().clone(),
                dtype: device.dtype().map(String::from),
            });
        });
        devices
    }

    /// Closes the connections of a device; false if it has none.
    pub fn kick(&self, uid: Uid, did: &Did) -> bool {
        match self.services.registry.device(uid, did) {
            Some(device) => {
                // Nobody waits for the word that it is done.
                let (done, _) = oneshot::channel();
                let order = Order::Kick;
                device.addr().do_send(Obey { order, done });
                true
            }
            None => false,
        }
    }

    /// Every secret of the server, for whoever must not let one out.
    pub fn secrets(&self) -> Vec<&str> {
        let tokens = self
            .read_token
            .iter()
            .chain([&self.admin_token, &self.jwt_key]);
        tokens.map(Secret::expose).collect()
    }

    /// From here on nobody may log in.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the server is going down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Why the server is not ready; none when it is.
    pub fn trouble(&self) -> Option<String> {
        if self.is_draining() {
            return Some("draining".to_string());
        }
        let trouble = self.services.commits.health().trouble()?;
        Some(format!("storage: {trouble}"))
    }
}
