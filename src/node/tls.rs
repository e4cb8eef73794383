//! The certificates of the listeners: read at the start, read again when told, and seen by new connections only.

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::rt::net::TcpStream;
use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, ServerConfig};
use x509_parser::parse_x509_certificate;

use crate::clock::wall_ms;
use crate::metrics::Metrics;

/// The certificates that a server has in use; cheap to clone.
#[derive(Clone)]
pub struct Certificates {
    slots: Vec<Arc<Slot>>,
    metrics: Metrics,
}

impl Certificates {
    /// None so far.
    pub(super) fn new(metrics: Metrics) -> Certificates {
        Certificates {
            slots: Vec::new(),
            metrics,
        }
    }

    /// Reads a pair for this listener (`public` or `admin`), or says in a sentence what is wrong with which file.
    pub(super) fn add(
        &mut self,
        listener: &'static str,
        settings: [&'static str; 2],
        (cert, key): (&Path, &Path),
    ) -> Result<ServerConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let pair = Pair {
            settings,
            cert: cert.into(),
            key: key.into(),
        };
        let read = pair.read(&provider)?;
        self.tell(listener, &read);
        let slot = Arc::new(Slot {
            listener,
            pair,
            provider: provider.clone(),
            held: RwLock::new(read.key),
        });
        self.slots.push(slot.clone());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS: {e}"))?
            .with_no_client_auth()
            .with_cert_resolver(slot);
        Ok(config)
    }

    /// Reads all files again. A good pair is shown to new connections; a bad one is logged, and the one before goes on.
    pub fn reload(&self) {
        if self.slots.is_empty() {
            log::info!("there is no certificate to read again");
        }
        for slot in &self.slots {
            match slot.pair.read(&slot.provider) {
                Ok(read) => {
                    self.tell(slot.listener, &read);
                    *slot.held.write() = read.key;
                    log::info!(
                        "read {} and {} again: new connections see them",
                        slot.pair.cert.display(),
                        slot.pair.key.display()
                    );
                }
                Err(reason) => log::error!("{reason}; the certificate before goes on"),
            }
        }
    }

    fn tell(&self, listener: &'static str, read: &Read) {
        self.metrics.certificate(listener, read.expires);
        if i128::from(read.expires) * 1000 <= i128::from(wall_ms()) {
            log::warn!("the certificate of listen.{listener} has expired: clients will refuse it");
        }
    }
}

/// The connection under whatever is spoken over it.
pub(super) fn tcp_of(connection: &dyn Any) -> Option<&TcpStream> {
    match connection.downcast_ref::<TlsStream<TcpStream>>() {
        Some(tls) => Some(tls.get_ref().0),
        None => connection.downcast_ref(),
    }
}

/// One listener's certificate.
struct Slot {
    listener: &'static str,
    pair: Pair,
    provider: Arc<CryptoProvider>,
    held: RwLock<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("pair", &self.pair).finish()
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.held.read().clone())
    }
}

/// Two files, and the settings that name them.
#[derive(Debug)]
struct Pair {
    settings: [&'static str; 2],
    cert: PathBuf,
    key: PathBuf,
}

struct Read {
    key: Arc<CertifiedKey>,
    /// Unix seconds.
    expires: i64,
}

impl Pair {
    fn read(&self, provider: &CryptoProvider) -> Result<Read, String> {
        let [cert_setting, key_setting] = self.settings;
        let of_cert = |reason: String| format!("{cert_setting} {}: {reason}", self.cert.display());
        let of_key = |reason: String| format!("{key_setting} {}: {reason}", self.key.display());

        let chain = certificates(&self.cert).map_err(of_cert)?;
        let first = chain
            .first()
            .ok_or_else(|| of_cert(NO_CERTIFICATE.into()))?;
        let expires = expiry(first).map_err(of_cert)?;
        let key = private_key(&self.key).map_err(of_key)?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => of_key(format!(
                "is not the key of the first certificate in {cert_setting} {}",
                self.cert.display()
            )),
            Error::InvalidCertificate(_) => of_cert(format!("cannot be used: {error}")),
            error => of_key(format!("cannot be used: {error}")),
        })?;
        Ok(Read {
            key: Arc::new(key),
            expires,
        })
    }
}

const NO_CERTIFICATE: &str = "has no certificate in PEM form";

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(file).map_err(|e| format!("cannot be read: {e}"))?;
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(&error).into())
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = fs::read(file).map_err(|e| format!("cannot be read: {e}"))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => "has no private key in PEM form without a passphrase".into(),
        error => not_pem(&error).into(),
    })
}

/// What is wrong, without a byte of what was read: it may be a key.
fn not_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "is not PEM: a section has no end",
        pem::Error::IllegalSectionStart { .. } => "is not PEM: a section has no proper beginning",
        pem::Error::Base64Decode(_) => "is not PEM: what a section holds is not base64",
        _ => "is not PEM",
    }
}

/// When a certificate expires, Unix seconds.
fn expiry(certificate: &CertificateDer<'_>) -> Result<i64, String> {
    let (_, certificate) = parse_x509_certificate(certificate)
        .map_err(|e| format!("has a certificate that cannot be read: {e}"))?;
    Ok(certificate.validity().not_after.timestamp())
}
