//! A chunked body, decoded in place, RFC 9112 §7.1.
//!
//! The decoded bytes grow directly behind the head while the framing is read ahead of them; what lies between is spent.

use super::field;
use super::lines::{Bounds, Lines};
use super::list::is_token_byte;
use super::reject::Reject;

/// The most bytes of chunk extensions in one body: no client needs any, and unbounded ones are an attack of their own.
const EXTENSION_BYTES: usize = 256;
/// The most bytes of trailers, their empty line included. They are checked and dropped.
const TRAILER_BYTES: usize = 1024;
/// The most trailer fields.
const TRAILER_FIELDS: usize = 16;
/// 32 bits: more than any body limit, less than any overflow.
const SIZE_DIGITS: u8 = 8;

/// What the next byte is.
#[derive(Debug, Clone)]
enum State {
    /// A digit of the chunk's size, after this many of them.
    Size(u8),
    Extension(Extension),
    SizeLf,
    /// This many bytes of data are missing.
    Data(usize),
    DataCr,
    DataLf,
    /// Where the trailer section began.
    Trailers(usize, Lines),
    Done,
}

/// Inside `*( BWS ";" BWS name [ BWS "=" BWS value ] )`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    /// White space where only `;` may follow.
    Gap,
    /// Behind `;`.
    Begin,
    Name,
    /// White space behind a name.
    NameGap,
    /// Behind `=`.
    Equals,
    Value,
    Quoted,
    Escape,
    /// Behind the closing quote.
    Unquoted,
}

impl Extension {
    /// The state behind `byte`; `None` when the grammar has no such byte here.
    fn after(self, byte: u8) -> Option<Self> {
        let token = is_token_byte(byte);
        Some(match (self, byte) {
            (Self::Quoted, b'"') => Self::Unquoted,
            (Self::Quoted, b'\\') => Self::Escape,
            (Self::Quoted | Self::Escape, _) if byte == b'\t' || !byte.is_ascii_control() => Self::Quoted,
            (Self::Quoted | Self::Escape, _) => return None,
            (Self::Begin, b' ' | b'\t') => Self::Begin,
            (Self::Begin | Self::Name, _) if token => Self::Name,
            (Self::Name | Self::NameGap, b'=') => Self::Equals,
            (Self::Name | Self::NameGap, b' ' | b'\t') => Self::NameGap,
            (Self::Equals, b' ' | b'\t') => Self::Equals,
            (Self::Equals, b'"') => Self::Quoted,
            (Self::Equals | Self::Value, _) if token => Self::Value,
            (Self::Gap | Self::Value | Self::Unquoted, b' ' | b'\t') => Self::Gap,
            (Self::Gap | Self::Name | Self::NameGap | Self::Value | Self::Unquoted, b';') => Self::Begin,
            _ => return None,
        })
    }

    /// Whether the line may end here.
    const fn is_complete(self) -> bool {
        matches!(self, Self::Name | Self::Value | Self::Unquoted)
    }
}

/// How far a chunked body has been decoded. Offsets are into the caller's buffer.
#[derive(Debug, Clone)]
pub(super) struct Chunked {
    state: State,
    size: usize,
    extension_bytes: usize,
    start: usize,
    /// The end of the decoded bytes, never beyond `at`.
    end: usize,
    /// The first byte of framing or data that was not yet looked at.
    at: usize,
}

impl Chunked {
    /// A body that begins at `start`.
    pub(super) const fn new(start: usize) -> Self {
        Self { state: State::Size(0), size: 0, extension_bytes: 0, start, end: start, at: start }
    }

    /// The decoded bytes' range.
    pub(super) fn body(&self) -> (usize, usize) {
        (self.start, self.end)
    }

    /// The first byte behind the trailers, once [`advance`](Self::advance) has said true.
    pub(super) fn consumed(&self) -> usize {
        self.at
    }

    /// Decodes what has arrived. True when the body is whole.
    pub(super) fn advance(&mut self, buf: &mut [u8], body_bytes: usize) -> Result<bool, Reject> {
        loop {
            match &mut self.state {
                State::Done => return Ok(true),
                State::Trailers(start, lines) => {
                    let Some(end) = read_trailers(buf, *start, lines)? else {
                        return Ok(false);
                    };
                    self.at = end;
                    self.state = State::Done;
                }
                State::Data(missing) => {
                    let here = (*missing).min(buf.len() - self.at);
                    buf.copy_within(self.at..self.at + here, self.end);
                    self.at += here;
                    self.end += here;
                    *missing -= here;
                    if *missing > 0 {
                        return Ok(false);
                    }
                    self.state = State::DataCr;
                }
                _ => {
                    let Some(&byte) = buf.get(self.at) else {
                        return Ok(false);
                    };
                    self.at += 1;
                    self.take(byte, body_bytes)?;
                }
            }
        }
    }

    fn take(&mut self, byte: u8, body_bytes: usize) -> Result<(), Reject> {
        self.state = match (&self.state, byte) {
            (State::Size(digits), _) if byte.is_ascii_hexdigit() => {
                if *digits == SIZE_DIGITS {
                    return Err(Reject::ChunkSize);
                }
                self.size = self.size << 4 | hex_value(byte);
                State::Size(digits + 1)
            }
            (State::Size(1..), b'\r') => State::SizeLf,
            (State::Extension(extension), b'\r') if extension.is_complete() => State::SizeLf,
            (State::SizeLf, b'\n') => self.begin_data(body_bytes)?,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.size = 0;
                State::Size(0)
            }
            (State::SizeLf | State::DataLf, _) => return Err(Reject::BareCr),
            (_, b'\n') => return Err(Reject::BareLf),
            (State::Size(1..), b';') => self.take_extension(Some(Extension::Begin))?,
            (State::Size(1..), b' ' | b'\t') => self.take_extension(Some(Extension::Gap))?,
            (State::Size(_), _) => return Err(Reject::ChunkSize),
            (State::Extension(extension), _) => self.take_extension(extension.after(byte))?,
            (State::DataCr, _) => return Err(Reject::ChunkEnd),
            (State::Data(_) | State::Trailers(..) | State::Done, _) => {
                unreachable!("advance() handles the states that take more than one byte")
            }
        };
        Ok(())
    }

    fn take_extension(&mut self, next: Option<Extension>) -> Result<State, Reject> {
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES {
            return Err(Reject::ChunkExtensionsTooLong);
        }
        next.map(State::Extension).ok_or(Reject::ChunkExtension)
    }

    fn begin_data(&self, body_bytes: usize) -> Result<State, Reject> {
        if self.size > body_bytes - (self.end - self.start) {
            return Err(Reject::BodyTooLarge);
        }
        Ok(match self.size {
            0 => State::Trailers(self.at, Lines::new(self.at)),
            size => State::Data(size),
        })
    }

    /// Moves what was not yet decoded down to the decoded bytes, so that framing takes up no room in the buffer.
    /// Returns by how many bytes the buffer's content became shorter.
    pub(super) fn compact(&mut self, buf: &mut [u8]) -> usize {
        let from = match &self.state {
            State::Done => return 0,
            State::Trailers(start, _) => *start,
            _ => self.at,
        };
        let spent = from - self.end;
        buf.copy_within(from.., self.end);
        self.at -= spent;
        if let State::Trailers(start, lines) = &mut self.state {
            *start -= spent;
            lines.shift_down(spent);
        }
        spent
    }
}

fn read_trailers(buf: &[u8], start: usize, lines: &mut Lines) -> Result<Option<usize>, Reject> {
    let bounds = Bounds {
        end: start + TRAILER_BYTES,
        too_large: Reject::TrailersTooLarge,
        lines: TRAILER_FIELDS,
        too_many: Reject::TrailersTooLarge,
    };
    let Some(end) = lines.scan(buf, &bounds)? else {
        return Ok(None);
    };
    field::check::<TRAILER_FIELDS>(&buf[start..end])?;
    Ok(Some(end))
}

fn hex_value(digit: u8) -> usize {
    usize::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result after all of `text`, fed byte by byte, with a body limit of ten bytes.
    fn last(text: &str) -> Result<bool, Reject> {
        let mut bytes = text.as_bytes().to_vec();
        let mut chunked = Chunked::new(0);
        for len in 0..bytes.len() {
            assert_eq!(chunked.advance(&mut bytes[..len], 10), Ok(false), "{len} of {text:?}");
        }
        chunked.advance(&mut bytes, 10)
    }

    #[test]
    fn extensions_are_bounded_over_the_whole_body() {
        let half = format!(";{}", "e".repeat(EXTENSION_BYTES / 2 - 1));
        assert_eq!(last(&format!("1{half}\r\nx\r\n0{half}\r\n\r\n")), Ok(true));
        assert_eq!(last(&format!("1{half}\r\nx\r\n0{half}e")), Err(Reject::ChunkExtensionsTooLong));
    }

    #[test]
    fn trailers_are_bounded_in_bytes_and_number() {
        let filled = "x".repeat(TRAILER_BYTES - "t: \r\n\r\n".len());
        assert_eq!(last(&format!("0\r\nt: {filled}\r\n\r\n")), Ok(true));
        let longer = format!("t: x{filled}\r\n\r\n");
        assert_eq!(last(&format!("0\r\n{}", &longer[..TRAILER_BYTES])), Err(Reject::TrailersTooLarge));
        let many = "t: x\r\n".repeat(TRAILER_FIELDS);
        assert_eq!(last(&format!("0\r\n{many}\r\n")), Ok(true));
        assert_eq!(last(&format!("0\r\n{many}t: x\r\n")), Err(Reject::TrailersTooLarge));
    }

    #[test]
    fn the_body_is_bounded_as_soon_as_the_chunk_that_exceeds_it_is_announced() {
        assert_eq!(last("4\r\n0123\r\n6\r\n012345\r\n0\r\n\r\n"), Ok(true));
        assert_eq!(last("4\r\n0123\r\n7\r\n"), Err(Reject::BodyTooLarge));
        assert_eq!(last("FFFFFFFF\r\n"), Err(Reject::BodyTooLarge));
        assert_eq!(last("FFFFFFFFF"), Err(Reject::ChunkSize));
    }

    #[test]
    fn compacting_lets_a_small_buffer_hold_many_small_chunks() {
        let text = ["00000001;e\r\nx\r\n".repeat(10).as_str(), "0\r\nT: u\r\n\r\nGET"].concat();
        let mut chunked = Chunked::new(0);
        let mut buf = Vec::new();
        let mut largest = 0;
        for &byte in text.as_bytes() {
            buf.push(byte);
            if chunked.advance(&mut buf, 10) == Ok(false) {
                largest = largest.max(buf.len());
                let shorter = chunked.compact(&mut buf);
                buf.truncate(buf.len() - shorter);
            }
        }
        assert_eq!(chunked.body(), (0, 10));
        assert_eq!(&buf[..10], b"xxxxxxxxxx");
        assert_eq!(&buf[chunked.consumed()..], b"GET");
        assert!(largest <= 10 + "T: u\r\n\r\n".len(), "framing took up room: {largest}");
    }
}
