//! Whose page sent a request: what keeps a foreign page from writing here with a visitor's browser, and which pages may read answers
//! (CORS, the Fetch standard §3.3). Knows a request's field values and the configured origins, nothing else.
//!
//! A page cannot forge `Origin` or `Sec-Fetch-Site`; programs can, and are not what this is about: they have no visitor whose place in the
//! network they could borrow. So a request that names neither comes from a program, or from a browser's own page by an old rule, and passes.
//!
//! Behind a proxy that ends TLS we do not know the scheme that the browser used. So a page is ours when its host and port are those of the
//! request's authority, and the ports 80, 443 and none count as one: `https://example.org` is the same origin as `Host: example.org`, and
//! as the `example.org:443` or `example.org:80` that some proxies make of it. A proxy that sends another `Host` on hides what we would
//! compare with: let it pass the browser's, or list the origin.

/// How long a browser may remember a preflight's answer, in s.
pub const MAX_AGE_S: u32 = 600;
/// Access-Control-Expose-Headers: what a page may read of an answer beside its body.
pub const EXPOSED: &str = "Content-Range, ETag, Idempotency-Replayed, Link, Retry-After, X-Cache";

/// What a request's page means for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Our own page, or no page at all; or a method that changes nothing.
    Same,
    /// A page of an origin that the configuration lists by name.
    Allowed,
    /// A foreign page that would write: 403.
    Foreign,
}

/// Judges a request by its method (`writes`: an unsafe one, RFC 9110 §9.2.1), its `Origin`, its `Sec-Fetch-Site` and the authority that it was sent to (host and port).
///
/// A `*` among the `allowed` lets every page read, and none write: otherwise any page that a visitor opens could use open write routes of
/// a server at home. `Origin: null` is foreign even where it is listed, because every sandboxed frame of every page sends it.
pub fn judge<'a>(
    writes: bool, origin: Option<&[u8]>, sec_fetch_site: Option<&[u8]>, authority: Option<&[u8]>,
    allowed: impl Iterator<Item = &'a [u8]>,
) -> Verdict {
    let parsed = origin.map(Origin::read);
    if !writes {
        return Verdict::Same;
    }
    let same = match &parsed {
        None => true,
        Some(origin) => origin.as_ref().is_some_and(|origin| authority.is_some_and(|authority| origin.is_at(authority))),
    };
    // "same-site" without an Origin is left to the Origin that every browser sends beside it; what we do not know is doubt, so foreign.
    let fetched_within = sec_fetch_site.is_none_or(|site| matches!(site, b"same-origin" | b"same-site" | b"none"));
    if same && fetched_within {
        return Verdict::Same;
    }
    match parsed.flatten() {
        Some(origin) if origin.listed(allowed) == Some(Listed::ByName) => Verdict::Allowed,
        _ => Verdict::Foreign,
    }
}

/// The value of `Access-Control-Allow-Origin` for an answer; `None` leaves the field out, and the page cannot read. An origin that is
/// listed by name gets itself back, any other `*` where that is listed. Where the request brings credentials, `*` is not enough: answers
/// behind a token are for pages whose origin was named.
pub fn readable_by<'a, 'b>(
    origin: Option<&'a [u8]>, has_authorization: bool, allowed: impl Iterator<Item = &'b [u8]>,
) -> Option<&'a [u8]> {
    let origin = origin?;
    match listed(origin, allowed)? {
        Listed::ByName => Some(origin),
        Listed::ByStar => (!has_authorization).then_some(b"*"),
    }
}

/// What a preflight is answered with (204).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preflight<'a> {
    /// Access-Control-Allow-Origin.
    pub origin: &'a [u8],
    /// Access-Control-Allow-Methods.
    pub methods: &'static str,
    /// Access-Control-Allow-Headers.
    pub headers: &'static str,
    /// Access-Control-Max-Age.
    pub max_age_s: u32,
}

/// The answer to an OPTIONS request with this `Origin` and `Access-Control-Request-Method`; `None` where it is no preflight or comes from
/// an origin that is not listed: such a request is answered as any OPTIONS, and the browser gives up. Pages that may only read by `*` are
/// told so here, before they try more.
pub fn preflight<'a, 'b>(
    origin: Option<&'a [u8]>, requested_method: Option<&[u8]>, allowed: impl Iterator<Item = &'b [u8]>,
) -> Option<Preflight<'a>> {
    let origin = origin.filter(|_| requested_method.is_some())?;
    let (origin, methods, headers) = match listed(origin, allowed)? {
        Listed::ByName => {
            (origin, "GET, HEAD, POST, PUT, PATCH, DELETE", "Authorization, Content-Type, Idempotency-Key, If-None-Match, Prefer")
        }
        Listed::ByStar => (&b"*"[..], "GET, HEAD", "Content-Type, If-None-Match, Prefer"),
    };
    Some(Preflight { origin, methods, headers, max_age_s: MAX_AGE_S })
}

/// How the configuration lists an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    ByName,
    ByStar,
}

/// How `origin` is listed. `null` and what cannot be read may be meant by a `*`, and by nothing else.
fn listed<'b>(origin: &[u8], mut allowed: impl Iterator<Item = &'b [u8]>) -> Option<Listed> {
    match Origin::read(origin) {
        Some(origin) => origin.listed(allowed),
        None => allowed.any(|entry| entry == b"*").then_some(Listed::ByStar),
    }
}

/// A scheme, a host and a port (RFC 6454 §6.2), in any case.
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    scheme: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Reads `scheme://host[:port]`; `null` and everything else is none.
    fn read(text: &'a [u8]) -> Option<Origin<'a>> {
        let colon = text.iter().position(|&byte| byte == b':')?;
        let (scheme, rest) = (&text[..colon], text[colon..].strip_prefix(b"://")?);
        let in_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let (host, port) = host_and_port(rest)?;
        (!scheme.is_empty() && scheme.iter().all(in_scheme)).then_some(Origin {
            scheme,
            host,
            port: port.or(default_port(scheme)),
        })
    }

    /// Whether `authority` is where its pages come from; the scheme is not known there.
    fn is_at(&self, authority: &[u8]) -> bool {
        let Some((host, port)) = host_and_port(authority) else { return false };
        let usual = |port: Option<u16>| matches!(port, None | Some(80 | 443));
        let web = default_port(self.scheme).is_some();
        web && host.eq_ignore_ascii_case(self.host) && (port == self.port || usual(port) && usual(self.port))
    }

    /// How the configuration lists it: by name before `*`. Names are compared exactly, scheme and port too.
    fn listed<'b>(&self, allowed: impl Iterator<Item = &'b [u8]>) -> Option<Listed> {
        let mut best = None;
        for entry in allowed {
            if Origin::read(entry).is_some_and(|entry| entry.equals(self)) {
                return Some(Listed::ByName);
            }
            if entry == b"*" {
                best = Some(Listed::ByStar);
            }
        }
        best
    }

    fn equals(&self, other: &Origin) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme) && self.host.eq_ignore_ascii_case(other.host) && self.port == other.port
    }
}

/// The port that `scheme` means where none is named; only schemes of the web have one.
fn default_port(scheme: &[u8]) -> Option<u16> {
    if scheme.eq_ignore_ascii_case(b"http") { Some(80) } else { scheme.eq_ignore_ascii_case(b"https").then_some(443) }
}

/// Takes `host[:port]` apart, the host with its brackets; `None` for anything that is more or less than that.
fn host_and_port(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let end = match text.first()? {
        b'[' => text.iter().position(|&byte| byte == b']')? + 1,
        _ => text.iter().position(|&byte| byte == b':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end);
    let port = match rest {
        [] => None,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => Some(core::str::from_utf8(digits).ok()?.parse().ok()?),
        _ => return None,
    };
    let inner = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]"));
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%');
    let in_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let fine = match inner {
        Some(address) => !address.is_empty() && address.iter().all(in_address),
        None => !host.is_empty() && host.iter().all(plain),
    };
    fine.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LISTED: [&str; 3] = ["https://app.example", "http://10.0.0.9:3000", "capacitor://localhost"];

    fn bytes(list: &'static [&'static str]) -> impl Iterator<Item = &'static [u8]> {
        list.iter().map(|entry| entry.as_bytes())
    }

    fn judged(origin: Option<&str>, site: Option<&str>, authority: &str, allowed: &'static [&'static str]) -> Verdict {
        let verdict = |writes| {
            let (origin, site) = (origin.map(str::as_bytes), site.map(str::as_bytes));
            judge(writes, origin, site, Some(authority.as_bytes()), bytes(allowed))
        };
        assert_eq!(verdict(false), Verdict::Same, "what changes nothing is never refused");
        verdict(true)
    }

    #[test]
    fn a_foreign_page_writes_nothing_with_a_visitors_browser() {
        use Verdict::{Allowed, Foreign, Same};
        let cases = [
            // Programs.
            (None, None, "pi.local:8080", Same),
            // Our own pages, directly and behind a proxy that ends TLS.
            (Some("http://pi.local:8080"), Some("same-origin"), "pi.local:8080", Same),
            (Some("http://pi.local:8080"), None, "PI.LOCAL:8080", Same),
            (Some("http://pi.local"), None, "pi.local", Same),
            (Some("https://pi.local"), None, "pi.local", Same),
            (Some("https://pi.local"), None, "pi.local:443", Same),
            (Some("https://pi.local"), None, "pi.local:80", Same),
            (Some("https://pi.local:443"), None, "pi.local", Same),
            (Some("http://[::1]:8080"), None, "[::1]:8080", Same),
            (Some("http://[::1]"), None, "[::1]", Same),
            (None, Some("same-origin"), "pi.local", Same),
            (None, Some("none"), "pi.local", Same),
            // Foreign ones.
            (Some("http://evil.example"), None, "pi.local:8080", Foreign),
            (Some("http://evil.example"), Some("same-origin"), "pi.local:8080", Foreign),
            (Some("http://pi.local:8080"), Some("cross-site"), "pi.local:8080", Foreign),
            (None, Some("cross-site"), "pi.local", Foreign),
            (None, Some("Same-Origin"), "pi.local", Foreign),
            (None, Some("same-origin, cross-site"), "pi.local", Foreign),
            // Another server on the same machine, and names that only look like ours.
            (Some("http://pi.local:9999"), Some("same-site"), "pi.local:8080", Foreign),
            (Some("http://pi.local"), None, "pi.local:8080", Foreign),
            (Some("http://pi.local:8080"), None, "pi.local", Foreign),
            (Some("http://pi.local.evil.example"), None, "pi.local", Foreign),
            (Some("http://evil.example/pi.local"), None, "pi.local", Foreign),
            (Some("http://pi.local@evil.example"), None, "pi.local", Foreign),
            (Some("http://evil.example#pi.local"), None, "pi.local", Foreign),
            (Some("ftp://pi.local"), None, "pi.local", Foreign),
            (Some("http://pi.local:65616"), None, "pi.local:80", Foreign),
            (Some("http://[::1"), None, "[::1", Foreign),
            // A sandboxed frame, a page from a file, nonsense.
            (Some("null"), None, "pi.local", Foreign),
            (Some("null"), Some("same-origin"), "pi.local", Foreign),
            (Some("null"), None, "null", Foreign),
            (Some("pi.local"), None, "pi.local", Foreign),
            (Some(""), None, "", Foreign),
            // Listed ones: exactly those.
            (Some("https://app.example"), Some("cross-site"), "pi.local", Allowed),
            (Some("HTTPS://APP.example:443"), None, "pi.local", Allowed),
            (Some("http://10.0.0.9:3000"), None, "pi.local", Allowed),
            (Some("capacitor://localhost"), Some("cross-site"), "pi.local", Allowed),
            (Some("http://app.example"), None, "pi.local", Foreign),
            (Some("https://app.example:8443"), None, "pi.local", Foreign),
            (Some("https://sub.app.example"), None, "pi.local", Foreign),
            (Some("https://app.example.evil"), None, "pi.local", Foreign),
        ];
        for (origin, site, authority, verdict) in cases {
            assert_eq!(judged(origin, site, authority, &LISTED), verdict, "{origin:?} {site:?} {authority}");
        }
        assert_eq!(judge(true, Some(b"http://a"), None, None, bytes(&[])), Verdict::Foreign, "HTTP/1.0 without Host");
    }

    #[test]
    fn a_star_lets_every_page_read_and_none_write_and_null_is_never_listed() {
        assert_eq!(judged(Some("https://any.example"), None, "pi", &["*"]), Verdict::Foreign);
        assert_eq!(judged(Some("https://app.example"), None, "pi", &["*", "https://app.example"]), Verdict::Allowed);
        assert_eq!(judged(Some("null"), None, "pi", &["null"]), Verdict::Foreign);
        assert_eq!(readable_by(Some(b"null"), false, bytes(&["null"])), None);
        assert_eq!(readable_by(Some(b"null"), false, bytes(&["*"])), Some(&b"*"[..]));
    }

    #[test]
    fn an_answer_is_readable_by_those_who_are_listed() {
        let star_and_name = &["*", "https://app.example"][..];
        let cases = [
            (None, false, star_and_name, None),
            (Some("https://app.example"), false, &LISTED[..], Some("https://app.example")),
            (Some("https://app.example"), true, &LISTED, Some("https://app.example")),
            (Some("https://App.Example"), true, &LISTED, Some("https://App.Example")),
            (Some("https://app.example"), true, star_and_name, Some("https://app.example")),
            (Some("https://other.example"), false, star_and_name, Some("*")),
            (Some("https://other.example"), true, star_and_name, None),
            (Some("https://other.example"), false, &LISTED, None),
            (Some("https://other.example"), false, &[], None),
        ];
        for (origin, has_authorization, allowed, value) in cases {
            let answered =
                readable_by(origin.map(str::as_bytes), has_authorization, allowed.iter().map(|entry| entry.as_bytes()));
            assert_eq!(answered, value.map(str::as_bytes), "{origin:?} {has_authorization} {allowed:?}");
        }
    }

    #[test]
    fn a_preflight_promises_no_more_than_is_done() {
        let asked = |origin: &'static str, allowed| preflight(Some(origin.as_bytes()), Some(b"POST"), bytes(allowed));
        let named = asked("https://app.example", &LISTED).unwrap();
        assert_eq!((named.origin, named.max_age_s), (&b"https://app.example"[..], 600));
        assert!(named.methods.contains("DELETE") && named.headers.starts_with("Authorization, "));
        let any = asked("https://other.example", &["*"]).unwrap();
        assert_eq!((any.origin, any.methods), (&b"*"[..], "GET, HEAD"));
        assert!(!any.headers.contains("Authorization"), "its answer could not be read");
        assert_eq!(asked("https://other.example", &LISTED), None);
        assert_eq!(preflight(None, Some(b"POST"), bytes(&["*"])), None);
        assert_eq!(preflight(Some(b"https://app.example"), None, bytes(&LISTED)), None, "an OPTIONS that is no preflight");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_only_our_own_host_is_ours(origin in "[ -~]{0,24}", authority in "[a-z.:0-9\\[\\]]{0,12}") {
            let verdict = judge(true, Some(origin.as_bytes()), None, Some(authority.as_bytes()), [].into_iter());
            prop_assert_ne!(verdict, Verdict::Allowed);
            if verdict == Verdict::Same {
                let host = host_and_port(authority.as_bytes()).unwrap().0;
                let rest = origin.split_once("://").unwrap().1.to_ascii_lowercase();
                prop_assert!(rest.as_bytes().starts_with(host));
            }
        }

        #[test]
        fn a_page_is_always_at_home_where_it_came_from(host in "[a-z]{1,8}(\\.[a-z]{1,4})?", port in proptest::option::of(1..=65_535_u16), tls: bool) {
            let authority = port.map_or(host.clone(), |port| format!("{host}:{port}"));
            let origin = format!("{}://{authority}", if tls { "https" } else { "http" });
            prop_assert_eq!(judge(true, Some(origin.as_bytes()), None, Some(authority.as_bytes()), [].into_iter()), Verdict::Same);
            let elsewhere = format!("x{authority}");
            prop_assert_eq!(judge(true, Some(origin.as_bytes()), None, Some(elsewhere.as_bytes()), [].into_iter()), Verdict::Foreign);
        }
    }
}
