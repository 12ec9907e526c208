//! One connection seen from the client's side, and a second one that watches the server's counters beside it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::server::{Answer, DEADLINE, Server, connect, read_answer};

/// A request that needs no database.
pub const HEALTH: &str = "GET /-/health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A GET without a body, kept alive.
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A client's connection.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    pub fn to(address: SocketAddr) -> Wire {
        Wire::over(connect(address))
    }

    pub fn over(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).expect("a socket");
        Wire { stream: BufReader::new(stream) }
    }

    /// A connection from another address of this machine: 127.0.0.`last`.
    pub fn from(last: u8, address: SocketAddr) -> Wire {
        let socket = bound(last);
        socket.connect(&address.into()).expect("the server accepts");
        Wire::over(ready(socket))
    }

    /// A connection that takes little at once, so that answers stay with the server.
    pub fn small(address: SocketAddr) -> Wire {
        let socket = bound(1);
        socket.set_recv_buffer_size(4096).expect("a socket");
        socket.connect(&address.into()).expect("the server accepts");
        Wire::over(ready(socket))
    }

    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        self.stream.get_ref().write_all(bytes.as_ref()).expect("the server takes it");
    }

    /// Sends what may meet a connection that has ended meanwhile.
    pub fn try_send(&self, bytes: &[u8]) -> bool {
        self.stream.get_ref().write_all(bytes).is_ok()
    }

    /// The next answer, interim ones included.
    pub fn answer(&mut self) -> Answer {
        self.try_answer(false).expect("an answer")
    }

    /// The next answer to a HEAD.
    pub fn head_answer(&mut self) -> Answer {
        self.try_answer(true).expect("an answer")
    }

    pub fn try_answer(&mut self, head_only: bool) -> std::io::Result<Answer> {
        read_answer(&mut self.stream, head_only)
    }

    /// The length of the next answer's head, which is taken.
    pub fn head_of_next(&mut self) -> usize {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        head.len()
    }

    /// Takes `count` bytes.
    pub fn skip(&mut self, count: usize) {
        self.stream.read_exact(&mut vec![0; count]).expect("a body");
    }

    /// One request, one answer.
    pub fn ask(&mut self, target: &str) -> Answer {
        self.send(get(target));
        self.answer()
    }

    /// Ends our stream; the other direction stays.
    pub fn half_close(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("a connection");
    }

    /// What still comes before the server ends the stream.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("an end within the deadline");
        rest
    }

    /// Asserts that the server ends the stream here.
    pub fn ends(&mut self, what: &str) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{what}: {} after the last answer", rest.escape_ascii());
    }

    /// A number of `/-/status`, asked over this connection.
    pub fn status_of(&mut self, member: &str, name: &str) -> u64 {
        self.ask("/-/status").json()[member][name].as_u64().expect("a number")
    }

    /// Whether something can be read now, without waiting.
    pub fn has_answer(&mut self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).expect("a socket");
        let seen = stream.peek(&mut [0]).is_ok_and(|count| count > 0);
        stream.set_nonblocking(false).expect("a socket");
        seen || !self.stream.buffer().is_empty()
    }

    /// Whether the server has ended the connection, cleanly or by a reset.
    pub fn is_gone(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Ends the connection by a reset.
    pub fn reset(self) {
        let socket = Socket::from(self.stream.into_inner());
        socket.set_linger(Some(std::time::Duration::ZERO)).expect("a socket");
    }
}

/// A socket with an address of ours: 127.0.0.`last`.
pub fn bound(last: u8) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), None).expect("a socket");
    socket.bind(&SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0).into()).expect("an address of loopback");
    socket
}

/// A connected socket whose reads and writes end with the deadline.
pub fn ready(socket: Socket) -> TcpStream {
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    stream.set_write_timeout(Some(DEADLINE)).expect("a socket");
    stream
}

/// A kept connection to `/-/`, from which the rest is watched.
pub struct Probe {
    wire: Wire,
}

impl Probe {
    pub fn of(server: &Server) -> Probe {
        Probe::at(server.address)
    }

    pub fn at(address: SocketAddr) -> Probe {
        Probe { wire: Wire::to(address) }
    }

    /// After it the server has read everything that was in its sockets before: whatever stood in the kernel's queue at the first
    /// answer has been driven when the second comes.
    pub fn barrier(&mut self) {
        for _ in 0..2 {
            assert_eq!(self.wire.ask("/-/health").status, 200);
        }
    }

    /// A sample of `/-/metrics` by its whole name, labels included.
    pub fn metric(&mut self, name: &str) -> u64 {
        let page = self.wire.ask("/-/metrics");
        assert_eq!(page.status, 200);
        let text = page.text();
        let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        sample.unwrap_or_else(|| panic!("no sample {name}")).parse().expect("a whole number")
    }

    /// Whether `/-/metrics` shows a sample.
    pub fn has(&mut self, name: &str) -> bool {
        self.wire.ask("/-/metrics").text().lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
    }

    /// The sum of all samples of `/-/metrics` whose names begin so.
    pub fn sum(&mut self, prefix: &str) -> u64 {
        let text = self.wire.ask("/-/metrics").text();
        let samples = text.lines().filter(|line| line.starts_with(prefix)).filter_map(|line| line.rsplit(' ').next());
        samples.map(|value| value.parse::<u64>().expect("a whole number")).sum()
    }

    pub fn status(&mut self) -> serde_json::Value {
        self.wire.ask("/-/status").json()
    }

    pub fn refused(&mut self, reason: &str) -> u64 {
        self.metric(&format!("flagstone_refusals_total{{reason=\"{reason}\"}}"))
    }

    pub fn closed(&mut self, reason: &str) -> u64 {
        self.metric(&format!("flagstone_connections_closed_total{{reason=\"{reason}\"}}"))
    }

    /// Connections in a state, this one among them.
    pub fn connections(&mut self, state: &str) -> u64 {
        self.metric(&format!("flagstone_connections{{state=\"{state}\"}}"))
    }

    /// writev calls for others since `before`, which is what this returned then: each look itself takes one.
    pub fn writes(&mut self) -> u64 {
        self.metric("flagstone_socket_writes_total")
    }

    /// Waits until `condition` holds of the server.
    pub fn wait_for(&mut self, what: &str, mut condition: impl FnMut(&mut Probe) -> bool) {
        crate::server::wait_for(what, || condition(self));
    }
}

/// Descriptors that a process has open.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("our child").count()
}
