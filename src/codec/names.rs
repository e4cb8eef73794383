//! Users by their names on the wire, and the names of users, with the latest of both remembered.

use xxhash_rust::xxh3::xxh3_64;

use crate::id::{HashidError, Hashids, Uid};

/// Users that are remembered each way: 2^10.
const SLOTS_LOG2: u32 = 10;
/// Spreads numbers that follow each other: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A converter that remembers: working a hashid out takes longer than writing the frame around it.
///
/// A clone shares the tables and begins with nothing remembered.
#[derive(Debug)]
pub struct Names {
    hashids: Hashids,
    /// By number. Empty until something is remembered.
    written: Vec<Option<(Uid, Box<str>)>>,
    /// By name; only names that stand for a user.
    read: Vec<Option<(Box<str>, Uid)>>,
}

impl Names {
    /// Converts by these tables.
    pub fn new(hashids: Hashids) -> Names {
        Names {
            hashids,
            written: Vec::new(),
            read: Vec::new(),
        }
    }

    /// The name of a user.
    pub fn name(&mut self, uid: Uid) -> &str {
        if self.written.is_empty() {
            self.written.resize(1 << SLOTS_LOG2, None);
        }
        let slot = uid.0.wrapping_mul(SPREAD) >> (u64::BITS - SLOTS_LOG2);
        let entry = &mut self.written[slot as usize];
        if entry.as_ref().is_none_or(|(known, _)| *known != uid) {
            *entry = None;
        }
        let (_, name) = entry.get_or_insert_with(|| (uid, self.hashids.encode(uid).into()));
        name
    }

    /// The user for whom this name stands.
    pub fn user(&mut self, name: &str) -> Result<Uid, HashidError> {
        if self.read.is_empty() {
            self.read.resize(1 << SLOTS_LOG2, None);
        }
        let slot = xxh3_64(name.as_bytes()) >> (u64::BITS - SLOTS_LOG2);
        let entry = &mut self.read[slot as usize];
        if let Some((known, uid)) = entry
            && **known == *name
        {
            return Ok(*uid);
        }
        let uid = self.hashids.decode(name)?;
        *entry = Some((name.into(), uid));
        Ok(uid)
    }
}

impl Clone for Names {
    fn clone(&self) -> Names {
        Names::new(self.hashids.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_the_tables_say_whatever_takes_its_place() {
        let ids = crate::config::Ids {
            salt: "salt".into(),
            alphabet: "abcdefghijklmnopqrstuvwxyz".into(),
            separators: "cfhistu".into(),
            min_length: 6,
        };
        let hashids = Hashids::new(&ids).unwrap();
        let mut names = Names::new(hashids.clone());
        // Several times as many as there is room for, and each twice.
        for uid in (0..4 << SLOTS_LOG2).flat_map(|n| [Uid(n), Uid(n), Uid(n / 2)]) {
            let name = hashids.encode(uid);
            assert_eq!(names.name(uid), name);
            assert_eq!(names.user(&name), Ok(uid));
        }
        assert_eq!(names.user("!"), Err(HashidError));
        assert_eq!(names.user(""), Err(HashidError));
    }
}
