//! How users stand to each other, as the commits see it.

use crate::id::Uid;
use crate::machine::contact::{self, Bounded, Refused, Relation, Told as Outcome};
use crate::message::contact::{ContactOrder, TEXT_MAX};
use crate::message::notice::About;
use crate::message::{Answer, Refusal, Unwanted};

use super::{EngineError, Ledger, PER_MESSAGE, record};

impl Ledger {
    /// How one user stands to another.
    pub(super) fn relation(&mut self, of: Uid, to: Uid) -> Result<&Relation, EngineError> {
        if !self.book.relations.contains_key(&(of, to)) {
            let found = self.load(&record::relation_key(of, to))?;
            let relation = found.unwrap_or_default();
            self.book.relations.insert((of, to), relation);
        }
        Ok(self.book.relations.entry((of, to)).or_default())
    }

    /// Whether a user takes what another sends; their own they take always.
    pub(super) fn takes(
        &mut self,
        to: Uid,
        from: Uid,
    ) -> Result<Result<(), Unwanted>, EngineError> {
        if to == from {
            return Ok(Ok(()));
        }
        let required = self.policy.people.contacts_required;
        Ok(self.relation(to, from)?.takes(required))
    }

    /// Whether a signal may pass.
    pub(super) fn permit(&mut self, from: Uid, to: Uid) -> Result<Answer, EngineError> {
        Ok(match self.takes(to, from)? {
            Ok(()) => Answer::Done,
            Err(why) => Answer::Refused(Refusal::Unwanted(why)),
        })
    }

    /// Carries out what a user orders about another.
    pub(super) fn contact(
        &mut self,
        now: u64,
        uid: Uid,
        other: Uid,
        order: &ContactOrder,
    ) -> Result<Answer, EngineError> {
        if uid == other {
            return Ok(Answer::Refused(Refusal::Senseless(
                "nobody is their own contact",
            )));
        }
        if let ContactOrder::Ask { text: Some(text) } = order
            && text.len() > TEXT_MAX
        {
            return Ok(Answer::Refused(Refusal::Senseless(
                "text is longer than 512 bytes",
            )));
        }
        let (mut mine, mut theirs) = (
            self.relation(uid, other)?.clone(),
            self.relation(other, uid)?.clone(),
        );
        let (was_mine, was_theirs) = (mine.clone(), theirs.clone());
        let outcome = match contact::order(&mut mine, &mut theirs, order, now) {
            Ok(outcome) => outcome,
            Err(refused) => {
                let refusal = match refused {
                    Refused::Unwanted(why) => Refusal::Unwanted(why),
                    Refused::NotAsked => Refusal::Missing("this user has not asked"),
                };
                return Ok(Answer::Refused(refusal));
            }
        };
        // Whoever was blocked and is not any more has asked all the same.
        if *order != ContactOrder::Unblock {
            for (of, before, after) in [(uid, &was_mine, &mine), (other, &was_theirs, &theirs)] {
                for what in Bounded::ALL {
                    let is_new = after.counts_as(what) && !before.counts_as(what);
                    if is_new && self.has_many(of, what)? {
                        let why = match what {
                            Bounded::Ties => "as many contacts and requests as one user may have",
                            Bounded::Asked => "as many wait for that user's answer as may",
                            Bounded::Blocks => "as many are blocked as may be",
                        };
                        return Ok(Answer::Refused(Refusal::Forbidden(why)));
                    }
                }
            }
        }
        if outcome.is_some() {
            if !self.has_room(now, other)? {
                return Ok(Answer::Refused(Refusal::InboxFull));
            }
            self.chat_between(uid, other, now)?;
            self.inbox(uid)?;
        }
        self.make_room(PER_MESSAGE)?;
        for ((of, to), before, after) in [
            ((uid, other), was_mine, &mine),
            ((other, uid), was_theirs, &theirs),
        ] {
            if before == *after {
                continue;
            }
            let key = record::relation_key(of, to);
            match after.is_empty() {
                true => self.batch.delete(key),
                false => self.batch.put(key, record::encode(after)?),
            }
            self.book.relations.insert((of, to), after.clone());
        }
        if let Some(outcome) = outcome {
            let about = match outcome {
                Outcome::Requested => About::ContactRequested(mine.text.clone()),
                Outcome::Confirmed => About::ContactConfirmed,
            };
            self.notice_to_user(now, uid, other, &about)?;
        }
        Ok(Answer::Contact(mine.view(other)))
    }

    /// Whether a user has as many of these as may be.
    fn has_many(&mut self, uid: Uid, what: Bounded) -> Result<bool, EngineError> {
        // The scan does not see the batch at hand.
        self.apply()?;
        let most = self.policy.people.max_contacts;
        let mut found = 0;
        self.engine.scan(
            &record::relation_key(uid, Uid(0)),
            &record::relation_key(uid, Uid(u64::MAX)),
            &mut |key, value| {
                // What cannot be read counts, as it takes room.
                let relation = record::decode::<Relation>(key, value);
                found += usize::from(relation.map_or(true, |relation| relation.counts_as(what)));
                found < most
            },
        )?;
        Ok(found >= most)
    }
}
