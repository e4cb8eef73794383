//! Who may come in at the admin listener: by which token, from which page.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};

use crate::code::Code;
use crate::message::Fault;
use crate::shell::Role;

use super::reply;
use super::state::AppState;

/// What a browser says of a request that a page of another site makes.
const FETCH_SITE: &str = "sec-fetch-site";
/// What a token in a URL would be called.
const TOKEN_NAMES: [&str; 6] = [
    "token",
    "authorization",
    "access_token",
    "admin_token",
    "bearer",
    "key",
];

/// What the token is good for; none if it is good for nothing.
pub fn role(token: &str, state: &AppState) -> Option<Role> {
    let is = |held: &str| !held.is_empty() && same(token.as_bytes(), held.as_bytes());
    if is(state.admin_token.expose()) {
        return Some(Role::Operator);
    }
    let reader = state.read_token.as_ref();
    reader
        .filter(|held| is(held.expose()))
        .map(|_| Role::Reader)
}

/// Compares in a time that depends on the lengths alone.
fn same(shown: &[u8], held: &[u8]) -> bool {
    let differing = shown.iter().zip(held).fold(0, |all, (a, b)| all | (a ^ b));
    shown.len() == held.len() && differing == 0
}

/// Refuses what a page of another site asks for, and tokens that stand in a URL, where logs and histories keep them.
pub async fn own_site<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, actix_web::Error> {
    match turn_away(req.headers(), req.uri()) {
        None => Ok(next.call(req).await?.map_into_left_body()),
        Some(fault) => Ok(req
            .into_response(reply::refused(&fault))
            .map_into_right_body()),
    }
}

fn turn_away(headers: &HeaderMap, uri: &Uri) -> Option<Fault> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let site = headers.get(FETCH_SITE).map(|v| v.to_str().unwrap_or(""));
    let is_foreign = match text(ORIGIN) {
        Some(origin) => host_of(origin) != text(HOST),
        None => false,
    };
    // A link from elsewhere may open a page, which knows no token.
    let is_opened = matches!(site, Some("cross-site" | "same-site"))
        && !["/", "/v1/docs"].contains(&uri.path());
    if is_foreign || is_opened {
        let msg = "a page of another site may not ask the admin listener";
        return Some(Fault::because(Code::Forbidden, msg));
    }
    token_in_url(uri)
}

/// Refuses a token that stands in a URL, where logs and histories keep it, whether it is good or not.
pub fn token_in_url(uri: &Uri) -> Option<Fault> {
    let mut named = uri.query().unwrap_or_default().split('&');
    let named = named.any(|part| {
        let name = part.split('=').next().unwrap_or_default();
        TOKEN_NAMES
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    });
    named.then(|| {
        let msg = "a token in a URL ends up in logs and histories: send it as `authorization: Bearer TOKEN`, and change the one that was sent";
        Fault::because(Code::BadFrame, msg)
    })
}

/// The host and port of an origin, as they stand in the header `host`.
fn host_of(origin: &str) -> Option<&str> {
    origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
}

/// Lets in who shows a token, as far as it is good.
pub async fn authorized<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, actix_web::Error> {
    let shown = reply::bearer_of(req.headers());
    let state = req.app_data::<web::Data<AppState>>();
    let fault = match state.and_then(|state| role(shown, state)) {
        Some(role) if role == Role::Operator || is_looking(req.method(), req.path()) => {
            req.extensions_mut().insert(role);
            return Ok(next.call(req).await?.map_into_left_body());
        }
        Some(_) => Fault::because(
            Code::Forbidden,
            "this token only reads, and that is more than reading",
        ),
        None => Fault::new(Code::InvalidToken),
    };
    Ok(req
        .into_response(reply::refused(&fault))
        .map_into_right_body())
}

/// Whether a request changes nothing, whatever it says: the shell judges each call by itself.
fn is_looking(method: &Method, path: &str) -> bool {
    let read = ["/observe", "/repl/table"];
    match *method {
        Method::GET => read.contains(&path),
        Method::POST => path == "/repl",
        _ => false,
    }
}

/// Whether a request shows any token at all.
pub fn shows_one(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn turned_away(headers: &[(&str, &str)], uri: &str) -> Option<Code> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        turn_away(&map, &uri.parse().unwrap()).map(|fault| fault.code)
    }

    #[test]
    fn a_page_of_another_site_is_turned_away() {
        let host = ("host", "127.0.0.1:9801");
        assert_eq!(turned_away(&[host], "/repl"), None);
        let own = ("origin", "http://127.0.0.1:9801");
        assert_eq!(turned_away(&[host, own], "/repl"), None);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:9800", ""] {
            let foreign = turned_away(&[host, ("origin", origin)], "/repl");
            assert_eq!(foreign, Some(Code::Forbidden), "{origin:?}");
        }
        let cross = (FETCH_SITE, "cross-site");
        assert_eq!(
            turned_away(&[host, cross], "/observe"),
            Some(Code::Forbidden)
        );
        assert_eq!(turned_away(&[host, cross], "/"), None);
    }

    #[test]
    fn a_token_in_a_url_is_turned_away_whether_it_is_good_or_not() {
        for uri in [
            "/repl?token=x",
            "/repl/ws?a=1&Authorization=x",
            "/?access_token=",
        ] {
            assert_eq!(turned_away(&[], uri), Some(Code::BadFrame), "{uri}");
        }
        assert_eq!(turned_away(&[], "/v1/bans?limit=3"), None);
    }

    #[test]
    fn who_only_reads_may_ask_and_not_tell() {
        for (method, path) in [
            (Method::GET, "/observe"),
            (Method::GET, "/repl/table"),
            (Method::POST, "/repl"),
        ] {
            assert!(is_looking(&method, path), "{method} {path}");
        }
        for (method, path) in [
            (Method::POST, "/observe"),
            (Method::GET, "/repl"),
            (Method::GET, "/something/new"),
        ] {
            assert!(!is_looking(&method, path), "{method} {path}");
        }
    }
}
