//! What has to be true: of everything that is said, of every device at every step, and in the end.

use std::collections::BTreeSet;

use yizhan::id::{MsgId, Uid};
use yizhan::machine::device::Epoch;
use yizhan::message::chat::{Amendment, Chat};
use yizhan::message::{Ack, Event, Fate, Op, Row, State, What};
use yizhan::store::ledger::{self, News};
use yizhan::store::record::Sort;

use crate::server::Mail;
use crate::world::{CALM_MS, RELOGIN_MS, World};

/// How long after its time a first copy may still leave: it was young when it was read, and waited for its device.
const LATE_MS: u64 = 100;

impl World {
    /// An acknowledgement covers what its device has received, and nothing else.
    pub fn check_ack(&self, op: &Op) -> Result<(), String> {
        let Op::Ack { reader, did, seqs } = op else {
            return Ok(());
        };
        let mut clients = self.clients.iter();
        let client = clients.find(|c| c.uid == *reader && c.did == *did);
        let got = client.map(|client| &client.got);
        for seq in seqs.values() {
            if got.is_none_or(|got| !got.contains(&seq)) {
                return Err(format!("{did} acknowledges row {seq} and has not got it"));
            }
        }
        Ok(())
    }

    /// Whether the client of that process has received the row before.
    pub fn has_got(&self, serial: u64, seq: u64) -> bool {
        let proc = self.server.as_ref().and_then(|s| s.procs.get(&serial));
        proc.is_some_and(|proc| {
            let mut clients = self.clients.iter();
            clients.any(|c| c.uid == proc.uid && c.did == proc.did && c.got.contains(&seq))
        })
    }

    /// What leaves is durable, and not too old.
    pub fn check_push(&self, serial: u64, epoch: Epoch, event: &Event) -> Result<(), String> {
        match event {
            Event::Deliver(row) => {
                let proc = self.server.as_ref().and_then(|s| s.procs.get(&serial));
                let lines = proc.into_iter().flat_map(|proc| proc.lines.get(&epoch));
                let again = lines.into_iter().any(|line| line.left.contains(&row.seq));
                self.check_row(serial, row, if again { 0 } else { LATE_MS })
            }
            Event::SyncPage { rows, .. } | Event::WaitingPage { rows, .. } => {
                let mut rows = rows.iter();
                rows.try_for_each(|row| self.check_row(serial, row, LATE_MS))
            }
            _ => Ok(()),
        }
    }

    fn check_row(&self, serial: u64, row: &Row, late: u64) -> Result<(), String> {
        let message = &row.message;
        let known = self
            .book
            .accepted_at(row.reader, row.seq, message.from, row.id());
        // A copy that was given up in the batch that brought it was never seen in the store.
        let given_up = self.book.is_unseen(row.reader, row.seq);
        let Some(accepted_at) = known.or(given_up.then_some(row.since)) else {
            return Err(format!("row {} leaves before it is durable", row.seq));
        };
        let of = self
            .book
            .user(row.reader)
            .and_then(|user| user.rows.get(&row.seq));
        if of.is_some_and(|of| of.place.1 != message.cseq) {
            return Err(format!("row {} names another place", row.seq));
        }
        let proc = self.server.as_ref().and_then(|s| s.procs.get(&serial));
        if proc.is_some_and(|proc| proc.uid != row.reader) {
            return Err(format!("row {} goes to another user", row.seq));
        }
        let expires_at = accepted_at.saturating_add(self.scenario.policy.ttl_ms);
        let expires_at = match row.what {
            What::Revoke => expires_at,
            _ => expires_at.min(message.expires_at.unwrap_or(u64::MAX)),
        };
        let told = self
            .book
            .annals
            .named(message.to, message.from, &message.id);
        let told = told.filter(|said| said.message.cseq == message.cseq);
        if let Some(said) = told {
            let is_empty = matches!(message.fate, Fate::Revoked(_));
            if is_empty != (row.what == What::Revoke) {
                return Err(format!(
                    "row {} tells {:?} of {message:?}",
                    row.seq, row.what
                ));
            }
            // A reader may see a change a moment before it is durable.
            let mut changes = self.clients.iter().flat_map(|client| &client.changes);
            let is_change = changes.any(|change| match &change.amendment {
                Amendment::Edit {
                    payload, target, ..
                } => *target == message.id && *payload == message.payload,
                Amendment::Revoke { .. } => false,
            });
            if !is_empty && !is_change && !said.payloads.contains(&message.payload) {
                return Err(format!("row {} has another payload", row.seq));
            }
            let late_word = said.revoke_told.is_some_and(|at| at + LATE_MS < self.now);
            // Whoever was removed meanwhile is not told, and their devices go on with what they have in hand.
            let talk = of.and_then(|of| self.book.annals.chats.get(&of.place.0));
            let is_told = talk.zip(said.revoked).is_some_and(|(talk, heads)| {
                (heads.0..=heads.1).all(|head| talk.stays(row.reader, head.max(1)))
            });
            if late_word && is_told && row.what != What::Revoke {
                return Err(format!("row {} leaves, and was taken back", row.seq));
            }
        }
        match self.now >= expires_at.saturating_add(late) {
            true => Err(format!("row {} leaves after its time", row.seq)),
            false => Ok(()),
        }
    }

    /// The bounds of one device, and its place in the registry.
    pub fn check_device(&self, serial: u64) -> Result<(), String> {
        let Some(server) = self.server.as_ref() else {
            return Ok(());
        };
        let Some(proc) = server.procs.get(&serial) else {
            return Ok(());
        };
        let (walking, window) = (proc.machine.walking(), self.scenario.rules.deliver_window);
        if walking > window {
            return Err(format!("{walking} deliveries walk in a window of {window}"));
        }
        // The word of a delivery that has ended may still wait in the mailbox.
        let walkers = proc.deliveries.values().filter(|(_, d)| d.due().is_some());
        let mail = proc.mailbox.iter();
        let last_words = mail.filter(|mail| matches!(mail, Mail::Resend(..)));
        if walking > walkers.count() + last_words.count() {
            return Err("a delivery walks without a process".into());
        }
        if proc.trips.len() > (window / 2).max(1) {
            return Err("signals take more than half of the window".into());
        }
        let mut is_shown = false;
        server
            .registry
            .lookup(proc.uid, |member| is_shown |= member.serial == serial);
        if is_shown && !proc.lines.contains_key(&proc.latest) {
            return Err(format!("{} is announced to, and is not there", proc.did));
        }
        Ok(())
    }

    /// What the server says must be so.
    pub fn check_said(&self, who: usize, event: &Event) -> Result<(), String> {
        let (from, did) = (self.clients[who].uid, &self.clients[who].did);
        let lie = || Err(format!("{did} is told {event:?}"));
        let has_it = |to: Uid, id: &MsgId| {
            let key = (Chat::User(to), from, id.clone());
            let mut readers = self.clients.iter().filter(|c| c.uid == to);
            readers.any(|c| c.seen.contains_key(&key))
        };
        match event {
            Event::Accepted { id, to, cseq, .. } => {
                let said = self.book.annals.named(*to, from, id);
                // It may be told late, after the id was forgotten and came again.
                match said.is_some_and(|said| *cseq > 0 && *cseq <= said.message.cseq) {
                    true => Ok(()),
                    false => lie(),
                }
            }
            // It may be told late, after the id was forgotten and came again.
            Event::Counted(counted)
                if !self.forgets_ids()
                    && counted.count
                        > self
                            .book
                            .have(Chat::Group(counted.gid), from, &counted.id)
                            .1 =>
            {
                lie()
            }
            Event::Unwanted { to, .. } if !self.book.annals.ever_blocked.contains(&(*to, from)) => {
                lie()
            }
            Event::Amended {
                amendment,
                to,
                server_ts,
            } => {
                let of = match amendment {
                    Amendment::Revoke { id } => id,
                    Amendment::Edit { target, .. } => target,
                };
                let said = self.book.annals.named(*to, from, of);
                let is_so = said.is_some_and(|said| match amendment {
                    Amendment::Revoke { .. } => said.message.fate == Fate::Revoked(*server_ts),
                    Amendment::Edit { id, .. } => said.edits.contains_key(id),
                });
                if is_so { Ok(()) } else { lie() }
            }
            Event::HistoryPage { to, history, .. } => {
                let mut last = 0;
                for message in &history.messages {
                    let annals = &self.book.annals;
                    let mut talks = annals.chats.values().filter(|talk| match to {
                        Chat::User(peer) => talk
                            .two
                            .is_some_and(|two| two == (from.min(*peer), from.max(*peer))),
                        Chat::Group(_) => talk.two.is_none(),
                    });
                    let is_said = talks.any(|talk| {
                        let said = talk.said.get(&message.cseq);
                        said.is_some_and(|said| {
                            said.message.id == message.id && talk.has(from, message.cseq)
                        })
                    });
                    if message.cseq <= last || !is_said || message.fate == Fate::Expired {
                        return lie();
                    }
                    last = message.cseq;
                }
                Ok(())
            }
            Event::Delivered {
                id, reader, did, ..
            } if !has_it(*reader, id)
                || !self.book.is_delivered(*reader, from, id, did.as_ref()) =>
            {
                lie()
            }
            Event::Status(states) => {
                for (target, state, _) in states {
                    let (chat, id) = (target.to, &target.id);
                    let Chat::User(to) = chat else {
                        continue;
                    };
                    let is_so = match state {
                        State::Delivered => {
                            has_it(to, id) && self.book.is_delivered(to, from, id, None)
                        }
                        State::Accepted | State::Expired => self.book.was_accepted(chat, from, id),
                        State::Revoked => {
                            let said = self.book.annals.named(chat, from, id);
                            said.is_some_and(|said| said.revoked.is_some())
                        }
                        State::Unknown => true,
                    };
                    if !is_so {
                        return lie();
                    }
                }
                Ok(())
            }
            Event::AckOk(ack) => {
                let tried = &self.clients[who].tried;
                let covered: Vec<u64> = match ack {
                    Ack::Id { .. } => Vec::new(),
                    Ack::Seqs(seqs) => seqs.clone(),
                    Ack::UpTo(up_to) => tried.range(..=*up_to).map(|(seq, _)| *seq).collect(),
                };
                match covered
                    .iter()
                    .all(|seq| self.book.has_acked(from, did, *seq))
                {
                    true => Ok(()),
                    false => lie(),
                }
            }
            _ => Ok(()),
        }
    }

    /// Whoever has been connected for long was sent everything that is theirs, without a new login.
    pub fn audit(&mut self) -> Result<(), String> {
        let early = self.now - CALM_MS / 2;
        for client in &self.clients {
            let Some(conn) = client
                .conn
                .filter(|_| client.since.is_some_and(|at| at < early))
            else {
                continue;
            };
            let at = self.conns.get(&conn).and_then(|c| c.at);
            let server = self.server.as_ref();
            let Some((proc, epoch)) =
                at.and_then(|(serial, epoch)| Some((server?.procs.get(&serial)?, epoch)))
            else {
                continue;
            };
            let Some(line) = proc.lines.get(&epoch) else {
                continue;
            };
            let owed = self.book.owed(client.uid, &client.did);
            // What is not acknowledged holds its place in the window until it is parked.
            let rounds = self.scenario.rules.deliver_window as u64 * 4;
            let rows = owed.len() + client.got.len() as u64;
            let calm_at = self.begun + self.scenario.faults_ms;
            if client.silent_until > calm_at && rows > rounds {
                continue;
            }
            for seq in owed.values() {
                let announced = self.announced.get(&(client.uid, seq));
                if announced.is_some_and(|at| *at < early)
                    && !line.left.contains(&seq)
                    && !line.paged.contains(&seq)
                    && !self.is_dead(client.uid, seq)
                {
                    let did = &client.did;
                    return Err(format!(
                        "row {seq} was never sent to {did}, which is connected"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether everybody has got and heard everything.
    pub fn is_done(&self) -> bool {
        if self.now < self.begun + self.scenario.faults_ms + RELOGIN_MS {
            return false;
        }
        let there = self.clients.iter().all(|client| {
            let (uid, did) = (client.uid, &client.did);
            match client.barred {
                // Forgotten, or it would be let in.
                true => !self.book.knows(uid, did),
                false => {
                    client.welcomed
                        && client.is_settled()
                        && client.calls.is_empty()
                        && !client.must_resync
                        && self
                            .book
                            .owed(uid, did)
                            .values()
                            .all(|seq| self.is_dead(uid, seq))
                }
            }
        });
        let mut journeys = self.journeys.iter();
        let goes_on = self.server.as_ref().is_none_or(|s| s.ledger.has_more());
        there
            && !goes_on
            && self.orders.iter().all(|order| order.done)
            && self.trouble.is_none()
            && journeys.all(|j| j.targets == 0 || j.acked + j.failed > 0)
    }

    fn forgets_ids(&self) -> bool {
        self.scenario.policy.ttl_ms < (1 << 39)
    }

    /// Whether a row tells of what is gone: it is taken out when it is read.
    fn is_dead(&self, uid: Uid, seq: u64) -> bool {
        let row = self.book.user(uid).and_then(|user| user.rows.get(&seq));
        let said = row.and_then(|row| self.book.annals.at(row.place));
        said.is_some_and(|said| said.is_gone(self.now))
            && row.is_some_and(|row| row.sort != Sort::Revoke)
    }

    /// The count of a message to a group rises.
    pub fn check_counted(&mut self, news: &[News]) -> Result<(), String> {
        for item in news {
            let News::Counted(counted) = item else {
                continue;
            };
            self.ran.counted += 1;
            let (gid, from) = (counted.gid, counted.sender);
            let (_, have) = self.book.have(Chat::Group(gid), from, &counted.id);
            let talk = &self.book.annals.chats[&gid];
            let stayed = talk
                .members
                .values()
                .all(|times| times.len() == 1 && times.iter().all(|(_, last)| last.is_none()));
            let name = (Chat::Group(gid), from, counted.id.clone());
            let cseq = self
                .book
                .annals
                .places
                .get(&name)
                .map_or(0, |place| place.1);
            let told = self.counted.entry((gid, cseq)).or_default();
            if counted.count > have || (counted.count < *told && stayed) {
                return Err(format!(
                    "{counted:?} is told after {told}, and {have} have it"
                ));
            }
            *told = (*told).max(counted.count);
        }
        Ok(())
    }

    /// Whether everybody has gone.
    pub fn is_empty(&self) -> bool {
        let mut conns = self.conns.values();
        self.server
            .as_ref()
            .is_some_and(|s| s.procs.is_empty() && s.requests.is_empty() && !s.committing)
            && conns.all(|conn| conn.at.is_none())
    }

    /// The end: nothing is left over, and the gauges say so.
    pub fn verify(mut self) -> Result<crate::tally::Ran, String> {
        if self.scenario.is_crowded() {
            self.check_store()?;
            self.check_quiet()?;
        }
        let largest = self
            .engine
            .largest
            .load(std::sync::atomic::Ordering::Relaxed);
        if largest > self.scenario.batch_max {
            return Err(format!("a batch of {largest} writes"));
        }
        let Some(server) = self.server.as_ref() else {
            return Err("the server is gone".into());
        };
        let ghosts = server.registry.all().len();
        if ghosts > 0 || self.online != 0 {
            let online = self.online;
            return Err(format!(
                "{ghosts} ghosts in the registry, {online} devices online"
            ));
        }
        let rows = ledger::count_rows(&self.engine.disk).map_err(|e| e.to_string())?;
        if rows != self.rows {
            let gauge = self.rows;
            return Err(format!("{rows} rows, and the gauge says {gauge}"));
        }
        let nobody = self.journeys.iter().filter(|j| j.targets == 0).count() as u64;
        let failed: u64 = self.journeys.iter().map(|j| u64::from(j.failed)).sum();
        if self.not_found > nobody + failed && !self.scenario.is_crowded() {
            return Err("more signals failed than were sent".into());
        }
        for client in &self.clients {
            let seqs: BTreeSet<u64> = client.seen.values().map(|(seq, _)| *seq).collect();
            self.ran.received += seqs.len() as u64;
        }
        self.ran.rows_beyond += server.rows_beyond;
        let (failures, panics) = self.engine.failures();
        self.ran.store_failures += failures;
        self.ran.store_panics += panics;
        Ok(self.ran)
    }

    pub fn unfinished(&self) -> String {
        let mut left = String::new();
        for client in &self.clients {
            let open = client
                .outgoing
                .iter()
                .filter(|m| m.progress < crate::client::Progress::Delivered);
            let open: Vec<String> = open.map(|m| format!("{} {:?}", m.id, m.progress)).collect();
            let owed = self.book.owed(client.uid, &client.did);
            left += &format!(
                "{}: welcomed {}, barred {}, must hear of rows given up {}, open {open:?}, unconfirmed {:?}, owed {owed:?}; ",
                client.did, client.welcomed, client.barred, client.must_resync, client.tried
            );
        }
        for journey in &self.journeys {
            if journey.targets > 0 && journey.acked + journey.failed == 0 {
                left += &format!("signal {} is not over; ", journey.signal.id);
            }
        }
        if let Some(server) = self.server.as_ref() {
            for (serial, proc) in &server.procs {
                let (lines, mail) = (proc.lines.len(), &proc.mailbox);
                left += &format!(
                    "process {serial} of {} has {lines} lines and {mail:?}; ",
                    proc.did
                );
            }
            let (waiting, committing) = (server.requests.len(), server.committing);
            left += &format!("{waiting} requests wait, committing {committing}; ");
        }
        let connected = self.conns.iter().filter(|(_, conn)| conn.at.is_some());
        let connected: Vec<u64> = connected.map(|(id, _)| *id).collect();
        left + &format!("connections {connected:?}")
    }
}
