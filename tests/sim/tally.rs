//! What happened in a run, in numbers: a simulator is worth what it makes happen.

macro_rules! tally {
    ($($name:ident: $what:literal,)*) => {
        /// How often each thing happened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Ran {
            $(#[doc = $what] pub $name: u64,)*
        }

        impl Ran {
            pub fn add(&mut self, other: &Ran) {
                $(self.$name += other.$name;)*
            }

            /// Every count, with its name.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

tally! {
    steps: "Steps of the world.",
    accepted: "Messages accepted.",
    to_users: "Messages to users.",
    to_groups: "Messages to groups.",
    group_rows: "Rows of these.",
    notices: "Notices.",
    edits: "Changes of messages.",
    revoked: "Messages taken back.",
    revoke_rows: "Rows that tell of it.",
    over: "Messages whose own time was over.",
    orders: "Orders answered.",
    groups: "Groups founded.",
    unwanted: "Messages not taken from whoever is blocked.",
    marks: "Read marks set.",
    counted: "Counts told to the authors of messages to groups.",
    copies: "Copies for the other devices of a sender.",
    received: "Messages received by a device.",
    kills: "Deaths of the server.",
    kills_unflushed: "Deaths between a commit and its flush.",
    drains: "Orderly ends of the server.",
    crashes: "Deaths of one device process.",
    lost: "Frames lost.",
    doubled: "Frames doubled.",
    replaced: "Connections that took the place of one that lived.",
    late_acks: "Acknowledgements on a connection that had been replaced.",
    jams: "Clients that did not read for a while.",
    cut: "Of these, ended by the kernel.",
    too_slow: "Connections closed with 4051.",
    mailbox_full: "Times that an adapter had to wait for its device.",
    rows_beyond: "Rows that found the mailroom full.",
    resent: "Copies sent again.",
    parked: "Deliveries that ended without an acknowledgement.",
    pages: "Pages answered to SYNC.",
    acks_up_to: "Cumulative acknowledgements.",
    status: "States told.",
    receipts: "Frames 6.",
    busy: "Refusals with 503.",
    too_fast: "Refusals with 429.",
    inbox_full: "Refusals with 507.",
    storage: "Refusals with 500.",
    store_failures: "Failures of the engine.",
    store_panics: "Of these, panics.",
    reopened: "Openings after a failure.",
    survived: "Messages of a failed or killed batch that were there afterwards.",
    expired: "Messages that nobody took in time.",
    ids_forgotten: "Ids that were forgotten after twice the lifetime.",
    forgotten_unseen: "Devices forgotten because nobody saw them.",
    forgotten_room: "Devices that made room for another.",
    kicked: "Connections closed with 4013.",
    resync: "Devices for which rows were given up.",
    new_devices: "Devices that became known.",
    new_with_holes: "Of these, that began with holes.",
    tokens_ended: "Connections closed with 4006.",
    tokens_renewed: "Tokens renewed.",
    nights: "Long absences.",
    signals: "Signals sent.",
    signals_acked: "Signals acknowledged.",
    signals_failed: "Signals nobody acknowledged.",
    signals_nobody: "Signals to nobody online.",
}
