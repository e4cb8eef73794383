//! Who is there: a sharded map from users to the processes of their devices, which never trusts itself.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use parking_lot::RwLock;

use crate::id::{Did, Uid};
use crate::machine::device::Epoch;

const SHARDS: usize = 64;

/// A process that can be asked whether it lives.
pub trait Member: Clone {
    /// Whether a message to it would be handled: our `is_process_alive`.
    fn is_alive(&self) -> bool;

    /// Tells one process of a device from a later one of the same device.
    fn serial(&self) -> u64;
}

/// Users, their devices, and which of those are announced to.
#[derive(Debug)]
pub struct Registry<M> {
    per_user: usize,
    hasher: RandomState,
    shards: Vec<Shard<M>>,
}

type Shard<M> = RwLock<HashMap<Uid, Vec<Entry<M>>, RandomState>>;

#[derive(Debug)]
struct Entry<M> {
    did: Did,
    member: M,
    /// The connection that is announced to, if one is.
    epoch: Option<Epoch>,
}

impl<M: Member> Default for Registry<M> {
    fn default() -> Self {
        Registry::with_max(usize::MAX)
    }
}

impl<M: Member> Registry<M> {
    /// A registry that takes so many living processes of each user, and no more.
    pub fn with_max(per_user: usize) -> Registry<M> {
        Registry {
            per_user,
            hasher: RandomState::default(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }

    /// The living process of a device, or a new one; there is never a second one beside it. None if the user has as many
    /// as this registry takes: they are counted and the new one is added under one lock, so that logins at the same time
    /// cannot be more.
    pub fn find_or_insert(&self, uid: Uid, did: &Did, start: impl FnOnce() -> M) -> Option<M> {
        let mut shard = self.shard(uid).write();
        let entries = shard.entry(uid).or_insert_with(|| Vec::with_capacity(1));
        if let Some(entry) = entries.iter().find(|entry| entry.did == *did)
            && entry.member.is_alive()
        {
            return Some(entry.member.clone());
        }
        entries.retain(|entry| entry.did != *did);
        if entries.iter().filter(|e| e.member.is_alive()).count() >= self.per_user {
            return None;
        }
        let member = start();
        entries.push(Entry {
            did: did.clone(),
            member: member.clone(),
            epoch: None,
        });
        Some(member)
    }

    /// Announces commits to that connection of that process from here on.
    pub fn register(&self, uid: Uid, did: &Did, serial: u64, epoch: Epoch) {
        let mut shard = self.shard(uid).write();
        let mut entries = shard.get_mut(&uid).into_iter().flatten();
        if let Some(entry) = entries.find(|entry| entry.did == *did)
            && entry.member.serial() == serial
        {
            entry.epoch = Some(epoch);
        }
    }

    /// Stops announcing, unless a later connection has registered since.
    pub fn unregister(&self, uid: Uid, did: &Did, epoch: Epoch) {
        let mut shard = self.shard(uid).write();
        let entries = shard.get_mut(&uid).into_iter().flatten();
        for entry in entries.filter(|entry| entry.did == *did) {
            if entry.epoch == Some(epoch) {
                entry.epoch = None;
            }
        }
    }

    /// Forgets a process that has ended, unless a later one has taken its place.
    pub fn remove(&self, uid: Uid, did: &Did, serial: u64) {
        let mut shard = self.shard(uid).write();
        let Some(entries) = shard.get_mut(&uid) else {
            return;
        };
        entries.retain(|entry| entry.did != *did || entry.member.serial() != serial);
        if entries.is_empty() {
            shard.remove(&uid);
        }
    }

    /// Shows every living process of a user that is announced to.
    pub fn lookup(&self, uid: Uid, visit: impl FnMut(&M)) {
        self.lookup_but(uid, None, visit);
    }

    /// The same but for one device.
    pub fn lookup_but(&self, uid: Uid, but: Option<&Did>, mut visit: impl FnMut(&M)) {
        let shard = self.shard(uid).read();
        for entry in shard.get(&uid).into_iter().flatten() {
            if entry.epoch.is_some() && entry.member.is_alive() && Some(&entry.did) != but {
                visit(&entry.member);
            }
        }
    }

    /// Whether a living process of a user is announced to.
    pub fn is_online(&self, uid: Uid) -> bool {
        let mut found = false;
        self.lookup(uid, |_| found = true);
        found
    }

    /// The living process of one device, whether it is announced to or not.
    pub fn device(&self, uid: Uid, did: &Did) -> Option<M> {
        let shard = self.shard(uid).read();
        let entry = shard.get(&uid)?.iter().find(|entry| entry.did == *did)?;
        entry.member.is_alive().then(|| entry.member.clone())
    }

    /// The living processes of a user, whether they are announced to or not.
    pub fn of_user(&self, uid: Uid) -> Vec<M> {
        let shard = self.shard(uid).read();
        let entries = shard.get(&uid).into_iter().flatten();
        let living = entries.filter(|entry| entry.member.is_alive());
        living.map(|entry| entry.member.clone()).collect()
    }

    /// Every living process.
    pub fn all(&self) -> Vec<M> {
        let mut members = Vec::new();
        for shard in &self.shards {
            for entry in shard.read().values().flatten() {
                if entry.member.is_alive() {
                    members.push(entry.member.clone());
                }
            }
        }
        members
    }

    fn shard(&self, uid: Uid) -> &Shard<M> {
        let hash = self.hasher.hash_one(uid) as usize;
        &self.shards[hash % self.shards.len()]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Clone, Debug)]
    struct Process {
        serial: u64,
        alive: Arc<AtomicBool>,
    }

    impl Process {
        fn new(serial: u64) -> Process {
            let alive = Arc::new(AtomicBool::new(true));
            Process { serial, alive }
        }

        fn die(&self) {
            self.alive.store(false, Ordering::Relaxed);
        }
    }

    impl Member for Process {
        fn is_alive(&self) -> bool {
            self.alive.load(Ordering::Relaxed)
        }

        fn serial(&self) -> u64 {
            self.serial
        }
    }

    fn seen(registry: &Registry<Process>, uid: u64) -> Vec<u64> {
        let mut serials = Vec::new();
        registry.lookup(Uid(uid), |process| serials.push(process.serial));
        serials
    }

    #[test]
    fn only_registered_and_living_processes_are_shown() {
        let registry = Registry::default();
        let phone = Did::parse("phone").unwrap();
        let process = registry
            .find_or_insert(Uid(1), &phone, || Process::new(1))
            .unwrap();
        assert!(seen(&registry, 1).is_empty());
        registry.register(Uid(1), &phone, 1, 10);
        assert_eq!(seen(&registry, 1), [1]);
        process.die();
        assert!(seen(&registry, 1).is_empty());
    }

    #[test]
    fn an_older_connection_cannot_unregister_a_newer_one() {
        let registry = Registry::default();
        let phone = Did::parse("phone").unwrap();
        registry.find_or_insert(Uid(1), &phone, || Process::new(1));
        registry.register(Uid(1), &phone, 1, 10);
        registry.register(Uid(1), &phone, 1, 11);
        registry.unregister(Uid(1), &phone, 10);
        assert_eq!(seen(&registry, 1), [1]);
        registry.unregister(Uid(1), &phone, 11);
        assert!(seen(&registry, 1).is_empty());
    }

    #[test]
    fn a_dead_process_is_replaced_and_its_late_farewell_does_no_harm() {
        let registry = Registry::default();
        let phone = Did::parse("phone").unwrap();
        let find = |serial| {
            registry
                .find_or_insert(Uid(1), &phone, || Process::new(serial))
                .unwrap()
        };
        let first = find(1);
        let same = find(9);
        assert_eq!(same.serial, 1);
        first.die();
        let second = find(2);
        assert_eq!(second.serial, 2);
        registry.register(Uid(1), &phone, 1, 10);
        assert!(
            seen(&registry, 1).is_empty(),
            "the dead one registers nothing"
        );
        registry.register(Uid(1), &phone, 2, 11);
        registry.remove(Uid(1), &phone, 1);
        assert_eq!(seen(&registry, 1), [2]);
        registry.remove(Uid(1), &phone, 2);
        assert!(registry.all().is_empty());
    }
    #[test]
    fn a_user_has_no_more_living_processes_than_the_registry_takes() {
        let registry = Registry::with_max(2);
        let find = |uid, did: &str, serial| {
            let did = Did::parse(did).unwrap();
            registry.find_or_insert(Uid(uid), &did, || Process::new(serial))
        };
        let phone = find(1, "phone", 1).unwrap();
        assert!(find(1, "laptop", 2).is_some());
        assert!(find(1, "tablet", 3).is_none());
        assert_eq!(
            find(1, "phone", 4).unwrap().serial,
            1,
            "it is there already"
        );
        assert!(find(2, "tablet", 5).is_some(), "another user");
        phone.die();
        assert!(find(1, "tablet", 6).is_some(), "the dead one has made room");
    }
}
