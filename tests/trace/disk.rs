//! A disk in memory that fails, fills up, or does not answer, as it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};
use yizhan::store::files::{Folder, Handle};

/// How calls that change something fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done.
    Before,
    /// The first half of what should be written is.
    Half,
    /// It is done all the same.
    After,
}

pub(crate) struct State {
    pub(crate) files: BTreeMap<String, Contents>,
    /// Which calls that change something fail, from and to, counted from the first.
    pub(crate) fails: Option<(usize, usize, Fault)>,
    /// Calls that change something.
    pub(crate) calls: usize,
    pub(crate) free: u64,
    pub(crate) removes: bool,
    pub(crate) cuts: bool,
    pub(crate) answers: bool,
    /// Calls that wait for an answer.
    waiting: usize,
}

type Contents = Arc<Mutex<Vec<u8>>>;

pub(crate) struct Disk {
    state: Mutex<State>,
    changed: Condvar,
}

impl Disk {
    pub(crate) fn new() -> Arc<Disk> {
        Disk::with(BTreeMap::new())
    }

    /// A disk with these files.
    pub(crate) fn with(files: BTreeMap<String, Vec<u8>>) -> Arc<Disk> {
        let files = files.into_iter();
        let files = files.map(|(name, bytes)| (name, Arc::new(Mutex::new(bytes))));
        Arc::new(Disk {
            state: Mutex::new(State {
                files: files.collect(),
                fails: None,
                calls: 0,
                free: 1 << 40,
                removes: true,
                cuts: true,
                answers: true,
                waiting: 0,
            }),
            changed: Condvar::new(),
        })
    }

    pub(crate) fn folder(self: &Arc<Disk>) -> Arc<dyn Folder> {
        Arc::new(Drawer(self.clone()))
    }

    pub(crate) fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// From here on every call that changes something fails.
    pub(crate) fn break_down(&self, fault: Fault) {
        self.tell(|state| state.fails = Some((state.calls, usize::MAX, fault)));
    }

    pub(crate) fn mend(&self) {
        self.tell(|state| state.fails = None);
    }

    /// What another process would find.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock();
        let files = state.files.iter();
        let files = files.map(|(name, contents)| (name.clone(), contents.lock().clone()));
        files.collect()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files().values().map(|bytes| bytes.len() as u64).sum()
    }

    /// Returns when somebody waits for an answer.
    pub(crate) fn wait_until_asked(&self) {
        let mut state = self.state.lock();
        self.changed
            .wait_while(&mut state, |state| state.waiting == 0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.waiting += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |state| !state.answers);
        state.waiting -= 1;
        state
    }

    /// Does something whole, or half, or not at all, and may fail in any case.
    fn change(
        &self,
        whole: impl FnOnce(&mut State),
        half: impl FnOnce(&mut State),
    ) -> io::Result<()> {
        let mut state = self.state();
        let call = state.calls;
        state.calls += 1;
        match state.fails {
            Some((from, to, fault)) if (from..to).contains(&call) => {
                match fault {
                    Fault::Before => {}
                    Fault::Half => half(&mut state),
                    Fault::After => whole(&mut state),
                }
                Err(io::Error::other("it fails as planned"))
            }
            _ => {
                whole(&mut state);
                Ok(())
            }
        }
    }
}

struct Drawer(Arc<Disk>);

impl Folder for Drawer {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.state().files.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Handle>> {
        let contents = Contents::default();
        let new = contents.clone();
        self.0.change(
            |state| {
                state.files.insert(name.to_owned(), new);
            },
            |_| {},
        )?;
        Ok(Arc::new(Sheet(self.0.clone(), contents)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Handle>> {
        let contents = self.0.state().files.get(name).cloned();
        let contents = contents.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Sheet(self.0.clone(), contents)))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if !self.0.state().removes {
            return Err(io::Error::other("it stays as planned"));
        }
        self.0.change(
            |state| {
                state.files.remove(name);
            },
            |_| {},
        )
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.0.state().free)
    }

    fn path(&self, name: &str) -> String {
        name.to_owned()
    }
}

struct Sheet(Arc<Disk>, Contents);

impl Handle for Sheet {
    fn size(&self) -> io::Result<u64> {
        Ok(self.1.lock().len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        drop(self.0.state());
        let (bytes, at) = (self.1.lock(), at as usize);
        let found = bytes.get(at..at + into.len());
        into.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.change(
            |_| write(&self.1, at, bytes),
            |_| write(&self.1, at, &bytes[..bytes.len() / 2]),
        )
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        if !self.0.state().cuts {
            return Err(io::Error::other("it stays as planned"));
        }
        self.0
            .change(|_| self.1.lock().resize(size as usize, 0), |_| {})
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn go_by_the_disk(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn write(contents: &Contents, at: u64, bytes: &[u8]) {
    let (mut contents, at) = (contents.lock(), at as usize);
    let end = (at + bytes.len()).max(contents.len());
    contents.resize(end, 0);
    contents[at..at + bytes.len()].copy_from_slice(bytes);
}
