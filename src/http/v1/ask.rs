//! What a request says: names in its path, its query and its body, each refused in a sentence that names it.

use std::collections::HashSet;
use std::future::{Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::code::Code;
use crate::http::reply;
use crate::http::state::AppState;
use crate::id::{Cid, Did, MAX_NAME, MsgId, NameError, Uid};
use crate::message::Fault;
use crate::message::chat::Chat;

use super::answer::Refused;
use super::schema::{Limit, UserName};
use super::whole::WHOLE_MAX;

/// What the envelope of a message may take besides its payload, bytes.
pub(super) const ENVELOPE_MAX: usize = 4096;
/// The name of the query parameter that says for whom the admin token acts.
const ACTS_FOR: &str = "uid";
/// Entries of one page, if the request does not say, and at most.
const LIMIT: (usize, usize) = (50, 100);

/// The body, as JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Body<T>, Refused>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = web::Bytes::from_request(req, payload);
        Box::pin(async move {
            let bytes = bytes.await.map_err(|error| reply::body(&error))?;
            Ok(Body(object(&bytes)?))
        })
    }
}

/// The body, as JSON, or none at all.
pub(super) struct AnyBody<T>(pub(super) Option<T>);

impl<T: DeserializeOwned + 'static> FromRequest for AnyBody<T> {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<AnyBody<T>, Refused>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = web::Bytes::from_request(req, payload);
        Box::pin(async move {
            let bytes = bytes.await.map_err(|error| reply::body(&error))?;
            if [&b""[..], b"null"].contains(&bytes.trim_ascii()) {
                return Ok(AnyBody(None));
            }
            Ok(AnyBody(Some(object(&bytes)?)))
        })
    }
}

/// Reads a JSON object; serde alone would take a list of its values for one.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(bad("the body cannot be read: it is not a JSON object"));
    }
    let body = serde_json::from_slice(bytes);
    body.map_err(|error| bad(format!("the body cannot be read: {error}")))
}

/// The query, without the part that says who asks.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest for Asked<T> {
    type Error = Refused;
    type Future = Ready<Result<Asked<T>, Refused>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let others: Vec<&str> = parts(req).filter(|part| !names_caller(part)).collect();
        let read = web::Query::<T>::from_query(&others.join("&"));
        let read = read.map(|query| Asked(query.into_inner()));
        ready(read.map_err(|error| bad(format!("the query cannot be read: {error}")).into()))
    }
}

/// A part of a list of users.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Portion {
    /// Only those after this one: `next` of the page before.
    #[param(inline, value_type = UserName, required = false)]
    after: Option<String>,
    /// At most this many; 50 if it is not there.
    #[param(inline, value_type = Limit, required = false)]
    limit: Option<String>,
}

impl Portion {
    /// The user after whom it begins.
    pub(super) fn after(&self, state: &AppState) -> Result<Option<Uid>, Fault> {
        let after = self.after.as_deref();
        after.map(|after| user("after", after, state)).transpose()
    }

    /// The group after which it begins.
    pub(super) fn after_group(&self, state: &AppState) -> Result<Option<Cid>, Fault> {
        let group = |text| state.hashids.decode_group(text);
        let after = self.after.as_deref().map(group).transpose();
        after.map_err(|_| nobody("after names no group"))
    }

    /// How many there may be.
    pub(super) fn limit(&self) -> Result<usize, Fault> {
        limit(self.limit.as_deref())
    }
}

/// How many entries a page may have.
pub(super) fn limit(text: Option<&str>) -> Result<usize, Fault> {
    let (usual, most) = LIMIT;
    let asked = text.map_or(Ok(usual), str::parse);
    let allowed = asked.ok().filter(|limit| (1..=most).contains(limit));
    allowed.ok_or_else(|| bad(format!("limit must be a whole number from 1 to {most}")))
}

/// A whole number of the query.
pub(super) fn whole(name: &str, text: Option<&str>) -> Result<Option<u64>, Fault> {
    let Some(text) = text else {
        return Ok(None);
    };
    let read = text.parse().ok().filter(|number| *number <= WHOLE_MAX);
    let refused = || {
        bad(format!(
            "{name} must be a whole number from 0 to {WHOLE_MAX}"
        ))
    };
    read.map(Some).ok_or_else(refused)
}

/// For whom the admin token acts, as the request names them.
pub(super) fn acts_for(req: &HttpRequest) -> Result<Option<String>, Fault> {
    let mut named = parts(req).filter(|part| names_caller(part));
    let first = named.next();
    if named.next().is_some() {
        return Err(bad(format!("{ACTS_FOR} stands in the query twice")));
    }
    Ok(first.map(|part| {
        let (_, value) = part.split_once('=').unwrap_or_default();
        value.to_string()
    }))
}

/// The user for whom a name stands.
pub(super) fn user(what: &str, text: &str, state: &AppState) -> Result<Uid, Fault> {
    let uid = state.hashids.decode(text);
    uid.map_err(|_| nobody(format!("{what} names no user")))
}

/// The users for whom names stand, each once.
pub(super) fn users(what: &str, names: &[UserName], state: &AppState) -> Result<Vec<Uid>, Fault> {
    let mut users = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        users.push(user(&format!("{what}[{at}]"), name.as_str(), state)?);
    }
    let mut seen = HashSet::new();
    users.retain(|uid| seen.insert(*uid));
    Ok(users)
}

/// The group for which a name stands: whoever is no member does not hear whether there is one.
pub(super) fn group(text: &str, state: &AppState) -> Result<Cid, Fault> {
    state.hashids.decode_group(text).map_err(|_| no_member())
}

/// The conversation of a path.
pub(super) fn chat(kind: &str, to: &str, state: &AppState) -> Result<Chat, Fault> {
    match kind {
        "c2c" => Ok(Chat::User(user("the path", to, state)?)),
        "c2g" => Ok(Chat::Group(group(to, state)?)),
        _ => Err(nobody("a conversation is c2c or c2g")),
    }
}

/// A message by its name in a path; what can be no name is none that is there.
pub(super) fn message(text: &str) -> Result<MsgId, Fault> {
    MsgId::parse(text).map_err(|error| nobody(format!("no message is called that: its id {error}")))
}

/// A device by its name in a path.
pub(in crate::http) fn device(text: &str) -> Result<Did, Fault> {
    Did::parse(text).map_err(|error| nobody(format!("no device is called that: its did {error}")))
}

/// A name that a client has made.
pub(super) fn new_id(text: &str) -> Result<MsgId, Fault> {
    let id = MsgId::parse(text);
    id.map_err(|error| match error {
        NameError::TooLong => long("id", text, MAX_NAME),
        error => bad(format!("id {error}")),
    })
}

/// Refuses a text with too many bytes.
///
/// A schema counts characters: one that it lets through is not written wrongly, and does not fit all the same.
pub(super) fn fits(what: &str, text: &str, most: usize) -> Result<(), Fault> {
    if text.len() > most {
        return Err(long(what, text, most));
    }
    Ok(())
}

fn long(what: &str, text: &str, most: usize) -> Fault {
    let msg = format!(
        "{what} has {} bytes, at most {most} are allowed",
        text.len()
    );
    match text.chars().count() > most {
        true => bad(msg),
        false => Fault::because(Code::Conflict, msg),
    }
}

/// Whoever asks is no member, if there is such a group at all.
pub(super) fn no_member() -> Fault {
    Fault::because(Code::Forbidden, "not a member")
}

/// Nobody and nothing has that name.
pub(in crate::http) fn nobody(msg: impl Into<Box<str>>) -> Fault {
    Fault::because(Code::NotFound, msg)
}

/// Something cannot be read.
pub(in crate::http) fn bad(msg: impl Into<Box<str>>) -> Fault {
    Fault::because(Code::BadFrame, msg)
}

fn parts(req: &HttpRequest) -> impl Iterator<Item = &str> {
    req.query_string()
        .split('&')
        .filter(|part| !part.is_empty())
}

fn names_caller(part: &str) -> bool {
    part.split('=').next() == Some(ACTS_FOR)
}
