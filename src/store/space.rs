//! Watches the room that is left for the store, and stops new messages before the disk is full.
//!
//! A look at a file system can hang as long as the file system does, so it is done on a thread of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::metrics::Metrics;

use super::health::Health;

/// How often it looks. Between two looks a disk that takes 250 MB a second loses 64 MB.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks at once, and then from a thread of its own for as long as somebody else holds `health`.
pub fn watch(
    path: PathBuf,
    min_free_bytes: u64,
    health: &Health,
    metrics: Metrics,
) -> io::Result<()> {
    let mut watch = Watch {
        path,
        mark: Mark::new(min_free_bytes),
        metrics,
        blind: false,
    };
    watch.look(health);
    let health = health.downgrade();
    std::thread::Builder::new()
        .name("space".into())
        .spawn(move || {
            loop {
                std::thread::sleep(LOOK_EVERY);
                match health.upgrade() {
                    Some(health) => watch.look(&health),
                    None => return,
                }
            }
        })?;
    Ok(())
}

/// How many bytes the file system of `path` has left for a process without privileges.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

struct Watch {
    path: PathBuf,
    mark: Mark,
    metrics: Metrics,
    /// The last look failed, which has been said.
    blind: bool,
}

impl Watch {
    fn look(&mut self, health: &Health) {
        let free = match free_bytes(&self.path) {
            Ok(free) => free,
            Err(error) => {
                if !self.blind {
                    let path = self.path.display();
                    log::warn!("the free space of {path} cannot be read: {error}");
                }
                self.blind = true;
                return;
            }
        };
        self.blind = false;
        self.metrics.store_free(free);
        let was_low = self.mark.low;
        let low = self.mark.is_low(free);
        if low {
            let path = self.path.display();
            let least = self.mark.least;
            let lack = match free < least {
                true => "less than",
                false => "not yet a tenth more than",
            };
            let trouble = format!("{free} bytes free on {path}, {lack} store.min_free_bytes");
            if !was_low {
                log::warn!("{trouble} = {least}: new messages are refused until there is room");
            }
            health.space(Some(trouble));
        } else if was_low {
            log::warn!("{free} bytes free: new messages are taken again");
            health.space(None);
        }
    }
}

/// Low below the mark, and until there is a tenth more than it: what lies between changes nothing.
#[derive(Clone, Copy, Debug)]
struct Mark {
    least: u64,
    low: bool,
}

impl Mark {
    fn new(least: u64) -> Mark {
        Mark { least, low: false }
    }

    fn is_low(&mut self, free: u64) -> bool {
        let enough = match self.low {
            true => self.least.saturating_add(self.least / 10),
            false => self.least,
        };
        self.low = free < enough;
        self.low
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_low_stays_low_until_there_is_a_tenth_more() {
        let mut mark = Mark::new(1000);
        let looks = [1000, 999, 1000, 1099, 1100, 1000, 999];
        let low = looks.map(|free| mark.is_low(free));
        assert_eq!(low, [false, true, true, true, false, false, true]);
    }

    #[test]
    fn a_mark_of_nothing_is_never_low() {
        assert!(!Mark::new(0).is_low(0));
    }

    #[test]
    fn a_server_that_finds_too_little_room_says_so_at_once_with_the_numbers() {
        let metrics = Metrics::new().unwrap();
        let health = Health::new(metrics.clone());
        let dir = tempfile::tempdir().unwrap();
        watch(dir.path().into(), u64::MAX, &health, metrics.clone()).unwrap();
        let trouble = health.trouble().unwrap();
        let path = dir.path().display();
        let said = format!(" bytes free on {path}, less than store.min_free_bytes");
        assert!(trouble.ends_with(&said), "{trouble}");
        assert!(health.is_nearly_full());
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("\nyizhan_store_ready 0\n"), "{text}");
    }
}
