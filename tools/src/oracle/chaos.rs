//! What happens to the processes from outside: writers are killed and started again, the server stands still at random
//! moments, the database is replaced.

use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;

use super::data::{self, Way};
use super::mark::EVERY;
use super::options::Mode;
use super::process::Server;
use super::run::Shared;
use super::writer::Orders;
use super::{Failure, WRITER};
use crate::rig::process::Owned;
use crate::rig::random::Random;

/// How many writers there are.
const WRITERS: usize = 3;
/// Between two kills, in microseconds.
const KILL_EVERY: (u64, u64) = (5_000, 800_000);
/// How long the server runs between two stops, and how long it stands still, in microseconds.
const STOP_EVERY: (u64, u64) = (1_000, 60_000);
const STOPPED: (u64, u64) = (50, 20_000);
const STOPPED_LONG: (u64, u64) = (50_000, 300_000);
/// The first replacement, and the time between two, in nanoseconds.
const REPLACE_FIRST: i64 = 400_000_000;
const REPLACE_EVERY: i64 = 5_000_000_000;
/// A replaced file is noticed within a second of the server's; it may stand still a good part of the time.
pub const REPLACE_GRACE: i64 = 3_500_000_000;

/// The writers, and who looks after them.
pub struct Herd<'a> {
    shared: &'a Shared,
    path: PathBuf,
    mode: Mode,
    pipe: PipeWriter,
    random: Random,
    streams: u64,
    switch_at: i64,
    writers: Vec<Owned>,
}

impl<'a> Herd<'a> {
    /// Writers for the database at `path`, who speak into `pipe`. With a switch, one of them changes the database to WAL then.
    pub fn new(shared: &'a Shared, path: &Path, mode: Mode, pipe: PipeWriter, switch_at: i64) -> Self {
        let random = Random::new(shared.seed, 1);
        Self { shared, path: path.to_owned(), mode, pipe, random, streams: 0, switch_at, writers: Vec::new() }
    }

    /// Kills and starts writers until the run ends.
    ///
    /// # Errors
    /// A writer that ended by itself: the database or the harness is broken.
    pub fn run(&mut self) -> Result<(), Failure> {
        let mut replace_at = self.shared.clock.now() + REPLACE_FIRST;
        while self.writers.len() < WRITERS {
            let writer = self.writer()?;
            self.writers.push(writer);
        }
        while !self.shared.stopped() {
            let pause = self.random.pause(KILL_EVERY.0, KILL_EVERY.1);
            self.shared.sleep(pause);
            for writer in &mut self.writers {
                if let Some(status) = writer.ended()? {
                    return Err(Failure::Internal(format!("a writer ended by itself: {status}")));
                }
            }
            if self.mode == Mode::Replace && self.shared.clock.now() >= replace_at {
                self.replace()?;
                replace_at = self.shared.clock.now() + REPLACE_EVERY;
            }
            let place = self.random.below(WRITERS as u64) as usize;
            // Killed by its end, and waited for.
            drop(self.writers.remove(place));
            self.shared.count("kills");
            if self.random.percent(30) {
                let pause = self.random.pause(500, 50_000);
                std::thread::sleep(pause);
            }
            let writer = self.writer()?;
            self.writers.push(writer);
        }
        self.writers.clear();
        Ok(())
    }

    fn writer(&mut self) -> Result<Owned, Failure> {
        self.streams += 1;
        let orders = Orders {
            path: self.path.clone(),
            origin: self.shared.clock.origin,
            seed: self.shared.seed,
            stream: 100_000 + self.streams,
            switch_at: self.switch_at,
            rollback: self.mode == Mode::Delete,
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(WRITER).args(orders.words()).stdin(Stdio::null()).stdout(self.pipe.try_clone()?);
        Ok(Owned::start(&mut command)?)
    }

    /// Puts another file in the database's place, with all that was committed and one commit more.
    fn replace(&mut self) -> Result<(), Failure> {
        self.writers.clear();
        let clock = self.shared.clock;
        let old = Connection::open(&self.path)?;
        old.busy_timeout(Duration::from_secs(10))?;
        let wal = old.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))? == "wal";
        let base = data::version(&old)?;
        let path = self.path.with_extension("new");
        old.execute("VACUUM INTO ?1", [path.to_str().ok_or_else(|| Failure::Internal("a path".to_owned()))?])?;
        // A connection to a file with a rollback journal that finds a -wal beside its path would read it as its own:
        // only a database in WAL mode may change its mode when it is replaced.
        let version = clock.now();
        let fresh = Connection::open(&path)?;
        let mode = if wal && self.random.percent(50) { "WAL" } else { "DELETE" };
        fresh.execute_batch(&format!("PRAGMA journal_mode = {mode}; BEGIN IMMEDIATE"))?;
        for group in (0..u32::BITS as usize).filter(|group| EVERY & 1 << group != 0) {
            data::write(&fresh, group, version, false, Way::Update)?;
        }
        fresh.execute_batch("COMMIT")?;
        fresh.close().map_err(|(_, error)| error)?;
        if wal {
            // The log's content belongs to the old file.
            old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        old.close().map_err(|(_, error)| error)?;
        let mut journal = self.shared.journal();
        journal.drain()?;
        let begun = journal.history.begin(version, base, EVERY, clock.now());
        begun.map_err(|violation| Failure::Violation(format!("{violation:?}\n  upon a replacement")))?;
        for ending in ["db-wal", "db-shm"] {
            // Absent after the last close of a database without other readers.
            let _ = std::fs::remove_file(self.path.with_extension(ending));
        }
        std::fs::rename(&path, &self.path)?;
        journal.history.replaced(clock.now(), REPLACE_GRACE);
        journal.history.returned(version, clock.now());
        journal.count("replacements");
        drop(journal);
        while self.writers.len() < WRITERS {
            let writer = self.writer()?;
            self.writers.push(writer);
        }
        Ok(())
    }
}

/// Lets the server stand still at random moments until the run ends: whatever it was about to do happens later.
///
/// # Errors
/// A server that is gone.
pub fn stop_and_go(shared: &Shared, server: &Server) -> Result<(), Failure> {
    let mut random = Random::new(shared.seed, 2);
    while !shared.stopped() {
        let pause = random.pause(STOP_EVERY.0, STOP_EVERY.1);
        shared.sleep(pause);
        if let Some(status) = server.ended()? {
            return Err(Failure::Violation(format!("the server ended: {status}")));
        }
        let (least, most) = if random.percent(3) { STOPPED_LONG } else { STOPPED };
        server.signal(Signal::STOP)?;
        let pause = random.pause(least, most);
        std::thread::sleep(pause);
        server.signal(Signal::CONT)?;
        shared.count("stops of the server");
    }
    Ok(())
}
