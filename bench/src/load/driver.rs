//! The client's event loop: one thread, one poll, every connection; edge-triggered as the server's own.

mod accounts;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};

use super::connection::{Arrival, Connection, Phase};
use super::options::Options;
use super::report::{Fault, Tally};
use super::schedule::Schedule;

/// Read buffer, shared by all connections.
const READ_BYTES: usize = 256 * 1024;
/// Reads on one connection before the others have their turn.
const READS_A_TURN: usize = 4;
/// Handshakes under way at once while the connections are made: a server's accept queue may be as short as 128.
const HANDSHAKES: usize = 64;
/// Time between two looks at timeouts and connections that wait to be tried again.
const SWEEP: Duration = Duration::from_millis(20);
/// Wait after a failed connect.
const RETRY: Duration = Duration::from_millis(100);
/// Wait after a unix socket's accept queue was full.
const RETRY_FULL: Duration = Duration::from_millis(5);
/// Token of the timer that wakes the open loop: epoll itself waits in whole milliseconds.
const TIMER: Token = Token(usize::MAX - 1);

/// A run under way.
pub struct Driver<'o> {
    options: &'o Options,
    stop: &'o AtomicBool,
    poll: Poll,
    timer: OwnedFd,
    armed: Option<Instant>,
    connections: Vec<Connection>,
    /// None until all connections have been made.
    schedule: Option<Schedule>,
    /// Connections with room for a request that is not due yet (open loop).
    free: VecDeque<usize>,
    /// Connections with unread bytes.
    again: VecDeque<usize>,
    /// The path that comes next in the round.
    next_path: usize,
    in_flight: u64,
    handshakes: usize,
    last_reply: Option<Instant>,
    sweep_at: Instant,
    tally: Tally,
    buffer: Vec<u8>,
}

impl<'o> Driver<'o> {
    /// Prepares a run; nothing is connected yet.
    pub fn new(options: &'o Options, stop: &'o AtomicBool) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self {
            options,
            stop,
            poll,
            timer,
            armed: None,
            connections: std::iter::repeat_with(Connection::default).take(options.connections).collect(),
            schedule: None,
            free: VecDeque::with_capacity(options.connections),
            again: VecDeque::new(),
            next_path: 0,
            in_flight: 0,
            handshakes: 0,
            last_reply: None,
            sweep_at: Instant::now(),
            tally: Tally::default(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Makes the connections, sends the load, waits for the last replies. `tick` is called about every 20 ms.
    pub fn run(mut self, mut tick: impl FnMut()) -> io::Result<Tally> {
        let mut events = Events::with_capacity(1024);
        self.set_up(&mut events)?;
        let start = Instant::now();
        if self.tally.failures() > 0 && !self.connections.iter().any(|one| matches!(one.phase, Phase::Open(_))) {
            // Nobody is there: more attempts would tell nothing new.
            return Ok(self.finish(start, false));
        }
        let Options { rate, limit, duration, .. } = *self.options;
        let schedule = self.schedule.insert(Schedule::new(start, rate, limit, duration));
        // What is still unanswered then has timed out.
        let give_up = schedule.end() + self.options.timeout;
        for index in 0..self.connections.len() {
            self.fill(index, start);
        }
        loop {
            let now = Instant::now();
            let over = self.in_flight == 0 && self.due(now).is_none();
            let stopped = self.stop.load(Ordering::Relaxed);
            if over || stopped || now >= give_up {
                return Ok(self.finish(start, stopped));
            }
            if self.turn(&mut events)? {
                tick();
            }
        }
    }

    /// Opens all connections, a few at a time, so that no request's latency includes a handshake. One that fails is
    /// counted and left to be tried again; nothing is made beforehand without keep-alive.
    fn set_up(&mut self, events: &mut Events) -> io::Result<()> {
        if !self.options.keep_alive {
            return Ok(());
        }
        let start = Instant::now();
        let mut next = 0;
        while next < self.connections.len() || self.handshakes > 0 {
            let now = Instant::now();
            if self.stop.load(Ordering::Relaxed) || now >= start + self.options.timeout * 3 {
                break;
            }
            while next < self.connections.len() && self.handshakes < HANDSHAKES {
                self.open(next, now);
                next += 1;
            }
            if self.handshakes > 0 {
                self.turn(events)?;
            }
        }
        self.tally.setup = start.elapsed();
        Ok(())
    }

    /// One wait and all that it brought. True when a sweep was made.
    fn turn(&mut self, events: &mut Events) -> io::Result<bool> {
        let now = Instant::now();
        let due = self.due(now).filter(|_| !self.free.is_empty());
        let wait = if !self.again.is_empty() || due.is_some_and(|due| due <= now) {
            Duration::ZERO
        } else {
            self.arm(due, now)?;
            self.sweep_at.saturating_duration_since(now)
        };
        match self.poll.poll(events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(error),
        }
        for event in events.iter() {
            match event.token() {
                // The timer is not read: arming it again clears it.
                TIMER => self.armed = None,
                Token(index) => self.event(index, event),
            }
        }
        // As many as stand there now: those that are put back have had their turn.
        for _ in 0..self.again.len() {
            if let Some(index) = self.again.pop_front() {
                self.receive(index);
            }
        }
        let now = Instant::now();
        self.dispatch(now);
        if now < self.sweep_at {
            return Ok(false);
        }
        self.sweep(now);
        self.sweep_at = now + SWEEP;
        Ok(true)
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        self.schedule.as_ref().and_then(|schedule| schedule.due(now))
    }

    /// Lets the timer wake the poll when the next request is due.
    fn arm(&mut self, due: Option<Instant>, now: Instant) -> io::Result<()> {
        if due.is_none() || due == self.armed {
            return Ok(());
        }
        let wait = due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now)).max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.armed = due;
        Ok(())
    }

    fn event(&mut self, index: usize, event: &Event) {
        let connection = &mut self.connections[index];
        let connecting = matches!(connection.phase, Phase::Connecting(..));
        match connection.settle() {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.connect_failed(index, &error),
        }
        if connecting {
            self.handshakes -= 1;
        }
        // A failed write is told by the read that follows: there may be an answer that says why.
        let broken = event.is_writable() && self.connections[index].flush().is_err();
        self.connections[index].hung_up |= event.is_read_closed() || event.is_error() || broken;
        if event.is_readable() || self.connections[index].hung_up {
            self.receive(index);
        }
    }

    /// Reads and accounts for what has arrived, then uses the room that this made.
    fn receive(&mut self, index: usize) {
        for _ in 0..READS_A_TURN {
            match self.connections[index].read(&mut self.buffer) {
                Ok(Arrival::Dry) => return,
                Ok(Arrival::End) => return self.ended(index),
                Err(error) => return self.lost(index, Fault::Reset, Some(&error)),
                Ok(Arrival::Bytes(count)) => {
                    self.tally.wire_bytes += count as u64;
                    let now = Instant::now();
                    if !self.replies(index, count, now) {
                        return;
                    }
                    self.fill(index, now);
                    // A short read has emptied the socket: the edge will tell of more, but of a close only once.
                    if count < self.buffer.len() && !self.connections[index].hung_up {
                        return;
                    }
                }
            }
        }
        self.again.push_back(index);
    }

    fn close(&mut self, index: usize, retry_at: Option<Instant>) {
        self.connections[index].close(retry_at);
    }

    /// Begins to connect; a failure is accounted for.
    fn open(&mut self, index: usize, now: Instant) {
        let sources = u32::from(self.options.sources);
        let source = (sources > 0).then(|| Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 0, 2).to_bits() + index as u32 % sources));
        let connection = &mut self.connections[index];
        self.handshakes += 1;
        let opened = connection.open(&self.options.address, source, self.poll.registry(), Token(index), now);
        if let Err(error) = opened {
            self.connect_failed(index, &error);
        }
    }

    /// Gives a connection all the requests that are due and for which it has room; then it waits in the list.
    fn fill(&mut self, index: usize, now: Instant) {
        while self.has_room(index) && self.send_one(index, now) {}
        self.flush(index);
        if !self.connections[index].listed && self.has_room(index) {
            self.connections[index].listed = true;
            self.free.push_back(index);
        }
    }

    /// Spreads the requests that have become due over the connections with room, one each.
    fn dispatch(&mut self, now: Instant) {
        while self.due(now).is_some_and(|due| due <= now) {
            let Some(index) = self.free.pop_front() else {
                return;
            };
            self.connections[index].listed = false;
            if !self.has_room(index) {
                continue;
            }
            self.send_one(index, now);
            self.flush(index);
            if self.has_room(index) && !self.connections[index].listed {
                self.connections[index].listed = true;
                self.free.push_back(index);
            }
        }
    }

    fn has_room(&self, index: usize) -> bool {
        let connection = &self.connections[index];
        let resting = matches!(connection.phase, Phase::Closed { retry_at: Some(_) });
        !resting && connection.in_flight.len() < self.options.depth
    }

    /// Queues the next request if one is due, and opens the connection for it if need be.
    fn send_one(&mut self, index: usize, now: Instant) -> bool {
        let Some(due) = self.schedule.as_mut().and_then(|schedule| schedule.take(now)) else {
            return false;
        };
        self.connections[index].queue(&self.options.requests[self.next_path], due, now);
        self.next_path = (self.next_path + 1) % self.options.requests.len();
        self.in_flight += 1;
        if matches!(self.connections[index].phase, Phase::Closed { .. }) {
            self.open(index, now);
        }
        true
    }

    /// Writes what was queued. A failure is left to the read that follows: the edge tells of the hang-up.
    fn flush(&mut self, index: usize) {
        if self.connections[index].flush().is_err() {
            self.connections[index].hung_up = true;
            self.again.push_back(index);
        }
    }

    /// Looks for timeouts, and for connections that may be tried again.
    fn sweep(&mut self, now: Instant) {
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            if let Phase::Closed { retry_at: Some(at) } = connection.phase {
                if now >= at {
                    connection.phase = Phase::Closed { retry_at: None };
                    // During the set-up the request that it is for does not exist yet.
                    self.fill(index, now);
                }
                continue;
            }
            let late = connection.waiting_since().is_some_and(|since| now >= since + self.options.timeout);
            if late {
                if matches!(connection.phase, Phase::Connecting(..)) {
                    self.handshakes -= 1;
                }
                self.lost(index, Fault::Timeout, None);
            }
        }
    }
}
