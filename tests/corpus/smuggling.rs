//! Two readings of where a body ends: each of these has been used to hide one request in another.

use super::Expect::{Status, Waits};
use super::{BAD, Entry, Expect, entry, served};

/// A chunked POST with this behind its head.
macro_rules! chunks {
    ($body:literal) => {
        concat!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", $body).as_bytes()
    };
}

/// A POST with these lines before the end of its head, and a small body that is chunked if it is.
macro_rules! framed {
    ($lines:literal) => {
        concat!("POST / HTTP/1.1\r\nHost: a\r\n", $lines, "\r\n\r\n5\r\nhello\r\n0\r\n\r\n").as_bytes()
    };
}

const LARGE: &[Expect] = &[Status(413)];
const CODING: &[Expect] = &[Status(501)];

#[rustfmt::skip] // one request, one line
pub const TABLE: &[Entry] = &[
    entry("cl.te", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", BAD),
    entry("te.cl", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n", BAD),
    entry("cl.te with length 0", framed!("Content-Length: 0\r\nTransfer-Encoding: chunked"), BAD),
    entry("te identity with cl", framed!("Content-Length: 5\r\nTransfer-Encoding: identity"), BAD),
    entry("empty te with cl", framed!("Content-Length: 5\r\nTransfer-Encoding:"), BAD),
    entry("te.te, unknown second", framed!("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"), BAD),
    entry("te.te, unknown first", framed!("Transfer-Encoding: cow\r\nTransfer-Encoding: chunked"), CODING),
    entry("te.te, both chunked", framed!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), BAD),
    entry("te of twice chunked", framed!("Transfer-Encoding: chunked, chunked"), BAD),
    entry("te xchunked", framed!("Transfer-Encoding: xchunked"), BAD),
    entry("te chunkedx", framed!("Transfer-Encoding: chunkedx"), BAD),
    entry("te behind a vertical tab", framed!("Transfer-Encoding:\x0bchunked"), BAD),
    entry("te before a form feed", framed!("Transfer-Encoding: chunked\x0c"), BAD),
    entry("te with a null", framed!("Transfer-Encoding: chunked\0"), BAD),
    entry("te in quotes", framed!("Transfer-Encoding: \"chunked\""), BAD),
    entry("te in single quotes", framed!("Transfer-Encoding: 'chunked'"), BAD),
    entry("te with a parameter", framed!("Transfer-Encoding: chunked;q=1"), BAD),
    entry("te with a comma behind", framed!("Transfer-Encoding: chunked,"), BAD),
    entry("te with a comma before", framed!("Transfer-Encoding: ,chunked"), BAD),
    entry("te behind a space before the colon", framed!("Transfer-Encoding : chunked"), BAD),
    entry("te folded", framed!("Transfer-Encoding:\r\n chunked"), BAD),
    entry("te behind a fold", framed!("X: y\r\n Transfer-Encoding: chunked"), BAD),
    entry("te behind a bare cr", framed!("X: y\rTransfer-Encoding: chunked"), BAD),
    entry("te behind a bare lf", framed!("X: y\nTransfer-Encoding: chunked"), BAD),
    entry("te gzip", framed!("Transfer-Encoding: gzip"), BAD),
    entry("te identity", framed!("Transfer-Encoding: identity"), BAD),
    entry("te gzip, chunked", framed!("Transfer-Encoding: gzip, chunked"), CODING),
    entry("te chunked, gzip", framed!("Transfer-Encoding: chunked, gzip"), BAD),
    entry("te on 1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    entry("te on 1.0 with keep-alive", b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    entry("te with an underscore is another field", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 1\r\n\r\nx", &[served("POST", "/", b"x")]),
    entry("cl.cl, unequal", framed!("Content-Length: 5\r\nContent-Length: 6"), BAD),
    entry("cl.cl, equal", framed!("Content-Length: 5\r\nContent-Length: 5"), BAD),
    entry("cl list, unequal", framed!("Content-Length: 5, 6"), BAD),
    entry("cl list, equal", framed!("Content-Length: 5,5"), BAD),
    entry("cl with a plus", framed!("Content-Length: +5"), BAD),
    entry("cl with a minus", framed!("Content-Length: -5"), BAD),
    entry("cl in two words", framed!("Content-Length: 5 5"), BAD),
    entry("cl in hex", framed!("Content-Length: 0x5"), BAD),
    entry("cl with a fraction", framed!("Content-Length: 5.0"), BAD),
    entry("cl with an exponent", framed!("Content-Length: 5e0"), BAD),
    entry("cl with an underscore", framed!("Content-Length: 1_0"), BAD),
    entry("cl in quotes", framed!("Content-Length: \"5\""), BAD),
    entry("cl empty", framed!("Content-Length:"), BAD),
    entry("cl of a word", framed!("Content-Length: five"), BAD),
    entry("cl overflows", framed!("Content-Length: 18446744073709551617"), BAD),
    entry("cl in other digits", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa5\r\n\r\nhello", BAD),
    entry("cl behind a space before the colon", framed!("Content-Length : 5"), BAD),
    entry("cl on get hides a request", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        &[served("GET", "/", b"GET /x HTTP/1.1\r\nHost: a\r\n\r"), Status(400)]),
    entry("chunk size with 0x", chunks!("0x5\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size with a plus", chunks!("+5\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size with a minus", chunks!("-5\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size behind a space", chunks!(" 5\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size before a space", chunks!("5 \r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size with a space in it", chunks!("0 5\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size with an underscore", chunks!("0_5\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size missing", chunks!("\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size missing, like a last chunk", chunks!("\r\n\r\n"), BAD),
    entry("chunk size missing before an extension", chunks!(";a\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size not hex", chunks!("g\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size of nine digits", chunks!("000000005\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size overflows 64 bits", chunks!("10000000000000005\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size beyond every limit", chunks!("ffffffff\r\nhello"), LARGE),
    entry("chunk size with a null", chunks!("5\0\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size before lf", chunks!("5\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size before cr", chunks!("5\rhello\r\n0\r\n\r\n"), BAD),
    entry("chunk size before cr cr lf", chunks!("5\r\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk data before lf", chunks!("5\r\nhello\n0\r\n\r\n"), BAD),
    entry("chunk data before cr", chunks!("5\r\nhello\r0\r\n\r\n"), BAD),
    entry("chunk data longer than said", chunks!("4\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk data shorter than said", chunks!("6\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("chunk data not ended", chunks!("5\r\nhelloXX0\r\n\r\n"), BAD),
    entry("last chunk before lf", chunks!("5\r\nhello\r\n0\n\r\n"), BAD),
    entry("last chunk, then lf", chunks!("5\r\nhello\r\n0\r\n\n"), BAD),
    entry("last chunk, then cr", chunks!("5\r\nhello\r\n0\r\n\rX"), BAD),
    entry("last chunk before another request", chunks!("0\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n"), BAD),
    entry("extension with lf", chunks!("5;a\nhello\r\n0\r\n\r\n"), BAD),
    entry("extension with cr", chunks!("5;a\rb\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("extension with lf in quotes", chunks!("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("extension with cr lf in quotes", chunks!("5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("extension with a null", chunks!("5;a\0\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("extension without a name", chunks!("5;\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("extension without a value", chunks!("5;a=\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("extension with two words", chunks!("5;a b\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("extension with an open quote", chunks!("5;a=\"b\r\nhello\r\n0\r\n\r\n"), BAD),
    entry("trailer folded", chunks!("0\r\nX: y\r\n z\r\n\r\n"), BAD),
    entry("trailer with a space before the colon", chunks!("0\r\nX : y\r\n\r\n"), BAD),
    entry("trailer without a colon", chunks!("0\r\nX\r\n\r\n"), BAD),
    entry("trailer with a null", chunks!("0\r\nX: \0\r\n\r\n"), BAD),
    entry("trailer with lf", chunks!("0\r\nX: y\n\r\n"), BAD),
    entry("trailer with a bare cr", chunks!("0\r\nX: y\rz\r\n\r\n"), BAD),
    entry("trailer not ended", chunks!("0\r\nX: y\r\n"), &[Waits]),
    entry("chunked, then a request", chunks!("1\r\nx\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"), &[served("POST", "/", b"x"), served("GET", "/2", b"")]),
    entry("chunked, then a bad request", chunks!("1\r\nx\r\n0\r\n\r\nGET /2\r\n"), &[served("POST", "/", b"x"), Status(400)]),
];
