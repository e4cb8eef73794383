//! `GET /observe`: one snapshot of every actor, as JSON.

use std::cmp::Reverse;
use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::actor::processes::Fixture;
use crate::id::Hashids;
use crate::shell::inboxes::Fullest;
use crate::shell::observer::{Observed, Seen};
use crate::shell::{Role, Shell};

use super::reply;

/// Rows of each sort that are told.
const ROWS: usize = 1000;
/// Inboxes that are told.
const INBOXES: usize = 50;

/// The snapshot.
pub async fn observe(req: HttpRequest, shell: web::Data<Shell>) -> HttpResponse {
    let role = req.extensions().get::<Role>().copied();
    let state = &shell.state;
    let services = &state.services;
    let observed = shell.observer.look(services).await;
    // A store that cannot be read says so in `trouble`.
    let fullest = shell.inboxes.look(&shell.engine).await.unwrap_or_default();
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
        "inboxes": inboxes(&fullest, hashids),
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
            "dtype": seen.dtype,
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

fn inboxes(fullest: &Fullest, hashids: &Hashids) -> Value {
    let rows = fullest.users.iter().take(INBOXES).map(|user| {
        json!({
            "uid": hashids.encode(user.uid),
            "number": user.uid.0,
            "waiting": user.waiting,
            "oldest_at": user.oldest_ms,
            "devices": user.devices,
        })
    });
    let rows: Vec<Value> = rows.collect();
    json!({"users": fullest.total, "rows": rows})
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
