//! `pairs`: a closed loop, in which senders send as fast as their messages come full circle.

use crate::load::crew::Crew;
use crate::load::ledger::Frees;
use crate::load::plan::Pairs;

use super::{Played, Share, connect_all, measure};

pub(super) fn play(crew: &mut Crew, plan: &Pairs, share: Share) -> Played {
    let users_each = 1 + plan.senders as u64;
    for pair in share.of(plan.pairs) {
        let first = share.users_from + users_each * pair as u64;
        let reader = crew.add_user(first)?;
        for device in 0..plan.devices {
            crew.add_client(reader, device, 0);
        }
        for sender in 1..=plan.senders as u64 {
            let user = crew.add_user(first + sender)?;
            let client = crew.add_client(user, 0, plan.window);
            crew.add_flow(client, reader, plan.devices, Frees::Loop)?;
        }
    }
    let is_there = connect_all(crew)?;
    crew.meet()?;
    if !is_there {
        return Ok(None);
    }
    for flow in 0..crew.flows.len() {
        crew.let_run(flow, None);
    }
    measure(crew, plan.warm_up, plan.time)
}
