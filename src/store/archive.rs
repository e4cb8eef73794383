//! What is too old to be at hand: a compressed file for each day, written once and never changed, which can be read
//! without anything else.
//!
//! - `format`: what is in a file; `write`: how it comes there.
//! - `file`: one file, past what is damaged in it; `read`: all of them; `needle`: what a search looks for.

mod file;
mod format;
mod name;
mod needle;
mod read;
mod write;

use std::fmt;

use super::EngineError;
use super::files::Folder;

use file::File;

pub use format::{Identity, Summary};
pub use name::Name;
pub use needle::Needle;
pub use read::{Archive, Event, Listed, Message, Query};
pub use write::Writer;

/// A place where a file is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, as an operator calls it.
    pub path: String,
    /// The byte.
    pub at: u64,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { path, at, why } = self;
        write!(f, "{path}: damaged at byte {at}: {why}")
    }
}

/// All files, the oldest period first.
pub(super) fn names(folder: &dyn Folder) -> Result<Vec<Name>, EngineError> {
    let names = folder.names()?;
    let mut names: Vec<Name> = names.iter().filter_map(|name| Name::parse(name)).collect();
    names.sort();
    Ok(names)
}

/// Removes what was never finished.
pub(super) fn sweep(folder: &dyn Folder) -> Result<(), EngineError> {
    for name in folder.names()? {
        let finished = name.strip_suffix(name::UNFINISHED);
        if finished.and_then(Name::parse).is_some() {
            folder.remove(&name)?;
        }
    }
    Ok(())
}

/// Which file of a period comes next. A file of the store `untold` stands for nothing yet, and is written anew if it is the
/// last of the period.
pub(super) fn next_part(
    folder: &dyn Folder,
    period: u32,
    untold: Option<u64>,
) -> Result<u32, EngineError> {
    let names = names(folder)?;
    let Some(last) = names.iter().rev().find(|name| name.period == period) else {
        return Ok(1);
    };
    let file = File::open(folder, *last, &mut |_| {})?;
    match untold.is_some() && file.of().map(|of| of.store) == untold {
        true => Ok(last.part),
        false => Ok(last.part + 1),
    }
}
