//! What people order beside their connections, as over HTTP: asked again until it is answered, however often it was done.

use yizhan::id::{Cid, MsgId, Uid};
use yizhan::machine::device::Ticket;
use yizhan::message::chat::Chat;
use yizhan::message::group::{Joining, Order};
use yizhan::message::{Answer, Op, Refusal};

use crate::world::{Step, World};

/// Askers from this number on are orders and no processes.
pub const ORDERS: u64 = 1 << 60;
/// How long an order waits for its answer before it is given again, milliseconds.
const PATIENCE: u64 = 70;

/// An order, and when its answer came.
pub struct Ordered {
    pub op: Op,
    pub done: bool,
}

impl World {
    pub fn order(&mut self, op: Op, after: u64) {
        let number = self.orders.len();
        self.orders.push(Ordered { op, done: false });
        self.after(after, Step::Order(number));
    }

    pub fn give_order(&mut self, number: usize) {
        if self.orders[number].done {
            return;
        }
        let ms = PATIENCE + self.rng.u64(..30);
        self.after(ms, Step::Order(number));
        let op = self.orders[number].op.clone();
        let draining = self.draining;
        let Some(server) = self.server.as_mut().filter(|_| !draining) else {
            return;
        };
        let asker = ORDERS + number as u64;
        server.requests.push_back((asker, Ticket::Seen, op));
        if !std::mem::replace(&mut server.committing, true) {
            self.soon(Step::Commit);
        }
    }

    /// The answer to an order.
    pub fn ordered(&mut self, number: usize, answer: &Answer) {
        if matches!(answer, Answer::Refused(Refusal::Storage)) {
            return;
        }
        if self.trace {
            println!("       order {number} is answered {answer:?}");
        }
        if std::mem::replace(&mut self.orders[number].done, true) {
            return;
        }
        self.ran.orders += 1;
        if let (
            Op::Group {
                by,
                order: Order::Create { members, .. },
                ..
            },
            Answer::Group(view),
        ) = (&self.orders[number].op, answer)
        {
            let (by, members) = (*by, members.clone());
            self.ran.groups += 1;
            self.live_in(by, view.gid, &members);
        }
    }

    /// People do something in a group, now that there is one.
    fn live_in(&mut self, owner: Uid, gid: Cid, members: &[Uid]) {
        let end = self.begun + self.scenario.faults_ms + 60;
        let until = end.saturating_sub(self.now).max(80);
        let group = Chat::Group(gid);
        let clients = self.clients.len();
        for n in 0..self.rng.u32(2..12) {
            let who = self.rng.usize(..clients);
            let at = self.now + self.rng.u64(..until);
            let id = format!("g{}-{n}-{who}", gid.0);
            let lives = self.chance(15).then(|| self.rng.u64(30..400));
            self.clients[who].will_say(&id, group, at, lives.map(|ms| at + ms));
            self.may_change(who, group, &id, at);
        }
        let readers: Vec<Uid> = self.clients.iter().map(|client| client.uid).collect();
        for n in 0..self.rng.u32(..6) {
            let whom = match members.is_empty() || self.chance(70) {
                true => readers[self.rng.usize(..readers.len())],
                false => members[self.rng.usize(..members.len())],
            };
            let (by, order) = match self.rng.u8(..10) {
                0..3 => (owner, Order::Remove(whom)),
                3..6 => (owner, Order::Invite(vec![whom, Uid(900 + u64::from(n))])),
                6 => (whom, Order::Leave),
                7 => (whom, Order::Join),
                8 => (
                    owner,
                    Order::Update {
                        name: Some(format!("name {n}").into()),
                        joining: Some(Joining::Open),
                        muted: None,
                    },
                ),
                _ => (
                    whom,
                    Order::Invite(vec![readers[self.rng.usize(..readers.len())]]),
                ),
            };
            if order == Order::Leave && by == owner {
                continue;
            }
            let after = self.rng.u64(..until);
            self.order(Op::Group { by, gid, order }, after);
        }
        if self.chance(25) {
            let after = self.rng.u64(..until);
            let expire_ms = self.rng.u64(40..500);
            self.order(
                Op::SetExpiry {
                    by: owner,
                    chat: group,
                    expire_ms,
                },
                after,
            );
        }
        for who in 0..clients {
            if self.chance(60) {
                let at = self.now + self.rng.u64(..until);
                let up_to = self.rng.u64(1..8);
                self.clients[who].will_mark(group, up_to, at);
            }
        }
    }

    /// The author of a message may think better of it.
    pub fn may_change(&mut self, who: usize, chat: Chat, id: &str, at: u64) {
        let id = MsgId::parse(id).unwrap();
        for n in 0..2 {
            if self.chance(25) {
                let at = at + self.rng.u64(..150);
                self.clients[who].will_edit(chat, &id, n, at);
            }
        }
        if self.chance(40) {
            let at = at + self.rng.u64(..250);
            self.clients[who].will_revoke(chat, &id, at);
        }
    }
}
