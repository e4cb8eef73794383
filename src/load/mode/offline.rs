//! `offline`: messages to readers who are away, and then come and take them all.

use serde_json::json;

use crate::load::LoadError;
use crate::load::crew::{Crew, Waited};
use crate::load::ledger::Frees;
use crate::load::plan::Offline;

use super::{Played, Share, connect_all};

pub(super) fn play(crew: &mut Crew, plan: &Offline, share: Share) -> Played {
    for pair in 0..plan.readers {
        let first = share.users_from + 2 * pair as u64;
        let reader = crew.add_user(first)?;
        crew.add_client(reader, 0, 0);
        let sender = crew.add_user(first + 1)?;
        let client = crew.add_client(sender, 0, plan.window);
        crew.add_flow(client, reader, 1, Frees::Accept)?;
    }
    // The server is to know the readers' devices.
    if !connect_all(crew)? {
        return Ok(None);
    }
    let readers = |_: &Crew| (0..plan.readers).map(|pair| 2 * pair);
    for reader in readers(crew) {
        crew.want(reader, false);
    }

    for flow in 0..plan.readers {
        let at = |flow: usize| plan.messages * flow as u64 / plan.readers as u64;
        crew.order(flow, at(flow + 1) - at(flow));
    }
    crew.measure(true);
    crew.board.phase("storing");
    let began = crew.now;
    let most = plan.most;
    let stored = crew.until(most, |crew| {
        crew.unanswered == 0 && crew.tally.counts.sent == plan.messages
    })?;
    let accept_s = seconds(crew.now - began);
    let accepted = crew.tally.counts.accepted;
    crew.measure(false);
    if stored == Waited::Late {
        return Err(LoadError::Run(format!(
            "{accepted} of {} messages are accepted after {} s",
            plan.messages,
            most.as_secs()
        )));
    }

    crew.stop_sending();
    // All of them are accepted, and nothing more is to be judged.
    if plan.stay_away {
        return Ok(Some(json!({
            "messages": plan.messages,
            "readers": plan.readers,
            "stored_s": accept_s,
            "stored_per_s": accepted as f64 / accept_s,
        })));
    }
    crew.board.phase("taking");
    let (began, before) = (crew.now, crew.tally.counts);
    for reader in readers(crew) {
        crew.want(reader, true);
    }
    let mut first = None;
    let mut progress = (crew.now, 0);
    crew.until(most, |crew| {
        let since = crew.tally.counts.since(&before);
        if since.delivered > 0 {
            first.get_or_insert(crew.now);
        }
        if since.confirmed != progress.1 {
            progress = (crew.now, since.confirmed);
        }
        // What does not come for so long is lost, and the rest of the run says which it is.
        crew.unsettled == 0 || crew.now - progress.0 > crew.stage.drain.as_nanos() as u64
    })?;
    let drain_s = seconds(progress.0 - began);
    let since = crew.tally.counts.since(&before);
    crew.drain()?;
    Ok(Some(json!({
        "messages": plan.messages,
        "readers": plan.readers,
        "stored_s": accept_s,
        "stored_per_s": accepted as f64 / accept_s,
        "taken_s": drain_s,
        "taken_per_s": since.confirmed as f64 / drain_s,
        "first_after_s": first.map(|first| seconds(first - began)),
    })))
}

fn seconds(ns: u64) -> f64 {
    ns.max(1) as f64 / 1e9
}
