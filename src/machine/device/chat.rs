//! What a client asks of conversations: changes of its messages, how far it has read, and pages of them.

use std::sync::Arc;

use crate::code::Code;
use crate::id::{MsgId, Seq, Uid};
use crate::machine::sent::Item;
use crate::message::chat::{Amendment, Chat, Standing};
use crate::message::look::{Found, Look};
use crate::message::{Event, Fault, Op, Page, Presence, Query, Read, Signal};

use super::{Device, Effect, Epoch, Pages, Phase, ReadTicket, Ticket, error};

/// How often it is told that the user writes, milliseconds.
const TYPING_EVERY_MS: u64 = 1000;

impl Device {
    pub(super) fn amend(&mut self, now: u64, epoch: Epoch, chat: Chat, amendment: Amendment) {
        if self.draining {
            let fault = self.retry(Fault::new(Code::Busy));
            return self.tell(error(fault.about(amendment.id(), chat), now));
        }
        if !self.take_request_of(now, epoch, Some(amendment.id()), Some(chat)) {
            return;
        }
        let kept = match &amendment {
            Amendment::Revoke { .. } => amendment.clone(),
            Amendment::Edit {
                id, target, digest, ..
            } => Amendment::Edit {
                id: id.clone(),
                target: target.clone(),
                payload: Box::default(),
                digest: *digest,
            },
        };
        let op = Op::Amend {
            by: self.by(),
            chat,
            amendment,
        };
        let ticket = Ticket::Amend {
            chat,
            amendment: kept,
        };
        self.effects.push_back(Effect::Submit { op, ticket });
    }

    pub(super) fn mark_read(
        &mut self,
        now: u64,
        epoch: Epoch,
        chat: Chat,
        up_to: Seq,
        id: Option<MsgId>,
    ) {
        if !self.take_request_of(now, epoch, id.as_ref(), Some(chat)) {
            return;
        }
        let by = self.by();
        let op = Op::MarkRead { by, chat, up_to };
        let ticket = Ticket::MarkRead { epoch, chat, id };
        self.effects.push_back(Effect::Submit { op, ticket });
    }

    /// Told now and then, and never answered.
    pub(super) fn typing(&mut self, now: u64, epoch: Epoch, chat: Chat) {
        if now < self.typing_from || !self.is_current(epoch) {
            return;
        }
        if self.requests >= self.rules.send_window {
            return;
        }
        self.requests += 1;
        self.typing_from = now.saturating_add(TYPING_EVERY_MS);
        let from = self.uid;
        let op = Op::Typing { from, chat };
        let ticket = Ticket::Typing;
        self.effects.push_back(Effect::Submit { op, ticket });
    }

    /// A signal passes if its reader takes anything of this user.
    pub(super) fn ask_signal(&mut self, now: u64, epoch: Epoch, signal: Arc<Signal>) {
        let to = Chat::User(signal.to);
        if !self.take_request_of(now, epoch, Some(&signal.id), Some(to)) {
            return;
        }
        let op = Op::Permit {
            from: self.uid,
            to: signal.to,
        };
        let ticket = Ticket::Signal(signal);
        self.effects.push_back(Effect::Submit { op, ticket });
    }

    pub(super) fn query(&mut self, now: u64, epoch: Epoch, id: Option<MsgId>, query: Query) {
        if self.take_request_of(now, epoch, id.as_ref(), query.chat()) {
            self.queries.push_back((epoch, id, query));
            self.next_query();
        }
    }

    /// Whether a query waits for nothing but the page before it to be written.
    pub(super) fn waits_for_page(&self) -> bool {
        let is_written = |frame: u64, taken: u64| frame < taken;
        let page = self.current.as_ref().map(|s| (s.page, s.taken));
        let waits = match page {
            Some((Pages::Pushed(frame), taken)) => !is_written(frame, taken),
            _ => false,
        };
        waits && !self.querying && !self.queries.is_empty()
    }

    /// Begins the query whose turn it is, if the page before it was written.
    pub(super) fn next_query(&mut self) {
        if self.querying || self.phase != Phase::Live {
            return;
        }
        while let Some((epoch, _, _)) = self.queries.front() {
            if self.is_current(*epoch) {
                break;
            }
            // Whoever asked is gone.
            self.queries.pop_front();
            self.requests -= 1;
        }
        let Some(session) = self.current.as_ref() else {
            return;
        };
        match session.page {
            Pages::Reading => return,
            Pages::Pushed(frame) if frame >= session.taken => return,
            Pages::Pushed(_) | Pages::None => {}
        }
        let Some((epoch, id, query)) = self.queries.pop_front() else {
            return;
        };
        self.querying = true;
        if let Some(session) = self.session_mut(epoch) {
            session.page = Pages::Reading;
        }
        let uid = self.uid;
        let max_bytes = self.rules.page_bytes;
        let effect = match (&query, query.chat()) {
            (Query::Chats { before, limit }, _) => Effect::Look {
                look: Look::Chats {
                    uid,
                    before: *before,
                    limit: *limit,
                    max_bytes,
                },
                ticket: ReadTicket::Query {
                    epoch,
                    id,
                    query,
                    head: 0,
                },
            },
            (Query::Presence(of), _) => Effect::Look {
                look: Look::Visible {
                    to: uid,
                    of: of.clone(),
                },
                ticket: ReadTicket::Query {
                    epoch,
                    id,
                    query,
                    head: 0,
                },
            },
            (_, Some(chat)) => Effect::Submit {
                op: Op::Standing { uid, chat },
                ticket: Ticket::Query { epoch, id, query },
            },
            (_, None) => return,
        };
        self.effects.push_back(effect);
    }

    /// The asker may read the conversation.
    pub(super) fn permitted(
        &mut self,
        epoch: Epoch,
        id: Option<MsgId>,
        query: Query,
        standing: Standing,
    ) {
        let Standing {
            cid, first, head, ..
        } = standing;
        let max_bytes = self.rules.page_bytes;
        let (look, head) = match &query {
            Query::History { side, limit, .. } => {
                let look = Look::History {
                    cid,
                    first,
                    head,
                    side: *side,
                    limit: *limit,
                    max_bytes,
                };
                (look, head)
            }
            Query::Waiting { after, limit, .. } => {
                let (head, from) = (self.head, self.acks.first_gap(after.saturating_add(1)));
                let read = Read {
                    uid: self.uid,
                    from,
                    to: head,
                    limit: *limit,
                    max_bytes,
                };
                (Look::RowsOf(read, cid), head)
            }
            Query::Receipts {
                gid,
                of,
                after,
                limit,
            } => {
                let look = Look::Receipts {
                    from: self.uid,
                    gid: *gid,
                    id: of.clone(),
                    after: *after,
                    limit: *limit,
                };
                (look, head)
            }
            Query::Chats { .. } | Query::Presence(_) => return,
        };
        let ticket = ReadTicket::Query {
            epoch,
            id,
            query,
            head,
        };
        self.effects.push_back(Effect::Look { look, ticket });
    }

    /// What was looked up, or why it could not be.
    pub fn found(&mut self, now: u64, ticket: ReadTicket, found: Result<Found, Code>) {
        let ReadTicket::Query {
            epoch,
            id,
            query,
            head,
        } = ticket
        else {
            let page = found.and_then(|found| match found {
                Found::Rows(page) => Ok(page),
                _ => Err(Code::Storage),
            });
            return self.page(now, ticket, page);
        };
        let event = match (query, found) {
            (Query::History { chat, .. }, Ok(Found::History(history))) => {
                let page = Event::HistoryPage {
                    id,
                    to: chat,
                    history,
                    head,
                };
                return self.say_durable(epoch, page);
            }
            (Query::Waiting { chat, .. }, Ok(Found::Rows(page))) => {
                self.waiting_page(epoch, id, chat, page, head)
            }
            (Query::Receipts { gid, of, .. }, Ok(Found::Receipts(members))) => match members {
                Some(members) => {
                    let page = Event::ReceiptsPage {
                        id,
                        to: gid,
                        of,
                        members,
                    };
                    return self.say_durable(epoch, page);
                }
                None => {
                    let msg = "no message of yours with this id is known here";
                    let fault = Fault::because(Code::NotFound, msg);
                    error(fault.about(&of, Chat::Group(gid)), now)
                }
            },
            (Query::Chats { .. }, Ok(Found::Chats(chats))) => {
                return self.say_durable(epoch, Event::ChatsPage { id, chats });
            }
            (Query::Presence(of), Ok(Found::Visible(visible))) => {
                let of = of.into_iter().zip(visible).collect();
                self.effects.push_back(Effect::Presence { epoch, id, of });
                return;
            }
            (query, found) => {
                let fault = match found {
                    Err(Code::Busy) => self.retry(Fault::new(Code::Busy)),
                    Err(code) => Fault::new(code),
                    Ok(_) => Fault::new(Code::Storage),
                };
                return self.query_failed(now, epoch, id.as_ref(), &query, fault);
            }
        };
        self.answer_query(epoch, event);
    }

    /// Answers the query at hand when what was read for it is durable: it may have been read before that.
    fn say_durable(&mut self, epoch: Epoch, event: Event) {
        self.effects.push_back(Effect::Submit {
            op: Op::Barrier,
            ticket: Ticket::Say { epoch, event },
        });
    }

    /// Who of those that were asked for is online.
    pub fn present(&mut self, epoch: Epoch, id: Option<MsgId>, of: Vec<(Uid, Presence)>) {
        self.answer_query(epoch, Event::PresenceIs { id, of });
    }

    fn waiting_page(
        &mut self,
        epoch: Epoch,
        id: Option<MsgId>,
        chat: Chat,
        mut page: Page,
        head: Seq,
    ) -> Event {
        self.bury(&page.dead);
        let (acks, pending) = (&self.acks, &self.pending);
        page.rows
            .retain(|row| !acks.contains(row.seq) && !pending.contains(row.seq));
        if let Some(session) = self.session_mut(epoch) {
            for row in &page.rows {
                session
                    .sent
                    .copied(row.id(), Item::Row(row.seq), session.pushed);
            }
        }
        Event::WaitingPage {
            id,
            to: chat,
            rows: page.rows,
            next: page.scanned_to.min(head),
            more: page.scanned_to < head,
        }
    }

    pub(super) fn query_failed(
        &mut self,
        now: u64,
        epoch: Epoch,
        id: Option<&MsgId>,
        query: &Query,
        fault: Fault,
    ) {
        let fault = match query.chat() {
            Some(chat) => fault.to_chat(chat),
            None => fault,
        };
        let fault = fault.with_own_id(id);
        self.answer_query(epoch, error(fault, now));
    }

    /// Ends the query at hand with its answer.
    pub(super) fn answer_query(&mut self, epoch: Epoch, event: Event) {
        self.requests -= 1;
        self.querying = false;
        if let Some(session) = self.session_mut(epoch) {
            session.page = Pages::Pushed(session.pushed);
        }
        self.reply(epoch, event);
        self.next_query();
    }

    /// Counts a request, and says to whom it was when there are too many.
    fn take_request_of(
        &mut self,
        now: u64,
        epoch: Epoch,
        id: Option<&MsgId>,
        chat: Option<Chat>,
    ) -> bool {
        if self.requests < self.rules.send_window {
            self.requests += 1;
            return true;
        }
        let fault = Fault::because(Code::TooFast, "too many requests wait for their answer");
        let fault = self.retry(fault).with_own_id(id);
        let fault = match chat {
            Some(chat) => fault.to_chat(chat),
            None => fault,
        };
        self.reply(epoch, error(fault, now));
        false
    }
}
