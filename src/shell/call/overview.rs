//! What a good operator wants to see: who is there, who is behind, what is on its way, what waits.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::actor::mailroom::DeviceRef;
use crate::erl::function::Raised;
use crate::erl::term::Term;
use crate::id::Uid;
use crate::message::{Answer, Op};
use crate::shell::Call;
use crate::shell::inboxes;
use crate::shell::observer::{Observed, Seen};
use crate::shell::table::{Body, Function};
use crate::shell::terms::{count_of, failed, map, number, or_undefined, text, user_name, user_of};
use crate::store::ledger::look;

/// Entries of a list, if the call does not say.
const LISTED: usize = 50;
/// Rows of one inbox that are looked at.
const ROWS_MAX: usize = 10_000;

/// The functions.
pub const FUNCTIONS: &[Function] = &[
    Function {
        module: "yizhan",
        name: "version",
        arity: 0,
        usage: "yizhan:version()",
        doc: "The version of the server.",
        body: Body::Reads(version),
    },
    Function {
        module: "yizhan",
        name: "stats",
        arity: 0,
        usage: "yizhan:stats()",
        doc: "The counters of /metrics that one looks at most, and whether the server is ready.",
        body: Body::Reads(stats),
    },
    Function {
        module: "yizhan",
        name: "settings",
        arity: 0,
        usage: "yizhan:settings()",
        doc: "Prints the settings in force, secrets hidden.",
        body: Body::Reads(settings),
    },
    Function {
        module: "yizhan",
        name: "schedule",
        arity: 0,
        usage: "yizhan:schedule()",
        doc: "The gaps before each copy of a message, milliseconds.",
        body: Body::Reads(schedule),
    },
    Function {
        module: "yizhan",
        name: "online",
        arity: 0,
        usage: "yizhan:online()",
        doc: "Who is connected, on what: 50 devices, the newest first.",
        body: Body::Reads(online),
    },
    Function {
        module: "yizhan",
        name: "online",
        arity: 1,
        usage: "yizhan:online(Uid)",
        doc: "The connected devices of a user.",
        body: Body::Reads(online_of),
    },
    Function {
        module: "yizhan",
        name: "behind",
        arity: 0,
        usage: "yizhan:behind()",
        doc: "Connected devices that have not acknowledged everything, those furthest behind first, 50 of them.",
        body: Body::Reads(behind),
    },
    Function {
        module: "yizhan",
        name: "flights",
        arity: 0,
        usage: "yizhan:flights()",
        doc: "What is on its way: to which device, which copy of how many, and when the next leaves; 50 deliveries, the oldest first.",
        body: Body::Reads(flights),
    },
    Function {
        module: "yizhan",
        name: "flights",
        arity: 1,
        usage: "yizhan:flights(Uid)",
        doc: "What is on its way to a user.",
        body: Body::Reads(flights_to),
    },
    Function {
        module: "yizhan",
        name: "inbox",
        arity: 1,
        usage: "yizhan:inbox(Uid)",
        doc: "A user's inbox: how many messages wait, and how each known device stands.",
        body: Body::Reads(inbox),
    },
    Function {
        module: "yizhan",
        name: "inboxes",
        arity: 0,
        usage: "yizhan:inboxes()",
        doc: "The 50 fullest inboxes: messages that no device has acknowledged.",
        body: Body::Reads(inboxes),
    },
    Function {
        module: "yizhan",
        name: "inboxes",
        arity: 1,
        usage: "yizhan:inboxes(N)",
        doc: "The N fullest inboxes.",
        body: Body::Reads(inboxes_most),
    },
    Function {
        module: "yizhan",
        name: "parked",
        arity: 1,
        usage: "yizhan:parked(Uid)",
        doc: "What waits in a user's inbox and is not on its way, and why: 50 messages, the oldest first.",
        body: Body::Reads(parked),
    },
    Function {
        module: "yizhan",
        name: "access",
        arity: 1,
        usage: "yizhan:access(Uid)",
        doc: "What is forbidden to a user.",
        body: Body::Reads(access),
    },
    Function {
        module: "yizhan",
        name: "bans",
        arity: 0,
        usage: "yizhan:bans()",
        doc: "The first 100 users who are banned, or have a banned device.",
        body: Body::Reads(bans),
    },
];

fn version(_: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    Ok(text(env!("CARGO_PKG_VERSION")))
}

fn stats(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let state = call.shell.state.clone();
    let (counts, trouble) =
        call.ask(async move { (state.services.metrics.counts(), state.trouble()) })?;
    let trouble = trouble.map(|trouble| text(&trouble));
    Ok(map([
        ("ready", Term::bool(trouble.is_none())),
        ("trouble", or_undefined(trouble)),
        ("accepted", number(counts.accepted)),
        ("delivered", number(counts.delivered)),
        ("redelivered", number(counts.redelivered)),
        ("parked", number(counts.parked)),
        ("expired", number(counts.expired)),
        ("refused", number(counts.refused)),
        ("connections", number(counts.connections)),
        ("online_devices", number(counts.online_devices)),
        ("in_flight", number(counts.in_flight)),
        ("inbox_rows", number(counts.inbox_rows)),
    ]))
}

fn settings(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let shown = call.state().settings.redacted();
    call.machine.print(&shown)?;
    Ok(Term::ok())
}

fn schedule(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let schedule = call.state().services.schedule.load();
    Ok(gaps(&schedule.gaps()))
}

/// A list of milliseconds.
pub fn gaps(gaps: &[u64]) -> Term {
    Term::list(gaps.iter().map(|gap| number(*gap)).collect::<Vec<_>>())
}

fn observed(call: &Call<'_>) -> Result<Arc<Observed>, Raised> {
    let shell = call.shell.clone();
    call.ask(async move { shell.observer.look(&shell.state.services).await })
}

fn online(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let observed = observed(call)?;
    let newest = observed.devices.iter().rev().take(LISTED);
    Ok(told(
        observed.devices.len(),
        newest.map(|seen| device(call, seen)).collect(),
    ))
}

fn online_of(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let uid = user_of(&args[0], &call.state().hashids)?;
    let shell = call.shell.clone();
    let seen: Vec<Seen> = call.ask(async move {
        let devices = shell.state.services.registry.of_user(uid);
        devices.into_iter().map(Seen::of).collect()
    })?;
    let devices: Vec<Term> = seen.iter().map(|seen| device(call, seen)).collect();
    Ok(Term::list(devices))
}

fn behind(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let observed = observed(call)?;
    let mut lagging: Vec<&Seen> = observed
        .devices
        .iter()
        .filter(|seen| seen.stand.behind > 0)
        .collect();
    lagging.sort_by_key(|seen| Reverse(seen.stand.behind));
    let listed = lagging.iter().take(LISTED);
    Ok(told(
        lagging.len(),
        listed.map(|seen| device(call, seen)).collect(),
    ))
}

fn device(call: &Call<'_>, seen: &Seen) -> Term {
    let Seen {
        device,
        dtype,
        stand,
        mailbox,
    } = seen;
    let dtype = dtype.as_deref().map(text);
    map([
        ("pid", Term::Pid(device.number())),
        ("uid", number(device.uid().0)),
        ("user", user_name(device.uid(), &call.state().hashids)),
        ("did", text(device.did().as_str())),
        ("dtype", or_undefined(dtype)),
        ("since", number(device.since_ms())),
        ("behind", number(stand.behind.into())),
        ("in_flight", number(stand.walking.into())),
        ("outbox", number(stand.queued.into())),
        ("mailbox", number(*mailbox as u64)),
    ])
}

fn flights(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    flights_where(call, None)
}

fn flights_to(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let uid = user_of(&args[0], &call.state().hashids)?;
    flights_where(call, Some(uid))
}

fn flights_where(call: &mut Call<'_>, to: Option<Uid>) -> Result<Term, Raised> {
    let observed = observed(call)?;
    let wanted = |device: &DeviceRef| to.is_none_or(|uid| device.uid() == uid);
    let mut flights: Vec<_> = observed
        .flights
        .iter()
        .filter(|(device, _)| wanted(device))
        .collect();
    flights.sort_by_key(|(_, flight)| flight.started_ms);
    let hashids = &call.state().hashids;
    let listed = flights.iter().take(LISTED).map(|(device, flight)| {
        let carried = &flight.carried;
        let from = carried.from().map(|uid| user_name(uid, hashids));
        map([
            ("pid", Term::Pid(flight.number)),
            ("id", text(carried.id().as_str())),
            ("type", text(carried.kind())),
            ("from", or_undefined(from)),
            ("to", user_name(carried.to(), hashids)),
            ("did", text(device.did().as_str())),
            ("attempt", number(flight.attempts.into())),
            ("attempts", number(flight.of as u64)),
            ("next_send", or_undefined(flight.next_ms.map(number))),
        ])
    });
    Ok(told(flights.len(), listed.collect()))
}

fn inbox(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let uid = user_of(&args[0], &call.state().hashids)?;
    let Some(inbox) = call.read(move |engine| look::inbox(engine, uid))? else {
        return Ok(Term::atom("undefined"));
    };
    let devices: Vec<Term> = inbox
        .devices()
        .map(|device| {
            map([
                ("did", text(device.did.as_str())),
                ("behind", number(device.behind)),
                ("seen", number(device.seen_ms)),
                ("resync", Term::bool(device.lagging)),
            ])
        })
        .collect();
    Ok(map([
        ("user", user_name(uid, &call.state().hashids)),
        ("waiting", number(inbox.waiting())),
        ("last_seq", number(inbox.head())),
        ("devices", Term::list(devices)),
    ]))
}

fn inboxes(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    fullest(call, LISTED)
}

fn inboxes_most(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let count = count_of(&args[0])?;
    if count > inboxes::LISTED_MAX {
        let said = format!("at most {} inboxes are listed", inboxes::LISTED_MAX);
        return Err(failed("too_many", said));
    }
    fullest(call, count)
}

fn fullest(call: &mut Call<'_>, count: usize) -> Result<Term, Raised> {
    let shell = call.shell.clone();
    let found = call.ask(async move { shell.inboxes.look(&shell.engine).await })?;
    let found = found.map_err(|error| failed("storage", error.to_string()))?;
    call.machine.charge(count * 8)?;
    let hashids = &call.state().hashids;
    let listed = found.users.iter().take(count).map(|user| {
        map([
            ("user", user_name(user.uid, hashids)),
            ("uid", number(user.uid.0)),
            ("waiting", number(user.waiting)),
            ("devices", number(user.devices as u64)),
        ])
    });
    let listed: Vec<Term> = listed.collect();
    if found.is_partial {
        call.machine
            .print("(there are more users than one look goes through)\n")?;
    }
    Ok(Term::list(listed))
}

fn parked(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let uid = user_of(&args[0], &call.state().hashids)?;
    let observed = observed(call)?;
    let on_their_way: Vec<u64> = observed
        .flights
        .iter()
        .filter(|(device, _)| device.uid() == uid)
        .filter_map(|(_, flight)| flight.carried.seq())
        .collect();
    let rows = call.read(move |engine| look::rows_of(engine, uid, 0, ROWS_MAX))?;
    call.machine.charge(rows.len())?;
    let waiting: Vec<_> = rows
        .into_iter()
        .filter(|(seq, _)| !on_their_way.contains(seq))
        .collect();
    let connected: Vec<&Seen> = observed
        .devices
        .iter()
        .filter(|seen| seen.device.uid() == uid)
        .collect();
    let why = match connected.as_slice() {
        [] => "no device of the user is connected",
        devices if devices.iter().any(|seen| seen.stand.queued > 0) => {
            "a device does not read what was written to it"
        }
        _ => "its copies were not acknowledged, or the window is full",
    };
    let now = observed.at_ms;
    let hashids = &call.state().hashids;
    let listed = waiting.iter().take(LISTED).map(|(seq, row)| {
        map([
            ("id", text(row.id.as_str())),
            ("seq", number(*seq)),
            ("from", user_name(row.from, hashids)),
            ("accepted", number(row.server_ts)),
            ("age_ms", number(now.saturating_sub(row.server_ts))),
            ("why", text(why)),
        ])
    });
    Ok(told(waiting.len(), listed.collect()))
}

/// A list of some of so many; says how many are left out.
fn told(total: usize, mut listed: Vec<Term>) -> Term {
    let hidden = total.saturating_sub(listed.len());
    if hidden > 0 {
        let more = Term::tuple([Term::atom("and_more"), number(hidden as u64)]);
        listed.push(more);
    }
    Term::list(listed)
}

fn access(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let uid = user_of(&args[0], &call.state().hashids)?;
    let state = call.shell.state.clone();
    match call.ask(async move { state.commit(Op::Access(uid)).await })? {
        Ok(Answer::Access(access)) => Ok(access_term(&access)),
        Ok(_) => Err(failed("storage", "an answer to something else")),
        Err(fault) => Err(failed("refused", &*fault.msg)),
    }
}

/// What is forbidden to a user.
pub fn access_term(access: &crate::machine::access::Access) -> Term {
    let devices = access.banned_devices.iter().map(|did| text(did.as_str()));
    map([
        ("banned", Term::bool(access.banned)),
        ("banned_devices", Term::list(devices.collect::<Vec<_>>())),
        (
            "tokens_not_before",
            or_undefined(access.tokens_not_before.map(number)),
        ),
    ])
}

fn bans(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let state = call.shell.state.clone();
    let op = Op::Bans {
        after: None,
        limit: 100,
    };
    match call.ask(async move { state.commit(op).await })? {
        Ok(Answer::Bans(bans)) => {
            let hashids = &call.state().hashids;
            let users = bans
                .users
                .iter()
                .map(|(uid, access)| Term::tuple([user_name(*uid, hashids), access_term(access)]));
            Ok(Term::list(users.collect::<Vec<_>>()))
        }
        Ok(_) => Err(failed("storage", "an answer to something else")),
        Err(fault) => Err(failed("refused", &*fault.msg)),
    }
}
