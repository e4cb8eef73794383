//! What a client asks of conversations beside its messages: changes of them, and how far it has read.

use yizhan::code::Code;
use yizhan::id::{MsgId, Seq};
use yizhan::message::chat::{Amendment, Chat};
use yizhan::message::{Command, digest};

use crate::client::{Client, Progress};

/// How long a client waits for an answer before it asks again, milliseconds.
const PATIENCE: u64 = 60;

/// A change of a message of its own.
#[derive(Clone, Debug)]
pub struct Change {
    pub chat: Chat,
    pub amendment: Amendment,
    pub at: u64,
    pub asked: Option<u64>,
    /// When it was made, by the server's word.
    pub made: Option<u64>,
    pub refused: bool,
    /// How often it is asked for once more, though it is made.
    pub again: u8,
}

impl Change {
    /// The message.
    pub fn target(&self) -> &MsgId {
        amendment_target(&self.amendment)
    }
}

fn amendment_target(amendment: &Amendment) -> &MsgId {
    match amendment {
        Amendment::Revoke { id } => id,
        Amendment::Edit { target, .. } => target,
    }
}

/// How far a conversation is read.
#[derive(Clone, Debug)]
pub struct Mark {
    pub chat: Chat,
    pub up_to: Seq,
    pub at: u64,
    pub asked: Option<u64>,
    /// What held then, by the server's word.
    pub held: Option<Seq>,
    pub refused: bool,
}

impl Client {
    pub fn will_edit(&mut self, chat: Chat, target: &MsgId, n: u32, at: u64) {
        let payload = format!("{{\"edit\":{n},\"of\":\"{target}\"}}");
        let amendment = Amendment::Edit {
            id: MsgId::parse(&format!("{target}-e{n}")).unwrap(),
            target: target.clone(),
            digest: digest(target.as_str(), &payload),
            payload: payload.into(),
        };
        self.will_change(chat, amendment, at);
    }

    pub fn will_revoke(&mut self, chat: Chat, id: &MsgId, at: u64) {
        self.will_change(chat, Amendment::Revoke { id: id.clone() }, at);
    }

    fn will_change(&mut self, chat: Chat, amendment: Amendment, at: u64) {
        self.changes.push(Change {
            chat,
            amendment,
            at,
            asked: None,
            made: None,
            refused: false,
            again: 1,
        });
    }

    pub fn will_mark(&mut self, chat: Chat, up_to: Seq, at: u64) {
        self.marks.push(Mark {
            chat,
            up_to,
            at,
            asked: None,
            held: None,
            refused: false,
        });
    }

    /// Whether every change is made, or was refused, and every mark is set.
    pub fn has_no_wish(&self) -> bool {
        let mut changes = self.changes.iter();
        let mut marks = self.marks.iter();
        changes.all(|change| change.made.is_some() || change.refused)
            && marks.all(|mark| mark.held.is_some() || mark.refused)
    }

    /// What is due at `now`.
    pub fn wishes(&mut self, now: u64) -> Vec<Command> {
        let late = |asked: Option<u64>| asked.is_none_or(|at| at + PATIENCE <= now);
        let mut commands = Vec::new();
        for change in &mut self.changes {
            let target = change.target();
            let sent = self
                .outgoing
                .iter()
                .find(|m| m.to == change.chat && m.id == *target);
            let ready = sent.is_some_and(|sent| sent.progress > Progress::Unsent);
            if change.refused || change.at > now || !late(change.asked) || !ready {
                continue;
            }
            if change.made.is_some() {
                if change.again == 0 {
                    continue;
                }
                change.again -= 1;
            }
            change.asked = Some(now);
            commands.push(Command::Amend {
                chat: change.chat,
                amendment: change.amendment.clone(),
            });
        }
        for mark in &mut self.marks {
            if mark.held.is_none() && !mark.refused && mark.at <= now && late(mark.asked) {
                mark.asked = Some(now);
                commands.push(Command::MarkRead {
                    chat: mark.chat,
                    up_to: mark.up_to,
                    id: Some(mark_id(mark.up_to, mark.at)),
                });
            }
        }
        commands
    }

    /// A change is durable.
    pub fn changed(&mut self, chat: Chat, amendment: &Amendment, at: u64) -> Result<(), String> {
        let dedupe_ms = self.conditions.dedupe_ms;
        let mut outgoing = self.outgoing.iter();
        let target = amendment_target(amendment);
        let sent = outgoing.find(|m| m.to == chat && m.id == *target);
        let accepted_at = sent.map_or(0, |sent| sent.accepted_at);
        let mut changes = self.changes.iter_mut();
        let same =
            |change: &&mut Change| change.chat == chat && same_kind(&change.amendment, amendment);
        let change = changes.find(same);
        let change = change.ok_or_else(|| format!("{amendment:?} was not asked for"))?;
        match change.made.replace(at) {
            // An id that was forgotten may be that of another message.
            Some(before) if before != at && at < before.min(accepted_at) + dedupe_ms => Err(
                format!("{amendment:?} was made at {before}, and then at {at}"),
            ),
            _ => Ok(()),
        }
    }

    /// It is read so far.
    pub fn marked(&mut self, chat: Chat, id: Option<&MsgId>, up_to: Seq) -> Result<(), String> {
        let held = self.read.entry(chat).or_default();
        if up_to < *held {
            return Err(format!(
                "{chat:?} was read up to {held}, and is up to {up_to}"
            ));
        }
        *held = up_to;
        for mark in &mut self.marks {
            let is = mark.chat == chat && id == Some(&mark_id(mark.up_to, mark.at));
            if is && mark.asked.is_some() {
                mark.held = Some(up_to);
            }
        }
        Ok(())
    }

    /// Whether one of its wishes was refused, for good if it was not for a moment.
    pub fn wish_refused(&mut self, chat: Chat, id: &str, code: Code) -> bool {
        if !matches!(code, Code::Forbidden | Code::NotFound | Code::BadFrame) {
            return false;
        }
        // A message and what takes it back have the same id.
        let mut outgoing = self.outgoing.iter();
        if outgoing.any(|m| m.to == chat && m.id.as_str() == id && m.progress == Progress::Unsent) {
            return false;
        }
        let mut is_one = false;
        for change in &mut self.changes {
            if change.chat == chat && change.amendment.id().as_str() == id {
                // A repeat of a revoke whose message is forgotten, or of a member who has left since.
                (change.refused, is_one) = (true, true);
            }
        }
        for mark in &mut self.marks {
            if mark.chat == chat && mark_id(mark.up_to, mark.at).as_str() == id {
                (mark.refused, is_one) = (true, true);
            }
        }
        is_one
    }
}

fn mark_id(up_to: Seq, at: u64) -> MsgId {
    MsgId::parse(&format!("r{up_to}-{at}")).unwrap()
}

fn same_kind(a: &Amendment, b: &Amendment) -> bool {
    matches!(
        (a, b),
        (Amendment::Revoke { .. }, Amendment::Revoke { .. })
            | (Amendment::Edit { .. }, Amendment::Edit { .. })
    ) && a.id() == b.id()
}
