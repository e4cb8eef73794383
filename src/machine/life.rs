//! The life of one message, and what it comes to: a verdict in a sentence.

use crate::code::{Close, Code};
use crate::id::{Did, Seq};
use crate::message::State;
use crate::message::trace::{Cause, Step, Turn};

/// A first copy that leaves later than this, milliseconds after the message was accepted, has waited.
const AT_ONCE_MS: u64 = 250;

/// Everything that is known of one message between two users.
#[derive(Clone, Debug)]
pub struct Life {
    /// What was written down, in the order of time, Unix milliseconds.
    pub steps: Vec<(u64, Step)>,
    /// What the store says of it.
    pub state: State,
    /// When it was accepted, Unix milliseconds, and its place in the inbox, if the store remembers it.
    pub accepted: Option<(u64, Seq)>,
    /// The reader's devices: those that are known, and those that were written down.
    pub devices: Vec<Reader>,
    /// How long a message waits, milliseconds.
    pub ttl_ms: u64,
    /// Moments that were not written down, of whatever message.
    pub lost: u64,
    /// Moments of this message between the first and the last that are not shown.
    pub left_out: u64,
}

/// A device of the reader.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Its name.
    pub did: Did,
    /// When it came and left, in the order of time, Unix milliseconds.
    pub turns: Vec<(u64, Turn)>,
    /// How it stands now, if it is connected.
    pub now: Option<Connected>,
    /// Whether the message is owed to it.
    pub owed: bool,
    /// When it was last seen, Unix milliseconds, if it is known.
    pub seen_ms: Option<u64>,
}

/// How a connected device stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// Frames that wait in its outbox.
    pub queued: u64,
    /// Deliveries that walk.
    pub walking: usize,
    /// The row from which on rows wait because it takes no more, if it takes no more.
    pub held_back: Option<Seq>,
    /// The walk of this message.
    pub flight: Option<Flight>,
}

/// A message on its way to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Copies that were due so far.
    pub copies: u32,
    /// Copies of its schedule.
    pub of: usize,
    /// When the next one is due, Unix milliseconds; none after the last.
    pub next_ms: Option<u64>,
}

impl Life {
    /// What the life of the message comes to, at the time `now`.
    pub fn verdict(&self, now: u64) -> String {
        let mut said = self.judge(now);
        if self.is_accepted()
            && let Some((_, Step::Refused { code })) =
                self.last(|s| matches!(s, Step::Refused { .. }))
        {
            said.push_str(&format!(
                " Something else under the same id was refused: {}.",
                told(*code)
            ));
        }
        if self.left_out > 0 {
            said.push_str(&format!(
                " ({} moments in the middle of its life are not shown.)",
                self.left_out
            ));
        }
        if self.lost > 0 {
            said.push_str(&format!(
                " ({} moments of the time that is kept were lost under load, so some of its steps may be missing.)",
                self.lost
            ));
        }
        said
    }

    fn is_accepted(&self) -> bool {
        self.accepted.is_some() || self.written_acceptance().is_some()
    }

    fn judge(&self, now: u64) -> String {
        let Some((accepted_ms, _)) = self.accepted.or_else(|| self.written_acceptance()) else {
            return self.never_accepted();
        };
        if let Some(first) = self.first_ack() {
            return self.delivered(accepted_ms, first, now);
        }
        if self.state == State::Expired || self.has(|step| *step == Step::Expired) {
            return self.expired(accepted_ms);
        }
        if self.state == State::Delivered {
            return "Delivered: a device of the reader has acknowledged it; when and which is not remembered any more.".into();
        }
        self.waiting(accepted_ms, now)
    }

    /// A signal, or a text of an operator, which is relayed and never stored; or something that was refused.
    fn never_accepted(&self) -> String {
        if let Some((at, did)) = self.first_ack() {
            let copies = self.copies(did, at);
            return format!(
                "Relayed: {did} acknowledged {}. It was never stored.",
                nth_copy(copies)
            );
        }
        if let Some((did, flight)) = self.walking() {
            let Flight { copies, of, .. } = flight;
            return format!(
                "On its way: {} of {of} went to {did}. It is never stored.",
                nth_copy(copies)
            );
        }
        if let Some((_, Step::Parked { did, attempts, .. })) =
            self.last(|step| matches!(step, Step::Parked { .. }))
        {
            return format!(
                "Lost, as a signal may be: {} to {did}, none acknowledged, and it was never stored.",
                copies(*attempts)
            );
        }
        match self.last(|step| matches!(step, Step::Refused { .. })) {
            Some((_, Step::Refused { code })) => format!(
                "Refused: the sender was told {}. Nothing of it was stored.",
                told(*code)
            ),
            _ => "Nothing is known of it: it never came, or it is older than what is kept."
                .to_string(),
        }
    }

    fn delivered(&self, accepted_ms: u64, (acked_ms, did): (u64, &Did), now: u64) -> String {
        let sent = self.copies(did, acked_ms);
        let took = span(acked_ms.saturating_sub(accepted_ms));
        let mut said = match sent {
            0 => format!(
                "Delivered: {did} fetched it and acknowledged it {took} after it was accepted."
            ),
            1 if !self.waited(did, accepted_ms) => format!(
                "Delivered at once: {did} acknowledged the first copy {took} after it was accepted."
            ),
            1 => format!(
                "Delivered after a wait: {did} acknowledged the first copy that it was sent, {took} after it was accepted."
            ),
            _ => format!(
                "Delivered at the {} attempt: {did} acknowledged it {took} after it was accepted.",
                ordinal(sent)
            ),
        };
        let owed: Vec<String> = self
            .devices
            .iter()
            .filter(|device| device.owed)
            .map(|device| self.standing(device, accepted_ms, now))
            .collect();
        if !owed.is_empty() {
            said.push_str(&format!(" Still owed: {}.", owed.join("; ")));
        }
        if !self.has(|step| matches!(step, Step::Told { .. })) {
            said.push_str(" No device of the sender was there to be told; STATUS will tell.");
        }
        said
    }

    fn expired(&self, accepted_ms: u64) -> String {
        if let Some((at, _)) = self.last(|step| *step == Step::Expired) {
            return format!(
                "Expired: an operator ended it {} after it was accepted, before any device had acknowledged it.",
                span(at.saturating_sub(accepted_ms))
            );
        }
        let why = match self.sent_at_all() {
            0 if self.has(|step| *step == Step::Alone) => {
                "no device of the reader was connected in that time"
            }
            0 => "no device of the reader took it in that time",
            _ => "none of the copies that were sent was acknowledged",
        };
        format!(
            "Expired: it waited for {}, which is inbox.ttl_ms, and {why}.",
            span(self.ttl_ms)
        )
    }

    fn waiting(&self, accepted_ms: u64, now: u64) -> String {
        if let Some((did, flight)) = self.walking() {
            let Flight {
                copies,
                of,
                next_ms,
            } = flight;
            if self.is_jammed(did) {
                return self.jammed(did);
            }
            let next = match next_ms {
                Some(at) => format!("the next leaves in {}", span(at.saturating_sub(now))),
                None => "it was the last".to_string(),
            };
            return format!(
                "On its way: {} of {of} went to {did}, not acknowledged so far; {next}.",
                nth_copy(copies)
            );
        }
        if let Some(device) = self.devices.iter().find(|d| self.is_jammed(&d.did)) {
            return self.jammed(&device.did);
        }
        let accepted = self.accepted.or_else(|| self.written_acceptance());
        let seq = accepted.map(|(_, seq)| seq);
        let held = |device: &&Reader| {
            let from = device.now.and_then(|now| now.held_back);
            from.is_some_and(|from| seq >= Some(from)) && self.copies(&device.did, u64::MAX) == 0
        };
        if let Some(device) = self.devices.iter().find(held) {
            return format!(
                "Held back: {} is connected and takes no more: {} messages before this one are on their way to it and not acknowledged. It comes when those are.",
                device.did,
                device.now.map_or(0, |now| now.walking)
            );
        }
        let parked = self.last(|step| matches!(step, Step::Parked { .. }));
        if let Some((
            _,
            Step::Parked {
                did,
                attempts,
                cause,
            },
        )) = parked
        {
            let copies = copies(*attempts);
            let why = match cause {
                Cause::UsedUp => format!("{copies} went to {did} and none was acknowledged"),
                Cause::Disconnected => format!(
                    "the connection of {did} ended{} after {copies} without an acknowledgement",
                    self.how_it_left(did)
                ),
                Cause::Operator => {
                    format!("an operator ended its delivery to {did} after {copies}")
                }
            };
            return format!("Parked: {why}. It waits in the inbox for the next login or SYNC.");
        }
        if self.devices.iter().any(|device| device.now.is_some()) {
            return "Accepted: a device of the reader is connected and will pull it.".into();
        }
        if let Some((_, Step::Sent { did, .. })) = self.last(|s| matches!(s, Step::Sent { .. })) {
            return format!(
                "Interrupted: {} went to {did}, and then its process or the server ended. It waits in the inbox for the next login or SYNC.",
                copies(self.copies(did, u64::MAX))
            );
        }
        let why = match self.has(|step| *step == Step::Alone) {
            true => "no device was connected when it was accepted",
            false => "no device is connected, and none got it when it was accepted",
        };
        let last = self.devices.iter().filter_map(|device| {
            Some((
                device
                    .seen_ms
                    .or_else(|| device.turns.last().map(|t| t.0))?,
                &device.did,
            ))
        });
        match last.max() {
            Some((seen, did)) => format!(
                "The reader is offline: {why} {} ago; {did} was seen last, {} ago. It waits in the inbox.",
                span(now.saturating_sub(accepted_ms)),
                span(now.saturating_sub(seen))
            ),
            None => format!(
                "The reader is offline: no device of theirs is known. It was accepted {} ago and waits in the inbox.",
                span(now.saturating_sub(accepted_ms))
            ),
        }
    }

    fn jammed(&self, did: &Did) -> String {
        let device = self.devices.iter().find(|device| device.did == *did);
        match device.and_then(|device| device.now) {
            Some(now) => format!(
                "The reader is jammed: {did} is connected and does not read: {} frames wait in its outbox, so copies of this one were not written. It stays in the inbox.",
                now.queued
            ),
            None => format!(
                "The reader was jammed: {did} did not read, copies of this one were not written, and its connection ended{}. It waits in the inbox.",
                self.how_it_left(did)
            ),
        }
    }

    /// Whether that device was due a copy that could not be written because of those before it, on its last connection.
    fn is_jammed(&self, did: &Did) -> bool {
        let device = self.devices.iter().find(|device| device.did == *did);
        let turns = device.into_iter().flat_map(|device| &device.turns);
        let came = turns.filter(|(_, turn)| *turn == Turn::Came);
        let came = came.map(|(at, _)| *at).max().unwrap_or(0);
        let is_of = |(at, step): &&(u64, Step)| match step {
            Step::Sent { did: of, .. } | Step::Skipped { did: of, .. } => *at >= came && of == did,
            _ => false,
        };
        let last = self.steps.iter().rfind(is_of);
        let skipped = last.is_some_and(|(_, step)| matches!(step, Step::Skipped { .. }));
        let waits = device.and_then(|device| device.now);
        // One that is connected and has an empty outbox again is not jammed any more.
        skipped && waits.is_none_or(|now| now.queued > 0)
    }

    fn standing(&self, device: &Reader, accepted_ms: u64, now: u64) -> String {
        let did = &device.did;
        match device.now {
            Some(connected) if connected.flight.is_some() => format!("{did}, on its way"),
            Some(_) if self.is_jammed(did) => format!("{did}, which does not read"),
            Some(_) => format!("{did}, which is connected"),
            None => match device.seen_ms {
                Some(seen) if seen > accepted_ms => {
                    format!("{did}, offline for {}", span(now.saturating_sub(seen)))
                }
                _ => format!("{did}, offline since before it was accepted"),
            },
        }
    }

    fn how_it_left(&self, did: &Did) -> String {
        let device = self.devices.iter().find(|device| device.did == *did);
        let left = device.and_then(|device| device.turns.last());
        match left {
            Some((_, Turn::Left { close: Some(code) })) => {
                let close = Close::ALL.into_iter().find(|c| c.number() == *code);
                format!(" ({code}, {})", close.map_or("unknown", Close::reason))
            }
            _ => String::new(),
        }
    }

    fn walking(&self) -> Option<(&Did, Flight)> {
        let flights = self.devices.iter().filter_map(|device| {
            let flight = device.now?.flight?;
            Some((&device.did, flight))
        });
        flights.min_by_key(|(_, flight)| flight.next_ms.unwrap_or(u64::MAX))
    }

    fn written_acceptance(&self) -> Option<(u64, Seq)> {
        self.steps.iter().find_map(|(at, step)| match step {
            Step::Accepted { seq } => Some((*at, *seq)),
            _ => None,
        })
    }

    fn first_ack(&self) -> Option<(u64, &Did)> {
        self.steps.iter().find_map(|(at, step)| match step {
            Step::Acked { did } => Some((*at, did)),
            _ => None,
        })
    }

    /// Copies that had been sent to a device by that time.
    fn copies(&self, did: &Did, until: u64) -> u32 {
        let sent = self.steps.iter().filter(|(at, step)| {
            *at <= until && matches!(step, Step::Sent { did: of, .. } if of == did)
        });
        sent.count() as u32
    }

    fn sent_at_all(&self) -> usize {
        let sent = self.steps.iter();
        sent.filter(|(_, step)| matches!(step, Step::Sent { .. }))
            .count()
    }

    /// Whether that device got it later than at once: nobody was there, or it stood behind others.
    fn waited(&self, did: &Did, accepted_ms: u64) -> bool {
        let is_first =
            |(_, step): &(u64, Step)| matches!(step, Step::Sent { did: of, .. } if of == did);
        let Some(first) = self.steps.iter().position(is_first) else {
            return false;
        };
        let is_wait = |step: &Step| matches!(step, Step::Alone | Step::Parked { .. });
        self.steps[first].0 > accepted_ms + AT_ONCE_MS
            || self.steps[..first].iter().any(|(_, step)| is_wait(step))
    }

    fn has(&self, like: impl Fn(&Step) -> bool) -> bool {
        self.steps.iter().any(|(_, step)| like(step))
    }

    fn last(&self, like: impl Fn(&Step) -> bool) -> Option<&(u64, Step)> {
        self.steps.iter().rev().find(|(_, step)| like(step))
    }
}

fn told(code: u16) -> String {
    let known = Code::ALL.into_iter().find(|c| c.number() == code);
    match known {
        Some(known) => format!("{code}, {}", known.message()),
        None => code.to_string(),
    }
}

fn copies(count: u32) -> String {
    match count {
        1 => "one copy".to_string(),
        count => format!("{count} copies"),
    }
}

fn nth_copy(count: u32) -> String {
    format!("copy {count}")
}

fn ordinal(number: u32) -> String {
    const WORDS: [&str; 8] = [
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth",
    ];
    let word = usize::try_from(number)
        .ok()
        .and_then(|number| WORDS.get(number.checked_sub(1)?));
    match word {
        Some(word) => (*word).to_string(),
        None => {
            let end = match (number % 10, number % 100) {
                (1, rest) if rest != 11 => "st",
                (2, rest) if rest != 12 => "nd",
                (3, rest) if rest != 13 => "rd",
                _ => "th",
            };
            format!("{number}{end}")
        }
    }
}

/// A span of milliseconds as people say it.
pub fn span(ms: u64) -> String {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match ms {
        0..SECOND => format!("{ms} ms"),
        SECOND..MINUTE => format!("{}.{} s", ms / SECOND, ms % SECOND / 100),
        MINUTE..HOUR => format!("{} min {} s", ms / MINUTE, ms % MINUTE / SECOND),
        HOUR..DAY => format!("{} h {} min", ms / HOUR, ms % HOUR / MINUTE),
        _ => format!("{} d {} h", ms / DAY, ms % DAY / HOUR),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn did(name: &str) -> Did {
        Did::parse(name).unwrap()
    }

    fn phone(now: Option<Connected>) -> Reader {
        Reader {
            did: did("phone"),
            turns: Vec::new(),
            now,
            owed: true,
            seen_ms: Some(900),
        }
    }

    fn life(steps: Vec<(u64, Step)>, devices: Vec<Reader>) -> Life {
        Life {
            steps,
            state: State::Accepted,
            accepted: Some((1000, 7)),
            devices,
            ttl_ms: 60_000,
            lost: 0,
            left_out: 0,
        }
    }

    fn sent(attempt: u32) -> Step {
        let did = did("phone");
        Step::Sent { did, attempt }
    }

    #[test]
    fn a_message_on_its_way_says_when_the_next_copy_leaves() {
        let flight = Flight {
            copies: 2,
            of: 7,
            next_ms: Some(4500),
        };
        let connected = Connected {
            flight: Some(flight),
            ..Connected::default()
        };
        let life = life(
            vec![(1001, sent(1)), (2501, sent(2))],
            vec![phone(Some(connected))],
        );
        assert_eq!(
            life.verdict(3000),
            "On its way: copy 2 of 7 went to phone, not acknowledged so far; the next leaves in 1.5 s."
        );
    }

    #[test]
    fn a_message_behind_a_full_window_is_held_back() {
        let connected = Connected {
            walking: 64,
            held_back: Some(7),
            ..Connected::default()
        };
        let said = life(Vec::new(), vec![phone(Some(connected))]).verdict(3000);
        assert!(
            said.starts_with("Held back: phone is connected and takes no more: 64"),
            "{said}"
        );
    }

    #[test]
    fn a_schedule_that_was_used_up_is_not_a_connection_that_ended() {
        let parked = |cause| Step::Parked {
            did: did("phone"),
            attempts: 7,
            cause,
        };
        let said = life(
            vec![(1001, sent(1)), (16_000, parked(Cause::UsedUp))],
            vec![phone(None)],
        )
        .verdict(20_000);
        assert_eq!(
            said,
            "Parked: 7 copies went to phone and none was acknowledged. It waits in the inbox for the next login or SYNC."
        );
        let mut left = phone(None);
        left.turns = vec![(900, Turn::Came), (1500, Turn::Left { close: Some(4051) })];
        let said = life(
            vec![(1001, sent(1)), (1500, parked(Cause::Disconnected))],
            vec![left],
        )
        .verdict(20_000);
        assert!(
            said.starts_with("Parked: the connection of phone ended (4051, "),
            "{said}"
        );
    }

    #[test]
    fn a_second_device_that_lacks_it_is_named() {
        let acked = Step::Acked { did: did("laptop") };
        let mut laptop = phone(None);
        (laptop.did, laptop.owed) = (did("laptop"), false);
        let mut life = life(vec![(1020, acked)], vec![laptop, phone(None)]);
        life.state = State::Delivered;
        assert_eq!(
            life.verdict(61_000),
            "Delivered: laptop fetched it and acknowledged it 20 ms after it was accepted. Still owed: phone, offline since before it was accepted. No device of the sender was there to be told; STATUS will tell."
        );
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        for (ms, said) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1500, "1.5 s"),
            (61_000, "1 min 1 s"),
            (7_260_000, "2 h 1 min"),
            (604_800_000, "7 d 0 h"),
        ] {
            assert_eq!(span(ms), said);
        }
    }
}
