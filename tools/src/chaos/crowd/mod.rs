//! A crowd: many connections from several addresses in one thread, each answer judged. In a closed loop each connection asks as soon
//! as it was answered; in an open one questions come at their rate, whether the server keeps up or not.

mod peer;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::question::{Judgement, Question};
use super::tally::Tally;
use peer::{Asked, Peer};

/// Between two looks at what has waited too long.
const SWEEP: Duration = Duration::from_millis(20);
/// A turn of the open loop sends no more than this at once, so that answers are read in between.
const BURST: u32 = 256;

/// How the crowd behaves.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Connections at once.
    pub connections: usize,
    /// Addresses that they come from: 127.0.0.2 and following; 0 for 127.0.0.1, which is exempt from limits.
    pub sources: u8,
    /// Questions a second; a closed loop when absent.
    pub rate: Option<f64>,
    /// Questions under way on one connection.
    pub depth: usize,
    /// Questions of one connection before it is closed and made anew; 0 for no end.
    pub turns: u64,
    /// How long at most.
    pub time: Duration,
    /// How many questions at most.
    pub count: u64,
    /// An answer that takes longer is given up.
    pub patience: Duration,
    /// After a connection failed or ended, before the next.
    pub retry: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            connections: 8,
            sources: 0,
            rate: None,
            depth: 1,
            turns: 0,
            time: Duration::from_secs(60),
            count: u64::MAX,
            patience: Duration::from_secs(12),
            retry: Duration::from_millis(5),
        }
    }
}

/// What a crowd brought back.
#[derive(Debug, Default)]
pub struct Crowded {
    /// Its requests.
    pub tally: Tally,
    /// Writes that were acknowledged.
    pub acknowledged: Vec<u64>,
    /// How long it asked.
    pub time: Duration,
}

struct Crowd<'a> {
    manner: &'a Manner,
    address: SocketAddr,
    poll: Poll,
    peers: Vec<Peer>,
    began: Instant,
    /// Questions made.
    made: u64,
    /// The peer that is looked at first.
    next: usize,
    found: Crowded,
    next_question: &'a mut dyn FnMut(u64) -> Question,
    buffer: Vec<u8>,
}

/// Asks until time or count is over or `ended` says so, and waits for the last answers.
///
/// # Errors
/// Of the machine: no descriptors, no poll. What the server does is in the tally.
pub fn run(
    address: SocketAddr, manner: &Manner, ended: impl Fn() -> bool, mut next_question: impl FnMut(u64) -> Question,
) -> io::Result<Crowded> {
    let mut crowd = Crowd {
        manner,
        address,
        poll: Poll::new()?,
        peers: (0..manner.connections).map(|_| Peer::default()).collect(),
        began: Instant::now(),
        made: 0,
        next: 0,
        found: Crowded::default(),
        next_question: &mut next_question,
        buffer: vec![0; 64 * 1024],
    };
    let mut events = Events::with_capacity(1024);
    let mut sweep_at = crowd.began;
    loop {
        let now = Instant::now();
        let over = ended() || now - crowd.began >= manner.time || crowd.made >= manner.count;
        if over {
            crowd.found.time = crowd.found.time.max(now - crowd.began);
            let late = now - crowd.began >= manner.time + manner.patience;
            if late || crowd.peers.iter().all(|peer| peer.asked.is_empty()) {
                let left: u64 = crowd.peers.iter().map(|peer| peer.asked.len() as u64).sum();
                crowd.found.tally.broke(left);
                return Ok(crowd.found);
            }
        } else {
            crowd.ask(now);
        }
        let wait = crowd.due_in(now).map_or(SWEEP, |due| due.min(SWEEP));
        if let Err(error) = crowd.poll.poll(&mut events, Some(wait))
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        for event in &events {
            crowd.event(event.token().0, event.is_writable(), over);
        }
        if now >= sweep_at {
            sweep_at = now + SWEEP;
            crowd.sweep(now);
        }
    }
}

impl Crowd<'_> {
    /// Until the next question of the open loop is due.
    fn due_in(&self, now: Instant) -> Option<Duration> {
        let rate = self.manner.rate?;
        Some((self.began + Duration::from_secs_f64(self.made as f64 / rate)).saturating_duration_since(now))
    }

    /// Sends what is due.
    fn ask(&mut self, now: Instant) {
        if self.manner.rate.is_none() {
            for index in 0..self.peers.len() {
                while self.has_room(index, now) && self.made < self.manner.count {
                    self.send(index, now);
                }
            }
            return;
        }
        for _ in 0..BURST {
            if self.due_in(now) != Some(Duration::ZERO) {
                break;
            }
            let places = self.next..self.next + self.peers.len();
            let index = places.map(|place| place % self.peers.len()).find(|&index| self.has_room(index, now));
            if let Some(index) = index {
                self.next = index + 1;
                self.send(index, now);
            } else {
                // Offered, and the server takes no more.
                self.made += 1;
                self.found.tally.broke(1);
            }
        }
    }

    fn has_room(&self, index: usize, now: Instant) -> bool {
        let peer = &self.peers[index];
        let ends = self.manner.turns > 0 && peer.turns >= self.manner.turns;
        peer.asked.len() < self.manner.depth && !ends && peer.retry_at.is_none_or(|at| at <= now)
    }

    fn send(&mut self, index: usize, now: Instant) {
        let question = (self.next_question)(self.made);
        self.made += 1;
        let source = match self.manner.sources {
            0 => None,
            sources => Some(Ipv4Addr::from_bits(0x7f00_0002 + (index % usize::from(sources)) as u32)),
        };
        let peer = &mut self.peers[index];
        let open = if peer.stream.is_none() { peer.open(self.address, source, &self.poll, Token(index)) } else { Ok(()) };
        peer.turns += 1;
        peer.asked.push_back(Asked { question, at: now });
        if open.and_then(|()| peer.send_last()).is_err() {
            self.lost(index);
        }
    }

    fn event(&mut self, index: usize, writable: bool, over: bool) {
        if writable && self.peers[index].flush().is_err() {
            // There may be an answer that says why.
            self.peers[index].output.clear();
        }
        let ended = self.peers[index].read(&mut self.buffer);
        let now = Instant::now();
        while let Some(taken) = self.peers[index].take_answer() {
            let (asked, judgement, closes) = taken;
            if let (Question::Write(key), Judgement::Served) = (&asked.question, &judgement) {
                self.found.acknowledged.push(*key);
            }
            self.found.tally.add(judgement, now - asked.at);
            if closes {
                return self.lost(index);
            }
        }
        let done = self.manner.turns > 0 && self.peers[index].turns >= self.manner.turns && self.peers[index].asked.is_empty();
        if done {
            self.peers[index].close(None);
        } else if ended {
            self.lost(index);
        } else if !over && self.manner.rate.is_none() {
            while self.has_room(index, now) && self.made < self.manner.count {
                self.send(index, now);
            }
        }
    }

    /// The connection is over: what waits on it has no answer.
    fn lost(&mut self, index: usize) {
        let waiting = self.peers[index].asked.len() as u64;
        self.found.tally.broke(waiting);
        self.peers[index].close(Some(Instant::now() + self.manner.retry));
    }

    fn sweep(&mut self, now: Instant) {
        for index in 0..self.peers.len() {
            let oldest = self.peers[index].asked.front().map(|asked| asked.at);
            if oldest.is_some_and(|at| now.saturating_duration_since(at) > self.manner.patience) {
                self.lost(index);
            }
        }
    }
}
