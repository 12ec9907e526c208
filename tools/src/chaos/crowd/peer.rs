//! One connection of a crowd.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::chaos::question::{Judgement, Question};
use crate::rig::http;

/// A question under way.
pub struct Asked {
    /// Which.
    pub question: Question,
    /// When it was made.
    pub at: Instant,
}

/// A connection, made when it is needed and made anew when it ends.
#[derive(Default)]
pub struct Peer {
    /// The socket.
    pub stream: Option<TcpStream>,
    /// Questions without an answer, in their order.
    pub asked: VecDeque<Asked>,
    /// Questions of this socket.
    pub turns: u64,
    /// It rests until then.
    pub retry_at: Option<Instant>,
    /// What is not sent yet.
    pub output: Vec<u8>,
    input: Vec<u8>,
    /// Bytes of the input that were taken.
    taken: usize,
}

impl Peer {
    /// Begins to connect.
    pub fn open(&mut self, address: SocketAddr, source: Option<Ipv4Addr>, poll: &Poll, token: Token) -> io::Result<()> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        (self.stream, self.turns, self.retry_at) = (Some(stream), 0, None);
        Ok(())
    }

    /// Sends the question that was made last, as far as the socket takes it.
    pub fn send_last(&mut self) -> io::Result<()> {
        if let Some(asked) = self.asked.back() {
            self.output.extend_from_slice(asked.question.request().as_bytes());
        }
        self.flush()
    }

    /// Sends what waits.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while !self.output.is_empty() {
            match stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all that has come; true at the end of the connection, however it came.
    pub fn read(&mut self, buffer: &mut [u8]) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        loop {
            match stream.read(buffer) {
                Ok(0) => return true,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }

    /// The next answer that is whole, its verdict, and whether it is the connection's last.
    pub fn take_answer(&mut self) -> Option<(Asked, Judgement, bool)> {
        let rest = &self.input[self.taken..];
        let first = http::first_answer(rest, false);
        let (judgement, closes) = match (&first, self.asked.front()) {
            (Ok(None), _) => return None,
            (Ok(Some((answer, length))), Some(asked)) => {
                self.taken += length;
                let closes = answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                (asked.question.judge(answer), closes)
            }
            (Err(error), Some(_)) => (Judgement::Wrong(format!("no answer: {error}")), true),
            // Said before anything was asked: the connection is turned away, and whoever asks next on it finds that out.
            (_, None) => return None,
        };
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        Some((self.asked.pop_front()?, judgement, closes))
    }

    /// Closes the socket; a new one is made for the next question.
    pub fn close(&mut self, retry_at: Option<Instant>) {
        self.stream = None;
        self.asked.clear();
        self.output.clear();
        self.input.clear();
        (self.taken, self.turns, self.retry_at) = (0, 0, retry_at);
    }
}
