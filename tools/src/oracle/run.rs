//! One run in one mode: database, server, writers, readers, and the end of all of them.

use std::io::PipeWriter;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Failure;
use super::chaos::{self, Herd};
use super::clock::Clock;
use super::data;
use super::journal::{Counts, Journal};
use super::options::{Mode, Options};
use super::plant::Proxy;
use super::poster::{self, POSTERS, Poster};
use super::process::Server;
use super::reader::Reader;
use crate::rig::random::Random;

/// How often the main thread looks at the time and empties the writers' pipe.
const LOOK: Duration = Duration::from_millis(2);

/// Lines of the server's log that are shown when it ended.
const LAST_WORDS: usize = 8;

/// What the threads of a run share.
pub struct Shared {
    /// Of all choices.
    pub seed: u64,
    /// Of all times.
    pub clock: Clock,
    /// Answers that have come.
    pub requests: AtomicU64,
    journal: Mutex<Journal>,
    over: AtomicBool,
    /// SIGINT or SIGTERM came.
    interrupted: Arc<AtomicBool>,
}

/// Ends the run when its thread panics: the others would go on for ever.
pub struct StopOnPanic<'a>(&'a Shared);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl Shared {
    /// Whether to end.
    pub fn stopped(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.interrupted.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// To be held by every thread of the run.
    pub fn stop_on_panic(&self) -> StopOnPanic<'_> {
        StopOnPanic(self)
    }

    /// The history; a panic elsewhere leaves it whole enough for a report.
    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more.
    pub fn count(&self, name: &'static str) {
        self.journal().count(name);
    }

    /// Sleeps, but not past the end of the run by more than a moment.
    pub fn sleep(&self, time: Duration) {
        const PIECE: Duration = Duration::from_millis(20);
        let until = Instant::now() + time;
        while !self.stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(PIECE));
        }
    }
}

/// Runs one mode for its share of time and requests.
///
/// # Errors
/// The first violation, or what went wrong in the harness.
pub fn run(
    options: &Options, mode: Mode, program: &Path, time: Duration, requests: u64, interrupted: &Arc<AtomicBool>,
) -> Result<Counts, Failure> {
    let folder = tempfile::Builder::new().prefix("flagstone-oracle-").tempdir()?;
    let path = folder.path().join("data.db");
    let mut random = Random::new(options.seed, 0);
    data::make(&path, mode == Mode::Wal || mode == Mode::Replace && random.percent(50))?;
    let (pipe, writers_end) = std::io::pipe()?;
    let shared = Shared {
        seed: options.seed,
        clock: Clock::start(),
        requests: AtomicU64::new(0),
        journal: Mutex::new(Journal::new(pipe)?),
        over: AtomicBool::new(false),
        interrupted: Arc::clone(interrupted),
    };
    let config = folder.path().join("flagstone.toml");
    // Routes that write are for WAL mode: a rollback journal would be switched.
    let config = (mode == Mode::Wal).then_some(config.as_path());
    config.map(poster::configure).transpose()?;
    let server = Server::start(program, &path, folder.path(), config)?;
    let result = converse(options, mode, &shared, &server, &path, time, requests, writers_end);
    // Whoever let it stand still may have ended before it let it go on.
    let _ = server.signal(Signal::CONT);
    if let Some(status) = server.ended()? {
        let log = std::fs::read_to_string(folder.path().join("server.log")).unwrap_or_default();
        let last = &log.lines().rev().take(LAST_WORDS).collect::<Vec<_>>();
        return Err(Failure::Violation(format!("the server ended: {status}; its last words, the last first: {last:#?}")));
    }
    result?;
    let mut journal = shared.journal();
    journal.drain()?;
    Ok(journal.counts.clone())
}

#[expect(clippy::too_many_arguments, reason = "a run's parts, named once")]
fn converse(
    options: &Options, mode: Mode, shared: &Shared, server: &Server, path: &Path, time: Duration, requests: u64,
    writers_end: PipeWriter,
) -> Result<(), Failure> {
    let proxy = options.plant.map(|plant| Proxy::new(shared, plant, server.address, path)).transpose()?;
    let address = proxy.as_ref().map_or(server.address, Proxy::address);
    let half = i64::try_from(time.as_nanos() / 2).unwrap_or(i64::MAX);
    let switch_at = if mode == Mode::Delete { shared.clock.now().saturating_add(half) } else { -1 };
    let failure: Mutex<Option<Failure>> = Mutex::new(None);
    let guarded = |body: &mut dyn FnMut() -> Result<(), Failure>| {
        let _guard = shared.stop_on_panic();
        if let Err(error) = body() {
            shared.stop();
            // The first counts: others follow from the end of the run.
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    };
    std::thread::scope(|scope| {
        let guarded = &guarded;
        let mut herd = Herd::new(shared, path, mode, writers_end, switch_at);
        scope.spawn(move || guarded(&mut || herd.run()));
        scope.spawn(move || guarded(&mut || chaos::stop_and_go(shared, server)));
        if let Some(proxy) = &proxy {
            scope.spawn(move || guarded(&mut || proxy.run()));
        }
        for name in 0..options.connections {
            scope.spawn(move || guarded(&mut || Reader::new(shared, address, name).run()));
        }
        for name in (0..POSTERS).filter(|_| mode == Mode::Wal) {
            scope.spawn(move || guarded(&mut || Poster::new(shared, address, name).run()));
        }
        let until = Instant::now() + time;
        while !shared.stopped() && Instant::now() < until && shared.requests.load(Ordering::Relaxed) < requests {
            guarded(&mut || shared.journal().drain());
            std::thread::sleep(LOOK);
        }
        shared.stop();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
