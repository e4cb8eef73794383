//! The rules of one user's inbox: the sequence, who has acknowledged what, and which rows may go.

use litemap::LiteMap;
use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{Did, Seq};

use super::ranges::Ranges;

/// Everything that is known of one user's inbox besides the rows themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    head: Seq,
    any: Ranges,
    /// Nearly always one or two.
    #[serde(deserialize_with = "devices")]
    devices: LiteMap<Did, Device>,
    /// Every row up to here is gone.
    floor: Seq,
}

/// One known device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Device {
    acks: Ranges,
    seen_ms: u64,
    /// Rows up to here were given up for it, and it may not have heard of that.
    resync: Option<Seq>,
}

/// Reads them one by one: the map itself would believe any length before its elements are there.
fn devices<'de, D: Deserializer<'de>>(from: D) -> Result<LiteMap<Did, Device>, D::Error> {
    let list = Vec::<(Did, Device)>::deserialize(from)?;
    Ok(list.into_iter().collect())
}

/// How a known device stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The device.
    pub did: &'a Did,
    /// Rows that it has not acknowledged.
    pub behind: u64,
    /// When it was last seen, Unix milliseconds.
    pub seen_ms: u64,
    /// Whether rows were given up for it, and it may not have heard of that.
    pub lagging: bool,
}

/// The bounds of an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Rows that no device has acknowledged, and rows that one device may hold back.
    pub max_messages: u64,
    /// Known devices.
    pub max_devices: usize,
    /// A device unseen for longer is forgotten, milliseconds.
    pub forget_ms: u64,
}

/// The inbox holds as many unacknowledged rows as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What taking in a row did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Its place.
    pub seq: Seq,
    /// Devices that hold back no rows any more, and have to be told.
    pub lagging: Vec<Did>,
    /// Rows that nobody waits for.
    pub gone: Ranges,
}

/// What an acknowledgement did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Rows that are new to this device: their senders get a receipt.
    pub fresh: Ranges,
    /// Rows that nobody waits for.
    pub gone: Ranges,
}

/// What the coming of a device did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Everything the device has acknowledged, or need not have.
    pub acks: Ranges,
    /// Whether rows were given up for it.
    pub resync: bool,
    /// Devices that had to make room.
    pub forgotten: Vec<Did>,
    /// Rows that nobody waits for.
    pub gone: Ranges,
}

impl Inbox {
    /// An empty inbox whose first row comes after `start`.
    pub fn after(start: Seq) -> Inbox {
        let mut inbox = Inbox {
            // Room for four comes with the second.
            devices: LiteMap::with_capacity(1),
            ..Inbox::default()
        };
        inbox.skip(start);
        inbox
    }

    /// Passes over the next `by` sequence numbers, for everyone: there will be no rows under them.
    pub fn skip(&mut self, by: Seq) {
        let first = self.head + 1;
        self.head = self.head.saturating_add(by);
        self.any.insert(first, self.head);
        for (_, device) in &mut self.devices {
            device.acks.insert(first, self.head);
        }
        self.raise_floor();
    }

    /// Takes in rows above the head, which an inbox that is older than its rows does not know; the numbers between them
    /// are passed over, for everyone.
    pub fn reach(&mut self, rows: &Ranges) {
        let Some(last) = rows.last().filter(|last| *last > self.head) else {
            return;
        };
        let passed = Ranges::span(self.head + 1, last).difference(rows);
        self.head = last;
        self.any.union(&passed);
        for (_, device) in &mut self.devices {
            device.acks.union(&passed);
        }
        self.raise_floor();
    }

    /// How the known devices stand.
    pub fn devices(&self) -> impl Iterator<Item = Standing<'_>> + '_ {
        self.devices.iter().map(|(did, device)| Standing {
            did,
            behind: self.head.saturating_sub(device.acks.len()),
            seen_ms: device.seen_ms,
            lagging: device.resync.is_some(),
        })
    }

    /// How many rows no device has acknowledged.
    pub fn waiting(&self) -> u64 {
        self.head.saturating_sub(self.any.len())
    }

    /// The last sequence number that was given out.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// How many rows some device has acknowledged, or everyone has passed.
    pub fn delivered(&self) -> u64 {
        self.any.len()
    }

    /// Whether some device has acknowledged the row.
    pub fn is_delivered(&self, seq: Seq) -> bool {
        self.any.contains(seq)
    }

    /// Whether no more rows are taken in.
    pub fn is_full(&self, bounds: &Bounds) -> bool {
        self.head - self.any.len() >= bounds.max_messages
    }

    /// Gives out the next sequence number, and gives up on devices that lag too far behind it.
    pub fn append(&mut self, bounds: &Bounds) -> Result<Appended, Full> {
        if self.is_full(bounds) {
            return Err(Full);
        }
        Ok(self.push(bounds))
    }

    /// The same in a full inbox: for what takes the place of a row, or of nothing that anybody could be told.
    pub fn push(&mut self, bounds: &Bounds) -> Appended {
        self.head += 1;
        let mut lagging = Vec::new();
        for (did, device) in &mut self.devices {
            if self.head - device.acks.len() > bounds.max_messages {
                device.acks = self.any.clone();
                device.resync = Some(self.head - 1);
                lagging.push(did.clone());
            }
        }
        let gone = match lagging.is_empty() {
            true => Ranges::new(),
            false => self.release(),
        };
        Appended {
            seq: self.head,
            lagging,
            gone,
        }
    }

    /// Gives out a number for something that the user did on one of their devices, and owes it to the others; none if there
    /// are no others.
    pub fn carry(&mut self, by: Option<&Did>, bounds: &Bounds) -> Option<Appended> {
        if !self.devices.iter().any(|(did, _)| Some(did) != by) {
            return None;
        }
        let mut appended = self.push(bounds);
        let seq = appended.seq;
        // It waits for nobody who is not known yet.
        self.any.insert(seq, seq);
        if let Some(device) = by.and_then(|did| self.devices.get_mut(did)) {
            device.acks.insert(seq, seq);
        }
        appended.gone.subtract(&Ranges::span(seq, seq));
        self.raise_floor();
        Some(appended)
    }

    /// A row had no room: the devices have to take the state from elsewhere. Who they are.
    pub fn overflow(&mut self) -> Vec<Did> {
        let head = self.head;
        let mut told = Vec::new();
        for (did, device) in &mut self.devices {
            device.resync = Some(head);
            told.push(did.clone());
        }
        told
    }

    /// Forgets a device; the rows that go with it, or none if it is not known.
    pub fn remove(&mut self, did: &Did) -> Option<Ranges> {
        self.devices.remove(did)?;
        Some(self.release())
    }

    /// Which of these rows the device still has to acknowledge; none if the device is not known.
    pub fn owed(&self, did: &Did, seqs: &Ranges) -> Option<Ranges> {
        let device = self.devices.get(did)?;
        Some(seqs.within(1, self.head).difference(&device.acks))
    }

    /// Takes a device's acknowledgement; none if the device is not known.
    pub fn ack(&mut self, did: &Did, seqs: &Ranges) -> Option<Acknowledged> {
        let fresh = self.owed(did, seqs)?;
        let device = self.devices.get_mut(did)?;
        device.acks.union(&fresh);
        // A row from after it was told shows that it goes on; an older one may have been on its way.
        if device.resync < fresh.last() {
            device.resync = None;
        }
        self.any.union(&fresh);
        let mut gone = fresh.clone();
        for other in self.devices.values() {
            gone = gone.intersection(&other.acks);
        }
        self.raise_floor();
        Some(Acknowledged { fresh, gone })
    }

    /// Makes a device known, or finds where it stands; the ones that are `online` are seen now.
    pub fn attach(&mut self, did: &Did, now: u64, bounds: &Bounds, online: &[Did]) -> Arrival {
        let mut arrival = Arrival::default();
        for did in online {
            self.seen(did, now);
        }
        if !self.devices.contains_key(did) {
            while self.devices.len() >= bounds.max_devices.max(1) {
                let Some(longest) = self.longest_unseen() else {
                    break;
                };
                self.devices.remove(&longest);
                arrival.forgotten.push(longest);
            }
            let device = Device {
                acks: self.any.clone(),
                ..Device::default()
            };
            self.devices.insert(did.clone(), device);
        }
        if let Some(device) = self.devices.get_mut(did) {
            device.seen_ms = now;
            arrival.acks = device.acks.clone();
            arrival.resync = device.resync.is_some();
        }
        if !arrival.forgotten.is_empty() {
            arrival.gone = self.release();
        }
        arrival
    }

    /// Notes that a device was here at `now`; false if it is not known.
    pub fn seen(&mut self, did: &Did, now: u64) -> bool {
        let Some(device) = self.devices.get_mut(did) else {
            return false;
        };
        device.seen_ms = device.seen_ms.max(now);
        true
    }

    /// Whether the device is known.
    pub fn knows(&self, did: &Did) -> bool {
        self.devices.contains_key(did)
    }

    /// Whether that device has the row, or has passed it.
    pub fn is_acked_by(&self, did: &Did, seq: Seq) -> bool {
        self.devices
            .get(did)
            .is_some_and(|device| device.acks.contains(seq))
    }

    /// Whether rows were given up for that device, which may not have heard of it.
    pub fn is_lagging(&self, did: &Did) -> bool {
        self.devices
            .get(did)
            .is_some_and(|device| device.resync.is_some())
    }

    /// Whether there is a device to forget.
    pub fn has_stale(&self, now: u64, bounds: &Bounds) -> bool {
        let mut devices = self.devices.values();
        devices.any(|device| device.is_stale(now, bounds))
    }

    /// Forgets devices that were unseen for too long: who they were, and the rows that go with them.
    pub fn forget(&mut self, now: u64, bounds: &Bounds) -> (Vec<Did>, Ranges) {
        let stale: Vec<Did> = self
            .devices
            .iter()
            .filter(|(_, device)| device.is_stale(now, bounds))
            .map(|(did, _)| did.clone())
            .collect();
        if stale.is_empty() {
            return (stale, Ranges::new());
        }
        self.devices.retain(|did, _| !stale.contains(did));
        let gone = self.release();
        (stale, gone)
    }

    /// Passes over a row that is too old, for everyone; false if some device had acknowledged it.
    pub fn expire(&mut self, seq: Seq) -> bool {
        let unread = !self.any.contains(seq);
        self.any.insert(seq, seq);
        for (_, device) in &mut self.devices {
            device.acks.insert(seq, seq);
        }
        self.raise_floor();
        unread
    }

    /// The rows that some device has acknowledged and every known device has passed.
    fn release(&mut self) -> Ranges {
        let mut gone = self.any.within(self.floor + 1, self.head);
        for device in self.devices.values() {
            gone = gone.intersection(&device.acks);
        }
        self.raise_floor();
        gone
    }

    fn raise_floor(&mut self) {
        let passed = self.devices.values().map(|device| device.acks.cursor());
        self.floor = passed.fold(self.any.cursor(), Seq::min).max(self.floor);
    }

    fn longest_unseen(&self) -> Option<Did> {
        self.devices
            .iter()
            .min_by_key(|(_, device)| device.seen_ms)
            .map(|(did, _)| did.clone())
    }
}

impl Device {
    fn is_stale(&self, now: u64, bounds: &Bounds) -> bool {
        self.seen_ms.saturating_add(bounds.forget_ms) <= now
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        max_messages: 10,
        max_devices: 2,
        forget_ms: 1000,
    };

    fn did(text: &str) -> Did {
        Did::parse(text).unwrap()
    }

    fn with_rows(n: u64) -> Inbox {
        let mut inbox = Inbox::default();
        for seq in 1..=n {
            assert_eq!(inbox.append(&BOUNDS).unwrap().seq, seq);
        }
        inbox
    }

    #[test]
    fn a_row_goes_when_one_device_has_it_and_every_known_device_has_passed_it() {
        let mut inbox = with_rows(3);
        inbox.attach(&did("phone"), 0, &BOUNDS, &[]);
        inbox.attach(&did("web"), 0, &BOUNDS, &[]);
        let by_phone = inbox.ack(&did("phone"), &Ranges::span(1, 2)).unwrap();
        assert_eq!(by_phone.fresh, Ranges::span(1, 2));
        assert!(by_phone.gone.is_empty());
        assert!(inbox.is_delivered(2));
        let by_web = inbox.ack(&did("web"), &Ranges::span(2, 3)).unwrap();
        assert_eq!(by_web.gone, Ranges::span(2, 2));
    }

    #[test]
    fn a_repeated_ack_is_not_fresh_and_one_beyond_the_end_is_cut() {
        let mut inbox = with_rows(2);
        inbox.attach(&did("phone"), 0, &BOUNDS, &[]);
        inbox.ack(&did("phone"), &Ranges::span(1, 1)).unwrap();
        let again = inbox.ack(&did("phone"), &Ranges::span(1, 9)).unwrap();
        assert_eq!(again.fresh, Ranges::span(2, 2));
        assert_eq!(inbox.append(&BOUNDS).unwrap().seq, 3);
        assert!(!inbox.is_delivered(3));
    }

    #[test]
    fn an_emptied_inbox_goes_on_counting() {
        let mut inbox = with_rows(2);
        inbox.attach(&did("phone"), 0, &BOUNDS, &[]);
        inbox.ack(&did("phone"), &Ranges::span(1, 2)).unwrap();
        assert_eq!(inbox.append(&BOUNDS).unwrap().seq, 3);
    }

    #[test]
    fn a_full_inbox_counts_rows_that_no_device_has() {
        let mut inbox = with_rows(10);
        assert_eq!(inbox.append(&BOUNDS), Err(Full));
        inbox.attach(&did("phone"), 0, &BOUNDS, &[]);
        inbox.ack(&did("phone"), &Ranges::span(4, 4)).unwrap();
        assert_eq!(inbox.append(&BOUNDS).unwrap().seq, 11);
    }

    #[test]
    fn a_new_device_skips_what_any_device_has() {
        let mut inbox = with_rows(5);
        inbox.attach(&did("phone"), 0, &BOUNDS, &[]);
        let mut acked = Ranges::span(1, 2);
        acked.insert(4, 4);
        inbox.ack(&did("phone"), &acked).unwrap();
        assert_eq!(inbox.attach(&did("web"), 0, &BOUNDS, &[]).acks, acked);
    }

    #[test]
    fn the_longest_unseen_device_makes_room_and_its_rows_go() {
        let mut inbox = with_rows(1);
        inbox.attach(&did("old"), 1, &BOUNDS, &[]);
        inbox.attach(&did("phone"), 2, &BOUNDS, &[]);
        inbox.ack(&did("phone"), &Ranges::span(1, 1)).unwrap();
        let arrival = inbox.attach(&did("new"), 3, &BOUNDS, &[]);
        assert_eq!(arrival.forgotten, [did("old")]);
        assert_eq!(arrival.gone, Ranges::span(1, 1));
        assert_eq!(inbox.ack(&did("old"), &Ranges::span(1, 1)), None);
    }

    #[test]
    fn a_device_that_is_online_is_seen_later_than_one_that_has_left() {
        let mut inbox = with_rows(0);
        inbox.attach(&did("online"), 1, &BOUNDS, &[]);
        inbox.attach(&did("gone"), 2, &BOUNDS, &[]);
        let arrival = inbox.attach(&did("new"), 3, &BOUNDS, &[did("online")]);
        assert_eq!(arrival.forgotten, [did("gone")]);
    }

    #[test]
    fn a_device_unseen_for_too_long_is_forgotten() {
        let mut inbox = with_rows(1);
        inbox.attach(&did("old"), 0, &BOUNDS, &[]);
        inbox.attach(&did("phone"), 500, &BOUNDS, &[]);
        inbox.ack(&did("phone"), &Ranges::span(1, 1)).unwrap();
        assert!(inbox.forget(999, &BOUNDS).0.is_empty());
        let (forgotten, gone) = inbox.forget(1000, &BOUNDS);
        assert_eq!(forgotten, [did("old")]);
        assert_eq!(gone, Ranges::span(1, 1));
    }

    #[test]
    fn a_device_that_lags_too_far_is_told_to_resync_and_holds_nothing_back() {
        let mut inbox = with_rows(1);
        inbox.attach(&did("slow"), 0, &BOUNDS, &[]);
        inbox.attach(&did("phone"), 0, &BOUNDS, &[]);
        let (mut gone, mut told) = (Ranges::new(), Vec::new());
        for seq in 1..=10 {
            inbox.ack(&did("phone"), &Ranges::span(seq, seq)).unwrap();
            let appended = inbox.append(&BOUNDS).unwrap();
            gone.union(&appended.gone);
            told.extend(appended.lagging);
        }
        assert_eq!(gone, Ranges::span(1, 10));
        assert_eq!(told, [did("slow")]);
        let arrival = inbox.attach(&did("slow"), 1, &BOUNDS, &[]);
        assert!(arrival.resync);
        assert_eq!(arrival.acks.cursor(), 10);
    }

    #[test]
    fn rows_above_an_older_head_are_owed_and_the_numbers_between_them_are_not() {
        let mut inbox = with_rows(1);
        inbox.attach(&did("phone"), 0, &BOUNDS, &[]);
        let mut rows = Ranges::span(3, 3);
        rows.insert(5, 6);
        inbox.reach(&rows);
        assert_eq!(inbox.head(), 6);
        assert!(!inbox.is_delivered(3) && !inbox.is_delivered(5) && !inbox.is_delivered(6));
        let owed = inbox.owed(&did("phone"), &Ranges::span(2, 6)).unwrap();
        assert_eq!(owed, rows);
        inbox.reach(&Ranges::span(2, 2));
        assert_eq!(inbox.head(), 6);
    }

    #[test]
    fn an_expired_row_is_passed_by_everyone() {
        let mut inbox = with_rows(2);
        inbox.attach(&did("phone"), 0, &BOUNDS, &[]);
        assert!(inbox.expire(1));
        assert!(!inbox.expire(1));
        let arrival = inbox.attach(&did("phone"), 1, &BOUNDS, &[]);
        assert_eq!(arrival.acks, Ranges::span(1, 1));
    }
}
