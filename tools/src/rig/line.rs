//! A connection that stays open and asks one thing after the other.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::http::{Answer, Wire};

/// The longest wait for an answer: then the connection is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends one request and reads its answer over a connection that stays open.
pub struct Line {
    wire: Wire,
    stream: TcpStream,
}

impl Line {
    /// Connects.
    pub fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { wire: Wire::new(stream.try_clone()?), stream })
    }

    /// Gives up an answer after this time instead.
    pub fn patience(&self, time: Duration) -> std::io::Result<()> {
        self.stream.set_read_timeout(Some(time))
    }

    /// One request; `None` when the server closed.
    pub fn ask(&mut self, request: &str) -> std::io::Result<Option<Answer>> {
        self.stream.write_all(request.as_bytes())?;
        self.wire.answer(false)
    }
}
