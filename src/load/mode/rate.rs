//! `rate`: an open loop, in which messages are due at fixed times, however the server does.

use crate::load::crew::Crew;
use crate::load::plan::Rate;

use super::{Played, Share, add_pairs, connect_all, let_run_evenly, measure};

pub(super) fn play(crew: &mut Crew, plan: &Rate, share: Share) -> Played {
    add_pairs(crew, share, (plan.pairs, plan.devices, plan.window))?;
    let is_there = connect_all(crew)?;
    crew.meet()?;
    if !is_there {
        return Ok(None);
    }
    let_run_evenly(crew, share.of(plan.pairs), plan.pairs, plan.per_second);
    measure(crew, plan.warm_up, plan.time)
}
