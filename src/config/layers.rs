//! Where settings come from: the compiled-in defaults, files, the environment, the command line, each over the one before.

use std::fs;
use std::path::PathBuf;

use figment::error::Kind;
use figment::value::{Dict, Map, Value as Stored};
use figment::{Figment, Metadata, Profile, Provider};
use toml::{Table, Value};

use super::Settings;

/// What an operator supplied, the later kind over the earlier and the later item over the earlier.
#[derive(Clone, Default)]
pub struct Sources {
    /// Configuration files.
    pub files: Vec<PathBuf>,
    /// The environment; only names that begin with `YIZHAN__`, in any case, are looked at.
    pub env: Vec<(String, String)>,
    /// Settings of the command line, each as `section.key=value`.
    pub sets: Vec<String>,
}

/// Why the settings cannot be used; the text is one line that names the source and the key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read, or is not TOML.
    #[error("config file {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such section or key.
    #[error("unknown setting `{key}` in {origin}")]
    Unknown {
        /// The section or the key, as `section.key`.
        key: String,
        /// The source.
        origin: String,
    },
    /// The value cannot be used.
    #[error("{key} (from {origin}): {reason}")]
    Impossible {
        /// The key, as `section.key`.
        key: String,
        /// The source.
        origin: String,
        /// What the value would have to be.
        reason: String,
    },
    /// An item of the command line has no equals sign.
    #[error("--set {shown}: must be section.key=value")]
    Set {
        /// The beginning of the item.
        shown: String,
    },
}

impl Settings {
    /// Puts the sources on top of the defaults and checks the outcome.
    pub fn load(sources: &Sources) -> Result<Settings, ConfigError> {
        let origin = "the default settings";
        let defaults = parse_file(origin, DEFAULTS)?;
        let mut figment = Figment::from(Layer::new(origin.into(), &defaults)?);
        for path in &sources.files {
            let name = path.display().to_string();
            let text = fs::read_to_string(path).map_err(|error| ConfigError::File {
                path: name.clone(),
                reason: format!("cannot be read: {error}"),
            })?;
            let table = parse_file(&name, &text)?;
            let origin = format!("config file {name}");
            check_table(&defaults, &table, &origin)?;
            figment = figment.merge(Layer::new(origin, &table)?);
        }
        for (name, raw) in &sources.env {
            if let Some(path) = env_path(name) {
                let origin = format!("environment variable {}", name.escape_debug());
                let table = typed(&defaults, &path, raw, &origin)?;
                figment = figment.merge(Layer::new(origin, &table)?);
            }
        }
        for set in &sources.sets {
            let (path, raw) = set.split_once('=').ok_or_else(|| malformed_set(set))?;
            let table = typed(&defaults, path.trim(), raw, "--set")?;
            figment = figment.merge(Layer::new("--set".into(), &table)?);
        }
        let settings: Settings = figment
            .extract()
            .map_err(|error| extraction_error(&figment, error))?;
        settings.check().map_err(|error| {
            let mut origin = origin_of(&figment, error.key);
            if let Some(with) = error.with {
                origin = format!("{origin}, with {with} from {}", origin_of(&figment, with));
            }
            ConfigError::Impossible {
                key: error.key.into(),
                origin,
                reason: error.reason,
            }
        })?;
        Ok(settings)
    }
}

pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");
#[cfg(test)]
pub(super) const SEED: &str = include_str!("../../config/seed.toml");

const ENV_PREFIX: &str = "YIZHAN__";

struct Layer {
    origin: String,
    values: Dict,
}

impl Layer {
    fn new(origin: String, table: &Table) -> Result<Self, ConfigError> {
        let values = table
            .iter()
            .map(|(section, keys)| {
                let keys = Stored::serialize(keys).map_err(|error| ConfigError::Impossible {
                    key: section.clone(),
                    origin: origin.clone(),
                    reason: one_line(&error.kind.to_string()),
                })?;
                Ok((section.clone(), keys))
            })
            .collect::<Result<Dict, ConfigError>>()?;
        Ok(Self { origin, values })
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Parses a file without repeating any of its text in an error, because a line of it may hold a secret.
fn parse_file(path: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let place = match before {
            Some(before) => format!("line {} ", before.matches('\n').count() + 1),
            None => String::new(),
        };
        ConfigError::File {
            path: path.into(),
            reason: format!("{place}is not TOML: {}", one_line(error.message())),
        }
    })
}

fn check_table(defaults: &Table, table: &Table, origin: &str) -> Result<(), ConfigError> {
    for (section, keys) in table {
        let Some(known) = defaults.get(section).and_then(Value::as_table) else {
            return Err(unknown(section, origin));
        };
        let Some(keys) = keys.as_table() else {
            return Err(mismatch(section, origin, "a section"));
        };
        for (key, value) in keys {
            let path = format!("{section}.{key}");
            let Some(default) = known.get(key) else {
                return Err(unknown(&path, origin));
            };
            if !same_type(default, value) {
                return Err(mismatch(&path, origin, type_name(default)));
            }
        }
    }
    Ok(())
}

fn env_path(name: &str) -> Option<String> {
    let prefix = name.get(..ENV_PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(ENV_PREFIX) {
        return None;
    }
    Some(
        name[ENV_PREFIX.len()..]
            .to_ascii_lowercase()
            .replacen("__", ".", 1),
    )
}

/// Reads a raw text as the type that the default of its key has, so that a key of digits stays a text.
fn typed(defaults: &Table, path: &str, raw: &str, origin: &str) -> Result<Table, ConfigError> {
    let unknown = || unknown(path, origin);
    let (section, key) = path.split_once('.').ok_or_else(unknown)?;
    let default = defaults
        .get(section)
        .and_then(|keys| keys.get(key))
        .ok_or_else(unknown)?;
    let value = match default {
        Value::String(_) => Value::String(raw.into()),
        _ => match raw.trim().parse::<Value>() {
            Ok(value) if same_type(default, &value) => value,
            _ => {
                let expected = format!("{}, not {raw:?}", type_name(default));
                return Err(mismatch(path, origin, &expected));
            }
        },
    };
    let keys = Table::from_iter([(key.to_owned(), value)]);
    Ok(Table::from_iter([(section.to_owned(), Value::Table(keys))]))
}

fn same_type(default: &Value, value: &Value) -> bool {
    match (default, value) {
        (Value::Array(default), Value::Array(items)) => match is_of_texts(default) {
            true => items.iter().all(Value::is_str),
            false => items.iter().all(Value::is_integer),
        },
        _ => default.same_type(value),
    }
}

/// Whether a list of which this is the default is one of texts, as it is if nothing is in it.
fn is_of_texts(default: &[Value]) -> bool {
    default.first().is_none_or(Value::is_str)
}

fn type_name(default: &Value) -> &'static str {
    match default {
        Value::Integer(_) => "a whole number",
        Value::Array(items) if is_of_texts(items) => {
            "a list of texts in quotes such as [\"a\", \"b\"]"
        }
        Value::Array(_) => "a list of whole numbers such as [0, 1500]",
        Value::Boolean(_) => "true or false",
        _ => "a text in quotes",
    }
}

fn malformed_set(set: &str) -> ConfigError {
    let of_key = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut shown: String = set.chars().take_while(of_key).collect();
    // What follows may be a secret whose equals sign was forgotten.
    if shown.len() < set.len() {
        shown.push('…');
    }
    ConfigError::Set { shown }
}

fn extraction_error(figment: &Figment, error: figment::Error) -> ConfigError {
    // The path goes on into a list, down to the item.
    let key = error
        .path
        .iter()
        .take(2)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(".");
    // Only a negative number and the wrong name of an engine pass the check of types and fail here: no secret does.
    let reason = match &error.kind {
        Kind::UnknownVariant(found, known) => {
            format!("must be one of {}, but is {found:?}", known.join(", "))
        }
        Kind::InvalidValue(..) => "must not be negative".into(),
        kind => one_line(&kind.to_string()),
    };
    let origin = match &error.metadata {
        Some(metadata) => metadata.name.to_string(),
        None => origin_of(figment, &key),
    };
    ConfigError::Impossible {
        key,
        origin,
        reason,
    }
}

fn origin_of(figment: &Figment, key: &str) -> String {
    match figment.find_metadata(key) {
        Some(metadata) => metadata.name.to_string(),
        None => "an unknown source".into(),
    }
}

fn unknown(key: &str, origin: &str) -> ConfigError {
    ConfigError::Unknown {
        key: key.escape_debug().to_string(),
        origin: origin.into(),
    }
}

fn mismatch(key: &str, origin: &str, expected: &str) -> ConfigError {
    ConfigError::Impossible {
        key: key.into(),
        origin: origin.into(),
        reason: format!("must be {expected}"),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::path::Path;

    use super::super::Engine;
    use super::super::webhook::EventKind;
    use super::*;

    #[test]
    fn each_source_wins_over_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let window = |files: &[PathBuf], env: &[(&str, &str)], sets: &[&str]| {
            load(files, env, sets).unwrap().device.deliver_window
        };
        let first = file(
            dir.path(),
            "a.toml",
            "[device]\ndeliver_window = 1\nsend_window = 7\n",
        );
        let second = file(dir.path(), "b.toml", "[device]\ndeliver_window = 2\n");
        let files = [first, second];
        let env = [("YIZHAN__DEVICE__DELIVER_WINDOW", "3")];
        assert_eq!(window(&[], &[], &[]), 64);
        assert_eq!(window(&files[..1], &[], &[]), 1);
        assert_eq!(window(&files, &[], &[]), 2);
        assert_eq!(window(&files, &env, &[]), 3);
        assert_eq!(window(&files, &env, &["device.deliver_window=4"]), 4);
        let twice = ["device.deliver_window=4", "device.deliver_window=5"];
        assert_eq!(window(&files, &env, &twice), 5);
        assert_eq!(load(&files, &env, &twice).unwrap().device.send_window, 7);
    }

    #[test]
    fn a_raw_text_is_typed_by_its_key() {
        let settings = load(
            &[],
            &[
                ("yizhan__Auth__JWT_key", "12345"),
                ("YIZHAN__DELIVERY__SCHEDULE_MS", "[0,1500]"),
                ("YIZHAN__LISTEN__CORS_ORIGINS", "[\"https://a.example\"]"),
                ("YIZHAN__WEBHOOK__EVENTS", "[\"parked\"]"),
                ("YIZHAN_LOG", "debug"),
                ("PATH", "/bin"),
                ("é", ""),
            ],
            &[
                "admin.token=true",
                "ids.salt=a = \"b\" # c",
                "listen.max_payload=1_024",
                "store.engine=memory",
                "store.path=[x]",
            ],
        )
        .unwrap();
        assert_eq!(settings.auth.jwt_key(), Some("12345"));
        assert_eq!(settings.delivery.schedule_ms, [0, 1500]);
        assert_eq!(settings.listen.cors_origins, ["https://a.example"]);
        assert_eq!(settings.webhook.events, [EventKind::Parked]);
        assert_eq!(settings.admin.token(), Some("true"));
        assert_eq!(settings.ids.salt, "a = \"b\" # c");
        assert_eq!(settings.listen.max_payload, 1024);
        assert_eq!(settings.store.engine, Engine::Memory);
        assert_eq!(settings.store.path, PathBuf::from("[x]"));
    }

    #[test]
    fn an_array_of_a_later_source_replaces_that_of_an_earlier() {
        let settings = load(
            &[],
            &[("YIZHAN__DELIVERY__SCHEDULE_MS", "[0,1,2,3]")],
            &["delivery.schedule_ms=[0]"],
        );
        assert_eq!(settings.unwrap().delivery.schedule_ms, [0]);
    }

    #[test]
    fn the_seed_file_is_a_possible_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let seed = file(dir.path(), "seed.toml", SEED);
        let settings = load(&[seed], &[], &[]).unwrap();
        assert_eq!(settings.device.default_did(), Some("did"));
    }

    #[test]
    fn an_unknown_name_is_refused_wherever_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        for (text, key) in [
            ("[listen]\npubic = \"x\"\n", "listen.pubic"),
            ("[limit]\n", "limit"),
            ("listen_public = 1\n", "listen_public"),
            ("\"a\\nb\" = 1\n", "a\\nb"),
        ] {
            let path = file(dir.path(), "c.toml", text);
            let expected = format!("unknown setting `{key}` in config file {}", path.display());
            assert_eq!(refusal(&[path], &[], &[]), expected);
        }
        for name in [
            "YIZHAN__DEVICE__WINDOW",
            "YIZHAN__DEVICE",
            "YIZHAN__",
            "YIZHAN__DEVICE__A__B",
        ] {
            let error = refusal(&[], &[(name, "1")], &[]);
            assert!(error.starts_with("unknown setting `"), "{error}");
            assert!(
                error.ends_with(&format!("in environment variable {name}")),
                "{error}"
            );
        }
        for set in [
            "device.window=1",
            "window=1",
            "=1",
            "device.deliver_window.x=1",
        ] {
            let error = refusal(&[], &[], &[set]);
            let key = set.split_once('=').unwrap().0;
            assert_eq!(error, format!("unknown setting `{key}` in --set"));
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_source() {
        let dir = tempfile::tempdir().unwrap();
        for (text, key) in [
            ("[listen]\nmax_frame = \"1\"\n", "listen.max_frame"),
            ("[listen]\nmax_frame = 1.5\n", "listen.max_frame"),
            ("[listen]\npublic = 9800\n", "listen.public"),
            ("[listen.public]\nx = 9800\n", "listen.public"),
            ("listen = 9800\n", "listen"),
            (
                "[delivery]\nschedule_ms = [0, \"1\"]\n",
                "delivery.schedule_ms",
            ),
        ] {
            let path = file(dir.path(), "d.toml", text);
            let expected = format!("{key} (from config file {}): must be a", path.display());
            let error = refusal(&[path], &[], &[]);
            assert!(error.starts_with(&expected), "{error}");
        }
        let error = refusal(&[], &[("YIZHAN__INBOX__TTL_MS", "a week")], &[]);
        assert_eq!(
            error,
            "inbox.ttl_ms (from environment variable YIZHAN__INBOX__TTL_MS): must be a whole number, not \"a week\""
        );
        for set in [
            "inbox.ttl_ms=",
            "inbox.ttl_ms=1\nx = 2",
            "inbox.ttl_ms=99999999999999999999",
            "delivery.schedule_ms=0,1500",
            "delivery.schedule_ms=[[0]]",
            "listen.cors_origins=https://a.example",
            "listen.cors_origins=[1]",
            "webhook.events=[parked]",
            "webhook.events=[1]",
        ] {
            let error = refusal(&[], &[], &[set]);
            assert!(error.contains(" (from --set): must be a"), "{error}");
        }
    }

    #[test]
    fn an_impossible_value_is_refused_with_its_source() {
        for (set, expected) in [
            (
                "inbox.ttl_ms=0",
                "inbox.ttl_ms (from --set): must be between 1 and 3153600000000, but is 0",
            ),
            (
                "inbox.ttl_ms=-5",
                "inbox.ttl_ms (from --set): must not be negative",
            ),
            (
                "delivery.schedule_ms=[0,-1]",
                "delivery.schedule_ms (from --set): must not be negative",
            ),
            (
                "store.engine=redis",
                "store.engine (from --set): must be one of sled, memory, but is \"redis\"",
            ),
            (
                "listen.max_payload=200000",
                "listen.max_frame (from the default settings, with listen.max_payload from --set): must be",
            ),
        ] {
            let error = refusal(&[], &[], &[set]);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing.toml");
        let error = refusal(std::slice::from_ref(&missing), &[], &[]);
        assert!(
            error.contains(&missing.display().to_string()) && error.contains("cannot be read"),
            "{error}"
        );
        assert!(refusal(&[dir.path().into()], &[], &[]).contains("cannot be read"));
    }

    #[test]
    fn an_error_never_repeats_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "\n[auth]\njwt_key = hunter2\n",
            "\n[auth]\njwt_key = \"hunter2\n",
            "\n[auth]\njwt_key = \"hunter2\"x\n",
            "\n[auth]\njwt_key = 'hunter2\n",
            "\n[auth]\njwt_key hunter2\n",
            "\n[auth]\njwt_key = \"hunter2\\q\"\n",
            "\n[auth]\njwt_key = 1hunter2\n",
        ] {
            let error = refusal(&[file(dir.path(), "e.toml", text)], &[], &[]);
            assert!(
                error.contains("line 3 ") && !error.contains("hunter2"),
                "{error}"
            );
        }
        let number = file(dir.path(), "e.toml", "[auth]\njwt_key = 777123\n");
        assert!(!refusal(&[number], &[], &[]).contains("777123"));
        let error = refusal(&[], &[], &["auth.jwt_key:hunter2"]);
        assert_eq!(error, "--set auth.jwt_key…: must be section.key=value");
    }

    fn load(
        files: &[PathBuf],
        env: &[(&str, &str)],
        sets: &[&str],
    ) -> Result<Settings, ConfigError> {
        Settings::load(&Sources {
            files: files.to_vec(),
            env: env
                .iter()
                .map(|(name, raw)| ((*name).into(), (*raw).into()))
                .collect(),
            sets: sets.iter().map(|set| (*set).into()).collect(),
        })
    }

    fn refusal(files: &[PathBuf], env: &[(&str, &str)], sets: &[&str]) -> String {
        let error = load(files, env, sets).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    }

    fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}
