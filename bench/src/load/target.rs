//! Where the load goes: loopback addresses and unix sockets only, so that the driver is of no use against anybody else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// A server on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A loopback address.
    Tcp(SocketAddr),
    /// A unix socket's path.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "http://{address}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

/// One URL of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whom to connect to.
    pub address: Address,
    /// What the Host header says.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// Reads `http://127.0.0.1:8080/path`, `http://localhost`, `http://[::1]:81/` or `unix:PATH:/target`; says why not.
pub fn parse(url: &str) -> Result<Target, String> {
    if let Some(rest) = url.strip_prefix("unix:") {
        let (path, target) = rest.find(":/").map_or((rest, "/"), |at| (&rest[..at], &rest[at + 1..]));
        if path.is_empty() {
            return Err(format!("{url}: no socket path; write unix:/run/flagstone.sock:/target"));
        }
        return Ok(Target {
            address: Address::Unix(PathBuf::from(path)),
            authority: "localhost".to_owned(),
            path: checked_path(target)?,
        });
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(format!("{url}: a target is http://127.0.0.1:PORT/path or unix:PATH:/path (no TLS)"));
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Target { address: Address::Tcp(loopback(authority)?), authority: authority.to_owned(), path: checked_path(&path)? })
}

/// A path as it may stand in a request line: it starts with `/` and holds no blank or control character.
pub fn checked_path(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("{path}: a path starts with /"));
    }
    if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(format!("{path:?}: percent-encode blanks and control characters"));
    }
    Ok(path.to_owned())
}

fn loopback(authority: &str) -> Result<SocketAddr, String> {
    // The last colon, unless it stands inside an IPv6 literal.
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => {
            let port = authority[at + 1..].parse().map_err(|_| format!("{authority}: a port is 1 to 65535"))?;
            (&authority[..at], port)
        }
        _ => (authority, 80u16),
    };
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = match literal {
        // No resolver is asked: a name could lead anywhere.
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => literal.parse::<IpAddr>().ok(),
    };
    match address {
        Some(address) if address.is_loopback() && port != 0 => Ok(SocketAddr::new(address, port)),
        Some(address) if address.is_loopback() => Err(format!("{authority}: a port is 1 to 65535")),
        _ => Err(format!(
            "{authority}: not a loopback address. This driver loads only 127.0.0.0/8, [::1], localhost and unix sockets"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_urls_and_unix_sockets_are_taken_apart() {
        for (url, address, authority, path) in [
            ("http://127.0.0.1:8080/a?b=c", "http://127.0.0.1:8080", "127.0.0.1:8080", "/a?b=c"),
            ("http://127.8.9.1:1#x", "http://127.8.9.1:1", "127.8.9.1:1", "/"),
            ("http://localhost?q", "http://127.0.0.1:80", "localhost", "/?q"),
            ("http://[::1]:81/x", "http://[::1]:81", "[::1]:81", "/x"),
            ("http://[::1]/x", "http://[::1]:80", "[::1]", "/x"),
            ("unix:/run/a.sock:/t", "unix:/run/a.sock", "localhost", "/t"),
            ("unix:a.sock", "unix:a.sock", "localhost", "/"),
        ] {
            let target = parse(url).unwrap();
            let found = (target.address.to_string(), target.authority, target.path);
            assert_eq!(found, (address.to_owned(), authority.to_owned(), path.to_owned()), "{url}");
        }
    }

    #[test]
    fn any_other_address_is_refused() {
        for url in [
            "http://192.168.1.2/",
            "http://0.0.0.0:8080/",
            "http://[::]:80/",
            "http://example.org/",
            "http://localhost.example.org/",
            "http://127.0.0.1@example.org/",
            "http://127.0.0.1:8080@10.0.0.1/",
            "http://[::ffff:10.0.0.1]/",
            "https://127.0.0.1/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:70000/",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/a\r\nX: y",
            "unix::/x",
            "127.0.0.1:8080",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
