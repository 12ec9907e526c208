//! For whom a proxy asks: the client's address out of `X-Forwarded-For` or `Forwarded` (RFC 7239).
//!
//! Anybody can send these fields, so they count only from a proxy that we trust: one on this machine, or one that the configuration names.
//! Each proxy adds the address that it saw at the right end; what stands further left was there before it and may be forged. So elements
//! are read from the right, over proxies that we trust, up to the first address that is none. What cannot be read ends the search: what
//! stands left of it was written by nobody whom we know.
//!
//! Proxies that write `X-Forwarded-For`, as nginx, Caddy and Tailscale do, hand a forged `Forwarded` on as it came. So `Forwarded` counts
//! only where there is no `X-Forwarded-For`; a proxy that writes `Forwarded` has to remove the other.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::list::{is_token, parts, trimmed};

/// Elements that are looked at, from the right: more proxies than that in a row are no chain but an attack on our time.
const ELEMENTS: usize = 32;

/// The client for whom `peer` (`None` for a unix socket) asks; `None` where the peer stands for itself: it is no proxy that we trust, it
/// names nobody, or nobody who can be known.
pub fn client<'a>(
    peer: Option<IpAddr>, trusted: &[IpAddr], x_forwarded_for: impl Iterator<Item = &'a [u8]>,
    forwarded: impl Iterator<Item = &'a [u8]>,
) -> Option<IpAddr> {
    if peer.is_some_and(|peer| !is_ours(peer, trusted)) {
        return None;
    }
    let mut lines = x_forwarded_for.peekable();
    if lines.peek().is_some() {
        // Not the parts of a list: an empty element is one that cannot be read, and commas in quotes separate here.
        let elements = lines.flat_map(|line| line.split(|&byte| byte == b',').map(trimmed));
        return first_foreign(elements, trusted, address);
    }
    first_foreign(forwarded.flat_map(|line| parts(line, b',')), trusted, forwarded_for)
}

/// Whether `address` is a proxy whose word counts: exactly 127.0.0.1, ::1 (a mapped one too), or one of `trusted`.
fn is_ours(address: IpAddr, trusted: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    address == Ipv4Addr::LOCALHOST
        || address == Ipv6Addr::LOCALHOST
        || trusted.iter().any(|trusted| trusted.to_canonical() == address)
}

/// The rightmost address that is none of ours, if everything right of it can be read and is ours.
fn first_foreign<'a>(
    elements: impl Iterator<Item = &'a [u8]>, trusted: &[IpAddr], read: impl Fn(&[u8]) -> Option<IpAddr>,
) -> Option<IpAddr> {
    // The fields can be walked from the left only, so the last elements are kept on the way.
    let mut last = [&[][..]; ELEMENTS];
    let mut count = 0;
    for element in elements {
        last[count % ELEMENTS] = element;
        count += 1;
    }
    for back in 1..=count.min(ELEMENTS) {
        let address = read(last[(count - back) % ELEMENTS])?;
        if !is_ours(address, trusted) {
            return Some(address);
        }
    }
    None
}

/// An address as proxies write it: IPv4 or IPv6, with or without brackets and port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = core::str::from_utf8(text).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::from);
    let with_port = || {
        let v4 = text.parse::<SocketAddrV4>().map(SocketAddr::from);
        v4.or_else(|_| text.parse::<SocketAddrV6>().map(SocketAddr::from)).ok().map(|address| address.ip())
    };
    text.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// The address in `for=` of an element of `Forwarded` (RFC 7239 §4): one such parameter, and every other well-formed too, because a quote
/// that a client leaves open would otherwise swallow what the proxy wrote behind it. `unknown` and `_hidden` are no addresses.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for pair in parts(element, b';') {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (&pair[..equals], unquoted(&pair[equals + 1..])?);
        if !is_token(name) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
    }
    // An IPv6 address has brackets here (§6); without them it could not be told from one with a port.
    let value = found?;
    let bare_v6 = !value.starts_with(b"[") && value.iter().filter(|&&byte| byte == b':').count() > 1;
    if bare_v6 { None } else { address(value) }
}

/// A token, or the inside of a quoted string; one with escapes is no address, and nothing else needs to be read.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.strip_prefix(b"\"") {
        None => is_token(value).then_some(value),
        Some(rest) => rest.strip_suffix(b"\"").filter(|inside| !inside.iter().any(|byte| matches!(byte, b'"' | b'\\'))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The client of a request from `peer` with these lines, where 10.0.0.1 and 2001:db8::1 are trusted.
    fn seen(peer: &str, x_forwarded_for: &[&str], forwarded: &[&str]) -> Option<IpAddr> {
        let trusted = [ip("10.0.0.1"), ip("2001:db8::1")];
        let peer = (peer != "unix").then(|| ip(peer));
        client(peer, &trusted, x_forwarded_for.iter().map(|line| line.as_bytes()), forwarded.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn a_forged_field_from_anybody_but_a_trusted_proxy_changes_nothing() {
        for peer in ["192.168.1.7", "127.0.0.2", "10.0.0.2", "2001:db8::2", "::ffff:192.168.1.7"] {
            assert_eq!(seen(peer, &["127.0.0.1"], &[]), None, "{peer}");
            assert_eq!(seen(peer, &["203.0.113.9"], &["for=203.0.113.9"]), None, "{peer}");
        }
        for peer in ["unix", "127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1"] {
            assert_eq!(seen(peer, &["203.0.113.9"], &[]), Some(ip("203.0.113.9")), "{peer}");
            assert_eq!(seen(peer, &[], &["for=203.0.113.9"]), Some(ip("203.0.113.9")), "{peer}");
            assert_eq!(seen(peer, &[], &[]), None, "{peer}");
        }
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxy_of_ours_is_the_client() {
        let cases: [(&[&str], Option<&str>); 20] = [
            (&["198.51.100.1, 203.0.113.9"], Some("203.0.113.9")),
            (&["198.51.100.1,203.0.113.9,10.0.0.1"], Some("203.0.113.9")),
            (&["198.51.100.1, 203.0.113.9 , 10.0.0.1\t,127.0.0.1, ::1"], Some("203.0.113.9")),
            (&["198.51.100.1", "203.0.113.9", "10.0.0.1"], Some("203.0.113.9")),
            (&["2001:db8::7"], Some("2001:db8::7")),
            (&["[2001:db8::7]"], Some("2001:db8::7")),
            (&["[2001:db8::7]:4711"], Some("2001:db8::7")),
            (&["203.0.113.9:4711"], Some("203.0.113.9")),
            (&["::ffff:203.0.113.9"], Some("203.0.113.9")),
            (&["203.0.113.9, ::ffff:10.0.0.1"], Some("203.0.113.9")),
            // Nobody but our own.
            (&["10.0.0.1"], None),
            (&["127.0.0.1, 10.0.0.1"], None),
            // What stands left of something unreadable was written by nobody whom we know.
            (&["198.51.100.1, unknown"], None),
            (&["198.51.100.1, unix:"], None),
            (&["198.51.100.1, "], None),
            (&["198.51.100.1", ""], None),
            (&["198.51.100.1, fe80::1%eth0"], None),
            (&["198.51.100.1, 010.0.0.1"], None),
            (&["198.51.100.1, \"203.0.113.9\""], None),
            (&["\"198.51.100.1, 203.0.113.9"], Some("203.0.113.9")),
        ];
        for (lines, client) in cases {
            assert_eq!(seen("127.0.0.1", lines, &[]), client.map(ip), "{lines:?}");
        }
        assert_eq!(
            seen("::1", &["203.0.113.9"], &["for=198.51.100.1"]),
            Some(ip("203.0.113.9")),
            "a forged Forwarded, handed on"
        );
        assert_eq!(seen("::1", &["unknown"], &["for=198.51.100.1"]), None);
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        let cases: [(&[&str], Option<&str>); 22] = [
            (&["for=203.0.113.9"], Some("203.0.113.9")),
            (&["For=\"203.0.113.9:4711\""], Some("203.0.113.9")),
            (&["for=\"[2001:db8::7]:4711\""], Some("2001:db8::7")),
            (&["for=\"[2001:db8::7]\";proto=https;by=203.0.113.43"], Some("2001:db8::7")),
            (&["proto=https; for=203.0.113.9"], Some("203.0.113.9")),
            (&["for=198.51.100.1, for=203.0.113.9;host=\"a,b\", for=10.0.0.1"], Some("203.0.113.9")),
            (&["for=198.51.100.1", "for=203.0.113.9"], Some("203.0.113.9")),
            (&["for=_hidden"], None),
            (&["for=198.51.100.1, for=_hidden"], None),
            (&["for=198.51.100.1, for=unknown"], None),
            (&["for=198.51.100.1, for=\"_hidden:4711\""], None),
            (&["for=198.51.100.1, proto=http"], None),
            (&["for=198.51.100.1, nonsense"], None),
            (&["for=198.51.100.1;for=203.0.113.9"], None),
            (&["for=\"2001:db8::7\""], None),
            (&["for=\"203.0.113.\\9\""], None),
            (&["for=203.0.113.9:4711"], None),
            (&["fo r=203.0.113.9"], None),
            // Quotes that a client leaves open, to swallow what the proxy adds.
            (&["for=198.51.100.1;by=\", for=203.0.113.9"], None),
            (&["for=198.51.100.1;by=\", for=\"[2001:db8::7]\""], None),
            (&["for=198.51.100.1;by=\", for=203.0.113.9;host=\"\""], None),
            (&["for=198.51.100.1;by=\"", "for=203.0.113.9"], Some("203.0.113.9")),
        ];
        for (lines, client) in cases {
            assert_eq!(seen("127.0.0.1", &[], lines), client.map(ip), "{lines:?}");
        }
    }

    #[test]
    fn a_chain_beyond_the_bound_is_not_followed() {
        let chain =
            |proxies: usize| ["203.0.113.9"].into_iter().chain(std::iter::repeat_n("10.0.0.1", proxies)).collect::<Vec<_>>();
        for (proxies, client) in [(0, Some("203.0.113.9")), (ELEMENTS - 1, Some("203.0.113.9")), (ELEMENTS, None), (999, None)] {
            assert_eq!(seen("unix", &[&chain(proxies).join(",")], &[]), client.map(ip), "{proxies}");
            assert_eq!(seen("unix", &chain(proxies), &[]), client.map(ip), "{proxies} lines");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_its_proxy_names_it(forged in prop::collection::vec(r#"[ -~]{0,40}|(for=|by=|198\.51\.100\.1|[";, \\]){0,6}"#, 0..4), v6: bool, inline: bool) {
            let own = ip(if v6 { "2001:db8::7" } else { "203.0.113.9" });
            let add = |added: String| {
                let mut lines = forged.clone();
                match lines.last_mut().filter(|_| inline) {
                    Some(last) => last.push_str(&format!(", {added}")),
                    None => lines.push(added),
                }
                lines
            };
            let lines = add(own.to_string());
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            prop_assert_eq!(seen("127.0.0.1", &lines, &["for=198.51.100.1"]), Some(own));
            // In Forwarded a quote may hide what the proxy added, but never put another in its place.
            let lines = add(if v6 { format!("for=\"[{own}]\"") } else { format!("for={own}") });
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            prop_assert!(seen("127.0.0.1", &[], &lines).is_none_or(|client| client == own));
        }
    }
}
