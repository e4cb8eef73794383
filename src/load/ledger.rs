//! What is known of each message of one flow: a few bytes a message, and nothing of those about which all is known.

use std::collections::VecDeque;

/// Devices that one reader can have here: a bit for each.
pub(super) const DEVICES_MAX: usize = 16;

/// What must still be heard of a flow's messages, in the order in which they were sent.
#[derive(Debug)]
pub(super) struct Ledger {
    /// All before this number are settled and dropped.
    base: u64,
    messages: VecDeque<Message>,
    /// The devices that must have every message, a bit each.
    devices: u16,
    frees: Frees,
}

/// What a sender waits for before it sends one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frees {
    Accept,
    Loop,
}

/// A message about which something must still be heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// When it was sent first, or was to be sent; nanoseconds of the run.
    pub(super) sent: u64,
    /// When it was written last.
    pub(super) tried: u64,
    /// Its place in the reader's inbox; 0 while no copy has come.
    pub(super) seq: u64,
    /// Devices that have got a copy.
    seen: u16,
    /// Devices whose acknowledgement is durable.
    confirmed: u16,
    /// Devices of which the sender has heard.
    told: u16,
    accepted: bool,
    /// The sender knows that some device has it.
    delivered: bool,
    /// It counts against its sender's window.
    pub(super) open: bool,
}

/// What a frame tells a sender about one message; nothing if all of it was known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// It is accepted.
    pub(super) accepted: bool,
    /// The receipt of the last device is there.
    pub(super) closed: bool,
    /// It counts against its sender's window no longer.
    pub(super) frees: bool,
    /// When it was sent.
    pub(super) sent: u64,
}

/// Nobody sent such a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stranger;

/// What a copy at a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    First {
        sent: u64,
    },
    /// Legal: no acknowledgement of this device was confirmed.
    Again,
    /// The device's acknowledgement was confirmed, so it must not come.
    Confirmed,
    /// The message has two numbers in the reader's inbox.
    OtherSeq,
    Unknown,
}

/// What is wrong with a message when all should have been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// Accepted, and some device has not got it.
    Lost,
    /// Whether it was accepted is not known.
    Unanswered,
    /// A device acknowledged it and never heard that this is durable.
    Unconfirmed,
    /// All have it, and its sender was not told.
    Untold,
}

impl Ledger {
    /// Nothing sent, to a reader of so many devices.
    pub(super) fn new(devices: usize, frees: Frees) -> Ledger {
        Ledger {
            base: 0,
            messages: VecDeque::new(),
            devices: ((1_u32 << devices.min(DEVICES_MAX)) - 1) as u16,
            frees,
        }
    }

    /// The number that the next message gets.
    pub(super) fn next(&self) -> u64 {
        self.base + self.messages.len() as u64
    }

    /// Messages that are not settled.
    pub(super) fn unsettled(&self) -> usize {
        self.messages.len()
    }

    /// Notes that the next message is written, `sent` being when that was due.
    pub(super) fn send(&mut self, sent: u64, now: u64) -> u64 {
        let number = self.next();
        self.messages.push_back(Message {
            sent,
            tried: now,
            seq: 0,
            seen: 0,
            confirmed: 0,
            told: 0,
            accepted: false,
            delivered: false,
            open: true,
        });
        number
    }

    /// The server says that it is durable.
    pub(super) fn accept(&mut self, number: u64) -> Result<News, Stranger> {
        let (frees, all) = (self.frees, self.devices);
        let Some(message) = self.find(number)? else {
            return Ok(News::default());
        };
        let accepted = !std::mem::replace(&mut message.accepted, true);
        Ok(News {
            accepted,
            closed: false,
            frees: message.free(frees, all),
            sent: message.sent,
        })
    }

    /// The sender hears that this device has it, or that some device has, which implies that it was accepted.
    pub(super) fn tell(&mut self, number: u64, device: Option<usize>) -> Result<News, Stranger> {
        let (frees, all) = (self.frees, self.devices);
        let Some(message) = self.find(number)? else {
            return Ok(News::default());
        };
        let was_closed = message.told == all;
        let accepted = !std::mem::replace(&mut message.accepted, true);
        message.delivered = true;
        if let Some(device) = device {
            message.told |= bit(device) & all;
        }
        Ok(News {
            accepted,
            closed: !was_closed && message.told == all,
            frees: message.free(frees, all),
            sent: message.sent,
        })
    }

    /// It was refused for good: nothing more is to be heard of it.
    pub(super) fn give_up(&mut self, number: u64) -> Result<News, Stranger> {
        let all = self.devices;
        let Some(message) = self.find(number)? else {
            return Ok(News::default());
        };
        let accepted = !std::mem::replace(&mut message.accepted, true);
        message.delivered = true;
        (message.seen, message.confirmed, message.told) = (all, all, all);
        Ok(News {
            accepted,
            closed: false,
            frees: std::mem::take(&mut message.open),
            sent: message.sent,
        })
    }

    /// A copy comes to a device.
    pub(super) fn copy(&mut self, number: u64, device: usize, seq: u64) -> Copied {
        match self.find(number) {
            Ok(Some(message)) => {
                if message.seq != 0 && message.seq != seq {
                    return Copied::OtherSeq;
                }
                message.seq = seq;
                if message.confirmed & bit(device) != 0 {
                    return Copied::Confirmed;
                }
                let is_first = message.seen & bit(device) == 0;
                message.seen |= bit(device);
                match is_first {
                    true => Copied::First { sent: message.sent },
                    false => Copied::Again,
                }
            }
            Ok(None) => Copied::Confirmed,
            Err(Stranger) => Copied::Unknown,
        }
    }

    /// The device's acknowledgement is durable; returns the message's number in the inbox if that is news.
    pub(super) fn confirm(&mut self, number: u64, device: usize) -> Option<u64> {
        let message = self.find(number).ok()??;
        if message.seen & bit(device) == 0 || message.confirmed & bit(device) != 0 {
            return None;
        }
        message.confirmed |= bit(device);
        Some(message.seq)
    }

    /// Drops what is settled at the front; says how much that was, and how much of it counted against the window.
    pub(super) fn settle(&mut self) -> (u64, usize) {
        let (before, all) = (self.base, self.devices);
        let mut open = 0;
        while let Some(message) = self.messages.front()
            && message.is_settled(all)
        {
            open += usize::from(message.open);
            self.messages.pop_front();
            self.base += 1;
        }
        (self.base - before, open)
    }

    /// A message that is not settled.
    pub(super) fn message(&mut self, number: u64) -> Option<&mut Message> {
        self.find(number).ok()?
    }

    /// Those not settled, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Message)> {
        self.iter_from(0)
    }

    /// The same, from a number on.
    pub(super) fn iter_from(&self, number: u64) -> impl Iterator<Item = (u64, &Message)> {
        let skip = usize::try_from(number.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let skip = skip.min(self.messages.len());
        let numbers = self.base + skip as u64..;
        numbers.zip(self.messages.range(skip..))
    }

    /// What is owed of each message that is not settled when a run ends.
    pub(super) fn owed(&self) -> impl Iterator<Item = (u64, Owed)> {
        self.iter()
            .filter_map(|(number, message)| Some((number, message.owed(self.devices)?)))
    }

    /// The message of this number; none if it is settled.
    fn find(&mut self, number: u64) -> Result<Option<&mut Message>, Stranger> {
        let Some(place) = number.checked_sub(self.base) else {
            return Ok(None);
        };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        self.messages.get_mut(place).map(Some).ok_or(Stranger)
    }
}

impl Message {
    /// Whether the sender has the server's word, by frame 2 or by frame 6.
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Whether STATUS could tell the sender something new.
    pub(super) fn is_worth_asking(&self, of_all: bool) -> bool {
        self.accepted && !self.delivered && (of_all || self.confirmed != 0)
    }

    fn is_settled(&self, all: u16) -> bool {
        self.owed(all).is_none() && self.confirmed == all
    }

    fn owed(&self, all: u16) -> Option<Owed> {
        if !self.accepted {
            Some(Owed::Unanswered)
        } else if self.seen != all {
            Some(Owed::Lost)
        } else if self.confirmed != all {
            Some(Owed::Unconfirmed)
        } else if !self.delivered {
            Some(Owed::Untold)
        } else {
            None
        }
    }

    /// Whether this is the moment at which it no longer counts against the window.
    fn free(&mut self, frees: Frees, all: u16) -> bool {
        let is_over = match frees {
            Frees::Accept => self.accepted,
            // STATUS and a repeat name no device: then one has to do.
            Frees::Loop => self.accepted && (self.told == all || self.delivered && self.told == 0),
        };
        is_over && std::mem::take(&mut self.open)
    }
}

fn bit(device: usize) -> u16 {
    1 << device
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_which_all_is_heard_is_settled_and_dropped() {
        let mut ledger = Ledger::new(1, Frees::Loop);
        assert_eq!(ledger.send(5, 5), 0);
        assert_eq!(told(ledger.accept(0)), "accepted");
        assert_eq!(told(ledger.accept(0)), "");
        assert_eq!(ledger.copy(0, 0, 9), Copied::First { sent: 5 });
        assert_eq!(ledger.copy(0, 0, 9), Copied::Again);
        assert_eq!(ledger.confirm(0, 0), Some(9));
        assert_eq!(ledger.settle(), (0, 0));
        assert_eq!(told(ledger.tell(0, Some(0))), "closed frees");
        assert_eq!(ledger.settle(), (1, 0));
        assert_eq!(ledger.unsettled(), 0);
        assert_eq!(ledger.next(), 1);
        assert_eq!(told(ledger.accept(0)), "");
    }

    #[test]
    fn a_receipt_is_an_acceptance_too() {
        let mut ledger = Ledger::new(1, Frees::Loop);
        ledger.send(1, 1);
        assert_eq!(told(ledger.tell(0, Some(0))), "accepted closed frees");
        assert_eq!(told(ledger.accept(0)), "");
    }

    #[test]
    fn a_loop_closes_with_the_receipt_of_the_last_device() {
        let mut ledger = Ledger::new(2, Frees::Loop);
        ledger.send(1, 1);
        ledger.accept(0).unwrap();
        assert_eq!(told(ledger.tell(0, Some(1))), "");
        assert_eq!(told(ledger.tell(0, Some(1))), "");
        assert_eq!(told(ledger.tell(0, Some(0))), "closed frees");
    }

    #[test]
    fn a_message_whose_receipts_were_missed_frees_its_place_when_it_settles() {
        let mut ledger = Ledger::new(2, Frees::Loop);
        ledger.send(1, 1);
        ledger.tell(0, Some(1)).unwrap();
        for device in [0, 1] {
            ledger.copy(0, device, 1);
            ledger.confirm(0, device);
        }
        assert_eq!(ledger.settle(), (1, 1));
    }

    #[test]
    fn a_copy_after_the_confirmed_ack_is_caught_before_and_after_the_message_is_dropped() {
        let mut ledger = Ledger::new(1, Frees::Accept);
        ledger.send(0, 0);
        ledger.copy(0, 0, 1);
        ledger.confirm(0, 0);
        assert_eq!(ledger.copy(0, 0, 1), Copied::Confirmed);
        ledger.accept(0).unwrap();
        ledger.tell(0, None).unwrap();
        assert_eq!(ledger.settle(), (1, 0));
        assert_eq!(ledger.copy(0, 0, 1), Copied::Confirmed);
    }

    #[test]
    fn a_second_number_for_one_message_is_caught() {
        let mut ledger = Ledger::new(2, Frees::Accept);
        ledger.send(0, 0);
        ledger.copy(0, 0, 4);
        assert_eq!(ledger.copy(0, 1, 5), Copied::OtherSeq);
    }

    #[test]
    fn what_nobody_sent_is_unknown() {
        let mut ledger = Ledger::new(1, Frees::Accept);
        assert_eq!(ledger.accept(0), Err(Stranger));
        assert_eq!(ledger.copy(7, 0, 1), Copied::Unknown);
        assert_eq!(ledger.tell(7, None), Err(Stranger));
    }

    #[test]
    fn what_is_owed_at_the_end_has_a_name() {
        let mut ledger = Ledger::new(2, Frees::Accept);
        for _ in 0..5 {
            ledger.send(0, 0);
        }
        for number in 1..5 {
            ledger.accept(number).unwrap();
        }
        for (number, device) in [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1)] {
            ledger.copy(number, device, number);
        }
        for (number, device) in [(2, 0), (3, 0), (3, 1), (4, 0), (4, 1)] {
            ledger.confirm(number, device);
        }
        ledger.tell(4, None).unwrap();
        let owed: Vec<_> = ledger.owed().collect();
        let expected = [
            (0, Owed::Unanswered),
            (1, Owed::Lost),
            (2, Owed::Unconfirmed),
            (3, Owed::Untold),
        ];
        assert_eq!(owed, expected);
    }

    fn told(news: Result<News, Stranger>) -> String {
        let news = news.unwrap();
        let words = [
            (news.accepted, "accepted"),
            (news.closed, "closed"),
            (news.frees, "frees"),
        ];
        let words: Vec<_> = words
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| *word)
            .collect();
        words.join(" ")
    }
}
