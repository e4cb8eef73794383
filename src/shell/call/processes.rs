//! Processes: what runs, for whom, since when, and how to end it.

use crate::actor::device::operator::{Flight, Order, Snapshot};
use crate::actor::mailroom::DeviceRef;
use crate::actor::processes::Fact;
use crate::erl::function::Raised;
use crate::erl::term::{Key, Term};
use crate::id::Hashids;
use crate::machine::life::span;
use crate::shell::Call;
use crate::shell::known::{self, Known};
use crate::shell::observer::Seen;
use crate::shell::table::{self, Body, Function, Plan};
use crate::shell::terms::{failed, map, number, or_undefined, pair, text, text_of, user_name};

/// Processes that `i/0` shows of a sort.
const SHOWN: usize = 50;

/// What is called without a module.
pub const COMMANDS: &[Function] = &[
    Function {
        module: table::COMMANDS,
        name: "i",
        arity: 0,
        usage: "i()",
        doc: "Prints the processes: what they are, for whom, since when, and what waits for them.",
        body: Body::Reads(i),
    },
    Function {
        module: table::COMMANDS,
        name: "pid",
        arity: 3,
        usage: "pid(0, N, 0)",
        doc: "The pid <0.N.0>.",
        body: Body::Reads(pid),
    },
    Function {
        module: table::COMMANDS,
        name: "flush",
        arity: 0,
        usage: "flush()",
        doc: "Prints the messages that wait for this shell, and drops them.",
        body: Body::Reads(flush),
    },
];

/// Those of `erlang`, which are called without a module as well.
pub const FUNCTIONS: &[Function] = &[
    Function {
        module: "erlang",
        name: "self",
        arity: 0,
        usage: "self()",
        doc: "The pid of this shell.",
        body: Body::Reads(own_pid),
    },
    Function {
        module: "erlang",
        name: "processes",
        arity: 0,
        usage: "processes()",
        doc: "The pids of everything that runs: devices, deliveries, shells, relays, and the parts of the server.",
        body: Body::Reads(processes),
    },
    Function {
        module: "erlang",
        name: "registered",
        arity: 0,
        usage: "registered()",
        doc: "The names of the processes that have one.",
        body: Body::Reads(registered),
    },
    Function {
        module: "erlang",
        name: "whereis",
        arity: 1,
        usage: "whereis(Name)",
        doc: "The pid that is registered under a name, or undefined.",
        body: Body::Reads(whereis),
    },
    Function {
        module: "erlang",
        name: "is_process_alive",
        arity: 1,
        usage: "is_process_alive(Pid)",
        doc: "Whether a message to that process would be handled.",
        body: Body::Reads(is_process_alive),
    },
    Function {
        module: "erlang",
        name: "process_info",
        arity: 1,
        usage: "process_info(Pid)",
        doc: "What a process is, for whom, since when, what waits for it, its state and links; undefined if it is dead.",
        body: Body::Reads(process_info),
    },
    Function {
        module: "erlang",
        name: "process_info",
        arity: 2,
        usage: "process_info(Pid, Item)",
        doc: "One item of process_info/1, or a list of them.",
        body: Body::Reads(process_info_item),
    },
    Function {
        module: "erlang",
        name: "exit",
        arity: 2,
        usage: "exit(Pid, Reason)",
        doc: "Ends a process: a device's connections close and its messages wait, a delivery is parked, a relay or an evaluation stops. The parts of the server are not ended, and normal ends no device and no delivery.",
        body: Body::Changes(exit),
    },
    Function {
        module: "erlang",
        name: "pid_to_list",
        arity: 1,
        usage: "pid_to_list(Pid)",
        doc: "A pid as a string.",
        body: Body::Reads(pid_to_list),
    },
    Function {
        module: "erlang",
        name: "list_to_pid",
        arity: 1,
        usage: "list_to_pid(\"<0.N.0>\")",
        doc: "The pid that a string names.",
        body: Body::Reads(list_to_pid),
    },
];

/// What some process has.
const ITEMS: [&str; 15] = [
    "kind",
    "label",
    "uid",
    "user",
    "did",
    "dtype",
    "message",
    "type",
    "from",
    "to",
    "status",
    "since",
    "message_queue_len",
    "state",
    "links",
];

fn own_pid(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    Ok(Term::Pid(call.seat.number))
}

fn pid(_: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    match args {
        [Term::Int(0), Term::Int(number), Term::Int(0)] => {
            let number = u64::try_from(*number).map_err(|_| Raised::badarg())?;
            Ok(Term::Pid(number))
        }
        _ => Err(Raised::badarg()),
    }
}

fn pid_to_list(_: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let number = pid_of(&args[0])?;
    Ok(Term::string(&format!("<0.{number}.0>")))
}

fn list_to_pid(_: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let text = text_of(&args[0]).ok_or_else(Raised::badarg)?;
    let number = text
        .strip_prefix("<0.")
        .and_then(|rest| rest.strip_suffix(".0>"));
    let number = number.and_then(|number| number.parse().ok());
    number.map(Term::Pid).ok_or_else(Raised::badarg)
}

fn flush(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    while let Some(message) = call.seat.next_message() {
        let line = format!(
            "Shell got {}\n",
            crate::erl::print::pretty(&message, 11, 80)
        );
        call.machine.print(&line)?;
    }
    Ok(Term::ok())
}

fn processes(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let (fixtures, observed) = known::everything(call)?;
    let mut numbers: Vec<u64> = fixtures.iter().map(|fixture| fixture.number).collect();
    numbers.extend(observed.devices.iter().map(|seen| seen.device.number()));
    numbers.extend(observed.flights.iter().map(|(_, flight)| flight.number));
    numbers.sort_unstable();
    call.machine.charge(numbers.len() * 2)?;
    Ok(Term::list(
        numbers.into_iter().map(Term::Pid).collect::<Vec<_>>(),
    ))
}

fn registered(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let (fixtures, _) = known::everything(call)?;
    let mut names: Vec<String> = fixtures
        .iter()
        .filter_map(|fixture| fixture.name.clone())
        .collect();
    names.sort();
    let names: Vec<Term> = names.iter().map(|name| Term::atom(name)).collect();
    Ok(Term::list(names))
}

fn whereis(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let name = args[0].as_atom().ok_or_else(Raised::badarg)?.to_string();
    let state = call.shell.state.clone();
    let found = call.ask(async move { state.services.processes.whereis(&name) })?;
    Ok(or_undefined(found.map(Term::Pid)))
}

fn is_process_alive(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let number = pid_of(&args[0])?;
    Ok(Term::bool(known::find(call, number)?.is_some()))
}

fn process_info(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let number = pid_of(&args[0])?;
    let Some(known) = known::find(call, number)? else {
        return Ok(Term::atom("undefined"));
    };
    let items = items(call, &known);
    let items = items.into_iter().map(|(name, value)| pair(name, value));
    Ok(Term::list(items.collect::<Vec<_>>()))
}

fn process_info_item(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let number = pid_of(&args[0])?;
    let Some(known) = known::find(call, number)? else {
        return Ok(Term::atom("undefined"));
    };
    let items = items(call, &known);
    let find = |item: &Term| {
        let name = item.as_atom().ok_or_else(Raised::badarg)?;
        let found = items.iter().find(|(known, _)| *known == name);
        match found {
            Some((name, value)) => Ok(pair(name, value.clone())),
            // As Erlang says it of a process that has no name.
            None if name == "registered_name" => Ok(Term::Nil),
            // What other processes have, so that all of them can be asked in one comprehension.
            None if ITEMS.contains(&name) => Ok(pair(name, Term::atom("undefined"))),
            None => Err(Raised::badarg()),
        }
    };
    match args[1].as_list() {
        Some(wanted) => {
            let found: Result<Vec<Term>, Raised> = wanted.iter().map(find).collect();
            Ok(Term::list(found?))
        }
        None => find(&args[1]),
    }
}

/// The items of `process_info`, in the order in which they are shown.
fn items(call: &Call<'_>, known: &Known) -> Vec<(&'static str, Term)> {
    let hashids = &call.state().hashids;
    match known {
        Known::Device(seen, snapshot) => device_items(seen, snapshot, hashids),
        Known::Delivery(device, flight) => delivery_items(device, flight, hashids),
        Known::Fixture(stands, _) => {
            let mut items = Vec::new();
            if let Some(name) = &stands.name {
                items.push(("registered_name", Term::atom(name)));
            }
            items.push(("kind", Term::atom(stands.kind)));
            items.push(("label", text(&stands.label)));
            items.push(("status", Term::atom("waiting")));
            items.push(("since", number(stands.since_ms)));
            items.push(("message_queue_len", number(stands.mailbox as u64)));
            if !stands.facts.is_empty() {
                items.push(("state", fact_term(&Fact::Map(stands.facts.clone()))));
            }
            let links = stands.parent.map(Term::Pid);
            items.push(("links", Term::list(links.into_iter().collect::<Vec<_>>())));
            items
        }
    }
}

fn fact_term(fact: &Fact) -> Term {
    match fact {
        Fact::Number(value) => number(*value),
        Fact::Text(value) => text(value),
        Fact::List(facts) => Term::list(facts.iter().map(fact_term).collect::<Vec<_>>()),
        Fact::Map(facts) => {
            let entries = facts.iter();
            let entries = entries.map(|(name, fact)| (Key(Term::atom(name)), fact_term(fact)));
            Term::map(entries.collect())
        }
    }
}

fn device_items(seen: &Seen, snapshot: &Snapshot, hashids: &Hashids) -> Vec<(&'static str, Term)> {
    let (device, view) = (&seen.device, &snapshot.view);
    let links: Vec<Term> = snapshot
        .deliveries
        .iter()
        .map(|flight| Term::Pid(flight.number))
        .collect();
    let dtype = seen.dtype.as_deref().map(text);
    let state = map([
        ("live", Term::bool(view.live)),
        ("connection", or_undefined(view.epoch.map(number))),
        ("lingering", number(view.lingering as u64)),
        ("head", number(view.head)),
        ("next", number(view.next)),
        ("behind", number(view.behind)),
        ("in_flight", number(view.walking as u64)),
        ("outbox", number(view.queued)),
        ("held_back", Term::bool(view.held_back)),
    ]);
    vec![
        ("kind", Term::atom("device")),
        ("uid", number(device.uid().0)),
        ("user", user_name(device.uid(), hashids)),
        ("did", text(device.did().as_str())),
        ("dtype", or_undefined(dtype)),
        ("status", Term::atom("waiting")),
        ("since", number(device.since_ms())),
        ("message_queue_len", number(seen.mailbox as u64)),
        ("state", state),
        ("links", Term::list(links)),
    ]
}

fn delivery_items(
    device: &DeviceRef,
    flight: &Flight,
    hashids: &Hashids,
) -> Vec<(&'static str, Term)> {
    let carried = &flight.carried;
    let from = carried.from().map(|uid| user_name(uid, hashids));
    let state = map([
        ("attempt", number(flight.attempts.into())),
        ("attempts", number(flight.of as u64)),
        ("next_send", or_undefined(flight.next_ms.map(number))),
        ("seq", or_undefined(carried.seq().map(number))),
    ]);
    vec![
        ("kind", Term::atom("delivery")),
        ("message", text(carried.id().as_str())),
        ("type", text(carried.kind())),
        ("from", or_undefined(from)),
        ("to", user_name(carried.to(), hashids)),
        ("did", text(device.did().as_str())),
        ("status", Term::atom("waiting")),
        ("since", number(flight.started_ms)),
        ("message_queue_len", Term::Int(0)),
        ("state", state),
        ("links", Term::list([Term::Pid(device.number())])),
    ]
}

fn exit(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let number = pid_of(&args[0])?;
    let is_normal = args[1].is_atom("normal");
    let truth = |_: &mut Call<'_>| Ok(Term::bool(true));
    Ok(match known::find(call, number)? {
        None => Plan::new(format!("nothing: <0.{number}.0> is dead"), truth),
        Some(Known::Fixture(stands, fixture)) => {
            if !fixture.is_endable() {
                let said = format!("the {} is a part of the server", stands.kind);
                return Err(failed("not_allowed", said));
            }
            let says = format!("end the {} <0.{number}.0>, {}", stands.kind, stands.label);
            Plan::new(says, move |call| {
                call.ask(async move { fixture.end() })?;
                Ok(Term::bool(true))
            })
        }
        Some(_) if is_normal => {
            let says = "nothing: the reason normal ends no device and no delivery";
            Plan::new(says, truth)
        }
        Some(Known::Device(Seen { device, .. }, snapshot)) => {
            let says = format!(
                "end the process of {} of user {}: its connection closes, {} messages on their way to it wait",
                device.did(),
                device.uid(),
                snapshot.view.walking
            );
            Plan::new(says, move |call| known::order(call, &device, Order::Die))
        }
        Some(Known::Delivery(device, flight)) => {
            let says = format!(
                "park {} on its way to {} of user {}",
                flight.carried.id(),
                device.did(),
                device.uid()
            );
            Plan::new(says, move |call| {
                known::order(call, &device, Order::Halt(flight.slot))
            })
        }
    })
}

fn i(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let (fixtures, observed) = known::everything(call)?;
    let now = observed.at_ms;
    let age = |since: u64| span(now.saturating_sub(since));
    let row = |number: u64, kind: &str, what: &str, mailbox: usize, since: u64| {
        let pid = format!("<0.{number}.0>");
        format!(
            "{pid:<14} {kind:<10} {what:<40} {mailbox:>7} {:>12}\n",
            age(since)
        )
    };
    let mut out = format!(
        "{:<14} {:<10} {:<40} {:>7} {:>12}\n",
        "Pid", "Kind", "What", "Mailbox", "Age"
    );
    for stands in fixtures.iter().take(SHOWN) {
        let what = match &stands.name {
            Some(name) => format!("{name} {}", stands.label),
            None => stands.label.clone(),
        };
        let (mailbox, since) = (stands.mailbox, stands.since_ms);
        out.push_str(&row(stands.number, stands.kind, &what, mailbox, since));
    }
    for seen in observed.devices.iter().take(SHOWN) {
        let device = &seen.device;
        let what = format!(
            "{} of {} ({} on the way)",
            device.did(),
            call.state().hashids.encode(device.uid()),
            seen.stand.walking
        );
        let (number, since) = (device.number(), device.since_ms());
        out.push_str(&row(number, "device", &what, seen.mailbox, since));
    }
    for (device, flight) in observed.flights.iter().take(SHOWN) {
        let what = format!(
            "{} to {}, copy {} of {}",
            flight.carried.id(),
            device.did(),
            flight.attempts,
            flight.of
        );
        out.push_str(&row(flight.number, "delivery", &what, 0, flight.started_ms));
    }
    let left_out = |count: usize| count.saturating_sub(SHOWN);
    let hidden = left_out(fixtures.len())
        + left_out(observed.devices.len())
        + left_out(observed.flights.len());
    if hidden > 0 {
        out.push_str(&format!("and {hidden} more: processes() has all\n"));
    }
    call.machine.print(&out)?;
    Ok(Term::ok())
}

/// The number that a pid names.
pub fn pid_of(term: &Term) -> Result<u64, Raised> {
    match term {
        Term::Pid(number) => Ok(*number),
        _ => Err(Raised::badarg()),
    }
}
