//! The server's life and its store: the committer, its failures and recoveries, the readers, and the end of all of them
//! at any moment.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use yizhan::code::Code;
use yizhan::id::{MsgId, Uid};
use yizhan::machine::device::Ticket;
use yizhan::machine::ranges::Ranges;
use yizhan::message::{Answer, Op, Refusal, State, What};
use yizhan::store::ledger::{self, Committed, Ledger, News};
use yizhan::store::{Engine, EngineError};

use crate::bugs::Bug;
use crate::engine::{Afterwards, Fault, Plan};
use crate::orders::ORDERS;
use crate::plants;
use crate::server::{Batch, Mail, Server};
use crate::world::{Phase, Step, World};

/// How long an orderly end of the server takes at most, milliseconds.
const DRAIN_MS: u64 = 40;

/// The engine has failed, and is closed until then.
pub struct Trouble {
    reopen_at: u64,
}

impl World {
    // Life and death.

    pub fn start(&mut self) -> Result<(), String> {
        if let Some(bug) = self.bug {
            plants::forget(bug, &self.engine.disk);
        }
        self.draining = false;
        self.engine.restart();
        self.rows = ledger::count_rows(&*self.engine).map_err(|e| e.to_string())?;
        self.online = 0;
        let mut policy = self.scenario.policy;
        if self.is_planted(Bug::ForgottenDevicesHold) {
            policy.bounds.forget_ms = u64::MAX;
        }
        let ledger = Ledger::new(self.engine.clone(), policy);
        let mut server = Server::new(ledger, self.scenario.rules, self.scenario.letters);
        server.loses_rows_beyond = self.is_planted(Bug::RowsBeyondLost);
        if server.ledger.has_more() {
            server.committing = true;
            self.soon(Step::Commit);
        }
        self.server = Some(server);
        self.after(self.scenario.sweep_every, Step::Sweep);
        Ok(())
    }

    /// The server dies, or goes down in order.
    pub fn kill(&mut self) -> Result<(), String> {
        if self.server.is_none() || self.draining {
            return Ok(());
        }
        if self.chance(80) {
            self.ran.kills += 1;
            return self.die();
        }
        self.ran.drains += 1;
        self.draining = true;
        let server = self.server.as_ref();
        let serials: Vec<u64> = server
            .into_iter()
            .flat_map(|s| s.procs.keys().copied())
            .collect();
        for serial in serials {
            self.mail(serial, Mail::Drain);
        }
        self.after(DRAIN_MS, Step::Drained);
        Ok(())
    }

    /// The committer ends after everything in its queue, and the process with it.
    pub fn drained(&mut self) -> Result<(), String> {
        while self
            .server
            .as_ref()
            .is_some_and(|s| s.flushing.is_some() || !s.requests.is_empty())
        {
            if self.server.as_ref().is_some_and(|s| s.flushing.is_none()) {
                self.commit()?;
            }
            self.flush()?;
            self.publish();
        }
        self.die()
    }

    /// Everything in memory is gone, and of what was not flushed only a beginning is left.
    fn die(&mut self) -> Result<(), String> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        self.ran.rows_beyond += server.rows_beyond;
        let unflushed = self.engine.disk.unflushed();
        self.ran.kills_unflushed += u64::from(unflushed > 0);
        let kept = self.rng.usize(..=unflushed);
        self.engine.disk.crash(kept);
        let mut maybe = std::mem::take(&mut self.maybe);
        if let Some(batch) = server.flushing.take_if(|batch| !batch.flushed) {
            maybe.extend(batch.ops.into_iter().map(|op| (batch.at, op)));
        }
        drop(server);
        // Their signals die with it, and nobody is there to be told.
        self.failed.lock().clear();
        self.journeys.clear();
        self.not_found = 0;
        self.trouble = None;
        self.doubtful.clear();
        self.turn_maybe(maybe)?;
        self.break_lines(None);
        self.epochs.clear();
        self.only(|step| {
            matches!(
                step,
                Step::ClientTick(_)
                    | Step::ToClient(..)
                    | Step::Relogin(_)
                    | Step::Calm
                    | Step::Audit
                    | Step::StoreFault
                    | Step::Crash
                    | Step::Kill
                    | Step::Order(_)
                    | Step::Start
            )
        });
        let long = self.phase == Phase::Faults && self.scenario.nights > 0 && self.chance(30);
        let ms = match long {
            true => self.rng.u64(1..self.scenario.night_ms),
            false => self.rng.u64(1..80),
        };
        self.after(ms, Step::Start);
        Ok(())
    }

    pub fn store_fault(&mut self) {
        if self.server.is_none() {
            return;
        }
        let faults = [
            Fault::Get,
            Fault::Scan,
            Fault::ApplyBefore,
            Fault::ApplyAfter,
            Fault::FlushBefore,
            Fault::FlushAfter,
        ];
        let afterwards = [
            Afterwards::Works,
            Afterwards::ServesOnly,
            Afterwards::RefusesAll,
        ];
        let plan = Plan {
            fault: faults[self.rng.usize(..faults.len())],
            panics: self.chance(25),
            afterwards: afterwards[self.rng.usize(..afterwards.len())],
            reopen_fails: self.rng.u32(..3),
            kept: self.rng.usize(..3),
        };
        self.engine.arm(plan);
    }

    // The committer.

    pub fn sweep(&mut self) {
        self.after(self.scenario.sweep_every, Step::Sweep);
        self.sweep_due = true;
        if let Some(server) = self.server.as_mut()
            && !std::mem::replace(&mut server.committing, true)
        {
            self.soon(Step::Commit);
        }
    }

    pub fn commit(&mut self) -> Result<(), String> {
        let (now, count) = (self.now, self.rng.usize(1..6));
        let Some(server) = self.server.as_mut() else {
            return Ok(());
        };
        let count = count.min(server.requests.len());
        let (mut askers, mut ops) = (Vec::new(), Vec::new());
        for (serial, ticket, op) in server.requests.drain(..count) {
            askers.push((serial, ticket));
            ops.push(op);
        }
        if std::mem::take(&mut self.sweep_due) {
            ops.push(Op::Sweep);
        }
        let ready = self.reopen()?;
        let Some(server) = self.server.as_mut() else {
            return Ok(());
        };
        let ledger = &mut server.ledger;
        let done = match ready {
            true => safely(|| ledger.commit(now, &ops)),
            false => return self.refuse(askers),
        };
        let done = match done {
            Ok(done) => done,
            Err(_) => return self.fail(askers, ops, now, Vec::new()),
        };
        if self.bug == Some(Bug::NewsBeforeFlush) {
            let woken = server.publish(askers, done);
            for serial in woken {
                self.mail(serial, Mail::Wake);
            }
            let done = Committed::default();
            self.flushing(Vec::new(), ops, done, false);
            return Ok(());
        }
        self.flushing(askers, ops, done, false);
        Ok(())
    }

    fn flushing(
        &mut self,
        askers: Vec<(u64, Ticket)>,
        ops: Vec<Op>,
        done: Committed,
        refused: bool,
    ) {
        let at = self.now;
        if let Some(server) = self.server.as_mut() {
            server.flushing = Some(Batch {
                askers,
                ops,
                at,
                done,
                refused,
                flushed: false,
            });
        }
        if !self.draining {
            self.soon(Step::Flush);
        }
    }

    pub fn flush(&mut self) -> Result<(), String> {
        let unflushed = |batch: &mut Batch| !batch.flushed;
        let server = self.server.as_mut();
        let Some(batch) = server.and_then(|s| s.flushing.take_if(unflushed)) else {
            return Ok(());
        };
        if self.trace {
            println!("       flush of {:?}", batch.ops);
            for news in &batch.done.news {
                println!("       news {news:?}");
            }
        }
        let Batch {
            askers,
            ops,
            at,
            done,
            refused,
            ..
        } = batch;
        // A batch that was refused has nothing to flush, and no requests.
        if !refused {
            let engine = &self.engine;
            if done.tally.wrote && safely(|| engine.flush()).is_err() {
                return self.fail(askers, ops, at, done.news);
            }
            for (op, answer) in ops.iter().zip(&done.answers) {
                self.book
                    .check_answer(at, op, answer, false, &mut self.ran)?;
            }
            let told = done.news.iter().filter_map(|news| match news {
                News::Row(row) => Some(row.reader),
                News::Withdrawn { uid, .. } | News::Lagging { uid, .. } => Some(*uid),
                _ => None,
            });
            let told = told.collect();
            self.turn(&ops, &told, at, true)?;
            self.check_counted(&done.news)?;
            for (op, answer) in ops.iter().zip(&done.answers) {
                self.book
                    .check_answer(at, op, answer, true, &mut self.ran)?;
            }
            self.rows += done.tally.rows;
        }
        if let Some(server) = self.server.as_mut() {
            server.flushing = Some(Batch {
                askers,
                ops,
                at,
                done,
                refused,
                flushed: true,
            });
        }
        if !self.draining {
            self.soon(Step::Publish);
        }
        Ok(())
    }

    pub fn publish(&mut self) {
        let (now, untold) = (self.now, self.is_planted(Bug::ResyncUntold));
        let Some(server) = self.server.as_mut() else {
            return;
        };
        let Some(mut batch) = server.flushing.take() else {
            return;
        };
        batch
            .done
            .news
            .retain(|news| !(untold && matches!(news, News::Lagging { .. })));
        let bug = self.bug;
        batch.done.news.retain_mut(|news| match (bug, news) {
            (Some(Bug::CopyToSender), News::Passed { .. }) => false,
            (Some(Bug::CountedTooHigh), News::Counted(counted)) => {
                counted.count += 1;
                true
            }
            _ => true,
        });
        for news in &batch.done.news {
            if let News::Row(row) = news {
                self.announced.insert((row.reader, row.seq), now);
            }
            if let News::Row(row) = news
                && row.what == What::Revoke
            {
                self.book.annals.revoke_told(&row.message, now);
            }
        }
        if self.bug == Some(Bug::ExpiryCountsAsDelivery) {
            for answer in &mut batch.done.answers {
                if let Answer::Status(states) = answer {
                    let expired = states.iter_mut().filter(|(_, s, _)| *s == State::Expired);
                    expired.for_each(|(_, state, _)| *state = State::Delivered);
                }
            }
        }
        let mut ordered = Vec::new();
        for ((asker, _), answer) in batch.askers.iter().zip(&batch.done.answers) {
            if (ORDERS..u64::MAX).contains(asker) {
                ordered.push(((asker - ORDERS) as usize, answer.clone()));
            }
        }
        let woken = server.publish(batch.askers, batch.done);
        let goes_on = self.trouble.is_none() && server.ledger.has_more();
        let more = !server.requests.is_empty() || self.sweep_due || goes_on;
        server.committing = more;
        for (number, answer) in ordered {
            self.ordered(number, &answer);
        }
        for serial in woken {
            self.mail(serial, Mail::Wake);
        }
        if more && !self.draining {
            self.soon(Step::Commit);
        }
    }

    /// The batch is refused, whatever became of it, and the engine is not trusted until it is open again.
    fn fail(
        &mut self,
        askers: Vec<(u64, Ticket)>,
        ops: Vec<Op>,
        at: u64,
        news: Vec<News>,
    ) -> Result<(), String> {
        if self.bug != Some(Bug::FailedBatchTrusted) {
            if let Some(server) = self.server.as_mut() {
                let unfinished = server.ledger.reset();
                self.doubtful = if news.is_empty() { unfinished } else { news };
            }
            let reopen_at = self.now + self.rng.u64(1..40);
            self.trouble = Some(Trouble { reopen_at });
        }
        self.maybe.extend(ops.into_iter().map(|op| (at, op)));
        self.refuse(askers)
    }

    fn refuse(&mut self, askers: Vec<(u64, Ticket)>) -> Result<(), String> {
        let storage = || Answer::Refused(Refusal::Storage);
        let done = Committed {
            answers: askers.iter().map(|_| storage()).collect(),
            ..Committed::default()
        };
        self.flushing(askers, Vec::new(), done, true);
        Ok(())
    }

    /// Opens a failed engine again when it is time; false while it stays closed.
    fn reopen(&mut self) -> Result<bool, String> {
        let Some(trouble) = &self.trouble else {
            return Ok(true);
        };
        if self.now < trouble.reopen_at {
            return Ok(false);
        }
        let (engine, doubtful) = (&self.engine, &self.doubtful);
        let Some(server) = self.server.as_mut() else {
            return Ok(false);
        };
        let ledger = &mut server.ledger;
        let opened = safely(|| {
            engine.reopen()?;
            ledger::write_layout(&**engine)?;
            let news = ledger.settle(doubtful)?;
            Ok((ledger::count_rows(&**engine)?, news))
        });
        let Ok((rows, news)) = opened else {
            ledger.reset();
            let reopen_at = self.now + self.rng.u64(1..40);
            self.trouble = Some(Trouble { reopen_at });
            return Ok(false);
        };
        self.ran.reopened += 1;
        self.trouble = None;
        self.rows = rows;
        self.doubtful.clear();
        let maybe = std::mem::take(&mut self.maybe);
        self.turn_maybe(maybe)?;
        let done = Committed {
            news,
            ..Committed::default()
        };
        let server = self.server.as_mut();
        let woken = server.map_or(Vec::new(), |s| s.publish(Vec::new(), done));
        for serial in woken {
            self.mail(serial, Mail::Wake);
        }
        Ok(true)
    }

    fn turn_maybe(&mut self, maybe: Vec<(u64, Op)>) -> Result<(), String> {
        let at = maybe.iter().map(|(at, _)| *at).max();
        // What is on its way to members goes on without a request.
        let Some(at) = at.or(self.scenario.is_crowded().then_some(self.now)) else {
            return Ok(());
        };
        let ops: Vec<Op> = maybe.into_iter().map(|(_, op)| op).collect();
        self.turn(&ops, &BTreeSet::new(), at, false)
    }

    fn turn(
        &mut self,
        ops: &[Op],
        told: &BTreeSet<Uid>,
        at: u64,
        certain: bool,
    ) -> Result<(), String> {
        let disk = &self.engine.disk;
        let turned = self
            .book
            .turn(disk, &self.dids, (ops, told), at, certain, &mut self.ran)?;
        if self.trace && !turned.gave_up.is_empty() {
            println!("       rows are given up for {:?}", turned.gave_up);
        }
        for client in &mut self.clients {
            let is = |(uid, did): &(_, _)| client.uid == *uid && client.did == *did;
            if turned.gave_up.iter().any(is) {
                client.must_resync = true;
            }
            if turned.forgotten.iter().any(is) {
                client.must_resync = false;
            }
        }
        Ok(())
    }

    // The readers.

    pub fn read(&mut self) {
        let ttl_ms = match self.is_planted(Bug::ExpiredRowsServed) {
            true => u64::MAX,
            false => self.scenario.policy.ttl_ms,
        };
        let oldest = self.now.saturating_sub(ttl_ms);
        let Some(server) = self.server.as_mut() else {
            return;
        };
        if server.reads.is_empty() {
            return;
        }
        let (serial, ticket, look) = server.reads.remove(self.rng.usize(..server.reads.len()));
        let engine = &self.engine;
        let now = match self.bug {
            Some(Bug::OverServed) => 0,
            _ => self.now,
        };
        let kept = now.saturating_sub(self.scenario.policy.people.keep_ms);
        let found = safely(|| ledger::found(&**engine, &look, now, oldest, kept));
        if server.found(serial, ticket, found.map_err(|_| Code::Storage)) {
            self.mail(serial, Mail::Wake);
        }
    }

    // Planted bugs.

    /// An acknowledgement by one device of every row with that id.
    pub fn ack_everything_called(&mut self, serial: u64, id: &MsgId) {
        self.ack_rows(serial, |of| of == id);
    }

    /// An acknowledgement by one device of every row there is.
    pub fn ack_everything(&mut self, serial: u64) {
        self.ack_rows(serial, |_| true);
    }

    fn ack_rows(&mut self, serial: u64, which: impl Fn(&MsgId) -> bool) {
        let Some(proc) = self.proc(serial) else {
            return;
        };
        let (reader, did) = (proc.uid, proc.did.clone());
        let seqs: Ranges = self.book.rows_called(reader, which).collect();
        if let Some(server) = self.server.as_mut() {
            // The machine does not count it, so its answer goes nowhere.
            let op = Op::Ack { reader, did, seqs };
            server.requests.push_back((u64::MAX, Ticket::Seen, op));
            if !std::mem::replace(&mut server.committing, true) {
                self.soon(Step::Commit);
            }
        }
    }
}

/// A panic of the engine is an error like others.
fn safely<T>(call: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(EngineError::Failed("the engine panicked".into())))
}
