//! The baseline: an epoll loop that looks only for the end of each request and answers with a constant. What a server
//! needs beyond it is its own cost; what it needs is the kernel's.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::compare::scene::body;

/// `bench bare --help`.
pub const HELP: &str = "\
bench bare: the baseline server: one read, one write, a constant answer of 1 KB to each GET

    bench bare                          at a free port of 127.0.0.1, printed as a URL
    -l, --listen ADDR                   127.0.0.1:0
";

/// Bytes of the constant body.
const BODY_BYTES: usize = 1024;
/// Answers that stand ready in one piece, as many as the deepest pipeline asks for in one read.
const BATCH: usize = 64;
/// Read buffer; 64 pipelined requests of 256 bytes.
const READ_BYTES: usize = 16 * 1024;
const LISTENER: Token = Token(usize::MAX - 1);
/// The end of a request without a body.
const END: &[u8; 4] = b"\r\n\r\n";

struct Peer {
    stream: TcpStream,
    /// How much of [`END`] the bytes so far end in.
    matched: usize,
    /// Bytes of answers that are still to be written.
    owed: usize,
    /// The other side has closed.
    closed: bool,
}

/// The server.
pub struct Bare {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    vacant: Vec<usize>,
    answers: Vec<u8>,
    buffer: Vec<u8>,
}

impl Bare {
    /// Listens; port 0 takes a free one.
    pub fn listen(address: SocketAddr) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
        let mut answer = head.into_bytes();
        answer.extend_from_slice(body(BODY_BYTES).as_bytes());
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listener,
            peers: Vec::new(),
            vacant: Vec::new(),
            answers: answer.repeat(BATCH),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// One wait and all that it brought.
    pub fn turn(&mut self, wait: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let ready: Vec<(Token, bool)> = self.events.iter().map(|event| (event.token(), event.is_read_closed())).collect();
        for (token, closed) in ready {
            match token {
                LISTENER => self.accept()?,
                Token(index) => self.serve(index, closed),
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (mut stream, _) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let index = self.vacant.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            stream.set_nodelay(true)?;
            self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            self.peers[index] = Some(Peer { stream, matched: 0, owed: 0, closed: false });
        }
    }

    fn serve(&mut self, index: usize, closed: bool) {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        peer.closed |= closed;
        if exchange(peer, &mut self.buffer, &self.answers).is_err() {
            self.peers[index] = None;
            self.vacant.push(index);
        }
    }
}

/// Reads what is there and answers it; an error or the end means: close.
fn exchange(peer: &mut Peer, buffer: &mut [u8], answers: &[u8]) -> io::Result<()> {
    loop {
        write_owed(peer, answers)?;
        let count = match peer.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        for &byte in &buffer[..count] {
            peer.matched = match (byte == END[peer.matched], byte) {
                (true, _) => peer.matched + 1,
                (false, b'\r') => 1,
                (false, _) => 0,
            };
            if peer.matched == END.len() {
                peer.matched = 0;
                peer.owed += answers.len() / BATCH;
            }
        }
        write_owed(peer, answers)?;
        // The edge tells of a close only once: then the reading goes on to its end.
        if count < buffer.len() && !peer.closed {
            return Ok(());
        }
    }
}

/// Writes as many of the owed bytes as the socket takes.
fn write_owed(peer: &mut Peer, answers: &[u8]) -> io::Result<()> {
    let answer_bytes = answers.len() / BATCH;
    while peer.owed > 0 {
        // What is owed ends with a whole answer, so its beginning follows from its length.
        let begun = (answer_bytes - peer.owed % answer_bytes) % answer_bytes;
        let end = answers.len().min(begun + peer.owed);
        match peer.stream.write(&answers[begun..end]) {
            Ok(count) => peer.owed -= count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Serves until it is killed, and dies with the process that started it.
pub fn serve(address: SocketAddr) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    crate::machine::raise_descriptors();
    let mut bare = Bare::listen(address)?;
    println!("bare: http://{}/", bare.address()?);
    loop {
        bare.turn(None)?;
    }
}
