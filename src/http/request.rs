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
        assert!(
            limits.head_bytes <= HEAD_BYTES_MAX,
            "a head's offsets are kept in two bytes"
        );
        assert!(
            limits.body_bytes <= usize::MAX / 2,
            "head and body together have a length"
        );
        Self {
            limits,
            stage: Stage::Line(RequestLine::new()),
            at: 0,
            request: Request::new(),
        }
    }

    /// Forgets the request, for the next one whose first byte is at the start of the buffer.
    pub fn reset(&mut self) {
        self.stage = Stage::Line(RequestLine::new());
        self.at = 0;
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
        debug_assert!(
            matches!(self.stage, Stage::Done),
            "no request has been read"
        );
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
                        return Ok(Step::NeedMore(if untouched {
                            Phase::FirstByte
                        } else {
                            Phase::Head
                        }));
                    }
                    let target = Span {
                        start: line.target.0,
                        end: line.target.1,
                    };
                    self.request
                        .set_line(buf, line.method, target, line.minor)?;
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
fn read_line(
    line: &mut RequestLine,
    at: &mut usize,
    buf: &[u8],
    limits: &Limits,
) -> Result<bool, Reject> {
    while let Some(&byte) = buf.get(*at) {
        // The limit leaves room for the offset behind this byte; a head that reaches it here cannot end within it.
        if *at + 1 >= limits.head_bytes {
            let target = line.is_in_target();
            return Err(if target {
                Reject::TargetTooLong
            } else {
                Reject::HeadTooLarge
            });
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
