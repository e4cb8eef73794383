//! `yizhan archive`: reads what is too old for the store, whether a server runs on it or not.

mod time;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::codec::Bounds;
use crate::codec::json::Json;
use crate::config::Settings;
use crate::id::{Cid, Hashids, Uid};
use crate::store::archive::{Archive, Event, Listed, Message, Name, Needle, Query};
use crate::store::files::DiskFolder;
use crate::store::history::Look;
use crate::store::record::{self, Body};

/// The directory of the archive in that of the store.
const DIR: &str = "archive";

/// How users, conversations and messages are said on the command line.
struct Dialect<'a> {
    /// Looks at a stored message.
    look: Look,
    /// The conversation that an argument names.
    conversation: &'a dyn Fn(&str) -> Result<u64>,
    /// The user that an argument names.
    user: &'a dyn Fn(&str) -> Result<u64>,
    /// A message as it is printed, on one line.
    show: &'a dyn Fn(&Message<'_>) -> Value,
}

/// Where the archive is.
#[derive(Debug, Args)]
pub(super) struct ArchiveArgs {
    /// The directory of the store [default: store.path]
    #[arg(long, value_name = "DIR", global = true)]
    store: Option<PathBuf>,
    #[command(subcommand)]
    command: ArchiveCommand,
}

/// What is done with it: its files are only read, and a server may run.
#[derive(Debug, Subcommand)]
enum ArchiveCommand {
    /// Prints a line for each file: how many messages it has, of how many conversations, and its size
    List,
    /// Prints the messages of a conversation, one JSON object a line
    Read {
        /// Which one
        #[arg(value_name = "CONVERSATION")]
        conversation: String,
        /// When, and how many
        #[command(flatten)]
        window: Window,
        /// Only messages whose number in the conversation is at least this
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        from: u64,
    },
    /// Prints the messages with a text in their payload, in upper or lower case, one JSON object a line
    Search {
        /// The text
        #[arg(value_name = "TEXT")]
        text: String,
        /// Only those of a conversation
        #[arg(long, value_name = "CONVERSATION")]
        conversation: Option<String>,
        /// Only those that a user sent
        #[arg(long, value_name = "UID")]
        sender: Option<String>,
        /// When, and how many
        #[command(flatten)]
        window: Window,
    },
    /// Reads all of each file, and fails if anything in one is damaged
    Verify {
        /// Only these [default: all]
        #[arg(value_name = "FILE")]
        names: Vec<String>,
    },
}

/// Which messages, and how many.
#[derive(Debug, Args)]
struct Window {
    /// Only messages that were accepted then or later: a day, a time as 2026-08-28T09:30:00Z, or Unix milliseconds
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<u64>,
    /// Only messages that were accepted before
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    until: Option<u64>,
    /// No more than so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
}

impl Window {
    fn query(&self) -> Result<Query> {
        let last = self.until.map(|until| until.checked_sub(1));
        let ts = self.since.unwrap_or(0)..=last.unwrap_or(Some(u64::MAX)).unwrap_or(0);
        if ts.is_empty() || self.until == Some(0) {
            bail!("--until is not after --since: there is no time between them");
        }
        Ok(Query {
            ts,
            ..Query::default()
        })
    }
}

/// Does what the arguments name, with users and conversations by the names that clients know.
pub(super) fn archive(settings: &Settings, args: &ArchiveArgs) -> Result<()> {
    let hashids = Hashids::new(&settings.ids).map_err(|e| anyhow!(e))?;
    let bounds = Bounds {
        max_payload: usize::MAX,
        max_page: usize::MAX,
        max_status: usize::MAX,
    };
    let json = Json::new(hashids.clone(), bounds);
    let named = |what: &str, text: &str| match super::number(text) {
        Some(Uid(number)) => Ok(number),
        None => match hashids.decode(text) {
            Ok(Uid(number)) => Ok(number),
            Err(error) => bail!("{text} names no {what}: {error}"),
        },
    };
    let dialect = Dialect {
        look: record::look,
        conversation: &|text| named("conversation", text),
        user: &|text| named("user", text),
        show: &|message| show(message, &hashids, &mut json.clone()),
    };
    run(&settings.store.path, args, &dialect)
}

/// A message as in a page of its conversation, and the name of that.
fn show(message: &Message<'_>, hashids: &Hashids, json: &mut Json) -> Value {
    let conversation = hashids.encode(Uid(message.conversation));
    let body = Body::Chat(Cid(message.conversation), message.cseq);
    let read = record::decode_message(body, &[record::HISTORY], message.value);
    let shown = read.ok().map(|stored| json.encode_message(&stored));
    let shown = shown.and_then(|text| serde_json::from_str(&text).ok());
    let mut shown: Value = shown.unwrap_or_else(|| json!({"cseq": message.cseq}));
    shown["conversation"] = conversation.into();
    shown
}

/// Does it; `path` is that of the store of the settings.
fn run(path: &Path, args: &ArchiveArgs, dialect: &Dialect<'_>) -> Result<()> {
    let store = args.store.as_deref().unwrap_or(path);
    let dir = store.join(DIR);
    let folder = match DiskFolder::look(&dir) {
        Ok(folder) => folder,
        Err(error) if error.kind() == ErrorKind::NotFound && store.is_dir() => {
            bail!(
                "{} has no archive yet: nothing in it is old enough",
                store.display()
            )
        }
        Err(error) => bail!("the archive cannot be read: {error}"),
    };
    let archive = Archive::new(Arc::new(folder));
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match &args.command {
        ArchiveCommand::List => list(&archive, &mut out),
        ArchiveCommand::Verify { names } => verify(&archive, &dir, names, &mut out),
        ArchiveCommand::Read {
            conversation,
            window,
            from,
        } => {
            let query = Query {
                conversation: Some((dialect.conversation)(conversation)?),
                cseq: *from..=u64::MAX,
                ..window.query()?
            };
            print_all(&archive, &query, window.limit, dialect, &mut out)
        }
        ArchiveCommand::Search {
            text,
            conversation,
            sender,
            window,
        } => {
            let query = Query {
                conversation: conversation
                    .as_deref()
                    .map(dialect.conversation)
                    .transpose()?,
                from: sender.as_deref().map(dialect.user).transpose()?,
                text: Some(Needle::new(text)),
                ..window.query()?
            };
            print_all(&archive, &query, window.limit, dialect, &mut out)
        }
    };
    let done = done.and_then(|()| Ok(out.flush()?));
    match done {
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

fn print_all(
    archive: &Archive,
    query: &Query,
    limit: Option<u64>,
    dialect: &Dialect<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    let (mut left, mut damages, mut failed) = (limit.unwrap_or(u64::MAX), 0, None);
    if left == 0 {
        return Ok(());
    }
    archive.read(query, dialect.look, &mut |event| match event {
        Event::Damage(damage) => {
            eprintln!("{damage}");
            damages += 1;
            true
        }
        Event::Message(message) => {
            left -= 1;
            failed = writeln!(out, "{}", (dialect.show)(&message)).err();
            left > 0 && failed.is_none()
        }
    })?;
    match (failed, damages) {
        (Some(error), _) => Err(error.into()),
        (None, 0) => Ok(()),
        (None, _) => {
            out.flush()?;
            bail!("not everything could be read: see the {damages} lines above")
        }
    }
}

fn list(archive: &Archive, out: &mut dyn Write) -> Result<()> {
    let names = archive.names()?;
    if names.is_empty() {
        return Ok(writeln!(out, "the archive is empty")?);
    }
    writeln!(
        out,
        "{:<19} {:>12} {:>13} {:>14} {:>6}",
        "FILE", "MESSAGES", "CONVERSATIONS", "BYTES", "RATIO"
    )?;
    let (mut messages, mut bytes, mut damages) = (0, 0, 0);
    for name in names {
        let listed = archive.list(name)?;
        writeln!(out, "{}", line(&listed))?;
        messages += listed.summary.map_or(0, |summary| summary.messages);
        bytes += listed.bytes;
        for damage in &listed.damages {
            eprintln!("{damage}");
        }
        damages += listed.damages.len();
    }
    writeln!(out, "{:<19} {messages:>12} {:>13} {bytes:>14}", "all", "")?;
    match damages {
        0 => Ok(()),
        _ => bail!("the archive is damaged: see the {damages} lines above"),
    }
}

fn line(listed: &Listed) -> String {
    let Listed { name, bytes, .. } = listed;
    // A name is padded as text.
    let name = name.to_string();
    match listed.summary {
        Some(summary) => format!(
            "{name:<19} {:>12} {:>13} {bytes:>14} {:>6.2}",
            summary.messages,
            summary.conversations,
            summary.raw as f64 / *bytes as f64
        ),
        None => format!("{name:<19} {:>12} {:>13} {bytes:>14}", "?", "?"),
    }
}

fn verify(archive: &Archive, dir: &Path, files: &[String], out: &mut dyn Write) -> Result<()> {
    let all = archive.names()?;
    let names = match files {
        [] => all,
        files => {
            let named = files.iter().map(|file| named(&all, dir, file));
            named.collect::<Result<Vec<_>>>()?
        }
    };
    let (mut messages, mut damages) = (0, 0);
    for name in &names {
        let summary = archive.verify(*name, &mut |damage| {
            eprintln!("{damage}");
            damages += 1;
        })?;
        messages += summary.map_or(0, |summary| summary.messages);
    }
    match damages {
        0 => Ok(writeln!(
            out,
            "{} files with {messages} messages are whole",
            names.len()
        )?),
        _ => bail!("the archive is damaged: see the {damages} lines above"),
    }
}

/// The file of that name, with its directory and its ending or without.
fn named(all: &[Name], dir: &Path, file: &str) -> Result<Name> {
    let base = Path::new(file).file_name().and_then(|name| name.to_str());
    let base = base.unwrap_or(file);
    let full = format!("{base}.yza");
    let name = Name::parse(base).or_else(|| Name::parse(&full));
    match name.filter(|name| all.contains(name)) {
        Some(name) => Ok(name),
        None => bail!(
            "{file} is no file of {}: `yizhan archive list` shows them",
            dir.display()
        ),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
