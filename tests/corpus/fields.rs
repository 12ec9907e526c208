//! Fields that must be refused.

use super::Expect::Status;
use super::{BAD, Entry, Expect, entry};

const EXPECTATION: &[Expect] = &[Status(417)];

/// Sixteen short fields.
macro_rules! sixteen {
    () => {
        "a:1\r\na:2\r\na:3\r\na:4\r\na:5\r\na:6\r\na:7\r\na:8\r\nb:1\r\nb:2\r\nb:3\r\nb:4\r\nb:5\r\nb:6\r\nb:7\r\nb:8\r\n"
    };
}
const FIELDS_65: &str = concat!("GET / HTTP/1.1\r\nHost: a\r\n", sixteen!(), sixteen!(), sixteen!(), sixteen!(), "\r\n");

const TRAILERS_17: &str =
    concat!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", sixteen!(), "c: 17\r\n\r\n");

#[rustfmt::skip] // one request, one line
pub const TABLE: &[Entry] = &[
    entry("65 fields", FIELDS_65.as_bytes(), &[Status(431)]),
    entry("17 trailers", TRAILERS_17.as_bytes(), &[Status(431)]),
    entry("no host", b"GET / HTTP/1.1\r\n\r\n", BAD),
    entry("no host on 1.2", b"GET / HTTP/1.2\r\n\r\n", BAD),
    entry("no host with asterisk", b"OPTIONS * HTTP/1.1\r\n\r\n", BAD),
    entry("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
    entry("two equal hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n", BAD),
    entry("two hosts on 1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
    entry("empty host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD),
    entry("host list", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", BAD),
    entry("host with user", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD),
    entry("host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD),
    entry("host with a scheme", b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", BAD),
    entry("host with a bad port", b"GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", BAD),
    entry("host with a port too large", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", BAD),
    entry("host of a port", b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", BAD),
    entry("host in ipv6 without brackets", b"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", BAD),
    entry("host in broken ipv6", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", BAD),
    entry("host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD),
    entry("host in obs-text", b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", BAD),
    entry("host behind a space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", BAD),
    entry("host malformed on 1.0", b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", BAD),
    entry("field folded by a space", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", BAD),
    entry("field folded by a tab", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", BAD),
    entry("first field folded", b"GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n", BAD),
    entry("line of spaces", b"GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n", BAD),
    entry("field without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", BAD),
    entry("field without a name", b"GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", BAD),
    entry("field name with a space", b"GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", BAD),
    entry("field name with a slash", b"GET / HTTP/1.1\r\nHost: a\r\nX/Y: z\r\n\r\n", BAD),
    entry("field name with a null", b"GET / HTTP/1.1\r\nHost: a\r\nX\0: z\r\n\r\n", BAD),
    entry("field name with obs-text", b"GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa4: z\r\n\r\n", BAD),
    entry("tab before the colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n", BAD),
    entry("null in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", BAD),
    entry("delete in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", BAD),
    entry("escape in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\r\n\r\n", BAD),
    entry("vertical tab before a value", b"GET / HTTP/1.1\r\nHost: a\r\nX:\x0by\r\n\r\n", BAD),
    entry("a status line as a request", b"HTTP/1.1 200 OK\r\n\r\n", BAD),
    entry("unknown expectation", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx", EXPECTATION),
    entry("two expectations", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\nContent-Length: 1\r\n\r\nx", EXPECTATION),
    entry("unknown expectation on 1.0", b"GET / HTTP/1.0\r\nExpect: x\r\n\r\n", EXPECTATION),
    entry("content-length beyond every limit", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n", &[Status(413)]),
];
