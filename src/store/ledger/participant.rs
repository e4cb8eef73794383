//! What whoever takes part in a conversation does besides sending, as the commits see it.

use crate::id::{Seq, Uid};
use crate::machine::conversation::Conversation;
use crate::message::chat::{By, Chat};
use crate::message::group::Role;
use crate::message::notice::About;
use crate::message::{Answer, Refusal};

use super::{EngineError, Ledger, News, PER_MESSAGE};

impl Ledger {
    /// Somebody has read a conversation up to there.
    pub(super) fn mark_read(
        &mut self,
        now: u64,
        by: &By,
        chat: Chat,
        up_to: Seq,
    ) -> Result<Answer, EngineError> {
        let uid = by.uid;
        let cid = match self.chat_of(uid, chat)? {
            Ok(Some(cid)) => cid,
            Ok(None) => return Ok(Answer::Read(0)),
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let head = self.conversation(cid)?.map_or(0, Conversation::head);
        let peer = match chat.user().filter(|peer| *peer != uid) {
            // Between two of whom one takes nothing from the other, nobody hears what the other does.
            Some(peer) if self.takes(peer, uid)?.is_ok() && self.takes(uid, peer)?.is_ok() => {
                Some(peer)
            }
            _ => None,
        };
        self.make_room(1)?;
        let up_to = up_to.min(head);
        let (moved, read) = match chat {
            Chat::User(_) => {
                let place = self.conversation_mut(cid)?.place_mut(uid);
                place.map_or((false, 0), |place| (place.mark(up_to), place.read()))
            }
            Chat::Group(_) => {
                let place = &mut self.member_mut(cid, uid)?.place;
                (place.mark(up_to), place.read())
            }
        };
        if moved {
            self.hook_read(now, uid, chat, read)?;
            self.done.news.push(News::Read {
                chat,
                by: by.clone(),
                peer,
                up_to: read,
                server_ts: now,
            });
        }
        Ok(Answer::Read(read))
    }

    /// Somebody writes: told to whom it concerns, and kept nowhere.
    pub(super) fn typing(
        &mut self,
        now: u64,
        from: Uid,
        chat: Chat,
    ) -> Result<Answer, EngineError> {
        let readers = match chat {
            Chat::User(to) if self.takes(to, from)?.is_ok() => vec![to],
            // Whoever is blocked does not learn it this way.
            Chat::User(_) => Vec::new(),
            Chat::Group(gid) => {
                let member = match self.member_in(gid, from)? {
                    Ok(member) => member.clone(),
                    Err(refusal) => return Ok(Answer::Refused(refusal)),
                };
                let most = self.policy.people.typing_members;
                let group = self.conversation(gid)?.and_then(|c| c.group());
                let told = group.is_some_and(|group| {
                    group.members <= most && group.may_send(&member, now).is_ok()
                });
                match told {
                    true => self.members_but(gid, from)?,
                    false => Vec::new(),
                }
            }
        };
        if !readers.is_empty() {
            self.done.news.push(News::Typing {
                readers,
                from,
                chat,
            });
        }
        Ok(Answer::Done)
    }

    /// Lets the messages of a conversation live so long from here on.
    pub(super) fn set_expiry(
        &mut self,
        now: u64,
        by: Uid,
        chat: Chat,
        expire_ms: u64,
    ) -> Result<Answer, EngineError> {
        let known = match chat {
            Chat::User(peer) => match self.takes(peer, by)? {
                Ok(()) => self.pair(by, peer)?,
                Err(why) => return Ok(Answer::Refused(Refusal::Unwanted(why))),
            },
            Chat::Group(gid) => {
                let role = match self.member_in(gid, by)? {
                    Ok(member) => member.role,
                    Err(refusal) => return Ok(Answer::Refused(refusal)),
                };
                if role < Role::Admin {
                    return Ok(Answer::Refused(Refusal::Forbidden(
                        "only the owner and admins may change this group",
                    )));
                }
                Some(gid)
            }
        };
        let before = match known {
            Some(cid) => self.conversation(cid)?.map_or(0, |c| c.expire_ms()),
            None => 0,
        };
        if before == expire_ms {
            return Ok(Answer::Done);
        }
        self.inbox(by)?;
        let cid = match chat {
            Chat::User(peer) if !self.has_room(now, peer)? => {
                return Ok(Answer::Refused(Refusal::InboxFull));
            }
            Chat::User(peer) => self.chat_between(by, peer, now)?,
            Chat::Group(gid) => gid,
        };
        self.make_room(PER_MESSAGE)?;
        // Said before it is so: this notice stays.
        self.conversation_mut(cid)?.set_expiry(0);
        let about = About::Expiry(expire_ms);
        match chat {
            Chat::User(peer) => self.notice_to_user(now, by, peer, &about)?,
            Chat::Group(gid) => self.notice_to_group(now, by, gid, &about)?,
        }
        self.conversation_mut(cid)?.set_expiry(expire_ms);
        Ok(Answer::Done)
    }
}
