//! `yizhan attach`: a shell on a running server, for a person at a terminal or for a script.

mod connect;
mod history;
mod interrupt;
mod link;
mod script;
mod sentence;
mod shell;
mod terminal;
mod wire;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use log::LevelFilter;

use crate::config::Settings;

use connect::Target;
use shell::Shell;

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct AttachArgs {
    /// The admin listener of the server [default: listen.admin]
    #[arg(long, value_name = "http[s]://HOST:PORT")]
    to: Option<String>,
    /// With --to https://…, the PEM file of who signed the server's certificate [default: the public authorities]
    #[arg(long, value_name = "FILE", requires = "to")]
    ca: Option<PathBuf>,
    /// Uses the token that may look and change nothing
    #[arg(long)]
    read_only: bool,
    /// The session whose bindings are used and kept, 1 to 64 of A-Z a-z 0-9 - _ . [default: one of its own]
    #[arg(long, value_name = "NAME", value_parser = wire::session)]
    session: Option<String>,
    /// Says what changing calls would do, and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Evaluates this and leaves; may be given several times
    #[arg(short = 'e', value_name = "EXPR.", allow_hyphen_values = true)]
    expressions: Vec<String>,
    /// Evaluates a file and leaves; - is standard input, which is taken too if it is no terminal and nothing else is given
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

const EXIT_CODES: &str = "\
A script ends at its first error. Exit codes:
  0  everything was evaluated
  1  an exception or a syntax error
  2  wrong usage
  3  the server cannot be reached, refuses the token, or was lost";

/// Opens the shell and uses it; what goes wrong is told on standard error.
pub(super) fn attach(settings: &Settings, args: &AttachArgs) -> ExitCode {
    let exit = run(settings, args).unwrap_or_else(|stop| {
        eprintln!("yizhan: {:#}", stop.error);
        stop.exit
    });
    ExitCode::from(exit as u8)
}

/// How the command ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    Evaluated = 0,
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
}

/// An end that needs a word.
#[derive(Debug)]
struct Stop {
    exit: Exit,
    error: anyhow::Error,
}

impl Exit {
    fn because(self, error: impl Into<anyhow::Error>) -> Stop {
        let error = error.into();
        Stop { exit: self, error }
    }
}

fn run(settings: &Settings, args: &AttachArgs) -> Result<Exit, Stop> {
    // A trace of the handshake would show the token.
    log::set_max_level(log::max_level().min(LevelFilter::Debug));
    let target = Target::find(settings, args)?;
    let nothing_given = args.expressions.is_empty() && args.file.is_none();
    if nothing_given && io::stdin().is_terminal() && io::stdout().is_terminal() {
        return terminal::run(target, args.dry_run);
    }
    let requests = script::requests(&args.expressions, args.file.as_deref())?;
    script::run(Shell::new(target, args.dry_run), &requests)
}
