//! What goes out next: the inbox is the truth, a hint saves a read when it is exactly the next row.

use crate::code::Code;
use crate::id::Seq;
use crate::machine::ranges::Ranges;
use crate::machine::sent::Item;
use crate::message::look::Found;
use crate::message::{Event, Fault, Op, Page, Read, Row, What};

use super::{
    Device, Effect, Epoch, Pages, Phase, ReadTicket, Session, Slot, Ticket, WALK_BYTES, Walk, error,
};

impl Device {
    /// Rows up to `head` are durable; `rows` are some of the latest, in order.
    pub fn hint(&mut self, head: Seq, rows: Vec<Row>) {
        self.head = self.head.max(head);
        if self.phase != Phase::Live {
            return;
        }
        let revokes: Vec<Row> = rows
            .iter()
            .filter(|row| row.what == What::Revoke)
            .cloned()
            .collect();
        for row in rows {
            self.skip_known();
            if self.pulling.is_none() && row.seq == self.next && self.has_credit() {
                self.next += 1;
                self.start(Walk::Row(row));
            }
        }
        // However long they have to wait for their own turn.
        for revoke in &revokes {
            self.bury_copies(revoke);
        }
        self.fill();
    }

    /// The rows asked for, or why there are none.
    pub fn page(&mut self, now: u64, ticket: ReadTicket, page: Result<Page, Code>) {
        match ticket {
            ReadTicket::Pull(epoch) => self.pulled(now, epoch, page),
            ReadTicket::Sync { epoch, head } => self.synced(now, epoch, head, page),
            ReadTicket::Query { .. } => self.found(now, ticket, page.map(Found::Rows)),
        }
    }

    /// Rows that tell of what is gone are owed to nobody, if that is durable.
    pub(super) fn bury(&mut self, dead: &Ranges) {
        self.halt_rows(dead);
        let dead = dead.difference(&self.pending);
        if dead.is_empty() {
            return;
        }
        self.pending.union(&dead);
        self.effects.push_back(Effect::Submit {
            op: Op::Bury {
                uid: self.uid,
                seqs: dead.clone(),
            },
            ticket: Ticket::Bury(dead),
        });
    }

    /// Of the rows that were to be buried, these are gone; the others are owed as before.
    pub(super) fn buried(&mut self, rows: &Ranges, gone: &Ranges) {
        self.pending.subtract(rows);
        self.acks.union(gone);
        if let Some((first, _)) = rows.difference(gone).iter().next() {
            self.next = self.next.min(first);
        }
        self.fill();
    }

    fn pulled(&mut self, now: u64, epoch: Epoch, page: Result<Page, Code>) {
        let Some(from) = self.pulling.filter(|_| self.is_current(epoch)) else {
            return;
        };
        self.pulling = None;
        let Ok(page) = page else {
            self.retry_at = Some(now.saturating_add(self.rules.read_retry_ms));
            return;
        };
        self.bury(&page.dead);
        // A row before the page is owed again since it was asked for: the page must not carry `next` past it.
        if self.next >= from {
            for row in page.rows {
                self.skip_known();
                if row.seq < self.next || self.is_known(row.seq) {
                    continue;
                }
                if !self.has_credit() {
                    return;
                }
                self.next = row.seq + 1;
                self.start(Walk::Row(row));
            }
            self.next = self.next.max(page.scanned_to + 1);
        }
        self.fill();
    }

    /// Asks for the next rows, if there are any and there is room for them.
    pub(super) fn fill(&mut self) {
        if self.phase != Phase::Live || self.pulling.is_some() || self.retry_at.is_some() {
            return;
        }
        self.skip_known();
        let Some(session) = self.current.as_ref() else {
            return;
        };
        if self.next > self.head || !self.has_credit() {
            return;
        }
        let epoch = session.epoch;
        let room = self.rules.deliver_window - session.queued() as usize;
        let credit = self.rules.deliver_window - self.walking.len();
        let read = Read {
            uid: self.uid,
            from: self.next,
            to: self.acks.gap_end(self.next, self.head),
            limit: credit.min(room),
            max_bytes: self.rules.page_bytes,
        };
        self.pulling = Some(self.next);
        self.effects.push_back(Effect::Read {
            read,
            ticket: ReadTicket::Pull(epoch),
        });
    }

    /// A client asks for a page of its unacknowledged rows; the page does not walk.
    pub(super) fn sync(&mut self, now: u64, epoch: Epoch, after: Seq, limit: usize) {
        let head = self.head;
        let from = self.acks.first_gap(after.saturating_add(1));
        if from > head {
            let event = Event::SyncPage {
                rows: Vec::new(),
                next: head,
                more: false,
            };
            return self.reply(epoch, event);
        }
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        let waiting = match session.page {
            Pages::None => false,
            Pages::Reading => true,
            Pages::Pushed(frame) => frame >= session.taken,
        };
        if waiting {
            let fault = Fault::because(Code::TooFast, "the page before this one is not read yet");
            let fault = self.retry(fault);
            return self.reply(epoch, error(fault, now));
        }
        session.page = Pages::Reading;
        self.effects.push_back(Effect::Read {
            read: Read {
                uid: self.uid,
                from,
                to: self.acks.gap_end(from, head),
                limit,
                max_bytes: self.rules.page_bytes,
            },
            ticket: ReadTicket::Sync { epoch, head },
        });
    }

    fn synced(&mut self, now: u64, epoch: Epoch, head: Seq, page: Result<Page, Code>) {
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        session.page = Pages::None;
        let mut page = match page {
            Ok(page) => page,
            Err(Code::Busy) => {
                let fault = self.retry(Fault::new(Code::Busy));
                return self.reply(epoch, error(fault, now));
            }
            Err(code) => return self.reply(epoch, error(Fault::new(code), now)),
        };
        self.bury(&page.dead);
        let (acks, pending) = (&self.acks, &self.pending);
        page.rows
            .retain(|row| !acks.contains(row.seq) && !pending.contains(row.seq));
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        for row in &page.rows {
            let (id, item) = (row.id(), Item::Row(row.seq));
            session.sent.copied(id, item, session.pushed);
        }
        session.page = Pages::Pushed(session.pushed);
        let event = Event::SyncPage {
            rows: page.rows,
            next: page.scanned_to,
            more: page.scanned_to < head,
        };
        self.push(epoch, event);
    }

    /// Writes the first copy and starts the delivery.
    pub(super) fn start(&mut self, walk: Walk) -> Option<Slot> {
        if let Walk::Row(row) = &walk
            && row.what == What::Revoke
        {
            self.bury_copies(row);
        }
        let session = self.current.as_mut()?;
        let slot = self.next_slot;
        self.next_slot += 1;
        let item = walk.item(slot);
        session.sent.copied(walk.id(), item, session.pushed);
        let event = walk.event();
        session.push(event.weight());
        let epoch = session.epoch;
        self.effects.push_back(Effect::Push { epoch, event });
        self.effects.push_back(Effect::Walk(slot));
        match item {
            Item::Row(seq) => {
                session.again.remove(seq, seq);
                self.walking_rows.insert(seq, slot);
                self.row_bytes += walk.bytes();
            }
            Item::Signal(_) => self.signal_bytes += walk.bytes(),
        }
        self.walking.insert(slot, walk);
        Some(slot)
    }

    /// A message that walks was taken back: no copy of it leaves any more.
    fn bury_copies(&mut self, revoke: &Row) {
        let of = &revoke.message;
        let is_it = |walk: &Walk| match walk {
            Walk::Row(row) => {
                let message = &row.message;
                row.what != What::Revoke
                    && (message.to, message.from, message.cseq) == (of.to, of.from, of.cseq)
            }
            Walk::Signal(_) => false,
        };
        let walking = self.walking_rows.iter();
        let dead: Ranges = walking
            .filter(|(_, slot)| self.walking.get(slot).is_some_and(is_it))
            .map(|(seq, _)| *seq)
            .collect();
        self.bury(&dead);
    }

    /// Ends a walk, and gives back what it took of the window.
    pub(super) fn stop(&mut self, slot: Slot) -> Option<Walk> {
        let walk = self.walking.remove(&slot)?;
        match &walk {
            Walk::Row(row) => {
                self.walking_rows.remove(&row.seq);
                self.row_bytes -= walk.bytes();
            }
            Walk::Signal(_) => self.signal_bytes -= walk.bytes(),
        }
        Some(walk)
    }

    /// Whether one more delivery may walk and its first copy fits the outbox.
    pub(super) fn has_credit(&self) -> bool {
        let window = self.rules.deliver_window;
        let is_open = |session: &Session| !session.closing && session.has_room(window as u64);
        self.walking.len() < window
            && self.row_bytes < WALK_BYTES
            && self.current.as_ref().is_some_and(is_open)
    }

    /// Moves `next` past rows that the client has, or was sent on this connection.
    fn skip_known(&mut self) {
        let Some(session) = self.current.as_ref() else {
            return;
        };
        loop {
            let mut next = self.acks.first_gap(self.next);
            next = self.pending.first_gap(next);
            next = session.first_unsent(next);
            if next == self.next {
                return;
            }
            self.next = next;
        }
    }

    fn is_known(&self, seq: Seq) -> bool {
        self.acks.contains(seq)
            || self.pending.contains(seq)
            || self
                .current
                .as_ref()
                .is_some_and(|session| session.first_unsent(seq) != seq)
    }
}
