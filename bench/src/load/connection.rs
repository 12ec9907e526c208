//! One connection of the driver: its socket, what it still has to send, and the requests whose replies it waits for.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use super::response::Parser;
use super::target::Address;

/// A TCP or unix stream; both are read and written alike.
#[derive(Debug)]
pub enum Stream {
    /// Loopback TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Begins to connect. For unix sockets `WouldBlock` means that the server's accept queue is full.
    pub fn connect(address: &Address, source: Option<Ipv4Addr>) -> io::Result<Self> {
        match (address, source) {
            (Address::Unix(path), _) => UnixStream::connect(path).map(Self::Unix),
            (&Address::Tcp(address), source) => {
                let stream = match source {
                    Some(source) => connect_from(source, address)?,
                    None => TcpStream::connect(address)?,
                };
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }

    /// None while the connection is still being made.
    fn connected(&self) -> Option<io::Result<()>> {
        let (error, peer) = match self {
            Self::Tcp(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
            Self::Unix(stream) => (stream.take_error(), stream.peer_addr().map(drop)),
        };
        match (error, peer) {
            (Ok(Some(error)) | Err(error), _) => Some(Err(error)),
            (Ok(None), Ok(())) => Some(Ok(())),
            (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => None,
            (Ok(None), Err(error)) => Some(Err(error)),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Ports in TIME_WAIT may be taken again: the run before this one left many.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Where a connection stands.
#[derive(Debug)]
pub enum Phase {
    /// No socket. After a failure it is not tried again before the moment given.
    Closed {
        /// None: it may be opened at once.
        retry_at: Option<Instant>,
    },
    /// The handshake is under way since then.
    Connecting(Stream, Instant),
    /// Requests may be written.
    Open(Stream),
}

/// A request that was sent, or waits in the output for its connection.
#[derive(Debug, Clone, Copy)]
pub struct InFlight {
    /// The moment from which its latency counts.
    pub due: Instant,
    /// The moment it was handed over; its timeout counts from here.
    pub sent: Instant,
}

/// One connection slot of the driver; it lives as long as the run, its sockets may not.
#[derive(Debug)]
pub struct Connection {
    /// Where it stands.
    pub phase: Phase,
    /// Requests without a reply, in the order in which they were sent.
    pub in_flight: VecDeque<InFlight>,
    /// The reply under way.
    pub parser: Parser,
    /// It stands in the driver's list of connections with room.
    pub listed: bool,
    /// The other side has closed: the edge that told so may be the last, so only a read of zero bytes ends the reading.
    pub hung_up: bool,
    output: Vec<u8>,
    written: usize,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// So many bytes.
    Bytes(usize),
    /// Nothing more for now.
    Dry,
    /// The server closed in order.
    End,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            phase: Phase::Closed { retry_at: None },
            in_flight: VecDeque::new(),
            parser: Parser::default(),
            listed: false,
            hung_up: false,
            output: Vec::new(),
            written: 0,
        }
    }
}

impl Connection {
    /// Begins to connect and registers the socket.
    pub fn open(
        &mut self, address: &Address, source: Option<Ipv4Addr>, registry: &Registry, token: Token, now: Instant,
    ) -> io::Result<()> {
        let mut stream = Stream::connect(address, source)?;
        registry.register(stream.source(), token, Interest::READABLE | Interest::WRITABLE)?;
        self.phase = Phase::Connecting(stream, now);
        Ok(())
    }

    /// Looks whether the handshake is over; true when the connection is open.
    pub fn settle(&mut self) -> io::Result<bool> {
        let Phase::Connecting(stream, _) = &self.phase else {
            return Ok(matches!(self.phase, Phase::Open(_)));
        };
        match stream.connected() {
            None => Ok(false),
            Some(Err(error)) => Err(error),
            Some(Ok(())) => {
                let Phase::Connecting(stream, _) = std::mem::replace(&mut self.phase, Phase::Closed { retry_at: None }) else {
                    unreachable!("it was connecting four lines above")
                };
                self.phase = Phase::Open(stream);
                Ok(true)
            }
        }
    }

    /// Adds a request to the output.
    pub fn queue(&mut self, request: &[u8], due: Instant, sent: Instant) {
        self.output.extend_from_slice(request);
        self.in_flight.push_back(InFlight { due, sent });
    }

    /// Writes as much of the output as the socket takes; the rest goes when it is writable again.
    pub fn flush(&mut self) -> io::Result<()> {
        let Phase::Open(stream) = &mut self.phase else {
            return Ok(());
        };
        while self.written < self.output.len() {
            match stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// One read.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Arrival> {
        let Phase::Open(stream) = &mut self.phase else {
            return Ok(Arrival::Dry);
        };
        loop {
            match stream.read(buffer) {
                Ok(0) => return Ok(Arrival::End),
                Ok(count) => return Ok(Arrival::Bytes(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Arrival::Dry),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Drops the socket and what was under way on it; requests in flight stay for the caller to account for.
    pub fn close(&mut self, retry_at: Option<Instant>) {
        self.phase = Phase::Closed { retry_at };
        self.parser.reset();
        self.hung_up = false;
        self.output.clear();
        self.written = 0;
    }

    /// The moment from which the oldest wait counts: the handshake's, else the oldest request's.
    pub fn waiting_since(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Connecting(_, since) => Some(*since),
            Phase::Open(_) | Phase::Closed { .. } => self.in_flight.front().map(|oldest| oldest.sent),
        }
    }
}
