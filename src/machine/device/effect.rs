//! What a device asks of its driver, and the tickets that come back with the answers.

use std::sync::Arc;

use crate::code::{Close, Code};
use crate::id::{MsgId, Seq, Uid};
use crate::machine::access::Pass;
use crate::machine::ranges::Ranges;
use crate::machine::sent::Slot;
use crate::message::chat::{Amendment, Chat};
use crate::message::look::Look;
use crate::message::{Ack, Event, Notice, Op, Query, Read, Signal};

use super::Epoch;

/// What the driver has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Put a frame into the outbox of that connection.
    Push {
        /// The connection.
        epoch: Epoch,
        /// The frame.
        event: Event,
    },
    /// Put a notice into the outbox of that connection, under an id of its own.
    Notify {
        /// The connection.
        epoch: Epoch,
        /// What it says.
        notice: Notice,
    },
    /// Throw away the messages that wait for that connection.
    Discard(Epoch),
    /// End that connection after the frames that wait for it.
    Close {
        /// The connection.
        epoch: Epoch,
        /// Why.
        close: Close,
    },
    /// End that connection now, and throw away what waits for it.
    Cut {
        /// The connection.
        epoch: Epoch,
        /// Why.
        close: Close,
    },
    /// Answer the login that waits for that connection.
    Ready {
        /// The connection.
        epoch: Epoch,
        /// The first frame is in the outbox, or why not.
        result: Result<(), Code>,
    },
    /// Ask the committer.
    Submit {
        /// What.
        op: Op,
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// Ask for rows.
    Read {
        /// Which.
        read: Read,
        /// Comes back with the page.
        ticket: ReadTicket,
    },
    /// Ask for something else that is read.
    Look {
        /// What.
        look: Look,
        /// Comes back with what is found.
        ticket: ReadTicket,
    },
    /// Say who of these is online, and of the others nothing.
    Presence {
        /// The connection that asked.
        epoch: Epoch,
        /// Of the question.
        id: Option<MsgId>,
        /// The users, and whether the asker may know.
        of: Vec<(Uid, bool)>,
    },
    /// Announce commits to this connection from here on.
    Register(Epoch),
    /// Stop announcing, if that connection is still the registered one.
    Unregister(Epoch),
    /// Start the delivery of a row or signal whose first copy has left.
    Walk(Slot),
    /// End a delivery.
    Halt {
        /// Which one.
        slot: Slot,
        /// Whether its row waits on, for the next connection.
        parked: bool,
    },
    /// Hand a signal to every live device of its reader.
    Relay(Arc<Signal>),
    /// A signal has ended here.
    SignalOver {
        /// Which one.
        slot: Slot,
        /// Whether the client acknowledged it.
        acked: bool,
    },
    /// Nobody is connected: the process may end.
    Stop,
}

/// Says what an answer of the committer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// The device was made known.
    Attach(Epoch),
    /// The head was read.
    Head(Epoch),
    /// A message was accepted, or not.
    Send {
        /// The message's id.
        id: MsgId,
        /// The reader, or the group.
        to: Chat,
    },
    /// A message was changed, or not.
    Amend {
        /// The conversation.
        chat: Chat,
        /// The change, without its payload.
        amendment: Amendment,
    },
    /// A conversation is read up to some place.
    MarkRead {
        /// The connection it was said on.
        epoch: Epoch,
        /// The conversation.
        chat: Chat,
        /// Of the question.
        id: Option<MsgId>,
    },
    /// It was told that the user writes.
    Typing,
    /// A signal may pass, or not.
    Signal(Arc<Signal>),
    /// The asker may read the conversation of the query at hand, or not.
    Query {
        /// The connection.
        epoch: Epoch,
        /// Of the question.
        id: Option<MsgId>,
        /// What is asked.
        query: Query,
    },
    /// What was read is durable, and may be said.
    Say {
        /// The connection.
        epoch: Epoch,
        /// What.
        event: Event,
    },
    /// Rows were acknowledged.
    Ack {
        /// The connection it came on.
        epoch: Epoch,
        /// What to confirm.
        form: Ack,
        /// The rows.
        seqs: Ranges,
    },
    /// Rows were taken out that tell of what is gone.
    Bury(Ranges),
    /// A status question.
    Status(Epoch),
    /// Another token was shown.
    Renew {
        /// The connection it was shown on.
        epoch: Epoch,
        /// What it says about the connection.
        pass: Pass,
        /// Its own expiry, for the client, Unix milliseconds.
        expire_at: u64,
    },
    /// Nobody waits for the answer.
    Seen,
}

/// Says what a page is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadTicket {
    /// To be delivered on that connection.
    Pull(Epoch),
    /// To be sent as it is, as the answer to a sync.
    Sync {
        /// The connection it came on.
        epoch: Epoch,
        /// The head when it was asked.
        head: Seq,
    },
    /// To be sent as the answer to the query at hand.
    Query {
        /// The connection it came on.
        epoch: Epoch,
        /// Of the question.
        id: Option<MsgId>,
        /// What was asked.
        query: Query,
        /// The last place of the conversation, or of the inbox.
        head: Seq,
    },
}
