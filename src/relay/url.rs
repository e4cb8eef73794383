//! Where a relay leads: `rtmp://host[:port]/app[/stream]`.

use std::fmt;
use std::net::Ipv6Addr;

use super::command::{app_shown, stream_shown};

/// The port of RTMP, where a URL names none.
pub const PORT: u16 = 1935;

/// How long a URL may be, bytes.
const URL_MAX: usize = 1024;
/// How long a host name may be, bytes.
const HOST_MAX: usize = 253;

/// The server that a relay leads to. Printing it leaves the secret part of a stream's name out.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    app: String,
    stream: Option<String>,
}

/// Why a URL leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It does not begin with a scheme.
    #[error("the URL has no scheme: rtmp://host/app is needed")]
    NoScheme,
    /// Another protocol.
    #[error("the scheme is {0:?}, and only rtmp is relayed")]
    Scheme(String),
    /// Longer than any real one.
    #[error("the URL is {0} bytes long, and {URL_MAX} are allowed")]
    Long(usize),
    /// A name or a password before the host.
    #[error("the URL names a user, for whom RTMP has no place")]
    User,
    /// Nothing where the host belongs.
    #[error("the URL has no host")]
    NoHost,
    /// Neither a name nor an address.
    #[error("the host {0:?} is neither a name nor an address")]
    Host(String),
    /// No number from 1 to 65535.
    #[error("the port is {0:?}, and 1 to 65535 are allowed")]
    Port(String),
    /// Nothing after the host.
    #[error("the URL has no app: rtmp://host/app is needed")]
    NoApp,
    /// A character that belongs in no URL.
    #[error("the URL has a blank or a control character")]
    Blank,
}

impl Target {
    /// Reads a URL. What follows the app, however deep, is the stream.
    pub fn parse(url: &str) -> Result<Target, UrlError> {
        if url.len() > URL_MAX {
            return Err(UrlError::Long(url.len()));
        }
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(UrlError::Blank);
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::NoScheme)?;
        if !scheme.eq_ignore_ascii_case("rtmp") {
            return Err(UrlError::Scheme(scheme.chars().take(16).collect()));
        }
        let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = host_and_port(server)?;
        let (app, stream) = path.split_once('/').unwrap_or((path, ""));
        if app.is_empty() || app.starts_with('?') {
            return Err(UrlError::NoApp);
        }
        Ok(Target {
            host: host.to_string(),
            port,
            app: app.to_string(),
            stream: (!stream.is_empty()).then(|| stream.to_string()),
        })
    }

    /// A name or an address, an IPv6 one without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The application that the URL names; a relay passes on the one that a client asks for.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The stream that the URL names, as it stands there: it may be a secret.
    pub fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "rtmp://[{}]", self.host)?,
            false => write!(f, "rtmp://{}", self.host)?,
        }
        if self.port != PORT {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "/{}", app_shown(self.app.as_bytes()))?;
        match &self.stream {
            Some(stream) => write!(f, "/{}", stream_shown(stream.as_bytes())),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

fn host_and_port(server: &str) -> Result<(&str, u16), UrlError> {
    if server.contains('@') {
        return Err(UrlError::User);
    }
    let (host, port) = match server.strip_prefix('[') {
        Some(bracketed) => {
            let bad = || UrlError::Host(server.to_string());
            let (host, rest) = bracketed.split_once(']').ok_or_else(bad)?;
            if host.parse::<Ipv6Addr>().is_err() || !(rest.is_empty() || rest.starts_with(':')) {
                return Err(bad());
            }
            (host, rest.strip_prefix(':'))
        }
        None => match server.split_once(':') {
            Some((host, port)) => (named(host)?, Some(port)),
            None => (named(server)?, None),
        },
    };
    Ok((host, port.map_or(Ok(PORT), port_of)?))
}

fn named(host: &str) -> Result<&str, UrlError> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    if host.len() > HOST_MAX || !host.chars().all(is_fit) {
        return Err(UrlError::Host(host.to_string()));
    }
    Ok(host)
}

fn port_of(text: &str) -> Result<u16, UrlError> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = is_number.then(|| text.parse().ok()).flatten();
    port.filter(|port| *port != 0)
        .ok_or_else(|| UrlError::Port(text.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused(url: &str) -> UrlError {
        Target::parse(url).unwrap_err()
    }

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("rtmp://192.168.0.144/live_room").unwrap();
        assert_eq!((target.host(), target.port()), ("192.168.0.144", 1935));
        assert_eq!((target.app(), target.stream()), ("live_room", None));
        let target = Target::parse("RTMP://media.example.org:19350/live/a/b?key=1").unwrap();
        assert_eq!(
            (target.host(), target.port()),
            ("media.example.org", 19_350)
        );
        assert_eq!((target.app(), target.stream()), ("live", Some("a/b?key=1")));
        let target = Target::parse("rtmp://[::1]:1936/live/").unwrap();
        assert_eq!((target.host(), target.port()), ("::1", 1936));
        assert_eq!((target.app(), target.stream()), ("live", None));
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        assert_eq!(refused("192.168.0.144/live"), UrlError::NoScheme);
        assert_eq!(refused(""), UrlError::NoScheme);
        assert_eq!(refused("rtmps://h/a"), UrlError::Scheme("rtmps".into()));
        assert_eq!(refused("rtmp:///live"), UrlError::NoHost);
        assert_eq!(refused("rtmp://:1935/live"), UrlError::NoHost);
        assert_eq!(refused("rtmp://h"), UrlError::NoApp);
        assert_eq!(refused("rtmp://h/"), UrlError::NoApp);
        assert_eq!(refused("rtmp://h//room"), UrlError::NoApp);
        assert_eq!(refused("rtmp://h/?app=a"), UrlError::NoApp);
        assert_eq!(refused("rtmp://me:pw@h/live"), UrlError::User);
        assert_eq!(refused("rtmp://h/a b"), UrlError::Blank);
        for port in ["", "0", "65536", "+1", "x", "1:2"] {
            let url = format!("rtmp://h:{port}/live");
            assert_eq!(refused(&url), UrlError::Port(port.into()));
        }
        for host in ["h!", "ö", "[::1", "[h]", "[::1]x"] {
            let url = format!("rtmp://{host}/live");
            assert_eq!(refused(&url), UrlError::Host(host.into()));
        }
        let long = format!("rtmp://h/{}", "a".repeat(URL_MAX));
        assert_eq!(refused(&long), UrlError::Long(long.len()));
        assert_eq!(
            refused("http://h/a").to_string(),
            "the scheme is \"http\", and only rtmp is relayed"
        );
    }

    #[test]
    fn a_target_is_shown_without_the_key() {
        let shown = |url| Target::parse(url).unwrap().to_string();
        assert_eq!(shown("rtmp://h:1935/live"), "rtmp://h/live");
        assert_eq!(shown("rtmp://[::1]:1/live"), "rtmp://[::1]:1/live");
        assert_eq!(shown("rtmp://h/live/room?key=s3"), "rtmp://h/live/room");
        let keyed = Target::parse("rtmp://h/live/abcd-efgh-ijkl-mnop").unwrap();
        assert_eq!(format!("{keyed:?}"), "Target(rtmp://h/live/abcd…)");
    }
}
