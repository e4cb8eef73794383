//! Who may come: decided in the order of the commits, so that no login slips past a ban.

use crate::id::{Did, Uid};
use crate::machine::access::{Access, Change};
use crate::message::{Answer, Bans};

use super::{EngineError, Ledger, intact, record};

/// Records that one listing looks at.
const BANS_STEP: usize = 1000;

impl Ledger {
    /// What is forbidden to a user.
    pub(super) fn access(&self, uid: Uid) -> Result<Access, EngineError> {
        Ok(self.load(&record::access_key(uid))?.unwrap_or_default())
    }

    pub(super) fn admit(
        &self,
        uid: Uid,
        did: Option<&Did>,
        issued_ms: Option<u64>,
    ) -> Result<Answer, EngineError> {
        match self.access(uid)?.admit(did, issued_ms) {
            Ok(()) => Ok(Answer::Done),
            Err(barred) => Ok(Answer::Refused(barred.into())),
        }
    }

    pub(super) fn restrict(&mut self, uid: Uid, change: &Change) -> Result<Answer, EngineError> {
        // What cannot be read keeps the user out, and is overwritten by what an operator says now.
        let mut access = intact(self.access(uid))?.unwrap_or_else(|| Access {
            banned: true,
            ..Access::default()
        });
        if let Err(too_many) = access.change(change) {
            return Ok(Answer::Refused(too_many.into()));
        }
        // Written and announced even if it changes nothing: a commit whose answer was an error may have written it,
        // and told nobody.
        self.make_room(1)?;
        let key = record::access_key(uid);
        match access.is_open() {
            true => self.batch.delete(key),
            false => self.batch.put(key, record::encode(&access)?),
        }
        self.restricted.insert(uid, access.clone());
        Ok(Answer::Access(access))
    }

    /// Users with bans above `after`: a bounded step through the records.
    pub(super) fn bans(&mut self, after: Option<Uid>, limit: usize) -> Result<Answer, EngineError> {
        // The engine is read past the batch at hand.
        self.apply()?;
        let from = match after.map(|Uid(uid)| uid.checked_add(1)) {
            Some(None) => return Ok(Answer::Bans(Bans::default())),
            Some(Some(uid)) => Uid(uid),
            None => Uid(0),
        };
        let (from, to) = (record::access_key(from), record::access_key(Uid(u64::MAX)));
        let mut bans = Bans::default();
        let (mut seen, mut failed) = (0, None);
        self.engine.scan(&from, &to, &mut |key, value| {
            let Some(uid) = record::user_of(key) else {
                return true;
            };
            match intact(record::decode::<Access>(key, value)) {
                Ok(Some(access)) if access.has_bans() => bans.users.push((uid, access)),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
            seen += 1;
            let more = bans.users.len() < limit && seen < BANS_STEP;
            if !more {
                bans.next = Some(uid);
            }
            more && failed.is_none()
        })?;
        match failed {
            Some(error) => Err(error),
            None => Ok(Answer::Bans(bans)),
        }
    }
}
