//! Just enough HTTP to ask the server: whole answers out of a stream of bytes.

use std::io::{self, Error, Read};
use std::net::TcpStream;

/// The longest answer that is believed, in bytes: more than the server's own limit.
const ANSWER_MAX: usize = 4 << 20;

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Status line and fields, with the empty line.
    pub head: String,
    /// Its content, framed by Content-Length.
    pub body: Vec<u8>,
}

impl Answer {
    /// A field's value, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// As it came.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }
}

/// A field's value in a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The answer that these bytes begin with, and its length; `None` while it is not whole.
///
/// # Errors
/// What is no answer, or longer than is believed.
pub fn first_answer(bytes: &[u8], to_head: bool) -> io::Result<Option<(Answer, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end + 4]);
    let status = head.get(9..12).and_then(|digits| digits.parse().ok());
    let status: u16 = status.ok_or_else(|| Error::other(format!("no status line: {head:?}")))?;
    let length = field(&head, "content-length").map_or(Some(0), |length| length.parse().ok());
    let length: usize = length.filter(|length| *length <= ANSWER_MAX).ok_or_else(|| Error::other("no length"))?;
    let length = if to_head || matches!(status, 204 | 304) { 0 } else { length };
    let Some(body) = bytes.get(end + 4..end + 4 + length) else { return Ok(None) };
    Ok(Some((Answer { status, body: body.to_vec(), head: head.into_owned() }, end + 4 + length)))
}

/// A connection and what was read ahead of need.
pub struct Wire {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Wire {
    /// Reads from this stream.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// To write to.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads one head; `None` at the orderly end of the stream.
    pub fn head(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
                return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
            }
            if self.more()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(Error::other("cut in a head")) };
            }
        }
    }

    /// Reads a request's content, by the length in its head.
    pub fn body(&mut self, head: &str) -> io::Result<Vec<u8>> {
        let length = field(head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.ahead.len() < length {
            if self.more()? == 0 {
                return Err(Error::other("cut in a body"));
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    /// Reads one answer; `None` at the end of the stream between answers.
    pub fn answer(&mut self, to_head: bool) -> io::Result<Option<Answer>> {
        loop {
            if let Some((answer, length)) = first_answer(&self.ahead, to_head)? {
                self.ahead.drain(..length);
                return Ok(Some(answer));
            }
            if self.more()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(Error::other("cut in an answer")) };
            }
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let count = self.stream.read(&mut piece)?;
        self.ahead.extend_from_slice(&piece[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole_and_never_with_the_next_one() {
        let both = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n";
        for cut in 0..41 {
            assert!(first_answer(&both[..cut], false).unwrap().is_none(), "{cut}");
        }
        let (first, length) = first_answer(both, false).unwrap().unwrap();
        assert_eq!((first.status, first.body.as_slice(), length), (200, b"abc".as_slice(), 41));
        let (second, rest) = first_answer(&both[length..], false).unwrap().unwrap();
        assert_eq!((second.status, second.body.len(), rest), (304, 0, both.len() - length));
        assert!(first_answer(b"HTTP/1.1 2x0 OK\r\n\r\n", false).is_err());
    }
}
