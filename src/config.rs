//! The settings: what they are, which values are possible, and how to show them without their secrets.
//!
//! `config/default.toml` documents every key; `layers` puts the sources on top of each other; `keys` holds the secrets
//! that nobody has to think of.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use crate::id::{Did, Hashids, NameError};

pub mod keys;
pub mod layers;
mod origin;
mod people;
pub mod webhook;

pub use keys::Keys;
pub use layers::{ConfigError, Sources};
pub use people::{Contacts, Group, History, Message, Presence};

/// Everything an operator can set; each field is a section of `config/default.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the server listens, and how much it takes in at once.
    pub listen: Listen,
    /// Where messages are kept.
    pub store: Store,
    /// How tokens are signed and how long they live.
    pub auth: Auth,
    /// How user numbers become hashids.
    pub ids: Ids,
    /// What a device may do, and for how long it is remembered.
    pub device: Device,
    /// When a message is sent again.
    pub delivery: Delivery,
    /// How much waits for a reader, and for how long.
    pub inbox: Inbox,
    /// How long conversations are kept.
    pub history: History,
    /// What an author may do to a message later.
    pub message: Message,
    /// Who may write to whom.
    pub contacts: Contacts,
    /// The bounds of groups.
    pub group: Group,
    /// How it is told who is online.
    pub presence: Presence,
    /// How much one client may ask of the server.
    pub limits: Limits,
    /// What the operator's shell may take.
    pub shell: Shell,
    /// How long the lives of messages are remembered.
    pub trace: Trace,
    /// Who is told of what happens.
    pub webhook: webhook::Webhook,
    /// Who may use the admin listener.
    pub admin: Admin,
}

/// Where the server listens, and how much it takes in at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port for clients; port 0 lets the system choose.
    pub public: String,
    /// Address and port for operators; port 0 lets the system choose.
    pub admin: String,
    /// The PEM file of the public listener's certificate chain; empty without TLS.
    pub tls_cert: PathBuf,
    /// The PEM file of its private key; empty without TLS.
    pub tls_key: PathBuf,
    /// The PEM file of the admin listener's certificate chain; empty without TLS.
    pub admin_tls_cert: PathBuf,
    /// The PEM file of its private key; empty without TLS.
    pub admin_tls_key: PathBuf,
    /// The origins whose pages may call the public API; `*` alone for all.
    pub cors_origins: Vec<String>,
    /// The longest payload of a message, in bytes.
    pub max_payload: usize,
    /// The longest WebSocket frame, in bytes.
    pub max_frame: usize,
}

impl Listen {
    /// Returns [`Listen::public`] as an address; settings that were loaded always have one.
    pub fn public_addr(&self) -> Result<SocketAddr, Impossible> {
        address("listen.public", &self.public)
    }

    /// Returns [`Listen::admin`] as an address; settings that were loaded always have one.
    pub fn admin_addr(&self) -> Result<SocketAddr, Impossible> {
        address("listen.admin", &self.admin)
    }

    /// Returns the files of the public listener's certificate chain and private key, if it is to speak TLS.
    pub fn public_tls(&self) -> Option<(&Path, &Path)> {
        pair(&self.tls_cert, &self.tls_key)
    }

    /// Returns the same for the admin listener.
    pub fn admin_tls(&self) -> Option<(&Path, &Path)> {
        pair(&self.admin_tls_cert, &self.admin_tls_key)
    }
}

/// Where messages are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// What keeps them.
    pub engine: Engine,
    /// The directory of the store and of `keys.toml`.
    pub path: PathBuf,
    /// With fewer free bytes on the file system of `path`, no new message is taken; 0 turns this off.
    pub min_free_bytes: u64,
}

/// What keeps the messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// A sled database on disk.
    Sled,
    /// Memory only: everything is gone when the process ends.
    Memory,
}

/// How tokens are signed and how long they live.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The HS256 key; empty when it is to come from `keys.toml`.
    pub jwt_key: Secret,
    /// The lifetime of an access token, in milliseconds.
    pub token_ttl_ms: u64,
    /// The lifetime of a refresh token, in milliseconds.
    pub refresh_ttl_ms: u64,
    /// How long an expired access token still connects and stays connected, in milliseconds.
    pub expiry_leeway_ms: u64,
}

impl Auth {
    /// Returns the configured signing key, if there is one.
    pub fn jwt_key(&self) -> Option<&str> {
        filled(self.jwt_key.expose())
    }
}

/// How user numbers become hashids.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ids {
    /// What makes these ids differ from those of other installations.
    pub salt: String,
    /// The characters of an id.
    pub alphabet: String,
    /// The characters of the alphabet that stand between numbers.
    pub separators: String,
    /// The length of the shortest id, in characters.
    pub min_length: usize,
}

/// What a device may do, and for how long it is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The device id of a connection that names none; empty when such a connection is refused.
    pub default_did: String,
    /// The device type of a connection that names none.
    pub default_dtype: String,
    /// How long a connection may be silent, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How many messages are on their way to one device at once.
    pub deliver_window: usize,
    /// How many messages of one device may wait for the server's answer at once.
    pub send_window: usize,
    /// How long written data may stay unacknowledged by the peer's TCP, in milliseconds.
    pub write_deadline_ms: u64,
    /// After how long without a connection a device is forgotten, in milliseconds.
    pub forget_ms: u64,
    /// How many devices of one user are remembered.
    pub max_per_user: usize,
}

impl Device {
    /// Returns the device id of a connection that names none, if such a connection is let in.
    pub fn default_did(&self) -> Option<&str> {
        filled(&self.default_did)
    }

    /// Returns the device type of a connection that names none, if there is one.
    pub fn default_dtype(&self) -> Option<&str> {
        filled(&self.default_dtype)
    }
}

/// When a message is sent again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The gaps before each copy, in milliseconds; the first is 0.
    pub schedule_ms: Vec<u64>,
}

/// How much waits for a reader, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbox {
    /// How many messages that no device has acknowledged may wait for one reader.
    pub max_messages: u64,
    /// How long a message waits, in milliseconds.
    pub ttl_ms: u64,
}

/// How much one client may ask of the server; 0 switches a limit off.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Messages and signals that one device may send in a second.
    pub messages_per_s: u64,
    /// Bytes of frames, of every kind, that one device may send in a second.
    pub bytes_per_s: u64,
    /// Devices of one user that may be connected at once.
    pub connections_per_user: usize,
    /// Connections that one IPv4 address, or one IPv6 network of 64 bits, may hold open on the public listener.
    pub connections_per_address: usize,
    /// Logins of the whole server in a second.
    pub handshakes_per_s: u64,
}

/// What the operator's shell may take.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shell {
    /// How long one evaluation may take, in milliseconds.
    pub eval_ms: u64,
    /// The IP address on which `rtmp_proxy:run/2` listens.
    pub relay_address: String,
}

impl Shell {
    /// Returns [`Shell::relay_address`] as an address; settings that were loaded always have one.
    pub fn relay_ip(&self) -> Result<IpAddr, Impossible> {
        let ip = self.relay_address.parse();
        ip.map_err(|_| {
            let reason = format!("must be an IP address, not {:?}", self.relay_address);
            impossible("shell.relay_address", reason)
        })
    }
}

/// How long the lives of messages are remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// For how long, in milliseconds.
    pub keep_ms: u64,
    /// In how many bytes; 0 when nothing is written down.
    pub max_bytes: u64,
}

/// Who may use the admin listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The bearer token of operators; empty when it is to come from `keys.toml`.
    pub token: Secret,
    /// The bearer token of those who only look; empty when it is to come from `keys.toml`.
    pub read_token: Secret,
}

impl Admin {
    /// Returns the configured token of operators, if there is one.
    pub fn token(&self) -> Option<&str> {
        filled(self.token.expose())
    }

    /// Returns the configured token of those who only look, if there is one.
    pub fn read_token(&self) -> Option<&str> {
        filled(self.read_token.expose())
    }
}

/// A text that neither `Debug` nor serialization shows; an empty one means that nothing is configured.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn cover(&self) -> &'static str {
        if self.0.is_empty() {
            "(generated at first start)"
        } else {
            "(hidden)"
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cover())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.cover())
    }
}

/// A value that no server can work with; its text is one line that begins with the key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Impossible {
    /// The key, as `section.key`.
    pub key: &'static str,
    /// The other key that takes part, if it is the two together that are impossible.
    pub with: Option<&'static str>,
    /// What the value would have to be.
    pub reason: String,
}

impl Settings {
    /// Refuses the first value that no server can work with.
    pub fn check(&self) -> Result<(), Impossible> {
        self.check_listen()?;
        if self.store.path.as_os_str().is_empty() {
            return Err(impossible("store.path", "must not be empty"));
        }
        within(
            "store.min_free_bytes",
            self.store.min_free_bytes,
            0..=MAX_FREE,
        )?;
        within("auth.token_ttl_ms", self.auth.token_ttl_ms, 1..=CENTURY_MS)?;
        within(
            "auth.refresh_ttl_ms",
            self.auth.refresh_ttl_ms,
            1..=CENTURY_MS,
        )?;
        within(
            "auth.expiry_leeway_ms",
            self.auth.expiry_leeway_ms,
            0..=CENTURY_MS,
        )?;
        Hashids::build(&self.ids).map_err(|(key, reason)| impossible(key, reason))?;
        self.check_device()?;
        check_schedule(&self.delivery.schedule_ms)?;
        within("inbox.max_messages", self.inbox.max_messages, 1..=MAX_INBOX)?;
        within("inbox.ttl_ms", self.inbox.ttl_ms, 1..=CENTURY_MS)?;
        self.check_people()?;
        self.webhook.check()?;
        self.check_limits()?;
        within("shell.eval_ms", self.shell.eval_ms, 10..=MAX_EVAL_MS)?;
        self.shell.relay_ip()?;
        within("trace.keep_ms", self.trace.keep_ms, 1..=CENTURY_MS)?;
        let max_bytes = self.trace.max_bytes;
        if max_bytes != 0 {
            within("trace.max_bytes", max_bytes, MIN_TRACE..=MAX_FREE)?;
        }
        if self.admin.read_token().is_some() && self.admin.read_token() == self.admin.token() {
            return Err(Impossible {
                key: "admin.read_token",
                with: Some("admin.token"),
                reason: "must differ from admin.token".into(),
            });
        }
        Ok(())
    }

    /// Returns the settings in force as TOML, with every secret hidden.
    pub fn redacted(&self) -> String {
        toml::to_string(self)
            .unwrap_or_else(|error| format!("# These settings cannot be shown: {error}\n"))
    }

    fn check_listen(&self) -> Result<(), Impossible> {
        let listen = &self.listen;
        let (public, admin) = (listen.public_addr()?, listen.admin_addr()?);
        if public == admin && public.port() != 0 {
            return Err(Impossible {
                key: "listen.admin",
                with: Some("listen.public"),
                reason: format!("must differ from listen.public, but both are {public}"),
            });
        }
        both_or_none(
            ("listen.tls_cert", &listen.tls_cert),
            ("listen.tls_key", &listen.tls_key),
        )?;
        both_or_none(
            ("listen.admin_tls_cert", &listen.admin_tls_cert),
            ("listen.admin_tls_key", &listen.admin_tls_key),
        )?;
        origin::check(&listen.cors_origins)
            .map_err(|reason| impossible("listen.cors_origins", reason))?;
        within(
            "listen.max_payload",
            listen.max_payload as u64,
            1..=MAX_PAYLOAD,
        )?;
        within("listen.max_frame", listen.max_frame as u64, 1..=MAX_FRAME)?;
        let least = listen.max_payload + ENVELOPE;
        if listen.max_frame < least {
            return Err(Impossible {
                key: "listen.max_frame",
                with: Some("listen.max_payload"),
                reason: format!(
                    "must be at least listen.max_payload + {ENVELOPE} = {least}, but is {}",
                    listen.max_frame
                ),
            });
        }
        Ok(())
    }

    fn check_device(&self) -> Result<(), Impossible> {
        let device = &self.device;
        let named = |key, name: Option<&str>| match name.map(Did::parse) {
            Some(Err(error)) => Err(name_error(key, error)),
            _ => Ok(()),
        };
        named("device.default_did", device.default_did())?;
        named("device.default_dtype", device.default_dtype())?;
        within(
            "device.idle_timeout_ms",
            device.idle_timeout_ms,
            3_000..=DAY_MS,
        )?;
        within(
            "device.deliver_window",
            device.deliver_window as u64,
            1..=MAX_WINDOW,
        )?;
        within(
            "device.send_window",
            device.send_window as u64,
            1..=MAX_WINDOW,
        )?;
        within(
            "device.write_deadline_ms",
            device.write_deadline_ms,
            100..=HOUR_MS,
        )?;
        within("device.forget_ms", device.forget_ms, 1..=CENTURY_MS)?;
        within(
            "device.max_per_user",
            device.max_per_user as u64,
            1..=MAX_DEVICES,
        )
    }

    fn check_limits(&self) -> Result<(), Impossible> {
        let limits = &self.limits;
        within("limits.messages_per_s", limits.messages_per_s, 0..=MAX_RATE)?;
        within("limits.bytes_per_s", limits.bytes_per_s, 0..=MAX_BYTE_RATE)?;
        within(
            "limits.handshakes_per_s",
            limits.handshakes_per_s,
            0..=MAX_RATE,
        )?;
        within(
            "limits.connections_per_user",
            limits.connections_per_user as u64,
            0..=MAX_DEVICES,
        )?;
        within(
            "limits.connections_per_address",
            limits.connections_per_address as u64,
            0..=MAX_CONNECTIONS,
        )
    }
}

const MAX_RATE: u64 = 1_000_000;
/// Above it a byte takes less than the clock of the rates can tell.
const MAX_BYTE_RATE: u64 = 100_000_000;
const MAX_CONNECTIONS: u64 = 1_000_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Bounds every span of time, so that adding one to a point in time cannot overflow.
const CENTURY_MS: u64 = 36_500 * DAY_MS;
const MAX_PAYLOAD: u64 = 16 * 1024 * 1024;
const MAX_FRAME: u64 = 64 * 1024 * 1024;
/// What a frame needs besides its payload: two hashids, a message id, numbers, names of fields.
const ENVELOPE: usize = 1024;
const MAX_WINDOW: u64 = 65_536;
const MAX_DEVICES: u64 = 1_000;
/// The longest evaluation.
const MAX_EVAL_MS: u64 = 60_000;
/// The least that a trace is kept in, if one is kept.
const MIN_TRACE: u64 = 32 << 20;
/// A pebibyte.
const MAX_FREE: u64 = 1 << 50;
const MAX_INBOX: u64 = 10_000_000;
const MAX_COPIES: usize = 64;

/// Refuses gaps, in milliseconds, that are no schedule.
pub fn check_schedule(gaps: &[u64]) -> Result<(), Impossible> {
    const KEY: &str = "delivery.schedule_ms";
    if gaps.first() != Some(&0) {
        let reason = "must begin with 0: the first copy is sent at once";
        return Err(impossible(KEY, reason));
    }
    if gaps.len() > MAX_COPIES {
        let reason = format!(
            "must have at most {MAX_COPIES} gaps, but has {}",
            gaps.len()
        );
        return Err(impossible(KEY, reason));
    }
    gaps.iter()
        .try_for_each(|gap| within(KEY, *gap, 0..=DAY_MS))
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn pair<'a>(cert: &'a Path, key: &'a Path) -> Option<(&'a Path, &'a Path)> {
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    (is_set(cert) && is_set(key)).then_some((cert, key))
}

fn both_or_none(
    cert: (&'static str, &PathBuf),
    key: (&'static str, &PathBuf),
) -> Result<(), Impossible> {
    let (given, missing) = match (cert.1.as_os_str().is_empty(), key.1.as_os_str().is_empty()) {
        (false, true) => (cert.0, key.0),
        (true, false) => (key.0, cert.0),
        _ => return Ok(()),
    };
    Err(Impossible {
        key: missing,
        with: Some(given),
        reason: format!("must be set as well, because {given} is: TLS needs both"),
    })
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, Impossible> {
    text.parse().map_err(|_| {
        let reason =
            format!("must be an IP address and a port such as 127.0.0.1:9800, but is {text:?}");
        impossible(key, reason)
    })
}

fn within(key: &'static str, value: u64, bounds: RangeInclusive<u64>) -> Result<(), Impossible> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (least, most) = bounds.into_inner();
    Err(impossible(
        key,
        format!("must be between {least} and {most}, but is {value}"),
    ))
}

fn name_error(key: &'static str, error: NameError) -> Impossible {
    impossible(key, format!("cannot be used: it {error}"))
}

fn impossible(key: &'static str, reason: impl Into<String>) -> Impossible {
    Impossible {
        key,
        with: None,
        reason: reason.into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::layers::{DEFAULTS, SEED};
    use super::*;

    #[test]
    fn the_default_file_and_the_settings_have_the_same_keys() {
        let in_file: toml::Table = DEFAULTS.parse().unwrap();
        let in_settings: toml::Table = defaults().redacted().parse().unwrap();
        assert_eq!(keys(&in_file), keys(&in_settings));
    }

    #[test]
    fn every_key_of_the_default_file_is_explained_above_it() {
        let lines: Vec<&str> = DEFAULTS.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if line.contains(" = ") && !line.starts_with('#') {
                let above = lines[at - 1];
                assert!(above.starts_with("# ") && above.ends_with('.'), "{line}");
            }
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let settings = defaults();
        assert_eq!(settings.listen.public, "127.0.0.1:9800");
        assert_eq!(settings.listen.admin, "127.0.0.1:9801");
        assert_eq!(settings.listen.public_tls(), None);
        assert_eq!(settings.listen.admin_tls(), None);
        assert!(settings.listen.cors_origins.is_empty());
        assert_eq!(settings.listen.max_payload, 65_536);
        assert_eq!(settings.listen.max_frame, 131_072);
        assert_eq!(settings.store.engine, Engine::Sled);
        assert_eq!(settings.store.path, PathBuf::from("data"));
        assert_eq!(settings.store.min_free_bytes, 67_108_864);
        assert_eq!(settings.auth.jwt_key(), None);
        assert_eq!(settings.auth.token_ttl_ms, 7_200_000);
        assert_eq!(settings.auth.refresh_ttl_ms, 8_640_000_000);
        assert_eq!(settings.auth.expiry_leeway_ms, 0);
        assert_eq!(settings.ids.salt, "");
        assert_eq!(settings.ids.separators, "cfhistuCFHISTU");
        assert_eq!(settings.ids.min_length, 6);
        let letters: String = ('a'..='z')
            .chain('A'..='Z')
            .chain('1'..='9')
            .chain(['0'])
            .collect();
        assert_eq!(settings.ids.alphabet, letters);
        assert_eq!(settings.device.default_did(), None);
        assert_eq!(settings.device.default_dtype(), None);
        assert_eq!(settings.device.idle_timeout_ms, 128_000);
        assert_eq!(settings.device.deliver_window, 64);
        assert_eq!(settings.device.send_window, 256);
        assert_eq!(settings.device.write_deadline_ms, 30_000);
        assert_eq!(settings.device.forget_ms, 2_592_000_000);
        assert_eq!(settings.device.max_per_user, 10);
        assert_eq!(
            settings.delivery.schedule_ms,
            [0, 1500, 1500, 3000, 1000, 3000, 5000]
        );
        assert_eq!(settings.inbox.max_messages, 10_000);
        assert_eq!(settings.inbox.ttl_ms, 604_800_000);
        assert_eq!(settings.limits.messages_per_s, 0);
        assert_eq!(settings.limits.bytes_per_s, 0);
        assert_eq!(settings.limits.connections_per_user, 0);
        assert_eq!(settings.limits.connections_per_address, 0);
        assert_eq!(settings.limits.handshakes_per_s, 0);
        assert_eq!(settings.admin.token(), None);
    }

    #[test]
    fn the_seed_file_holds_the_published_sample() {
        let seed: toml::Table = SEED.parse().unwrap();
        let text = |section: &str, key: &str| seed[section][key].as_str().unwrap().to_owned();
        assert_eq!(text("auth", "jwt_key"), "Ap2fQm5aBgE8Qzuar6oixYmXpffcL3yw");
        assert_eq!(text("ids", "salt"), "cVQtrKNu");
        assert_eq!(text("ids", "alphabet"), "123456789abcdefghijkmnpqrstuvwxyz");
        assert_eq!(text("ids", "separators"), "cfhistuu");
        assert_eq!(seed["ids"]["min_length"].as_integer(), Some(6));
        assert_eq!(text("device", "default_did"), "did");
        assert_eq!(text("device", "default_dtype"), "ios");
        assert_eq!(
            seed["auth"]["expiry_leeway_ms"].as_integer(),
            Some(3_153_600_000_000)
        );
        assert!(!DEFAULTS.contains("cVQtrKNu") && !DEFAULTS.contains("Ap2fQm5a"));
    }

    #[test]
    fn impossible_values_are_named() {
        let cases: [(&str, Spoil); 31] = [
            ("listen.public: must be an IP", |s| {
                s.listen.public = "localhost:9800".into()
            }),
            ("listen.admin: must be an IP", |s| {
                s.listen.admin = "127.0.0.1".into()
            }),
            ("listen.admin: must differ", |s| {
                s.listen.admin = s.listen.public.clone()
            }),
            (
                "listen.tls_key: must be set as well, because listen.tls_cert",
                |s| s.listen.tls_cert = "cert.pem".into(),
            ),
            (
                "listen.admin_tls_cert: must be set as well, because listen.admin_tls_key",
                |s| s.listen.admin_tls_key = "key.pem".into(),
            ),
            ("listen.cors_origins: ", |s| {
                s.listen.cors_origins = vec!["app.example".into()]
            }),
            ("listen.max_payload: ", |s| s.listen.max_payload = 0),
            ("listen.max_frame: ", |s| {
                s.listen.max_frame = s.listen.max_payload + 1023
            }),
            ("store.path: ", |s| s.store.path = PathBuf::new()),
            ("store.min_free_bytes: ", |s| {
                s.store.min_free_bytes = u64::MAX
            }),
            ("auth.token_ttl_ms: ", |s| s.auth.token_ttl_ms = 0),
            ("auth.refresh_ttl_ms: ", |s| {
                s.auth.refresh_ttl_ms = u64::MAX
            }),
            ("auth.expiry_leeway_ms: ", |s| {
                s.auth.expiry_leeway_ms = CENTURY_MS + 1
            }),
            ("ids.alphabet: ", |s| s.ids.alphabet = "abc".into()),
            (
                "device.default_did: cannot be used: it contains a comma",
                |s| {
                    s.device.default_did = "a,b".into();
                },
            ),
            ("device.default_dtype: ", |s| {
                s.device.default_dtype = "a\n".into()
            }),
            ("device.idle_timeout_ms: ", |s| {
                s.device.idle_timeout_ms = 2_999
            }),
            ("device.deliver_window: ", |s| s.device.deliver_window = 0),
            ("device.send_window: ", |s| s.device.send_window = 65_537),
            ("device.write_deadline_ms: ", |s| {
                s.device.write_deadline_ms = 0
            }),
            ("device.forget_ms: ", |s| s.device.forget_ms = 0),
            ("device.max_per_user: ", |s| s.device.max_per_user = 0),
            ("delivery.schedule_ms: must begin", |s| {
                s.delivery.schedule_ms.clear()
            }),
            ("delivery.schedule_ms: must have", |s| {
                s.delivery.schedule_ms = vec![0; 65]
            }),
            ("delivery.schedule_ms: must be", |s| {
                s.delivery.schedule_ms = vec![0, DAY_MS + 1]
            }),
            ("inbox.max_messages: ", |s| s.inbox.max_messages = 0),
            ("limits.messages_per_s: ", |s| {
                s.limits.messages_per_s = 1_000_001
            }),
            ("limits.bytes_per_s: ", |s| s.limits.bytes_per_s = u64::MAX),
            ("limits.connections_per_user: ", |s| {
                s.limits.connections_per_user = 1_001
            }),
            ("limits.connections_per_address: ", |s| {
                s.limits.connections_per_address = 1_000_001
            }),
            ("limits.handshakes_per_s: ", |s| {
                s.limits.handshakes_per_s = 1_000_001
            }),
        ];
        for (expected, spoil) in cases {
            let mut settings = defaults();
            spoil(&mut settings);
            let error = settings.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn two_listeners_may_both_ask_for_any_port() {
        let mut settings = defaults();
        settings.listen.public = "127.0.0.1:0".into();
        settings.listen.admin = "127.0.0.1:0".into();
        assert_eq!(settings.check(), Ok(()));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let mut settings = defaults();
        settings.auth.jwt_key = Secret::new("hunter2");
        let shown = settings.redacted() + &format!("{settings:?}");
        assert!(!shown.contains("hunter2"));
        assert!(shown.contains("jwt_key = \"(hidden)\""));
        assert!(shown.contains("token = \"(generated at first start)\""));
        assert_eq!(settings.auth.jwt_key(), Some("hunter2"));
    }

    type Spoil = fn(&mut Settings);

    fn defaults() -> Settings {
        Settings::load(&Sources::default()).unwrap()
    }

    fn keys(table: &toml::Table) -> BTreeSet<String> {
        table
            .iter()
            .flat_map(|(section, keys)| {
                let keys = keys.as_table().unwrap().keys();
                keys.map(move |key| format!("{section}.{key}"))
            })
            .collect()
    }
}
