//! The request target and the authority, RFC 9112 §3.2 and RFC 3986 §3.2, as ranges into the caller's buffer.
//!
//! The bytes have passed [`RequestLine`](super::request_line::RequestLine); percent-encoding is judged where it is decoded.

use super::method::Method;
use super::reject::Reject;

/// A range of the head. A head has at most 65,535 bytes, so two bytes an offset are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) end: u16,
}

impl Span {
    pub(super) const EMPTY: Self = Self { start: 0, end: 0 };

    pub(super) fn of(self, buf: &[u8]) -> &[u8] {
        &buf[usize::from(self.start)..usize::from(self.end)]
    }

    pub(super) const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// `host` or `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) whole: Span,
    /// `whole` without the port; an IPv6 address keeps its brackets.
    pub(super) host: Span,
}

impl Authority {
    /// `None` when what stands at `whole` is malformed: empty, user information, a bad byte, port or IPv6 address.
    pub(super) fn read(buf: &[u8], whole: Span) -> Option<Self> {
        let length = host_length(whole.of(buf))?;
        let end = whole.start + u16::try_from(length).expect("a host is a part of a span");
        Some(Self { whole, host: Span { start: whole.start, end } })
    }
}

/// Length of the host in `authority`, if both host and port are well-formed.
fn host_length(authority: &[u8]) -> Option<usize> {
    let host = match authority.strip_prefix(b"[") {
        Some(inside) => {
            let address = inside.iter().position(|&byte| byte == b']')?;
            // IPvFuture and zone identifiers name nothing that could be served here; they count as malformed.
            core::str::from_utf8(&inside[..address]).ok()?.parse::<core::net::Ipv6Addr>().ok()?;
            address + 2
        }
        None => {
            let name = authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len());
            if name == 0 || !is_reg_name(&authority[..name]) {
                return None;
            }
            name
        }
    };
    match &authority[host..] {
        [] => Some(host),
        [b':', port @ ..] => is_port(port).then_some(host),
        _ => None,
    }
}

/// RFC 3986 §3.2.2 `reg-name`, IPv4 addresses included.
fn is_reg_name(name: &[u8]) -> bool {
    let mut rest = name;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => rest,
            _ => return false,
        };
    }
}

/// Digits up to 65535. The empty port after a colon is allowed by RFC 3986 §3.2.3.
fn is_port(port: &[u8]) -> bool {
    let digits = port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    digits && port.iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0')) <= 65_535
}

/// What the request target says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    /// Of absolute-form; it replaces `Host` (RFC 9112 §3.2.2).
    pub(super) authority: Option<Authority>,
    /// Empty for `*` and for absolute-form without a path.
    pub(super) path: Span,
    pub(super) query: Option<Span>,
}

impl Target {
    pub(super) const NONE: Self = Self { authority: None, path: Span::EMPTY, query: None };

    /// Reads the target that stands at `span`, which is not empty.
    pub(super) fn read(buf: &[u8], span: Span, method: Method) -> Result<Self, Reject> {
        let text = span.of(buf);
        if text == b"*" {
            let allowed = method == Method::Options;
            return if allowed { Ok(Self::NONE) } else { Err(Reject::AsteriskMethod) };
        }
        if text.starts_with(b"/") {
            return Ok(Self::from_path(buf, span, None));
        }
        let scheme = scheme_length(text).ok_or(Reject::TargetForm)?;
        let after = Span { start: span.start + scheme, end: span.end };
        let length = after.of(buf).iter().take_while(|&&byte| byte != b'/' && byte != b'?').count();
        let slash = after.start + u16::try_from(length).expect("an authority is a part of a span");
        let authority = Authority::read(buf, Span { start: after.start, end: slash }).ok_or(Reject::TargetAuthority)?;
        Ok(Self::from_path(buf, Span { start: slash, end: span.end }, Some(authority)))
    }

    fn from_path(buf: &[u8], rest: Span, authority: Option<Authority>) -> Self {
        let length = rest.of(buf).iter().take_while(|&&byte| byte != b'?').count();
        let mark = rest.start + u16::try_from(length).expect("a path is a part of a span");
        let query = (mark < rest.end).then(|| Span { start: mark + 1, end: rest.end });
        Self { authority, path: Span { start: rest.start, end: mark }, query }
    }
}

/// Length of `http://` or `https://`, case-insensitive; no other scheme leads here.
fn scheme_length(text: &[u8]) -> Option<u16> {
    let is = |scheme: &[u8]| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    if is(b"http://") {
        Some(7)
    } else if is(b"https://") {
        Some(8)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Span {
        Span { start: 0, end: text.len() as u16 }
    }

    fn host(text: &str) -> Option<&str> {
        let authority = Authority::read(text.as_bytes(), whole(text))?;
        Some(std::str::from_utf8(authority.host.of(text.as_bytes())).unwrap())
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for (text, expected) in [
            ("a", "a"),
            ("pi.local:8080", "pi.local"),
            ("127.0.0.1:", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[fe80::1]:65535", "[fe80::1]"),
            ("a%2Fb_c", "a%2Fb_c"),
        ] {
            assert_eq!(host(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            "",
            ":80",
            "a:b",
            "a:65536",
            "a:123456",
            "a:-1",
            "u@h",
            "u:p@h",
            "a/b",
            "a b",
            "a\\b",
            "a%2",
            "a%zz",
            "a\"",
            "[]",
            "[::1",
            "::1",
            "[::1]x",
            "[::1%25eth0]",
            "[v1.a]",
            "[1.2.3.4]",
            "a:80:80",
            "a?b",
            "h\u{e4}",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    fn target(text: &str) -> Result<(Option<&str>, &str, Option<&str>), Reject> {
        let read = Target::read(text.as_bytes(), whole(text), Method::Get)?;
        let show = |span: Span| std::str::from_utf8(span.of(text.as_bytes())).unwrap();
        Ok((read.authority.map(|a| show(a.whole)), show(read.path), read.query.map(show)))
    }

    #[test]
    fn origin_form_and_absolute_form_are_taken_apart() {
        assert_eq!(target("/"), Ok((None, "/", None)));
        assert_eq!(target("/a/b?c=d?e"), Ok((None, "/a/b", Some("c=d?e"))));
        assert_eq!(target("/?"), Ok((None, "/", Some(""))));
        assert_eq!(target("//evil/x"), Ok((None, "//evil/x", None)));
        assert_eq!(target("http://h/p?q"), Ok((Some("h"), "/p", Some("q"))));
        assert_eq!(target("HTTPS://h:1"), Ok((Some("h:1"), "", None)));
        assert_eq!(target("http://h?q"), Ok((Some("h"), "", Some("q"))));
    }

    #[test]
    fn other_forms_are_refused() {
        assert_eq!(target("*"), Err(Reject::AsteriskMethod));
        for text in ["h:80", "ftp://h/", "http:/h", "a", "**", "?q", "http"] {
            assert_eq!(target(text), Err(Reject::TargetForm), "{text}");
        }
        for text in ["http:///p", "http://", "http://u@h/", "http://h:x/", "http://?q"] {
            assert_eq!(target(text), Err(Reject::TargetAuthority), "{text}");
        }
    }
}
