//! Under which names this server may be asked: what keeps a foreign page from reaching it by rebinding a name to its address.

use core::net::{Ipv4Addr, Ipv6Addr};

/// This machine's name, beside the IP literals and `localhost` that are always right and the names that the configuration lists.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    name: heapless::String<64>,
}

impl Hosts {
    /// The names of a machine called `name`; a longer name than a host may have (64 bytes) is left out.
    pub fn new(name: &str) -> Hosts {
        Hosts { name: heapless::String::try_from(name).unwrap_or_default() }
    }

    /// Whether a request for `host` (without port, an IPv6 literal in brackets) is meant for this server, which also goes by the names
    /// that are `listed` (without port; case and a dot at the end mean nothing). No name stands for all: a `*` is a name that nobody has.
    pub fn allow<'a>(&self, host: &[u8], mut listed: impl Iterator<Item = &'a [u8]>) -> bool {
        let Ok(host) = core::str::from_utf8(host) else { return false };
        let host = host.strip_suffix('.').unwrap_or(host);
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if literal.is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok()) || host.parse::<Ipv4Addr>().is_ok() {
            return true;
        }
        let is_host =
            |name: &[u8]| !host.is_empty() && name.strip_suffix(b".").unwrap_or(name).eq_ignore_ascii_case(host.as_bytes());
        host.eq_ignore_ascii_case("localhost") || self.is_ours(host) || listed.any(is_host)
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

    fn allowed(hosts: &Hosts, host: &[u8]) -> bool {
        hosts.allow(host, [].into_iter())
    }

    #[test]
    fn only_addresses_localhost_and_our_own_name_are_meant_for_us() {
        let hosts = Hosts::new("kitchen-pi");
        for host in
            ["127.0.0.1", "192.168.1.7", "[::1]", "localhost", "LOCALHOST", "localhost.", "kitchen-pi", "Kitchen-Pi.local"]
        {
            assert!(allowed(&hosts, host.as_bytes()), "{host}");
        }
        for host in
            ["", "evil.example", "kitchen-pi.example", "127.0.0.1.evil.example", "::1", "[::1", "local", ".local", "öl.local"]
        {
            assert!(!allowed(&hosts, host.as_bytes()), "{host}");
        }
        let full = Hosts::new("pi.home.arpa");
        assert!(["pi", "PI.local", "pi.home.arpa"].iter().all(|host| allowed(&full, host.as_bytes())));
        assert!(!allowed(&full, b"pi.home") && !allowed(&full, b"pi.example"));
        assert!(!allowed(&Hosts::new(""), b".local"), "a machine without a name has none");
        assert!(!allowed(&hosts, &[0xff, b'a']));
    }

    #[test]
    fn a_name_rebound_to_our_address_is_refused_unless_it_is_listed() {
        let hosts = Hosts::new("pi");
        let listed = ["sensors.example", "Dotted.Example.", "*", "", "."];
        let allow = |host: &str| hosts.allow(host.as_bytes(), listed.iter().map(|name| name.as_bytes()));
        for host in
            ["sensors.example", "SENSORS.Example", "sensors.example.", "dotted.example", "dotted.example.", "pi", "10.0.0.1"]
        {
            assert!(allow(host), "{host}");
        }
        for host in ["evil.example", "x.sensors.example", "sensors.example.evil.example", "sensors.example..", "sensors", "", "."]
        {
            assert!(!allow(host), "{host}");
        }
    }
}
