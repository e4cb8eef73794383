//! The files that say that `store.path` is not to be served yet: a restore or a salvage has not come to its end.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::restore::sync_dir;

/// What is done to a store that no server has open. Its file is there from before it changes anything until all is whole.
#[derive(Clone, Copy)]
pub(super) enum Work {
    Restore,
    Salvage,
}

impl Work {
    pub(super) fn begin(self, dir: &Path) -> io::Result<()> {
        File::create(self.file(dir))?.sync_all()?;
        sync_dir(dir)
    }

    pub(super) fn end(self, dir: &Path) -> io::Result<()> {
        fs::remove_file(self.file(dir))?;
        sync_dir(dir)
    }

    pub(super) fn is_begun(self, dir: &Path) -> bool {
        self.file(dir).exists()
    }

    /// Refuses a directory in which it was begun and not finished.
    pub(super) fn refuse_unfinished(self, dir: &Path) -> Result<(), String> {
        let (work, command) = match self {
            Work::Restore => ("restore", "yizhan restore"),
            Work::Salvage => ("salvage", "yizhan store salvage"),
        };
        match self.is_begun(dir) {
            true => Err(format!(
                "store.path {} holds a {work} that did not come to its end: run `{command}` again",
                dir.display()
            )),
            false => Ok(()),
        }
    }

    fn file(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Work::Restore => "RESTORING",
            Work::Salvage => "SALVAGING",
        })
    }
}
