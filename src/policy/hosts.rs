//! Under which names this server may be asked: what keeps a foreign page from reaching it by rebinding a name to its address.

use core::net::{Ipv4Addr, Ipv6Addr};

/// This machine's name, beside the IP literals and `localhost` that are always right.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    name: heapless::String<64>,
}

impl Hosts {
    /// The names of a machine called `name`; a longer name than a host may have (64 bytes) is left out.
    pub fn new(name: &str) -> Hosts {
        Hosts { name: heapless::String::try_from(name).unwrap_or_default() }
    }

    /// Whether a request for `host` (without port, an IPv6 literal in brackets) is meant for this server.
    pub fn allow(&self, host: &[u8]) -> bool {
        let Ok(host) = core::str::from_utf8(host) else { return false };
        let host = host.strip_suffix('.').unwrap_or(host);
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if literal.is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok()) || host.parse::<Ipv4Addr>().is_ok() {
            return true;
        }
        host.eq_ignore_ascii_case("localhost") || self.is_ours(host)
    }

    fn is_ours(&self, host: &str) -> bool {
        let bare = match host.len().checked_sub(".local".len()) {
            Some(at) if host.is_char_boundary(at) && host[at..].eq_ignore_ascii_case(".local") => &host[..at],
            _ => host,
        };
        // A machine may be called by its full name or by the first label of it, which is also what mDNS adds .local to.
        let label = self.name.split('.').next().unwrap_or_default();
        !label.is_empty() && (host.eq_ignore_ascii_case(&self.name) || bare.eq_ignore_ascii_case(label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_localhost_and_our_own_name_are_meant_for_us() {
        let hosts = Hosts::new("kitchen-pi");
        for host in
            ["127.0.0.1", "192.168.1.7", "[::1]", "localhost", "LOCALHOST", "localhost.", "kitchen-pi", "Kitchen-Pi.local"]
        {
            assert!(hosts.allow(host.as_bytes()), "{host}");
        }
        for host in
            ["", "evil.example", "kitchen-pi.example", "127.0.0.1.evil.example", "::1", "[::1", "local", ".local", "öl.local"]
        {
            assert!(!hosts.allow(host.as_bytes()), "{host}");
        }
        let full = Hosts::new("pi.home.arpa");
        assert!(["pi", "PI.local", "pi.home.arpa"].iter().all(|host| full.allow(host.as_bytes())));
        assert!(!full.allow(b"pi.home") && !full.allow(b"pi.example"));
        assert!(!Hosts::new("").allow(b".local"), "a machine without a name has none");
        assert!(!hosts.allow(&[0xff, b'a']));
    }
}
