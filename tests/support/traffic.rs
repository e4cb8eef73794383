use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
};

use fastrand::Rng;
use tokio::sync::watch;

use super::{
    Client, Frame, Heard, User,
    client::{c2c, text_payload},
};

/// Messages, each by (from, id).
pub type Messages = BTreeSet<(String, String)>;

/// Counts what all clients of a test hear, so that something can happen after so much of it.
pub struct Pulse(watch::Sender<u64>);

/// How a device's stretch of work ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// It did what it was to do.
    Done,
    /// The connection ended, with this close code if there was one.
    Closed(Option<u16>),
}

/// A sender who numbers their messages and keeps them in order: after a new login the unaccepted ones go out again first,
/// under the same ids. It holds the server to what it was told.
pub struct Sender {
    user: User,
    to: User,
    made: u64,
    unaccepted: VecDeque<u64>,
    /// The `server_ts` of each accepted message.
    accepted: BTreeMap<u64, u64>,
    /// The devices whose receipt came, for each message.
    delivered: BTreeMap<u64, BTreeSet<String>>,
    /// Delivered, and STATUS has said so.
    settled: BTreeSet<u64>,
}

/// A reader who acks in every form, late and early, and holds the server to the guarantees of its inbox.
pub struct Reader {
    user: User,
    did: String,
    rng: Rng,
    /// The seq of each message, by (from, id).
    rows: BTreeMap<(String, String), u64>,
    by_seq: BTreeMap<u64, (String, String)>,
    /// The number of the last message first received from each sender.
    last: BTreeMap<String, u64>,
    /// Acked, perhaps without effect.
    tried: BTreeSet<u64>,
    /// Acked, and the server said so.
    confirmed: BTreeSet<u64>,
}

impl Pulse {
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub fn beat(&self) {
        self.0.send_modify(|beats| *beats += 1);
    }

    /// Waits for this many more.
    pub async fn after(&self, more: u64) {
        let mut beats = self.0.subscribe();
        let until = *beats.borrow() + more;
        beats.wait_for(|&beats| beats >= until).await.unwrap();
    }
}

impl Sender {
    pub fn new(uid: u64, to: u64) -> Self {
        Self {
            user: User::new(uid),
            to: User::new(to),
            made: 0,
            unaccepted: VecDeque::new(),
            accepted: BTreeMap::new(),
            delivered: BTreeMap::new(),
            settled: BTreeSet::new(),
        }
    }

    pub fn accepted_count(&self) -> usize {
        self.accepted.len()
    }

    pub fn accepted(&self) -> Messages {
        self.accepted
            .keys()
            .map(|&number| (self.user.name.clone(), self.id(number)))
            .collect()
    }

    /// Sends with at most `window` unaccepted at a time, until `total` are accepted or the connection ends.
    pub async fn stream(
        &mut self,
        listener: SocketAddr,
        window: usize,
        total: u64,
        pulse: &Pulse,
    ) -> End {
        let Some(mut client) = self.login(listener).await else {
            return End::Closed(None);
        };
        let mut again = self.unaccepted.clone();
        let mut outstanding = 0;
        loop {
            while outstanding < window {
                let number = match again.pop_front() {
                    Some(number) => number,
                    None if self.made < total => self.make(),
                    None => break,
                };
                if !client.try_send(self.message(number)).await {
                    return End::Closed(client.closed().await);
                }
                outstanding += 1;
            }
            if outstanding == 0 {
                client.vanish();
                return End::Done;
            }
            match client.next().await {
                Heard::Frame(frame) if frame.is("C2C_SERVER_ACK") => {
                    self.accept(&frame);
                    outstanding -= 1;
                }
                Heard::Frame(frame) if frame.is("C2C_DELIVERED") => self.deliver(&frame),
                // Draining: what is refused now goes out after the next login, and order asks that nothing follows it.
                Heard::Frame(frame) if frame.is("ERROR") && frame.num("code") == 503 => {
                    return End::Closed(client.closed().await);
                }
                Heard::Frame(frame) => panic!("a sender hears {frame:?}"),
                Heard::Pong => {}
                Heard::Closed(code) => return End::Closed(code),
            }
            pulse.beat();
        }
    }

    /// Sends again what the server has not accepted, and nothing new.
    pub async fn finish(&mut self, listener: SocketAddr, pulse: &Pulse) -> End {
        self.stream(listener, 16, self.made, pulse).await
    }

    /// Asks STATUS while the reader is away, of everything not yet seen delivered and of some that was, and holds the
    /// answers to what the sender and the reader's devices know. None if the connection ends first.
    pub async fn check_status(
        &mut self,
        listener: SocketAddr,
        devices: &[Reader],
        rng: &mut Rng,
    ) -> Option<()> {
        let mut client = self.login(listener).await?;
        let numbers: Vec<_> = (1..=self.made)
            .filter(|number| !self.settled.contains(number) || rng.u32(..50) == 0)
            .collect();
        for chunk in numbers.chunks(50) {
            let of: Vec<_> = chunk
                .iter()
                .map(|&number| (self.to.name.clone(), self.id(number)))
                .collect();
            let states = client.try_status(&of).await?;
            for (&number, state) in chunk.iter().zip(states) {
                let message = (self.user.name.clone(), self.id(number));
                let seq = devices.iter().find_map(|device| device.rows.get(&message));
                let acked = |in_set: fn(&Reader) -> &BTreeSet<u64>| {
                    seq.is_some_and(|seq| devices.iter().any(|device| in_set(device).contains(seq)))
                };
                let (tried, confirmed) = (
                    acked(|device| &device.tried),
                    acked(|device| &device.confirmed),
                );
                let possible: &[&str] = if confirmed || self.delivered.contains_key(&number) {
                    &["delivered"]
                } else if tried {
                    &["accepted", "delivered"]
                } else if seq.is_some() || self.accepted.contains_key(&number) {
                    &["accepted"]
                } else {
                    &["unknown", "accepted"]
                };
                assert!(
                    possible.contains(&state.as_str()),
                    "{} is said to be {state}, and can only be {possible:?}",
                    self.id(number)
                );
                if state == "delivered" {
                    self.settled.insert(number);
                }
            }
        }
        client.vanish();
        Some(())
    }

    /// Sends some accepted messages again: each gets the answer it got before. That no second row is made the reader sees.
    pub async fn repeat_some(
        &mut self,
        listener: SocketAddr,
        count: usize,
        rng: &mut Rng,
    ) -> Option<()> {
        let mut client = self.login(listener).await?;
        let accepted: Vec<_> = self.accepted.keys().copied().collect();
        for _ in 0..count {
            let Some(number) = rng.choice(&accepted).copied() else {
                break;
            };
            let id = self.id(number);
            if !client.try_send(self.message(number)).await {
                return None;
            }
            let again = client
                .hear(|frame| frame.is("C2C_SERVER_ACK") && frame.is_about(&id))
                .await?;
            self.accept(&again);
            if self.delivered.contains_key(&number) {
                client
                    .hear(|frame| frame.is("C2C_DELIVERED") && frame.is_about(&id))
                    .await?;
            }
        }
        client.vanish();
        Some(())
    }

    async fn login(&self, listener: SocketAddr) -> Option<Client> {
        Client::try_login(listener, &self.user, "writing").await
    }

    fn make(&mut self) -> u64 {
        self.made += 1;
        self.unaccepted.push_back(self.made);
        self.made
    }

    fn message(&self, number: u64) -> String {
        let id = self.id(number);
        c2c(&id, &self.to.name, &payload(&id, number))
    }

    fn id(&self, number: u64) -> String {
        format!("u{}-{number}", self.user.uid)
    }

    fn accept(&mut self, frame: &Frame) {
        let number = number(&frame.id());
        let server_ts = frame.num("server_ts");
        let before = *self.accepted.entry(number).or_insert(server_ts);
        assert_eq!(
            before, server_ts,
            "another server_ts for a message accepted before: {frame:?}"
        );
        self.unaccepted.retain(|&waiting| waiting != number);
    }

    fn deliver(&mut self, frame: &Frame) {
        let devices = self.delivered.entry(number(&frame.id())).or_default();
        if frame.has("did") {
            assert!(devices.insert(frame.str("did")), "told twice: {frame:?}");
        }
    }
}

impl Reader {
    pub fn new(uid: u64, did: &str, rng: Rng) -> Self {
        Self {
            user: User::new(uid),
            did: did.to_owned(),
            rng,
            rows: BTreeMap::new(),
            by_seq: BTreeMap::new(),
            last: BTreeMap::new(),
            tried: BTreeSet::new(),
            confirmed: BTreeSet::new(),
        }
    }

    pub async fn login(&self, listener: SocketAddr) -> Option<Client> {
        Client::try_login(listener, &self.user, &self.did).await
    }

    pub fn has(&self, messages: &Messages) -> bool {
        messages
            .iter()
            .all(|message| self.rows.contains_key(message))
    }

    pub fn received_count(&self) -> usize {
        self.rows.len()
    }

    /// Receives and acks until `enough`, which is asked before every frame, or the end of the connection.
    pub async fn read(
        &mut self,
        client: &mut Client,
        pulse: &Pulse,
        mut enough: impl FnMut(&Self) -> bool,
    ) -> End {
        let mut here = BTreeSet::new();
        let mut unacked = Vec::new();
        while !enough(self) {
            let frame = match client.next().await {
                Heard::Frame(frame) => frame,
                Heard::Pong => continue,
                Heard::Closed(code) => return End::Closed(code),
            };
            pulse.beat();
            if frame.is("C2C") {
                let seq = self.receive(&frame);
                let highest = here.last().copied().unwrap_or(0);
                let again = !here.insert(seq);
                assert!(
                    again || seq > highest,
                    "{seq} came after {highest} on one connection: {frame:?}"
                );
                unacked.push(seq);
                // Some wait for the next, so that acks of several at once are seen.
                if self.rng.u8(..) < 150 && !self.ack(client, &mut unacked).await {
                    return End::Closed(client.closed().await);
                }
            } else if frame.is("CLIENT_ACK_OK") {
                self.confirm(&frame);
            } else {
                panic!("a reader hears {frame:?}");
            }
        }
        End::Done
    }

    /// Receives and acks until these are here. None if the connection ends first.
    pub async fn drain(
        &mut self,
        client: &mut Client,
        messages: &Messages,
        pulse: &Pulse,
    ) -> Option<()> {
        match self
            .read(client, pulse, |reader| reader.has(messages))
            .await
        {
            End::Done => Some(()),
            End::Closed(_) => None,
        }
    }

    /// Pages through what is unacked and acks it, until there is nothing more; then these must be here.
    pub async fn finish(&mut self, listener: SocketAddr, messages: &Messages) {
        let mut client = self.login(listener).await.expect("the server is there");
        loop {
            let page = client.sync(0, 100).await.frames("messages");
            self.receive_all(client.take_aside());
            self.receive_all(page.clone());
            if page.is_empty() {
                break;
            }
            let seqs: Vec<_> = page.iter().map(Frame::seq).collect();
            self.tried.extend(&seqs);
            client.ack_seqs(&seqs).await;
            assert_eq!(client.ack_ok_numbers().await.nums("seqs"), seqs);
            self.receive_all(client.take_aside());
            self.confirmed.extend(&seqs);
        }
        assert!(self.has(messages), "an accepted message never came");
        client.leave().await;
    }

    /// Holds that nothing waits for this device any more.
    pub async fn assert_nothing_waits(&self, listener: SocketAddr) {
        let mut client = self.login(listener).await.expect("the server is there");
        assert_eq!(client.waiting(), 0);
        client.heard_nothing_else().await;
        client.leave().await;
    }

    /// Holds that the inbox numbered exactly what was received: a second row for a message would have taken a number.
    pub fn assert_gapless(&self) {
        let seqs: Vec<_> = self.by_seq.keys().copied().collect();
        let expected: Vec<_> = (1..=seqs.len() as u64).collect();
        assert_eq!(seqs, expected, "a number is missing");
    }

    fn receive_all(&mut self, frames: Vec<Frame>) {
        for frame in frames.iter().filter(|frame| frame.is("C2C")) {
            self.receive(frame);
        }
    }

    /// Takes a message into the books, whichever way it came, and gives its number.
    fn receive(&mut self, frame: &Frame) -> u64 {
        let (from, id, seq) = (frame.str("from"), frame.id(), frame.seq());
        assert!(
            !self.confirmed.contains(&seq),
            "its ack was confirmed and it came back: {frame:?}"
        );
        let message = (from.clone(), id.clone());
        if let Some(&row) = self.rows.get(&message) {
            assert_eq!(row, seq, "a second row for one message: {frame:?}");
            return seq;
        }
        let number = number(&id);
        assert_eq!(
            frame.raw("payload"),
            payload(&id, number),
            "not what was sent"
        );
        let before = self.last.insert(from, number).unwrap_or(0);
        assert!(
            number > before,
            "{number} first came after {before}: {frame:?}"
        );
        let other = self.by_seq.insert(seq, message.clone());
        assert_eq!(other, None, "one number for two messages: {frame:?}");
        self.rows.insert(message, seq);
        seq
    }

    async fn ack(&mut self, client: &mut Client, unacked: &mut Vec<u64>) -> bool {
        let seqs = std::mem::take(unacked);
        self.tried.extend(&seqs);
        let highest = seqs.iter().copied().max().unwrap_or(0);
        match self.rng.u8(..3) {
            0 => {
                for seq in seqs {
                    let ack = format!("CLIENT_ACK,C2C,{},{}", self.by_seq[&seq].1, self.did);
                    if !client.try_send(ack).await {
                        return false;
                    }
                }
                true
            }
            1 => {
                client
                    .try_send(format!(r#"{{"type":"CLIENT_ACK","seqs":{seqs:?}}}"#))
                    .await
            }
            _ => {
                client
                    .try_send(format!(r#"{{"type":"CLIENT_ACK","up_to":{highest}}}"#))
                    .await
            }
        }
    }

    /// Takes an ack's ack into the books. It may answer an ack that was sent on the connection before.
    fn confirm(&mut self, frame: &Frame) {
        let covered: Vec<u64> = if frame.has("seqs") {
            frame.nums("seqs")
        } else if frame.has("up_to") {
            self.tried.range(..=frame.num("up_to")).copied().collect()
        } else {
            let id = frame.id();
            let row = self
                .tried
                .iter()
                .rev()
                .copied()
                .find(|seq| self.by_seq[seq].1 == id);
            vec![row.unwrap_or_else(|| panic!("confirmed, and never acked: {frame:?}"))]
        };
        for seq in covered {
            assert!(
                self.tried.contains(&seq),
                "confirmed, and never acked: {frame:?}"
            );
            self.confirmed.insert(seq);
        }
    }
}

/// The number inside an id.
fn number(id: &str) -> u64 {
    id.rsplit('-')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap()
}

/// A payload that can be known from the id alone, of changing length.
fn payload(id: &str, number: u64) -> String {
    let padding = "x".repeat((number * 37 % 300) as usize);
    text_payload(&format!("{id} {padding}"))
}
