//! The front's own buffer: a page or a problem is rendered into it, and a repeated answer stands there as often as it is asked for at once.

use std::io::IoSlice;

use super::cache::Key;
use super::write::join;
use crate::http::etag::EntityTag;
use crate::memory::{Full, sink};

/// The buffer. What is put into it follows what was put before, from [`Page::begin`] on.
pub(crate) struct Page {
    bytes: &'static mut [u8],
    len: usize,
    /// What stands there, side by side; `None` as soon as anything else is put.
    row: Option<Row>,
}

/// What a repeated answer depends on: equal ones have equal bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeated {
    /// The front's epoch: the configuration.
    pub(super) epoch: u32,
    /// The second that it is dated by.
    pub(super) unix: u64,
    pub(super) key: Key,
    pub(super) tag: EntityTag,
    /// A 304.
    pub(super) had: bool,
    /// With its body.
    pub(super) body: bool,
}

/// An answer that stands there `count` times.
struct Row {
    of: Repeated,
    length: usize,
    count: usize,
}

impl Page {
    pub(super) const fn new(bytes: &'static mut [u8]) -> Page {
        Page { bytes, len: 0, row: None }
    }

    /// Forgets what stands there.
    pub(super) fn begin(&mut self) {
        self.len = 0;
        self.row = None;
    }

    /// What was put since it was begun.
    pub(super) fn rendered(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn into_bytes(self) -> &'static mut [u8] {
        self.bytes
    }

    /// A repeated answer `count` times, if it stands there: the connection before has asked the same in the same second.
    pub(super) fn row(&self, of: &Repeated, count: usize) -> Option<&[u8]> {
        let row = self.row.as_ref().filter(|row| row.count >= count && row.of == *of)?;
        Some(&self.bytes[..count * row.length])
    }

    /// Puts an answer's parts there `count` times. To the kernel one piece costs less than many, and less than what the copying costs here.
    ///
    /// # Errors
    /// When there is no room for that.
    pub(super) fn put_row(&mut self, of: &Repeated, count: usize, parts: &[IoSlice]) -> Result<(), Full> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let room = self.bytes.get_mut(..count * length).ok_or(Full)?;
        self.len = 0;
        join(parts, room);
        let mut filled = length;
        while filled < room.len() {
            let more = filled.min(room.len() - filled);
            room.copy_within(..more, filled);
            filled += more;
        }
        self.row = Some(Row { of: *of, length, count });
        Ok(())
    }
}

impl sink::Sink for Page {
    fn put(&mut self, bytes: &[u8]) -> Result<(), sink::Full> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end).ok_or(sink::Full)?.copy_from_slice(bytes);
        self.len = end;
        self.row = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::etag::{TagKey, Tagger};
    use crate::memory::sink::Sink;

    fn repeated(unix: u64) -> Repeated {
        let tag = Tagger::new(&TagKey([7; 16])).finish();
        Repeated { epoch: 1, unix, key: 3, tag, had: false, body: true }
    }

    #[test]
    fn a_row_stands_there_for_who_asks_the_same_until_something_else_is_put() {
        let mut page = Page::new(vec![0; 20].leak());
        let (now, later) = (repeated(10), repeated(11));
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b"c")];
        for count in [1, 2, 3, 5, 6] {
            assert_eq!(page.put_row(&now, count, &parts), Ok(()));
            assert_eq!(page.row(&now, count).map(<[u8]>::to_vec), Some(b"abc".repeat(count)));
            assert_eq!((page.row(&now, 1), page.row(&now, count + 1), page.row(&later, 1)), (Some(&b"abc"[..]), None, None));
        }
        assert_eq!(page.put_row(&later, 7, &parts), Err(Full));
        assert!(page.row(&now, 6).is_some(), "nothing was written");
        page.begin();
        assert!(page.row(&now, 1).is_none());
        page.put_row(&now, 2, &parts).unwrap();
        page.put(b"x").unwrap();
        assert_eq!((page.row(&now, 1), page.rendered()), (None, &b"x"[..]));
    }
}
