//! `yizhan:why/1`: the stored life of one message, and a verdict.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use crate::actor::device::operator::Snapshot;
use crate::erl::function::Raised;
use crate::erl::term::Term;
use crate::id::{Did, MsgId, Uid};
use crate::machine::dedupe::Entry;
use crate::machine::inbox::Inbox;
use crate::machine::life::{Connected, Flight, Life, Reader, span};
use crate::message::chat::Chat;
use crate::message::trace::{Cause, Moment, Step, Turn, device_key, message_key};
use crate::message::{Answer, Op, State, Target};
use crate::shell::Call;
use crate::shell::observer::look_at;
use crate::shell::table::{Body, Function};
use crate::shell::terms::{failed, id_of, map, number, or_undefined, text, user_name};
use crate::store::ledger::look;
use crate::store::trace::Found;

/// Moments of one message that are kept from its beginning, and as many from its end.
const MOMENTS_MAX: usize = 500;
/// Messages of one id that are told.
const NAMES_MAX: usize = 1000;

/// The functions.
pub const FUNCTIONS: &[Function] = &[Function {
    module: "yizhan",
    name: "why",
    arity: 1,
    usage: "yizhan:why(MsgId)",
    doc: "Prints a verdict on a message, and gives its life: accepted, each copy to each device, jams, parks, acknowledgements, receipts.",
    body: Body::Reads(why),
}];

/// A message is named by its sender, its reader and its id; an operator's has no sender.
type Name = (Option<Uid>, Uid);
/// What happened, and when, Unix milliseconds.
type Steps = Vec<(u64, Step)>;

/// The beginning and the end of a life: whoever repeats something ten thousand times must not hide what came before or after.
#[derive(Default)]
struct Moments {
    first: Steps,
    last: VecDeque<(u64, Step)>,
    left_out: u64,
}

impl Moments {
    fn add(&mut self, at_ms: u64, step: Step) {
        if self.first.len() < MOMENTS_MAX {
            return self.first.push((at_ms, step));
        }
        if self.last.len() == MOMENTS_MAX {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back((at_ms, step));
    }

    fn len(&self) -> usize {
        self.first.len() + self.last.len()
    }

    fn into_steps(self) -> Steps {
        let mut steps = self.first;
        steps.extend(self.last);
        steps.sort_by_key(|(at, _)| *at);
        steps
    }
}

fn why(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let id = id_of(&args[0])?;
    let mut lives: BTreeMap<Name, Moments> = BTreeMap::new();
    let found = search(call, &[message_key(&id)], true, &mut |moment| {
        if let Moment::Message {
            at_ms,
            from,
            to,
            step,
        } = moment
        {
            let is_new = !lives.contains_key(&(from, to));
            if !is_new || lives.len() < NAMES_MAX {
                lives.entry((from, to)).or_default().add(at_ms, step);
            }
        }
    })?;
    let now = call.state().services.clock.now_ms();
    let mut told = Vec::new();
    for (name, moments) in lives {
        call.machine.charge(moments.len() * 16)?;
        told.push(life_of(call, &id, name, moments, &found, now)?);
    }
    if told.is_empty() {
        let since = Timestamp::from_millisecond(found.from_ms as i64);
        let since = since.map(|at| at.to_string()).unwrap_or_default();
        let verdict = match found.from_ms {
            0 => "Nothing is known of a message with this id, and nothing else was written down either.".to_string(),
            _ => format!("Nothing is known of a message with this id: what is kept goes back to {since}."),
        };
        return Ok(map([
            ("id", text(id.as_str())),
            ("verdict", text(&verdict)),
            ("life", Term::Nil),
        ]));
    }
    Ok(match told.len() {
        1 => told.remove(0),
        // The same id from several senders, or to several readers.
        _ => Term::list(told),
    })
}

fn search(
    call: &Call<'_>,
    keys: &[u64],
    is_first: bool,
    visit: &mut dyn FnMut(Moment),
) -> Result<Found, Raised> {
    let diary = &call.state().services.diary;
    let Some(tracer) = diary.tracer() else {
        let said = "nothing is written down: trace.max_bytes is 0";
        return Err(failed("no_trace", said));
    };
    let turn = call.shell.desk.seek(call.deadline);
    turn.map_err(|late| call.out_of_time(late))?;
    let mut show = |_, bytes: &[u8]| {
        if let Ok(moment) = postcard::from_bytes(bytes) {
            visit(moment);
        }
    };
    // The first has the latest written, and those after it need not.
    let found = match is_first {
        true => tracer.find(keys, &mut show),
        false => tracer.find_written(keys, &mut show),
    };
    found.map_err(|error| failed("trace", error.to_string()))
}

fn life_of(
    call: &mut Call<'_>,
    id: &MsgId,
    (from, to): Name,
    moments: Moments,
    found: &Found,
    now: u64,
) -> Result<Term, Raised> {
    let (entry, inbox) = match from {
        Some(from) => {
            let id = id.clone();
            call.read(move |engine| {
                let entry = look::entry(engine, Chat::User(to), from, &id)?;
                Ok((entry, look::inbox(engine, to)?))
            })?
        }
        None => (None, None),
    };
    let left_out = moments.left_out;
    let steps = moments.into_steps();
    let state = match from {
        Some(from) => state_of(call, from, to, id)?,
        None => State::Unknown,
    };
    let devices = readers(call, id, to, entry.as_ref(), inbox.as_ref(), &steps)?;
    let life = Life {
        accepted: entry.as_ref().map(|entry| (entry.server_ts, entry.seq)),
        steps,
        state,
        devices,
        ttl_ms: call.state().settings.inbox.ttl_ms,
        lost: found.lost,
        left_out,
    };
    let verdict = life.verdict(now);
    // Before the value, in which it would stand last and be the hardest to read.
    call.machine.print(&format!("{verdict}\n"))?;
    let hashids = &call.state().hashids;
    let from = from.map(|uid| user_name(uid, hashids));
    Ok(map([
        ("id", text(id.as_str())),
        ("from", or_undefined(from)),
        ("to", user_name(to, hashids)),
        ("state", Term::atom(state.name())),
        ("life", told(&life.steps)),
        ("verdict", text(&verdict)),
    ]))
}

fn state_of(call: &Call<'_>, from: Uid, to: Uid, id: &MsgId) -> Result<State, Raised> {
    let state = call.shell.state.clone();
    let of = vec![Target {
        to: Chat::User(to),
        id: id.clone(),
    }];
    let op = Op::Status { from, of };
    match call.ask(async move { state.commit(op).await })? {
        Ok(Answer::Status(states)) => Ok(states.first().map_or(State::Unknown, |(_, s, _)| *s)),
        Ok(_) => Err(failed("storage", "an answer to something else")),
        Err(fault) => Err(failed("refused", &*fault.msg)),
    }
}

/// The reader's devices that matter to this message.
fn readers(
    call: &mut Call<'_>,
    id: &MsgId,
    to: Uid,
    entry: Option<&Entry>,
    inbox: Option<&Inbox>,
    steps: &[(u64, Step)],
) -> Result<Vec<Reader>, Raised> {
    let shell = call.shell.clone();
    let connected: Vec<(Did, Snapshot)> = call.ask(async move {
        let mut connected = Vec::new();
        for device in shell.state.services.registry.of_user(to) {
            if let Some(snapshot) = look_at(&device).await {
                connected.push((device.did().clone(), snapshot));
            }
        }
        connected
    })?;
    let mut names: BTreeSet<Did> = steps.iter().filter_map(|(_, s)| did_of(s)).collect();
    names.extend(connected.iter().map(|(did, _)| did.clone()));
    let known = inbox.map(|inbox| inbox.devices().map(|d| (d.did.clone(), d.seen_ms)));
    let known: BTreeMap<Did, u64> = known.into_iter().flatten().collect();
    names.extend(known.keys().cloned());
    let keys: Vec<u64> = names.iter().map(|did| device_key(to, did)).collect();
    let mut turns: BTreeMap<Did, Vec<(u64, Turn)>> = BTreeMap::new();
    search(call, &keys, false, &mut |moment| {
        if let Moment::Device {
            at_ms,
            uid,
            did,
            turn,
        } = moment
            && uid == to
        {
            turns.entry(did).or_default().push((at_ms, turn));
        }
    })?;
    let seq = entry.map(|entry| entry.seq);
    let readers = names.into_iter().map(|did| {
        let snapshot = connected.iter().find(|(of, _)| *of == did);
        let now = snapshot.map(|(_, snapshot)| {
            let flight = snapshot.deliveries.iter().find(|flight| {
                flight.carried.id() == id && (seq.is_none() || flight.carried.seq() == seq)
            });
            Connected {
                queued: snapshot.view.queued,
                walking: snapshot.view.walking,
                held_back: snapshot.view.held_back.then_some(snapshot.view.next),
                flight: flight.map(|flight| Flight {
                    copies: flight.attempts,
                    of: flight.of,
                    next_ms: flight.next_ms,
                }),
            }
        });
        Reader {
            turns: turns.remove(&did).unwrap_or_default(),
            now: now.filter(|_| snapshot.is_some_and(|(_, s)| s.view.live)),
            owed: match (seq, inbox) {
                (Some(seq), Some(inbox)) => {
                    known.contains_key(&did) && !inbox.is_acked_by(&did, seq)
                }
                _ => false,
            },
            seen_ms: known.get(&did).copied(),
            did,
        }
    });
    Ok(readers.collect())
}

fn did_of(step: &Step) -> Option<Did> {
    match step {
        Step::Sent { did, .. }
        | Step::Skipped { did, .. }
        | Step::Parked { did, .. }
        | Step::Acked { did } => Some(did.clone()),
        _ => None,
    }
}

/// `{Time, After, Step, Details}` for each step.
fn told(steps: &[(u64, Step)]) -> Term {
    let first = steps.first().map_or(0, |(at, _)| *at);
    let lines = steps.iter().map(|(at, step)| {
        let time = Timestamp::from_millisecond(i64::try_from(*at).unwrap_or(0));
        let time = time.map(|at| format!("{at:.3}")).unwrap_or_default();
        let after = format!("+{}", span(at.saturating_sub(first)));
        let (name, details) = describe(step);
        Term::tuple([text(&time), text(&after), Term::atom(name), details])
    });
    Term::list(lines.collect::<Vec<_>>())
}

fn describe(step: &Step) -> (&'static str, Term) {
    let named = |did: &Did| text(did.as_str());
    match step {
        Step::Accepted { seq } => ("accepted", map([("seq", number(*seq))])),
        Step::Alone => ("reader_offline", map([])),
        Step::Refused { code } => ("refused", map([("code", number((*code).into()))])),
        Step::Sent { did, attempt } => (
            "sent",
            map([("did", named(did)), ("attempt", number((*attempt).into()))]),
        ),
        Step::Skipped { did, attempt } => (
            "jammed",
            map([("did", named(did)), ("attempt", number((*attempt).into()))]),
        ),
        Step::Parked {
            did,
            attempts,
            cause,
        } => (
            "parked",
            map([
                ("did", named(did)),
                ("attempts", number((*attempts).into())),
                (
                    "why",
                    Term::atom(match cause {
                        Cause::UsedUp => "schedule_used_up",
                        Cause::Disconnected => "disconnected",
                        Cause::Operator => "operator",
                    }),
                ),
            ]),
        ),
        Step::Acked { did } => ("acked", map([("did", named(did))])),
        Step::Told { did } => ("receipt", map([("did", named(did))])),
        Step::Redelivered => ("redelivered", map([])),
        Step::Expired => ("expired", map([("by", Term::atom("operator"))])),
    }
}
