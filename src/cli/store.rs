//! `yizhan store`: looks after a store that no server has open.

use anyhow::{Result, anyhow, bail};
use clap::Subcommand;

use crate::config::Settings;
use crate::node::upkeep;

use super::print;

/// What is done with the store in `store.path`; a server must not run on it.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Reads all of it, and fails if anything is damaged; it needs room for a copy of what is settled
    Check,
    /// Keeps what can be read of a damaged store, puts the damaged files aside, and says what is lost
    Salvage,
}

pub(super) fn run(settings: &Settings, command: StoreCommand) -> Result<()> {
    match command {
        StoreCommand::Check => check(settings),
        StoreCommand::Salvage => salvage(settings),
    }
}

fn check(settings: &Settings) -> Result<()> {
    let found = upkeep::check(settings).map_err(|error| anyhow!(error))?;
    for line in found.notes.iter().chain(&found.damages) {
        print(line)?;
    }
    match found.damages.len() {
        0 => print("the store is well"),
        damages => bail!("the store is damaged: see the {damages} lines above"),
    }
}

fn salvage(settings: &Settings) -> Result<()> {
    let (found, aside) = upkeep::salvage(settings).map_err(|error| anyhow!(error))?;
    for line in found.notes.iter().chain(&found.damages) {
        print(line)?;
    }
    if let Some(aside) = aside {
        print(&format!(
            "the damaged files are kept in {}",
            aside.display()
        ))?;
    }
    match found.damages.is_empty() {
        true => print("the store is well, and was left as it is"),
        false => print("the store can be opened again"),
    }
}
