//! A directory of files as a log and its runs need one: with places, syncs, and names that are durable when it is said.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Advice;

/// A directory without directories in it.
pub trait Folder: Send + Sync {
    /// The names of all files, in order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file, in the place of one that has the name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Handle>>;

    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn Handle>>;

    /// Gives a file another name, in the place of a file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns when all names are on the disk.
    fn sync(&self) -> io::Result<()>;

    /// Free bytes of the file system.
    fn free(&self) -> io::Result<u64>;

    /// What an operator calls a file of that name.
    fn path(&self, name: &str) -> String;
}

/// A file that is open.
pub trait Handle: Send + Sync {
    /// Its length, bytes.
    fn size(&self) -> io::Result<u64>;

    /// Fills `into` from this place on; an error if the file is shorter.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at this place.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes it this long.
    fn cut(&self, size: u64) -> io::Result<()>;

    /// Returns when all that was written is on the disk.
    fn sync(&self) -> io::Result<()>;

    /// Syncs, and lets what is cached go: what is read from here on is on the disk.
    fn go_by_the_disk(&self) -> io::Result<()>;
}

/// Everything in a file.
pub fn read_all(file: &dyn Handle) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.size()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// A directory of the file system.
#[derive(Debug)]
pub struct DiskFolder {
    path: PathBuf,
    /// Files that are there are opened for reading alone.
    only_reads: bool,
}

impl DiskFolder {
    /// The directory of this path, which is made if it is not there, and its name durable.
    pub fn open(path: &Path) -> io::Result<DiskFolder> {
        let named = |error| named(path, error);
        fs::create_dir_all(path).map_err(named)?;
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            File::open(above)
                .and_then(|d| d.sync_all())
                .map_err(named)?;
        }
        Ok(DiskFolder {
            path: path.to_path_buf(),
            only_reads: false,
        })
    }

    /// The directory of this path, which has to be there; the right to read it is enough to read its files.
    pub fn look(path: &Path) -> io::Result<DiskFolder> {
        fs::read_dir(path).map_err(|error| named(path, error))?;
        Ok(DiskFolder {
            path: path.to_path_buf(),
            only_reads: true,
        })
    }
}

impl Folder for DiskFolder {
    fn names(&self) -> io::Result<Vec<String>> {
        let named = |error| named(&self.path, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(named)? {
            let entry = entry.map_err(named)?;
            if entry.file_type().map_err(named)?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Handle>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        DiskFile::open(&options, self.path.join(name))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Handle>> {
        let mut options = OpenOptions::new();
        options.read(true).write(!self.only_reads);
        DiskFile::open(&options, self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path.join(from), self.path.join(to));
        fs::rename(&from, to).map_err(|error| named(&from, error))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        fs::remove_file(&path).map_err(|error| named(&path, error))
    }

    fn sync(&self) -> io::Result<()> {
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        synced.map_err(|error| named(&self.path, error))
    }

    fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.path);
        let found = found.map_err(|error| named(&self.path, error.into()))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

#[derive(Debug)]
struct DiskFile {
    file: File,
    path: PathBuf,
}

impl DiskFile {
    fn open(options: &OpenOptions, path: PathBuf) -> io::Result<Arc<dyn Handle>> {
        match options.open(&path) {
            Ok(file) => Ok(Arc::new(DiskFile { file, path })),
            Err(error) => Err(named(&path, error)),
        }
    }

    fn named(&self, error: io::Error) -> io::Error {
        named(&self.path, error)
    }
}

impl Handle for DiskFile {
    fn size(&self) -> io::Result<u64> {
        let data = self.file.metadata().map_err(|error| self.named(error))?;
        Ok(data.len())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let read = self.file.read_exact_at(into, at);
        read.map_err(|error| self.named(error))
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, at);
        written.map_err(|error| self.named(error))
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size).map_err(|error| self.named(error))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(|error| self.named(error))
    }

    fn go_by_the_disk(&self) -> io::Result<()> {
        self.file.sync_all().map_err(|error| self.named(error))?;
        rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)
            .map_err(|error| self.named(error.into()))
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
