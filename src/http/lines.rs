//! Field lines up to the empty line, RFC 9112 §2.2: every line ends in CRLF, and neither byte stands alone.

use super::reject::Reject;

/// How far the lines have been scanned. Offsets are into the caller's buffer.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    /// The first byte not yet looked at (a CR whose successor has not arrived is looked at again).
    at: usize,
    /// Where the line that holds `at` begins.
    line: usize,
    count: usize,
}

/// The bounds of one run of lines, and what to say when one is exceeded.
pub(super) struct Bounds {
    /// The empty line ends at or before this offset.
    pub(super) end: usize,
    pub(super) too_large: Reject,
    pub(super) lines: usize,
    pub(super) too_many: Reject,
}

impl Lines {
    pub(super) const fn new(at: usize) -> Self {
        Self { at, line: at, count: 0 }
    }

    /// Scans what has arrived. The offset behind the empty line, or `None` while that has not come.
    pub(super) fn scan(&mut self, buf: &[u8], bounds: &Bounds) -> Result<Option<usize>, Reject> {
        let seen = &buf[..buf.len().min(bounds.end)];
        let starved = if seen.len() == bounds.end { Err(bounds.too_large) } else { Ok(None) };
        loop {
            let Some(found) = find_line_end(&seen[self.at..]) else {
                self.at = seen.len();
                return starved;
            };
            self.at += found;
            if seen[self.at] == b'\n' {
                return Err(Reject::BareLf);
            }
            match seen.get(self.at + 1) {
                None => return starved,
                Some(b'\n') => {}
                Some(_) => return Err(Reject::BareCr),
            }
            let empty = self.at == self.line;
            self.at += 2;
            self.line = self.at;
            if empty {
                return Ok(Some(self.at));
            }
            self.count += 1;
            if self.count > bounds.lines {
                return Err(bounds.too_many);
            }
        }
    }

    /// Follows bytes that were moved `by` towards the front of the buffer.
    pub(super) fn shift_down(&mut self, by: usize) {
        self.at -= by;
        self.line -= by;
    }
}

/// The first CR or LF. Sixteen bytes at a time without a branch, which compilers turn into vector code: heads are mostly
/// long values, and this saves a quarter of what reading a browser's head costs.
fn find_line_end(bytes: &[u8]) -> Option<usize> {
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let (blocks, _) = bytes.as_chunks::<16>();
    let clear = blocks.iter().take_while(|block| !block.iter().fold(false, |hit, byte| hit | ends(byte))).count() * 16;
    bytes[clear..].iter().position(ends).map(|at| clear + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8], end: usize) -> Result<Option<usize>, Reject> {
        let bounds = Bounds { end, too_large: Reject::HeadTooLarge, lines: 2, too_many: Reject::TooManyFields };
        let whole = Lines::new(0).scan(bytes, &bounds);
        let mut lines = Lines::new(0);
        let mut last = Ok(None);
        for len in 0..=bytes.len() {
            last = lines.scan(&bytes[..len], &bounds);
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(last, whole, "byte by byte");
        whole
    }

    #[test]
    fn the_empty_line_ends_the_lines() {
        assert_eq!(scan(b"\r\nrest", 99), Ok(Some(2)));
        assert_eq!(scan(b"a\r\nb\r\n\r\nrest", 99), Ok(Some(8)));
        assert_eq!(scan(b"a\r\nb\r\n\r", 99), Ok(None));
    }

    #[test]
    fn a_lone_cr_or_lf_is_refused_where_it_stands() {
        assert_eq!(scan(b"a\n\r\n", 99), Err(Reject::BareLf));
        assert_eq!(scan(b"a\r\r\n", 99), Err(Reject::BareCr));
        assert_eq!(scan(b"a\r\n\n", 99), Err(Reject::BareLf));
        assert_eq!(scan(b"a\r\n\rx", 99), Err(Reject::BareCr));
    }

    #[test]
    fn bounds_hold_on_both_sides() {
        assert_eq!(scan(b"a\r\n\r\n", 5), Ok(Some(5)));
        assert_eq!(scan(b"a\r\n\r\n", 4), Err(Reject::HeadTooLarge));
        assert_eq!(scan(b"a\r\nb\r\nc\r\n\r\n", 99), Err(Reject::TooManyFields));
    }
}
