//! The OpenAPI document, written from the table of routes.

use std::sync::OnceLock;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, ParameterBuilder, ParameterIn, PathItem, Paths, PathsBuilder,
};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref,
    RefOr, Required, Schema, ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::messages::NewMessage;
use super::schema::{Later, Refusal, UserName};
use super::table::{self, Listener, Needs, Route, TAGS};

const ABOUT: &str = "Everything that a client or an app's backend may ask without a WebSocket.\n\n\
    Success is `{\"code\":0,\"msg\":\"success\",\"payload\":…}`, and a refusal `{\"code\",\"msg\",\"payload\":{}}` under the HTTP \
    status that fits, 401 for the codes 705 (the token has expired) and 706 (it is not valid here). Where the same request \
    may be taken later, `payload.retry_ms` and the header `Retry-After` say when. All requests may be repeated: those that \
    make something have an `id` that their maker chose, and are one request as long as that and the rest is the same. \
    What changes anything may be limited: each user with a token of their own has as much over HTTP as one device.\n\n\
    400 is for what cannot be read, and 409 for what can be read and makes no sense as things are. Users and groups are \
    named by short texts. Times are in Unix milliseconds. Whoever is no member of a group hears 403, whether or not there \
    is such a group.";

/// The document of one listener, as JSON; it is written once and never changes.
pub(super) fn document(listener: Listener) -> &'static str {
    static PUBLIC: OnceLock<String> = OnceLock::new();
    static DEV: OnceLock<String> = OnceLock::new();
    static ADMIN: OnceLock<String> = OnceLock::new();
    let written = match listener {
        Listener::Public { dev: false } => &PUBLIC,
        Listener::Public { dev: true } => &DEV,
        Listener::Admin => &ADMIN,
    };
    written.get_or_init(|| {
        let document = build(&table::of(listener), listener).to_json();
        document.unwrap_or_else(|error| {
            log::error!("the OpenAPI document could not be written: {error}");
            "{}".into()
        })
    })
}

fn build(routes: &[Route], listener: Listener) -> OpenApi {
    let mut schemas = vec![named::<Refusal>(), named::<Later>()];
    for route in routes {
        (route.schemas)(&mut schemas);
    }
    if listener == Listener::Admin {
        schemas.iter_mut().for_each(name_author);
    }
    let tags = TAGS
        .into_iter()
        .filter(|(name, _)| routes.iter().any(|r| r.tag == *name));
    let tags = tags.map(|(name, about)| {
        TagBuilder::new()
            .name(name)
            .description(Some(about))
            .build()
    });
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("user_token", bearer("An access token of a user (`tk`)."));
    let components = match listener {
        Listener::Public { .. } => {
            let about = "A refresh token of a user (`rtk`).";
            components.security_scheme("refresh_token", bearer(about))
        }
        Listener::Admin => {
            let about = "`admin.token`, or, for what only looks, `admin.read_token`.";
            components.security_scheme("admin_token", bearer(about))
        }
    };
    let license = LicenseBuilder::new()
        .name("MIT OR Apache-2.0")
        .identifier(Some("MIT OR Apache-2.0"));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("yizhan")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(ABOUT))
                .license(Some(license.build())),
        )
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .tags(Some(tags))
        .paths(paths(routes, listener))
        .components(Some(components.build()))
        .build()
}

/// The admin token is nobody: a message that is sent with it names its author.
fn name_author((name, schema): &mut (String, RefOr<Schema>)) {
    if let RefOr::T(Schema::Object(object)) = schema
        && *name == NewMessage::name()
    {
        let user = Ref::from_schema_name(UserName::name());
        object.properties.insert("from".into(), user.into());
        object.required.push("from".into());
        if let Some(example) = &mut object.example {
            example["from"] = "kybqdp".into();
        }
    }
}

fn paths(routes: &[Route], listener: Listener) -> Paths {
    let mut paths = PathsBuilder::new();
    for route in routes {
        let method = method(route);
        let item = PathItem::new(method, operation(route, listener));
        paths = paths.path(route.path.clone(), item);
    }
    paths.build()
}

fn operation(route: &Route, listener: Listener) -> Operation {
    let mut operation = (route.operation)();
    operation.tags = Some(vec![route.tag.to_string()]);
    let security = match (route.needs, listener) {
        (Needs::Nothing, _) => operation.security.take().unwrap_or_default(),
        (Needs::Admin | Needs::Operator, _) => vec![token("admin_token")],
        (_, Listener::Admin) => vec![token("admin_token"), token("user_token")],
        (_, Listener::Public { .. }) => vec![token("user_token")],
    };
    operation.security = Some(security);
    if route.needs == Needs::User && listener == Listener::Admin {
        let parameters = operation.parameters.get_or_insert_default();
        let acts_for = ParameterBuilder::new()
            .name("uid")
            .parameter_in(ParameterIn::Query)
            .required(Required::True)
            .description(Some(
                "For whom the admin token acts; with a user's own token it may be left out.",
            ))
            .schema(Some(UserName::schema()));
        parameters.push(acts_for.build());
    }
    for (status, why) in refusals(route, &operation, listener) {
        let responses = &mut operation.responses.responses;
        let known = responses.entry(status.to_string());
        known.or_insert_with(|| refusal(status, why).into());
    }
    operation
}

/// How a route may refuse, besides what it says itself.
fn refusals(route: &Route, operation: &Operation, listener: Listener) -> Vec<(u16, &'static str)> {
    let mut refusals = Vec::new();
    if route.needs != Needs::Nothing {
        refusals.extend([
            (400, "The request cannot be read."),
            (
                401,
                "705: the token has expired, get another. 706: it is not valid here.",
            ),
            (
                403,
                "Whoever asks may not do this, or is banned; `msg` says which.",
            ),
            (500, "The store failed: repeat it as it is."),
            (503, "The server is overloaded or going down: repeat it."),
        ]);
    }
    if operation.parameters.is_some() || operation.request_body.is_some() {
        refusals.push((404, "Nobody and nothing by that name is there."));
    }
    if route.method != actix_web::http::Method::GET && route.needs != Needs::Nothing {
        refusals.push((
            409,
            "It was asked before with another content, or makes no sense as things are.",
        ));
    }
    if operation.request_body.is_some() {
        refusals.push((413, "The body or the payload is too long."));
    }
    let is_change = route.method != actix_web::http::Method::GET;
    let is_counted = is_change && matches!(route.needs, Needs::User | Needs::Anybody);
    if is_counted || matches!(listener, Listener::Public { .. }) {
        refusals.push((429, "Too much at once: repeat it later."));
    }
    if matches!(listener, Listener::Public { .. }) {
        refusals.push((503, "The server is overloaded or going down: repeat it."));
    }
    refusals
}

fn refusal(status: u16, why: &str) -> Response {
    let refused = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Refusal::name())))
        .build();
    let response = ResponseBuilder::new()
        .description(why)
        .content("application/json", refused);
    if !matches!(status, 429 | 503) {
        return response.build();
    }
    let header = HeaderBuilder::new()
        .schema(u64::schema())
        .description(Some("Seconds."));
    response.header("Retry-After", header.build()).build()
}

fn bearer(about: &str) -> SecurityScheme {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(about));
    SecurityScheme::Http(scheme.build())
}

fn token(name: &str) -> SecurityRequirement {
    SecurityRequirement::new(name, Vec::<String>::new())
}

fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

fn method(route: &Route) -> HttpMethod {
    match route.method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}
