//! The admin listener as a command reaches it: where it is, and by which token.

use anyhow::{Result, anyhow, bail};

use crate::config::{Secret, Settings, keys};

use super::health::reachable;

/// The admin listener of these settings, as this machine reaches it; `option` is what names another one.
pub(super) fn own_url(settings: &Settings, option: &str) -> Result<String> {
    let addr = reachable(settings.listen.admin_addr()?);
    if addr.port() == 0 {
        bail!(
            "listen.admin leaves the port to the system: name it with {option} http[s]://HOST:PORT, as in the server's ready line"
        );
    }
    let scheme = match settings.listen.admin_tls() {
        Some(_) => "https",
        None => "http",
    };
    Ok(format!("{scheme}://{addr}"))
}

/// The token of operators.
pub(super) fn token(settings: &Settings) -> Result<Secret> {
    keys::admin_token(settings)?.ok_or_else(|| {
        anyhow!(
            "there is no admin token: set admin.token, or a store.path that has the server's {}",
            keys::FILE
        )
    })
}

/// The token of operators who may only look.
pub(super) fn read_token(settings: &Settings) -> Result<Secret> {
    keys::read_token(settings)?.ok_or_else(|| {
        anyhow!(
            "there is no read-only token: set admin.read_token, or a store.path whose {} has one",
            keys::FILE
        )
    })
}
