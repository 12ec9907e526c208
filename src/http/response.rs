//! Writes a response's head into the caller's buffer, RFC 9112 §4 and §5.

/// The buffer cannot hold the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The reason phrase of a status that Flagstone sends; empty for others, which RFC 9112 §4 allows.
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// A head in the making: status line, fields, then [`finish`](Self::finish). Running out of room is remembered and
/// told there, so that the calls chain.
#[derive(Debug)]
pub struct HeadWriter<'a> {
    buf: &'a mut [u8],
    /// More than the buffer holds once something did not fit.
    len: usize,
}

impl<'a> HeadWriter<'a> {
    /// Begins with the status line. `status` has three digits.
    pub fn new(buf: &'a mut [u8], status: u16) -> Self {
        debug_assert!((100..1000).contains(&status), "a status has three digits");
        let mut head = Self { buf, len: 0 };
        head.put(b"HTTP/1.1 ");
        head.put(itoa::Buffer::new().format(status).as_bytes());
        head.put(b" ");
        head.put(reason(status).as_bytes());
        head.put(b"\r\n");
        head
    }

    /// Begins without a status line: fields that a line of status, date and others will be put before.
    pub fn fields_only(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// Adds a field. `name` is a token. Control characters in `value` other than tab become spaces, as RFC 9110 §5.5
    /// tells recipients to do: no data can end the line, and no answer fails for it.
    pub fn field(self, name: &str, value: &[u8]) -> Self {
        self.field_parts(name, &[value])
    }

    /// Adds a field whose value is `parts` one after the other.
    pub fn field_parts(mut self, name: &str, parts: &[&[u8]]) -> Self {
        debug_assert!(super::list::is_token(name.as_bytes()), "field names are constants and tokens");
        self.put(name.as_bytes());
        self.put(b": ");
        for part in parts {
            let start = self.len;
            self.put(part);
            for byte in self.buf.get_mut(start..self.len).unwrap_or_default() {
                // Written in either case: without a branch this is vector code.
                *byte = if byte.is_ascii_control() && *byte != b'\t' { b' ' } else { *byte };
            }
        }
        self.put(b"\r\n");
        self
    }

    /// Adds a field whose value is our own and has no control character: a constant, a date, a tag. It is written as it is.
    #[inline]
    pub fn own_field(mut self, name: &str, value: &[u8]) -> Self {
        debug_assert!(super::list::is_token(name.as_bytes()), "field names are constants and tokens");
        debug_assert!(!value.iter().any(u8::is_ascii_control), "a value of our own");
        self.put(name.as_bytes());
        self.put(b": ");
        self.put(value);
        self.put(b"\r\n");
        self
    }

    /// Adds a field with a decimal number.
    pub fn field_number(self, name: &str, value: u64) -> Self {
        self.own_field(name, itoa::Buffer::new().format(value).as_bytes())
    }

    /// Ends this part of a head; more fields follow in another. The length of the part.
    pub fn part(self) -> Result<usize, Full> {
        if self.len > self.buf.len() { Err(Full) } else { Ok(self.len) }
    }

    /// Ends the head with its empty line. The length of the whole head.
    pub fn finish(mut self) -> Result<usize, Full> {
        self.put(b"\r\n");
        if self.len > self.buf.len() { Err(Full) } else { Ok(self.len) }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.buf.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.len = usize::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(buf: &mut [u8]) -> Result<usize, Full> {
        HeadWriter::new(buf, 200).field("content-type", b"text/csv").field_number("content-length", 120).finish()
    }

    const EXPECTED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: 120\r\n\r\n";

    #[test]
    fn a_head_is_status_line_fields_and_an_empty_line() {
        let mut buf = [0; 100];
        let len = write(&mut buf).unwrap();
        assert_eq!(buf[..len].escape_ascii().to_string(), EXPECTED.escape_ascii().to_string());
    }

    #[test]
    fn a_buffer_one_byte_short_is_full_and_an_exact_one_is_not() {
        let mut buf = [0; 100];
        assert_eq!(write(&mut buf[..EXPECTED.len()]), Ok(EXPECTED.len()));
        for len in 0..EXPECTED.len() {
            assert_eq!(write(&mut buf[..len]), Err(Full), "{len}");
        }
    }

    #[test]
    fn no_value_can_end_its_line() {
        let mut buf = [0; 100];
        let len = HeadWriter::new(&mut buf, 204).field("x", b"a\r\nb: c\0\x7f\td\n").finish().unwrap();
        assert_eq!(&buf[..len], b"HTTP/1.1 204 No Content\r\nx: a  b: c  \td \r\n\r\n");
    }

    #[test]
    fn parts_are_joined() {
        let mut buf = [0; 100];
        let len = HeadWriter::new(&mut buf, 304).field_parts("link", &[b"<", b"/a\n", b">"]).finish().unwrap();
        assert_eq!(&buf[..len], b"HTTP/1.1 304 Not Modified\r\nlink: </a >\r\n\r\n");
    }

    #[test]
    fn every_status_of_ours_and_every_refusal_has_a_reason() {
        let ours = [
            100, 200, 201, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 413, 414, 415, 417, 421, 422, 429, 431, 500, 501,
            503, 504, 505, 507,
        ];
        let refusals = crate::http::request::Reject::ALL.map(|reject| reject.status());
        for status in ours.into_iter().chain(refusals) {
            assert_ne!(reason(status), "", "{status}");
        }
        let mut buf = [0; 100];
        let len = HeadWriter::new(&mut buf, 299).finish().unwrap();
        assert_eq!(&buf[..len], b"HTTP/1.1 299 \r\n\r\n");
    }
}
