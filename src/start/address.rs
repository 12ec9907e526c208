//! Where to listen: the ADDR of `--listen` and `--ops`. Pure: names are not looked up, nothing is opened.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Linux's `sun_path` has 108 bytes, one of them for the terminating NUL.
pub const UNIX_PATH_BYTES: usize = 107;

/// A place to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and port; port 0 asks the kernel for any free one.
    Tcp(SocketAddr),
    /// A Unix stream socket at a path of at most [`UNIX_PATH_BYTES`] bytes.
    Unix(PathBuf),
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Nothing was given.
    Empty,
    /// The port is a number, but none of a port.
    PortOutOfRange {
        /// As it was written.
        port: String,
    },
    /// The port is no number.
    PortNotANumber {
        /// As it was written.
        port: String,
    },
    /// An IP address without a port.
    PortMissing {
        /// The address, in brackets when it is IPv6.
        host: String,
    },
    /// A host name: which of its addresses would be meant is not ours to guess.
    HostName {
        /// As it was written.
        host: String,
        /// The port that stood behind it.
        port: u16,
    },
    /// IPv6 without brackets: its last group and a port look the same.
    BracketsMissing {
        /// The address without brackets.
        host: String,
    },
    /// What stands in brackets is no IPv6 address.
    NotIpv6 {
        /// As it was written.
        host: String,
    },
    /// `http://...`, which names a page and not a place to listen on.
    Url {
        /// What stood behind the `://`, up to the first slash.
        authority: String,
    },
    /// `unix:` without a path.
    UnixPathMissing,
    /// The path of a Unix socket is longer than the kernel takes.
    UnixPathTooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl Default for Address {
    /// This machine only, on the port that the documentation names.
    fn default() -> Address {
        Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::Empty => write!(f, "an address is missing"),
            AddressError::PortOutOfRange { port } => {
                write!(f, "port {port} is out of range 1-65535 (0 = any free port)")
            }
            AddressError::PortNotANumber { port } => write!(f, "{port:?} is no port number"),
            AddressError::PortMissing { host } => write!(f, "the port is missing after {host}"),
            AddressError::HostName { host, .. } => {
                write!(f, "{host:?} is a host name; use an IP literal, because names are not looked up")
            }
            AddressError::BracketsMissing { host } => {
                write!(f, "the IPv6 address {host} needs brackets and a port")
            }
            AddressError::NotIpv6 { host } => write!(f, "{host:?} in brackets is no IPv6 address"),
            AddressError::Url { .. } => {
                write!(f, "this is a URL; an address has no scheme and no path")
            }
            AddressError::UnixPathMissing => write!(f, "the path is missing after unix:"),
            AddressError::UnixPathTooLong { length } => {
                write!(f, "the path has {length} bytes, a Unix socket's at most {UNIX_PATH_BYTES}")
            }
        }
    }
}

impl std::error::Error for AddressError {}

impl AddressError {
    /// An address near to what was meant.
    pub fn suggestion(&self) -> String {
        match self {
            AddressError::PortMissing { host } => format!("{host}:8080"),
            AddressError::BracketsMissing { host } => format!("[{host}]:8080"),
            AddressError::NotIpv6 { .. } => "[::1]:8080".to_owned(),
            // On this machine alone: opening it to a network is a decision that a suggestion must not take.
            AddressError::HostName { port, .. } => format!("127.0.0.1:{port}"),
            AddressError::Url { authority } if authority.parse::<Address>().is_ok() => authority.clone(),
            AddressError::UnixPathMissing | AddressError::UnixPathTooLong { .. } => "unix:/run/flagstone.sock".to_owned(),
            AddressError::Empty
            | AddressError::Url { .. }
            | AddressError::PortOutOfRange { .. }
            | AddressError::PortNotANumber { .. } => "127.0.0.1:8080".to_owned(),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Accepts `127.0.0.1:8080`, `:8080` (every IPv4 interface), `8080` (loopback), `localhost:8080`, `[::1]:8080`, `unix:PATH`.
    fn from_str(text: &str) -> Result<Address, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if let Some((_, rest)) = text.split_once("://") {
            let authority = rest.split('/').next().unwrap_or_default().to_owned();
            return Err(AddressError::Url { authority });
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(AddressError::BracketsMissing { host: text.to_owned() });
        }
        if let Some(rest) = text.strip_prefix('[') {
            return bracketed(text, rest);
        }
        tcp(text)
    }
}

fn unix(path: &str) -> Result<Address, AddressError> {
    match path.len() {
        0 => Err(AddressError::UnixPathMissing),
        length if length > UNIX_PATH_BYTES => Err(AddressError::UnixPathTooLong { length }),
        _ => Ok(Address::Unix(PathBuf::from(path))),
    }
}

fn bracketed(text: &str, rest: &str) -> Result<Address, AddressError> {
    let (host, after) = rest.split_once(']').ok_or_else(|| AddressError::NotIpv6 { host: rest.to_owned() })?;
    // SocketAddrV6 knows the numeric zone (%2) of a link-local address, Ipv6Addr does not.
    let Ok(SocketAddr::V6(mut address)) = format!("[{host}]:0").parse() else {
        return Err(AddressError::NotIpv6 { host: host.to_owned() });
    };
    if after.is_empty() || after == ":" {
        let host = text.trim_end_matches(':').to_owned();
        return Err(AddressError::PortMissing { host });
    }
    let digits = after.strip_prefix(':').ok_or_else(|| AddressError::PortNotANumber { port: after.to_owned() })?;
    address.set_port(port(digits)?);
    Ok(Address::Tcp(SocketAddr::V6(address)))
}

fn tcp(text: &str) -> Result<Address, AddressError> {
    let address = |ip: Ipv4Addr, port: u16| Ok(Address::Tcp(SocketAddr::new(IpAddr::V4(ip), port)));
    let Some((host, digits)) = text.rsplit_once(':') else {
        if text.parse::<Ipv4Addr>().is_ok() || text.eq_ignore_ascii_case("localhost") {
            return Err(AddressError::PortMissing { host: text.to_owned() });
        }
        return address(Ipv4Addr::LOCALHOST, port(text)?);
    };
    if digits.is_empty() {
        return Err(AddressError::PortMissing { host: host.to_owned() });
    }
    let port = port(digits)?;
    if host.is_empty() {
        return address(Ipv4Addr::UNSPECIFIED, port);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return address(Ipv4Addr::LOCALHOST, port);
    }
    match host.parse::<Ipv4Addr>() {
        Ok(ip) => address(ip, port),
        Err(_) => Err(AddressError::HostName { host: host.to_owned(), port }),
    }
}

/// A port in digits alone: `u16::from_str` would take a plus sign.
fn port(text: &str) -> Result<u16, AddressError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::PortNotANumber { port: text.to_owned() });
    }
    text.parse().map_err(|_| AddressError::PortOutOfRange { port: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_understood() {
        let cases = [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            (":8080", "0.0.0.0:8080"),
            ("8080", "127.0.0.1:8080"),
            ("0", "127.0.0.1:0"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("LocalHost:1", "127.0.0.1:1"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::]:65535", "[::]:65535"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("unix:/run/flagstone.sock", "unix:/run/flagstone.sock"),
            ("unix:a:b c", "unix:a:b c"),
        ];
        for (text, shown) in cases {
            let address: Address = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<Address>().as_ref(), Ok(&address), "what is shown can be typed");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_the_suggestion_is_right() {
        let long = format!("unix:/{}", "x".repeat(UNIX_PATH_BYTES));
        let cases = [
            ("", "missing", "127.0.0.1:8080"),
            ("70000", "port 70000 is out of range 1-65535 (0 = any free port)", "127.0.0.1:8080"),
            ("127.0.0.1:65536", "port 65536 is out of range", "127.0.0.1:8080"),
            ("-1", "port -1 is out of range", "127.0.0.1:8080"),
            (":99999999999999999999", "is out of range", "127.0.0.1:8080"),
            ("127.0.0.1:+80", "\"+80\" is no port number", "127.0.0.1:8080"),
            ("data.db", "\"data.db\" is no port number", "127.0.0.1:8080"),
            ("[::1]8080", "no port number", "127.0.0.1:8080"),
            ("127.0.0.1", "port is missing after 127.0.0.1", "127.0.0.1:8080"),
            ("localhost", "port is missing", "localhost:8080"),
            ("192.168.1.5:", "port is missing", "192.168.1.5:8080"),
            ("[::1]", "port is missing after [::1]", "[::1]:8080"),
            ("[::1]:", "port is missing after [::1]", "[::1]:8080"),
            ("::1", "needs brackets", "[::1]:8080"),
            ("[nonsense]:80", "no IPv6 address", "[::1]:8080"),
            ("[::1:80", "no IPv6 address", "[::1]:8080"),
            ("[::1%eth0]:80", "no IPv6 address", "[::1]:8080"),
            ("raspberrypi:8081", "use an IP literal", "127.0.0.1:8081"),
            ("999.1.1.1:80", "use an IP literal", "127.0.0.1:80"),
            ("http://0.0.0.0:80/x", "URL", "0.0.0.0:80"),
            ("http://example.org", "URL", "127.0.0.1:8080"),
            ("unix:", "path is missing", "unix:/run/flagstone.sock"),
            (long.as_str(), "108 bytes", "unix:/run/flagstone.sock"),
        ];
        for (text, essential, suggestion) in cases {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.to_string().contains(essential), "{text}: {error}");
            assert_eq!(error.suggestion(), suggestion, "{text}");
            assert!(suggestion.parse::<Address>().is_ok(), "what is suggested works");
        }
    }

    #[test]
    fn a_unix_path_may_be_as_long_as_the_kernel_takes() {
        let longest = format!("unix:{}", "x".repeat(UNIX_PATH_BYTES));
        assert!(longest.parse::<Address>().is_ok());
    }
}
