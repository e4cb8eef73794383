//! Asks a server on this machine whether it is ready, for probes that have no other client at hand.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};
use serde::Deserialize;

use crate::config::Settings;

/// How long each step of the question may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than an answer has, bytes.
const ANSWER_MAX: u64 = 64 * 1024;

/// Asks `/health/ready` of the public listener that these settings describe; an error says why it is not ready.
pub(super) fn ask(settings: &Settings) -> Result<()> {
    let listen = &settings.listen;
    let addr = reachable(listen.public_addr()?);
    if addr.port() == 0 {
        bail!("listen.public has port 0: which one the server got is in its ready line only");
    }
    let answer = exchange(addr, listen.public_tls().is_some())
        .with_context(|| format!("no answer from {addr}"))?;
    judge(&answer)
}

/// An address of this machine at which a listener on `addr` can be reached.
pub(super) fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

fn exchange(addr: SocketAddr, tls: bool) -> Result<Vec<u8>> {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if !tls {
        return talk(stream, addr);
    }
    let name = ServerName::from(addr.ip());
    let session = ClientConnection::new(Arc::new(any_name()?), name)?;
    talk(StreamOwned::new(session, stream), addr)
}

fn talk(mut stream: impl Read + Write, addr: SocketAddr) -> Result<Vec<u8>> {
    let request =
        format!("GET /health/ready HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_MAX).read_to_end(&mut answer) {
        // The server hangs up after its answer, with or without a goodbye in TLS.
        Err(error) if answer.is_empty() => Err(error.into()),
        _ => Ok(answer),
    }
}

#[derive(Deserialize)]
struct Told {
    msg: String,
}

fn judge(answer: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let first = head.lines().next().unwrap_or_default();
    let status = match first.split(' ').collect::<Vec<_>>()[..] {
        ["HTTP/1.1", status, ..] => status,
        _ => bail!(
            "what answered does not speak HTTP here: is listen.tls_cert as the server has it?"
        ),
    };
    if status == "200" {
        return Ok(());
    }
    match serde_json::from_str::<Told>(body) {
        Ok(told) => Err(anyhow!("not ready: {}", told.msg)),
        Err(_) => Err(anyhow!("not ready: HTTP status {status}")),
    }
}

/// A client that takes any certificate: for a server on an address of this machine, which no certificate names.
pub(super) fn any_name() -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyName(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Takes any certificate.
#[derive(Debug)]
struct AnyName(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_the_loopback() {
        for (listens, asked) in [
            ("0.0.0.0:9800", "127.0.0.1:9800"),
            ("[::]:9800", "[::1]:9800"),
            ("192.0.2.1:1", "192.0.2.1:1"),
        ] {
            let asked: SocketAddr = asked.parse().unwrap();
            assert_eq!(reachable(listens.parse().unwrap()), asked);
        }
    }

    #[test]
    fn an_answer_is_ready_or_says_why_not() {
        let judged = |answer: &str| judge(answer.as_bytes()).map_err(|e| e.to_string());
        assert_eq!(judged("HTTP/1.1 200 OK\r\n\r\n{}"), Ok(()));
        assert_eq!(
            judged("HTTP/1.1 503 x\r\na: b\r\n\r\n{\"msg\":\"draining\"}"),
            Err("not ready: draining".into())
        );
        assert_eq!(
            judged("HTTP/1.1 502 x\r\n\r\n<html>"),
            Err("not ready: HTTP status 502".into())
        );
        for other in ["", "\u{15}\u{3}\u{3}", "SSH-2.0-x\r\n"] {
            assert!(judged(other).unwrap_err().contains("does not speak HTTP"));
        }
    }
}
