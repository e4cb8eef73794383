//! `GET /observe`: one snapshot of every actor, as JSON.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::actor::processes::Fixture;
use crate::id::Hashids;
use crate::shell::call::overview::Fullest;
use crate::shell::observer::{Observed, Seen};
use crate::shell::{Role, Shell};
use crate::store::ledger::look;

use super::reply;

/// Rows of each sort that are told.
const ROWS: usize = 1000;
/// Inboxes that are told.
const INBOXES: usize = 50;
/// The inboxes are looked through so often at most, and never for more than a fraction of the time.
const INBOXES_EVERY: Duration = Duration::from_secs(2);
const THRIFT: u32 = 20;

/// What waits in the inboxes, as it was looked at last.
#[derive(Default)]
pub struct Inboxes(Mutex<Option<(Instant, Duration, Value)>>);

/// The snapshot.
pub async fn observe(req: HttpRequest, shell: web::Data<Shell>) -> HttpResponse {
    let role = req.extensions().get::<Role>().copied();
    let state = &shell.state;
    let services = &state.services;
    let observed = shell.observer.look(services).await;
    let inboxes = shell.inboxes.look(&shell).await;
    let hashids = &state.hashids;
    let trouble = state.trouble();
    reply::success(json!({
        "now": observed.at_ms,
        "node": {
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": state.started_ms,
            "ready": trouble.is_none(),
            "trouble": trouble,
            "read_only": role == Some(Role::Reader),
            "schedule_ms": services.schedule.load().gaps(),
            "memory_bytes": services.metrics.memory().map(|memory| memory.resident),
            "public": state.settings.listen.public,
        },
        "counters": services.metrics.counts(),
        "accept_seconds": services.metrics.accept_times(),
        "devices": devices(&observed, hashids),
        "deliveries": deliveries(&observed, hashids),
        "inboxes": inboxes,
        "processes": processes(services.processes.fixtures(), &observed, hashids),
    }))
}

fn devices(observed: &Observed, hashids: &Hashids) -> Value {
    let rows = shown(observed).into_iter().map(|seen| {
        let device = &seen.device;
        json!({
            "pid": pid(device.number()),
            "uid": hashids.encode(device.uid()),
            "number": device.uid().0,
            "did": device.did().as_str(),
            "dtype": device.dtype(),
            "since": device.since_ms(),
            "mailbox": seen.mailbox,
            "in_flight": seen.stand.walking,
            "outbox": seen.stand.queued,
            "behind": seen.stand.behind,
        })
    });
    let rows: Vec<Value> = rows.collect();
    json!({"total": observed.devices.len(), "rows": rows})
}

/// The devices that are told of: where there are too many, those that have trouble come first.
fn shown(observed: &Observed) -> Vec<&Seen> {
    let mut devices: Vec<&Seen> = observed.devices.iter().collect();
    if devices.len() > ROWS {
        devices.sort_by_key(|seen| Reverse((seen.stand.behind, seen.stand.walking)));
        devices.truncate(ROWS);
        devices.sort_by_key(|seen| seen.device.number());
    }
    devices
}

fn deliveries(observed: &Observed, hashids: &Hashids) -> Value {
    let total: u64 = observed
        .devices
        .iter()
        .map(|seen| u64::from(seen.stand.walking))
        .sum();
    let rows = observed.flights.iter().take(ROWS).map(|(device, flight)| {
        let carried = &flight.carried;
        json!({
            "pid": pid(flight.number),
            "device": pid(device.number()),
            "id": carried.id().as_str(),
            "kind": carried.kind(),
            "from": carried.from().map(|uid| hashids.encode(uid)),
            "to": hashids.encode(carried.to()),
            "did": device.did().as_str(),
            "seq": carried.seq(),
            "attempt": flight.attempts,
            "of": flight.of,
            "started_at": flight.started_ms,
            "next_at": flight.next_ms,
        })
    });
    let rows: Vec<Value> = rows.collect();
    json!({"total": total.max(rows.len() as u64), "rows": rows})
}

/// The tree: the parts of the server, the devices below the registry, and below each what is on its way to it.
fn processes(
    fixtures: Vec<(u64, Arc<dyn Fixture>)>,
    observed: &Observed,
    hashids: &Hashids,
) -> Vec<Value> {
    let registry = fixtures.iter().find(|(_, f)| f.kind() == "registry");
    let registry = registry.map(|(number, _)| pid(*number));
    let devices = shown(observed).into_iter().map(|seen| {
        let device = &seen.device;
        json!({
            "pid": pid(device.number()),
            "name": null,
            "kind": "device",
            "parent": registry,
            "mailbox": seen.mailbox,
            "since": device.since_ms(),
            "label": format!("{} of {}", device.did(), hashids.encode(device.uid())),
        })
    });
    let flights = observed.flights.iter().take(ROWS).map(|(device, flight)| {
        json!({
            "pid": pid(flight.number),
            "name": null,
            "kind": "delivery",
            "parent": pid(device.number()),
            "mailbox": 0,
            "since": flight.started_ms,
            "label": format!("{} to {}", flight.carried.id(), device.did()),
        })
    });
    let parts = fixtures.into_iter().map(|(number, fixture)| {
        json!({
            "pid": pid(number),
            "name": fixture.name(),
            "kind": fixture.kind(),
            "parent": fixture.parent().map(pid),
            "mailbox": fixture.mailbox(),
            "since": fixture.since_ms(),
            "label": fixture.label(),
        })
    });
    parts.chain(devices).chain(flights).collect()
}

fn pid(number: u64) -> String {
    format!("<0.{number}.0>")
}

impl Inboxes {
    async fn look(&self, shell: &web::Data<Shell>) -> Value {
        let mut latest = self.0.lock().await;
        if let Some((made, took, value)) = latest.as_ref()
            && made.elapsed() < INBOXES_EVERY.max(*took * THRIFT)
        {
            return value.clone();
        }
        let begun = Instant::now();
        let (engine, of) = (shell.engine.clone(), shell.clone());
        let found = web::block(move || {
            let fullest = Fullest::find(&*engine, INBOXES)?;
            let rows = fullest.users.iter().map(|user| {
                let oldest = look::rows_of(&*engine, user.uid, 0, 1).unwrap_or_default();
                json!({
                    "uid": of.state.hashids.encode(user.uid),
                    "number": user.uid.0,
                    "waiting": user.waiting,
                    "oldest_at": oldest.first().map(|(_, row)| row.server_ts),
                    "devices": user.devices,
                })
            });
            let rows: Vec<Value> = rows.collect();
            Ok::<Value, crate::store::EngineError>(json!({"users": fullest.total, "rows": rows}))
        });
        let value = match found.await {
            Ok(Ok(value)) => value,
            // A store that cannot be read says so elsewhere on the page.
            _ => json!({"users": 0, "rows": []}),
        };
        *latest = Some((Instant::now(), begun.elapsed(), value.clone()));
        value
    }
}
