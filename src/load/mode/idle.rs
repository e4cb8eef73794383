//! `idle`: clients that log in and say nothing, and what each of them costs the server.

use std::time::Duration;

use serde_json::json;

use crate::load::LoadError;
use crate::load::crew::{Crew, Waited};
use crate::load::ledger::Frees;
use crate::load::plan::Idle;

use super::{Played, Share};

/// Logins that are under way at once: this is no storm.
const AT_ONCE: usize = 256;
/// Time for the server to come to rest before its memory is looked at.
const REST: Duration = Duration::from_secs(1);
/// Messages of the prober that wait for their answer.
const WINDOW: usize = 64;
const MB: f64 = 1024.0 * 1024.0;

pub(super) fn play(crew: &mut Crew, plan: &Idle, share: Share) -> Played {
    let prober = crew.add_user(share.users_from)?;
    let prober = crew.add_client(prober, 0, WINDOW);
    for number in 1..=plan.clients as u64 {
        let user = crew.add_user(share.users_from + number)?;
        crew.add_client(user, 0, 0);
        crew.add_flow(prober, user, 1, Frees::Accept)?;
    }
    let before = crew.mark();
    crew.board.phase("connecting");
    let began = crew.now;
    for client in 1..=plan.clients {
        crew.want(client, true);
        let enough = client.saturating_sub(AT_ONCE);
        let patience = crew.stage.patience;
        match crew.until(patience, |crew| crew.on >= enough)? {
            Waited::Yes => {}
            Waited::Stopped => return Ok(None),
            Waited::Late => return Err(too_few(crew, plan)),
        }
    }
    match crew.until(crew.stage.patience, |crew| crew.on >= plan.clients)? {
        Waited::Yes => {}
        Waited::Stopped => return Ok(None),
        Waited::Late => return Err(too_few(crew, plan)),
    }
    let connect_s = (crew.now - began) as f64 / 1e9;
    crew.run_for(REST)?;
    let after = crew.mark();

    crew.measure(true);
    crew.run_for(plan.time)?;
    crew.measure(false);
    let end = crew.mark();
    let lost = crew.tally.counts.connections_lost;

    // Each connection is shown to be alive by a message that passes.
    crew.want(prober, true);
    for flow in 0..crew.flows.len() {
        crew.order(flow, 1);
    }
    crew.board.phase("probing");
    let answered =
        |crew: &mut Crew| crew.unsettled == 0 && crew.tally.counts.sent >= plan.clients as u64;
    crew.until(crew.stage.drain, answered)?;
    crew.drain()?;
    let mb = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / MB);
    let each = before
        .server
        .rss
        .zip(after.server.rss)
        .map(|(before, after)| (after as f64 - before as f64) / 1024.0 / plan.clients as f64);
    Ok(Some(json!({
        "connections": plan.clients,
        "logins_per_s": plan.clients as f64 / connect_s,
        "server_rss_before_mb": mb(before.server.rss),
        "server_rss_connected_mb": mb(after.server.rss),
        "server_rss_after_the_hold_mb": mb(end.server.rss),
        "server_rss_kb_per_connection": each,
        "connections_lost_while_idle": lost,
        "probed": crew.tally.counts.delivered,
    })))
}

fn too_few(crew: &Crew, plan: &Idle) -> LoadError {
    LoadError::Run(format!(
        "{} of {} clients are logged in, and no more come",
        crew.on, plan.clients
    ))
}
