//! The real network: mio's poll, edge-triggered, over sockets that are used by plain system calls.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant, SystemTime};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketAddrAny, SocketFlags};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::net::{Accepted, EVENTS, Net, Peer, Ready, Token};
use crate::job::{Micros, SlotId, skew};

const STOP: mio::Token = mio::Token(usize::MAX - 1);
const WAKE: mio::Token = mio::Token(usize::MAX - 2);
const FIRST_LISTENER: usize = usize::MAX - 2 - MAX_LISTENERS;
/// Listeners that one server may have.
pub const MAX_LISTENERS: usize = 8;

/// The kernel's sockets behind mio.
pub struct MioNet {
    poll: Poll,
    events: Events,
    signals: Signals,
    listeners: heapless::Vec<OwnedFd, MAX_LISTENERS>,
    /// Given up for a moment when descriptors run out, so that a client in the queue can be told.
    spare: Option<File>,
    /// To a service manager that watches.
    watchdog: Option<UnixDatagram>,
    started: Instant,
}

impl MioNet {
    /// Takes over bound, listening, non-blocking sockets. SIGHUP is taken too when there is something to `reload`; else it ends the
    /// process, as it does for every program whose terminal goes.
    ///
    /// # Errors
    /// What epoll, the signal pipe or /dev/null gave.
    pub fn new(listeners: heapless::Vec<OwnedFd, MAX_LISTENERS>, started: Instant, reload: bool) -> io::Result<MioNet> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        if reload {
            signals.add_signal(SIGHUP)?;
        }
        poll.registry().register(&mut signals, STOP, Interest::READABLE)?;
        for (at, listener) in listeners.iter().enumerate() {
            poll.registry().register(
                &mut SourceFd(&listener.as_raw_fd()),
                mio::Token(FIRST_LISTENER + at),
                Interest::READABLE,
            )?;
        }
        Ok(MioNet {
            poll,
            events: Events::with_capacity(EVENTS),
            signals,
            listeners,
            spare: Some(spare()?),
            watchdog: None,
            started,
        })
    }

    /// Feeds a service manager's watchdog by a connected socket that never blocks.
    pub fn feed_by(&mut self, socket: UnixDatagram) {
        self.watchdog = Some(socket);
    }

    fn token(token: mio::Token) -> Token {
        match token.0 {
            value if value == STOP.0 => Token::Stop,
            value if value == WAKE.0 => Token::Wake,
            value if value >= FIRST_LISTENER => Token::Listener((value - FIRST_LISTENER) as u8),
            value => Token::Slot(SlotId { index: value as u16, generation: (value >> 16) as u32 & GENERATION_MASK }),
        }
    }
}

/// Generations are told apart by as many bits as a token has beside the index and the values above [`FIRST_LISTENER`].
const GENERATION_MASK: u32 = if usize::BITS == 64 { u32::MAX } else { 0x7fff };

fn spare() -> io::Result<File> {
    File::open("/dev/null")
}

impl Net for MioNet {
    type Socket = OwnedFd;

    fn now(&self) -> Micros {
        self.started.elapsed().as_micros() as Micros + skew::monotonic()
    }

    fn unix_time(&self) -> u64 {
        skew::told(SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()))
    }

    fn wait(&mut self, timeout: Option<Micros>, events: &mut heapless::Vec<Ready, EVENTS>) -> io::Result<()> {
        events.clear();
        match self.poll.poll(&mut self.events, timeout.map(Duration::from_micros)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in self.events.iter() {
            let mut token = MioNet::token(event.token());
            if token == Token::Stop {
                // A stop wins over a reload that came with it.
                let stop = self.signals.pending().fold(false, |stop, signal| stop | (signal != SIGHUP));
                token = if stop { Token::Stop } else { Token::Reload };
            }
            let gone = event.is_error() || (event.is_read_closed() && event.is_write_closed());
            let ended = event.is_read_closed();
            let pushed =
                events.push(Ready { token, readable: event.is_readable() || ended, writable: event.is_writable(), ended, gone });
            debug_assert!(pushed.is_ok(), "mio's buffer has the same size");
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> Accepted<OwnedFd> {
        let Some(socket) = self.listeners.get(listener) else { return Accepted::Empty };
        match rustix::net::acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((connection, peer)) => Accepted::Connection(connection, peer_of(peer)),
            Err(Errno::AGAIN) => Accepted::Empty,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Accepted::NoDescriptor,
            Err(_) => Accepted::Aborted,
        }
    }

    fn turn_away(&mut self, listener: usize, answer: &[u8]) {
        self.spare = None;
        if let Accepted::Connection(connection, _) = self.accept(listener) {
            // Whether the client still gets it is its network's affair: the connection ends either way.
            let _ = rustix::io::write(&connection, answer);
            let _ = rustix::net::shutdown(&connection, rustix::net::Shutdown::Write);
            let _ = rustix::io::read(&connection, &mut [0; 1024]);
        }
        self.spare = spare().ok();
    }

    fn wake_on(&mut self, descriptor: RawFd) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&descriptor), WAKE, Interest::READABLE)
    }

    fn close_listeners(&mut self) {
        self.listeners.clear();
    }

    fn register(&mut self, socket: &OwnedFd, slot: SlotId) -> io::Result<()> {
        let token = mio::Token((slot.generation as usize & GENERATION_MASK as usize) << 16 | slot.index as usize);
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE | Interest::WRITABLE)
    }

    fn read(&mut self, socket: &mut OwnedFd, into: &mut [u8]) -> io::Result<usize> {
        // recv and send go past the file layer, which costs read and write a hundredth of a hit each.
        Ok(rustix::net::recv(&*socket, into, RecvFlags::empty())?.0)
    }

    fn write(&mut self, socket: &mut OwnedFd, from: &[IoSlice]) -> io::Result<usize> {
        Ok(match from {
            [one] => rustix::net::send(&*socket, one, SendFlags::NOSIGNAL)?,
            several => rustix::io::writev(&*socket, several)?,
        })
    }

    fn feed_watchdog(&mut self) {
        // Where its queue is full it has enough to read already.
        let _ = self.watchdog.as_ref().map(|socket| socket.send(b"WATCHDOG=1"));
    }

    fn finish_writing(&mut self, socket: &mut OwnedFd) {
        // An error means that the connection has ended already, which the next read tells.
        let _ = rustix::net::shutdown(&*socket, rustix::net::Shutdown::Write);
    }
}

fn peer_of(peer: Option<SocketAddrAny>) -> Peer {
    peer.and_then(|peer| SocketAddr::try_from(peer).ok()).map_or(Peer::Unix, Peer::Tcp)
}
