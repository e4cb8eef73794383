//! `flaky`: clients that drop and delay acknowledgements, send twice, leave and come back, by chance and by seed.

use std::time::Duration;

use crate::load::client::Pace;
use crate::load::crew::Crew;
use crate::load::plan::Flaky;
use crate::load::temper::Traits;

use super::{Played, Share, add_pairs, connect_all, measure};

/// A flow sends no faster than this, nanoseconds for each message: a device that is away for a moment must not fall so far
/// behind the other that the server gives messages up for it.
const EVERY: f64 = 2e6;

pub(super) fn play(crew: &mut Crew, plan: &Flaky, share: Share) -> Played {
    add_pairs(crew, share, (plan.pairs, plan.devices, plan.window))?;
    // Everybody comes once before anything is sent: only devices that the server knows are promised a message.
    let is_there = connect_all(crew)?;
    crew.meet()?;
    if !is_there {
        return Ok(None);
    }
    for client in 0..crew.clients.len() {
        let nth = (crew.stage.first_client + client) as u64;
        crew.spoil(client, &traits(), plan.seed.wrapping_add(nth));
    }
    for flow in 0..crew.flows.len() {
        let start = crew.now;
        crew.let_run(
            flow,
            Some(Pace {
                start,
                every: EVERY,
            }),
        );
    }
    measure(crew, Duration::ZERO, plan.time)
}

fn traits() -> Traits {
    Traits {
        drops_ack: 0.02,
        delays_ack: 0.1,
        delay: Duration::from_millis(1)..Duration::from_millis(500),
        sends_twice: 0.05,
        stays: Some(Duration::from_secs(3)),
        away: Duration::from_millis(1)..Duration::from_secs(1),
    }
}
