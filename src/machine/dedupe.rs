//! Whether a message was accepted before: a window of entries by (to, from, id), without a clock.

use crate::id::Seq;
use crate::message::Digest;

/// What is remembered of an accepted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the reader's inbox; 0 in a group.
    pub seq: Seq,
    /// Over its type and payload.
    pub digest: Digest,
    /// When it was accepted, Unix milliseconds.
    pub server_ts: u64,
    /// Whether it left the inbox unread because it was too old.
    pub expired: bool,
    /// Its place in its conversation; 0 for one from before there were any.
    pub cseq: Seq,
    /// Whether its author has taken it back.
    pub revoked: bool,
    /// In a group, whether a device of some member has had it.
    pub delivered: bool,
}

impl Entry {
    /// One that is accepted now.
    pub fn new(seq: Seq, digest: Digest, now: u64, cseq: Seq) -> Entry {
        Entry {
            seq,
            digest,
            server_ts: now,
            expired: false,
            cseq,
            revoked: false,
            delivered: false,
        }
    }
}

/// The judgement on a message that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Never seen within the window.
    New,
    /// The same message again.
    Repeat(Entry),
    /// Another message under an id that is taken.
    Conflict,
}

/// Judges a message with this digest against what is remembered under its key.
pub fn judge(found: Option<Entry>, digest: Digest, now: u64, keep_ms: u64) -> Verdict {
    match found {
        Some(entry) if is_forgotten(&entry, now, keep_ms) => Verdict::New,
        Some(entry) if entry.digest == digest => Verdict::Repeat(entry),
        Some(_) => Verdict::Conflict,
        None => Verdict::New,
    }
}

/// Whether the window has passed over the entry.
pub fn is_forgotten(entry: &Entry, now: u64, keep_ms: u64) -> bool {
    entry.server_ts.saturating_add(keep_ms) <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry = Entry {
        seq: 7,
        digest: 1,
        server_ts: 1000,
        expired: false,
        cseq: 3,
        revoked: false,
        delivered: false,
    };

    #[test]
    fn the_same_content_is_a_repeat_and_other_content_a_conflict() {
        assert_eq!(judge(None, 1, 1000, 50), Verdict::New);
        assert_eq!(judge(Some(ENTRY), 1, 1000, 50), Verdict::Repeat(ENTRY));
        assert_eq!(judge(Some(ENTRY), 2, 1000, 50), Verdict::Conflict);
    }

    #[test]
    fn an_entry_is_forgotten_when_the_window_has_passed() {
        assert_eq!(judge(Some(ENTRY), 2, 1049, 50), Verdict::Conflict);
        assert_eq!(judge(Some(ENTRY), 2, 1050, 50), Verdict::New);
    }
}
