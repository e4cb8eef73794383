//! `rtmp_proxy:run/2`: a debugging relay for RTMP.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::actor::processes::{Fact, Fixture};
use crate::erl::function::Raised;
use crate::erl::term::Term;
use crate::relay::report::{Report, Session};
use crate::relay::url::Target;
use crate::relay::{Handle, Relay};
use crate::shell::Call;
use crate::shell::table::{Body, Function, Plan};
use crate::shell::terms::{failed, text_of};

/// Relays at once.
const RELAYS_MAX: usize = 16;
/// Sessions of one relay that are shown.
const SHOWN: usize = 8;

/// The functions.
pub const FUNCTIONS: &[Function] = &[Function {
    module: "rtmp_proxy",
    name: "run",
    arity: 2,
    usage: "rtmp_proxy:run(Port, Url)",
    doc: "Relays RTMP from a port of this machine to the server of the URL, logs what passes, and answers {ok,Pid}; process_info(Pid) tells what has passed, exit(Pid, normal) ends it.",
    body: Body::Changes(run),
}];

/// A relay as a process.
pub struct Running {
    handle: Handle,
    since_ms: u64,
    parent: u64,
}

impl Fixture for Running {
    fn kind(&self) -> &'static str {
        "relay"
    }

    fn label(&self) -> String {
        let report = self.handle.report();
        format!("rtmp {} to {}", report.addr, report.target)
    }

    fn parent(&self) -> Option<u64> {
        Some(self.parent)
    }

    fn since_ms(&self) -> u64 {
        self.since_ms
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        facts(&self.handle.report())
    }

    fn is_endable(&self) -> bool {
        true
    }

    fn end(&self) {
        self.handle.stop();
    }
}

fn run(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    let port = match &args[0] {
        Term::Int(port) => u16::try_from(*port).map_err(|_| Raised::badarg())?,
        _ => return Err(Raised::badarg()),
    };
    let url = text_of(&args[1]).ok_or_else(Raised::badarg)?;
    let target = Target::parse(&url).map_err(|error| failed("bad_url", error.to_string()))?;
    let settings = &call.state().settings.shell;
    let address = settings.relay_ip();
    let address = address.map_err(|error| failed("relay_address", error.reason))?;
    let bind = SocketAddr::new(address, port);
    Ok(Plan::new(
        format!("relay RTMP from {bind} to {target}"),
        move |call| {
            let (shell, parent) = (call.shell.clone(), call.seat.number);
            let started = call.ask(async move {
                let mut relays = shell.relays.lock();
                relays.retain(|relay| relay.handle.is_running());
                if relays.len() >= RELAYS_MAX {
                    return Err(format!("{RELAYS_MAX} relays run already"));
                }
                let handle = Relay::start(bind, target).map_err(|error| error.to_string())?;
                let services = &shell.state.services;
                let running = Arc::new(Running {
                    handle: handle.clone(),
                    since_ms: services.clock.now_ms(),
                    parent,
                });
                relays.push(running.clone());
                drop(relays);
                let number = services.processes.add(running);
                let shell = shell.clone();
                tokio::spawn(async move {
                    handle.ended().await;
                    shell.state.services.processes.remove(number);
                });
                Ok(number)
            })?;
            match started {
                Ok(number) => Ok(Term::tuple([Term::ok(), Term::Pid(number)])),
                Err(why) => Err(failed("relay", why)),
            }
        },
    ))
}

fn facts(report: &Report) -> Vec<(&'static str, Fact)> {
    let totals = &report.totals;
    let shown = report.sessions.iter().rev().take(SHOWN);
    vec![
        ("listens_on", Fact::Text(report.addr.to_string())),
        ("leads_to", Fact::Text(report.target.to_string())),
        ("open", Fact::Number(report.open() as u64)),
        ("clients", Fact::Number(totals.sessions)),
        ("turned_away", Fact::Number(totals.turned_away)),
        ("unreachable", Fact::Number(totals.unreachable)),
        ("bytes_up", Fact::Number(totals.up.bytes)),
        ("bytes_down", Fact::Number(totals.down.bytes)),
        ("up", Fact::Text(totals.up.to_string())),
        ("down", Fact::Text(totals.down.to_string())),
        (
            "sessions",
            Fact::List(shown.map(|session| session_facts(session)).collect()),
        ),
    ]
}

fn session_facts(session: &Session) -> Fact {
    let commands = session.commands.iter();
    let said = commands.map(|said| {
        let way = match said.way {
            crate::relay::report::Way::Up => "client: ",
            crate::relay::report::Way::Down => "server: ",
        };
        Fact::Text(format!("{way}{}", said.command))
    });
    let state = match &session.end {
        None => "open".to_string(),
        Some((_, end)) => end.to_string(),
    };
    let lasted = session.lasted(Instant::now()).as_millis() as u64;
    Fact::Map(vec![
        ("client", Fact::Text(session.client.to_string())),
        ("state", Fact::Text(state)),
        ("lasted_ms", Fact::Number(lasted)),
        ("up", Fact::Text(session.up.to_string())),
        ("down", Fact::Text(session.down.to_string())),
        ("commands", Fact::List(said.collect())),
    ])
}
