//! The command line.

mod admin;
mod archive;
mod attach;
mod backup;
mod health;
mod load;
mod notify;
mod store;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::wall_ms;
use crate::config::{self, Settings, Sources};
use crate::id::{Hashids, Uid};
use crate::node::{Certificates, Node};
use crate::token::{Claims, Kind, Tokens};

/// An instant-messaging server: what it has acknowledged reaches every device of its reader, once as the reader sees
/// it, whatever process dies in between, and the sender is told when.
#[derive(Debug, Parser)]
#[command(name = "yizhan", version)]
struct Cli {
    #[command(flatten)]
    sources: SourceArgs,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct SourceArgs {
    /// A settings file, over the defaults and over the files before it; may be given several times
    #[arg(long = "config", value_name = "FILE", global = true)]
    files: Vec<PathBuf>,
    /// One setting, over everything else; may be given several times
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", global = true)]
    sets: Vec<String>,
}

#[derive(Clone, Copy, Debug, Args)]
struct ServeArgs {
    /// Adds the chat page at / and a login for anybody (POST /v1/dev/token); only on loopback addresses
    #[arg(long)]
    dev: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server (the default command)
    Serve(ServeArgs),
    /// Prints a token for a user
    Token {
        /// The user's number, or its hashid; digits alone are taken for a number
        #[arg(value_name = "UID")]
        user: String,
        /// A refresh token, good for getting access tokens and for nothing else
        #[arg(long)]
        refresh: bool,
        /// How long it is good, in milliseconds [default: auth.token_ttl_ms or auth.refresh_ttl_ms]
        #[arg(long, value_name = "MS")]
        ttl: Option<u64>,
    },
    /// Prints the hashid of a user's number, or the number of a hashid
    Uid {
        /// Digits alone are taken for a number
        #[arg(value_name = "NUMBER|HASHID")]
        uid: String,
    },
    /// Prints the settings in force, with secrets hidden
    Config,
    /// Takes a backup of a running server
    Backup(backup::BackupArgs),
    /// Restores a backup into store.path, which must hold no store
    Restore(backup::RestoreArgs),
    /// Looks after the store of a server that does not run
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Reads what is too old for the history, whether a server runs on the store or not
    Archive(archive::ArchiveArgs),
    /// Asks the server of these settings on this machine whether it is ready; if it is not, says why and fails
    Health,
    /// Opens a shell on a running server, or evaluates a script there
    Attach(attach::AttachArgs),
    /// Loads a server, times it, and proves that it loses and doubles nothing
    Load(load::LoadArgs),
}

/// Runs the command that the arguments name.
pub fn run() -> Result<ExitCode> {
    let cli = Cli::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let settings = Settings::load(&Sources {
        files: cli.sources.files,
        env: environment(),
        sets: cli.sources.sets,
    })?;
    let done = match cli.command {
        None => serve(settings, cli.serve),
        Some(Command::Serve(args)) => serve(
            settings,
            ServeArgs {
                dev: args.dev || cli.serve.dev,
            },
        ),
        Some(Command::Token { user, refresh, ttl }) => token(&settings, &user, refresh, ttl),
        Some(Command::Uid { uid }) => translate(&settings, &uid),
        Some(Command::Config) => print(&settings.redacted()),
        Some(Command::Backup(args)) => backup::backup(&settings, &args),
        Some(Command::Restore(args)) => backup::restore(&settings, &args),
        Some(Command::Store(command)) => store::run(&settings, command),
        Some(Command::Archive(args)) => archive::archive(&settings, &args),
        Some(Command::Health) => {
            health::ask(&settings)?;
            print("ready")
        }
        Some(Command::Attach(args)) => return Ok(attach::attach(&settings, &args)),
        Some(Command::Load(args)) => return load::load(&settings, &args),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// The variables that are text; a setting cannot be anything else.
fn environment() -> Vec<(String, String)> {
    let text = |(key, value): (OsString, OsString)| {
        Some((key.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

fn serve(settings: Settings, args: ServeArgs) -> Result<()> {
    let system = actix::System::new();
    system.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Before the start takes time, because a SIGHUP that nobody waits for ends the process.
        let hangups = signal(SignalKind::hangup())?;
        let node = Node::start(settings, args.dev)?;
        let (public, admin) = (node.public_addr(), node.admin_addr());
        print(&format!("yizhan ready public={public} admin={admin}"))?;
        notify::ready(public, admin);
        let reloads = actix::spawn(reload(hangups, node.certificates()));
        node.serve(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            reloads.abort();
            notify::stopping();
        })
        .await;
        Ok(())
    })
}

/// Reads the certificates again at each SIGHUP.
async fn reload(mut hangups: Signal, certificates: Certificates) {
    while hangups.recv().await.is_some() {
        notify::reloading();
        let certificates = certificates.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || certificates.reload()).await {
            log::error!("the certificates were not read again: {error}");
        }
        notify::reloaded();
    }
}

fn token(settings: &Settings, user: &str, refresh: bool, ttl: Option<u64>) -> Result<()> {
    let hashids = Hashids::new(&settings.ids).map_err(|e| anyhow!(e))?;
    let uid = match number(user) {
        Some(uid) => uid,
        None => hashids
            .decode(user)
            .map_err(|e| anyhow!("{user} names no user: {e}"))?,
    };
    let (keys, written) = config::keys::resolve(settings).context("the keys cannot be had")?;
    if let Some(file) = written {
        log::warn!(
            "made {}: a server elsewhere does not have this key",
            file.display()
        );
    }
    let (kind, default_ttl) = match refresh {
        true => (Kind::Refresh, settings.auth.refresh_ttl_ms),
        false => (Kind::Access, settings.auth.token_ttl_ms),
    };
    let now = wall_ms();
    let claims = Claims {
        uid,
        exp_ms: now.saturating_add(ttl.unwrap_or(default_ttl)),
        iat_ms: Some(now),
        kind,
    };
    let tokens = Tokens::new(keys.jwt_key.expose(), hashids);
    print(&tokens.mint(&claims)?)
}

fn translate(settings: &Settings, text: &str) -> Result<()> {
    let hashids = Hashids::new(&settings.ids).map_err(|e| anyhow!(e))?;
    if let Some(uid) = number(text) {
        return print(&hashids.encode(uid));
    }
    match hashids.decode(text) {
        Ok(uid) => print(&uid.to_string()),
        Err(error) => bail!("{text} names no user: {error}"),
    }
}

/// The user whose number this is, if it is one.
fn number(text: &str) -> Option<Uid> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(Uid)
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(out.flush()?)
}
