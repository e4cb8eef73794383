//! The server's time: Unix milliseconds that never jump, and the wall's for what other machines have dated.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Names the boot of the machine; a file of Linux.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// How fast the server's time runs towards a wall clock that was set, at most: parts in a million.
const FOLLOW_MAX: i64 = 50_000;
/// A wall clock this near, in milliseconds, is not run after.
const FOLLOW_FROM: i64 = 20;

/// Reads the wall clock: Unix milliseconds.
pub type Wall = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A steady clock, which takes after the wall clock slowly.
///
/// A step of the wall clock, by hand or by a time daemon, would expire messages that are young and bunch deadlines. So
/// the server's time runs at most a twentieth faster or slower until both agree, and it never goes back.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    wall: Wall,
    started: Instant,
    /// Read by every thread, and by some that may lose the processor at any place.
    pace: ArcSwap<Pace>,
}

/// The server's time from `since` on.
#[derive(Clone, Copy)]
struct Pace {
    /// Microseconds after the start.
    since: u64,
    /// The server's time then, Unix microseconds.
    server: u64,
    /// What it gains, parts in a million.
    gain: i64,
}

/// Where the server's time stood at an instant that a later process of the same boot can measure from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The server's time, Unix milliseconds.
    pub server_ms: u64,
    /// The boot of the machine.
    pub boot: String,
    /// Milliseconds after that boot.
    pub boot_ms: u64,
}

impl Clock {
    /// Starts from the wall clock of this machine.
    pub fn start() -> Clock {
        Clock::resume(Arc::new(wall_ms), None)
    }

    /// Goes on from where an earlier process left a mark, or else starts from the wall clock.
    ///
    /// Within one boot of the machine the time since the mark is measured, whatever was done to the wall clock
    /// meanwhile. After another boot the wall clock is all there is; the server's time still does not go back.
    pub fn resume(wall: Wall, mark: Option<&Mark>) -> Clock {
        let by_wall = wall();
        let begin = mark.map_or(by_wall, |mark| mark.reckon(by_wall, boot()));
        let ahead = by_wall as i64 - begin as i64;
        if ahead.abs() > 1000 {
            log::warn!(
                "the wall clock was set since the last run: it is {ahead} ms ahead of the server's time, which follows slowly"
            );
        }
        Clock(Arc::new(Inner {
            wall,
            started: Instant::now(),
            pace: ArcSwap::from_pointee(Pace {
                since: 0,
                server: begin.saturating_mul(1000),
                gain: 0,
            }),
        }))
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.ms_at(Instant::now())
    }

    /// Unix milliseconds at an instant that has just been.
    pub fn ms_at(&self, instant: Instant) -> u64 {
        let elapsed = instant.saturating_duration_since(self.0.started);
        self.0.pace.load().at(elapsed.as_micros() as u64) / 1000
    }

    /// The wall's Unix milliseconds, which may jump.
    pub fn wall_ms(&self) -> u64 {
        (self.0.wall)()
    }

    /// When something ends that ends at `wall`, Unix milliseconds by the wall clock.
    pub fn at_wall(&self, wall: u64) -> u64 {
        let now = self.now_ms();
        now.saturating_add(wall).saturating_sub(self.wall_ms())
    }

    /// Takes the pace that leads to the wall clock; to be called a few times a second.
    pub fn follow(&self) {
        let wall = self.wall_ms();
        let elapsed = self.0.elapsed();
        let pace = **self.0.pace.load();
        let server = pace.at(elapsed);
        let ahead = wall as i64 - (server / 1000) as i64;
        let gain = match ahead.abs() < FOLLOW_FROM {
            true => 0,
            // What is left is made up within a second.
            false => ahead.saturating_mul(1000).clamp(-FOLLOW_MAX, FOLLOW_MAX),
        };
        if gain != pace.gain {
            self.0.pace.store(Arc::new(Pace {
                since: elapsed,
                server,
                gain,
            }));
        }
    }

    /// Where the server's time stands; none where the system does not tell its boots apart.
    pub fn mark(&self) -> Option<Mark> {
        let (boot, boot_ms) = boot()?;
        let server_ms = self.now_ms();
        Some(Mark {
            server_ms,
            boot,
            boot_ms,
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now_ms())
    }
}

impl Inner {
    fn elapsed(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }
}

impl Pace {
    /// The server's time so many microseconds after the start.
    fn at(&self, elapsed: u64) -> u64 {
        let passed = elapsed.saturating_sub(self.since) as i64;
        let gained = passed / 1_000_000 * self.gain + passed % 1_000_000 * self.gain / 1_000_000;
        self.server.saturating_add_signed(passed + gained)
    }
}

impl Mark {
    /// The server's time by this mark, given the wall's and the time since which boot.
    fn reckon(&self, by_wall: u64, boot: Option<(String, u64)>) -> u64 {
        match boot {
            Some((boot, boot_ms)) if boot == self.boot && boot_ms >= self.boot_ms => {
                self.server_ms.saturating_add(boot_ms - self.boot_ms)
            }
            _ => by_wall.max(self.server_ms),
        }
    }
}

/// Unix milliseconds by the wall clock of this machine.
pub fn wall_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |d| d.as_millis() as u64)
}

/// This boot of the machine, and how many milliseconds ago it was, sleep included.
fn boot() -> Option<(String, u64)> {
    let id = std::fs::read_to_string(BOOT_ID).ok()?;
    let since = clock_gettime(ClockId::Boottime);
    let ms = since.tv_sec as u64 * 1000 + since.tv_nsec as u64 / 1_000_000;
    Some((id.trim().to_string(), ms))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    /// A wall clock that is set by hand and stands still.
    fn wall(ms: u64) -> (Arc<AtomicU64>, Wall) {
        let hand = Arc::new(AtomicU64::new(ms));
        let shown = hand.clone();
        (hand, Arc::new(move || shown.load(Ordering::Relaxed)))
    }

    async fn pass(ms: u64, clock: &Clock, hand: &AtomicU64) {
        for _ in 0..ms / 250 {
            tokio::time::advance(Duration::from_millis(250)).await;
            hand.fetch_add(250, Ordering::Relaxed);
            let before = clock.now_ms();
            clock.follow();
            assert!(
                clock.now_ms() >= before,
                "the server's time never goes back"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_jumps_a_day_ahead_is_followed_a_twentieth_faster() {
        let (hand, wall) = wall(10 * DAY);
        let clock = Clock::resume(wall, None);
        hand.fetch_add(DAY, Ordering::Relaxed);
        pass(HOUR, &clock, &hand).await;
        let gained = clock.now_ms() - 10 * DAY - HOUR;
        assert!((HOUR / 20 - 20..=HOUR / 20).contains(&gained), "{gained}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_jumps_back_slows_the_server_and_never_turns_it_back() {
        let (hand, wall) = wall(10 * DAY);
        let clock = Clock::resume(wall, None);
        hand.fetch_sub(60_000, Ordering::Relaxed);
        pass(HOUR, &clock, &hand).await;
        let behind = 10 * DAY + HOUR - clock.now_ms();
        assert!((59_900..=60_000).contains(&behind), "{behind}");
        assert_eq!(clock.at_wall(clock.wall_ms() + 5), clock.now_ms() + 5);
    }

    #[tokio::test(start_paused = true)]
    async fn within_one_boot_a_mark_counts_and_the_wall_clock_does_not() {
        let (_, wall) = wall(DAY);
        let mark = Clock::resume(wall, None).mark();
        let later = self::wall(9 * DAY).1;
        let resumed = Clock::resume(later, mark.as_ref()).now_ms();
        assert!((DAY..DAY + HOUR).contains(&resumed), "{resumed}");
    }

    #[test]
    fn after_another_boot_the_wall_clock_counts_and_the_time_does_not_go_back() {
        let mark = Mark {
            server_ms: 5 * DAY,
            boot: "first".into(),
            boot_ms: 100,
        };
        let other = || Some(("second".to_string(), 200));
        assert_eq!(mark.reckon(6 * DAY, other()), 6 * DAY);
        assert_eq!(mark.reckon(4 * DAY, other()), 5 * DAY);
        let same = Some(("first".to_string(), 350));
        assert_eq!(mark.reckon(9 * DAY, same), 5 * DAY + 250);
    }
}
