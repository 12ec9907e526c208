//! A run of bytes inside a buffer that somebody else holds. Knows nothing of whose.

/// Where a run begins and how long it is. Smaller than a `Range<usize>`, and `Copy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// The run from `start` up to `end`, which is not before it.
    pub fn between(start: usize, end: usize) -> Span {
        assert!(start <= end, "a span ends after it starts");
        let narrow = |n: usize| u32::try_from(n).expect("every buffer here is far below 4 GiB");
        Span { start: narrow(start), len: narrow(end - start) }
    }

    /// The run's place in its buffer.
    pub fn range(self) -> core::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    /// The run's bytes in `buffer`, which must be the one that the span was made for.
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.range()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_gives_back_its_bytes() {
        assert_eq!(Span::between(1, 3).of(b"abcd"), b"bc");
        assert_eq!(Span::between(4, 4).of(b"abcd"), b"");
    }
}
