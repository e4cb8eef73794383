//! How the file descriptors of the process are shared out, so that clients never take the ones the store needs.

use std::thread::available_parallelism;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::gateway::admission::Marks;

/// What the system allows where it says that it allows any number.
const UNLIMITED: u64 = 1 << 20;
/// Kept from clients, as a part of all and within these bounds.
const RESERVE_PART: usize = 16;
const RESERVE_MIN: usize = 32;
const RESERVE_MAX: usize = 512;
/// What the process holds without any client, besides its workers: listeners, files of the store, standard streams.
const BASE: usize = 24;
/// What each worker holds.
const PER_WORKER: usize = 6;
/// Fewer clients than that are not worth a server.
const CLIENTS_MIN: usize = 16;

/// Who may have how many descriptors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// All of them.
    limit: usize,
    /// Threads that serve clients.
    pub(super) workers: usize,
    /// From which descriptors on clients are refused.
    pub(super) marks: Marks,
    /// Connections of clients that one worker accepts; the others wait in the system's queue.
    pub(super) clients_per_worker: usize,
    /// Connections of operators.
    pub(super) operators: usize,
}

impl Budget {
    /// Raises the limit of the process as far as it may, and shares it out.
    pub(super) fn take() -> Result<Budget, String> {
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        if before.current != before.maximum
            && let Err(error) = setrlimit(Resource::Nofile, raised)
        {
            log::warn!("the limit of file descriptors cannot be raised: {error}");
        }
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED);
        let limit =
            usize::try_from(limit.min(i32::MAX.unsigned_abs().into())).unwrap_or(usize::MAX);
        Budget::of(limit, available_parallelism().map_or(2, usize::from))
    }

    /// Tells the operator; apart, because a start that is refused says only why.
    pub(super) fn log(&self) {
        log::info!(
            "{} file descriptors: new clients are refused while {} are in use",
            self.limit,
            self.marks.refuse
        );
    }

    fn of(limit: usize, workers: usize) -> Result<Budget, String> {
        let reserve = (limit / RESERVE_PART).clamp(RESERVE_MIN, RESERVE_MAX);
        let base = BASE + PER_WORKER * (workers + 1);
        let least = base + reserve + CLIENTS_MIN.max(workers);
        if limit < least {
            return Err(format!(
                "the process may open {limit} files, and at least {least} are needed: raise the limit (ulimit -n)"
            ));
        }
        let mark = |below: usize| (limit - below) as i32;
        Ok(Budget {
            limit,
            workers,
            // Below what is accepted at all: a silent connection above the first mark must not make others wait.
            marks: Marks {
                refuse: mark(reserve),
                cut: mark(reserve * 3 / 4),
            },
            clients_per_worker: (limit - reserve / 4 - base) / workers,
            operators: (reserve / 4).max(8),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn clients_never_get_the_last_descriptors() {
        for limit in [128, 1024, 4096, 20_000, 1 << 20] {
            for workers in [1, 2, 7] {
                let budget = Budget::of(limit, workers).unwrap();
                let (refuse, cut) = (budget.marks.refuse as usize, budget.marks.cut as usize);
                let clients = budget.clients_per_worker * workers;
                assert!(refuse < cut && cut < limit, "{budget:?}");
                assert!(clients > 0 && clients + BASE + PER_WORKER * (workers + 1) < limit);
                // What is left when every client that can be accepted is there, for the store and for operators.
                assert!(limit - clients - BASE - PER_WORKER * (workers + 1) >= 8);
                assert!(budget.operators >= 8);
            }
        }
    }

    #[test]
    fn a_limit_too_low_for_a_server_is_named() {
        let said = Budget::of(64, 2).unwrap_err();
        assert!(said.contains("64") && said.contains("ulimit -n"), "{said}");
    }
}
