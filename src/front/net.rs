//! What the front needs of a network and a clock, so that a simulated one can take their place.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::RawFd;

use crate::job::{Micros, SlotId};

/// Events taken from the kernel in one turn; the rest waits for the next.
pub const EVENTS: usize = 128;

/// Whom a readiness event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A listener, by its place.
    Listener(u8),
    /// A connection.
    Slot(SlotId),
    /// SIGTERM or SIGINT: stop gracefully.
    Stop,
    /// What was asked for by [`Net::wake_on`].
    Wake,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// One readiness event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Whom it is for.
    pub token: Token,
    /// There are bytes, connections, or an end of stream.
    pub readable: bool,
    /// The socket takes bytes again.
    pub writable: bool,
    /// The other side has ended its stream (a half-close, or more): a read will come to the end.
    pub ended: bool,
    /// Hung up in both directions, or failed. A half-close is not this.
    pub gone: bool,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// By TCP.
    Tcp(SocketAddr),
    /// By a unix socket.
    Unix,
}

/// What an accept came to.
#[derive(Debug)]
pub enum Accepted<S> {
    /// A new connection.
    Connection(S, Peer),
    /// None waits any more.
    Empty,
    /// That one was gone before it was accepted; there may be more.
    Aborted,
    /// The process or the system is out of descriptors or socket memory.
    NoDescriptor,
}

/// Sockets and clock. All calls return at once, but for `wait` with a timeout.
pub trait Net {
    /// A connected stream; dropping it closes it.
    type Socket;

    /// The monotonic clock.
    fn now(&self) -> Micros;

    /// The wall clock, in seconds since 1970.
    fn unix_time(&self) -> u64;

    /// Collects events, waiting at most `timeout` (`None`: for as long as it takes).
    ///
    /// # Errors
    /// What the kernel's poll gave; an interrupted wait is no error.
    fn wait(&mut self, timeout: Option<Micros>, events: &mut heapless::Vec<Ready, EVENTS>) -> io::Result<()>;

    /// The next connection of a listener.
    fn accept(&mut self, listener: usize) -> Accepted<Self::Socket>;

    /// Without a descriptor to accept with: accepts one connection all the same by a spare descriptor, sends it `answer` and closes it.
    fn turn_away(&mut self, listener: usize, answer: &[u8]);

    /// Ends a wait when `descriptor` becomes readable; it is emptied elsewhere.
    ///
    /// # Errors
    /// What the kernel's poll gave.
    fn wake_on(&mut self, descriptor: RawFd) -> io::Result<()>;

    /// Stops listening.
    fn close_listeners(&mut self);

    /// Asks for edge-triggered events of a connection under `slot`'s name.
    ///
    /// # Errors
    /// What the kernel's poll gave.
    fn register(&mut self, socket: &Self::Socket, slot: SlotId) -> io::Result<()>;

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock`, or what ended the connection.
    fn read(&mut self, socket: &mut Self::Socket, into: &mut [u8]) -> io::Result<usize>;

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// `WouldBlock`, or what ended the connection.
    fn write(&mut self, socket: &mut Self::Socket, from: &[IoSlice]) -> io::Result<usize>;

    /// Feeds a service manager's watchdog, where there is one.
    fn feed_watchdog(&mut self) {}

    /// Says that nothing more will be written (FIN), keeping the reading side.
    fn finish_writing(&mut self, socket: &mut Self::Socket);
}
