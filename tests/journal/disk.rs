//! A disk in memory that keeps apart what was written and what was synced, and that fails when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;
use yizhan::store::files::{Folder, Handle};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// All folders and files; a clone is another disk with the same on it.
#[derive(Clone, Default)]
pub(crate) struct State {
    files: BTreeMap<u64, File>,
    names: BTreeMap<Name, u64>,
    durable_names: BTreeMap<Name, u64>,
    /// Names that were given and taken since the last sync of their folder.
    renames: Vec<(Name, Option<u64>)>,
    next_file: u64,
    /// How much has been asked of it.
    pub(crate) calls: usize,
    /// The call that fails, and how.
    pub(crate) fault: Option<(usize, Fault)>,
    /// Bytes that it says are free, if not plenty.
    pub(crate) free: Option<u64>,
}

type Name = (&'static str, String);

#[derive(Clone, Default)]
struct File {
    shown: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has done nothing, or the first half of what it should write.
    Before,
    /// It has done it all.
    After,
    /// From here on everything fails.
    Dead,
}

#[derive(Default)]
pub(crate) struct Disk(pub(crate) Mutex<State>);

impl Disk {
    pub(crate) fn with(state: State) -> Arc<Disk> {
        Arc::new(Disk(Mutex::new(state)))
    }

    pub(crate) fn folder(self: &Arc<Disk>, name: &'static str) -> Arc<dyn Folder> {
        Arc::new(Drawer(self.clone(), name))
    }

    pub(crate) fn copy(&self) -> State {
        let mut state = self.0.lock().clone();
        (state.calls, state.fault) = (0, None);
        state
    }

    /// Loses power: of what was not synced, some sectors are there and some are not.
    pub(crate) fn crash(&self, rng: &mut Rng) {
        let mut state = self.0.lock();
        let kept = rng.usize(..=state.renames.len());
        let renames = std::mem::take(&mut state.renames);
        for (name, file) in renames.into_iter().take(kept) {
            note(&mut state.durable_names, name, file);
        }
        state.names = state.durable_names.clone();
        let share = [0, 50, 90, 100][rng.usize(..4)];
        for file in state.files.values_mut() {
            for change in std::mem::take(&mut file.unsynced) {
                match change {
                    Change::Cut(size) if rng.u32(..100) < share => file.durable.resize(size, 0),
                    Change::Cut(_) => {}
                    Change::Write(at, bytes) => {
                        let mut done = 0;
                        while done < bytes.len() {
                            let place = at + done;
                            let end = (place / SECTOR + 1) * SECTOR - at;
                            let end = end.min(bytes.len());
                            if rng.u32(..100) < share {
                                write(&mut file.durable, place, &bytes[done..end]);
                            }
                            done = end;
                        }
                    }
                }
            }
            file.shown = file.durable.clone();
        }
        state.fault = None;
    }

    /// The names of all files, with their lengths.
    pub(crate) fn files(&self) -> Vec<(Name, usize)> {
        let state = self.0.lock();
        let sized = |(name, file): (&Name, &u64)| (name.clone(), state.files[file].durable.len());
        state.names.iter().map(sized).collect()
    }

    /// Changes what is on the disk, past everybody.
    pub(crate) fn rot(&self, name: &Name, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let file = state.names[name];
        let file = state.files.get_mut(&file).unwrap();
        change(&mut file.durable);
        file.shown = file.durable.clone();
    }

    pub(crate) fn lose(&self, name: &Name) {
        let mut state = self.0.lock();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    fn call<T>(
        &self,
        half: impl FnOnce(&mut State),
        act: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.0.lock();
        let call = state.calls;
        state.calls += 1;
        let failed = || Err(io::Error::other("it fails as planned"));
        match state.fault {
            Some((at, Fault::Dead)) if call >= at => failed(),
            Some((at, Fault::Before)) if call == at => {
                half(&mut state);
                failed()
            }
            Some((at, Fault::After)) if call == at => {
                act(&mut state)?;
                failed()
            }
            _ => act(&mut state),
        }
    }
}

struct Drawer(Arc<Disk>, &'static str);

impl Drawer {
    fn name(&self, name: &str) -> Name {
        (self.1, name.to_owned())
    }

    fn handle(&self, file: u64) -> Arc<dyn Handle> {
        Arc::new(Sheet(self.0.clone(), file))
    }
}

impl Folder for Drawer {
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.call(
            |_| {},
            |state| {
                let own = state.names.keys().filter(|(folder, _)| *folder == self.1);
                Ok(own.map(|(_, name)| name.clone()).collect())
            },
        )
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Handle>> {
        self.0.call(
            |_| {},
            |state| {
                let file = state.next_file;
                state.next_file += 1;
                state.files.insert(file, File::default());
                rename(state, self.name(name), Some(file));
                Ok(self.handle(file))
            },
        )
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Handle>> {
        self.0.call(
            |_| {},
            |state| {
                let file = state.names.get(&self.name(name));
                let file = file.ok_or(io::ErrorKind::NotFound)?;
                Ok(self.handle(*file))
            },
        )
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.call(
            |_| {},
            |state| {
                let file = state.names.get(&self.name(from)).copied();
                rename(state, self.name(to), file);
                rename(state, self.name(from), None);
                Ok(())
            },
        )
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.call(
            |_| {},
            |state| {
                if !state.names.contains_key(&self.name(name)) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                rename(state, self.name(name), None);
                Ok(())
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.0.call(
            |_| {},
            |state| {
                let (own, others): (Vec<_>, _) = std::mem::take(&mut state.renames)
                    .into_iter()
                    .partition(|((folder, _), _)| *folder == self.1);
                state.renames = others;
                for (name, file) in own {
                    note(&mut state.durable_names, name, file);
                }
                Ok(())
            },
        )
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.0.0.lock().free.unwrap_or(1 << 40))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.1)
    }
}

struct Sheet(Arc<Disk>, u64);

impl Sheet {
    fn file<'a>(&self, state: &'a mut State) -> &'a mut File {
        state.files.get_mut(&self.1).unwrap()
    }

    fn change(&self, state: &mut State, change: Change) {
        let file = self.file(state);
        file.apply_shown(&change);
        file.unsynced.push(change);
    }
}

impl Handle for Sheet {
    fn size(&self) -> io::Result<u64> {
        self.0
            .call(|_| {}, |state| Ok(self.file(state).shown.len() as u64))
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.call(
            |_| {},
            |state| {
                let at = at as usize;
                let shown = self.file(state).shown.get(at..at + into.len());
                into.copy_from_slice(shown.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            },
        )
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let write = |bytes: &[u8]| Change::Write(at as usize, bytes.to_vec());
        self.0.call(
            // Whole sectors, or nothing of them.
            |state| {
                let end = (at as usize + bytes.len() / 2) / SECTOR * SECTOR;
                let half = end.saturating_sub(at as usize).min(bytes.len());
                self.change(state, write(&bytes[..half]));
            },
            |state| {
                self.change(state, write(bytes));
                Ok(())
            },
        )
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.0.call(
            |_| {},
            |state| {
                self.change(state, Change::Cut(size as usize));
                Ok(())
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.0.call(
            // As Linux does: what could not be written is shown, and called clean.
            |state| self.file(state).unsynced.clear(),
            |state| {
                self.file(state).settle();
                Ok(())
            },
        )
    }

    fn go_by_the_disk(&self) -> io::Result<()> {
        self.0.call(
            |_| {},
            |state| {
                let file = self.file(state);
                file.settle();
                file.shown = file.durable.clone();
                Ok(())
            },
        )
    }
}

impl File {
    fn apply_shown(&mut self, change: &Change) {
        match change {
            Change::Write(at, bytes) => write(&mut self.shown, *at, bytes),
            Change::Cut(size) => self.shown.resize(*size, 0),
        }
    }

    fn settle(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write(at, bytes) => write(&mut self.durable, at, &bytes),
                Change::Cut(size) => self.durable.resize(size, 0),
            }
        }
    }
}

fn rename(state: &mut State, name: Name, file: Option<u64>) {
    note(&mut state.names, name.clone(), file);
    state.renames.push((name, file));
}

fn note(names: &mut BTreeMap<Name, u64>, name: Name, file: Option<u64>) {
    match file {
        Some(file) => drop(names.insert(name, file)),
        None => drop(names.remove(&name)),
    }
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}
