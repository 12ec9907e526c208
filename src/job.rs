//! The only types that front and back share: a job, what it may answer, and the buffers that travel with it.
//!
//! A job owns its request's bytes and is given the reply buffer; both go back to the front with the outcome, so neither half
//! ever holds a reference into the other.

mod batch;
mod faults;
pub mod skew;
mod tables;

pub use batch::{Batch, BatchEnd, Commit, Done, Item, Written};
pub use faults::Faults;
pub use tables::TableSet;

use crate::api::problem::Problem;
use crate::budget::{ANSWER_BYTES, REQUEST_BYTES, TARGET_BYTES};
use crate::http;
use crate::http::accept::Media;
use crate::memory::sink::{Full, Sink};
use crate::ops::system::Wal;

/// Time since the start of the process, in microseconds.
pub type Micros = u64;

/// A connection slot as it was when the job was taken from it; the slot may have been closed and taken anew since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId {
    /// Place in the slot table.
    pub index: u16,
    /// How often that place had been closed.
    pub generation: u32,
}

/// A connection's received bytes and the reader that stands in them.
pub struct Exchange {
    /// The whole buffer.
    pub bytes: &'static mut [u8],
    /// Where the current request begins.
    pub start: usize,
    /// Where the received bytes end.
    pub filled: usize,
    /// The state of reading the current request.
    pub reader: http::request::Reader,
}

impl Exchange {
    /// The limits of a request, from the budget.
    pub const LIMITS: http::request::Limits = http::request::Limits {
        head_bytes: crate::budget::HEAD_BYTES,
        target_bytes: TARGET_BYTES,
        body_bytes: crate::budget::BODY_BYTES,
    };

    /// An empty exchange over `bytes`, which must hold one request of the largest size.
    pub fn new(bytes: &'static mut [u8]) -> Exchange {
        assert!(bytes.len() >= REQUEST_BYTES, "a request of the largest size fits");
        Exchange { bytes, start: 0, filled: 0, reader: http::request::Reader::new(Self::LIMITS) }
    }

    /// The received bytes from the current request on.
    pub fn current(&self) -> &[u8] {
        &self.bytes[self.start..self.filled]
    }

    /// The request that the reader has completed.
    pub fn request(&self) -> &http::request::Request {
        self.reader.request()
    }

    /// Lets the reader go on with what has arrived.
    pub fn advance(&mut self) -> http::request::Step {
        self.reader.advance(&mut self.bytes[self.start..self.filled])
    }

    /// Steps over the completed request.
    pub fn next_request(&mut self) {
        self.start += self.reader.request().consumed;
        assert!(self.start <= self.filled, "a request ends within what was received");
        if self.start == self.filled {
            (self.start, self.filled) = (0, 0);
        }
        self.reader.reset();
    }

    /// Steps over `length` received bytes that nobody has begun to read.
    pub fn skip(&mut self, length: usize) {
        assert!(self.reader.is_fresh(), "no request is begun");
        self.start += length;
        assert!(self.start <= self.filled, "a request ends within what was received");
        if self.start == self.filled {
            (self.start, self.filled) = (0, 0);
        }
    }

    /// Where the socket's next bytes go; empty when the request has filled its buffer.
    pub fn room(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            // Spent chunk framing first, then the requests before this one.
            self.filled -= self.reader.compact(&mut self.bytes[self.start..self.filled]);
            self.bytes.copy_within(self.start..self.filled, 0);
            (self.start, self.filled) = (0, self.filled - self.start);
        }
        &mut self.bytes[self.filled..]
    }

    /// Forgets everything, for the next connection.
    pub fn clear(&mut self) {
        (self.start, self.filled) = (0, 0);
        self.reader.reset();
    }
}

/// What a request asks of the back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The list of tables, or rows of one: the request's path says which.
    Tables,
    /// The named route at this place in the running configuration.
    Route(u16),
    /// Another configuration: for whoever holds configurations, with the back's help.
    Change(Change),
}

/// A change of the running configuration that an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// To what the file says now.
    Reload,
    /// To the version before the running one.
    Rollback,
    /// To the defaults.
    Reset,
}

/// One request that needs the back.
pub struct Job {
    /// What it asks.
    pub task: Task,
    /// Who asked.
    pub slot: SlotId,
    /// The request.
    pub exchange: Box<Exchange>,
    /// When the front accepted it.
    pub arrived: Micros,
    /// From when on its query is stopped.
    pub deadline: Micros,
}

/// What the words of a [`Stamp`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampMode {
    /// The 48 bytes of the wal-index header (SQLite "WAL-mode file format" §2.1).
    Wal,
    /// The database header's change counter and format versions (SQLite "Database File Format" §1.3).
    Rollback,
    /// Nothing: nobody may write.
    Constant,
}

/// A name for one state of the database: what was made in it is current while the same name is read again.
///
/// Two equal stamps name one state; one state may have several names, which costs an entry and never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    words: [u64; 6],
    generation: u64,
    mode: StampMode,
}

impl Stamp {
    /// The state that `words` tell apart within `generation`, a number that no other opening of a database shares.
    pub const fn new(mode: StampMode, generation: u64, words: [u64; 6]) -> Stamp {
        Stamp { words, generation, mode }
    }

    /// Whether exactly one commit lies between `before` and this: in WAL mode each raises the header's iChange, at byte 8, by one.
    pub fn is_next_commit_of(&self, before: &Stamp) -> bool {
        let wal = self.mode == StampMode::Wal && before.mode == StampMode::Wal;
        wal && first_half(self.words[1]) == first_half(before.words[1]).wrapping_add(1)
    }

    /// Frames in the WAL (mxFrame, at byte 16); 0 outside of WAL mode.
    pub fn wal_frames(&self) -> u32 {
        if self.mode == StampMode::Wal { first_half(self.words[2]) } else { 0 }
    }
}

/// The first of the two 32-bit fields that lie in a word of the header.
const fn first_half(word: u64) -> u32 {
    let bytes = word.to_ne_bytes();
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Reads the name of the database's state, at any moment, also while a job runs.
pub trait Current {
    /// The state's name now; `None` when nothing may be answered from a cache. Allocates nothing; in WAL mode it makes no system call,
    /// outside of it one.
    fn current(&self) -> Option<Stamp>;

    /// The WAL and its readers now; `None` outside of WAL mode. As cheap as the name.
    fn wal(&self) -> Option<Wal> {
        None
    }
}

/// What a cache has to know of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The state they are of, or an older one; `None` when they are not to be kept, because that state has no certain name.
    pub stamp: Option<Stamp>,
    /// Whether a statement asked for the date, for chance or for the connection's own state: other rows may come without any commit.
    pub volatile: bool,
    /// The tables that they were made of.
    pub tables: TableSet,
    /// How long making them took, without the turns that the front had meanwhile.
    pub cost: Micros,
}

/// What a job came to. The rows of an answer are in the [`Reply`].
#[derive(Debug)]
pub enum Outcome {
    /// 200 with the reply's body.
    Rows(Media, Made),
    /// Another configuration is in use now.
    Changed,
    /// An error to be told.
    Problem(Problem),
    /// Another process holds the lock that this job needs: try again in a moment, until the busy timeout.
    Busy,
    /// Stopped half-way because nobody waits for the answer.
    Abandoned,
}

/// Whether a running job may go on, as the front sees it at a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Somebody waits for the answer.
    On,
    /// The client is gone, or the server is past its drain.
    Stop,
}

/// The reply buffer: filled by the back, read by the front, one in the process.
pub struct Reply {
    bytes: &'static mut [u8],
    len: usize,
    /// Target of `Link: <...>; rel="next"`, empty when this is the last page.
    pub next: heapless::Vec<u8, TARGET_BYTES>,
    /// Content-Range, empty when no count was asked for.
    pub content_range: heapless::String<64>,
}

impl Reply {
    /// A reply over `bytes`, which must hold an answer of the largest size.
    pub fn new(bytes: &'static mut [u8]) -> Reply {
        assert!(bytes.len() >= ANSWER_BYTES, "an answer of the largest size fits");
        Reply { bytes, len: 0, next: heapless::Vec::new(), content_range: heapless::String::new() }
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The body's length in bytes: a place to [`Reply::truncate`] to.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.bytes.len() - self.len
    }

    /// Takes back everything behind `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.len = 0;
        self.next.clear();
        self.content_range.clear();
    }
}

impl Sink for Reply {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}
