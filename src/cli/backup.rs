//! `yizhan backup` and `yizhan restore`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::config::{Secret, Settings, keys};
use crate::node::restore::{self, Verified};
use crate::store::backup::file::{Counts, Decoder, FILE, Header};

use super::admin;

/// A backup that is being written; it is named [`FILE`] once it is whole.
const PARTIAL: &str = "yizhan.backup.partial";
/// How long the server may take to be reached, to begin, and between two pieces.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where the backup goes; made if it does not exist
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The admin listener of the server [default: listen.admin]
    #[arg(long, value_name = "http[s]://HOST:PORT")]
    from: Option<String>,
    /// With --from https://…, the PEM file of who signed the server's certificate [default: the public authorities]
    #[arg(long, value_name = "FILE", requires = "from")]
    ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Where the backup is
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Reads all of the backup, says whether it is whole, and writes nothing
    #[arg(long)]
    check: bool,
}

/// Takes a backup of a running server.
pub(super) fn backup(settings: &Settings, args: &BackupArgs) -> Result<()> {
    let url = match &args.from {
        Some(url) => url.trim_end_matches('/').to_string(),
        None => admin::own_url(settings, "--from")?,
    };
    let token = admin::token(settings)?;
    let keys = own_keys(settings, args)?;
    let draft = Draft::begin(&args.dir, keys.as_deref())?;
    let body = ask(&url, &token, args)?;
    let (header, counts) = draft.receive(body)?;
    if let Some(keys) = &keys {
        keep_keys(&args.dir, keys)?;
    }
    draft.finish()?;
    let file = args.dir.join(FILE);
    super::print(&format!(
        "{}: {}, of the server at {url}",
        file.display(),
        describe(&header, &counts)
    ))?;
    let keys_file = args.dir.join(keys::FILE);
    match keys {
        Some(_) => super::print(&format!(
            "{}: the signing key and the admin token; whoever reads it can act as any user and as the operator",
            keys_file.display()
        )),
        None => super::print(
            "the signing key and the admin token are not in the backup: keep them with the settings of the server",
        ),
    }
}

/// Restores a backup into `store.path`, or only reads it.
pub(super) fn restore(settings: &Settings, args: &RestoreArgs) -> Result<()> {
    let file = args.dir.join(FILE);
    let whole = |verified: &Verified| {
        let told = describe(&verified.header, &verified.counts);
        format!("{}: {told}, whole", file.display())
    };
    if args.check {
        let verified = restore::verify(&file).map_err(anyhow::Error::msg)?;
        return super::print(&whole(&verified));
    }
    let mut keys = KeysFound::None;
    let (verified, stock) = restore::restore(settings, &file, || {
        keys = restore_keys(&args.dir, &settings.store.path)
            .map_err(|error| format!("{}: {error}", keys::FILE))?;
        Ok(())
    })
    .map_err(anyhow::Error::msg)?;
    super::print(&whole(&verified))?;
    let path = &settings.store.path;
    super::print(&format!(
        "{}: restored: messages waiting {}, users known {}",
        path.display(),
        stock.rows,
        stock.users
    ))?;
    let keys_file = path.join(keys::FILE);
    match keys {
        KeysFound::None => Ok(()),
        KeysFound::Restored => super::print(&format!("{}: restored", keys_file.display())),
        KeysFound::Same => super::print(&format!("{}: as in the backup", keys_file.display())),
        KeysFound::Other => super::print(&format!(
            "{}: left as it was, and it is not that of the backup: tokens made with the other are refused",
            keys_file.display()
        )),
    }
}

fn describe(header: &Header, counts: &Counts) -> String {
    let created = i64::try_from(header.created_ms).unwrap_or(i64::MAX);
    let created = jiff::Timestamp::from_millisecond(created);
    format!(
        "a backup begun at {}, {} records, {} bytes",
        created.map_or_else(|_| "an unknown time".into(), |time| time.to_string()),
        counts.puts + counts.deletes,
        counts.bytes
    )
}

/// The generated secrets of the server: `store.path` is its own unless another one is named whose token is not from there.
fn own_keys(settings: &Settings, args: &BackupArgs) -> Result<Option<Vec<u8>>> {
    if args.from.is_some() && settings.admin.token().is_some() {
        return Ok(None);
    }
    let path = settings.store.path.join(keys::FILE);
    read_if_there(&path).with_context(|| path.display().to_string())
}

#[derive(Deserialize)]
struct Refusal {
    msg: String,
}

fn ask(url: &str, token: &Secret, args: &BackupArgs) -> Result<impl Read + use<>> {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE));
    if args.from.is_none() {
        // An address of this machine, which no certificate names.
        let tls = TlsConfig::builder().disable_verification(true);
        config = config.proxy(None).tls_config(tls.build());
    }
    if let Some(file) = &args.ca {
        let tls = TlsConfig::builder().root_certs(authorities(file)?);
        config = config.tls_config(tls.build());
    }
    let answer = ureq::Agent::new_with_config(config.build())
        .get(format!("{url}/v1/backup"))
        .header("authorization", format!("Bearer {}", token.expose()))
        .call();
    let mut answer = answer.with_context(|| format!("no server answers at {url}"))?;
    if answer.status() == 200 {
        return Ok(answer.into_body().into_reader());
    }
    let said = answer.body_mut().read_to_string().unwrap_or_default();
    let said = serde_json::from_str(&said).map_or(said, |Refusal { msg }| msg);
    bail!("the server at {url} refused ({}): {said}", answer.status());
}

/// The certificates in a PEM file.
fn authorities(file: &Path) -> Result<RootCerts> {
    let failed = || format!("--ca {}", file.display());
    let pem = std::fs::read(file).with_context(failed)?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.with_context(failed)? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        bail!("{} holds no certificate", failed());
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// A directory in which a backup is being written.
struct Draft<'a> {
    dir: &'a Path,
    file: File,
}

impl<'a> Draft<'a> {
    /// Refuses a directory that has a backup, or into which another one is being written.
    fn begin(dir: &'a Path, keys: Option<&[u8]>) -> Result<Draft<'a>> {
        let failed = |path: &Path| path.display().to_string();
        let new = !dir.exists();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| failed(dir))?;
        // Its entry is durable only when the directory above is; that may be closed to this user if it was there before.
        if let Some(above) = dir.parent().filter(|_| new) {
            restore::sync_dir(above).with_context(|| failed(above))?;
        }
        if dir.join(FILE).exists() {
            bail!(
                "{} is there already: name another directory for this backup",
                dir.join(FILE).display()
            );
        }
        let there = read_if_there(&dir.join(keys::FILE)).with_context(|| failed(dir))?;
        if let (Some(there), Some(keys)) = (there, keys)
            && there != keys
        {
            bail!(
                "{} holds other keys than those of the server: name another directory for this backup",
                dir.join(keys::FILE).display()
            );
        }
        let partial = dir.join(PARTIAL);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&partial)
            .with_context(|| failed(&partial))?;
        if file.try_lock().is_err() {
            bail!("{} is being written by another backup", partial.display());
        }
        // What an earlier backup left that was interrupted.
        file.set_len(0).with_context(|| failed(&partial))?;
        Ok(Draft { dir, file })
    }

    /// Writes what comes and verifies it on the way.
    fn receive(&self, body: impl Read) -> Result<(Header, Counts)> {
        let mut copy = Copy {
            from: body,
            to: BufWriter::with_capacity(1 << 20, &self.file),
            failed: None,
        };
        let read = read_all(&mut copy);
        let written = copy.failed.map_or(Ok(()), Err);
        let written = written.and_then(|()| copy.to.flush());
        written
            .and_then(|()| self.file.sync_all())
            .with_context(|| self.dir.join(PARTIAL).display().to_string())?;
        read
    }

    /// Gives the file its name.
    fn finish(&self) -> Result<()> {
        fs::rename(self.dir.join(PARTIAL), self.dir.join(FILE))
            .and_then(|()| restore::sync_dir(self.dir))
            .with_context(|| self.dir.join(FILE).display().to_string())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // Gone already if the backup is whole; left behind, it is overwritten by the next one.
        let _ = fs::remove_file(self.dir.join(PARTIAL));
    }
}

fn read_all(body: &mut impl Read) -> Result<(Header, Counts)> {
    let told = "what the server sent is not a whole backup";
    let mut backup = Decoder::open(body).context(told)?;
    while backup.block().context(told)?.is_some() {}
    Ok((backup.header(), backup.counts()))
}

/// Writes everything that is read through it.
struct Copy<R, W> {
    from: R,
    to: W,
    failed: Option<io::Error>,
}

impl<R: Read, W: Write> Read for Copy<R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        if let Err(error) = self.to.write_all(&bytes[..read]) {
            self.failed = Some(error);
            return Err(io::Error::other("it cannot be written"));
        }
        Ok(read)
    }
}

enum KeysFound {
    None,
    Restored,
    Same,
    Other,
}

fn restore_keys(dir: &Path, store: &Path) -> io::Result<KeysFound> {
    let Some(keys) = read_if_there(&dir.join(keys::FILE))? else {
        return Ok(KeysFound::None);
    };
    match read_if_there(&store.join(keys::FILE))? {
        None => write_keys(store, &keys).map(|()| KeysFound::Restored),
        Some(there) if there == keys => Ok(KeysFound::Same),
        Some(_) => Ok(KeysFound::Other),
    }
}

fn keep_keys(dir: &Path, keys: &[u8]) -> Result<()> {
    let path = dir.join(keys::FILE);
    match path.exists() {
        true => Ok(()),
        false => write_keys(dir, keys).with_context(|| path.display().to_string()),
    }
}

/// Writes the secrets under a name that they have only when they are whole.
fn write_keys(dir: &Path, keys: &[u8]) -> io::Result<()> {
    let draft = dir.join(format!("{}.partial", keys::FILE));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(keys)?;
    file.sync_all()?;
    fs::rename(&draft, dir.join(keys::FILE))?;
    restore::sync_dir(dir)
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
