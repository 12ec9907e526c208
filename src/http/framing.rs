//! Where the body ends and whether the connection goes on: the fields that smuggling attacks. RFC 9112 §6 and §9.3.

use super::field::Fields;
use super::list::{is_token, trimmed};
use super::reject::Reject;

/// How the end of the body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes; 0 when there is no body.
    Length(usize),
    Chunked,
}

impl Framing {
    /// RFC 9112 §6.3, without any of its leniencies: a doubt is a 400, since another parser on the way may have resolved it otherwise.
    pub(super) fn read(fields: &Fields, buf: &[u8], minor: u8, body_bytes: usize) -> Result<Self, Reject> {
        let mut lengths = fields.values(buf, "content-length");
        let length = lengths.next();
        if fields.values(buf, "transfer-encoding").next().is_some() {
            if length.is_some() {
                return Err(Reject::LengthAndEncoding);
            }
            if minor == 0 {
                return Err(Reject::EncodingVersion);
            }
            check_encoding(fields.values(buf, "transfer-encoding"))?;
            return Ok(Self::Chunked);
        }
        let Some(length) = length else {
            return Ok(Self::Length(0));
        };
        if lengths.next().is_some() {
            return Err(Reject::LengthRepeated);
        }
        let length = decimal(length).ok_or(Reject::LengthMalformed)?;
        match usize::try_from(length) {
            Ok(length) if length <= body_bytes => Ok(Self::Length(length)),
            _ => Err(Reject::BodyTooLarge),
        }
    }
}

/// RFC 9110 §8.6: digits only. Rust's own parser would take a sign.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Only a single `chunked` passes. An unknown coding before a final `chunked` leaves the length clear (501); anything
/// else leaves it open, and RFC 9112 §6.3 wants a 400.
fn check_encoding<'a>(values: impl Iterator<Item = &'a [u8]> + Clone) -> Result<(), Reject> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let mut lines = values.clone();
    if lines.next().is_some_and(is_chunked) && lines.next().is_none() {
        return Ok(());
    }
    let mut unknown_before = false;
    let mut ends_chunked = false;
    for coding in values.flat_map(|value| value.split(|&byte| byte == b',')).map(trimmed) {
        let name = trimmed(coding.split(|&byte| byte == b';').next().unwrap_or_default());
        if ends_chunked || !is_token(name) {
            return Err(Reject::EncodingMalformed);
        }
        ends_chunked = is_chunked(coding);
        if is_chunked(name) && !ends_chunked {
            return Err(Reject::EncodingMalformed);
        }
        unknown_before |= !ends_chunked;
    }
    let unknown = unknown_before && ends_chunked;
    Err(if unknown { Reject::UnknownEncoding } else { Reject::EncodingMalformed })
}

/// Whether the client waits for a 100 before it sends the body. HTTP/1.0 clients do not (RFC 9110 §10.1.1).
pub(super) fn expects_continue(fields: &Fields, buf: &[u8], minor: u8) -> Result<bool, Reject> {
    let mut expects = false;
    for value in fields.values(buf, "expect") {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Reject::Expectation);
        }
        expects = true;
    }
    Ok(expects && minor > 0)
}

/// RFC 9112 §9.3: `close` wins; HTTP/1.0 needs `keep-alive` said.
pub(super) fn keeps_alive(fields: &Fields, buf: &[u8], minor: u8) -> bool {
    let mut asked = minor > 0;
    // Tokens have no quotes here: an open one must not hide a `close` behind it.
    let elements = fields.values(buf, "connection").flat_map(|value| value.split(|&byte| byte == b','));
    for token in elements.map(trimmed) {
        if token.eq_ignore_ascii_case(b"close") {
            return false;
        }
        asked |= token.eq_ignore_ascii_case(b"keep-alive");
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(section: &str, judge: impl Fn(&Fields, &[u8]) -> T) -> T {
        let buf = format!("{section}\r\n");
        let mut fields = Fields::new();
        fields.read(buf.as_bytes(), 0, buf.len()).unwrap();
        judge(&fields, buf.as_bytes())
    }

    fn framing(section: &str, minor: u8) -> Result<Framing, Reject> {
        with(section, |fields, buf| Framing::read(fields, buf, minor, 1000))
    }

    #[test]
    fn a_length_is_one_plain_number() {
        assert_eq!(framing("", 1), Ok(Framing::Length(0)));
        assert_eq!(framing("Content-Length: 1000\r\n", 1), Ok(Framing::Length(1000)));
        assert_eq!(framing("Content-Length: 0005 \r\n", 1), Ok(Framing::Length(5)));
        assert_eq!(framing("Content-Length: 1001\r\n", 1), Err(Reject::BodyTooLarge));
        assert_eq!(framing("Content-Length: 18446744073709551615\r\n", 1), Err(Reject::BodyTooLarge));
        for bad in ["", "+5", "-5", "5 5", "5,5", "5, 5", "0x5", "5.0", "\"5\"", "18446744073709551616", "\u{665}"] {
            assert_eq!(framing(&format!("Content-Length: {bad}\r\n"), 1), Err(Reject::LengthMalformed), "{bad}");
        }
        assert_eq!(framing("Content-Length: 5\r\nCONTENT-LENGTH: 5\r\n", 1), Err(Reject::LengthRepeated));
    }

    #[test]
    fn only_one_chunked_passes() {
        let encoding = |value: &str| framing(&format!("Transfer-Encoding: {value}\r\n"), 1);
        assert_eq!(encoding("chunked"), Ok(Framing::Chunked));
        assert_eq!(encoding(" \tCHUNKED\t"), Ok(Framing::Chunked));
        for unknown in ["gzip, chunked", "identity,chunked", "x;a=b, chunked"] {
            assert_eq!(encoding(unknown), Err(Reject::UnknownEncoding), "{unknown}");
        }
        for bad in [
            "",
            "gzip",
            "identity",
            "xchunked",
            "chunked, gzip",
            "chunked, chunked",
            "chunked;q=1",
            "\"chunked\"",
            "chunked,",
            ",chunked",
            "gzip,,chunked",
            "chunked\u{a0}",
            "chunked;a, chunked",
            "gzip, chunked, chunked",
        ] {
            assert_eq!(encoding(bad), Err(Reject::EncodingMalformed), "{bad}");
        }
        let two = |a, b| framing(&format!("Transfer-Encoding: {a}\r\nTransfer-Encoding: {b}\r\n"), 1);
        assert_eq!(two("chunked", "chunked"), Err(Reject::EncodingMalformed));
        assert_eq!(two("chunked", "identity"), Err(Reject::EncodingMalformed));
        assert_eq!(two("gzip", "chunked"), Err(Reject::UnknownEncoding));
    }

    #[test]
    fn both_lengths_and_encodings_on_1_0_are_refused() {
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(framing(both, 1), Err(Reject::LengthAndEncoding));
        assert_eq!(framing("Transfer-Encoding: chunked\r\n", 0), Err(Reject::EncodingVersion));
    }

    #[test]
    fn close_wins_and_the_default_follows_the_version() {
        for (section, minor, expected) in [
            ("", 1, true),
            ("", 9, true),
            ("", 0, false),
            ("Connection: Keep-Alive\r\n", 0, true),
            ("Connection: x, KEEP-ALIVE\r\n", 0, true),
            ("Connection: upgrade\r\nConnection: Close\r\n", 1, false),
            ("Connection: \"x, close\r\n", 1, false),
            ("Connection: keep-alive, close\r\n", 1, false),
            ("Connection: closed\r\n", 1, true),
        ] {
            assert_eq!(with(section, |fields, buf| keeps_alive(fields, buf, minor)), expected, "{section}");
        }
    }

    #[test]
    fn only_100_continue_can_be_expected() {
        let expects = |section, minor| with(section, |fields, buf| expects_continue(fields, buf, minor));
        assert_eq!(expects("", 1), Ok(false));
        assert_eq!(expects("Expect: 100-Continue\r\n", 1), Ok(true));
        assert_eq!(expects("Expect: 100-continue\r\n", 0), Ok(false));
        assert_eq!(expects("Expect: 200-ok\r\n", 1), Err(Reject::Expectation));
        assert_eq!(expects("Expect: 100-continue\r\nExpect: x\r\n", 1), Err(Reject::Expectation));
    }
}
