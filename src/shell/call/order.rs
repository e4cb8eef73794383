//! What an operator does to the running server: redeliver, expire, kick, ban, change the schedule, drain.

use std::sync::Arc;
use std::time::Duration;

use crate::actor::device::operator::Order;
use crate::actor::mailroom::DeviceRef;
use crate::erl::function::Raised;
use crate::erl::term::Term;
use crate::http::access;
use crate::http::state::AppState;
use crate::id::{Did, MsgId, Seq, Uid};
use crate::machine::access::Change;
use crate::machine::ranges::Ranges;
use crate::machine::schedule::Schedule;
use crate::message::trace::Step;
use crate::message::{Answer, Fault, Op};
use crate::shell::Call;
use crate::shell::known;
use crate::shell::table::{Body, Function, Plan};
use crate::shell::terms::{did_of, failed, id_of, number, user_of, wrong};
use crate::store::ledger::look;
use crate::store::record::RowRef;

use super::overview::{access_term, gaps};

/// How long after the order a drain begins.
const FAREWELL: Duration = Duration::from_millis(200);
/// Rows of one inbox that one call looks at.
const ROWS_MAX: usize = 10_000;

/// The functions.
pub const FUNCTIONS: &[Function] = &[
    Function {
        module: "yizhan",
        name: "redeliver",
        arity: 1,
        usage: "yizhan:redeliver(Uid)",
        doc: "Sends everything that the user's connected devices have not acknowledged anew, now; the number of devices.",
        body: Body::Changes(redeliver),
    },
    Function {
        module: "yizhan",
        name: "redeliver",
        arity: 2,
        usage: "yizhan:redeliver(Uid, MsgId)",
        doc: "Sends one message that waits for a user anew, now; the number of devices.",
        body: Body::Changes(redeliver_one),
    },
    Function {
        module: "yizhan",
        name: "expire",
        arity: 2,
        usage: "yizhan:expire(Uid, MsgId)",
        doc: "Ends a message that waits for a user: it is not delivered any more, and STATUS says expired.",
        body: Body::Changes(expire),
    },
    Function {
        module: "yizhan",
        name: "kick",
        arity: 1,
        usage: "yizhan:kick(Uid)",
        doc: "Closes the connections of a user with 4013; the number of devices. They may come again.",
        body: Body::Changes(kick),
    },
    Function {
        module: "yizhan",
        name: "kick",
        arity: 2,
        usage: "yizhan:kick(Uid, Did)",
        doc: "Closes the connections of one device with 4013.",
        body: Body::Changes(kick_device),
    },
    Function {
        module: "yizhan",
        name: "ban",
        arity: 1,
        usage: "yizhan:ban(Uid)",
        doc: "Bans a user: connections close, and none is let in until yizhan:unban/1.",
        body: Body::Changes(ban),
    },
    Function {
        module: "yizhan",
        name: "ban",
        arity: 2,
        usage: "yizhan:ban(Uid, Did)",
        doc: "Bans one device of a user.",
        body: Body::Changes(ban_device),
    },
    Function {
        module: "yizhan",
        name: "unban",
        arity: 1,
        usage: "yizhan:unban(Uid)",
        doc: "Lifts the ban of a user.",
        body: Body::Changes(unban),
    },
    Function {
        module: "yizhan",
        name: "unban",
        arity: 2,
        usage: "yizhan:unban(Uid, Did)",
        doc: "Lifts the ban of one device.",
        body: Body::Changes(unban_device),
    },
    Function {
        module: "yizhan",
        name: "schedule",
        arity: 1,
        usage: "yizhan:schedule(MillisecondList)",
        doc: "Changes the gaps before each copy, for deliveries that begin from here on, until the server ends; the gaps before.",
        body: Body::Changes(schedule),
    },
    Function {
        module: "yizhan",
        name: "drain",
        arity: 0,
        usage: "yizhan:drain()",
        doc: "Ends the server in order, as SIGTERM does: nobody new, clients are told to come back, what is in hand is committed.",
        body: Body::Changes(drain),
    },
];

fn user(call: &Call<'_>, term: &Term) -> Result<Uid, Raised> {
    user_of(term, &call.state().hashids)
}

/// The processes of a user's devices, or of one of them.
fn devices(call: &Call<'_>, uid: Uid, did: Option<&Did>) -> Result<Vec<DeviceRef>, Raised> {
    let state = call.shell.state.clone();
    let mut devices = call.ask(async move { state.services.registry.of_user(uid) })?;
    devices.retain(|device| did.is_none_or(|did| device.did() == did));
    Ok(devices)
}

fn names(devices: &[DeviceRef]) -> String {
    let names: Vec<&str> = devices.iter().map(|d| d.did().as_str()).collect();
    match names.as_slice() {
        [] => "no device, for none is connected".to_string(),
        names => names.join(", "),
    }
}

/// Has each of these devices do something; how many they are.
fn each(call: &Call<'_>, devices: &[DeviceRef], order: &Order) -> Result<Term, Raised> {
    for device in devices {
        known::order(call, device, order.clone())?;
    }
    Ok(number(devices.len() as u64))
}

fn redeliver(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let uid = user(call, &args[0])?;
    let devices = devices(call, uid, None)?;
    let says = format!(
        "send everything that is not acknowledged anew to {} of user {uid}",
        names(&devices)
    );
    Ok(Plan::new(says, move |call| {
        each(call, &devices, &Order::Redeliver(None))
    }))
}

fn redeliver_one(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let (uid, id) = (user(call, &args[0])?, id_of(&args[1])?);
    let rows = rows(call, uid, &id)?;
    let devices = devices(call, uid, None)?;
    let says = format!("send {id} anew to {} of user {uid}", names(&devices));
    Ok(Plan::new(says, move |call| {
        let seqs = rows.iter().map(|(seq, _)| *seq).collect();
        note(call.state(), uid, &rows, &Step::Redelivered);
        each(call, &devices, &Order::Redeliver(Some(seqs)))
    }))
}

fn expire(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let (uid, id) = (user(call, &args[0])?, id_of(&args[1])?);
    let rows = rows(call, uid, &id)?;
    let says = format!("expire {id}, which waits for user {uid}");
    Ok(Plan::new(says, move |call| {
        let seqs: Ranges = rows.iter().map(|(seq, _)| *seq).collect();
        let state = call.shell.state.clone();
        // In one piece: an evaluation that is out of time must not leave devices that go on sending what has expired.
        let done = call.ask(async move {
            let op = Op::Expire {
                uid,
                seqs: seqs.clone(),
            };
            let answer = state.commit(op).await?;
            note(&state, uid, &rows, &Step::Expired);
            for device in state.services.registry.of_user(uid) {
                known::tell(&device, Order::Expired(seqs.clone())).await;
            }
            Ok::<Answer, Fault>(answer)
        })?;
        let gone = match done {
            Ok(Answer::Expired(gone)) => gone,
            Ok(_) => return Err(failed("storage", "an answer to something else")),
            Err(fault) => return Err(failed("refused", &*fault.msg)),
        };
        Ok(number(gone))
    }))
}

/// The rows of a user's inbox with this message id: nearly always one, since two senders may use the same.
fn rows(call: &Call<'_>, uid: Uid, id: &MsgId) -> Result<Vec<(Seq, RowRef)>, Raised> {
    let wanted = id.clone();
    let rows = call.read(move |engine| {
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let rows = look::rows_of(engine, uid, from, ROWS_MAX)?;
            let more = rows.len() == ROWS_MAX;
            from = rows.last().map_or(0, |(seq, _)| seq + 1);
            found.extend(rows.into_iter().filter(|(_, row)| row.id == wanted));
            if !more {
                return Ok(found);
            }
        }
    })?;
    match rows.is_empty() {
        true => Err(failed(
            "not_found",
            format!("no message {id} waits for user {uid}"),
        )),
        false => Ok(rows),
    }
}

fn note(state: &AppState, to: Uid, rows: &[(Seq, RowRef)], step: &Step) {
    let services = &state.services;
    let now = services.clock.now_ms();
    for (_, row) in rows {
        let diary = &services.diary;
        diary.message(now, &row.id, Some(row.from), to, step.clone());
    }
}

fn kick(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let uid = user(call, &args[0])?;
    kicking(call, uid, None)
}

fn kick_device(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let (uid, did) = (user(call, &args[0])?, did_of(&args[1])?);
    kicking(call, uid, Some(&did))
}

fn kicking(call: &Call<'_>, uid: Uid, did: Option<&Did>) -> Result<Plan, Raised> {
    let devices = devices(call, uid, did)?;
    let says = format!("close the connections of {} of user {uid}", names(&devices));
    Ok(Plan::new(says, move |call| {
        each(call, &devices, &Order::Kick)
    }))
}

fn ban(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let uid = user(call, &args[0])?;
    Ok(restricting(uid, Change::Ban, format!("ban user {uid}")))
}

fn ban_device(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let (uid, did) = (user(call, &args[0])?, did_of(&args[1])?);
    let says = format!("ban device {did} of user {uid}");
    Ok(restricting(uid, Change::BanDevice(did), says))
}

fn unban(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let uid = user(call, &args[0])?;
    let says = format!("lift the ban of user {uid}");
    Ok(restricting(uid, Change::Unban, says))
}

fn unban_device(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let (uid, did) = (user(call, &args[0])?, did_of(&args[1])?);
    let says = format!("lift the ban of device {did} of user {uid}");
    Ok(restricting(uid, Change::UnbanDevice(did), says))
}

fn restricting(uid: Uid, change: Change, says: String) -> Plan {
    Plan::new(says, move |call| {
        let state = call.shell.state.clone();
        let done = call.ask(async move { access::restrict(uid, change, &state).await })?;
        match done {
            Ok(access) => Ok(access_term(&access)),
            Err(fault) => Err(failed("refused", &*fault.msg)),
        }
    })
}

fn schedule(_: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let bad = || wrong("bad_millisecond_list", &args[0]);
    let items = args[0].as_list().ok_or_else(bad)?;
    let gap = |item: &Term| match item {
        Term::Int(ms) => u64::try_from(*ms).ok(),
        _ => None,
    };
    let wanted: Option<Vec<u64>> = items.iter().map(gap).collect();
    let wanted = wanted.ok_or_else(bad)?;
    crate::config::check_schedule(&wanted)
        .map_err(|impossible| failed("bad_millisecond_list", impossible.reason))?;
    let says = format!("send copies after the gaps {wanted:?} from here on");
    Ok(Plan::new(says, move |call| {
        let services = &call.state().services;
        let new = Arc::new(Schedule::from_gaps(&wanted));
        let before = services.schedule.swap(new);
        Ok(gaps(&before.gaps()))
    }))
}

fn drain(_: &mut Call<'_>, _: &[Term]) -> Result<Plan, Raised> {
    let says =
        "end the server in order: nobody is let in any more, and every client is told to come back";
    Ok(Plan::new(says, |call| {
        let stop = call.shell.stop.clone();
        call.shell.desk.start(async move {
            // Whoever asked hears of it first.
            tokio::time::sleep(FAREWELL).await;
            stop.notify_one();
        });
        Ok(Term::ok())
    }))
}
