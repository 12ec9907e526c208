//! A reader: one connection after the other, pipelined or not, each answer judged as soon as it is there.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Failure;
use super::clock::Nanos;
use super::data::TARGETS;
use super::history::Sight;
use super::mark::{Mark, marks};
use super::run::Shared;
use crate::rig::http::{Answer, Wire};
use crate::rig::random::Random;

/// Longer than any deadline of the server's: an answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(15);
/// Requests in one write at most.
const DEPTH: u64 = 8;
/// Requests on a connection at most.
const ON_ONE: u64 = 400;
/// Tags that are remembered for a target: the newest, and older ones that should be good no more.
const TAGS: usize = 4;

/// A tag and what stood in the answer that it came with.
struct Tagged {
    tag: String,
    marks: Vec<Mark>,
}

/// A request that is on its way.
struct Asked {
    target: usize,
    to_head: bool,
    sent: Nanos,
    /// As it was sent, for a report.
    text: String,
}

/// One reader's state.
pub struct Reader<'a> {
    shared: &'a Shared,
    random: Random,
    address: SocketAddr,
    tags: Vec<VecDeque<Tagged>>,
    name: usize,
}

/// What became of a connection.
enum End {
    /// It was used enough.
    Done,
    /// The server closed it, which it may do between answers.
    Cut,
}

impl<'a> Reader<'a> {
    /// The reader of this number.
    pub fn new(shared: &'a Shared, address: SocketAddr, name: usize) -> Self {
        let tags = TARGETS.iter().map(|_| VecDeque::new()).collect();
        Self { shared, random: Random::new(shared.seed, 1000 + name as u64), address, tags, name }
    }

    /// Asks until the run ends.
    ///
    /// # Errors
    /// A violation, or a server that does not answer.
    pub fn run(&mut self) -> Result<(), Failure> {
        while !self.shared.stopped() {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            match self.converse(&mut Wire::new(stream)) {
                Ok(End::Done) => {}
                Ok(End::Cut) => self.shared.count("connections cut"),
                // The server goes first at the end of a run, or dies of a plant; its own health is looked at elsewhere.
                Err(_) if self.shared.stopped() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn converse(&mut self, wire: &mut Wire) -> Result<End, Failure> {
        let pipelined = self.random.percent(50);
        let mut left = 1 + self.random.below(ON_ONE);
        while left > 0 && !self.shared.stopped() {
            let depth = if pipelined { 1 + self.random.below(DEPTH) } else { 1 };
            let mut asked = self.ask(depth);
            let text: String = asked.iter().map(|asked| asked.text.as_str()).collect();
            let sent = self.shared.clock.now();
            if let Err(error) = wire.stream().write_all(text.as_bytes()) {
                return cut(&error).then_some(End::Cut).ok_or_else(|| error.into());
            }
            for asked in &mut asked {
                asked.sent = sent;
                let answer = match wire.answer(asked.to_head) {
                    Ok(Some(answer)) => answer,
                    Ok(None) => return Ok(End::Cut),
                    Err(error) if cut(&error) => return Ok(End::Cut),
                    Err(error) => return Err(Failure::Violation(format!("no answer ({error}) to\n  {:?}", asked.text))),
                };
                let received = self.shared.clock.now();
                self.judge(asked, &answer, received)?;
            }
            left = left.saturating_sub(depth);
            if self.random.percent(10) {
                let pause = self.random.pause(20, 5000);
                std::thread::sleep(pause);
            }
        }
        Ok(End::Done)
    }

    fn ask(&mut self, depth: u64) -> Vec<Asked> {
        (0..depth)
            .map(|_| {
                // The first targets are the hot ones.
                let most = if self.random.percent(50) { 6 } else { TARGETS.len() as u64 };
                let target = self.random.below(most) as usize;
                let to_head = self.random.percent(5);
                let method = if to_head { "HEAD" } else { "GET" };
                let (path, accept) = TARGETS[target];
                let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n");
                if self.random.percent(50) && !self.tags[target].is_empty() {
                    let known = &self.tags[target];
                    let newest = &known[0].tag;
                    // Mostly the newest; now and then an older one, or both.
                    let other = &self.random.pick(known.as_slices().0).tag;
                    let list = match self.random.below(10) {
                        0 => format!("{newest}, {other}"),
                        1 => other.clone(),
                        _ => newest.clone(),
                    };
                    // Writing to a String cannot fail.
                    let _ = write!(text, "If-None-Match: {list}\r\n");
                }
                text.push_str("\r\n");
                Asked { target, to_head, sent: 0, text }
            })
            .collect()
    }

    fn judge(&mut self, asked: &Asked, answer: &Answer, received: Nanos) -> Result<(), Failure> {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        let tag = answer.field("etag").unwrap_or_default().to_owned();
        let known = || self.tags[asked.target].iter().find(|tagged| tagged.tag == tag).map(|tagged| tagged.marks.clone());
        let seen = match (answer.status, asked.to_head) {
            (200, false) => Some(marks(&answer.body)),
            // The tag stands for what came with it before, if anything did.
            (200, true) => known(),
            (304, _) if !asked.text.contains(&tag) || tag.is_empty() => {
                return Err(self.violation("a 304 for a tag that was not sent", asked, answer, received));
            }
            (304, _) => known(),
            (503, _) => None,
            _ => return Err(self.violation("an unexpected status", asked, answer, received)),
        };
        let verdict = {
            let mut journal = self.shared.journal();
            journal.drain()?;
            journal.count(match answer.status {
                200 => "answers 200",
                304 => "answers 304",
                _ => "answers 503",
            });
            journal.count(match answer.field("x-cache") {
                None => "X-Cache absent",
                Some("hit") => "X-Cache hit",
                Some("miss") => "X-Cache miss",
                Some("bypass") => "X-Cache bypass",
                Some("stale") => "X-Cache stale",
                Some(_) => "X-Cache unknown",
            });
            let sight = seen.as_deref().map(|marks| Sight { sent: asked.sent, received, marks });
            sight.map_or(Ok(()), |sight| journal.history.judge(&sight))
        };
        if let Err(violation) = verdict {
            return Err(self.violation(&format!("{violation:?}"), asked, answer, received));
        }
        if let Some(marks) = seen.filter(|_| answer.status == 200 && !tag.is_empty()) {
            self.remember(asked.target, tag, marks);
        }
        Ok(())
    }

    fn remember(&mut self, target: usize, tag: String, marks: Vec<Mark>) {
        let known = &mut self.tags[target];
        known.retain(|tagged| tagged.tag != tag);
        known.push_front(Tagged { tag, marks });
        known.truncate(TAGS);
        // `pick` looks at one slice.
        known.make_contiguous();
    }

    fn violation(&self, what: &str, asked: &Asked, answer: &Answer, received: Nanos) -> Failure {
        const SHOWN: usize = 600;
        let journal = self.shared.journal();
        let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(SHOWN)]).into_owned();
        let mut text = format!(
            "{what}\n  reader {}, sent {}, received {received}, floor {}\n  request {:?}\n  answer {:?}\n  {body:?}\n",
            self.name,
            asked.sent,
            journal.history.floor(asked.sent),
            asked.text,
            answer.head,
        );
        for line in journal.history.around(asked.sent, received) {
            text.push_str(&format!("  {line}\n"));
        }
        Failure::Violation(text)
    }
}

/// The server may close a connection between answers: an idle one, or when it drains before it reopens.
fn cut(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted)
}
