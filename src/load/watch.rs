//! What the server's process uses, and this one: as Linux tells it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::plan::ServerPid;

/// How often the size of a directory is looked at: a big one takes time.
const DIR_EVERY: Duration = Duration::from_secs(2);
/// Linux counts processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Watches a process that may end and be followed by another.
#[derive(Debug)]
pub(super) struct Watch {
    pid: Option<ServerPid>,
    dir: Option<PathBuf>,
    /// The process looked at last, and what it had used.
    last: Option<(u32, Duration)>,
    /// What the processes before it had used.
    before: Duration,
    peak: u64,
    dir_looked: Option<(Instant, u64)>,
}

/// What a server uses at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Processor time since it is watched, over all of its processes.
    pub(super) cpu: Option<Duration>,
    /// Memory, bytes.
    pub(super) rss: Option<u64>,
    /// Disk space, bytes.
    pub(super) disk: Option<u64>,
}

/// What was used up to one moment of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// Nanoseconds of the run.
    pub(super) at: u64,
    pub(super) server: Usage,
    pub(super) client_cpu: Option<Duration>,
}

impl Watch {
    pub(super) fn new(pid: Option<ServerPid>, dir: Option<PathBuf>) -> Watch {
        Watch {
            pid,
            dir,
            last: None,
            before: Duration::ZERO,
            peak: 0,
            dir_looked: None,
        }
    }

    /// Looks at the server.
    pub(super) fn look(&mut self) -> Usage {
        let pid = self.pid.as_ref().and_then(ServerPid::read);
        let used = pid.and_then(|pid| Some((pid, cpu(&pid.to_string())?)));
        if let Some((pid, cpu)) = used {
            if let Some((last, used)) = self.last
                && last != pid
            {
                self.before += used;
            }
            self.last = Some((pid, cpu));
        }
        let rss = pid.and_then(|pid| memory(pid, "VmRSS:"));
        let peak = pid.and_then(|pid| memory(pid, "VmHWM:")).unwrap_or(0);
        self.peak = self.peak.max(peak);
        Usage {
            cpu: self.last.map(|(_, used)| self.before + used),
            rss,
            disk: self.disk(),
        }
    }

    /// The most memory that a process looked at has ever had, bytes.
    pub(super) fn peak(&self) -> Option<u64> {
        (self.peak > 0).then_some(self.peak)
    }

    fn disk(&mut self) -> Option<u64> {
        let dir = self.dir.as_ref()?;
        if let Some((at, bytes)) = self.dir_looked
            && at.elapsed() < DIR_EVERY
        {
            return Some(bytes);
        }
        let bytes = size(dir);
        self.dir_looked = Some((Instant::now(), bytes));
        Some(bytes)
    }
}

impl ServerPid {
    fn read(&self) -> Option<u32> {
        match self {
            ServerPid::Number(pid) => Some(*pid),
            ServerPid::File(path) => fs::read_to_string(path).ok()?.trim().parse().ok(),
        }
    }
}

/// User and system time of a process, `self` for this one.
pub(super) fn cpu(pid: &str) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold spaces: the fields are counted from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

fn memory(pid: u32, what: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    let kb: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kb * 1024)
}

/// The blocks of all files below a directory; what vanishes meanwhile counts as nothing.
fn size(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_watched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), [1; 10_000]).unwrap();
        let pid = ServerPid::Number(std::process::id());
        let mut watch = Watch::new(Some(pid), Some(dir.path().into()));
        let usage = watch.look();
        assert!(usage.cpu.is_some() && usage.rss.unwrap() > 100_000);
        assert!(usage.disk.unwrap() >= 8_192);
        assert!(watch.peak().unwrap() >= usage.rss.unwrap());
    }

    #[test]
    fn a_process_that_is_not_there_uses_nothing() {
        let mut watch = Watch::new(Some(ServerPid::File("/nowhere/LOCK".into())), None);
        let usage = watch.look();
        assert!(usage.cpu.is_none() && usage.rss.is_none() && watch.peak().is_none());
    }
}
