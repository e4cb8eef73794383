//! Every route of the REST API: what answers it, who may call it, where it is, and how it is described.

use actix_web::http::Method;
use actix_web::http::header::ALLOW;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::{RefOr, Schema};

use crate::http::{access, admin, backup, public, reply};

use super::caller::admit;
use super::{
    blocks, contacts, conversations, devices, groups, members, messages, presence, receipts, tokens,
};

/// A listener of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// For apps and their clients.
    Public {
        /// Whether the developer's login is there.
        dev: bool,
    },
    /// For operators and the app's backend.
    Admin,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Everybody.
    Nothing,
    /// A user, or the admin token in the name of one.
    User,
    /// A user, or the admin token, which need not name one.
    Anybody,
    /// The admin token; the one that only reads, if it is a GET.
    Admin,
    /// The admin token, and never the one that only reads.
    Operator,
}

/// Where a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// On both listeners.
    Both,
    /// On the public one.
    Public,
    /// On the public one, for developers.
    Dev,
    /// On the admin one.
    Admin,
}

impl On {
    fn is_at(self, listener: Listener) -> bool {
        match self {
            On::Both => true,
            On::Public => matches!(listener, Listener::Public { .. }),
            On::Dev => listener == Listener::Public { dev: true },
            On::Admin => listener == Listener::Admin,
        }
    }
}

/// A row of the table.
pub struct Route {
    /// How it is called.
    pub method: Method,
    /// Where, with its parameters in braces.
    pub path: String,
    /// Who may.
    pub needs: Needs,
    /// On which listeners.
    pub on: On,
    /// Under which heading it is described.
    pub tag: &'static str,
    /// What it takes and answers.
    pub operation: fn() -> Operation,
    /// The schemas that the description refers to.
    pub schemas: fn(&mut Vec<(String, RefOr<Schema>)>),
    handler: fn() -> actix_web::Route,
}

macro_rules! route {
    ($tag:literal, $on:ident, $needs:ident, $module:ident::$handler:ident as $doc:ident) => {
        Route {
            method: method_of(&<$module::$doc as utoipa::Path>::methods()),
            path: <$module::$doc as utoipa::Path>::path(),
            needs: Needs::$needs,
            on: On::$on,
            tag: $tag,
            operation: <$module::$doc as utoipa::Path>::operation,
            schemas: <$module::$doc as utoipa::__dev::SchemaReferences>::schemas,
            handler: || web::to($module::$handler),
        }
    };
}

/// The headings of the table, in their order, with what stands below them.
pub const TAGS: [(&str, &str); 10] = [
    (
        "Messages",
        "Sending, changing and taking back. Everything may be repeated with the same id.",
    ),
    (
        "Conversations",
        "What was said, how far it is read, and how long it lives.",
    ),
    (
        "Groups",
        "Founding and changing groups, joining and leaving.",
    ),
    ("Members", "Who is in a group, and what they may do in it."),
    ("Contacts", "Whom a user knows, and whom they have blocked."),
    ("Devices", "The devices of a user."),
    ("Presence", "Who is online."),
    ("Tokens", "Getting and renewing tokens."),
    ("Access", "Who may not come; for operators."),
    ("Server", "Health, metrics and backup."),
];

/// The whole table.
#[rustfmt::skip]
pub fn all() -> Vec<Route> {
    vec![
        route!("Messages", Both, Anybody, messages::send as __path_send),
        route!("Messages", Both, User, messages::edit as __path_edit),
        route!("Messages", Both, User, messages::revoke as __path_revoke),
        route!("Messages", Both, User, receipts::receipts as __path_receipts),
        route!("Conversations", Both, User, conversations::list as __path_list),
        route!("Conversations", Both, User, conversations::one as __path_one),
        route!("Conversations", Both, User, conversations::history as __path_history),
        route!("Conversations", Both, User, conversations::mark_read as __path_mark_read),
        route!("Conversations", Both, User, conversations::set_expiry as __path_set_expiry),
        route!("Groups", Both, User, groups::create as __path_create),
        route!("Groups", Both, User, groups::list as __path_list),
        route!("Groups", Both, User, groups::one as __path_one),
        route!("Groups", Both, User, groups::update as __path_update),
        route!("Groups", Both, User, groups::dissolve as __path_dissolve),
        route!("Groups", Both, User, groups::join as __path_join),
        route!("Groups", Both, User, groups::leave as __path_leave),
        route!("Members", Both, User, members::list as __path_list),
        route!("Members", Both, User, members::invite as __path_invite),
        route!("Members", Both, User, members::remove as __path_remove),
        route!("Members", Both, User, members::set_role as __path_set_role),
        route!("Members", Both, User, members::mute as __path_mute),
        route!("Contacts", Both, User, contacts::list as __path_list),
        route!("Contacts", Both, User, contacts::ask as __path_ask),
        route!("Contacts", Both, User, contacts::confirm as __path_confirm),
        route!("Contacts", Both, User, contacts::remove as __path_remove),
        route!("Contacts", Both, User, blocks::list as __path_list),
        route!("Contacts", Both, User, blocks::block as __path_block),
        route!("Contacts", Both, User, blocks::unblock as __path_unblock),
        route!("Devices", Both, User, devices::list as __path_list),
        route!("Devices", Both, User, devices::forget as __path_forget),
        route!("Devices", Both, User, devices::kick as __path_kick),
        route!("Presence", Both, Anybody, presence::presence as __path_presence),
        route!("Tokens", Admin, Admin, tokens::make as __path_make),
        route!("Tokens", Public, Nothing, tokens::refresh as __path_refresh),
        route!("Tokens", Dev, Nothing, tokens::dev as __path_dev),
        route!("Access", Admin, Admin, access::bans as __path_bans),
        route!("Access", Admin, Admin, access::access as __path_access),
        route!("Access", Admin, Admin, access::ban_user as __path_ban_user),
        route!("Access", Admin, Admin, access::unban_user as __path_unban_user),
        route!("Access", Admin, Admin, access::ban_device as __path_ban_device),
        route!("Access", Admin, Admin, access::unban_device as __path_unban_device),
        route!("Access", Admin, Admin, access::invalidate as __path_invalidate),
        route!("Server", Both, Nothing, public::live as __path_live),
        route!("Server", Both, Nothing, public::ready as __path_ready),
        route!("Server", Admin, Admin, admin::metrics as __path_metrics),
        route!("Server", Admin, Operator, backup::backup as __path_backup),
    ]
}

/// The rows of one listener.
pub fn of(listener: Listener) -> Vec<Route> {
    let mut routes = all();
    routes.retain(|route| route.on.is_at(listener));
    routes
}

/// Registers rows that stand under one path as one resource, which refuses every other method.
pub(super) fn register(
    config: &mut web::ServiceConfig,
    mut routes: Vec<Route>,
    listener: Listener,
) {
    while let Some(first) = routes.first() {
        let path = first.path.clone();
        let (here, others) = routes.into_iter().partition(|route| route.path == path);
        config.service(resource(&path, here, listener));
        routes = others;
    }
}

fn resource(path: &str, routes: Vec<Route>, listener: Listener) -> actix_web::Resource {
    let mut allowed: Vec<Method> = Vec::new();
    let mut resource = web::resource(path);
    for route in routes {
        resource = resource.route(guarded(&route, route.method.clone(), listener));
        if route.method == Method::GET {
            resource = resource.route(guarded(&route, Method::HEAD, listener));
            allowed.push(Method::HEAD);
        }
        allowed.push(route.method);
    }
    refusing_others(resource, &allowed)
}

/// Something that anybody may read.
pub(super) fn readable<F, Fut>(path: &str, answer: F) -> actix_web::Resource
where
    F: Fn() -> Fut + Clone + 'static,
    Fut: Future<Output = HttpResponse> + 'static,
{
    let resource = web::resource(path)
        .route(web::get().to(answer.clone()))
        .route(web::head().to(answer));
    refusing_others(resource, &[Method::GET, Method::HEAD])
}

fn refusing_others(resource: actix_web::Resource, allowed: &[Method]) -> actix_web::Resource {
    let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let allowed = allowed.join(", ");
    resource.default_service(web::to(move |req: HttpRequest| {
        let allowed = allowed.clone();
        async move { not_allowed(&req, &allowed) }
    }))
}

fn guarded(route: &Route, method: Method, listener: Listener) -> actix_web::Route {
    let needs = route.needs;
    let answered = (route.handler)().method(method);
    if needs == Needs::Nothing {
        return answered;
    }
    answered.wrap(from_fn(move |req, next| admit(req, next, needs, listener)))
}

fn not_allowed(req: &HttpRequest, allowed: &str) -> HttpResponse {
    let mut answer = reply::not_allowed(req);
    if let Ok(allowed) = allowed.parse() {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    answer
}

fn method_of(methods: &[HttpMethod]) -> Method {
    match methods.first() {
        Some(HttpMethod::Post) => Method::POST,
        Some(HttpMethod::Put) => Method::PUT,
        Some(HttpMethod::Patch) => Method::PATCH,
        Some(HttpMethod::Delete) => Method::DELETE,
        _ => Method::GET,
    }
}
