//! `soak`: everything at once and for long, against a server that may die and come back.

use std::time::Duration;

use crate::load::crew::Crew;
use crate::load::plan::Soak;
use crate::load::temper::Traits;

use super::{Played, Share, add_pairs, connect_all, let_run_evenly};

pub(super) fn play(crew: &mut Crew, plan: &Soak, share: Share) -> Played {
    add_pairs(crew, share, (plan.pairs, plan.devices, plan.window))?;
    let is_there = connect_all(crew)?;
    crew.meet()?;
    if !is_there {
        return Ok(None);
    }
    let_run_evenly(crew, share.of(plan.pairs), plan.pairs, plan.per_second);
    for client in 0..crew.clients.len() {
        let nth = (crew.stage.first_client + client) as u64;
        // Every fourth client behaves, so that there is always somebody who only suffers.
        let traits = match nth % 4 {
            0 => None,
            1 => Some(absent()),
            _ => Some(flaky()),
        };
        if let Some(traits) = traits {
            crew.spoil(client, &traits, plan.seed.wrapping_add(nth));
        }
    }
    crew.measure(true);
    let mut left = plan.time;
    while !left.is_zero() {
        let step = left.min(plan.storm_every);
        if !crew.run_for(step)? {
            break;
        }
        left -= step;
        if !left.is_zero() {
            for client in 0..crew.clients.len() {
                crew.cut(client);
            }
        }
    }
    crew.measure(false);
    crew.drain()?;
    Ok(None)
}

/// Comes seldom, and finds much that waits.
fn absent() -> Traits {
    Traits {
        drops_ack: 0.0,
        delays_ack: 0.0,
        delay: Duration::ZERO..Duration::ZERO,
        sends_twice: 0.0,
        stays: Some(Duration::from_secs(10)),
        away: Duration::from_secs(1)..Duration::from_secs(20),
    }
}

fn flaky() -> Traits {
    Traits {
        drops_ack: 0.01,
        delays_ack: 0.05,
        delay: Duration::from_millis(1)..Duration::from_secs(2),
        sends_twice: 0.02,
        stays: Some(Duration::from_secs(20)),
        away: Duration::from_millis(1)..Duration::from_secs(3),
    }
}
