//! Compares the two releases of sled that a project can choose from: how fast a group commit is, and what is left
//! of the acknowledged rows after the process was killed.

mod bench;
mod committer;
mod engine;
mod kill;
mod usage;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tempfile::TempDir;

use crate::engine::{KeyOrder, Release};

#[derive(Parser)]
#[command(about = "Compares sled 0.34.7 and sled 1.0.0-alpha.124")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

/// What to run. The hidden tasks are what the visible ones start in a process of their own.
#[derive(Subcommand)]
enum Task {
    /// Measure group commit, and insert-and-delete pairs over a standing set of rows.
    Bench {
        #[command(flatten)]
        scope: Scope,
        /// Length of one measurement, after a warm-up of half a second.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// Kill a committing process ROUNDS times, and look for its acknowledged rows each time.
    Kill {
        /// Kills per release, and again as many for the control.
        rounds: u32,
        #[command(flatten)]
        scope: Scope,
    },
    #[command(hide = true)]
    MeasureCommits {
        release: Release,
        path: PathBuf,
        keys: KeyOrder,
        outstanding: usize,
        seconds: u64,
    },
    #[command(hide = true)]
    MeasurePairs {
        release: Release,
        path: PathBuf,
        keys: KeyOrder,
        seconds: u64,
    },
    #[command(hide = true)]
    Write {
        release: Release,
        path: PathBuf,
        #[command(flatten)]
        load: kill::Load,
    },
    #[command(hide = true)]
    Check { release: Release, path: PathBuf },
}

/// Which releases, and where their files go.
#[derive(Args)]
struct Scope {
    /// The releases to run.
    #[arg(long = "release", value_enum, default_values_t = Release::ALL)]
    releases: Vec<Release>,
    /// The orders of keys to run.
    #[arg(long, value_enum, default_values_t = [KeyOrder::Growing, KeyOrder::Scattered])]
    keys: Vec<KeyOrder>,
    /// Folder for the temporary databases; the system's own by default. It must be on a disk, not in memory.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Scope {
    /// Every release with every order of keys.
    fn cases(&self) -> impl Iterator<Item = (Release, KeyOrder)> {
        self.releases
            .iter()
            .flat_map(|&release| self.keys.iter().map(move |&keys| (release, keys)))
    }

    /// A fresh folder that is removed when dropped.
    fn temp_dir(&self) -> Result<TempDir> {
        let parent = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        tempfile::Builder::new()
            .prefix("sled-releases-")
            .tempdir_in(&parent)
            .with_context(|| format!("no temporary folder under {}", parent.display()))
    }
}

/// This program again, on one hidden task for one database.
fn this_program(task: &str, release: Release, path: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(task).arg(release.to_string()).arg(path);
    Ok(command)
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Bench { scope, seconds } => bench::run(&scope, seconds),
        Task::Kill { rounds, scope } => kill::run(&scope, rounds),
        Task::MeasureCommits {
            release,
            path,
            keys,
            outstanding,
            seconds,
        } => bench::measure_commits(release, &path, keys, outstanding, seconds),
        Task::MeasurePairs {
            release,
            path,
            keys,
            seconds,
        } => bench::measure_pairs(release, &path, keys, seconds),
        Task::Write {
            release,
            path,
            load,
        } => kill::write(release, &path, &load),
        Task::Check { release, path } => kill::check(release, &path),
    }
}
