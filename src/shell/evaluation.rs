//! One evaluation, on a thread of its own at the lowest priority.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::erl::eval::{Host as _, Limits};
use crate::erl::lib;
use crate::erl::print::{Style, styled};
use crate::erl::session::Session;

use super::audit::{Line, without_secrets};
use super::host::Host;
use super::seat::{Occupied, Seat};
use super::{Role, Shell};

/// The longest text that is evaluated, bytes.
pub const TEXT_MAX: usize = 64 << 10;
/// Evaluations of operators at once, and of those who only look: they must not keep an operator out.
pub const AT_ONCE: [usize; 2] = [24, 8];
/// What one evaluation may use; its time is a setting.
const LIMITS: Limits = Limits {
    steps: 20_000_000,
    elements: 600_000,
    nesting: 4_000,
};
/// Enough for that nesting in a build without optimisation.
const STACK: usize = 64 << 20;
/// How much of one value is shown, bytes.
const VALUE_MAX: usize = 256 << 10;
/// How much of an error, and of each change, the audit log keeps, bytes. Texts are kept whole.
const LOGGED: usize = 1024;

/// What is to be evaluated.
pub struct Task {
    /// In this session.
    pub seat: Arc<Seat>,
    /// What.
    pub text: String,
    /// Whether nothing is to be changed.
    pub dry_run: bool,
    /// Who asks: an address.
    pub address: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The value of the last sentence, printed.
    pub value: Option<String>,
    /// What the first sentence without a value raised, printed.
    pub error: Option<String>,
    /// The names of the session's variables.
    pub variables: Vec<String>,
    /// The number of the session's next sentence; 0 if nothing was evaluated.
    pub next: u64,
}

/// Why nothing was evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The text is too long.
    #[error("the text has {0} bytes, at most 65536 are allowed")]
    TooLong(usize),
    /// An evaluation is at work in that session.
    #[error(transparent)]
    Occupied(#[from] Occupied),
    /// There are too many.
    #[error("too many evaluations are at work")]
    Busy,
    /// The server goes down.
    #[error("the server is going down")]
    Draining,
    /// There is no thread for it.
    #[error("the server cannot start another thread")]
    NoThread,
}

/// Begins an evaluation. `print` hears everything that is printed, values and errors among it; the answer comes at the end.
pub fn begin(
    shell: &Arc<Shell>,
    task: Task,
    print: impl FnMut(&str) + Send + 'static,
) -> Result<oneshot::Receiver<Done>, NotDone> {
    if task.text.len() > TEXT_MAX {
        return Err(NotDone::TooLong(task.text.len()));
    }
    if shell.state.is_draining() {
        return Err(NotDone::Draining);
    }
    let turns = &shell.turns[task.seat.role as usize];
    let turn = turns.clone().try_acquire_owned();
    let turn = turn.map_err(|_| NotDone::Busy)?;
    let session = task.seat.take(shell.state.services.clock.now_ms())?;
    let (done, answer) = oneshot::channel();
    let shell = shell.clone();
    let seat = task.seat.clone();
    let thread = std::thread::Builder::new()
        .name("shell".into())
        .stack_size(STACK);
    let spawned = thread.spawn(move || {
        lower_priority();
        run(&shell, task, session, print, done, turn);
    });
    match spawned {
        Ok(_) => Ok(answer),
        Err(error) => {
            log::error!("an evaluation has no thread: {error}");
            seat.give_back(Session::default());
            Err(NotDone::NoThread)
        }
    }
}

/// Has this thread run only when no other has anything to do. A merely low priority (nice) would not do: who wakes up does
/// not take the processor from it at once, and a message passes several threads.
fn lower_priority() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let lowered = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    // Where it is not granted, the budget still holds.
    if let Err(error) = lowered {
        log::debug!("an evaluation runs at the priority of the server: {error:?}");
    }
}

fn run(
    shell: &Arc<Shell>,
    task: Task,
    session: Session,
    print: impl FnMut(&str) + 'static,
    done: oneshot::Sender<Done>,
    turn: OwnedSemaphorePermit,
) {
    let (at, begun) = (shell.state.services.clock.wall_ms(), Instant::now());
    let evaluated = catch_unwind(AssertUnwindSafe(|| evaluate(shell, &task, session, print)));
    let (session, outcome, changes) = evaluated.unwrap_or_else(|_| {
        let outcome = Done {
            error: Some(
                "** the evaluator failed: this is a bug, and the session begins anew".into(),
            ),
            ..Done::default()
        };
        (Session::default(), outcome, Vec::new())
    });
    task.seat.give_back(session);
    drop(turn);
    note(shell, &task, at, begun.elapsed(), &outcome, &changes);
    // Whoever asked may have gone.
    let _ = done.send(outcome);
}

fn evaluate(
    shell: &Arc<Shell>,
    task: &Task,
    mut session: Session,
    print: impl FnMut(&str) + 'static,
) -> (Session, Done, Vec<String>) {
    let print = RefCell::new(print);
    let eval_ms = shell.state.settings.shell.eval_ms;
    let deadline = Instant::now() + Duration::from_millis(eval_ms);
    let host = Host::new(shell, &task.seat, task.dry_run, (deadline, eval_ms), &print);
    let mut outcome = Done::default();
    session.run(
        &task.text,
        &host,
        lib::find,
        LIMITS,
        &mut |sentence| match sentence.result {
            Ok(value) => {
                let most = VALUE_MAX.min(host.room());
                let shown = styled(&value, Style::whole(0).within(most));
                // Where there is no room left, the next sentence is not begun.
                let _ = host.print(&format!("{shown}\n"));
                outcome.value = Some(shown);
            }
            Err(failure) => {
                let shown = failure.shown();
                (print.borrow_mut())(&format!("{shown}\n"));
                (outcome.value, outcome.error) = (None, Some(shown));
            }
        },
    );
    outcome.next = session.next_number();
    outcome.variables = session.variables().map(str::to_string).collect();
    let changes = host.into_changes();
    (session, outcome, changes)
}

fn note(shell: &Shell, task: &Task, at: u64, took: Duration, outcome: &Done, changes: &[String]) {
    let state = &shell.state;
    let keys = state.secrets();
    // A secret that was cut in two would not be found.
    let whole = |text: &str| without_secrets(text, &keys);
    let clean = |text: &str| cut(whole(text));
    let changes: Vec<String> = changes.iter().map(|change| clean(change)).collect();
    let error = outcome
        .error
        .as_deref()
        .and_then(|error| error.lines().next());
    let error = error.map(clean);
    shell.audit.write(
        task.seat.role,
        &Line {
            at,
            who: task.seat.role.name(),
            address: &task.address,
            session: &whole(&task.seat.name),
            text: &whole(&task.text),
            dry_run: task.dry_run,
            changes: &changes,
            outcome: error.as_deref().unwrap_or("ok"),
            took_ms: took.as_millis() as u64,
        },
    );
    if task.seat.role == Role::Operator && !changes.is_empty() && !task.dry_run {
        log::info!("operator at {}: {changes:?}", task.address);
    }
}

fn cut(text: String) -> String {
    match text.char_indices().find(|(at, _)| *at >= LOGGED) {
        None => text,
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
    }
}
