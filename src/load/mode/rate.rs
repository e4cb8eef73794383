//! `rate`: an open loop, in which messages are due at fixed times, however the server does.

use crate::load::client::Pace;
use crate::load::crew::Crew;
use crate::load::ledger::Frees;
use crate::load::plan::Rate;

use super::{Played, Share, connect_all, measure};

pub(super) fn play(crew: &mut Crew, plan: &Rate, share: Share) -> Played {
    let pairs = share.of(plan.pairs);
    for pair in pairs.clone() {
        let first = share.users_from + 2 * pair as u64;
        let reader = crew.add_user(first)?;
        for device in 0..plan.devices {
            crew.add_client(reader, device, 0);
        }
        let sender = crew.add_user(first + 1)?;
        let client = crew.add_client(sender, 0, plan.window);
        crew.add_flow(client, reader, plan.devices, Frees::Accept)?;
    }
    let is_there = connect_all(crew)?;
    crew.meet()?;
    if !is_there {
        return Ok(None);
    }
    // One message of each pair in turn, so that all together are evenly spread.
    let gap = 1e9 / plan.per_second;
    let every = gap * plan.pairs as f64;
    for (flow, pair) in pairs.enumerate() {
        let start = crew.now + (gap * pair as f64) as u64;
        crew.let_run(flow, Some(Pace { start, every }));
    }
    measure(crew, plan.warm_up, plan.time)
}
