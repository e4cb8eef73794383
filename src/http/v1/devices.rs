//! The devices of a user.

use std::collections::BTreeMap;

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::state::AppState;
use crate::id::Did;
use crate::message::Op;

use super::answer::{Reply, commit, done, success};
use super::ask;
use super::caller::Caller;
use super::schema::{Empty, Envelope};

/// A device.
#[derive(Serialize, ToSchema)]
pub(super) struct Device {
    /// What it calls itself.
    did: String,
    /// Its type, while it is online and if it says.
    dtype: Option<String>,
    /// Whether it is connected.
    online: bool,
    /// When it was there last, Unix milliseconds.
    last_seen: u64,
    /// At most how many messages wait for it.
    waiting: u64,
}

/// The devices of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct Devices {
    devices: Vec<Device>,
}

/// Lists the devices of the user that the server knows.
#[utoipa::path(
    get,
    path = "/v1/devices",
    operation_id = "listDevices",
    responses((status = 200, description = "All of them.", body = Envelope<Devices>))
)]
pub(super) async fn list(caller: Caller, state: web::Data<AppState>) -> Reply {
    let uid = caller.uid()?;
    let mut devices = BTreeMap::new();
    for known in state.known_devices(uid).await? {
        let did = known.did.to_string();
        let device = Device {
            did: did.clone(),
            dtype: None,
            online: false,
            last_seen: known.seen_ms,
            waiting: known.behind,
        };
        devices.insert(did, device);
    }
    let now = state.services.clock.now_ms();
    for online in state.devices_of(uid) {
        // One that has just come may not be known yet.
        let did = online.did.to_string();
        let device = devices.entry(did.clone()).or_insert(Device {
            did,
            dtype: None,
            online: true,
            last_seen: now,
            waiting: 0,
        });
        (device.dtype, device.online, device.last_seen) = (online.dtype, true, now);
    }
    let devices = devices.into_values().collect();
    success(Devices { devices })
}

/// Forgets a device: nothing waits for it, and its connection is closed.
#[utoipa::path(
    delete,
    path = "/v1/devices/{did}",
    operation_id = "forgetDevice",
    params(("did" = String, Path, description = "The device.")),
    responses((status = 200, description = "It is forgotten.", body = Envelope<Empty>))
)]
pub(super) async fn forget(
    caller: Caller,
    did: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    let (uid, did) = (caller.uid()?, ask::device(&did)?);
    let op = Op::Forget {
        uid,
        did: did.clone(),
    };
    commit(op, &state).await?;
    state.kick(uid, &did);
    done()
}

/// Whether there was a connection to close.
#[derive(Serialize, ToSchema)]
pub(super) struct Kicked {
    /// Whether there was one.
    kicked: bool,
}

/// Closes the connection of a device.
#[utoipa::path(
    post,
    path = "/v1/devices/{did}/kick",
    operation_id = "kickDevice",
    params(("did" = String, Path, description = "The device.")),
    responses((status = 200, description = "It is closed.", body = Envelope<Kicked>))
)]
pub(super) async fn kick(
    caller: Caller,
    did: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    let did: Did = ask::device(&did)?;
    let kicked = state.kick(caller.uid()?, &did);
    success(Kicked { kicked })
}
