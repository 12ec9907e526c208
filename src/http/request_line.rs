//! The request line `METHOD SP target SP HTTP/1.x CRLF`, RFC 9112 §3, one byte at a time.
//!
//! Every verdict falls at a byte, never at the end of what has arrived, so it is the same however the bytes were split.

use super::list::is_token_byte;
use super::method::Method;
use super::reject::Reject;

/// Which part the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Nothing yet, not even the one empty line that RFC 9112 §2.2 lets a client send first.
    Start,
    EmptyLine,
    /// Nothing yet but that line.
    Restart,
    Method,
    Target,
    /// The number of bytes of `HTTP/1.x CRLF` that have been seen.
    Version(u8),
}

/// How far the request line has been read, and what it said.
#[derive(Debug, Clone)]
pub(super) struct RequestLine {
    part: Part,
    begin: u16,
    /// Of `method`, `target` and `minor`, each is valid from the space, or the digit, that ends it.
    pub(super) method: Method,
    pub(super) target: (u16, u16),
    pub(super) minor: u8,
}

impl RequestLine {
    pub(super) const fn new() -> Self {
        Self { part: Part::Start, begin: 0, method: Method::Get, target: (0, 0), minor: 0 }
    }

    /// Whether no byte of the method has arrived yet.
    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.part, Part::Start | Part::EmptyLine | Part::Restart)
    }

    /// Whether the target is what is being read.
    pub(super) fn is_in_target(&self) -> bool {
        self.part == Part::Target
    }

    /// Takes `byte`, which stands at `at` in `buf`. True when it ended the line.
    pub(super) fn take(&mut self, buf: &[u8], at: u16, byte: u8, target_bytes: usize) -> Result<bool, Reject> {
        match self.part {
            Part::Start if byte == b'\r' => self.part = Part::EmptyLine,
            Part::EmptyLine if byte == b'\n' => {
                self.begin = at + 1;
                self.part = Part::Restart;
            }
            Part::EmptyLine => return Err(Reject::BareCr),
            Part::Start | Part::Restart | Part::Method => self.take_method(buf, at, byte)?,
            Part::Target => self.take_target(at, byte, target_bytes)?,
            Part::Version(seen) => return self.take_version(seen, byte),
        }
        Ok(false)
    }

    fn take_method(&mut self, buf: &[u8], at: u16, byte: u8) -> Result<(), Reject> {
        let name = &buf[usize::from(self.begin)..usize::from(at)];
        match byte {
            b' ' if name.is_empty() => Err(Reject::RequestLine),
            b' ' => {
                self.method = Method::named(name).ok_or(Reject::UnknownMethod)?;
                self.part = Part::Target;
                self.begin = at + 1;
                Ok(())
            }
            b'\n' => Err(Reject::BareLf),
            b'\r' => Err(Reject::RequestLine),
            _ if !is_token_byte(byte) => Err(Reject::MethodName),
            _ if name.len() >= Method::LONGEST => Err(Reject::UnknownMethod),
            _ => {
                self.part = Part::Method;
                Ok(())
            }
        }
    }

    fn take_target(&mut self, at: u16, byte: u8, target_bytes: usize) -> Result<(), Reject> {
        match byte {
            b' ' if at == self.begin => Err(Reject::RequestLine),
            b' ' => {
                self.target = (self.begin, at);
                self.part = Part::Version(0);
                Ok(())
            }
            b'\n' => Err(Reject::BareLf),
            b'\r' => Err(Reject::RequestLine),
            0x21..=0x7e if byte != b'#' => {
                if usize::from(at - self.begin) >= target_bytes {
                    return Err(Reject::TargetTooLong);
                }
                Ok(())
            }
            _ => Err(Reject::TargetByte),
        }
    }

    fn take_version(&mut self, seen: u8, byte: u8) -> Result<bool, Reject> {
        /// `x` stands for the minor version: any digit, for all of 1.x is served as 1.1.
        const SHAPE: &[u8; 10] = b"HTTP/1.x\r\n";
        let expected = SHAPE[usize::from(seen)];
        match expected {
            b'x' if byte.is_ascii_digit() => self.minor = byte - b'0',
            b'x' if byte == expected => return Err(Reject::VersionForm),
            b'1' if byte.is_ascii_digit() && byte != expected => {
                return Err(Reject::UnsupportedVersion);
            }
            b'H' if byte == b' ' => return Err(Reject::RequestLine),
            b'\n' if byte != expected => return Err(Reject::BareCr),
            _ if byte == expected => {}
            _ if byte == b'\n' => return Err(Reject::BareLf),
            _ => return Err(Reject::VersionForm),
        }
        self.part = Part::Version(seen + 1);
        Ok(expected == b'\n')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[u8], target_bytes: usize) -> Result<Option<RequestLine>, Reject> {
        let mut state = RequestLine::new();
        for (at, &byte) in line.iter().enumerate() {
            if state.take(line, at as u16, byte, target_bytes)? {
                assert_eq!(at + 1, line.len());
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    #[test]
    fn the_three_parts_are_found() {
        let line = b"\r\nPATCH /a?b HTTP/1.7\r\n";
        let state = read(line, 99).unwrap().unwrap();
        assert_eq!((state.method, state.minor), (Method::Patch, 7));
        assert_eq!(&line[usize::from(state.target.0)..usize::from(state.target.1)], b"/a?b");
    }

    #[test]
    fn each_fault_has_its_own_reason() {
        for (line, reason) in [
            (&b"\r\n\r"[..], Reject::RequestLine),
            (b"\rG", Reject::BareCr),
            (b"\n", Reject::BareLf),
            (b" ", Reject::RequestLine),
            (b"GET\r", Reject::RequestLine),
            (b"GET  ", Reject::RequestLine),
            (b"GET\t", Reject::MethodName),
            (b"\x16", Reject::MethodName),
            (b"get ", Reject::UnknownMethod),
            (b"PROPFIND", Reject::UnknownMethod),
            (b"TRACE ", Reject::UnknownMethod),
            (b"GET /\r", Reject::RequestLine),
            (b"GET /\n", Reject::BareLf),
            (b"GET /\t", Reject::TargetByte),
            (b"GET /\x7f", Reject::TargetByte),
            (b"GET /\xc3", Reject::TargetByte),
            (b"GET /#", Reject::TargetByte),
            (b"GET /  ", Reject::RequestLine),
            (b"GET / h", Reject::VersionForm),
            (b"GET / HTTP/2", Reject::UnsupportedVersion),
            (b"GET / HTTP/0", Reject::UnsupportedVersion),
            (b"GET / HTTP/1.x", Reject::VersionForm),
            (b"GET / HTTP/1.10", Reject::VersionForm),
            (b"GET / HTTP/10", Reject::VersionForm),
            (b"GET / HTTP/1.1 ", Reject::VersionForm),
            (b"GET / HTTP/1.1\n", Reject::BareLf),
            (b"GET / HTTP/1.1\rX", Reject::BareCr),
        ] {
            assert_eq!(read(line, 99).err(), Some(reason), "{:?}", line.escape_ascii().to_string());
            assert!(read(&line[..line.len() - 1], 99).unwrap().is_none(), "not before the last byte");
        }
    }

    #[test]
    fn a_target_may_be_as_long_as_the_limit_and_no_longer() {
        assert!(read(b"GET /234 HTTP/1.1\r\n", 4).unwrap().is_some());
        assert_eq!(read(b"GET /2345", 4).err(), Some(Reject::TargetTooLong));
    }
}
