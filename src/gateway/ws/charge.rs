//! What a frame costs its device, and the refusal of one that costs too much.

use actix_web_actors::ws::WebsocketContext;

use crate::codec::Inbound;
use crate::message::chat::Chat;
use crate::message::{Ack, Command, Fault};

use super::Socket;

impl Socket {
    /// Takes a frame from what the device may send; one that is refused costs a 429, and nothing else.
    pub(super) fn spend(&self, bytes: usize, inbound: Option<&Inbound>) -> Result<(), Fault> {
        let Some(allowance) = &self.allowance else {
            return Ok(());
        };
        let of_message = match inbound {
            Some(Inbound::Command(Command::Send(draft))) => Some((&draft.id, draft.to)),
            Some(Inbound::Command(Command::Signal(draft))) => {
                Some((&draft.id, Chat::User(draft.to)))
            }
            Some(Inbound::Command(Command::Amend { chat, amendment })) => {
                Some((amendment.id(), *chat))
            }
            _ => None,
        };
        let spent = allowance.spend(bytes, of_message.is_some());
        spent.map_err(|too_fast| {
            self.state.services.metrics.limited(too_fast.limit);
            let fault = too_fast.fault();
            match (of_message, inbound) {
                (Some((id, to)), _) => fault.about(id, to),
                (_, Some(Inbound::Command(Command::Ack(Ack::Id { id, .. })))) => fault.with_id(id),
                _ => fault,
            }
        })
    }

    /// A frame that cannot be read, whose bytes count all the same.
    pub(super) fn useless(&self, bytes: usize, fault: Fault, ctx: &mut WebsocketContext<Self>) {
        let spent = self.spend(bytes, None);
        self.fault(spent.err().unwrap_or(fault), ctx);
    }
}
