//! The machine under the server: memory, times, versions.

use crate::erl::function::Raised;
use crate::erl::term::Term;
use crate::shell::Call;
use crate::shell::table::{Body, Function};
use crate::shell::terms::{failed, number, pair};

/// The functions.
pub const FUNCTIONS: &[Function] = &[
    Function {
        module: "erlang",
        name: "memory",
        arity: 0,
        usage: "erlang:memory()",
        doc: "Memory in bytes: what the process has resident, its most, and what the log holds that is not settled.",
        body: Body::Reads(memory),
    },
    Function {
        module: "erlang",
        name: "memory",
        arity: 1,
        usage: "erlang:memory(Item)",
        doc: "One item of erlang:memory/0.",
        body: Body::Reads(memory_item),
    },
    Function {
        module: "erlang",
        name: "system_info",
        arity: 1,
        usage: "erlang:system_info(Item)",
        doc: "process_count, process_limit, schedulers, logical_processors, system_version, otp_release, system_architecture, wordsize, start_time or info (all of them).",
        body: Body::Reads(system_info),
    },
    Function {
        module: "erlang",
        name: "system_time",
        arity: 0,
        usage: "erlang:system_time()",
        doc: "The time, Unix nanoseconds.",
        body: Body::Reads(system_time),
    },
    Function {
        module: "erlang",
        name: "system_time",
        arity: 1,
        usage: "erlang:system_time(Unit)",
        doc: "The time since 1970 in second, millisecond, microsecond or nanosecond.",
        body: Body::Reads(system_time_in),
    },
    Function {
        module: "erlang",
        name: "node",
        arity: 0,
        usage: "node()",
        doc: "The name of this node: there is one.",
        body: Body::Reads(node),
    },
];

/// The time is known in milliseconds.
const NANOSECONDS: i64 = 1_000_000;

fn memory(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let items = measure(call)?;
    let items = items.map(|(name, bytes)| pair(name, number(bytes)));
    Ok(Term::list(items))
}

fn memory_item(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let wanted = args[0].as_atom().ok_or_else(Raised::badarg)?;
    let items = measure(call)?;
    let found = items.into_iter().find(|(name, _)| *name == wanted);
    found
        .map(|(_, bytes)| number(bytes))
        .ok_or_else(Raised::badarg)
}

fn measure(call: &Call<'_>) -> Result<[(&'static str, u64); 3], Raised> {
    let memory = call.state().services.metrics.memory();
    let memory = memory.ok_or_else(|| failed("memory", "the system does not say it"))?;
    Ok([
        ("total", memory.resident),
        ("maximum", memory.peak),
        ("unsettled", memory.unsettled),
    ])
}

const ITEMS: [&str; 9] = [
    "process_count",
    "process_limit",
    "schedulers",
    "logical_processors",
    "system_version",
    "otp_release",
    "system_architecture",
    "wordsize",
    "start_time",
];

fn system_info(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let item = args[0].as_atom().ok_or_else(Raised::badarg)?;
    if item == "info" {
        let items: Result<Vec<Term>, Raised> = ITEMS
            .iter()
            .map(|item| Ok(pair(item, info(call, item)?)))
            .collect();
        return Ok(Term::list(items?));
    }
    info(call, item)
}

fn info(call: &Call<'_>, item: &str) -> Result<Term, Raised> {
    let cores = || {
        let cores = std::thread::available_parallelism();
        number(cores.map_or(1, |cores| cores.get() as u64))
    };
    Ok(match item {
        "process_count" => {
            let shell = call.shell.clone();
            let count = call.ask(async move {
                let services = &shell.state.services;
                let observed = shell.observer.look(services).await;
                let walking: u64 = observed
                    .devices
                    .iter()
                    .map(|seen| u64::from(seen.stand.walking))
                    .sum();
                walking + (observed.devices.len() + services.processes.fixtures().len()) as u64
            })?;
            number(count)
        }
        "process_limit" => Term::atom("infinity"),
        "schedulers" | "logical_processors" => cores(),
        "system_version" => Term::string(concat!("yizhan ", env!("CARGO_PKG_VERSION"))),
        // The release whose expressions are understood, and whose words are used.
        "otp_release" => Term::string("25"),
        "system_architecture" => {
            let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
            Term::string(&format!("{arch}-{os}"))
        }
        "wordsize" => number(size_of::<usize>() as u64),
        "start_time" => number(call.state().started_ms),
        _ => return Err(Raised::badarg()),
    })
}

fn system_time(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    Ok(Term::Int(now_ms(call) * NANOSECONDS))
}

fn system_time_in(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let ms = now_ms(call);
    Ok(Term::Int(match args[0].as_atom() {
        Some("second" | "seconds") => ms / 1000,
        Some("millisecond" | "milli_seconds") => ms,
        Some("microsecond" | "micro_seconds") => ms * 1000,
        Some("nanosecond" | "nano_seconds" | "native") => ms * NANOSECONDS,
        _ => return Err(Raised::badarg()),
    }))
}

fn now_ms(call: &Call<'_>) -> i64 {
    i64::try_from(call.state().services.clock.wall_ms()).unwrap_or(i64::MAX / NANOSECONDS)
}

fn node(_: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    Ok(Term::atom("yizhan@localhost"))
}
