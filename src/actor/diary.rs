//! Writes down what happens to messages and devices, on whatever thread it happens.

use std::fmt;

use crate::code::Code;
use crate::id::{Did, MsgId, Uid};
use crate::message::chat::Chat;
use crate::message::trace::{Moment, Step, Turn, device_key, message_key};
use crate::message::{Address, Fault};
use crate::store::trace::Tracer;

/// The way to the trace; cheap to clone.
#[derive(Clone)]
pub struct Diary(Option<Tracer>);

impl fmt::Debug for Diary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Diary").field(&self.is_kept()).finish()
    }
}

impl Diary {
    /// A diary that is kept.
    pub fn new(tracer: Tracer) -> Diary {
        Diary(Some(tracer))
    }

    /// A diary that nobody keeps.
    pub fn none() -> Diary {
        Diary(None)
    }

    /// Whether anything is written down.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// What it writes to.
    pub fn tracer(&self) -> Option<&Tracer> {
        self.0.as_ref()
    }

    /// Something has happened to a message.
    pub fn message(&self, at_ms: u64, id: &MsgId, from: Option<Uid>, to: Uid, step: Step) {
        if let Some(tracer) = &self.0 {
            let moment = Moment::Message {
                at_ms,
                from,
                to,
                step,
            };
            write(tracer, message_key(id), &moment);
        }
    }

    /// Something has happened to a device.
    pub fn device(&self, at_ms: u64, uid: Uid, did: &Did, turn: Turn) {
        if let Some(tracer) = &self.0 {
            let key = device_key(uid, did);
            let did = did.clone();
            let moment = Moment::Device {
                at_ms,
                uid,
                did,
                turn,
            };
            write(tracer, key, &moment);
        }
    }

    /// A message of this user was refused, if the fault says which.
    pub fn refused(&self, at_ms: u64, from: Uid, fault: &Fault) {
        let Some(Address::Chat(Chat::User(to))) = fault.to else {
            return;
        };
        // Whoever is too fast repeats, and could fill the trace.
        if fault.code == Code::TooFast {
            return;
        }
        let id = fault.id.as_deref().map(MsgId::parse);
        if let Some(Ok(id)) = id {
            let code = fault.code.number();
            self.message(at_ms, &id, Some(from), to, Step::Refused { code });
        }
    }
}

fn write(tracer: &Tracer, key: u64, moment: &Moment) {
    tracer.record(key, |bytes| {
        // Writing to memory fails for no moment that there is.
        if let Ok(written) = postcard::to_extend(moment, std::mem::take(bytes)) {
            *bytes = written;
        }
    });
}
