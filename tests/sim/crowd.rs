//! People who found groups, join and leave them, take messages back, block each other, and have several devices.

use fastrand::Rng;

use yizhan::id::{Cid, MsgId, Uid};
use yizhan::message::Op;
use yizhan::message::chat::Chat;
use yizhan::message::contact::ContactOrder;
use yizhan::message::group::{Joining, Order};

use crate::client::{AckForm, Client, Conditions};

/// What they do from the beginning.
#[derive(Default)]
pub struct Crowd {
    pub clients: Vec<Client>,
    pub orders: Vec<(u64, Op)>,
    /// Messages that their authors may change.
    pub thoughts: Vec<(usize, Chat, String, u64)>,
}

/// Members without any device come after these.
pub const FILLERS: u64 = 100;

pub fn gather(
    rng: &mut Rng,
    begun: u64,
    faults_ms: u64,
    text: bool,
    conditions: Conditions,
) -> Crowd {
    let mut crowd = Crowd::default();
    let mut forms = vec![AckForm::Seqs, AckForm::UpTo];
    if text {
        forms.push(AckForm::Text);
    }
    let users = rng.u64(2..5);
    for uid in 1..=users {
        for device in 0..rng.u64(1..3) {
            let form = forms[rng.usize(..forms.len())];
            let mut client = Client::new(Uid(uid), &format!("u{uid}d{device}"), form, conditions);
            if rng.u8(..4) == 0 {
                client.away_until = begun + rng.u64(..faults_ms);
            }
            crowd.clients.push(client);
        }
    }
    let when = |rng: &mut Rng| begun + rng.u64(..faults_ms + 60);
    for n in 0..rng.usize(1..8) {
        let who = rng.usize(..crowd.clients.len());
        let to = Chat::User(Uid(rng.u64(1..=users)));
        let (at, id) = (when(rng), format!("m{n}-{who}"));
        let lives = (rng.u8(..6) == 0).then(|| at + rng.u64(30..400));
        crowd.clients[who].will_say(&id, to, at, lives);
        crowd.thoughts.push((who, to, id, at));
    }
    for who in 0..crowd.clients.len() {
        if rng.bool() {
            let (to, up_to, at) = (
                Chat::User(Uid(rng.u64(1..=users))),
                rng.u64(1..6),
                when(rng),
            );
            crowd.clients[who].will_mark(to, up_to, at);
        }
    }
    for n in 0..rng.u64(1..3) {
        let by = Uid(rng.u64(1..=users));
        let fillers = match rng.u8(..40) {
            0..20 => 0,
            20..30 => rng.u64(1..8),
            30..39 => rng.u64(60..90),
            _ => rng.u64(250..300),
        };
        let mut members: Vec<Uid> = (1..=users).map(Uid).filter(|_| rng.u8(..4) > 0).collect();
        members.retain(|uid| *uid != by);
        members.extend((0..fillers).map(|n| Uid(FILLERS + n)));
        let order = Order::Create {
            id: MsgId::parse(&format!("found{n}")).unwrap(),
            name: "group".into(),
            members,
            joining: [Joining::Invited, Joining::Open][rng.usize(..2)],
        };
        let gid = Cid(0);
        crowd
            .orders
            .push((rng.u64(..80), Op::Group { by, gid, order }));
    }
    if rng.u8(..3) == 0 {
        let (uid, other) = (Uid(rng.u64(1..=users)), Uid(rng.u64(1..=users)));
        if uid != other {
            let at = rng.u64(..faults_ms);
            let order = ContactOrder::Block;
            crowd.orders.push((at, Op::Contact { uid, other, order }));
            if rng.bool() {
                let order = ContactOrder::Unblock;
                let at = at + rng.u64(..300);
                crowd.orders.push((at, Op::Contact { uid, other, order }));
            }
        }
    }
    if rng.u8(..5) == 0 {
        let (by, chat) = (Uid(rng.u64(1..=users)), Chat::User(Uid(rng.u64(1..=users))));
        let expire_ms = rng.u64(50..500);
        let op = Op::SetExpiry {
            by,
            chat,
            expire_ms,
        };
        crowd.orders.push((rng.u64(..faults_ms), op));
    }
    crowd
}
