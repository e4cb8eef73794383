//! Bugs put in on purpose, each in the driver or the store of the simulator: it must find them all.

use crate::scenario::Family;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A restart finds an empty dedupe index.
    NoDedupeAcrossRestart,
    /// A device is announced to some time after it has asked how far its inbox goes.
    HeadBeforeRegistration,
    /// A text acknowledgement takes every row with that id.
    AckByIdAlone,
    /// A cumulative acknowledgement takes rows that were never sent.
    AckBeyondSent,
    /// What has expired is told as delivered.
    ExpiryCountsAsDelivery,
    /// The readers serve rows that are too old.
    ExpiredRowsServed,
    /// The sweep forgets no device.
    ForgottenDevicesHold,
    /// A batch is published before its flush.
    NewsBeforeFlush,
    /// After a failure the ledger goes on with what it holds in memory.
    FailedBatchTrusted,
    /// A wake-up to a full mailbox is dropped.
    WakeUpDropped,
    /// The end of a connection leaves the registry as it is.
    UnregisterSkipped,
    /// The last copy of a message keeps its place in the window.
    WindowNotFreed,
    /// A request that found the committer's queue full gets no answer.
    BusyIgnored,
    /// A row that found the mailroom full raises no head.
    RowsBeyondLost,
    /// A device for which rows were given up is not told.
    ResyncUntold,
    /// A signal that nobody acknowledged ends in silence.
    SignalNeverFails,
    /// The gauge of connected devices does not count down.
    GhostsOnline,
    /// What is on its way to members begins anew after a crash.
    PlaceForgotten,
    /// It is forgotten in a restart.
    FanoutForgotten,
    /// The store does not write down that somebody is a member no longer.
    RemovalDoesNotCut,
    /// What is taken back stays in the inbox.
    RevokeLeavesRow,
    /// Devices are not told of what they have sent themselves.
    CopyToSender,
    /// The readers do not look at the own time of a message.
    OverServed,
    /// A restart forgets who has blocked whom.
    BlocksForgotten,
    /// A restart forgets how far groups were read.
    MarksForgotten,
    /// One more has a message than has it.
    CountedTooHigh,
}

impl Bug {
    /// Where it is looked for.
    pub fn family(self) -> Family {
        match self {
            Bug::PlaceForgotten
            | Bug::FanoutForgotten
            | Bug::RemovalDoesNotCut
            | Bug::RevokeLeavesRow
            | Bug::CopyToSender
            | Bug::OverServed
            | Bug::BlocksForgotten
            | Bug::MarksForgotten
            | Bug::CountedTooHigh => Family::Crowd,
            _ => Family::Inbox,
        }
    }
}
