//! What one batch may have done to one user: every change in the store follows from a request, or from the time.

use std::collections::BTreeMap;

use yizhan::id::{Did, Seq, Uid};
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::Chat;
use yizhan::message::{Message, is_expired};
use yizhan::store::ledger::Policy;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::record::{self, Body, RowRef, Sort};

use crate::annals::Annals;
use crate::book::{Asked, Entry, Found, Known, Name, Row, Turned, User, entry, read};
use crate::tally::Ran;

/// A batch, what it asked about one user, and how the store stands after it.
pub struct Turn<'a> {
    pub policy: Policy,
    pub annals: &'a Annals,
    pub disk: &'a MemoryEngine,
    pub uid: Uid,
    pub now: u64,
    /// Whether it was flushed without an error.
    pub certain: bool,
    pub sweeps: bool,
    pub asked: Asked<'a>,
    pub found: Found,
}

impl Turn<'_> {
    /// Takes the changes over, one sort after the other.
    pub fn take(
        self,
        user: &mut User,
        entries: &mut BTreeMap<Name, Entry>,
        ran: &mut Ran,
        turned: &mut Turned,
    ) -> Result<(), String> {
        let before = user.head;
        self.take_rows(user, entries, ran)?;
        let old = user.rows.iter();
        let old = old.filter(|(_, row)| {
            let is_over = row.expires_at.is_some_and(|at| at <= self.now);
            row.stored && (is_over || is_expired(row.server_ts, self.now, self.policy.ttl_ms))
        });
        let too_old: Ranges = old.map(|(seq, _)| *seq).collect();
        let dead = self.dead(user);
        let news = user.rows.range(before + 1..);
        let copies = news.filter(|(_, row)| row.carried);
        let copies: Ranges = copies.map(|(seq, _)| *seq).collect();
        self.take_acks(user, entries, &too_old, &copies, &dead, ran)?;
        let makes_room = self.makes_room(user);
        for (did, (acks, resync)) in &self.found.devices {
            match user.devices.get(did) {
                None => self.take_new_device(user, did, acks, *resync, ran)?,
                Some(known) => {
                    let overflows = *resync && self.is_full(before, too_old.len());
                    let lags = user.head > before
                        && user.head - known.acks.len() > self.policy.bounds.max_messages;
                    let returned = self.asked.attaches.contains(did) && makes_room;
                    let mut passed = self.passed(user, did, &too_old, &copies);
                    passed.union(&dead);
                    self.check_device(known, did, &passed, lags || overflows, returned)?;
                    let gained = self.unasked(known, did, &passed);
                    if (*resync && !known.resync) || (!gained.is_empty() && lags && !returned) {
                        ran.resync += 1;
                        turned.gave_up.push((self.uid, did.clone()));
                    }
                    if known.resync && !*resync && !self.asked.acks.contains_key(did) {
                        turned.forgotten.push((self.uid, did.clone()));
                    }
                }
            }
            if let Some(known) = user.devices.get_mut(did) {
                known.acks = acks.clone();
                known.resync = *resync;
            }
        }
        self.take_leave(user, makes_room, ran, turned)?;
        self.note_seen(user);
        user.any = self.found.any.clone();
        let mut over = too_old;
        over.union(&dead);
        self.take_removals(user, &over)
    }

    /// New rows: each number once, whole, for a message that was sent and had none.
    fn take_rows(
        &self,
        user: &mut User,
        entries: &mut BTreeMap<Name, Entry>,
        ran: &mut Ran,
    ) -> Result<(), String> {
        let head = self.found.inbox.head();
        if head < user.head {
            return Err(format!("the head went from {} to {head}", user.head));
        }
        for seq in user.head + 1..=head {
            let Some(row) = self.found.rows.get(&seq) else {
                // A copy waits for nobody, once its devices have passed it.
                if !self.is_passed(seq) {
                    return Err(format!("the sequence has a gap at {seq}"));
                }
                continue;
            };
            let Body::Chat(cid, cseq) = row.body else {
                return Err(format!("row {seq} is in no conversation"));
            };
            let body: Option<Message> = read(self.disk, &record::history_key(cid, cseq))?;
            let body = body.filter(|body| body.from == row.from);
            let body = body.ok_or_else(|| format!("row {seq} has no body"))?;
            let what = (cid, cseq, row.id.clone(), self.code(row.sort));
            let again = user.told.insert(what, seq);
            let again = again.and_then(|seq| user.rows.get(&seq));
            // A change that was forgotten may be made anew.
            let dedupe_ms = self.policy.dedupe_ms();
            let is_again = |of: &Row| {
                row.sort != Sort::Edit || of.server_ts.saturating_add(dedupe_ms) > row.server_ts
            };
            if again.is_some_and(is_again) {
                return Err(format!(
                    "row {seq} tells once more of place {cseq} of {cid}"
                ));
            }
            if !self.annals.owes(self.uid, (cid, cseq), row.sort, &row.id) {
                let sort = row.sort;
                return Err(format!(
                    "row {seq} tells {sort:?} of place {cseq} of {cid}, which is not owed"
                ));
            }
            if !matches!(row.sort, Sort::Revoke | Sort::Edit) {
                let last = user.last.entry(cid).or_default();
                if cseq <= *last {
                    return Err(format!("place {cseq} of {cid} comes after {last}"));
                }
                *last = cseq;
            }
            let carried = self.is_carried(row, &body);
            match row.sort {
                Sort::C2c => self.take_message(seq, row, &body, entries, ran)?,
                Sort::Copy => self.take_copy(seq, row, ran)?,
                Sort::C2g => ran.group_rows += 1,
                Sort::Revoke => ran.revoke_rows += 1,
                _ => {}
            }
            let server_ts = row.server_ts;
            let row = Row {
                sort: row.sort,
                place: (cid, cseq),
                expires_at: row.expires_at,
                carried,
                from: row.from,
                id: row.id.clone(),
                server_ts,
                stored: true,
                litter: false,
                due: None,
            };
            user.rows.insert(seq, row);
        }
        user.head = head;
        Ok(())
    }

    /// Rows that tell of what is gone.
    fn dead(&self, user: &User) -> Ranges {
        let rows = user.rows.iter().filter(|(seq, row)| {
            let said = self.annals.at(row.place);
            let is_gone = said.is_some_and(|said| said.message.is_gone());
            let is_told = row.sort == Sort::Revoke;
            // Of a user's own inbox they are taken out at once; elsewhere a device has to say that it has seen it, or
            // somebody needs the room.
            let may_go = row.sort == Sort::C2c
                || self.asked.buried.contains(**seq)
                || !self.asked.appends.is_empty();
            row.stored && is_gone && !is_told && may_go
        });
        rows.map(|(seq, _)| *seq).collect()
    }

    /// Whether the inbox could take nothing more, or could not amid the batch.
    fn is_full(&self, before: Seq, too_old: u64) -> bool {
        let bounds = self.policy.bounds;
        let head = self.found.inbox.head();
        let acked: u64 = self.asked.acks.values().map(Ranges::len).sum();
        let most = self.found.inbox.waiting() + acked + (head - before);
        most + too_old + self.asked.buried.len() >= bounds.max_messages
    }

    fn code(&self, sort: Sort) -> u8 {
        match sort {
            Sort::Revoke => 1,
            Sort::Edit => 2,
            _ => 0,
        }
    }

    /// Whether a row is for the other devices of whoever did it.
    fn is_carried(&self, row: &RowRef, body: &Message) -> bool {
        let own = row.from == self.uid && body.to != Chat::User(self.uid);
        match (row.sort, body.to) {
            (Sort::Notice, Chat::Group(_)) => false,
            _ => own,
        }
    }

    /// Whether nobody waits for a row.
    fn is_passed(&self, seq: Seq) -> bool {
        let mut devices = self.found.devices.values();
        self.found.any.contains(seq) && devices.all(|(acks, _)| acks.contains(seq))
    }

    fn take_message(
        &self,
        seq: Seq,
        row: &RowRef,
        body: &Message,
        entries: &mut BTreeMap<Name, Entry>,
        ran: &mut Ran,
    ) -> Result<(), String> {
        if !self.asked.appends.contains(&(row.from, &row.id)) {
            return Err(format!("row {seq} is a message that nobody sent"));
        }
        let to = Chat::User(self.uid);
        if body.id != row.id || body.to != to {
            return Err(format!("row {seq} has the body of another"));
        }
        let name = (to, row.from, row.id.clone());
        if entry(self.disk, &name)?.is_none_or(|entry| entry.seq != seq) {
            return Err(format!("row {seq} is not in the index"));
        }
        let entry = Entry {
            seq,
            server_ts: row.server_ts,
            expired: false,
            revoked: false,
        };
        if let Some(old) = entries.insert(name, entry)
            && old.server_ts + self.policy.dedupe_ms() > self.now
        {
            let old = old.seq;
            return Err(format!("one message has two rows, {old} and {seq}"));
        }
        ran.accepted += 1;
        ran.survived += u64::from(!self.certain);
        Ok(())
    }

    /// A copy is for the devices beside the one that has sent the message.
    fn take_copy(&self, seq: Seq, row: &RowRef, ran: &mut Ran) -> Result<(), String> {
        let Body::Chat(cid, cseq) = row.body else {
            return Ok(());
        };
        let by = self.annals.at((cid, cseq)).map(|said| &said.by);
        let by = by.ok_or_else(|| format!("row {seq} copies what was not sent"))?;
        let mut senders = self
            .found
            .devices
            .iter()
            .filter(|(did, _)| by.contains(*did));
        if by.len() == 1 && senders.any(|(_, (acks, _))| !acks.contains(seq)) {
            return Err(format!(
                "row {seq} is a copy for the device that has sent it"
            ));
        }
        ran.copies += 1;
        Ok(())
    }

    /// What any device has: by their acknowledgements, or because it is too old.
    fn take_acks(
        &self,
        user: &mut User,
        entries: &mut BTreeMap<Name, Entry>,
        too_old: &Ranges,
        copies: &Ranges,
        dead: &Ranges,
        ran: &mut Ran,
    ) -> Result<(), String> {
        let any = &self.found.any;
        let mut acked = Ranges::new();
        for seqs in self.asked.acks.values() {
            acked.union(seqs);
        }
        if !user.any.difference(any).is_empty() {
            return Err(format!("{:?} became {any:?}", user.any));
        }
        let gained = any.difference(&user.any);
        let unseen = gained.difference(&user.rows.keys().copied().collect());
        let mut unasked = gained.difference(&acked).difference(too_old);
        unasked.subtract(copies);
        unasked.subtract(dead);
        unasked.subtract(&unseen);
        if !unasked.is_empty() {
            return Err(format!("{unasked:?} are acknowledged, and by nobody"));
        }
        for seq in gained.values() {
            let row = user.rows.get(&seq);
            let in_time = acked.contains(seq) && !too_old.contains(seq);
            if in_time && row.is_some_and(|row| row.sort == Sort::C2g) {
                match self.asked.buried.contains(seq) {
                    true => user.maybe.insert(seq, seq),
                    false => user.delivered.insert(seq, seq),
                }
            }
            let Some(row) = row.filter(|row| row.sort == Sort::C2c) else {
                continue;
            };
            let name = (Chat::User(self.uid), row.from, row.id.clone());
            let stored = entry(self.disk, &name)?.filter(|entry| entry.seq == seq);
            let revoked = stored.is_some_and(|entry| entry.revoked);
            let expired = stored.is_some_and(|entry| entry.expired);
            // An acknowledgement that comes too late, or by a device that is not known, does not count.
            let may_expire = too_old.contains(seq);
            let must_expire = may_expire && !acked.contains(seq) && stored.is_some() && !revoked;
            if (expired && !may_expire) || (must_expire && !expired) {
                return Err(format!("row {seq} is expired in the index: {expired}"));
            }
            if expired {
                ran.expired += 1;
                if let Some(entry) = entries.get_mut(&name).filter(|entry| entry.seq == seq) {
                    entry.expired = true;
                }
            } else if acked.contains(seq) {
                user.delivered.insert(seq, seq);
            }
        }
        for (did, seqs) in &self.asked.acks {
            let known = user.devices.get(*did);
            if known.is_some() || self.asked.attaches.contains(*did) {
                let before = known.map_or(&user.any, |known| &known.acks);
                let own = seqs.intersection(any).difference(before);
                user.acked.entry((*did).clone()).or_default().union(&own);
            }
        }
        Ok(())
    }

    /// Whether more devices came than there is room for.
    fn makes_room(&self, user: &User) -> bool {
        let attaches = self.asked.attaches.iter();
        let fresh = attaches.filter(|did| !user.devices.contains_key(**did));
        user.devices.len() + fresh.count() > self.policy.bounds.max_devices.max(1)
    }

    fn take_new_device(
        &self,
        user: &mut User,
        did: &Did,
        acks: &Ranges,
        resync: bool,
        ran: &mut Ran,
    ) -> Result<(), String> {
        if !self.asked.attaches.contains(did) {
            return Err(format!("{did} became known without coming"));
        }
        let beyond = acks.difference(&self.found.any);
        if !user.any.difference(acks).is_empty() || !beyond.is_empty() {
            return Err(format!("{did} does not begin behind what any device has"));
        }
        let holes = acks.iter().count() > 1 || (acks.cursor() == 0 && !acks.is_empty());
        ran.new_devices += 1;
        ran.new_with_holes += u64::from(holes);
        let known = Known {
            acks: acks.clone(),
            resync,
            ..Known::default()
        };
        user.devices.insert(did.clone(), known);
        Ok(())
    }

    /// Rows that a device may have passed without a word of it.
    fn passed(&self, user: &User, did: &Did, too_old: &Ranges, copies: &Ranges) -> Ranges {
        let all = Ranges::span(1, user.head);
        let mut passed = all.difference(&user.rows.keys().copied().collect());
        passed.union(too_old);
        for seq in copies.values() {
            let place = user.rows.get(&seq).map(|row| row.place);
            let said = place.and_then(|place| self.annals.at(place));
            if said.is_some_and(|said| said.by.contains(did)) {
                passed.insert(seq, seq);
            }
        }
        passed
    }

    /// Rows that a device has passed without having acknowledged them and without their being `passed` by it.
    fn unasked(&self, known: &Known, did: &Did, passed: &Ranges) -> Ranges {
        let acks = self.found.devices.get(did).map(|(acks, _)| acks);
        let mut gained = acks.map_or(Ranges::new(), |acks| acks.difference(&known.acks));
        if let Some(own) = self.asked.acks.get(did) {
            gained.subtract(own);
        }
        gained.subtract(passed);
        gained
    }

    /// A known device keeps what it has, and passes a row for a reason: it lags, or it was forgotten and has `returned`
    /// in the same batch.
    fn check_device(
        &self,
        known: &Known,
        did: &Did,
        passed: &Ranges,
        lags: bool,
        returned: bool,
    ) -> Result<(), String> {
        let Some((acks, resync)) = self.found.devices.get(did) else {
            return Ok(());
        };
        if !acks.difference(&self.found.any).is_empty() {
            return Err(format!("{did} has what nobody has"));
        }
        if !known.acks.difference(acks).is_empty() {
            return Err(format!("{did} lost acknowledgements"));
        }
        let gained = self.unasked(known, did, passed);
        if !gained.is_empty() && !lags && !returned {
            return Err(format!("{did} passes {gained:?}, and nothing excuses it"));
        }
        if *resync && !known.resync && !lags {
            return Err(format!("{did} is told to resync, and does not lag"));
        }
        let silent = !self.asked.acks.contains_key(did);
        if known.resync && !*resync && silent && !returned {
            return Err(format!("{did} need not resync any more, without a word"));
        }
        Ok(())
    }

    /// Devices that are forgotten: nobody saw them for too long, or they made room for another.
    fn take_leave(
        &self,
        user: &mut User,
        makes_room: bool,
        ran: &mut Ran,
        turned: &mut Turned,
    ) -> Result<(), String> {
        let bounds = self.policy.bounds;
        let devices = user.devices.keys();
        let gone = devices.filter(|did| !self.found.devices.contains_key(*did));
        let gone: Vec<Did> = gone.cloned().collect();
        for did in gone {
            let known = user.devices.remove(&did).unwrap_or_default();
            let seen = self.asked.mentioned.contains(&did);
            let long_ago = known.seen.saturating_add(bounds.forget_ms) <= self.now;
            if self.sweeps && !seen && long_ago {
                ran.forgotten_unseen += 1;
            } else if makes_room {
                let mut others = user.devices.iter();
                let unseen_for_longer = others.find(|(other, seen)| {
                    !self.asked.mentioned.contains(other) && seen.seen_maybe < known.seen
                });
                if let Some((other, _)) = unseen_for_longer {
                    return Err(format!(
                        "{did} made room, and {other} was unseen for longer"
                    ));
                }
                ran.forgotten_room += 1;
            } else {
                return Err(format!("{did} is forgotten without a reason"));
            }
            turned.forgotten.push((self.uid, did));
        }
        match user.devices.len() > bounds.max_devices.max(1) {
            true => Err(format!("{} devices are known", user.devices.len())),
            false => Ok(()),
        }
    }

    fn note_seen(&self, user: &mut User) {
        for did in &self.asked.mentioned {
            if let Some(known) = user.devices.get_mut(*did) {
                known.seen_maybe = self.now;
                if self.certain {
                    known.seen = self.now;
                }
            }
        }
    }

    /// Rows that went, and rows that stayed without need.
    fn take_removals(&self, user: &mut User, too_old: &Ranges) -> Result<(), String> {
        let (any, devices) = (&user.any, &user.devices);
        let passed = |seq: Seq| devices.values().all(|known| known.acks.contains(seq));
        for (seq, row) in &mut user.rows {
            let needless = any.contains(*seq) && passed(*seq);
            let is_there = self.found.rows.contains_key(seq);
            if row.stored && !is_there && !needless && !too_old.contains(*seq) {
                return Err(format!("row {seq} went, and somebody waits for it"));
            }
            // What a crash has left of rows that were given up goes when it expires.
            row.litter |= is_there && needless && !self.certain;
            if is_there && needless && !row.litter {
                return Err(format!("row {seq} is kept, and nobody waits for it"));
            }
            row.stored = is_there;
        }
        Ok(())
    }
}
