//! What one batch may have done to one user: every change in the store follows from a request, or from the time.

use std::collections::BTreeMap;

use yizhan::id::{Did, Seq, Uid};
use yizhan::machine::ranges::Ranges;
use yizhan::message::{Message, is_expired};
use yizhan::store::ledger::Policy;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::record;

use crate::book::{Asked, Entry, Found, Known, Name, Row, Turned, User, entry, read};
use crate::tally::Ran;

/// A batch, what it asked about one user, and how the store stands after it.
pub struct Turn<'a> {
    pub policy: Policy,
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
            row.stored && is_expired(row.server_ts, self.now, self.policy.ttl_ms)
        });
        let too_old: Ranges = old.map(|(seq, _)| *seq).collect();
        self.take_acks(user, entries, &too_old, ran)?;
        let makes_room = self.makes_room(user);
        for (did, (acks, resync)) in &self.found.devices {
            match user.devices.get(did) {
                None => self.take_new_device(user, did, acks, *resync, ran)?,
                Some(known) => {
                    let lags = user.head > before
                        && user.head - known.acks.len() > self.policy.bounds.max_messages;
                    let returned = self.asked.attaches.contains(did) && makes_room;
                    self.check_device(known, did, &too_old, lags, returned)?;
                    let gained = self.unasked(known, did, &too_old);
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
        self.take_removals(user, &too_old)
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
        if head - user.head > self.asked.appends.len() as u64 {
            return Err(format!("{head} rows for fewer messages"));
        }
        for seq in user.head + 1..=head {
            let row = self.found.rows.get(&seq);
            let row = row.ok_or_else(|| format!("the sequence has a gap at {seq}"))?;
            if !self.asked.appends.contains(&(row.from, &row.id)) {
                return Err(format!("row {seq} is a message that nobody sent"));
            }
            let body: Option<Message> = read(self.disk, &record::body_key(self.uid, seq))?;
            if body.is_none_or(|body| body.id != row.id || body.from != row.from) {
                return Err(format!("row {seq} has no body of its own"));
            }
            let name = (self.uid, row.from, row.id.clone());
            if entry(self.disk, &name)?.is_none_or(|entry| entry.seq != seq) {
                return Err(format!("row {seq} is not in the index"));
            }
            let server_ts = row.server_ts;
            let entry = Entry {
                seq,
                server_ts,
                expired: false,
            };
            if let Some(old) = entries.insert(name, entry)
                && old.server_ts + self.policy.dedupe_ms() > self.now
            {
                let old = old.seq;
                return Err(format!("one message has two rows, {old} and {seq}"));
            }
            ran.accepted += 1;
            ran.survived += u64::from(!self.certain);
            let row = Row {
                from: row.from,
                id: row.id.clone(),
                server_ts,
                stored: true,
                due: None,
            };
            user.rows.insert(seq, row);
        }
        user.head = head;
        Ok(())
    }

    /// What any device has: by their acknowledgements, or because it is too old.
    fn take_acks(
        &self,
        user: &mut User,
        entries: &mut BTreeMap<Name, Entry>,
        too_old: &Ranges,
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
        let unasked = gained.difference(&acked).difference(too_old);
        if !unasked.is_empty() {
            return Err(format!("{unasked:?} are acknowledged, and by nobody"));
        }
        for seq in gained.values() {
            let row = &user.rows[&seq];
            let name = (self.uid, row.from, row.id.clone());
            let stored = entry(self.disk, &name)?.filter(|entry| entry.seq == seq);
            let expired = stored.is_some_and(|entry| entry.expired);
            // An acknowledgement that comes too late, or by a device that is not known, does not count.
            let may_expire = too_old.contains(seq);
            let must_expire = may_expire && !acked.contains(seq) && stored.is_some();
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

    /// Rows that a device has passed without having acknowledged them or their being too old.
    fn unasked(&self, known: &Known, did: &Did, too_old: &Ranges) -> Ranges {
        let acks = self.found.devices.get(did).map(|(acks, _)| acks);
        let mut gained = acks.map_or(Ranges::new(), |acks| acks.difference(&known.acks));
        if let Some(own) = self.asked.acks.get(did) {
            gained.subtract(own);
        }
        gained.subtract(too_old);
        gained
    }

    /// A known device keeps what it has, and passes a row for a reason: it lags, or it was forgotten and has `returned`
    /// in the same batch.
    fn check_device(
        &self,
        known: &Known,
        did: &Did,
        too_old: &Ranges,
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
        let gained = self.unasked(known, did, too_old);
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
            if is_there && needless {
                return Err(format!("row {seq} is kept, and nobody waits for it"));
            }
            row.stored = is_there;
        }
        Ok(())
    }
}
