//! The request reader: bytes in, one [`Step`] out. Sans-IO: it owns no byte, and knows neither socket nor clock.
//!
//! Strict by choice (RFC 9112 §2.2, §6.3, §11.2): where two parsers on the way could disagree, the answer is a refusal.

use super::chunked::Chunked;
pub use super::field::FIELDS;
use super::framing::{Framing, expects_continue};
pub use super::head::Request;
use super::lines::{Bounds, Lines};
pub use super::method::Method;
pub use super::reject::Reject;
use super::request_line::RequestLine;
use super::target::Span;

/// The largest head: its offsets are kept in two bytes each.
pub const HEAD_BYTES_MAX: usize = u16::MAX as usize;

/// How large the parts of a request may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of request line and fields, the empty lines before and after included; at most [`HEAD_BYTES_MAX`].
    pub head_bytes: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Bytes of the decoded body.
    pub body_bytes: usize,
}

/// What an incomplete request is waiting for, so which deadline runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of it has arrived, but perhaps the one empty line that may come first.
    FirstByte,
    /// The rest of the head.
    Head,
    /// The rest of the body.
    Body,
}

/// What the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read more bytes, then call again.
    NeedMore(Phase),
    /// Send `100 Continue`, then call again, with or without more bytes. Comes at most once a request, and only when
    /// nothing of the body has arrived with the head.
    Continue,
    /// [`Reader::request`] is valid.
    Ready,
    /// Answer with the refusal and close.
    Reject(Reject),
}

/// Every exit of a stage is in [`Reader::run`]; `Done` and `Refused` end with [`Reader::reset`].
#[derive(Debug, Clone)]
enum Stage {
    Line(RequestLine),
    /// Where the field lines begin.
    Fields(usize, Lines),
    /// Where the body ends.
    Length(usize),
    Chunked(Chunked),
    Done,
    Refused(Reject),
}

/// Reads one request after the other; one stands in each connection slot. See [`advance`](Self::advance).
#[derive(Debug, Clone)]
pub struct Reader {
    limits: Limits,
    stage: Stage,
    /// Bytes of the request line that were looked at; later stages count for themselves.
    at: usize,
    request: Request,
}

impl Reader {
    /// A reader at the start of a request. Panics, when compiled or at start-up, on limits that cannot be represented.
    pub const fn new(limits: Limits) -> Self {
        assert!(limits.head_bytes <= HEAD_BYTES_MAX, "a head's offsets are kept in two bytes");
        assert!(limits.body_bytes <= usize::MAX / 2, "head and body together have a length");
        Self { limits, stage: Stage::Line(RequestLine::new()), at: 0, request: Request::new() }
    }

    /// Forgets the request, for the next one whose first byte is at the start of the buffer.
    pub fn reset(&mut self) {
        self.stage = Stage::Line(RequestLine::new());
        self.at = 0;
    }

    /// Whether no byte of a request has been looked at.
    pub fn is_fresh(&self) -> bool {
        self.at == 0 && matches!(self.stage, Stage::Line(_))
    }

    /// Looks at what has arrived since the last call. `buf` holds all bytes from this request's first on, and may go on
    /// with following requests, which stay untouched. The outcome depends on the bytes alone, not on where they were
    /// split. A chunked body is decoded in place directly behind the head. After `Ready` or `Reject` the answer stays.
    pub fn advance(&mut self, buf: &mut [u8]) -> Step {
        self.run(buf).unwrap_or_else(|reject| {
            self.stage = Stage::Refused(reject);
            Step::Reject(reject)
        })
    }

    /// The request; valid from [`Step::Ready`] to [`reset`](Self::reset).
    pub fn request(&self) -> &Request {
        debug_assert!(matches!(self.stage, Stage::Done), "no request has been read");
        &self.request
    }

    /// Moves the undecoded rest of a chunked body down over framing that is spent, and returns by how many bytes the
    /// buffer's content became shorter. For a buffer that is full while [`Phase::Body`] lasts: with this, a buffer of
    /// `head_bytes + body_bytes` and 1.5 KiB (extensions, trailers) holds every request.
    pub fn compact(&mut self, buf: &mut [u8]) -> usize {
        match &mut self.stage {
            Stage::Chunked(chunked) => chunked.compact(buf),
            _ => 0,
        }
    }

    fn run(&mut self, buf: &mut [u8]) -> Result<Step, Reject> {
        loop {
            match &mut self.stage {
                Stage::Line(line) => {
                    if !read_line(line, &mut self.at, buf, &self.limits)? {
                        let untouched = line.is_untouched();
                        return Ok(Step::NeedMore(if untouched { Phase::FirstByte } else { Phase::Head }));
                    }
                    let target = Span { start: line.target.0, end: line.target.1 };
                    self.request.set_line(buf, line.method, target, line.minor)?;
                    self.stage = Stage::Fields(self.at, Lines::new(self.at));
                }
                Stage::Fields(start, lines) => {
                    let bounds = Bounds {
                        end: self.limits.head_bytes,
                        too_large: Reject::HeadTooLarge,
                        lines: FIELDS,
                        too_many: Reject::TooManyFields,
                    };
                    let Some(end) = lines.scan(buf, &bounds)? else {
                        return Ok(Step::NeedMore(Phase::Head));
                    };
                    let start = *start;
                    if self.finish_head(buf, start, end)? {
                        return Ok(Step::Continue);
                    }
                }
                Stage::Length(end) => {
                    let end = *end;
                    if buf.len() < end {
                        return Ok(Step::NeedMore(Phase::Body));
                    }
                    self.request.consumed = end;
                    self.stage = Stage::Done;
                }
                Stage::Chunked(chunked) => {
                    if !chunked.advance(buf, self.limits.body_bytes)? {
                        return Ok(Step::NeedMore(Phase::Body));
                    }
                    self.request.body = chunked.body();
                    self.request.consumed = chunked.consumed();
                    self.stage = Stage::Done;
                }
                Stage::Done => return Ok(Step::Ready),
                Stage::Refused(reject) => return Err(*reject),
            }
        }
    }

    /// Judges the fields in `buf[start..end]` and enters the body. True when the client waits for a 100.
    fn finish_head(&mut self, buf: &[u8], start: usize, end: usize) -> Result<bool, Reject> {
        self.request.set_fields(buf, start, end)?;
        let fields = self.request.all_fields();
        let expects = expects_continue(fields, buf, self.request.minor)?;
        let framing = Framing::read(fields, buf, self.request.minor, self.limits.body_bytes)?;
        self.stage = match framing {
            Framing::Length(length) => {
                self.request.body = (end, end + length);
                Stage::Length(end + length)
            }
            Framing::Chunked => Stage::Chunked(Chunked::new(end)),
        };
        Ok(expects && framing != Framing::Length(0) && buf.len() == end)
    }
}

/// Takes what has arrived of the request line. True when it is whole.
fn read_line(line: &mut RequestLine, at: &mut usize, buf: &[u8], limits: &Limits) -> Result<bool, Reject> {
    while let Some(&byte) = buf.get(*at) {
        // The limit leaves room for the offset behind this byte; a head that reaches it here cannot end within it.
        if *at + 1 >= limits.head_bytes {
            let target = line.is_in_target();
            return Err(if target { Reject::TargetTooLong } else { Reject::HeadTooLarge });
        }
        let offset = u16::try_from(*at).expect("below head_bytes, so below HEAD_BYTES_MAX");
        let ended = line.take(buf, offset, byte, limits.target_bytes)?;
        *at += 1;
        if ended {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head_bytes: 100, target_bytes: 20, body_bytes: 10 };

    /// The step after all of `text`, fed byte by byte; it must also be the step when fed whole.
    fn last_step(text: &str) -> Step {
        let mut bytes = text.as_bytes().to_vec();
        let mut reader = Reader::new(LIMITS);
        let mut step = Step::NeedMore(Phase::FirstByte);
        for len in 1..=bytes.len() {
            step = reader.advance(&mut bytes[..len]);
            if let Step::Reject(_) = step {
                assert_eq!(len, bytes.len(), "refused before the last byte of {text:?}: {step:?}");
            }
        }
        assert_eq!(Reader::new(LIMITS).advance(&mut text.as_bytes().to_vec()), step, "{text:?} whole");
        step
    }

    #[test]
    fn each_phase_lasts_as_long_as_its_bytes() {
        assert_eq!(Reader::new(LIMITS).advance(&mut []), Step::NeedMore(Phase::FirstByte));
        for (text, phase) in [
            ("\r", Phase::FirstByte),
            ("\r\n", Phase::FirstByte),
            ("\r\nG", Phase::Head),
            ("G", Phase::Head),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r", Phase::Head),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", Phase::Body),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r", Phase::Body),
        ] {
            assert_eq!(last_step(text), Step::NeedMore(phase), "{text:?}");
        }
        assert_eq!(last_step("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Step::Ready);
    }

    /// A request whose head is `length` bytes long.
    fn head_of(length: usize) -> String {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(length - frame))
    }

    #[test]
    fn a_head_may_fill_its_limit_and_no_more() {
        assert_eq!(last_step(&head_of(100)), Step::Ready);
        let refused = Step::Reject(Reject::HeadTooLarge);
        for length in [101, 102, 105] {
            assert_eq!(last_step(&head_of(length)[..100]), refused, "as soon as it cannot end in time");
        }
    }

    #[test]
    fn a_target_may_fill_its_limit_and_is_refused_at_the_first_byte_beyond() {
        let target = "/".repeat(20);
        assert_eq!(last_step(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")), Step::Ready);
        assert_eq!(last_step(&format!("GET {target}/")), Step::Reject(Reject::TargetTooLong));
    }

    #[test]
    fn a_request_line_that_fills_the_head_is_refused_for_what_fills_it() {
        let limits = Limits { head_bytes: 12, ..LIMITS };
        let step = |text: &str| Reader::new(limits).advance(&mut text.as_bytes().to_vec());
        assert_eq!(step("GET /5678901"), Step::Reject(Reject::TargetTooLong));
        assert_eq!(step("GET /567 HTT"), Step::Reject(Reject::HeadTooLarge));
        assert_eq!(step("GET /567890"), Step::NeedMore(Phase::Head));
    }

    #[test]
    fn bodies_may_fill_their_limit_and_no_more() {
        let head = "PUT / HTTP/1.1\r\nHost: a\r\n";
        assert_eq!(last_step(&format!("{head}Content-Length: 10\r\n\r\n0123456789")), Step::Ready);
        assert_eq!(last_step(&format!("{head}Content-Length: 11\r\n\r\n")), Step::Reject(Reject::BodyTooLarge));
        let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n");
        assert_eq!(last_step(&format!("{head}6\r\n012345\r\n0\r\n\r\n")), Step::Ready);
        assert_eq!(last_step(&format!("{head}7\r\n")), Step::Reject(Reject::BodyTooLarge));
    }

    #[test]
    fn sixty_four_fields_pass() {
        let limits = Limits { head_bytes: 4096, ..LIMITS };
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "x: y\r\n".repeat(63));
        assert_eq!(Reader::new(limits).advance(&mut format!("{text}\r\n").into_bytes()), Step::Ready);
        let refused = Step::Reject(Reject::TooManyFields);
        assert_eq!(Reader::new(limits).advance(&mut format!("{text}x: y\r\n").into_bytes()), refused);
    }

    #[test]
    fn a_hundred_is_asked_for_once_and_only_while_no_body_is_here() {
        let head = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        let mut reader = Reader::new(LIMITS);
        let mut bytes = head.to_vec();
        assert_eq!(reader.advance(&mut bytes), Step::Continue);
        assert_eq!(reader.advance(&mut bytes), Step::NeedMore(Phase::Body));
        bytes.extend_from_slice(b"ok");
        assert_eq!(reader.advance(&mut bytes), Step::Ready);
        assert_eq!(reader.request().body(&bytes), b"ok");

        reader.reset();
        assert_eq!(reader.advance(&mut [&head[..], b"o"].concat()), Step::NeedMore(Phase::Body));
        reader.reset();
        let no_body = b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(reader.advance(&mut no_body.to_vec()), Step::Ready, "there is nothing to send");
    }

    #[test]
    fn accessors_read_the_callers_buffer() {
        let mut bytes = b"POST /p?q=1 HTTP/1.1\r\nHost: Pi:80\r\nX: 1\r\nx: 2\r\nContent-Length: 1\r\n\r\nb".to_vec();
        let mut reader = Reader::new(LIMITS);
        assert_eq!(reader.advance(&mut bytes), Step::Ready);
        let request = reader.request();
        assert_eq!((request.method, request.minor, request.keep_alive), (Method::Post, 1, true));
        assert_eq!((request.path(&bytes), request.query(&bytes)), (&b"/p"[..], Some(&b"q=1"[..])));
        assert_eq!((request.host(&bytes), request.authority(&bytes)), (Some(&b"Pi"[..]), Some(&b"Pi:80"[..])));
        assert_eq!((request.field(&bytes, "x"), request.field(&bytes, "y")), (Some(&b"1"[..]), None));
        assert_eq!(request.fields(&bytes, "x").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!((request.body(&bytes), request.consumed), (&b"b"[..], bytes.len()));
    }

    #[test]
    fn the_authority_of_absolute_form_replaces_host() {
        let mut bytes = b"GET http://[::1]:8/p HTTP/1.1\r\nHost: evil\r\n\r\n".to_vec();
        let mut reader = Reader::new(LIMITS);
        assert_eq!(reader.advance(&mut bytes), Step::Ready);
        assert_eq!(reader.request().host(&bytes), Some(&b"[::1]"[..]));
        reader.reset();
        let mut bytes = b"GET / HTTP/1.0\r\n\r\n".to_vec();
        assert_eq!(reader.advance(&mut bytes), Step::Ready);
        assert_eq!(reader.request().host(&bytes), None, "nothing is left of the request before");
    }

    #[test]
    fn a_reader_is_small_enough_for_every_slot() {
        assert!(size_of::<Reader>() <= 768, "{}", size_of::<Reader>());
    }
}
