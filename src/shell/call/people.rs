//! What people see of each other: conversations, groups, members, contacts.

use crate::erl::function::Raised;
use crate::erl::term::Term;
use crate::id::{Cid, Hashids};
use crate::message::chat::{Chat, Listed};
use crate::message::contact::ContactView;
use crate::message::group::{GroupView, MemberView};
use crate::message::look::{Found, Look, Which};
use crate::shell::Call;
use crate::shell::table::{Body, Function};
use crate::shell::terms::{failed, group_of, map, number, or_undefined, text, user_name, user_of};

/// Entries of a list.
const LISTED: usize = 50;
/// Bytes of last messages that one list of conversations reads.
const BYTES_MAX: usize = 1 << 20;

/// The functions.
pub const FUNCTIONS: &[Function] = &[
    Function {
        module: "yizhan",
        name: "conversations",
        arity: 1,
        usage: "yizhan:conversations(Uid)",
        doc: "The conversations of a user, the latest first, 50 of them: how far they go, how far they were read, and how many of others' messages are unread.",
        body: Body::Reads(conversations),
    },
    Function {
        module: "yizhan",
        name: "groups",
        arity: 1,
        usage: "yizhan:groups(Uid)",
        doc: "The groups of a user, 50 of them.",
        body: Body::Reads(groups),
    },
    Function {
        module: "yizhan",
        name: "members",
        arity: 1,
        usage: "yizhan:members(Gid)",
        doc: "The members of a group, 50 of them: their roles, since when, and until when they are muted.",
        body: Body::Reads(members),
    },
    Function {
        module: "yizhan",
        name: "contacts",
        arity: 1,
        usage: "yizhan:contacts(Uid)",
        doc: "The contacts of a user, and requests in both directions, 50 of them.",
        body: Body::Reads(contacts),
    },
    Function {
        module: "yizhan",
        name: "blocked",
        arity: 1,
        usage: "yizhan:blocked(Uid)",
        doc: "Whom a user takes nothing from, 50 of them.",
        body: Body::Reads(blocked),
    },
];

fn conversations(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let wanted = Look::Chats {
        uid: user_of(&args[0], &call.state().hashids)?,
        before: None,
        limit: LISTED,
        max_bytes: BYTES_MAX,
    };
    let Found::Chats(found) = look(call, wanted)? else {
        return Err(another());
    };
    let hashids = &call.state().hashids;
    let listed = found
        .chats
        .iter()
        .map(|listed| conversation(listed, hashids));
    Ok(told(listed.collect(), found.more))
}

fn conversation(listed: &Listed, hashids: &Hashids) -> Term {
    let (kind, with) = match listed.chat {
        Chat::User(uid) => ("user", user_name(uid, hashids)),
        Chat::Group(gid) => ("group", group_name(gid, hashids)),
    };
    let last = listed.last.as_ref();
    map([
        (kind, with),
        ("last_cseq", number(listed.head)),
        ("read", number(listed.read)),
        ("peer_read", or_undefined(listed.peer_read.map(number))),
        ("unread", number(listed.unread)),
        ("updated", number(listed.updated_at)),
        ("expire_ms", number(listed.expire_ms)),
        (
            "last_id",
            or_undefined(last.map(|last| text(last.id.as_str()))),
        ),
    ])
}

fn groups(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let wanted = Look::Groups {
        uid: user_of(&args[0], &call.state().hashids)?,
        after: None,
        limit: LISTED,
    };
    let Found::Groups(found) = look(call, wanted)? else {
        return Err(another());
    };
    let hashids = &call.state().hashids;
    let listed = found.items.iter().map(|view| group(view, hashids));
    Ok(told(listed.collect(), found.next.is_some()))
}

fn group(view: &GroupView, hashids: &Hashids) -> Term {
    map([
        ("group", group_name(view.gid, hashids)),
        ("name", text(&view.name)),
        ("owner", user_name(view.owner, hashids)),
        ("join", text(view.joining.name())),
        ("muted", Term::bool(view.muted)),
        ("members", number(view.members)),
        ("role", text(view.role.name())),
        ("since", number(view.created_at)),
        ("dissolved", Term::bool(view.dissolved)),
    ])
}

fn members(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let wanted = Look::Members {
        gid: group_of(&args[0], &call.state().hashids)?,
        after: None,
        limit: LISTED,
    };
    let Found::Members(found) = look(call, wanted)? else {
        return Err(another());
    };
    let hashids = &call.state().hashids;
    let listed = found.items.iter().map(|view| member(view, hashids));
    Ok(told(listed.collect(), found.next.is_some()))
}

fn member(view: &MemberView, hashids: &Hashids) -> Term {
    map([
        ("user", user_name(view.uid, hashids)),
        ("uid", number(view.uid.0)),
        ("role", text(view.role.name())),
        ("since", number(view.joined_at)),
        ("muted_until", number(view.muted_until)),
    ])
}

fn contacts(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    others(call, &args[0], Which::All)
}

fn blocked(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    others(call, &args[0], Which::Blocked)
}

fn others(call: &mut Call<'_>, of: &Term, which: Which) -> Result<Term, Raised> {
    let wanted = Look::Contacts {
        uid: user_of(of, &call.state().hashids)?,
        which,
        after: None,
        limit: LISTED,
    };
    let Found::Contacts(found) = look(call, wanted)? else {
        return Err(another());
    };
    let hashids = &call.state().hashids;
    let listed = found.items.iter().map(|view| contact(view, hashids));
    Ok(told(listed.collect(), found.next.is_some()))
}

fn contact(view: &ContactView, hashids: &Hashids) -> Term {
    let tie = view.tie.map(|tie| text(tie.name()));
    map([
        ("user", user_name(view.uid, hashids)),
        ("uid", number(view.uid.0)),
        ("tie", or_undefined(tie)),
        ("since", number(view.since)),
        ("blocked", Term::bool(view.blocked)),
    ])
}

fn look(call: &Call<'_>, wanted: Look) -> Result<Found, Raised> {
    let state = call.shell.state.clone();
    let found = call.ask(async move { state.look(wanted).await })?;
    found.map_err(|fault| failed("refused", &*fault.msg))
}

fn another() -> Raised {
    failed("storage", "an answer to something else")
}

fn group_name(gid: Cid, hashids: &Hashids) -> Term {
    text(&hashids.encode_group(gid))
}

/// A list; says whether there is more.
fn told(mut listed: Vec<Term>, more: bool) -> Term {
    if more {
        listed.push(Term::atom("and_more"));
    }
    Term::list(listed)
}
