//! A trial: one row on a server of its own, with the probers, the watch, and what it takes to break something and see it heal.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::crowd::{self, Crowded, Manner};
use super::operator::Operator;
use super::options::Options;
use super::plant::Proxy;
use super::probe::Shared;
use super::question::{Judgement, Question};
use super::row::Row;
use super::scene::Scene;
use super::server::{self, Server, Start};
use super::tally::Tally;
use super::watch::Watch;
use crate::rig::http::Answer;
use crate::rig::line::Line;

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);
/// Without a fault, before it: what memory, gaps and pages are compared with.
const CALM: Duration = Duration::from_millis(300);
/// Public slots that the harness itself may hold: the prober's, and the last question's.
const OWN_SLOTS: f64 = 4.0;
/// Descriptors that may be open beyond those of the calm: connections of our own, and files that are opened when first needed.
const OWN_DESCRIPTORS: usize = 6;

/// Why a row ends before its end.
#[derive(Debug)]
pub enum Stop {
    /// This machine cannot do it.
    Skip(String),
    /// The server did not do what it must.
    Fault(String),
    /// The harness failed.
    Internal(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<rustix::io::Errno> for Stop {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Internal(error.to_string())
    }
}

/// What a trial notes while it runs.
#[derive(Default)]
pub struct Notes {
    /// What was broken.
    pub broke: Option<(Instant, String)>,
    /// When that was taken away.
    pub mended: Option<Instant>,
    /// When everything was served again.
    pub healed: Option<Instant>,
    /// What kept it from that.
    pub sick: String,
    /// Requests of all but the probers.
    pub tally: Tally,
    /// Writes that were acknowledged.
    pub acknowledged: Vec<u64>,
    /// What else is to be said.
    pub lines: Vec<String>,
    /// What was wrong.
    pub faults: Vec<String>,
    /// Memory before and at its most, in bytes.
    pub memory: (u64, u64),
}

/// A row under way.
pub struct Trial<'a> {
    /// Its row.
    pub row: &'a Row,
    /// Whether loads are short.
    pub quick: bool,
    /// The overload's length.
    pub overload: Duration,
    /// Database and configuration.
    pub scene: Scene,
    /// What the threads share.
    pub shared: Shared,
    /// The operators' pages.
    pub operator: Operator,
    /// Who watches them.
    pub watch: Watch,
    start: Start,
    /// Faults on purpose, in front of the server.
    _proxies: Vec<Proxy>,
    server: Mutex<Option<Server>>,
    notes: Mutex<Notes>,
    calm_descriptors: Mutex<usize>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another thread makes no note wrong.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Trial<'a> {
    /// Starts the server of a row.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(row: &'a Row, options: &Options, scene: Scene, mut start: Start) -> Result<Self, Stop> {
        let mut server = Server::start(&start)?;
        // A server that is started again is where it was.
        start.ports = (server.address.port(), server.operators.port());
        let mut proxies = Vec::new();
        if let Some(fault) = options.plant {
            for address in [&mut server.address, &mut server.operators] {
                let proxy = Proxy::start(*address, fault)?;
                *address = proxy.address;
                proxies.push(proxy);
            }
        }
        let operator = Operator::new(server.operators, &scene.token);
        Ok(Self {
            row,
            quick: options.quick,
            overload: options.overload(),
            scene,
            shared: Shared::default(),
            operator,
            watch: Watch::new(),
            start,
            _proxies: proxies,
            server: Mutex::new(Some(server)),
            notes: Mutex::default(),
            calm_descriptors: Mutex::new(usize::MAX),
        })
    }

    /// Notes.
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        locked(&self.notes)
    }

    /// Something else to say.
    pub fn say(&self, line: String) {
        self.notes().lines.push(line);
    }

    /// Something that is wrong.
    pub fn fault(&self, what: String) {
        self.notes().faults.push(what);
    }

    /// `good` must be so.
    pub fn must(&self, good: bool, what: impl FnOnce() -> String) {
        if !good {
            self.fault(what());
        }
    }

    /// The server, or nothing between two.
    pub fn server(&self) -> MutexGuard<'_, Option<Server>> {
        locked(&self.server)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When it is not running.
    pub fn address(&self) -> Result<std::net::SocketAddr, Stop> {
        self.server().as_ref().map(|server| server.address).ok_or_else(|| Stop::Internal("no server".to_owned()))
    }

    /// Starts it again where it was, with these arguments beside its own.
    ///
    /// # Errors
    /// Of its start.
    pub fn start_again(&self, arguments: &[&str]) -> Result<Duration, Stop> {
        let mut start = self.start.clone();
        start.arguments.extend(arguments.iter().map(std::ffi::OsString::from));
        let server = Server::start(&start).map_err(|error| Stop::Fault(format!("it does not start again: {error}")))?;
        let ready_after = server.ready_after;
        *self.server() = Some(server);
        Ok(ready_after)
    }

    /// Its anonymous memory, noted.
    pub fn weigh(&self) -> u64 {
        let bytes = self.server().as_ref().map_or(0, |server| server::rss_anon(server.pid()));
        let mut notes = self.notes();
        notes.memory.1 = notes.memory.1.max(bytes);
        bytes
    }

    /// Its open descriptors.
    pub fn descriptors(&self) -> usize {
        self.server().as_ref().map_or(0, |server| server::descriptors(server.pid()))
    }

    /// Some time of its usual work, so that what comes later has something to be compared with.
    pub fn calm(&self) -> Result<(), Stop> {
        for turn in 0..200u32 {
            for question in [Question::Item(turn % 50 + 1), Question::Fresh(turn + 1), Question::Row(turn % 30 + 1)] {
                self.ask(question)?;
            }
        }
        self.ask(Question::Write(self.shared.key()))?;
        std::thread::sleep(CALM);
        *locked(&self.calm_descriptors) = self.descriptors();
        let bytes = self.weigh();
        self.notes().memory = (bytes, bytes);
        Ok(())
    }

    /// From here on it is broken: the watch looks for the row's signs.
    pub fn breaks(&self, what: impl Into<String>) {
        self.watch.arm(&self.operator, self.row.signs);
        self.notes().broke.get_or_insert((Instant::now(), what.into()));
    }

    /// From here on nothing is.
    pub fn mended(&self) {
        self.notes().mended = Some(Instant::now());
    }

    /// Waits for something; false when it did not come about in time.
    pub fn until(&self, time: Duration, mut condition: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + time;
        while !condition() {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// Waits until each of the row's signs was seen; what is missing is for the verdict.
    pub fn await_signs(&self, time: Duration) -> bool {
        self.until(time, || self.watch.all_seen())
    }

    /// One request of ours that is no question; `None` when the connection ended without an answer.
    ///
    /// # Errors
    /// When it is not running.
    pub fn send(&self, request: &str) -> Result<Option<Answer>, Stop> {
        let address = self.address()?;
        Ok(Line::open(address).and_then(|mut line| line.ask(request)).ok().flatten())
    }

    /// One question over a connection of its own.
    ///
    /// # Errors
    /// When it is not running.
    pub fn ask(&self, question: Question) -> Result<Option<Judgement>, Stop> {
        let asked = Instant::now();
        let answer = self.send(&question.request())?;
        let mut notes = self.notes();
        let Some(answer) = answer else {
            notes.tally.broke(1);
            return Ok(None);
        };
        let judgement = question.judge(&answer);
        if let (Question::Write(key), Judgement::Served) = (&question, &judgement) {
            notes.acknowledged.push(*key);
        }
        notes.tally.add(judgement.clone(), asked.elapsed());
        Ok(Some(judgement))
    }

    /// A crowd's requests, counted; what it alone found is given back.
    ///
    /// # Errors
    /// Of the machine.
    pub fn crowd(&self, manner: &Manner, ended: impl Fn() -> bool, next: impl FnMut(u64) -> Question) -> Result<Crowded, Stop> {
        let crowded = crowd::run(self.address()?, manner, ended, next)?;
        let mut notes = self.notes();
        notes.tally.merge(crowded.tally.clone());
        notes.acknowledged.extend(&crowded.acknowledged);
        Ok(crowded)
    }

    /// A drill: `POST /-/drill/NAME`.
    ///
    /// # Errors
    /// A server that refuses it.
    pub fn drill(&self, name: &str, body: &str) -> Result<(), Stop> {
        let answer = self.operator.ask("POST", &format!("/-/drill/{name}"), body)?;
        if answer.status == 202 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Err(Stop::Fault(format!("POST /-/drill/{name}: {} {text}", answer.status)))
    }

    /// Waits until all is served again; what keeps it from that is noted.
    ///
    /// # Errors
    /// Of the harness.
    pub fn heal(&self) -> Result<(), Stop> {
        let end = Instant::now() + self.row.heal;
        loop {
            match self.full_service()? {
                None => {
                    // A row may look before its end, so that what comes after does not count.
                    self.notes().healed.get_or_insert_with(Instant::now);
                    return Ok(());
                }
                Some(_) if Instant::now() < end => std::thread::sleep(LOOK),
                Some(sick) => {
                    self.notes().sick = sick;
                    return Ok(());
                }
            }
        }
    }

    /// What is not as it was.
    fn full_service(&self) -> Result<Option<String>, Stop> {
        for question in [Question::Fixed, self.shared.now(), Question::Item(1), Question::Fresh(2)] {
            let target = question.target();
            match self.ask(question)? {
                Some(Judgement::Served | Judgement::Wrong(_)) => {}
                other => return Ok(Some(format!("{target}: {other:?}"))),
            }
        }
        match self.ask(Question::Write(self.shared.key()))? {
            Some(Judgement::Served | Judgement::Wrong(_)) => {}
            other => return Ok(Some(format!("/write: {other:?}"))),
        }
        let metrics = self.operator.metrics().map_err(|error| Stop::Fault(format!("/-/metrics: {error}")))?;
        let most = |name: &str, labels: &[&str], most: f64| {
            metrics.sum(name, labels).filter(|value| *value > most).map(|value| format!("{name}{labels:?} is {value}"))
        };
        let least = |name: &str, labels: &[&str]| {
            metrics.sum(name, labels).filter(|value| *value < 1.0).map(|value| format!("{name}{labels:?} is {value}"))
        };
        let sick = most("flagstone_ladder_step", &[], 0.0)
            .or_else(|| most("flagstone_breaker_state", &[], 0.0))
            .or_else(|| most("flagstone_use", &["part=\"public slots\""], OWN_SLOTS))
            .or_else(|| least("flagstone_path", &["path=\"optimised\""]))
            .or_else(|| least("flagstone_cache_on", &[]))
            .or_else(|| least("flagstone_database_ready", &[]));
        let (now, before) = (self.descriptors(), *locked(&self.calm_descriptors));
        let leak = now.saturating_sub(OWN_DESCRIPTORS) > before;
        Ok(sick.or_else(|| leak.then(|| format!("{now} descriptors are open, {before} were before"))))
    }
}
