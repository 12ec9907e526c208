//! One connection's replies, parsed as the bytes arrive (RFC 9112 §4 to §7). Knows no socket and no clock.

use super::head::{self, Framing, HEAD_MAX, Malformed};

/// Longest chunk-size or trailer line, its CR LF included.
const LINE_MAX: usize = 8 * 1024;

/// How a connection's end fits the reply that was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Between two replies.
    Between,
    /// The reply's body was to last until the close; it is complete.
    Complete(Reply),
    /// Inside a head.
    InHead,
    /// Inside a body whose length was announced.
    InBody,
}

/// A whole reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Status code, 200 to 999 or 101: other 1xx replies are passed over (RFC 9110 §15.2).
    pub status: u16,
    /// Bytes of the body without chunk framing.
    pub body_bytes: u64,
    /// The server will close: `Connection: close`, HTTP/1.0 without keep-alive, or a body without a length.
    pub close: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length { left: u64 },
    UntilClose,
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailer,
}

/// Parser of the replies on one connection, in order.
#[derive(Debug)]
pub struct Parser {
    state: State,
    /// Part of a head or of a line, kept until the rest arrives.
    kept: Vec<u8>,
    reply: Reply,
}

const NO_REPLY: Reply = Reply { status: 0, body_bytes: 0, close: false };

impl Default for Parser {
    fn default() -> Self {
        Self { state: State::Head, kept: Vec::new(), reply: NO_REPLY }
    }
}

impl Parser {
    /// Forgets everything, for a new connection.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.kept.clear();
        self.reply = NO_REPLY;
    }

    /// Takes bytes until one reply is complete or they are used up. Returns how many were taken, and the reply.
    /// `head_only` says that the request was HEAD; `body` gets the body's bytes as they come.
    pub fn feed(
        &mut self, bytes: &[u8], head_only: bool, mut body: impl FnMut(&[u8]),
    ) -> Result<(usize, Option<Reply>), Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let done = match self.state {
                State::Head => {
                    let (used, done) = self.head(rest, head_only)?;
                    at += used;
                    done
                }
                State::Length { left } => {
                    let used = self.data(rest, left, &mut body);
                    at += used;
                    let left = left - used as u64;
                    self.state = State::Length { left };
                    left == 0
                }
                State::UntilClose => {
                    at += self.data(rest, u64::MAX, &mut body);
                    false
                }
                State::ChunkData { left } => {
                    let used = self.data(rest, left, &mut body);
                    at += used;
                    let left = left - used as u64;
                    self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData { left } };
                    false
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => {
                    let (used, done) = self.line(rest)?;
                    at += used;
                    done
                }
            };
            if done {
                return Ok((at, Some(self.finish())));
            }
        }
        Ok((at, None))
    }

    /// The connection ended: what that means for the reply under way.
    pub fn end(&mut self) -> End {
        match self.state {
            State::Head if self.kept.is_empty() => End::Between,
            State::Head => End::InHead,
            State::UntilClose => End::Complete(self.finish()),
            State::Length { .. } | State::ChunkSize | State::ChunkData { .. } | State::ChunkEnd | State::Trailer => End::InBody,
        }
    }

    fn finish(&mut self) -> Reply {
        let reply = self.reply;
        self.reset();
        reply
    }

    fn data(&mut self, rest: &[u8], left: u64, body: &mut impl FnMut(&[u8])) -> usize {
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        self.reply.body_bytes += used as u64;
        body(&rest[..used]);
        used
    }

    /// Parses a head, straight from the caller's bytes when it is there whole: the usual case copies nothing.
    fn head(&mut self, rest: &[u8], head_only: bool) -> Result<(usize, bool), Malformed> {
        let before = self.kept.len();
        let parsed = if before == 0 {
            head::parse(rest, head_only)?
        } else {
            self.kept.extend_from_slice(rest);
            head::parse(&self.kept, head_only)?
        };
        let Some(head) = parsed else {
            if before == 0 {
                self.kept.extend_from_slice(rest);
            }
            return if self.kept.len() > HEAD_MAX { Err(Malformed::HeadTooLarge) } else { Ok((rest.len(), false)) };
        };
        // The kept part alone was no whole head, or it would have been taken then.
        assert!(head.length > before, "a head ends in the bytes that completed it");
        self.kept.clear();
        let used = head.length - before;
        self.reply = Reply { status: head.status, body_bytes: 0, close: head.close };
        let done = match head.framing {
            Framing::Interim => false,
            Framing::Empty | Framing::Length(0) => true,
            Framing::Length(left) => {
                self.state = State::Length { left };
                false
            }
            Framing::Chunked => {
                self.state = State::ChunkSize;
                false
            }
            Framing::UntilClose => {
                self.state = State::UntilClose;
                false
            }
        };
        Ok((used, done))
    }

    /// One line of chunked framing (RFC 9112 §7.1).
    fn line(&mut self, rest: &[u8]) -> Result<(usize, bool), Malformed> {
        let end = rest.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(rest.len(), |at| at + 1);
        if self.kept.len() + used > LINE_MAX {
            return Err(Malformed::Chunk);
        }
        self.kept.extend_from_slice(&rest[..used]);
        if end.is_none() {
            return Ok((used, false));
        }
        let done = self.whole_line()?;
        self.kept.clear();
        Ok((used, done))
    }

    fn whole_line(&mut self) -> Result<bool, Malformed> {
        let line = self.kept.strip_suffix(b"\r\n").ok_or(Malformed::Chunk)?;
        match self.state {
            State::ChunkSize => {
                // httparse takes an empty line for a size of zero.
                if !line.first().is_some_and(u8::is_ascii_hexdigit) {
                    return Err(Malformed::Chunk);
                }
                match httparse::parse_chunk_size(&self.kept) {
                    Ok(httparse::Status::Complete((_, 0))) => self.state = State::Trailer,
                    Ok(httparse::Status::Complete((_, left))) => self.state = State::ChunkData { left },
                    Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed::Chunk),
                }
                Ok(false)
            }
            State::ChunkEnd => {
                self.state = State::ChunkSize;
                if line.is_empty() { Ok(false) } else { Err(Malformed::Chunk) }
            }
            State::Trailer => Ok(line.is_empty()),
            State::Head | State::Length { .. } | State::UntilClose | State::ChunkData { .. } => {
                unreachable!("feed calls line() in the three line states only")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::FIELDS_MAX;
    use super::*;

    /// Everything that a stream of pieces yields, to be compared between ways of cutting it.
    fn replies(pieces: &[&[u8]], head_only: bool) -> Result<(Vec<Reply>, Vec<u8>, End), Malformed> {
        let (mut parser, mut replies, mut body) = (Parser::default(), Vec::new(), Vec::new());
        for piece in pieces {
            let mut at = 0;
            while at < piece.len() {
                let (used, reply) = parser.feed(&piece[at..], head_only, |data| body.extend_from_slice(data))?;
                assert!(used > 0, "feed takes at least one byte");
                at += used;
                replies.extend(reply);
            }
        }
        let end = parser.end();
        Ok((replies, body, end))
    }

    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
        HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 201 Created\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4;x=\"y\"\r\nwiki\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n\
        HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 500 Oops\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nno";

    fn reply(status: u16, body_bytes: u64, close: bool) -> Reply {
        Reply { status, body_bytes, close }
    }

    #[test]
    fn a_stream_reads_the_same_cut_at_any_two_offsets() {
        let expected = vec![
            reply(200, 5, false),
            reply(201, 14, false),
            reply(304, 0, false),
            reply(204, 0, false),
            reply(404, 0, false),
            reply(500, 2, true),
        ];
        let whole = replies(&[STREAM], false).unwrap();
        assert_eq!(whole, (expected, b"hellowiki0123456789no".to_vec(), End::Between));
        for first in 0..=STREAM.len() {
            for second in (first..=STREAM.len()).step_by(7) {
                let pieces = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
                assert_eq!(replies(&pieces, false).unwrap(), whole, "cut at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(replies(&bytes, false).unwrap(), whole);
    }

    #[test]
    fn a_reply_to_head_has_no_body_whatever_it_announces() {
        let stream = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (found, body, end) = replies(&[stream], true).unwrap();
        assert_eq!((found, body, end), (vec![reply(200, 0, false); 2], vec![], End::Between));
    }

    #[test]
    fn the_end_of_the_connection_is_told_by_where_it_falls() {
        for (stream, expected) in [
            (&b""[..], End::Between),
            (b"HTTP/1.1 200 OK\r\nContent-", End::InHead),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", End::InBody),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", End::InBody),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n", End::InBody),
            (b"HTTP/1.1 200 OK\r\n\r\nabc", End::Complete(reply(200, 3, true))),
        ] {
            let (found, _, end) = replies(&[stream], false).unwrap();
            assert_eq!((found, end), (vec![], expected), "{}", String::from_utf8_lossy(stream));
        }
    }

    #[test]
    fn http_1_0_closes_unless_it_says_keep_alive() {
        for (extra, close) in [("", true), ("Connection: keep-alive\r\n", false), ("Connection: x, close\r\n", true)] {
            let stream = format!("HTTP/1.0 200 OK\r\n{extra}Content-Length: 0\r\n\r\n");
            assert_eq!(replies(&[stream.as_bytes()], false).unwrap().0, vec![reply(200, 0, close)], "{extra}");
        }
    }

    #[test]
    fn malformed_replies_are_named_at_any_cut() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(HEAD_MAX));
        for (stream, expected) in [
            ("garbage\r\n\r\n", Malformed::Head),
            ("HTTP/2.0 200 OK\r\n\r\n", Malformed::Head),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", Malformed::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", Malformed::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", Malformed::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Malformed::Length),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", Malformed::Chunk),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Malformed::Chunk),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n", Malformed::Chunk),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", Malformed::Chunk),
            (many.as_str(), Malformed::HeadTooLarge),
        ] {
            for at in (0..stream.len()).step_by(1 + stream.len() / 200) {
                let (left, right) = stream.as_bytes().split_at(at);
                assert_eq!(replies(&[left, right], false), Err(expected), "{stream:?} at {at}");
            }
        }
        let pieces: Vec<&[u8]> = long.as_bytes().chunks(4096).collect();
        assert_eq!(replies(&pieces, false), Err(Malformed::HeadTooLarge));
    }
}
