//! One job at a time: what the request means, its statement, its rows, and what became of them.

use std::rc::Rc;
use std::time::Instant;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows, Statement, StatementStatus};

use super::describe::{self, DescribeError, describe};
use super::error::{self, Failed};
use super::held::Held;
use super::link::put_content_range;
use super::rows::RowShape;
use super::snapshot::Snapshot;
use super::turns::{Turn, Turns, with_turns};
use super::workspace::Workspace;
use super::write::Control;
use crate::api::catalog::{Catalog, Kind};
use crate::api::index_page;
use crate::api::named::{ROW_MEDIA, not_acceptable};
use crate::api::problem::Problem;
use crate::api::route::Route;
use crate::api::table_query::{self, Format, TableQuery, TokenError};
use crate::api::value::Bind;
use crate::budget::{ANSWER_KIB, QUERY_BYTES};
use crate::config::{Config, Expose};
use crate::http::accept::{self, Media};
use crate::job::{Current, Job, Made, Micros, Outcome, Reply, TableSet, Task};
use crate::memory::sink::Sink;
use crate::ops::readings::Database;

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
    pub(super) work: &'c mut Workspace,
    pub(super) config: Rc<Config>,
    pub(super) control: Option<Control<'c>>,
    pub(super) schema_version: i64,
    pub(super) started: Instant,
    pub(super) longest_gap: Micros,
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
        let (held, snapshot) = (Held::new(conn, key), Snapshot::new(conn));
        let mut back =
            Back { conn, held, snapshot, work, config, control: None, schema_version: NO_SCHEMA, started, longest_gap: 0 };
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
        let (outcome, gap) = with_turns(conn, started, job.deadline, turn, |turns| {
            let outcome = self.run_with_retries(job, reply, turns);
            // Another process may have changed the journal mode; SQLite has noticed while it read.
            if self.snapshot.is_lost() {
                self.snapshot.examine();
            }
            outcome
        });
        self.longest_gap = self.longest_gap.max(gap);
        outcome
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
        let conn = self.conn;
        let before = self.snapshot.before();
        // Outside of WAL mode the stamp is read under the lock that the rows are read under; a statement without rows would have let go
        // of it by then.
        let around = self.snapshot.needs_transaction().then(|| conn.unchecked_transaction());
        let around = around.transpose().map_err(|error| ended(&error, turns))?;
        let media = self.attempt(job, reply, turns)?;
        let stamp = before.or_else(|| self.snapshot.within());
        drop(around);
        let uses = self.held.job_uses();
        let tables = if uses.everything { TableSet::EVERYTHING } else { uses.reads };
        Ok((media, Made { stamp, volatile: uses.volatile, tables, cost: turns.worked() }))
    }

    /// A read transaction whose end failed, for want of memory, would show its old state for ever.
    fn leave_transaction(&mut self, turns: &Turns<'_>) -> Attempt<()> {
        if self.conn.is_autocommit() {
            return Ok(());
        }
        self.held.clear();
        super::heap::release(self.conn);
        self.conn.execute_batch("ROLLBACK").map_err(|error| ended(&error, turns))
    }

    fn attempt(&mut self, job: &Job, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Media> {
        match job.task {
            Task::Tables => self.tables(job, reply, turns),
            Task::Route(place) => self.named_rows(job, place, reply, turns),
            // Nobody asks the back alone for that.
            Task::Change(_) => Err(Problem::no_route(false).into()),
        }
    }

    fn tables(&mut self, job: &Job, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Media> {
        let bytes = job.exchange.current();
        let request = job.exchange.request();
        let query = request.query(bytes).unwrap_or_default();
        match Route::of(request.path(bytes)) {
            Route::Index | Route::Tables if !query.is_empty() => {
                let name = query.split(|&byte| matches!(byte, b'=' | b'&')).next().unwrap_or_default();
                Err(Problem::unknown_parameter(name).hint(format_args!("the list of tables takes no parameters")).into())
            }
            Route::Index => {
                self.check_schema(turns)?;
                let media = negotiate(job, &[Media::Json, Media::Html], None)?;
                self.put_index(media, reply)
            }
            Route::Tables => {
                self.check_schema(turns)?;
                let media = negotiate(job, &[Media::Json], None)?;
                self.put_index(media, reply)
            }
            Route::Rows { table } => {
                let planned = table_query::find_table(&self.work.catalog, table)
                    .and_then(|place| table_query::plan_rows(&self.work.catalog, place, query, &mut self.work.query));
                self.settle(planned, turns)?;
                self.many_rows(job, reply, turns)
            }
            Route::Row { table, key } => {
                let found = table_query::find_table(&self.work.catalog, table);
                let name = found.as_ref().ok().copied();
                let planned =
                    found.and_then(|place| table_query::plan_row(&self.work.catalog, place, key, query, &mut self.work.query));
                self.settle(planned, turns)?;
                self.one_row(job, name, reply, turns)
            }
            Route::Ops(_) | Route::None { .. } => Err(Problem::no_route(false).into()),
        }
    }

    /// A plan that failed may have failed on an old schema: only when the schema is still the catalog's is the problem the client's.
    fn settle(&mut self, planned: Result<(), Problem>, turns: &Turns<'_>) -> Attempt<()> {
        let Err(problem) = planned else { return Ok(()) };
        self.check_schema(turns)?;
        Err(problem.into())
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

    fn put_index(&self, media: Media, reply: &mut Reply) -> Attempt<Media> {
        let put = match media {
            Media::Html => index_page::put_html(&self.work.catalog, reply),
            _ => self.work.catalog.put_json(reply),
        };
        put.map_err(|_| answer_too_large())?;
        Ok(media)
    }

    fn one_row(&mut self, job: &Job, table: Option<usize>, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Media> {
        let media = negotiate(job, ROW_MEDIA, self.work.query.format)?;
        let work = &mut *self.work;
        let columns = set_shape(work, table, media)?;
        let statement = prepare(&mut self.held, &work.query.sql, turns)?;
        bind(statement, &work.query, work.query.binds.len()).map_err(|error| ended(&error, turns))?;
        // SQLite prepares a statement anew when the schema changed, and for some patterns: the first is looked for after the second.
        let before = statement.get_status(StatementStatus::RePrepare);
        let mut rows = statement.raw_query();
        let Some(row) = rows.next().map_err(|error| ended(&error, turns))? else {
            drop(rows);
            self.check_schema(turns)?;
            let work = &*self.work;
            let name = table.map_or("", |place| work.catalog.table_name(work.catalog.table(place)));
            return Err(Problem::no_row(name).into());
        };
        work.shape
            .put_head(media, true, reply)
            .and_then(|()| work.shape.put_row(media, true, values(row, 0, columns), reply))
            .map_err(|_| answer_too_large())?;
        drop(rows);
        let prepared_anew = statement.get_status(StatementStatus::RePrepare) != before;
        if prepared_anew {
            self.check_schema(turns)?;
        }
        Ok(media)
    }

    fn many_rows(&mut self, job: &Job, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Media> {
        let media = negotiate(job, ROW_MEDIA, self.work.query.format)?;
        let request = job.exchange.request();
        let counted = crate::http::prefer::count_exact(request.fields(job.exchange.current(), "prefer"));
        // Page and count are to speak of one state of the database; outside of WAL mode there is a transaction already.
        let counted_alone = counted && self.conn.is_autocommit();
        let transaction =
            counted_alone.then(|| self.conn.unchecked_transaction()).transpose().map_err(|error| ended(&error, turns))?;
        let page = self.put_page(media, reply, turns)?;
        if counted {
            // A turn that stops the work stops the count's first step.
            turns.look();
            let total = self.count(turns)?;
            put_content_range(reply, self.work.query.position, page.given, total);
        }
        // A read transaction ends either way; what its end could report the statements have reported before.
        drop(transaction);
        if page.more {
            self.put_next(job, page.given, reply)?;
        }
        Ok(media)
    }

    fn put_page(&mut self, media: Media, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Page> {
        let table = self.work.query.table();
        let work = &mut *self.work;
        let columns = set_shape(work, Some(table), media)?;
        let statement = prepare(&mut self.held, &work.query.sql, turns)?;
        bind(statement, &work.query, work.query.binds.len()).map_err(|error| ended(&error, turns))?;
        let before = statement.get_status(StatementStatus::RePrepare);
        let page = encode_page(statement.raw_query(), work, columns, media, reply, turns)?;
        if statement.get_status(StatementStatus::RePrepare) != before {
            self.check_schema(turns)?;
        }
        Ok(page)
    }

    fn count(&mut self, turns: &Turns<'_>) -> Attempt<u64> {
        let query = &self.work.query;
        let statement = prepare(&mut self.held, &query.count_sql, turns)?;
        bind(statement, query, query.count_binds).map_err(|error| ended(&error, turns))?;
        let mut rows = statement.raw_query();
        let row = rows.next().map_err(|error| ended(&error, turns))?;
        match row.map(|row| row.get_ref(0)) {
            Some(Ok(ValueRef::Integer(count))) => Ok(count.max(0) as u64),
            _ => Ok(0),
        }
    }

    /// The link to the next page: the request's target in its one spelling, because everybody who asks the same gets the same answer, with
    /// another `after`.
    fn put_next(&mut self, job: &Job, given: u64, reply: &mut Reply) -> Attempt<()> {
        let work = &mut *self.work;
        let (bytes, request) = (job.exchange.current(), job.exchange.request());
        let too_long = || {
            Problem::new(500, "page-link-too-long", "The link to the next page is too long")
                .detail(format_args!("The request's target and the page token together exceed the longest target."))
                .hint(format_args!("shorten the query, or order by shorter columns"))
        };
        let next = &mut reply.next;
        work.canonical.read(request.path(bytes), request.query(bytes).unwrap_or_default()).map_err(|_| too_long())?;
        work.canonical.put_without_after(next).and_then(|()| next.put(b"after=")).map_err(|_| too_long())?;
        table_query::next_token(&work.catalog, &work.query, given, work.trail.values(), next).map_err(|error| match error {
            TokenError::Problem(problem) => problem,
            TokenError::Full => too_long(),
        })?;
        Ok(())
    }
}

/// A page that was encoded.
struct Page {
    given: u64,
    more: bool,
}

fn encode_page(
    mut rows: Rows<'_>, work: &mut Workspace, columns: usize, media: Media, reply: &mut Reply, turns: &Turns<'_>,
) -> Attempt<Page> {
    // Room for what stands behind the last row.
    const TAIL: usize = 1;
    work.shape.put_head(media, false, reply).map_err(|_| answer_too_large())?;
    let (limit, trailing) = (usize::from(work.query.limit), work.query.trailing.len());
    let mut given = 0;
    let mut more = false;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            // The page ends before a row that is too large for SQLite; asked for alone, that row is an error.
            Err(error) if given > 0 && error.sqlite_error_code() == Some(rusqlite::ErrorCode::TooBig) => {
                more = true;
                break;
            }
            Err(error) => return Err(ended(&error, turns)),
        };
        let mark = reply.len();
        if given == limit {
            more = true;
            break;
        }
        let put = work.shape.put_row(media, given == 0, values(row, 0, columns), reply);
        if put.is_err() || reply.room() < TAIL {
            reply.truncate(mark);
            if given == 0 {
                return Err(answer_too_large().into());
            }
            more = true;
            break;
        }
        work.trail.keep(values(row, columns, trailing));
        given += 1;
        if given % ROWS_BETWEEN_LOOKS == 0 && turns.look() {
            return Err(error::interrupted(turns.stopped()).into());
        }
    }
    RowShape::put_tail(media, false, reply).map_err(|_| answer_too_large())?;
    Ok(Page { given: given as u64, more })
}

fn set_shape(work: &mut Workspace, table: Option<usize>, media: Media) -> Attempt<usize> {
    let Workspace { catalog, query, shape, .. } = work;
    let Some(place) = table else { return Err(Problem::no_route(false).into()) };
    let columns = catalog.columns(catalog.table(place));
    let names = query.columns.iter().map(|&column| catalog.column_name(&columns[usize::from(column)]));
    shape.set(names, media).map_err(|_| Problem::too_large("bytes of column names", QUERY_BYTES / 3))?;
    Ok(shape.columns())
}

fn prepare<'h, 'c>(held: &'h mut Held<'c>, sql: &str, turns: &Turns<'_>) -> Attempt<&'h mut Statement<'c>> {
    held.get(sql).map_err(|error| ended(&error, turns))
}

fn bind(statement: &mut Statement<'_>, query: &TableQuery, count: usize) -> rusqlite::Result<()> {
    for (at, bind) in query.binds[..count].iter().enumerate() {
        bind_value(statement, at + 1, *bind, &query.scratch)?;
    }
    Ok(())
}

/// Binds a value whose bytes lie in `scratch` to the parameter at `index`, from 1.
pub(super) fn bind_value(statement: &mut Statement<'_>, index: usize, bind: Bind, scratch: &[u8]) -> rusqlite::Result<()> {
    use rusqlite::types::{ToSqlOutput, Value};
    let value = match bind {
        Bind::Null => ToSqlOutput::Owned(Value::Null),
        Bind::Integer(number) => ToSqlOutput::Owned(Value::Integer(number)),
        Bind::Real(number) => ToSqlOutput::Owned(Value::Real(number)),
        Bind::Text(span) => ToSqlOutput::Borrowed(ValueRef::Text(span.of(scratch))),
        Bind::Blob(span) => ToSqlOutput::Borrowed(ValueRef::Blob(span.of(scratch))),
    };
    statement.raw_bind_parameter(index, value)
}

/// The values of `count` columns from `first` on. The statement was prepared for them, so each is there.
pub(super) fn values<'r>(row: &'r Row<'_>, first: usize, count: usize) -> impl Iterator<Item = ValueRef<'r>> {
    (first..first + count).map(|column| row.get_ref(column).unwrap_or(ValueRef::Null))
}

pub(super) fn ended(error: &rusqlite::Error, turns: &Turns<'_>) -> Ended {
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

fn negotiate(job: &Job, offered: &[Media], format: Option<Format>) -> Attempt<Media> {
    match format {
        Some(Format::Json) => return Ok(Media::Json),
        Some(Format::Csv) => return Ok(Media::Csv),
        Some(Format::Ndjson) => return Ok(Media::Ndjson),
        None => {}
    }
    let accept = job.exchange.request().fields(job.exchange.current(), "accept");
    accept::choose(offered, accept).ok_or_else(|| not_acceptable(offered).into())
}

fn answer_too_large() -> Problem {
    Problem::new(500, "answer-too-large", "The answer is too large")
        .detail(format_args!("One row or list is longer than an answer may be: {ANSWER_KIB} KiB."))
        .hint(format_args!("leave long columns out with select=, or build with a larger FLAGSTONE_ANSWER_KIB"))
}
