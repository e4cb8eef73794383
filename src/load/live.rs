//! What a person sees while a run goes on: on standard error, so that standard output is the result's.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::report::Point;
use super::tally::Sight;

/// How often a line is written where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);
const TEMPLATE: &str = "{elapsed_precise} {bar:24} {msg}";

/// Shows how it goes.
pub(super) enum Live {
    Quiet,
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
}

impl Live {
    /// A bar of this time on a terminal, lines elsewhere, and nothing for those who want quiet.
    pub(super) fn new(is_quiet: bool, time: Duration) -> Live {
        if is_quiet {
            return Live::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Live::Lines { last: None };
        }
        let bar = ProgressBar::new(time.as_millis() as u64);
        let style = ProgressStyle::with_template(TEMPLATE);
        Live::Bar(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    pub(super) fn show(&mut self, at: Duration, sight: &Sight, point: &Point) {
        let text = || {
            format!(
                "{}: {} connected, {:.0} accepted/s, {:.0} delivered/s, {:.0} loops/s, p99 {:.2} ms, {} open",
                sight.phase,
                sight.on,
                point.accepted_per_s,
                point.delivered_per_s,
                point.loops_per_s,
                point.loop_p99_us / 1e3,
                sight.unsettled
            )
        };
        match self {
            Live::Quiet => {}
            Live::Bar(bar) => {
                bar.set_position(at.as_millis() as u64);
                bar.set_message(text());
            }
            Live::Lines { last } => {
                if last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
                    *last = Some(Instant::now());
                    eprintln!("{:>6.1} s {}", at.as_secs_f64(), text());
                }
            }
        }
    }

    pub(super) fn end(self) {
        if let Live::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
