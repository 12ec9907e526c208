//! A network of one keep-alive client in memory: each turn brings its next request once the last one is answered. Its clock stands but for
//! a microsecond a turn, so that a loop takes the same way each time.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;

use flagstone::front::net::{Accepted, EVENTS, Net, Peer, Ready, Token};
use flagstone::job::{Micros, SlotId};

/// Where its clock stands at first: far ahead of the back's, which runs, so that no job ever meets its deadline, however slow the machine is.
const AHEAD: Micros = 3_600_000_000;

/// What the client has seen.
#[derive(Default)]
pub struct Seen {
    /// Answers that began with "HTTP/1.1 200".
    pub answers: Cell<u64>,
    /// The beginning of the last answer that did not.
    pub other: RefCell<Option<String>>,
}

/// The network and its client.
pub struct OneClient {
    /// What it sends, in turn.
    requests: Vec<Vec<u8>>,
    next: usize,
    seen: Rc<Seen>,
    now: Micros,
    connected: bool,
    slot: Option<SlotId>,
    /// A request is on its way, or being answered.
    asked: bool,
    unread: bool,
}

/// The connection; there is one.
pub struct Wire;

impl OneClient {
    /// A client that will connect and then send `requests` one after the other, again and again.
    pub fn new(requests: Vec<Vec<u8>>, seen: Rc<Seen>) -> OneClient {
        OneClient { requests, next: 0, seen, now: AHEAD, connected: false, slot: None, asked: false, unread: false }
    }
}

impl Net for OneClient {
    type Socket = Wire;

    fn now(&self) -> Micros {
        self.now
    }

    fn unix_time(&self) -> u64 {
        1_700_000_000
    }

    fn wait(&mut self, _: Option<Micros>, events: &mut heapless::Vec<Ready, EVENTS>) -> io::Result<()> {
        events.clear();
        self.now += 1;
        let token = match self.slot {
            None if !self.connected => Token::Listener(0),
            Some(slot) if !self.asked => {
                (self.asked, self.unread) = (true, true);
                Token::Slot(slot)
            }
            _ => return Ok(()),
        };
        let event = Ready { token, readable: true, writable: true, ended: false, gone: false };
        events.push(event).map_err(|_| io::ErrorKind::OutOfMemory.into())
    }

    fn accept(&mut self, _: usize) -> Accepted<Wire> {
        if std::mem::replace(&mut self.connected, true) { Accepted::Empty } else { Accepted::Connection(Wire, Peer::Unix) }
    }

    fn turn_away(&mut self, _: usize, _: &[u8]) {}

    fn wake_on(&mut self, _: std::os::fd::RawFd) -> io::Result<()> {
        Ok(())
    }

    fn close_listeners(&mut self) {}

    fn register(&mut self, _: &Wire, slot: SlotId) -> io::Result<()> {
        self.slot = Some(slot);
        Ok(())
    }

    fn read(&mut self, _: &mut Wire, into: &mut [u8]) -> io::Result<usize> {
        if !std::mem::take(&mut self.unread) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let request = &self.requests[self.next];
        let into = into.get_mut(..request.len()).ok_or(io::ErrorKind::OutOfMemory)?;
        into.copy_from_slice(request);
        self.next = if self.next + 1 == self.requests.len() { 0 } else { self.next + 1 };
        Ok(request.len())
    }

    /// Takes a whole answer at once, as a socket with room does.
    fn write(&mut self, _: &mut Wire, from: &[IoSlice]) -> io::Result<usize> {
        match from.first() {
            Some(head) if head.starts_with(b"HTTP/1.1 200") => self.seen.answers.set(self.seen.answers.get() + 1),
            other => *self.seen.other.borrow_mut() = other.map(|head| String::from_utf8_lossy(head).into_owned()),
        }
        self.asked = false;
        Ok(from.iter().map(|slice| slice.len()).sum())
    }

    fn finish_writing(&mut self, _: &mut Wire) {}
}
