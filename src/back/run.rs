//! One job at a time: what the request means, its statement, its rows, and what became of them.

use std::rc::Rc;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::describe::{self, DescribeError, describe};
use super::error::{self, Failed};
use super::held::Held;
use super::reading::Reading;
use super::snapshot::Snapshot;
use super::sqlite_error::SqliteError;
use super::statement::Statement;
use super::turns::{Turn, Turns, with_turns};
use super::workspace::Workspace;
use super::write::{Control, Fallen};
use crate::api::catalog::{Catalog, Kind};
use crate::api::problem::Problem;
use crate::api::value::Bind;
use crate::config::{Config, Expose};
use crate::http::accept::Media;
use crate::job::{Current, Faults, Job, Made, Micros, Outcome, Reply, Stamp, TableSet, Task};
use crate::ops::readings::{Database, Disk};
use crate::policy::sharing::Share;

/// Rows between two looks at the clock: the progress handler counts steps within one statement, and short rows take few.
pub(super) const ROWS_BETWEEN_LOOKS: usize = 16;
/// How often a job starts over because the schema changed under it.
const SCHEMA_RETRIES: usize = 3;
/// No schema's version: those are numbers of 32 bits.
const NO_SCHEMA: i64 = i64::MIN;

/// The back half of the server: a connection and what it keeps.
pub struct Back<'c> {
    pub(super) conn: &'c Connection,
    pub(super) held: Held<'c>,
    pub(super) snapshot: Snapshot<'c>,
    pub(super) reading: Reading<'c>,
    /// A read transaction that several jobs share is open, and this is the stamp of what they make.
    shared: Option<Option<Stamp>>,
    pub(super) work: &'c mut Workspace,
    pub(super) config: Rc<Config>,
    pub(super) control: Option<Control<'c>>,
    pub(super) schema_version: i64,
    pub(super) started: Instant,
    pub(super) longest_gap: Micros,
    /// Panics in group commit since they were last asked for.
    pub(super) fallen: Fallen,
    /// A drill wants the next work to panic.
    pub(super) strike: bool,
}

/// Why an attempt ended without an answer.
pub(super) enum Again {
    /// The schema is not the catalog's: read it and start over.
    Schema,
    /// SQLite's heap is full: drop what is held and start over.
    Memory,
}

/// How an attempt ended.
pub(super) type Attempt<T> = Result<T, Ended>;

pub(super) enum Ended {
    With(Outcome),
    Again(Again),
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Ended {
        Ended::With(outcome)
    }
}

impl From<Problem> for Ended {
    fn from(problem: Problem) -> Ended {
        Ended::With(Outcome::Problem(problem))
    }
}

impl<'c> Back<'c> {
    /// Reads the schema of an open connection and serves of it what `config` says. `key` names held statements and must be random.
    ///
    /// # Errors
    /// [`DescribeError`].
    pub fn new(
        conn: &'c Connection, work: &'c mut Workspace, key: [u8; 16], started: Instant, config: Rc<Config>,
    ) -> Result<Back<'c>, DescribeError> {
        let mut back = Back {
            conn,
            held: Held::new(conn, key),
            snapshot: Snapshot::new(conn),
            reading: Reading::new(conn)?,
            shared: None,
            work,
            config,
            control: None,
            schema_version: NO_SCHEMA,
            started,
            longest_gap: 0,
            fallen: Fallen::default(),
            strike: false,
        };
        back.read_schema()?;
        back.snapshot.examine();
        Ok(back)
    }

    /// Serves what another configuration says from now on.
    /// The old one is handed back.
    pub fn set_config(&mut self, config: Rc<Config>) -> Rc<Config> {
        let old = std::mem::replace(&mut self.config, config);
        self.expose();
        old
    }

    fn expose(&mut self) {
        let Back { work, config, .. } = self;
        work.catalog.expose(|table| match &config.expose {
            Expose::Nothing => false,
            Expose::All => true,
            Expose::Named(names) => names.iter().any(|&name| config.text(name).eq_ignore_ascii_case(table)),
        });
    }

    /// The schema, as last read.
    pub fn catalog(&self) -> &Catalog {
        &self.work.catalog
    }

    /// What the front compares before it answers from its cache; it stays valid until the back is dropped, then it says `None`.
    pub fn freshness(&self) -> Rc<dyn Current> {
        self.snapshot.freshness()
    }

    /// Runs a job to its outcome; the rows are then in `reply`. `turn` is called while it runs; when it says stop, or the job's deadline
    /// passes, the statement is interrupted.
    pub fn run(&mut self, job: &Job, reply: &mut Reply, turn: Turn<'_>) -> Outcome {
        let (conn, started) = (self.conn, self.started);
        let (mut outcome, took) = with_turns(conn, started, job.deadline, turn, |turns| {
            self.share(job.share);
            let outcome = self.run_with_retries(job, reply, turns);
            // Another process may have changed the journal mode; SQLite has noticed while it read.
            if self.snapshot.is_lost() {
                self.end_sharing();
                self.snapshot.examine();
            }
            outcome
        });
        self.longest_gap = self.longest_gap.max(took.longest_gap);
        if let Outcome::Rows(_, made) = &mut outcome {
            made.cost = took.worked;
        }
        outcome
    }

    /// Opens, keeps or ends the read transaction that jobs share. Where there is none, because it could not be begun or an error has ended
    /// it, each has its own, which is newer.
    fn share(&mut self, share: Share) {
        match share {
            Share::Join if self.shared.is_some() && !self.conn.is_autocommit() => {}
            Share::Begin if self.snapshot.is_shareable() => {
                self.end_sharing();
                let stamp = self.snapshot.before();
                self.shared = self.reading.begin().is_ok().then_some(stamp);
            }
            Share::Alone | Share::Begin | Share::Join => self.end_sharing(),
        }
    }

    /// Ends the read transaction that jobs share, if one is open: to be called when no job follows.
    pub fn end_sharing(&mut self) {
        if self.shared.take().is_some() {
            self.held.rest();
            self.reading.end();
        }
    }

    /// The longest time between two turns since the last call, in microseconds.
    pub fn take_longest_gap(&mut self) -> Micros {
        std::mem::take(&mut self.longest_gap)
    }

    /// What the back knows of its memory and its database.
    pub fn read(&self, readings: &mut Database) {
        super::heap::read(readings);
        readings.temporary_bytes = super::vfs::temporary_bytes();
        readings.slept_micros = super::vfs::slept_micros();
        readings.statements = self.held.len() as u64;
        readings.tables = self.work.catalog.tables().len() as u64;
    }

    /// Carries out what a drill orders of the database's files. Kept pages are dropped, so that what is read next comes from the files.
    pub fn obey(&self, faults: Faults) {
        super::vfs::faults::obey(faults);
        super::heap::release(self.conn);
    }

    /// Lets the next work panic: a read as it begins, writes in the middle of their transaction.
    pub fn strike(&mut self) {
        self.strike = true;
    }

    /// Panics that group commit has caught since the last call. What was ordered and has not come is forgotten.
    pub fn take_fallen(&mut self) -> Fallen {
        self.strike = false;
        std::mem::take(&mut self.fallen)
    }

    /// After a panic in [`Back::run`]: drops everything that it may have left half done. Whether the connection can be used; else the
    /// database is to be opened anew.
    pub fn recover(&mut self) -> bool {
        self.strike = false;
        self.held.clear();
        super::heap::release(self.conn);
        self.schema_version = NO_SCHEMA;
        let rolled_back = self.conn.is_autocommit() || self.conn.execute_batch("ROLLBACK").is_ok();
        let sound = rolled_back && self.read_schema().is_ok();
        self.snapshot.examine();
        sound
    }

    /// What SQLite's files have cost.
    pub fn disk(&self) -> Disk {
        let counters = super::vfs::counters();
        Disk {
            syncs: counters.syncs,
            ring_syncs: counters.ring_syncs,
            failed_syncs: counters.failed_syncs,
            sync_micros: counters.sync_micros,
            longest_sync_micros: counters.longest_sync_micros,
            database_bytes: counters.database_bytes,
            wal_bytes: counters.wal_bytes,
            journal_bytes: counters.journal_bytes,
            temporary_bytes: counters.temporary_bytes,
        }
    }

    fn run_with_retries(&mut self, job: &Job, reply: &mut Reply, turns: &Turns<'_>) -> Outcome {
        let mut memory_freed = false;
        for _ in 0..SCHEMA_RETRIES {
            reply.clear();
            match self.attempt_in_one_state(job, reply, turns) {
                Ok((media, made)) => return Outcome::Rows(media, made),
                Err(Ended::With(outcome)) => match self.blames_schema(&outcome, turns) {
                    true => continue,
                    false => return outcome,
                },
                Err(Ended::Again(Again::Schema)) => {
                    if let Err(error) = self.read_schema() {
                        return schema_problem(&error, turns);
                    }
                }
                Err(Ended::Again(Again::Memory)) if memory_freed => return error::out_of_memory(),
                Err(Ended::Again(Again::Memory)) => {
                    memory_freed = true;
                    self.end_sharing();
                    self.held.clear();
                    super::heap::release(self.conn);
                }
            }
        }
        let mut problem = Problem::new(503, "schema-changing", "The schema keeps changing");
        problem.retry_after = Some(1);
        Outcome::Problem(problem)
    }

    /// A statement that failed may have been planned from an old schema; then the new one is read and the job starts over.
    fn blames_schema(&mut self, outcome: &Outcome, turns: &Turns<'_>) -> bool {
        let failed = matches!(outcome, Outcome::Problem(problem) if problem.status == 500);
        failed && matches!(self.check_schema(turns), Err(Ended::Again(Again::Schema))) && self.read_schema().is_ok()
    }

    /// An attempt and the stamp for what it makes: never newer than any of its rows, nor than the schema that they are shaped by.
    fn attempt_in_one_state(&mut self, job: &Job, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<(Media, Made)> {
        self.leave_transaction(turns)?;
        self.held.begin();
        let before = self.shared.unwrap_or_else(|| self.snapshot.before());
        // Outside of WAL mode the stamp is read under the lock that the rows are read under; a statement without rows would have let go
        // of it by then.
        let around = self.shared.is_none() && self.snapshot.needs_transaction();
        if around {
            self.reading.begin().map_err(|error| ended(&error, turns))?;
        }
        if std::mem::take(&mut self.strike) {
            panic!("a drill");
        }
        let media = self.attempt(job, reply, turns);
        let stamp = before.or_else(|| self.snapshot.within());
        if around {
            self.reading.end();
        }
        let media = media?;
        let uses = self.held.job_uses();
        let tables = if uses.everything { TableSet::EVERYTHING } else { uses.reads };
        // What it cost is known when its turns are over.
        Ok((media, Made { stamp, volatile: uses.volatile, tables, cost: 0 }))
    }

    /// A read transaction whose end failed, for want of memory, would show its old state for ever.
    fn leave_transaction(&mut self, turns: &Turns<'_>) -> Attempt<()> {
        if self.shared.is_some() || self.conn.is_autocommit() {
            return Ok(());
        }
        self.held.clear();
        super::heap::release(self.conn);
        let mut rollback = Statement::prepare(self.conn, "ROLLBACK").map_err(|error| ended(&error, turns))?;
        rollback.run().map_err(|error| ended(&error, turns))
    }

    fn attempt(&mut self, job: &Job, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Media> {
        match job.task {
            Task::Tables => self.tables(job, reply, turns),
            Task::Route(place) => self.named_rows(job, place, reply, turns),
            // Nobody asks the back alone for that.
            Task::Change(_) => Err(Problem::no_route(false).into()),
        }
    }

    pub(super) fn check_schema(&mut self, turns: &Turns<'_>) -> Attempt<()> {
        let read = self.held.get(describe::SCHEMA_VERSION).and_then(describe::schema_version);
        match read {
            Ok(version) if version == self.schema_version => Ok(()),
            Ok(_) => Err(Ended::Again(Again::Schema)),
            Err(error) => Err(ended(&error, turns)),
        }
    }

    pub(super) fn read_schema(&mut self) -> Result<(), DescribeError> {
        // What is looked for is newer than that.
        self.end_sharing();
        self.work.forget_plans();
        // The version first: a change in between is then seen at the next look.
        let version = describe::schema_version(self.held.get(describe::SCHEMA_VERSION)?)?;
        if let Err(error) = describe(self.conn, &mut self.work.catalog) {
            // What was read so far is no schema: with no table in it every request looks again.
            self.work.catalog.build().finish();
            self.schema_version = NO_SCHEMA;
            return Err(error);
        }
        self.expose();
        let catalog = &self.work.catalog;
        let virtuals = catalog.tables().iter().filter(|table| table.kind == Kind::Virtual);
        self.held.set_tables(catalog.tables().iter().map(|table| catalog.table_name(table)));
        self.held.set_virtual(virtuals.map(|table| catalog.table_name(table)));
        self.schema_version = version;
        Ok(())
    }
}

/// Binds a value whose bytes lie in `scratch` to the parameter at `index`, from 1.
pub(super) fn bind_value(statement: &mut Statement<'_>, index: usize, bind: Bind, scratch: &[u8]) -> Result<(), SqliteError> {
    let value = match bind {
        Bind::Null => ValueRef::Null,
        Bind::Integer(number) => ValueRef::Integer(number),
        Bind::Real(number) => ValueRef::Real(number),
        Bind::Text(span) => ValueRef::Text(span.of(scratch)),
        Bind::Blob(span) => ValueRef::Blob(span.of(scratch)),
    };
    statement.bind(index, value)
}

pub(super) fn ended(error: &SqliteError, turns: &Turns<'_>) -> Ended {
    match error::failed(error, turns.stopped()) {
        Failed::End(outcome) => Ended::With(outcome),
        Failed::Memory => Ended::Again(Again::Memory),
        Failed::Schema => Ended::Again(Again::Schema),
    }
}

pub(super) fn schema_problem(error: &DescribeError, turns: &Turns<'_>) -> Outcome {
    match error {
        DescribeError::Full(full) => {
            log::error!("the schema has outgrown the catalog: more than {} {}", full.limit, full.what);
            Outcome::Problem(
                Problem::new(500, "schema-too-large", "The schema is too large")
                    .detail(format_args!("The catalog holds {} {}.", full.limit, full.what)),
            )
        }
        DescribeError::Sqlite(error) => match error::failed(error, turns.stopped()) {
            Failed::End(outcome) => outcome,
            Failed::Memory | Failed::Schema => error::out_of_memory(),
        },
    }
}
