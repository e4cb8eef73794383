//! Web origins as browsers write them: a scheme, a host, perhaps a port, and nothing else.

/// The one item that stands for every origin.
const ANY: &str = "*";

/// Refuses a list in which an item can never equal the origin that a browser sends.
pub(super) fn check(origins: &[String]) -> Result<(), String> {
    if origins.iter().any(|origin| origin == ANY) && origins.len() > 1 {
        return Err("must have \"*\" alone or not at all: it means every origin".into());
    }
    for origin in origins.iter().filter(|origin| *origin != ANY) {
        parse(origin).map_err(|wrong| {
            format!("must be origins such as \"https://app.example\", but {origin:?} {wrong}")
        })?;
    }
    Ok(())
}

fn parse(origin: &str) -> Result<(), &'static str> {
    let (scheme, rest) = origin
        .split_once("://")
        .ok_or("has no scheme such as https://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    if !is_scheme {
        return Err("has a scheme that browsers do not write so");
    }
    let (host, port) = split_port(rest);
    let is_host = match host.strip_prefix('[') {
        Some(inner) => inner
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
        }
    };
    if !is_host {
        return Err("has no plain host in lower case (and no path, no slash at the end)");
    }
    let Some(port) = port else { return Ok(()) };
    match (scheme, port.parse::<u16>()) {
        (_, Err(_) | Ok(0)) => Err("has a port that is none"),
        ("https", Ok(443)) | ("http", Ok(80)) => {
            Err("names the port of its scheme, which browsers leave out")
        }
        _ => Ok(()),
    }
}

/// Host and port; the colons of an IPv6 address stand in brackets.
fn split_port(rest: &str) -> (&str, Option<&str>) {
    match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_send_passes() {
        for origin in [
            "https://app.example",
            "http://localhost:8080",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "http://[::1]",
            "https://my_app.example-1.test",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnop",
            "*",
        ] {
            assert_eq!(check(&[origin.into()]), Ok(()), "{origin}");
        }
        assert_eq!(check(&[]), Ok(()));
    }

    #[test]
    fn what_no_browser_sends_is_refused_and_named() {
        for origin in [
            "",
            "null",
            "app.example",
            "https://",
            "https://app.example/",
            "https://app.example/path",
            "https://App.example",
            "HTTPS://app.example",
            "https://*.app.example",
            "https://a b",
            "https://user@app.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://app.example:0",
            "https://app.example:70000",
            "https://app.example:",
            "http://[::1",
            "http://::1",
            "https://app.example?x",
            "https://bücher.example",
        ] {
            let reason = check(&[origin.into()]).unwrap_err();
            assert!(reason.contains(&format!("{origin:?}")), "{reason}");
        }
        assert!(check(&["*".into(), "https://a.example".into()]).is_err());
    }
}
