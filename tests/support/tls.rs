use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Answer, DEADLINE};

/// An authority that clients of a test trust, and that signs what its servers show.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Where a server finds its certificate and key; they can be written anew.
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    /// Writes a certificate for the loopback, good until the end of this year, and its key; gives the certificate as
    /// clients see it.
    pub fn issue(&self, pair: &Pair, until_year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_after = date_time_ymd(until_year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(&pair.cert, cert.pem() + &self.issuer.pem()).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        cert.der().to_vec()
    }

    /// A client that trusts this authority and has met none of its servers.
    pub fn trust(&self) -> Arc<ClientConfig> {
        self.trust_with(&[&TLS13, &TLS12], &[])
    }

    /// As `trust`, speaking these versions and asking for these protocols over them.
    pub fn trust_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        Arc::new(config)
    }
}

impl Pair {
    pub fn within(dir: &Path) -> Self {
        Self {
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        }
    }

    /// The settings that give it to the public listener.
    pub fn sets(&self) -> [String; 2] {
        [
            format!("listen.tls_cert={}", self.cert.display()),
            format!("listen.tls_key={}", self.key.display()),
        ]
    }

    /// The settings that give it to the admin listener.
    pub fn admin_sets(&self) -> [String; 2] {
        [
            format!("listen.admin_tls_cert={}", self.cert.display()),
            format!("listen.admin_tls_key={}", self.key.display()),
        ]
    }
}

/// A TLS connection on which nothing has been said, or why there is none.
pub async fn shake_hands(
    listener: SocketAddr,
    trust: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(listener).await?;
    let name = ServerName::from(listener.ip());
    let handshake = TlsConnector::from(trust.clone()).connect(name, tcp);
    timeout(DEADLINE, handshake)
        .await
        .expect("the handshake takes too long")
}

/// Asks for a path over TLS.
pub async fn get_over_tls(
    listener: SocketAddr,
    trust: &Arc<ClientConfig>,
    path: &str,
    bearer: &str,
) -> Answer {
    let mut stream = shake_hands(listener, trust).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {listener}\r\nauthorization: Bearer {bearer}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    // How the server hangs up afterwards is not asked.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut text))
        .await
        .expect("the server does not hang up");
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: Vec::new(),
        body: body.to_owned(),
    }
}
