//! Bytes to requests and responses to bytes, RFC 9110 and RFC 9112. Pure: no socket, no clock, no file, no heap.
//!
//! A request's way through this folder, each file importing only from those above it:
//!
//! ```text
//! method, reject, list      the words: methods, refusals, comma-separated lists
//! request_line, lines       byte by byte: `METHOD SP target SP HTTP/1.x`, then lines that end in CRLF and nothing else
//! target, field             what the target and the fields say, as ranges into the caller's buffer
//! head, framing             the request, and how long its body is: the rules that smuggling attacks
//! chunked                   a chunked body, decoded in place
//! request                   the reader that drives them
//! ```
//!
//! The rest stands alone: [`response`] writes a head, [`date`] its `Date`, [`etag`] its `ETag`; [`accept`] and [`prefer`]
//! read what the client would like, [`origin`] whose page asks and [`forwarded`] for whom a proxy does.

pub mod accept;
pub mod date;
pub mod etag;
pub mod forwarded;
pub mod origin;
pub mod prefer;
pub mod request;
pub mod response;

mod chunked;
mod field;
mod framing;
mod head;
mod lines;
mod list;
mod method;
mod reject;
mod request_line;
mod target;
