//! The reader's half: copies in, acknowledgements out, and what is heard of those.

use crate::load::client::Link;
use crate::load::frame::{Frame, numbers};
use crate::load::inbox::Place;
use crate::load::ledger::Copied;
use crate::load::naming::Name;
use crate::load::stage::Acks;
use crate::load::temper::Ack;
use crate::load::ws;

use super::Crew;

/// How long a reader waits for frame 5 before it repeats an acknowledgement.
const REPEAT_NS: u64 = 5_000_000_000;
/// Numbers in one acknowledgement.
const SEQS_MAX: usize = 100;
/// Acknowledgements without an answer: a server refuses more requests than `device.send_window`, 256 by default.
const ACKS_OPEN_MAX: usize = 240;
/// How much of a frame is shown that should not have come.
const SHOWN: usize = 200;

impl Crew {
    /// A frame has come.
    pub(super) fn hear(&mut self, client: usize, text: &[u8]) {
        let Ok(frame) = Frame::read(text) else {
            return self.strange(text);
        };
        if self.clients[client].link != Link::On && frame.kind != b"S2C" {
            return self.strange(text);
        }
        match frame.kind {
            b"C2C_SERVER_ACK" => self.hear_accepted(client, &frame, text),
            b"C2C" => self.hear_message(client, &frame, text),
            b"CLIENT_ACK_OK" => self.hear_confirmed(client, &frame, text),
            b"C2C_DELIVERED" => self.hear_delivered(client, &frame, text),
            b"S2C" => self.hear_notice(client, text),
            b"STATUS" => self.hear_status(client, text),
            b"ERROR" => self.hear_error(client, text),
            _ => self.strange(text),
        }
    }

    /// Something has come that nobody asked for.
    pub(super) fn strange(&mut self, text: &[u8]) {
        self.proof.wrong.note(|| {
            let shown = &text[..text.len().min(SHOWN)];
            String::from_utf8_lossy(shown).into_owned()
        });
    }

    fn hear_message(&mut self, client: usize, frame: &Frame<'_>, text: &[u8]) {
        let (Some(id), Some(seq)) = (frame.id, frame.seq) else {
            return self.strange(text);
        };
        let Some((place, name)) = self.find(Some(id)) else {
            return self.hear_foreign(client, seq, text);
        };
        let flow = &mut self.flows[place];
        let it = &mut self.clients[client];
        let is_whole = flow.reader == it.user
            && frame.to == Some(self.users[it.user].name.as_bytes())
            && frame.payload == Some(&self.stage.payload.text[..]);
        let device = it.device;
        let copied = flow.ledger.copy(name.number, device, seq);
        let sender = flow.sender;
        let from = &self.users[self.clients[sender].user].name;
        if !is_whole || frame.from != Some(from.as_bytes()) {
            return self.strange(text);
        }
        match copied {
            Copied::First { sent } => self.tally.delivered(self.now.saturating_sub(sent)),
            Copied::Again => self.tally.counts.repeated_copies += 1,
            Copied::Confirmed | Copied::OtherSeq => {
                self.proof.doubled.note(|| self.stage.run.id(name));
                return self.write_ack(client, seq, id);
            }
            Copied::Unknown => return self.strange(text),
        }
        let settled = &mut self.settled;
        match self.clients[client].inbox.take(seq, name, settled) {
            Place::Next | Place::Repeat => {}
            Place::OutOfOrder => self.proof.out_of_order.note(|| self.stage.run.id(name)),
            Place::Taken => self.strange(text),
        }
        self.settle_confirmed(client);
        self.acknowledge(client, seq, id);
    }

    /// A message that is not of this run: legal if it was there before the run.
    fn hear_foreign(&mut self, client: usize, seq: u64, text: &[u8]) {
        let it = &mut self.clients[client];
        if !it.has_leftovers {
            return self.strange(text);
        }
        self.tally.counts.leftovers += 1;
        if let Some(wire) = &mut it.wire {
            let ack = format!(r#"{{"type":"CLIENT_ACK","seqs":[{seq}]}}"#);
            ws::text(&mut wire.out, ack.as_bytes());
        }
    }

    fn acknowledge(&mut self, client: usize, seq: u64, id: &[u8]) {
        let it = &mut self.clients[client];
        match it.temper.as_mut().map_or(Ack::Now, |temper| temper.ack()) {
            Ack::Never => {}
            Ack::Late(by) => self.ack_late(client, seq, self.now + by),
            Ack::Now => self.write_ack(client, seq, id),
        }
    }

    /// Acknowledges one copy, in the way of the run.
    fn write_ack(&mut self, client: usize, seq: u64, id: &[u8]) {
        let now = self.now;
        let acks = self.acks();
        let it = &mut self.clients[client];
        if it.acks_open >= ACKS_OPEN_MAX {
            it.held_acks.push_back(seq);
            return;
        }
        let Some(wire) = &mut it.wire else {
            return;
        };
        match acks {
            Acks::Each => {
                it.inbox.ack(seq, now);
                it.acks_open += 1;
                const WORD: &[u8] = b"CLIENT_ACK,C2C,";
                let length = WORD.len() + id.len() + 1 + it.did.len();
                ws::text_head(&mut wire.out, length);
                wire.out.extend_from_slice(WORD);
                wire.out.extend_from_slice(id);
                wire.out.push(b',');
                wire.out.extend_from_slice(it.did.as_bytes());
            }
            Acks::Seqs => {
                it.inbox.ack(seq, now);
                it.batch.push(seq);
            }
            Acks::UpTo => {
                it.inbox.ack_up_to(seq, now);
                it.batch.clear();
                it.batch.push(seq);
            }
        }
    }

    /// Writes the acknowledgements that were gathered while one read was taken.
    pub(super) fn write_batch(&mut self, client: usize) {
        if self.clients[client].batch.is_empty() {
            return;
        }
        let seqs = std::mem::take(&mut self.clients[client].batch);
        match self.acks() {
            Acks::UpTo => {
                let it = &mut self.clients[client];
                if let (Some(wire), Some(seq)) = (&mut it.wire, seqs.last()) {
                    it.acks_open += 1;
                    let ack = format!(r#"{{"type":"CLIENT_ACK","up_to":{seq}}}"#);
                    ws::text(&mut wire.out, ack.as_bytes());
                }
            }
            _ => self.ack_seqs(client, &seqs),
        }
        self.clients[client].batch = seqs;
        self.clients[client].batch.clear();
    }

    pub(super) fn send_late_acks(&mut self, client: usize) {
        while let Some(&(at, seq)) = self.clients[client].late_acks.front()
            && at <= self.now
        {
            self.clients[client].late_acks.pop_front();
            self.ack_held(client, seq);
        }
        self.write_batch(client);
    }

    /// An acknowledgement has its answer: one that waited for that may go.
    pub(super) fn answered(&mut self, client: usize) {
        let it = &mut self.clients[client];
        it.acks_open = it.acks_open.saturating_sub(1);
        if let Some(seq) = it.held_acks.pop_front() {
            self.ack_held(client, seq);
        }
    }

    /// An acknowledgement was refused for the moment: it goes out again, as it was, when the server wants it.
    pub(super) fn ack_again(&mut self, client: usize, name: Name, wait: u64) {
        let place = name.flow as usize - self.first_flow;
        let message = self.flows[place].ledger.message(name.number);
        if let Some(seq) = message.map(|message| message.seq) {
            self.ack_late(client, seq, self.now + wait);
        }
    }

    fn ack_late(&mut self, client: usize, seq: u64, at: u64) {
        let late = &mut self.clients[client].late_acks;
        let place = late.partition_point(|(other, _)| *other <= at);
        late.insert(place, (at, seq));
        self.wake_by(client, at);
    }

    /// Acknowledges a copy that came earlier on this connection, if that is not confirmed.
    fn ack_held(&mut self, client: usize, seq: u64) {
        if let Some(name) = self.clients[client].inbox.ack(seq, self.now) {
            let id = self.stage.run.id(name);
            self.write_ack(client, seq, id.as_bytes());
        }
    }

    /// Acknowledges everything that was left.
    pub(super) fn ack_all(&mut self, client: usize) {
        self.clients[client].late_acks.clear();
        self.repeat_before(client, self.now, true);
    }

    /// Repeats the acknowledgements that were not confirmed in time; by number, because a second text could be taken for
    /// another message.
    pub(super) fn repeat_acks(&mut self, client: usize) {
        self.repeat_before(client, self.now.saturating_sub(REPEAT_NS), false);
        let it = &self.clients[client];
        // Only another login tells what became of the acknowledgements of the one before.
        if it.inbox.is_doubtful() && it.temper.is_none() && self.now > it.doubts_until {
            self.clients[client].doubts_until = self.now + REPEAT_NS;
            self.cut(client);
        }
    }

    fn repeat_before(&mut self, client: usize, before: u64, also_unacked: bool) {
        let it = &mut self.clients[client];
        let due: Vec<_> = it.inbox.unconfirmed(before, also_unacked).collect();
        for seq in &due {
            it.inbox.ack(*seq, self.now);
        }
        self.tally.counts.acks_repeated += due.len() as u64;
        self.ack_seqs(client, &due);
    }

    fn ack_seqs(&mut self, client: usize, seqs: &[u64]) {
        let it = &mut self.clients[client];
        let Some(wire) = &mut it.wire else {
            return;
        };
        for part in seqs.chunks(SEQS_MAX) {
            it.acks_open += 1;
            let ack = format!(r#"{{"type":"CLIENT_ACK","seqs":{part:?}}}"#);
            ws::text(&mut wire.out, ack.as_bytes());
        }
    }

    fn hear_confirmed(&mut self, client: usize, frame: &Frame<'_>, text: &[u8]) {
        self.answered(client);
        match (frame.id, frame.seqs, frame.up_to) {
            (Some(id), None, None) => {
                let Some((place, name)) = self.find(Some(id)) else {
                    return self.strange(text);
                };
                let device = self.clients[client].device;
                if let Some(seq) = self.flows[place].ledger.confirm(name.number, device) {
                    self.clients[client].inbox.confirm(seq);
                    self.tally.counts.confirmed += 1;
                    self.settle(place);
                }
            }
            (None, Some(list), None) => {
                let Ok(seqs) = numbers(list) else {
                    return self.strange(text);
                };
                for seq in seqs {
                    let Ok(seq) = seq else {
                        return self.strange(text);
                    };
                    self.settled.extend(self.clients[client].inbox.confirm(seq));
                }
                self.settle_confirmed(client);
            }
            (None, None, Some(seq)) => {
                let settled = &mut self.settled;
                self.clients[client].inbox.confirm_up_to(seq, settled);
                self.settle_confirmed(client);
            }
            _ => self.strange(text),
        }
    }

    /// Notes that these acknowledgements of this device are durable.
    pub(super) fn settle_confirmed(&mut self, client: usize) {
        if self.settled.is_empty() {
            return;
        }
        let mut settled = std::mem::take(&mut self.settled);
        let device = self.clients[client].device;
        for Name { flow, number } in settled.drain(..) {
            let place = flow as usize - self.first_flow;
            if self.flows[place].ledger.confirm(number, device).is_some() {
                self.tally.counts.confirmed += 1;
                self.settle(place);
            }
        }
        self.settled = settled;
    }
}
