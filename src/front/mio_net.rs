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
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::net::{Accepted, EVENTS, Net, Peer, Ready, Token};
use crate::job::{Micros, SlotId, skew};

const STOP: mio::Token = mio::Token(usize::MAX - 1);
const WAKE: mio::Token = mio::Token(usize::MAX - 2);
const TIMER: mio::Token = mio::Token(usize::MAX - 3);
const FIRST_LISTENER: usize = usize::MAX - 3 - MAX_LISTENERS;
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
    /// Ends long waits; `None` where the kernel has no timer for it, and epoll's own timeout does.
    timer: Option<OwnedFd>,
    /// When the timer goes off, since the start.
    goes_off: Option<Duration>,
    started: Instant,
}

/// Waits from this length on are ended by the timer. It is set once for many of them: to set and to drop epoll's own at each costs a server
/// that sleeps between answers one part in fifty of a pipelined one.
const LONG_WAIT: Duration = Duration::from_millis(10);

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
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC).ok();
        if let Some(timer) = &timer {
            poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        }
        Ok(MioNet {
            poll,
            events: Events::with_capacity(EVENTS),
            signals,
            listeners,
            spare: Some(spare()?),
            watchdog: None,
            timer,
            goes_off: None,
            started,
        })
    }

    /// Feeds a service manager's watchdog by a connected socket that never blocks.
    pub fn feed_by(&mut self, socket: UnixDatagram) {
        self.watchdog = Some(socket);
    }

    /// What epoll is to be told, if the wait is to last `timeout`: nothing where the timer ends it. That may go off earlier, and whoever waits
    /// waits again.
    fn epolls_part(&mut self, timeout: Duration) -> Option<Duration> {
        let Some(timer) = self.timer.as_ref().filter(|_| timeout >= LONG_WAIT) else { return Some(timeout) };
        let now = self.started.elapsed();
        let until = now + timeout;
        if self.goes_off.is_some_and(|at| at > now && at <= until) {
            return None;
        }
        let (seconds, nanoseconds) = (timeout.as_secs() as i64, timeout.subsec_nanos().into());
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
        };
        let set = rustix::time::timerfd_settime(timer, TimerfdTimerFlags::empty(), &once);
        self.goes_off = set.is_ok().then_some(until);
        if set.is_ok() { None } else { Some(timeout) }
    }

    fn token(token: mio::Token) -> Token {
        match token.0 {
            value if value == STOP.0 => Token::Stop,
            value if value == WAKE.0 || value == TIMER.0 => Token::Wake,
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
        let timeout = timeout.map(Duration::from_micros).and_then(|timeout| self.epolls_part(timeout));
        match self.poll.poll(&mut self.events, timeout) {
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
