//! The server that is loaded, and what it takes to reach it with many connections.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::LoadError;

/// Where a WebSocket is asked for if the URL does not say.
const PATH: &str = "/ws";
/// Connections that one source address is used for; the kernel has 28,232 ports for each by default.
const PER_ADDRESS: usize = 16_000;
/// What the process holds besides its connections.
const RESERVE: usize = 64;
/// What the system allows where it says that it allows any number.
const UNLIMITED: u64 = 1 << 20;

/// Where the server is.
pub(super) struct Target {
    pub(super) addr: SocketAddr,
    /// As it stands in the URL.
    pub(super) host: String,
    pub(super) path: String,
    pub(super) tls: Option<Tls>,
}

/// How a server is believed.
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Target {
    /// Reads a URL, finds the address, and takes the certificates of `ca`, or else the public authorities, for `wss`.
    pub(super) fn find(url: &str, ca: Option<&Path>) -> Result<Target, LoadError> {
        let bad = |why: &str| LoadError::Setup(format!("--server {url}: {why}"));
        let (is_tls, rest) = match (url.strip_prefix("ws://"), url.strip_prefix("wss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(bad("must begin with ws:// or wss://")),
        };
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) if !path.is_empty() => (host, format!("/{path}")),
            Some((host, _)) => (host, PATH.into()),
            None => (rest, PATH.into()),
        };
        if host.is_empty() || path.contains(['?', '#', ' ']) {
            return Err(bad("must be ws://HOST:PORT or ws://HOST:PORT/PATH"));
        }
        let (name, with_port) = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => (name, host.to_string()),
            _ => (host, format!("{host}:{}", if is_tls { 443 } else { 80 })),
        };
        let found = with_port.to_socket_addrs();
        let mut found = found.map_err(|error| bad(&error.to_string()))?;
        let addr = found
            .next()
            .ok_or_else(|| bad("that host has no address"))?;
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let tls = is_tls.then(|| tls(name, ca)).transpose()?;
        Ok(Target {
            addr,
            host: host.into(),
            path,
            tls,
        })
    }

    /// The address that a connection comes from; none where the system chooses.
    ///
    /// A loopback server is reached from as many loopback addresses as the number of connections wants ports.
    pub(super) fn source(&self, connection: usize) -> Option<IpAddr> {
        let IpAddr::V4(ip) = self.addr.ip() else {
            return None;
        };
        let address = u8::try_from(connection / PER_ADDRESS).unwrap_or(u8::MAX);
        let from = Ipv4Addr::new(127, 0, 0, address.checked_add(1)?);
        (ip.is_loopback() && address > 0).then_some(from.into())
    }

    /// Raises the limit of open files as far as it may, and refuses more connections than fit.
    pub(super) fn make_room(&self, connections: usize) -> Result<(), LoadError> {
        let limit = raise();
        let needed = connections + RESERVE;
        if needed > limit {
            return Err(LoadError::Setup(format!(
                "{connections} connections need {needed} file descriptors, and this process may have {limit}: take fewer, or raise the hard limit (ulimit -Hn)"
            )));
        }
        let loopback = self.addr.ip().is_loopback() && self.addr.is_ipv4();
        let ports = ports();
        if !loopback && connections > ports {
            return Err(LoadError::Setup(format!(
                "{connections} connections to {} need as many ports, and this machine has {ports} for one server",
                self.addr
            )));
        }
        Ok(())
    }
}

fn tls(name: &str, ca: Option<&Path>) -> Result<Tls, LoadError> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            let bad = |why: String| LoadError::Setup(format!("--ca {}: {why}", file.display()));
            let found = CertificateDer::pem_file_iter(file);
            for certificate in found.map_err(|error| bad(error.to_string()))? {
                let certificate = certificate.map_err(|error| bad(error.to_string()))?;
                let added = roots.add(certificate);
                added.map_err(|error| bad(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad("holds no certificate".into()));
            }
        }
    }
    let parsed = ServerName::try_from(name.to_string());
    let no_name = |_| LoadError::Setup(format!("--server: {name} is no name for TLS"));
    let name = parsed.map_err(no_name)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| LoadError::Setup(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls {
        config: Arc::new(config),
        name,
    })
}

/// Raises the soft limit of open files to the hard one, and returns what is in force.
fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where that is forbidden, the limit stays what it is, and that is what is returned.
    let _ = setrlimit(Resource::Nofile, raised);
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// How many ports one address has for connections that go out.
fn ports() -> usize {
    const DEFAULT: usize = 28_232;
    let Ok(range) = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") else {
        return DEFAULT;
    };
    let mut ends = range.split_whitespace().map(str::parse::<usize>);
    match (ends.next(), ends.next()) {
        (Some(Ok(low)), Some(Ok(high))) if low <= high => high - low + 1,
        _ => DEFAULT,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        let target = Target::find("ws://127.0.0.1:9800", None).unwrap();
        assert_eq!(target.addr, "127.0.0.1:9800".parse().unwrap());
        assert_eq!((target.path.as_str(), target.tls.is_none()), ("/ws", true));
        let target = Target::find("ws://[::1]:9800/chat/", None).unwrap();
        assert_eq!(target.addr, "[::1]:9800".parse().unwrap());
        assert_eq!(
            (target.path.as_str(), target.host.as_str()),
            ("/chat/", "[::1]:9800")
        );
        let target = Target::find("wss://127.0.0.1", None).unwrap();
        assert_eq!((target.addr.port(), target.tls.is_some()), (443, true));
    }

    #[test]
    fn what_is_no_url_of_a_server_is_named() {
        for url in [
            "127.0.0.1:9800",
            "http://127.0.0.1",
            "ws://",
            "ws://127.0.0.1:1/a?b",
            "ws://:x",
        ] {
            let refused = Target::find(url, None).err().unwrap().to_string();
            assert!(
                refused.starts_with("--server ws") || refused.contains("must begin"),
                "{refused}"
            );
            assert!(!refused.contains('\n'));
        }
    }

    #[test]
    fn a_loopback_server_is_reached_from_more_addresses_as_ports_run_out() {
        let target = Target::find("ws://127.0.0.1:9800", None).unwrap();
        assert_eq!(target.source(0), None);
        assert_eq!(target.source(PER_ADDRESS - 1), None);
        assert_eq!(
            target.source(PER_ADDRESS),
            Some("127.0.0.2".parse().unwrap())
        );
        assert_eq!(
            target.source(3 * PER_ADDRESS),
            Some("127.0.0.4".parse().unwrap())
        );
        let target = Target::find("ws://192.0.2.1:9800", None).unwrap();
        assert_eq!(target.source(5 * PER_ADDRESS), None);
    }

    #[test]
    fn what_cannot_fit_is_refused_with_the_numbers() {
        let target = Target::find("ws://127.0.0.1:9800", None).unwrap();
        assert!(target.make_room(10).is_ok());
        let refused = target.make_room(3_000_000_000).unwrap_err().to_string();
        assert!(refused.starts_with("3000000000 connections need 3000000064 file descriptors"));
    }
}
