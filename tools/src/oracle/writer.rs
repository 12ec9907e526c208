//! A writer: a process of its own, because POSIX locks belong to processes. It does random things to the database until
//! it is killed, and says on stdout, one write a line, what it is about to commit and what has been committed.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::Failure;
use super::clock::{Clock, Nanos};
use super::data::{self, Way};
use super::mark::{BULK, EVERY, LEDGER_GROUPS, NOW, SCHEMA, SMALL, SMALL_TABLES, Version};
use crate::rig::random::Random;

/// How long a writer waits for another's lock.
const BUSY: Duration = Duration::from_millis(1500);
/// The least and the longest time that uncommitted pages lie in the file, in microseconds.
const HELD: (u64, u64) = (200, 100_000);
/// Between two actions, in microseconds.
const PAUSE: (u64, u64) = (50, 30_000);

/// How far behind its base a version may be that is ahead of the time, in nanoseconds.
const SCATTER: Nanos = 1_000_000;

/// What a writer is told on its command line.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The database.
    pub path: PathBuf,
    /// Where times count from.
    pub origin: Nanos,
    /// The run's seed.
    pub seed: u64,
    /// Which sequence of choices; another for each process.
    pub stream: u64,
    /// When this writer changes a rollback-journal database to WAL mode; never when negative.
    pub switch_at: Nanos,
    /// Whether the journal's kind may be changed.
    pub rollback: bool,
}

impl Orders {
    /// As words of a command line.
    pub fn words(&self) -> Vec<std::ffi::OsString> {
        let numbers = [self.origin.to_string(), self.seed.to_string(), self.stream.to_string(), self.switch_at.to_string()];
        let mut words = vec![self.path.clone().into_os_string()];
        words.extend(numbers.into_iter().chain([self.rollback.to_string()]).map(Into::into));
        words
    }

    /// From the words of a command line.
    pub fn parse(mut words: impl Iterator<Item = std::ffi::OsString>) -> Option<Self> {
        let path = words.next()?.into();
        let mut text = || words.next()?.into_string().ok();
        Some(Self {
            path,
            origin: text()?.parse().ok()?,
            seed: text()?.parse().ok()?,
            stream: text()?.parse().ok()?,
            switch_at: text()?.parse().ok()?,
            rollback: text()?.parse().ok()?,
        })
    }
}

/// What a writer does next.
#[derive(Clone, Copy, Debug)]
enum Action {
    Small,
    Large,
    Tables,
    Schema,
    PartlyUndone,
    RolledBack,
    SpilledAndRolledBack,
    SpilledAndCommitted,
    Checkpoint,
    Vacuum,
    Reindex,
    Reopen,
}

/// How often each happens, of their sum.
const WEIGHTS: &[(Action, u64)] = &[
    (Action::Small, 40),
    (Action::Large, 4),
    (Action::Tables, 8),
    (Action::Schema, 4),
    (Action::PartlyUndone, 6),
    (Action::RolledBack, 8),
    (Action::SpilledAndRolledBack, 6),
    (Action::SpilledAndCommitted, 4),
    (Action::Checkpoint, 12),
    (Action::Vacuum, 1),
    (Action::Reindex, 1),
    (Action::Reopen, 6),
];

struct Writer {
    orders: Orders,
    clock: Clock,
    random: Random,
    conn: Connection,
    switched: bool,
}

/// Writes until it is killed.
pub fn run(orders: Orders) -> Result<(), Failure> {
    // A writer that outlives its run would write into nothing for ever.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut random = Random::new(orders.seed, orders.stream);
    let conn = open(&orders, &mut random)?;
    let mut writer = Writer { clock: Clock { origin: orders.origin }, random, conn, orders, switched: false };
    loop {
        let action = writer.choose();
        match writer.act(action) {
            Ok(()) => {}
            Err(Failure::Sqlite(error)) if is_contention(&error) => writer.say("W")?,
            Err(error) => return Err(error),
        }
        if !writer.conn.is_autocommit() {
            writer.conn.execute_batch("ROLLBACK")?;
        }
        let pause = writer.random.pause(PAUSE.0, PAUSE.1);
        std::thread::sleep(pause);
    }
}

/// What the other processes of a run cause: locks held too long.
fn is_contention(error: &rusqlite::Error) -> bool {
    let known = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked, ErrorCode::FileLockingProtocolFailed];
    error.sqlite_error_code().is_some_and(|code| known.contains(&code))
}

/// A connection with settings of its own.
fn open(orders: &Orders, random: &mut Random) -> Result<Connection, Failure> {
    let conn = Connection::open(&orders.path)?;
    conn.busy_timeout(BUSY)?;
    let synchronous = random.pick(&["OFF", "OFF", "NORMAL", "FULL"]);
    let autocheckpoint = random.pick(&[0, 5, 50, 1000]);
    // A few pages of cache: a large transaction spills into the file or the WAL long before it commits.
    let cache = random.pick(&[5, 5, 20, 2000]);
    conn.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = {autocheckpoint}; PRAGMA cache_size = {cache};
         PRAGMA cache_spill = 1; PRAGMA temp_store = MEMORY;"
    ))?;
    Ok(conn)
}

impl Writer {
    fn choose(&mut self) -> Action {
        let mut left = self.random.below(WEIGHTS.iter().map(|(_, weight)| weight).sum());
        for &(action, weight) in WEIGHTS {
            if left < weight {
                return action;
            }
            left -= weight;
        }
        Action::Small
    }

    fn act(&mut self, action: Action) -> Result<(), Failure> {
        self.switch_when_due()?;
        match action {
            Action::Small => {
                let [one, other] = [0; 2].map(|_| self.random.below(LEDGER_GROUPS as u64));
                self.transaction(1 << one | 1 << other, false)
            }
            Action::Large => self.transaction(EVERY & !(1 << SCHEMA), false),
            Action::Tables => {
                let some = self.random.next() as u32 & ((1 << SMALL_TABLES) - 1);
                self.transaction(some << SMALL, false)
            }
            Action::Schema => self.transaction(1 << SCHEMA | 1 << SMALL, false),
            Action::PartlyUndone => {
                let group = self.random.below(LEDGER_GROUPS as u64);
                self.transaction(1 << group, true)
            }
            Action::RolledBack => self.rolled_back(EVERY & !(1 << BULK)),
            Action::SpilledAndRolledBack => self.spilled(false),
            Action::SpilledAndCommitted => self.spilled(true),
            Action::Checkpoint => {
                let kind = self.random.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
                self.counted("P", &format!("PRAGMA wal_checkpoint({kind})"))
            }
            Action::Vacuum => self.counted("V", "VACUUM"),
            Action::Reindex => self.counted("V", "REINDEX"),
            Action::Reopen => self.reopen(),
        }
    }

    fn counted(&mut self, letter: &str, sql: &str) -> Result<(), Failure> {
        self.conn.execute_batch(sql)?;
        self.say(letter)
    }

    fn reopen(&mut self) -> Result<(), Failure> {
        let fresh = open(&self.orders, &mut self.random)?;
        let old = std::mem::replace(&mut self.conn, fresh);
        // Half of the time the new one has not touched the file yet, and the old one's close may be the last.
        old.close().map_err(|(_, error)| error)?;
        if self.orders.rollback && !self.switched && self.random.percent(50) {
            let kind = self.random.pick(&["DELETE", "TRUNCATE", "PERSIST"]);
            // Only where a rollback journal is in use: in WAL mode this would leave it.
            let mode: String = self.conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            if mode != "wal" {
                self.conn.execute_batch(&format!("PRAGMA journal_mode = {kind}"))?;
            }
        }
        self.say("O")
    }

    fn switch_when_due(&mut self) -> Result<(), Failure> {
        let due = self.orders.switch_at >= 0 && self.clock.now() >= self.orders.switch_at;
        if !due || self.switched {
            return Ok(());
        }
        let before: String = self.conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let after: String = self.conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        self.switched = after == "wal";
        if after == before { Ok(()) } else { self.say("J") }
    }

    /// Begins a transaction: the version it will have and the one it builds upon.
    fn begin(&mut self) -> Result<(Version, Version), Failure> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let base = data::version(&self.conn)?;
        // Who writes through the server chooses a version ahead of the time. Two transactions upon one base, of which one is lost, must differ.
        let now = self.clock.now();
        Ok((now.max(base + 1 + now % SCATTER), base))
    }

    /// A transaction that writes `groups` and commits; `partly` with a savepoint that is rolled back in between.
    fn transaction(&mut self, groups: u32, partly: bool) -> Result<(), Failure> {
        let (version, base) = self.begin()?;
        if partly {
            self.conn.execute_batch("SAVEPOINT undone")?;
            self.write(EVERY & !(1 << BULK), version, true)?;
            self.conn.execute_batch("ROLLBACK TO undone; RELEASE undone")?;
        }
        self.write(groups | 1 << NOW, version, false)?;
        if groups & 1 << SCHEMA != 0 {
            self.change_schema()?;
        }
        self.commit(version, base, groups | 1 << NOW)
    }

    fn rolled_back(&mut self, groups: u32) -> Result<(), Failure> {
        let (version, _) = self.begin()?;
        self.write(groups, version, true)?;
        self.hold();
        self.conn.execute_batch("ROLLBACK")?;
        self.say("R")
    }

    /// A transaction larger than the page cache, held open; what lies in the file meanwhile is never committed.
    fn spilled(&mut self, then_commit: bool) -> Result<(), Failure> {
        self.conn.execute_batch("PRAGMA cache_size = 5")?;
        let (version, base) = self.begin()?;
        self.write(EVERY & !(1 << SCHEMA), version, true)?;
        self.hold();
        self.say("S")?;
        if !then_commit {
            self.conn.execute_batch("ROLLBACK")?;
            return self.say("R");
        }
        let groups = EVERY & !(1 << SCHEMA);
        self.write(groups, version, false)?;
        self.hold();
        self.commit(version, base, groups)
    }

    fn write(&mut self, groups: u32, version: Version, poison: bool) -> Result<(), Failure> {
        let way = *self.random.pick(&[Way::Update, Way::DeleteAndInsert, Way::Replace]);
        // The large table last: what is spilled then is the small ones too.
        for group in (0..u32::BITS as usize).filter(|group| groups & 1 << group != 0 && *group != BULK) {
            data::write(&self.conn, group, version, poison, way)?;
        }
        if groups & 1 << BULK != 0 {
            data::write(&self.conn, BULK, version, poison, way)?;
        }
        Ok(())
    }

    fn change_schema(&mut self) -> Result<(), Failure> {
        let wide: i64 =
            self.conn.query_row("SELECT count(*) FROM pragma_table_info('small0') WHERE name = 'extra'", [], |row| row.get(0))?;
        let sql = match self.random.below(3) {
            0 if wide > 0 => "ALTER TABLE small0 DROP COLUMN extra",
            0 => "ALTER TABLE small0 ADD COLUMN extra TEXT DEFAULT 'more'",
            1 => "DROP INDEX IF EXISTS by_mark; CREATE INDEX by_mark ON ledger(mark)",
            _ => "DROP INDEX IF EXISTS by_mark",
        };
        Ok(self.conn.execute_batch(sql)?)
    }

    fn hold(&mut self) {
        let pause = self.random.pause(HELD.0, HELD.1);
        std::thread::sleep(pause);
    }

    fn commit(&mut self, version: Version, base: Version, groups: u32) -> Result<(), Failure> {
        self.say(&format!("B {version} {base} {groups} {}", self.clock.now()))?;
        match self.conn.execute_batch("COMMIT") {
            Ok(()) => self.say(&format!("C {version} {}", self.clock.now())),
            Err(error) if is_contention(&error) => {
                self.conn.execute_batch("ROLLBACK")?;
                self.say(&format!("A {version}"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One line in one write: not torn by a kill, nor mixed with another's.
    fn say(&self, line: &str) -> Result<(), Failure> {
        let line = format!("{line}\n");
        let written = rustix::io::write(rustix::stdio::stdout(), line.as_bytes())?;
        assert_eq!(written, line.len(), "a pipe takes so short a line whole");
        Ok(())
    }
}
