//! Everything that the server may tell a client, with the name of its message in the document.

use std::sync::Arc;

use yizhan::code::{Close, Code};
use yizhan::id::{Cid, Did, MsgId, Uid};
use yizhan::message::chat::{Amendment, Chat, Listed, Receiver};
use yizhan::message::group::{Joining, Role};
use yizhan::message::look::{Chats, History, Listing};
use yizhan::message::notice::About;
use yizhan::message::{
    Ack, Address, Counted, Event, Fate, Fault, Kind, Message, Notice, Presence, Row, Signal, State,
    Target, Unwanted, What,
};

const ALICE: Uid = Uid(1);
const BOB: Uid = Uid(108);
const USER: Chat = Chat::User(BOB);
const GROUP: Chat = Chat::Group(Cid(9));
const CHATS: [Chat; 2] = [USER, GROUP];
const NOW: u64 = 1_700_000_000_123;

/// What no message of the document describes: an operator's own text, and the end of the connection.
pub const NO_MESSAGE: &str = "";

/// Samples of every variant: one that has none, or is not named, does not compile or is told.
macro_rules! samples {
    ($kind:ty { $($variant:pat => $samples:expr),+ $(,)? }) => {{
        let _ = |one: &$kind| match one {
            $($variant => {}),+
        };
        let mut all: Vec<(&'static str, $kind)> = Vec::new();
        $(
            let samples: Vec<(&'static str, $kind)> = $samples.into_iter().collect();
            let fits = samples.iter().all(|(_, one)| matches!(one, $variant));
            assert!(fits && !samples.is_empty(), "samples of {}", stringify!($variant));
            all.extend(samples);
        )+
        all
    }};
}

/// Every variant of an enum without values; one that is left out does not compile.
macro_rules! all {
    ($kind:ident: $($variant:ident),+) => {{
        let _ = |one: $kind| match one {
            $($kind::$variant => {}),+
        };
        [$($kind::$variant),+]
    }};
}

pub fn events() -> Vec<(&'static str, Event)> {
    samples!(Event {
        Event::Accepted { .. } => CHATS.into_iter().flat_map(|to| {
            [0, 5].map(|cseq| ("accepted", Event::Accepted { id: id("m1"), to, cseq, server_ts: NOW }))
        }),
        Event::Amended { amendment: Amendment::Revoke { .. }, .. } => CHATS.map(|to| {
            let amendment = Amendment::Revoke { id: id("m1") };
            ("revokeOk", Event::Amended { amendment, to, server_ts: NOW })
        }),
        Event::Amended { amendment: Amendment::Edit { .. }, .. } => CHATS.map(|to| {
            let amendment = yizhan::codec::json::edit(id("e1"), id("m1"), "1".into());
            ("editOk", Event::Amended { amendment, to, server_ts: NOW })
        }),
        Event::Unwanted { .. } => all!(Unwanted: NotAFriend, InDenylist).map(|why| {
            let id = id("m1");
            ("refusedNotice", Event::Unwanted { id, sender: ALICE, to: BOB, why, server_ts: NOW })
        }),
        Event::Counted(_) => {
            let counted = Counted { sender: ALICE, id: id("m1"), gid: Cid(9), count: 3, server_ts: NOW };
            [("groupDelivered", Event::Counted(counted))]
        },
        Event::ReadOk { .. } => chats_and_ids().map(|(to, id)| ("readOk", Event::ReadOk { id, to, up_to: 7 })),
        Event::Read { .. } => [(USER, ALICE, BOB), (USER, ALICE, ALICE), (GROUP, ALICE, ALICE)].map(|(chat, by, to)| {
            ("read", Event::Read { chat, by, to, up_to: 7, server_ts: NOW })
        }),
        Event::Typing { .. } => CHATS.map(|to| ("typing", Event::Typing { from: ALICE, to })),
        Event::HistoryPage { .. } => chats_and_ids().map(|(to, id)| {
            let history = History { messages: kept(), next: 1, more: false };
            ("historyPage", Event::HistoryPage { id, to, history, head: 9 })
        }),
        Event::WaitingPage { .. } => chats_and_ids().map(|(to, id)| {
            let rows = rows().into_iter().map(|(_, row)| row).collect();
            ("chatSyncPage", Event::WaitingPage { id, to, rows, next: 7, more: true })
        }),
        Event::ChatsPage { .. } => ids().map(|id| {
            let chats = Chats { chats: listed(), next: NOW, more: false };
            ("conversationsPage", Event::ChatsPage { id, chats })
        }),
        Event::ReceiptsPage { .. } => [None, Some(BOB)].map(|next| {
            let items = [true, false].map(|read| Receiver { uid: BOB, delivered: true, read });
            let members = Listing { items: items.into(), next };
            ("receiptsPage", Event::ReceiptsPage { id: None, to: Cid(9), of: id("m1"), members })
        }),
        Event::PresenceIs { .. } => ids().map(|id| {
            let of = all!(Presence: Online, Offline, Unknown).map(|presence| (BOB, presence));
            ("presences", Event::PresenceIs { id, of: of.into() })
        }),
        Event::Relayed { .. } => [("signalAccepted", Event::Relayed { id: id("w1"), to: BOB, server_ts: NOW })],
        Event::Deliver(Row { what: What::Message, .. }) => rows_of(|what| *what == What::Message),
        Event::Deliver(Row { what: What::Copy, .. }) => rows_of(|what| *what == What::Copy),
        Event::Deliver(Row { what: What::Revoke, .. }) => rows_of(|what| *what == What::Revoke),
        Event::Deliver(Row { what: What::Edit(_), .. }) => rows_of(|what| matches!(what, What::Edit(_))),
        Event::Signal(_) => [
            ("relayed", signal("WEBRTC_OFFER", Some(-5), false)),
            ("relayed", signal("webrtc_ice_2", None, false)),
            (NO_MESSAGE, signal("text", None, true)),
        ],
        Event::Text(_) => [(NO_MESSAGE, Event::Text("true".into()))],
        Event::AckOk(Ack::Id { .. }) => [("ackOk", Event::AckOk(Ack::Id { id: id("m1"), did: did("phone") }))],
        Event::AckOk(Ack::Seqs(_)) => [vec![], vec![3, u64::MAX]].map(|seqs| ("ackOk", Event::AckOk(Ack::Seqs(seqs)))),
        Event::AckOk(Ack::UpTo(_)) => [("ackOk", Event::AckOk(Ack::UpTo(7)))],
        Event::Delivered { .. } => [None, Some(did("phone"))].map(|did| {
            ("delivered", Event::Delivered { id: id("m1"), reader: BOB, did, server_ts: NOW })
        }),
        Event::SyncPage { .. } => [rows(), vec![]].map(|rows| {
            let rows = rows.into_iter().map(|(_, row)| row).collect();
            ("syncPage", Event::SyncPage { rows, next: 7, more: true })
        }),
        Event::Status(_) => {
            let states = all!(State: Unknown, Accepted, Delivered, Expired, Revoked);
            CHATS.map(|to| {
                let of = states.map(|state| (Target { to, id: id("m1") }, state, 3));
                ("states", Event::Status(of.into()))
            })
        },
        Event::RefreshOk { .. } => [("refreshOk", Event::RefreshOk { expire_at: NOW })],
        Event::Error { .. } => faults().map(|fault| ("error", Event::Error { fault, server_ts: NOW })),
        Event::Notice { .. } => notices().into_iter().map(|notice| {
            ("notice", Event::Notice { id: id("s1"), to: BOB, notice, server_ts: NOW })
        }),
        Event::Close(_) => [(NO_MESSAGE, Event::Close(Close::Idle))],
    })
}

fn notices() -> Vec<Notice> {
    let samples = samples!(Notice {
        Notice::OfflineSummary { .. } => [("", Notice::OfflineSummary { count: 3, from_seq: 1, to_seq: 3 })],
        Notice::PleaseRefreshToken { .. } => [("", Notice::PleaseRefreshToken { expire_at: NOW })],
        Notice::Resync => [("", Notice::Resync)],
        Notice::Presence { .. } => [true, false].map(|online| ("", Notice::Presence { uid: BOB, online })),
    });
    samples.into_iter().map(|(_, notice)| notice).collect()
}

/// What is said of a conversation, with the conversations in which it is.
fn abouts() -> Vec<(Chat, About)> {
    let (of_group, of_two, of_any) = ("group", "two", "any");
    let roles = all!(Role: Member, Admin, Owner);
    let joinings = all!(Joining: Invited, Open);
    let samples = samples!(About {
        About::GroupCreated(..) => [(of_group, About::GroupCreated("Hikers".into(), vec![ALICE, BOB]))],
        About::GroupJoined(_) => [(of_group, About::GroupJoined(vec![BOB]))],
        About::GroupLeft(_) => [(of_group, About::GroupLeft(BOB))],
        About::GroupRemoved(_) => [(of_group, About::GroupRemoved(BOB))],
        About::GroupRenamed(_) => [(of_group, About::GroupRenamed("Climbers".into()))],
        About::GroupJoinRule(_) => joinings.map(|joining| (of_group, About::GroupJoinRule(joining))),
        About::GroupRole(..) => roles.map(|role| (of_group, About::GroupRole(BOB, role))),
        About::GroupMuted(..) => [None, Some(BOB)].map(|uid| (of_group, About::GroupMuted(uid, NOW))),
        About::GroupDissolved => [(of_group, About::GroupDissolved)],
        About::Expiry(_) => [(of_any, About::Expiry(86_400_000))],
        About::ContactRequested(_) => {
            [None, Some("It is me".into())].map(|text| (of_two, About::ContactRequested(text)))
        },
        About::ContactConfirmed => [(of_two, About::ContactConfirmed)],
    });
    let mut abouts = Vec::new();
    for (of, about) in samples {
        if of != of_two {
            abouts.push((GROUP, about.clone()));
        }
        if of != of_group {
            abouts.push((USER, about));
        }
    }
    abouts
}

fn faults() -> impl Iterator<Item = Fault> {
    let of_code = |code: Code| {
        let fault = Fault::new(code);
        let addressed = fault.clone().about(&id("m1"), GROUP).later(1000);
        let raw = Fault {
            to: Some(Address::Raw("nobody".into())),
            ..fault.clone()
        };
        [fault, addressed, raw]
    };
    Code::ALL.into_iter().flat_map(of_code)
}

/// Messages as they stand in conversations; what is over stands there no longer.
fn kept() -> Vec<Arc<Message>> {
    let fates = [Fate::Whole, Fate::Edited(NOW), Fate::Revoked(NOW)];
    let mut kept: Vec<Message> = Vec::new();
    for to in CHATS {
        kept.extend(fates.map(|fate| Message { fate, ..words(to) }));
        kept.push(timed(words(to)));
    }
    for (to, about) in abouts() {
        let message = notice(to, &about);
        kept.extend([timed(message.clone()), message]);
    }
    kept.into_iter().map(Arc::new).collect()
}

/// What waits in an inbox, with the name of its message when it is delivered.
fn rows() -> Vec<(&'static str, Row)> {
    let mut rows = Vec::new();
    for to in CHATS {
        let old = Message {
            cseq: 0,
            ..words(to)
        };
        let edited = Message {
            fate: Fate::Edited(NOW),
            ..words(to)
        };
        for message in [words(to), timed(words(to)), old, edited.clone()] {
            rows.push(("delivery", row(What::Message, message.clone())));
            rows.push(("delivery", row(What::Copy, message)));
        }
        rows.push(("edited", row(What::Edit(id("e1")), edited)));
        let revoked = Message {
            fate: Fate::Revoked(NOW),
            payload: "".into(),
            ..words(to)
        };
        rows.push(("revoked", row(What::Revoke, revoked)));
    }
    for (to, about) in abouts() {
        let message = notice(to, &about);
        for message in [timed(message.clone()), message] {
            rows.push(("chatNotice", row(What::Message, message)));
        }
    }
    rows
}

fn rows_of(what: impl Fn(&What) -> bool) -> Vec<(&'static str, Event)> {
    let rows = rows().into_iter().filter(|(_, row)| what(&row.what));
    rows.map(|(name, row)| (name, Event::Deliver(row)))
        .collect()
}

fn row(what: What, message: Message) -> Row {
    Row {
        reader: BOB,
        seq: 7,
        since: NOW,
        what,
        message: Arc::new(message),
    }
}

fn words(to: Chat) -> Message {
    Message {
        id: id("m1"),
        kind: Kind::Words,
        from: ALICE,
        to,
        payload: r#"{"text":"hello"}"#.into(),
        created_at: None,
        server_ts: NOW,
        expires_at: None,
        fate: Fate::Whole,
        cseq: 5,
    }
}

fn notice(to: Chat, about: &About) -> Message {
    Message {
        kind: Kind::Notice,
        payload: about.to_payload(),
        ..words(to)
    }
}

/// The same with every time that it may have.
fn timed(message: Message) -> Message {
    let created_at = match message.kind {
        Kind::Words => Some(i64::MIN),
        Kind::Notice => None,
    };
    Message {
        created_at,
        expires_at: Some(u64::MAX),
        ..message
    }
}

fn listed() -> Vec<Listed> {
    let user = Listed {
        chat: USER,
        name: None,
        role: None,
        head: 140,
        read: 138,
        peer_read: Some(139),
        unread: 2,
        updated_at: NOW,
        expire_ms: 0,
        dissolved: false,
        last: None,
    };
    let group = |role| Listed {
        chat: GROUP,
        name: Some("Hikers".into()),
        role: Some(role),
        peer_read: None,
        dissolved: role == Role::Owner,
        ..user.clone()
    };
    let roles = all!(Role: Member, Admin, Owner);
    let mut listed: Vec<Listed> = roles.map(group).into();
    for last in kept() {
        let of = if last.to == GROUP {
            group(Role::Member)
        } else {
            user.clone()
        };
        let last = Some(last);
        listed.push(Listed { last, ..of });
    }
    listed.push(user);
    listed
}

fn signal(kind: &str, created_at: Option<i64>, bare: bool) -> Event {
    Event::Signal(Arc::new(Signal {
        id: id("w1"),
        kind: kind.into(),
        from: ALICE,
        to: BOB,
        payload: "{}".into(),
        created_at,
        bare,
    }))
}

fn ids() -> [Option<MsgId>; 2] {
    [None, Some(id("q1"))]
}

fn chats_and_ids() -> impl Iterator<Item = (Chat, Option<MsgId>)> {
    CHATS.into_iter().flat_map(|to| ids().map(|id| (to, id)))
}

fn id(text: &str) -> MsgId {
    MsgId::parse(text).unwrap()
}

fn did(text: &str) -> Did {
    Did::parse(text).unwrap()
}
