//! What this process has used, as Linux counts it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time of all threads, user and system, to a hundredth of a second.
pub(crate) fn cpu_time() -> Result<Duration> {
    const MILLISECONDS_A_TICK: u64 = 10;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in brackets, and may hold spaces.
    let (_, after_name) = stat
        .rsplit_once(')')
        .context("no name in /proc/self/stat")?;
    let ticks = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * MILLISECONDS_A_TICK))
}

/// Resident memory in bytes.
pub(crate) fn resident_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS in /proc/self/status")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

/// Bytes a folder really takes: the blocks of its files, so that holes count nothing.
pub(crate) fn disk_bytes(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            metadata.blocks() * 512
        };
    }
    Ok(total)
}
