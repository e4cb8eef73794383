//! One server to a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Held for as long as the process lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub(super) struct DirLock {
    file: File,
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // A process id that is left behind may be that of another process by the time somebody reads it.
        if let Err(error) = self.file.set_len(0) {
            log::warn!("the lock keeps the id of a process that has ended: {error}");
        }
    }
}

impl DirLock {
    /// Locks a directory, or says in a sentence who has it.
    pub(super) fn take(dir: &Path) -> Result<DirLock, String> {
        let failed = |e: std::io::Error| format!("store.path {}: {e}", dir.display());
        std::fs::create_dir_all(dir).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("LOCK"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only for the sentence: without it the answer is the same.
                let _ = file.read_to_string(&mut pid);
                return Err(format!(
                    "store.path {} is in use by another server (process {}): stop it, or start with another store.path",
                    dir.display(),
                    pid.trim()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        write!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(DirLock { file })
    }
}
