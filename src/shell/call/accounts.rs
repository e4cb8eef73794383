//! Users and tokens: `imboy_hashids`, `token_ds`, `imboy_dt`.

use crate::erl::function::Raised;
use crate::erl::term::Term;
use crate::id::Uid;
use crate::shell::Call;
use crate::shell::table::{Body, Function, Plan};
use crate::shell::terms::{failed, map, number, text, text_of, user_of, wrong};
use crate::token::{Claims, Kind, TokenError};

/// The functions.
pub const FUNCTIONS: &[Function] = &[
    Function {
        module: "imboy_hashids",
        name: "uid_encode",
        arity: 1,
        usage: "imboy_hashids:uid_encode(Uid)",
        doc: "The hashid of a user, by number.",
        body: Body::Reads(uid_encode),
    },
    Function {
        module: "imboy_hashids",
        name: "uid_decode",
        arity: 1,
        usage: "imboy_hashids:uid_decode(Hashid)",
        doc: "The number of a user, by hashid; an error if it is none.",
        body: Body::Reads(uid_decode),
    },
    Function {
        module: "token_ds",
        name: "encrypt_token",
        arity: 1,
        usage: "token_ds:encrypt_token(Uid)",
        doc: "A new access token for a user, good for auth.token_ttl_ms.",
        body: Body::Changes(encrypt_token),
    },
    Function {
        module: "token_ds",
        name: "encrypt_refreshtoken",
        arity: 1,
        usage: "token_ds:encrypt_refreshtoken(Uid)",
        doc: "A new refresh token for a user, good for auth.refresh_ttl_ms.",
        body: Body::Changes(encrypt_refreshtoken),
    },
    Function {
        module: "token_ds",
        name: "decrypt_token",
        arity: 1,
        usage: "token_ds:decrypt_token(Token)",
        doc: "{ok,Uid,ExpireMs,<<\"tk\">>|<<\"rtk\">>}, {error,705,Text,Map} if it has expired, {error,706,Text,Map} if it is no token.",
        body: Body::Reads(decrypt_token),
    },
    Function {
        module: "imboy_dt",
        name: "millisecond",
        arity: 0,
        usage: "imboy_dt:millisecond()",
        doc: "The time, Unix milliseconds.",
        body: Body::Reads(millisecond),
    },
];

fn uid_encode(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let hashids = &call.state().hashids;
    Ok(text(&hashids.encode(user_of(&args[0], hashids)?)))
}

fn uid_decode(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let name = text_of(&args[0]).ok_or_else(Raised::badarg)?;
    match call.state().hashids.decode(&name) {
        Ok(Uid(uid)) => Ok(number(uid)),
        Err(_) => Err(wrong("bad_hashid", &args[0])),
    }
}

fn encrypt_token(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    mint(call, args, Kind::Access)
}

fn encrypt_refreshtoken(call: &mut Call<'_>, args: &[Term]) -> Result<Plan, Raised> {
    mint(call, args, Kind::Refresh)
}

/// A token changes nothing, and whoever has one may act as its user: that is no reading.
fn mint(call: &mut Call<'_>, args: &[Term], kind: Kind) -> Result<Plan, Raised> {
    let uid = user_of(&args[0], &call.state().hashids)?;
    let what = match kind {
        Kind::Access => "an access token",
        Kind::Refresh => "a refresh token",
    };
    Ok(Plan::new(
        format!("make {what} for user {uid}"),
        move |call| {
            let state = call.state();
            let now = state.services.clock.wall_ms();
            let ttl_ms = match kind {
                Kind::Access => state.settings.auth.token_ttl_ms,
                Kind::Refresh => state.settings.auth.refresh_ttl_ms,
            };
            let claims = Claims {
                uid,
                exp_ms: now.saturating_add(ttl_ms),
                iat_ms: Some(now),
                kind,
            };
            let token = state.tokens.mint(&claims);
            token
                .map(|token| text(&token))
                .map_err(|error| failed("token", error.to_string()))
        },
    ))
}

fn decrypt_token(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let token = text_of(&args[0]).ok_or_else(Raised::badarg)?;
    let state = call.state();
    let now = state.services.clock.wall_ms();
    let answer = match state.tokens.verify(&token, now, 0) {
        Ok(claims) => vec![
            Term::ok(),
            number(claims.uid.0),
            number(claims.exp_ms),
            text(claims.kind.sub()),
        ],
        Err(error) => {
            let known = match error {
                TokenError::Expired(claims) => map([
                    ("expire_at", number(claims.exp_ms)),
                    ("uid", number(claims.uid.0)),
                ]),
                TokenError::Invalid => map([]),
            };
            vec![
                Term::atom("error"),
                number(error.code().number().into()),
                text(&error.to_string()),
                known,
            ]
        }
    };
    Ok(Term::tuple(answer))
}

fn millisecond(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    Ok(number(call.state().services.clock.wall_ms()))
}
