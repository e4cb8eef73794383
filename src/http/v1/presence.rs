//! Who is online, as far as whoever asks may know.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::state::AppState;
use crate::id::Uid;
use crate::message::look::{Found, Look};
use crate::message::{Fault, Presence};

use super::answer::{Reply, look, success, unexpected};
use super::ask::{self, Asked};
use super::caller::Caller;
use super::schema::{Envelope, UserName};

/// Users of one question.
const USERS_MAX: usize = 256;

/// Who is meant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Of {
    /// The users, with commas between them.
    #[param(value_type = Vec<UserName>, style = Form, explode = false, min_items = 1, max_items = 256)]
    uids: String,
}

/// Whether a user is there.
#[derive(Serialize, ToSchema)]
pub(super) struct PresenceView {
    /// The user.
    uid: String,
    /// `online`, `offline`, or `unknown` for who is no contact.
    state: &'static str,
    /// When a device of theirs was there last, Unix milliseconds, if that is known.
    last_seen: Option<u64>,
}

/// Whether users are there.
#[derive(Serialize, ToSchema)]
pub(super) struct Presences {
    /// In the order of the question.
    presence: Vec<PresenceView>,
}

/// Tells who is online, among the contacts of the user; the admin token sees all.
#[utoipa::path(
    get,
    path = "/v1/presence",
    operation_id = "getPresence",
    params(Of),
    responses((status = 200, description = "They.", body = Envelope<Presences>))
)]
pub(super) async fn presence(
    caller: Caller,
    asked: Asked<Of>,
    state: web::Data<AppState>,
) -> Reply {
    let of = users(&asked.0.uids, &state)?;
    let visible = visible(caller, &of, &state).await?;
    let mut presence = Vec::with_capacity(of.len());
    for (uid, is_visible) in of.into_iter().zip(visible) {
        presence.push(one(uid, is_visible, &state).await?);
    }
    success(Presences { presence })
}

fn users(names: &str, state: &AppState) -> Result<Vec<Uid>, Fault> {
    let names: Vec<&str> = names.split(',').collect();
    if names.len() > USERS_MAX {
        let msg = format!(
            "uids names {} users, at most {USERS_MAX} are allowed",
            names.len()
        );
        return Err(ask::bad(msg));
    }
    let names = names.into_iter();
    names.map(|name| ask::user("uids", name, state)).collect()
}

/// Of whom the caller may know.
async fn visible(caller: Caller, of: &[Uid], state: &AppState) -> Result<Vec<bool>, Fault> {
    if caller.is_admin() {
        return Ok(vec![true; of.len()]);
    }
    let wanted = Look::Visible {
        to: caller.uid()?,
        of: of.to_vec(),
    };
    match look(wanted, state).await? {
        Found::Visible(visible) => Ok(visible),
        _ => Err(unexpected()),
    }
}

async fn one(uid: Uid, is_visible: bool, state: &AppState) -> Result<PresenceView, Fault> {
    let (presence, last_seen) = match (is_visible, state.is_online(uid)) {
        (false, _) => (Presence::Unknown, None),
        (true, true) => (Presence::Online, Some(state.services.clock.now_ms())),
        (true, false) => {
            let devices = state.known_devices(uid).await?;
            let last_seen = devices.iter().map(|device| device.seen_ms).max();
            (Presence::Offline, last_seen)
        }
    };
    Ok(PresenceView {
        uid: state.hashids.encode(uid),
        state: presence.name(),
        last_seen,
    })
}
