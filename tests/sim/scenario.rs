//! What a seed is about: who is there, within which bounds, and what goes wrong. Every sort of trouble is in some seeds
//! and not in the others, so that each meets the rest alone and in company.

use fastrand::Rng;

use yizhan::actor::mailroom;
use yizhan::id::Uid;
use yizhan::machine::device::Rules;
use yizhan::machine::inbox::Bounds;
use yizhan::machine::schedule::Schedule;
use yizhan::message::Op;
use yizhan::message::chat::Chat;
use yizhan::store::ledger::{People, Policy};

use crate::client::{AckForm, Client, Conditions};
use crate::crowd::{Crowd, gather};
use crate::world::CALM_MS;

/// How long the network and the machine misbehave at least, milliseconds. Days are as short as that here: nothing in the
/// rules depends on the length of one.
const FAULTS_MS: u64 = 600;
/// Never, as a span.
const NEVER: u64 = 1 << 40;

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// One reader, and who writes to them.
    Inbox,
    /// People who talk to each other, and in groups.
    Crowd,
}

impl Family {
    /// Whether that can happen in it.
    pub fn has(self, what: &str) -> bool {
        let of_crowds = [
            "to_groups",
            "group_rows",
            "notices",
            "edits",
            "revoked",
            "revoke_rows",
            "over",
            "orders",
            "groups",
            "unwanted",
            "marks",
            "counted",
        ];
        match self {
            Family::Inbox => !of_crowds.contains(&what),
            Family::Crowd => !what.starts_with("signals"),
        }
    }
}

pub struct Scenario {
    pub family: Family,
    pub batch_max: usize,
    /// What people order, and when.
    pub orders: Vec<(u64, Op)>,
    /// Messages that their authors may change.
    pub thoughts: Vec<(usize, Chat, String, u64)>,
    pub clients: Vec<Client>,
    pub rules: Rules,
    pub policy: Policy,
    pub schedule: Schedule,
    pub letters: mailroom::Bounds,
    /// Requests that may wait in a device's mailbox, for the committer, and for the readers.
    pub mailbox: usize,
    pub commits: usize,
    pub reads: usize,
    pub sweep_every: u64,
    /// How long a token is good.
    pub token_ms: u64,
    pub faults_ms: u64,
    /// In percent of the frames.
    pub loss: u8,
    pub doubling: u8,
    /// Whether what is lost ends its connection.
    pub loss_cuts: bool,
    /// In percent of the ticks of a client.
    pub jams: u8,
    pub nights: u8,
    /// How long an absence or a downtime may be.
    pub night_ms: u64,
    /// When the server dies, when one device process does, and when the engine is told to fail.
    pub kills: Vec<u64>,
    pub crashes: Vec<u64>,
    pub store_faults: Vec<u64>,
}

impl Scenario {
    /// Whether people talk in groups.
    pub fn is_crowded(&self) -> bool {
        self.family == Family::Crowd
    }

    pub fn draw(rng: &mut Rng, begun: u64, family: Family) -> Scenario {
        let crowded = family == Family::Crowd;
        let often = |rng: &mut Rng, one_in: u32| rng.u32(..one_in) == 0;
        let loss = [0, 0, 15, 40][rng.usize(..4)];
        let doubling = [0, 0, 20][rng.usize(..3)];
        // What tells of a message has its id.
        let shared_ids = crowded || rng.bool();
        let ttl_ms = match often(rng, if crowded { 12 } else { 4 }) {
            true => rng.u64(120..900),
            false => NEVER,
        };
        // A text acknowledgement does not say which message it is for. Where an id may be met twice, from two senders or
        // anew after it was forgotten, it relies on what a connection is: nothing on it is doubled, and what it loses
        // ends it.
        let unique_ids = !shared_ids && ttl_ms == NEVER;
        let text = doubling == 0 || unique_ids;
        let loss_cuts = doubling == 0 && !unique_ids;
        let forget_ms = match often(rng, if crowded { 12 } else { 4 }) {
            true => rng.u64(150..700),
            false => NEVER,
        };
        let night_ms = 2 * [ttl_ms, forget_ms, 300].into_iter().min().unwrap_or(300);
        let lives_long = ttl_ms == NEVER && forget_ms == NEVER;
        let faults_ms = match lives_long {
            true => FAULTS_MS,
            false => FAULTS_MS + rng.u64(..2 * night_ms),
        };
        let bounds = Bounds {
            max_messages: if often(rng, if crowded { 6 } else { 3 }) {
                rng.u64(1..7)
            } else {
                10_000
            },
            max_devices: if often(rng, if crowded { 12 } else { 5 }) {
                rng.usize(1..3)
            } else {
                10
            },
            forget_ms,
        };
        let small = |rng: &mut Rng, one_in, most: usize, otherwise| match often(rng, one_in) {
            true => rng.usize(1..=most),
            false => otherwise,
        };
        let default = mailroom::Bounds::default();
        let letters = match often(rng, 3) {
            true => mailroom::Bounds {
                rows: rng.usize(1..4),
                receipts: rng.usize(1..3),
                signals: 1,
                bytes: 1 << 20,
            },
            false => default,
        };
        let times = |rng: &mut Rng, most: usize| -> Vec<u64> {
            let count = rng.usize(..=most);
            (0..count).map(|_| rng.u64(20..faults_ms)).collect()
        };
        let stormy = often(rng, 3);
        let conditions = Conditions {
            reliable: loss == 0 || loss_cuts,
            dedupe_ms: 2 * ttl_ms,
        };
        let (mut clients, mut crowd) = (Vec::new(), Crowd::default());
        match family {
            Family::Inbox => {
                clients = people(rng, begun, faults_ms, text, shared_ids, conditions);
            }
            Family::Crowd => {
                crowd = gather(rng, begun, faults_ms, text, conditions);
                clients.append(&mut crowd.clients);
            }
        }
        Scenario {
            family,
            batch_max: match crowded {
                true => [48, 170, 256][rng.usize(..3)],
                false => 256,
            },
            orders: crowd.orders,
            thoughts: crowd.thoughts,
            rules: Rules {
                deliver_window: rng.usize(1..5),
                send_window: [1, 2, 4, 4][rng.usize(..4)],
                page_bytes: [600, 4096][rng.usize(..2)],
                token_notice_ms: 30,
                read_retry_ms: 20,
                retry_ms: 10,
                seen_every_ms: (forget_ms / 4).max(1),
                write_deadline_ms: u64::MAX,
                silence_ms: u64::MAX,
                ttl_ms,
            },
            policy: Policy {
                bounds,
                ttl_ms,
                people: People::DEFAULT,
            },
            schedule: Schedule::from_gaps(if often(rng, 10) {
                &[0]
            } else {
                &[0, 30, 30, 60]
            }),
            letters,
            mailbox: small(rng, 3, 3, 64),
            commits: small(rng, 4, 5, 65_536),
            reads: small(rng, 4, 1, 65_536),
            sweep_every: if lives_long { 200 } else { 40 },
            token_ms: if often(rng, 6) {
                rng.u64(80..400)
            } else {
                NEVER
            },
            faults_ms,
            loss,
            doubling,
            loss_cuts,
            jams: if often(rng, 4) { 4 } else { 0 },
            nights: if often(rng, 2) { 2 } else { 0 },
            night_ms,
            kills: times(rng, 3),
            crashes: if often(rng, 5) {
                times(rng, 3)
            } else {
                Vec::new()
            },
            store_faults: if stormy { times(rng, 5) } else { Vec::new() },
            clients,
        }
    }
}

/// User 1 with a phone and perhaps a web page, user 2 who may use the same ids, and their reader, user 3, with one to
/// three devices, the third of which comes late.
fn people(
    rng: &mut Rng,
    begun: u64,
    faults_ms: u64,
    text: bool,
    shared_ids: bool,
    conditions: Conditions,
) -> Vec<Client> {
    let mut forms = vec![AckForm::Seqs, AckForm::UpTo];
    if text {
        forms.extend([AckForm::Text, AckForm::Text]);
    }
    let client = |rng: &mut Rng, uid, did| {
        let form = forms[rng.usize(..forms.len())];
        Client::new(Uid(uid), did, form, conditions)
    };
    let mut clients = vec![
        client(rng, 1, "a"),
        client(rng, 2, "c"),
        client(rng, 3, "phone"),
    ];
    if rng.bool() {
        clients.push(client(rng, 3, "web"));
    }
    if rng.u8(..3) == 0 {
        let mut late = client(rng, 3, "tablet");
        late.away_until = begun + rng.u64(faults_ms / 4..faults_ms);
        clients.push(late);
    }
    if rng.u8(..4) == 0 {
        clients.push(client(rng, 1, "a-web"));
    }
    if rng.u8(..12) == 0 {
        // Some of these keep silent until they have been connected for long without any trouble.
        clients[2].silent_until = begun + rng.u64(..faults_ms + CALM_MS);
    }
    // Some are written while everybody logs in for the last time: nothing later would make up for what that misses.
    let when = |rng: &mut Rng| begun + rng.u64(..faults_ms + 80);
    for n in 0..rng.usize(1..7) {
        let at = when(rng);
        clients[0].will_send(&format!("m{n}"), Uid(3), at);
        let other = if shared_ids { "m" } else { "c" };
        let at = when(rng);
        clients[1].will_send(&format!("{other}{n}"), Uid(3), at);
    }
    if rng.bool() {
        for (id, to) in [("back", Uid(1)), ("self", Uid(3))] {
            let at = when(rng);
            clients[2].will_send(id, to, at);
        }
    }
    if rng.u8(..3) == 0 {
        for n in 0..rng.usize(1..5) {
            // A signal may bear the id of a message, where a connection is what it should be.
            let id = match shared_ids && text {
                true => format!("m{n}"),
                false => format!("s{n}"),
            };
            let (from, to) = [(0, 3), (1, 3), (2, 1), (2, 3)][rng.usize(..4)];
            let prefix = if shared_ids && text {
                String::new()
            } else {
                format!("{from}")
            };
            let at = begun + rng.u64(..faults_ms);
            clients[from].will_call(&format!("{prefix}{id}"), Uid(to), at);
        }
    }
    clients
}
