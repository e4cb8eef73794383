//! Texts to the live devices of a user: `message_ds`, `webrtc_ws_logic`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;

use crate::actor::dispatch::Trip;
use crate::actor::mailroom::{DeviceRef, Letter};
use crate::erl::function::Raised;
use crate::erl::term::Term;
use crate::http::state::AppState;
use crate::id::{Did, MsgId, Uid};
use crate::machine::schedule::Schedule;
use crate::message::Signal;
use crate::shell::Call;
use crate::shell::table::{Body, Function, Plan};
use crate::shell::terms::{bytes_of, did_of, failed, id_of, user_of, wrong};

/// The gaps of WebRTC signalling, milliseconds, as in the notes of the original server.
const WEBRTC_GAPS: [u64; 7] = [0, 1000, 500, 600, 1000, 500, 600];
/// Copies of one list, and the longest gap, as `delivery.schedule_ms` has them.
const GAPS_MAX: usize = 64;
const GAP_MAX: u64 = 86_400_000;

/// The functions.
pub const FUNCTIONS: &[Function] = &[
    Function {
        module: "message_ds",
        name: "send_next",
        arity: 5,
        usage: "message_ds:send_next(Uid, DType, MsgId, Msg, MillisecondList)",
        doc: "Sends a text to the user's live devices of that type, again after each gap until it is acknowledged; it is not stored. {error,offline} if there are none.",
        body: Body::Changes(send_next_to_type),
    },
    Function {
        module: "message_ds",
        name: "send_next",
        arity: 4,
        usage: "message_ds:send_next(Uid, MsgId, Msg, MillisecondList)",
        doc: "The same to all live devices of the user.",
        body: Body::Changes(send_next),
    },
    Function {
        module: "webrtc_ws_logic",
        name: "event",
        arity: 4,
        usage: "webrtc_ws_logic:event(Uid, DType, MsgId, Msg)",
        doc: "The same after 0, 1000, 500, 600, 1000, 500 and 600 ms, to the live devices of that type.",
        body: Body::Changes(event_to_type),
    },
    Function {
        module: "webrtc_ws_logic",
        name: "event",
        arity: 3,
        usage: "webrtc_ws_logic:event(Uid, MsgId, Msg)",
        doc: "The same to all live devices of the user.",
        body: Body::Changes(event),
    },
];

fn send_next_to_type(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let [uid, dtype, id, text, gaps] = args else {
        return Err(Raised::badarg());
    };
    plan(call, uid, Some(dtype), id, text, gaps_of(gaps)?)
}

fn send_next(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let [uid, id, text, gaps] = args else {
        return Err(Raised::badarg());
    };
    plan(call, uid, None, id, text, gaps_of(gaps)?)
}

fn event_to_type(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let [uid, dtype, id, text] = args else {
        return Err(Raised::badarg());
    };
    plan(call, uid, Some(dtype), id, text, WEBRTC_GAPS.to_vec())
}

fn event(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let [uid, id, text] = args else {
        return Err(Raised::badarg());
    };
    plan(call, uid, None, id, text, WEBRTC_GAPS.to_vec())
}

fn gaps_of(term: &Term) -> Result<Vec<u64>, Raised> {
    let bad = || wrong("bad_millisecond_list", term);
    let items = term.as_list().ok_or_else(bad)?;
    if items.is_empty() || items.len() > GAPS_MAX {
        return Err(bad());
    }
    let gap = |item: &Term| match item {
        Term::Int(ms) => u64::try_from(*ms).ok().filter(|ms| *ms <= GAP_MAX),
        _ => None,
    };
    let gaps: Option<Vec<u64>> = items.iter().map(gap).collect();
    gaps.ok_or_else(bad)
}

fn plan(
    call: &mut Call<'_>,
    uid: &Term,
    dtype: Option<&Term>,
    id: &Term,
    text: &Term,
    mut gaps: Vec<u64>,
) -> Result<Plan, Raised> {
    let state = &call.shell.state;
    let uid = user_of(uid, &state.hashids)?;
    let dtype = match dtype {
        // A device type follows the rule of device ids.
        Some(dtype) => Some(did_of(dtype).map_err(|_| wrong("bad_dtype", dtype))?),
        None => None,
    };
    let id = id_of(id)?;
    let text = bytes_of(text).and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| failed("bad_message", "it is not text in UTF-8"))?;
    let most = state.settings.listen.max_payload;
    if text.is_empty() || text.len() > most {
        let said = format!("it has {} bytes, and 1 to {most} are allowed", text.len());
        return Err(failed("bad_message", said));
    }
    let says = format!(
        "send a text of {} bytes as {id} to the live devices {}of user {uid}, {} times at most",
        text.len(),
        dtype
            .as_ref()
            .map(|d| format!("of type {d} "))
            .unwrap_or_default(),
        gaps.len()
    );
    // The first copy leaves after the first gap, and the others are counted from it.
    let first = std::mem::take(&mut gaps[0]);
    let sending = Sending {
        uid,
        dtype,
        id,
        text: text.into(),
        schedule: Schedule::from_gaps(&gaps),
    };
    Ok(Plan::new(says, move |call| {
        let state = call.shell.state.clone();
        if first > 0 {
            call.shell.desk.start(async move {
                tokio::time::sleep(Duration::from_millis(first)).await;
                sending.leave(&state);
            });
            return Ok(Term::ok());
        }
        let found = call.ask(async move { sending.leave(&state) })?;
        Ok(match found {
            0 => Term::tuple([Term::atom("error"), Term::atom("offline")]),
            _ => Term::ok(),
        })
    }))
}

struct Sending {
    uid: Uid,
    dtype: Option<Did>,
    id: MsgId,
    text: Box<str>,
    schedule: Schedule,
}

impl Sending {
    /// Hands it to the devices; returns how many there are.
    fn leave(self, state: &web::Data<AppState>) -> usize {
        let signal = Arc::new(Signal {
            id: self.id,
            kind: "text".into(),
            from: self.uid,
            to: self.uid,
            payload: self.text,
            created_at: None,
            bare: true,
        });
        let trip = Arc::new(Trip::from_operator(signal, self.schedule));
        let mut devices: Vec<DeviceRef> = Vec::new();
        state.services.registry.lookup(self.uid, |device| {
            if self
                .dtype
                .as_ref()
                .is_none_or(|dtype| device.is_of(dtype.as_str()))
            {
                devices.push(device.clone());
            }
        });
        for device in &devices {
            device.post(Letter::Signal(trip.clone()));
        }
        devices.len()
    }
}
