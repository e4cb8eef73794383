//! What clients do: they come, go, stay away, and send what is due.

use yizhan::id::{MsgId, Uid};
use yizhan::message::chat::{Chat, Side};
use yizhan::message::{Command, Query};

use crate::client::Heard;
use crate::network::{Conn, Up};
use crate::server::Mail;
use crate::world::{Phase, Step, World};

impl World {
    pub fn client_tick(&mut self, who: usize) {
        if self.phase == Phase::Leaving {
            return;
        }
        // When nothing goes wrong there is less to look for.
        let next = match self.phase {
            Phase::Faults => self.rng.u64(3..30),
            _ => self.rng.u64(15..75),
        };
        self.after(next, Step::ClientTick(who));
        let faults = self.phase == Phase::Faults;
        if self.clients[who].conn.is_none() {
            if self.now >= self.clients[who].away_until && (!faults || self.chance(60)) {
                self.connect(who);
            }
            return;
        }
        if !self.clients[who].open {
            // A login that does not get through is given up.
            if self.chance(3) {
                self.leave(who);
            }
            return;
        }
        if faults && self.chance(self.scenario.nights) {
            self.ran.nights += 1;
            let night = self.rng.u64(..self.scenario.night_ms);
            self.clients[who].away_until = self.now + night;
            return self.leave(who);
        }
        let restless = match self.phase {
            Phase::Faults => 6,
            Phase::Calm => 0,
            _ => 1,
        };
        if self.chance(restless) {
            self.leave(who);
            if self.chance(50) {
                self.connect(who);
            }
            return;
        }
        if faults && self.chance(4) {
            // Comes again while the server still takes the old connection for good.
            self.ran.replaced += 1;
            return self.connect(who);
        }
        if faults && self.chance(self.scenario.jams) {
            self.jam(who);
        }
        let repeat = self.rng.bool();
        let mut commands = self.clients[who].due(self.now, repeat);
        if self.chance(10) {
            let after = self.rng.u64(..4);
            commands.push(Command::Sync { after, limit: 3 });
        }
        if self.scenario.is_crowded() && self.chance(8) {
            commands.push(self.question(who));
        }
        self.ask(who, commands);
    }

    /// Something to be looked up.
    fn question(&mut self, who: usize) -> Command {
        let limit = self.rng.usize(1..4);
        let known: Vec<Chat> = self.clients[who].seen.keys().map(|key| key.0).collect();
        let own = Chat::User(self.clients[who].uid);
        let mut chat = match known.is_empty() {
            true => own,
            false => known[self.rng.usize(..known.len())],
        };
        if chat == own {
            chat = Chat::User(Uid(self.rng.u64(1..4)));
        }
        let place = self.rng.u64(..6);
        let side = [Side::Newest, Side::Before(place), Side::After(place)][self.rng.usize(..3)];
        let query = match self.rng.u8(..3) {
            0 => Query::History { chat, side, limit },
            1 => Query::Waiting {
                chat,
                after: place,
                limit,
            },
            _ => Query::Chats {
                before: None,
                limit,
            },
        };
        let id = MsgId::parse("q").ok();
        Command::Query { id, query }
    }

    pub fn relogin(&mut self, who: usize) {
        self.clients[who].away_until = self.now;
        self.leave(who);
        self.connect(who);
    }

    pub fn connect(&mut self, who: usize) {
        if self.server.is_none() || self.draining || self.clients[who].barred {
            return;
        }
        self.serials += 3;
        let (id, serial, epoch) = (self.serials - 2, self.serials - 1, self.serials);
        self.clients[who].connecting(id);
        let (uid, did) = (self.clients[who].uid, self.clients[who].did.clone());
        let Some(server) = self.server.as_mut() else {
            return;
        };
        let serial = server.process(uid, &did, serial);
        let conn = Conn::new(who, (serial, epoch), self.now);
        self.conns.insert(id, conn);
        self.epochs.insert(epoch, id);
        // Tokens do not end while it is judged whether everything comes by itself.
        let good_until = match self.phase {
            Phase::Faults => self.now + self.scenario.token_ms,
            _ => u64::MAX,
        };
        self.mail(serial, Mail::Connect(epoch, good_until));
    }

    /// The client goes; the server hears of it sooner or later.
    pub fn leave(&mut self, who: usize) {
        let Some(conn) = self.clients[who].conn else {
            return;
        };
        self.clients[who].disconnected();
        let ms = self.rng.u64(..60);
        self.after(ms, Step::Hangup(conn));
    }

    /// Counts what clients were told, and lets them renew their tokens.
    pub fn listen(&mut self, who: usize) {
        use yizhan::code::Code;
        for heard in std::mem::take(&mut self.clients[who].heard) {
            match heard {
                Heard::Refusal(Code::TooFast) => self.ran.too_fast += 1,
                Heard::Refusal(Code::Storage) => self.ran.storage += 1,
                Heard::Refusal(Code::Busy) => self.ran.busy += 1,
                Heard::Refusal(Code::InboxFull) => self.ran.inbox_full += 1,
                Heard::Refusal(_) => {}
                Heard::TokenEnds => {
                    if self.chance(50) {
                        self.ran.tokens_renewed += 1;
                        self.send(who, [Up::Renewal]);
                    }
                }
            }
        }
    }
}
