//! From the address of a server to an open WebSocket.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::Deserialize;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::{Request, Response};
use tungstenite::http::header::{AUTHORIZATION, HeaderName};
use tungstenite::http::{HeaderValue, StatusCode, Uri};
use tungstenite::{Error, WebSocket};

use crate::cli::{admin, health};
use crate::config::{Secret, Settings};

use super::{AttachArgs, Exit, Stop};

/// How long each step of the way may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server, and as whom it is spoken to.
pub(super) struct Target {
    /// As it is shown: `http[s]://HOST:PORT`.
    pub(super) url: String,
    /// Without a name, nobody comes back to it.
    pub(super) session: Option<String>,
    /// Whether the token is one that may change nothing.
    pub(super) read_only: bool,
    pub(super) token: Secret,
    host: String,
    port: u16,
    /// Of the WebSocket, with the scheme of one.
    endpoint: String,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection whose reads and writes return at once.
pub(super) struct Socket {
    pub(super) messages: WebSocket<Box<dyn Duplex>>,
    /// The same connection, to wait on.
    pub(super) tcp: TcpStream,
}

/// A stream, with TLS or without.
pub(super) trait Duplex: Read + Write + Send {}

impl<T: Read + Write + Send> Duplex for T {}

impl Target {
    /// Reads the arguments, or else the settings.
    pub(super) fn find(settings: &Settings, args: &AttachArgs) -> Result<Target, Stop> {
        let url = match &args.to {
            Some(url) => Ok(url.trim_end_matches('/').to_string()),
            None => admin::own_url(settings, "--to"),
        };
        let url = url.map_err(|error| Exit::Usage.because(error))?;
        let (is_tls, host, port, endpoint) = split(&url)
            .with_context(|| format!("--to {url}"))
            .map_err(|error| Exit::Usage.because(error))?;
        let tls = match (is_tls, &args.to) {
            (false, _) => None,
            (true, None) => Some(health::any_name()),
            (true, Some(_)) => Some(authorities(args.ca.as_deref())),
        };
        let tls = tls
            .transpose()
            .map_err(|error| Exit::Usage.because(error))?;
        let token = match args.read_only {
            true => admin::read_token(settings),
            false => admin::token(settings),
        };
        Ok(Target {
            url,
            session: args.session.clone(),
            read_only: args.read_only,
            token: token.map_err(|error| Exit::Unreachable.because(error))?,
            host,
            port,
            endpoint,
            tls: tls.map(Arc::new),
        })
    }

    /// Opens the WebSocket of the session.
    pub(super) fn connect(&self) -> Result<Socket> {
        let request = self.request()?;
        let unreached = || format!("no server answers at {}", self.url);
        let tcp = self.reach().with_context(unreached)?;
        let watched = tcp.try_clone()?;
        let stream: Box<dyn Duplex> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(self.host.clone())
                    .with_context(|| format!("{} is no name for TLS", self.host))?;
                let session = ClientConnection::new(config.clone(), name)?;
                Box::new(StreamOwned::new(session, tcp))
            }
        };
        let messages = match tungstenite::client(request, stream) {
            Ok((messages, _)) => messages,
            Err(HandshakeError::Interrupted(_)) => {
                return Err(anyhow!("it is silent").context(unreached()));
            }
            Err(HandshakeError::Failure(Error::Http(answer))) => bail!(self.refusal(&answer)),
            Err(HandshakeError::Failure(error)) => {
                return Err(anyhow::Error::new(error).context(unreached()));
            }
        };
        watched.set_nonblocking(true)?;
        Ok(Socket {
            messages,
            tcp: watched,
        })
    }

    fn request(&self) -> Result<Request> {
        let mut request = self.endpoint.as_str().into_client_request()?;
        let bearer = format!("Bearer {}", self.token.expose());
        let mut bearer = HeaderValue::try_from(bearer)
            .map_err(|_| anyhow!("the token has characters that no header can carry"))?;
        bearer.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, bearer);
        if let Some(session) = &self.session {
            headers.insert(HeaderName::from_static("x-session"), session.try_into()?);
        }
        Ok(request)
    }

    fn reach(&self) -> Result<TcpStream> {
        let mut failed = anyhow!("{} has no address", self.host);
        for addr in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&addr, PATIENCE) {
                Ok(tcp) => {
                    tcp.set_read_timeout(Some(PATIENCE))?;
                    tcp.set_write_timeout(Some(PATIENCE))?;
                    tcp.set_nodelay(true)?;
                    return Ok(tcp);
                }
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }

    fn refusal(&self, answer: &Response) -> String {
        #[derive(Deserialize)]
        struct Refusal {
            msg: String,
        }
        let body = answer.body().as_deref().unwrap_or_default();
        let status = answer.status();
        let said = match (serde_json::from_slice(body), status) {
            (Ok(Refusal { msg }), _) => msg,
            (Err(_), StatusCode::UNAUTHORIZED) => "it does not take the token".into(),
            (Err(_), _) => "it has no shell there".into(),
        };
        format!("the server at {} refused ({status}): {said}", self.url)
    }
}

/// Whether there is TLS, the host, the port, and the address of the WebSocket.
fn split(url: &str) -> Result<(bool, String, u16, String)> {
    let shape = "must be http[s]://HOST:PORT";
    let uri: Uri = url.parse().context(shape)?;
    let (is_tls, scheme, usual) = match uri.scheme_str() {
        Some("http") => (false, "ws", 80),
        Some("https") => (true, "wss", 443),
        _ => bail!(shape),
    };
    let authority = uri.authority().context(shape)?;
    if uri.query().is_some() || authority.as_str().contains('@') {
        bail!(shape);
    }
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let port = match authority.as_str()[host.len()..].strip_prefix(':') {
        Some(port) => port.parse().context(shape)?,
        None => usual,
    };
    if bare.is_empty() {
        bail!(shape);
    }
    let path = uri.path().trim_end_matches('/');
    let endpoint = format!("{scheme}://{authority}{path}/repl/ws");
    Ok((is_tls, bare.into(), port, endpoint))
}

/// A client that believes those whom a PEM file names, or else the public authorities.
fn authorities(file: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            let failed = || format!("--ca {}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).with_context(failed)? {
                let added = roots.add(certificate.with_context(failed)?);
                added.with_context(failed)?;
            }
            if roots.is_empty() {
                bail!("{} holds no certificate", failed());
            }
        }
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_the_shell_is() {
        for (url, expected) in [
            (
                "http://127.0.0.1:9801",
                (false, "127.0.0.1", 9801, "ws://127.0.0.1:9801/repl/ws"),
            ),
            (
                "https://[::1]:9801",
                (true, "::1", 9801, "wss://[::1]:9801/repl/ws"),
            ),
            (
                "https://chat.example/admin",
                (
                    true,
                    "chat.example",
                    443,
                    "wss://chat.example/admin/repl/ws",
                ),
            ),
        ] {
            let (is_tls, host, port, endpoint) = split(url).unwrap();
            let found = (is_tls, host.as_str(), port, endpoint.as_str());
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused() {
        for url in [
            "",
            "127.0.0.1:9801",
            "ws://127.0.0.1:9801",
            "http://",
            "http://:1",
            "http://h:x",
            "http://h:70000",
            "http://me:secret@h:1",
            "http://h:1/?token=x",
        ] {
            assert!(split(url).is_err(), "{url}");
        }
    }
}
