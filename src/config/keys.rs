//! The secrets that nobody configured: made on the first start and kept beside the store.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use toml::Table;

use super::{Secret, Settings};

/// The name of the file in `store.path`.
pub const FILE: &str = "keys.toml";

/// The secrets in force.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The HS256 key of tokens.
    pub jwt_key: Secret,
    /// The bearer token of operators.
    pub admin_token: Secret,
    /// The bearer token of those who only look, if there is one.
    pub read_token: Option<Secret>,
    /// What requests to the webhook's receiver are signed with, if there is one.
    pub webhook_secret: Option<Secret>,
}

/// Returns the configured secrets, completed from `keys.toml`, and the path of that file if this call wrote it.
///
/// Servers that start at once on one directory agree on one file. A file that cannot be understood is an error and is
/// left as it is.
pub fn resolve(settings: &Settings) -> io::Result<(Keys, Option<PathBuf>)> {
    let jwt_key = settings.auth.jwt_key();
    let admin_token = settings.admin.token();
    let read_token = settings.admin.read_token();
    let webhook = &settings.webhook;
    let signs = webhook.url.is_empty() || webhook.secret().is_some();
    if let (Some(jwt_key), Some(admin_token), true) = (jwt_key, admin_token, signs) {
        let keys = Keys {
            jwt_key: Secret::new(jwt_key),
            admin_token: Secret::new(admin_token),
            read_token: read_token.map(Secret::new),
            webhook_secret: webhook.secret().map(Secret::new),
        };
        return Ok((keys, None));
    }
    let path = settings.store.path.join(FILE);
    let (table, written) = read_or_create(&settings.store.path, &path)?;
    let keys = Keys {
        jwt_key: pick(jwt_key, &table, "jwt_key", "auth.jwt_key", &path)?,
        admin_token: pick(admin_token, &table, "admin_token", "admin.token", &path)?,
        // A file of an earlier version has none: then nobody only looks until one is configured.
        read_token: match read_token.is_some() || table.contains_key("read_token") {
            true => Some(pick(
                read_token,
                &table,
                "read_token",
                "admin.read_token",
                &path,
            )?),
            false => None,
        },
        webhook_secret: match (webhook.secret(), webhook.url.is_empty()) {
            (Some(secret), _) => Some(Secret::new(secret)),
            (None, true) => None,
            (None, false) => Some(pick(
                None,
                &table,
                "webhook_secret",
                "webhook.secret",
                &path,
            )?),
        },
    };
    Ok((keys, written.then_some(path)))
}

/// Returns the operators' token, configured or from `keys.toml`, and makes none.
pub fn admin_token(settings: &Settings) -> io::Result<Option<Secret>> {
    if let Some(token) = settings.admin.token() {
        return Ok(Some(Secret::new(token)));
    }
    let path = settings.store.path.join(FILE);
    let table = read(&path)?;
    table
        .map(|table| pick(None, &table, "admin_token", "admin.token", &path))
        .transpose()
}

/// Returns the token of operators who may only look, configured or from `keys.toml`, and makes none.
pub fn read_token(settings: &Settings) -> io::Result<Option<Secret>> {
    if let Some(token) = settings.admin.read_token() {
        return Ok(Some(Secret::new(token)));
    }
    let path = settings.store.path.join(FILE);
    let table = read(&path)?.filter(|table| table.contains_key("read_token"));
    table
        .map(|table| pick(None, &table, "read_token", "admin.read_token", &path))
        .transpose()
}

/// Returns the key of tokens, configured or from `keys.toml`, and makes none.
pub fn jwt_key(settings: &Settings) -> io::Result<Option<Secret>> {
    if let Some(key) = settings.auth.jwt_key() {
        return Ok(Some(Secret::new(key)));
    }
    let path = settings.store.path.join(FILE);
    let table = read(&path)?;
    table
        .map(|table| pick(None, &table, "jwt_key", "auth.jwt_key", &path))
        .transpose()
}

fn read_or_create(dir: &Path, path: &Path) -> io::Result<(Table, bool)> {
    if let Some(table) = read(path)? {
        return Ok((table, false));
    }
    let written = create(dir, path).map_err(|error| named(path, "cannot be written", &error))?;
    let table = read(path)?.ok_or_else(|| invalid(path, "is gone right after it was written"))?;
    Ok((table, written))
}

fn read(path: &Path) -> io::Result<Option<Table>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(path, "cannot be read", &error)),
    };
    // The parser's own message may quote what it read.
    let table = text
        .parse()
        .map_err(|_| invalid(path, "is not TOML; repair it or move it away"))?;
    Ok(Some(table))
}

/// Writes the file unless there is one; a crash leaves either no file or a whole one.
fn create(dir: &Path, path: &Path) -> io::Result<bool> {
    let new_dir = !dir.exists();
    fs::create_dir_all(dir)?;
    let draft = dir.join(format!(".{FILE}.{}", random_hex::<8>()?));
    let linked = write_draft(&draft).and_then(|()| fs::hard_link(&draft, path));
    // A link, unlike a rename, fails if another server was faster.
    let removed = fs::remove_file(&draft);
    let written = match linked {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    removed?;
    sync_dir(dir)?;
    // The parent of a directory that was there before may be closed to this user.
    if let Some(parent) = dir.parent().filter(|_| new_dir) {
        sync_dir(parent)?;
    }
    Ok(written)
}

fn write_draft(draft: &Path) -> io::Result<()> {
    let text = format!(
        "# Made by yizhan on its first start. Whoever reads this file can act as any user and as the operator.\n\
         # A secret in the configuration wins over the one here.\n\
         jwt_key = \"{}\"\n\
         admin_token = \"{}\"\n\
         # Good for looking: whoever has this one changes nothing.\n\
         read_token = \"{}\"\n\
         # What events to webhook.url are signed with; their receiver has the same one.\n\
         webhook_secret = \"{}\"\n",
        random_hex::<32>()?,
        random_hex::<32>()?,
        random_hex::<32>()?,
        random_hex::<32>()?,
    );
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

fn random_hex<const N: usize>() -> io::Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let mut text = String::with_capacity(2 * N);
    for byte in bytes {
        write!(text, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(text)
}

fn pick(
    configured: Option<&str>,
    table: &Table,
    key: &str,
    setting: &str,
    path: &Path,
) -> io::Result<Secret> {
    if let Some(text) = configured {
        return Ok(Secret::new(text));
    }
    match table.get(key).and_then(|value| value.as_str()) {
        Some(text) if !text.is_empty() => Ok(Secret::new(text)),
        _ => {
            let reason = format!("has no text `{key}`; add it, or configure {setting}");
            Err(invalid(path, &reason))
        }
    }
}

fn named(path: &Path, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{} {what}: {error}", path.display()))
}

fn invalid(path: &Path, reason: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("{} {reason}", path.display()),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;

    use super::super::Sources;
    use super::*;

    #[test]
    fn the_first_start_makes_the_keys_and_the_second_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir.path().join("a/b"), &[]);
        let (first, written) = resolve(&settings).unwrap();
        let path = written.unwrap();
        assert_eq!(path, dir.path().join("a/b/keys.toml"));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(first.jwt_key.expose().len(), 64);
        assert_ne!(first.jwt_key, first.admin_token);
        let (second, written) = resolve(&settings).unwrap();
        assert_eq!(written, None);
        assert_eq!(exposed(&first), exposed(&second));
        assert_eq!(names(path.parent().unwrap()), ["keys.toml"]);
    }

    #[test]
    fn a_configured_key_wins_and_all_of_them_need_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let both = settings(dir.path(), &["auth.jwt_key=one", "admin.token=two"]);
        let (keys, written) = resolve(&both).unwrap();
        assert_eq!(exposed(&keys), ("one".into(), "two".into()));
        assert_eq!(written, None);
        assert!(names(dir.path()).is_empty());

        let (keys, written) = resolve(&settings(dir.path(), &["auth.jwt_key=one"])).unwrap();
        assert_eq!(keys.jwt_key.expose(), "one");
        assert_eq!(keys.admin_token.expose().len(), 64);
        assert!(written.is_some());
    }

    #[test]
    fn servers_that_start_at_once_agree() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let settings = settings(&dir.path().join("data"), &[]);
            let barrier = Barrier::new(8);
            let results: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            resolve(&settings).unwrap()
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            let keys: HashSet<_> = results.iter().map(|(keys, _)| exposed(keys)).collect();
            assert_eq!(keys.len(), 1);
            let writers = results.iter().filter(|(_, written)| written.is_some());
            assert_eq!(writers.count(), 1);
        }
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for (text, reason) in [
            (
                "",
                "has no text `jwt_key`; add it, or configure auth.jwt_key",
            ),
            ("jwt_key = hunter2\n", "is not TOML"),
            ("jwt_key = \"hunter2\nadmin_t", "is not TOML"),
            ("jwt_key = 123456\n", "has no text `jwt_key`"),
            ("jwt_key = \"\"\n", "has no text `jwt_key`"),
            ("jwt_key = \"hunter2\"\n", "has no text `admin_token`"),
        ] {
            fs::write(&path, text).unwrap();
            let error = resolve(&settings(dir.path(), &[])).unwrap_err().to_string();
            assert!(error.starts_with(&path.display().to_string()), "{error}");
            assert!(error.contains(reason), "{error}");
            assert!(
                !error.contains("hunter2") && !error.contains("123456"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = resolve(&settings(&file, &[])).unwrap_err().to_string();
        assert!(error.contains("keys.toml cannot be"), "{error}");
    }

    #[test]
    fn keys_are_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, _) = resolve(&settings(dir.path(), &["auth.jwt_key=hunter2"])).unwrap();
        let shown = format!("{keys:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(keys.admin_token.expose()));
    }

    fn settings(path: &Path, sets: &[&str]) -> Settings {
        let mut sets: Vec<String> = sets.iter().map(|set| (*set).into()).collect();
        sets.push(format!("store.path={}", path.display()));
        Settings::load(&Sources {
            sets,
            ..Sources::default()
        })
        .unwrap()
    }

    fn exposed(keys: &Keys) -> (String, String) {
        (
            keys.jwt_key.expose().into(),
            keys.admin_token.expose().into(),
        )
    }

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}
