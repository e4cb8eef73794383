//! What has to be true: of everything that is said, of every device at every step, and in the end.

use std::collections::BTreeSet;

use yizhan::id::{MsgId, Uid};
use yizhan::machine::device::Epoch;
use yizhan::message::{Ack, Event, Op, Row, State};
use yizhan::store::ledger;

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
            Event::SyncPage { rows, .. } => {
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
            .accepted_at(message.to, row.seq, message.from, &message.id);
        let Some(accepted_at) = known else {
            return Err(format!("row {} leaves before it is durable", row.seq));
        };
        let proc = self.server.as_ref().and_then(|s| s.procs.get(&serial));
        if proc.is_some_and(|proc| proc.uid != message.to) {
            return Err(format!("row {} goes to another user", row.seq));
        }
        let expires_at = accepted_at.saturating_add(self.scenario.policy.ttl_ms);
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
            let mut readers = self.clients.iter().filter(|c| c.uid == to);
            readers.any(|c| c.seen.contains_key(&(from, id.clone())))
        };
        match event {
            Event::Accepted { id, to, .. } if !self.book.was_accepted(*to, from, id) => lie(),
            Event::Delivered {
                id, reader, did, ..
            } if !has_it(*reader, id)
                || !self.book.is_delivered(*reader, from, id, did.as_ref()) =>
            {
                lie()
            }
            Event::Status(states) => {
                for (target, state) in states {
                    let (to, id) = (target.to, &target.id);
                    let is_so = match state {
                        State::Delivered => {
                            has_it(to, id) && self.book.is_delivered(to, from, id, None)
                        }
                        State::Accepted | State::Expired => self.book.was_accepted(to, from, id),
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
                        && self.book.owed(uid, did).is_empty()
                }
            }
        });
        let mut journeys = self.journeys.iter();
        there
            && self.trouble.is_none()
            && journeys.all(|j| j.targets == 0 || j.acked + j.failed > 0)
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
        if self.not_found > nobody + failed {
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
