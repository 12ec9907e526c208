//! Answers of tables: the list of them, pages of rows with their links and counts, and single rows.

use rusqlite::ffi;
use rusqlite::types::ValueRef;

use super::error;
use super::held::Held;
use super::link::put_content_range;
use super::rows::{RowShape, ShapeKey};
use super::run::{Attempt, Back, ROWS_BETWEEN_LOOKS, bind_value, ended};
use super::sqlite_error::SqliteError;
use super::statement::{Rows, Statement};
use super::turns::Turns;
use super::workspace::Workspace;
use crate::api::index_page;
use crate::api::named::{ROW_MEDIA, not_acceptable};
use crate::api::problem::Problem;
use crate::api::route::Route;
use crate::api::table_query::{self, Format, TableQuery, TokenError};
use crate::budget::{ANSWER_KIB, QUERY_BYTES};
use crate::http::accept::{self, Media};
use crate::http::prefer;
use crate::job::{Job, Reply};
use crate::memory::sink::Sink;

impl Back<'_> {
    pub(super) fn tables(&mut self, job: &Job, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Media> {
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
                self.work.row_of = None;
                self.settle(planned, turns)?;
                self.many_rows(job, reply, turns)
            }
            Route::Row { table, key } => {
                let found = table_query::find_table(&self.work.catalog, table);
                let name = found.as_ref().ok().copied();
                let planned = found.and_then(|place| self.work.plan_row(place, key, query));
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
        let statement = prepare(&mut self.held, &work.query.sql, turns)?;
        // SQLite prepares a statement anew when the schema changed, and for some patterns: the first is looked for after the second.
        let before = statement.preparations();
        let columns = set_shape(work, table, (statement.number, before, media))?;
        bind(statement, &work.query, work.query.binds.len()).map_err(|error| ended(&error, turns))?;
        let mut rows = statement.rows();
        let Some(row) = rows.next().map_err(|error| ended(&error, turns))? else {
            drop(rows);
            self.check_schema(turns)?;
            let work = &*self.work;
            let name = table.map_or("", |place| work.catalog.table_name(work.catalog.table(place)));
            return Err(Problem::no_row(name).into());
        };
        work.shape
            .put_head(media, true, reply)
            .and_then(|()| work.shape.put_row(media, true, row.values(0, columns), reply))
            .map_err(|_| answer_too_large())?;
        rows.end().map_err(|error| ended(&error, turns))?;
        let prepared_anew = statement.preparations() != before;
        if prepared_anew {
            self.check_schema(turns)?;
        }
        Ok(media)
    }

    fn many_rows(&mut self, job: &Job, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Media> {
        let media = negotiate(job, ROW_MEDIA, self.work.query.format)?;
        let request = job.exchange.request();
        let counted = prefer::count_exact(request.fields(job.exchange.current(), "prefer"));
        // Page and count are to speak of one state of the database; outside of WAL mode there is a transaction already.
        let around = counted && self.conn.is_autocommit();
        if around {
            self.reading.begin().map_err(|error| ended(&error, turns))?;
        }
        let page = self.put_counted_page(counted, media, reply, turns);
        if around {
            self.reading.end();
        }
        let page = page?;
        if page.more {
            self.put_next(job, page.given, reply)?;
        }
        Ok(media)
    }

    fn put_counted_page(&mut self, counted: bool, media: Media, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Page> {
        let page = self.put_page(media, reply, turns)?;
        if counted {
            // A turn that stops the work stops the count's first step.
            turns.look();
            let total = self.count(turns)?;
            put_content_range(reply, self.work.query.position, page.given, total);
        }
        Ok(page)
    }

    fn put_page(&mut self, media: Media, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Page> {
        let table = self.work.query.table();
        let work = &mut *self.work;
        let statement = prepare(&mut self.held, &work.query.sql, turns)?;
        let before = statement.preparations();
        let columns = set_shape(work, Some(table), (statement.number, before, media))?;
        bind(statement, &work.query, work.query.binds.len()).map_err(|error| ended(&error, turns))?;
        let page = encode_page(statement.rows(), work, columns, media, reply, turns)?;
        if statement.preparations() != before {
            self.check_schema(turns)?;
        }
        Ok(page)
    }

    fn count(&mut self, turns: &Turns<'_>) -> Attempt<u64> {
        let query = &self.work.query;
        let statement = prepare(&mut self.held, &query.count_sql, turns)?;
        bind(statement, query, query.count_binds).map_err(|error| ended(&error, turns))?;
        let mut rows = statement.rows();
        let row = rows.next().map_err(|error| ended(&error, turns))?;
        match row.map(|row| row.value(0)) {
            Some(ValueRef::Integer(count)) => Ok(count.max(0) as u64),
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
            Err(error) if given > 0 && error.primary() == ffi::SQLITE_TOOBIG => {
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
        let put = work.shape.put_row(media, given == 0, row.values(0, columns), reply);
        if put.is_err() || reply.room() < TAIL {
            reply.truncate(mark);
            if given == 0 {
                return Err(answer_too_large().into());
            }
            more = true;
            break;
        }
        work.trail.keep(row.values(columns, trailing));
        given += 1;
        if given % ROWS_BETWEEN_LOOKS == 0 && turns.look() {
            return Err(error::interrupted(turns.stopped()).into());
        }
    }
    rows.end().map_err(|error| ended(&error, turns))?;
    RowShape::put_tail(media, false, reply).map_err(|_| answer_too_large())?;
    Ok(Page { given: given as u64, more })
}

fn set_shape(work: &mut Workspace, table: Option<usize>, of: ShapeKey) -> Attempt<usize> {
    let Workspace { catalog, query, shape, .. } = work;
    let Some(place) = table else { return Err(Problem::no_route(false).into()) };
    let columns = catalog.columns(catalog.table(place));
    let names = query.columns.iter().map(|&column| catalog.column_name(&columns[usize::from(column)]));
    shape.set_once(of, names).map_err(|_| Problem::too_large("bytes of column names", QUERY_BYTES / 3))?;
    Ok(shape.columns())
}

fn prepare<'h, 'c>(held: &'h mut Held<'c>, sql: &str, turns: &Turns<'_>) -> Attempt<&'h mut Statement<'c>> {
    held.get(sql).map_err(|error| ended(&error, turns))
}

fn bind(statement: &mut Statement<'_>, query: &TableQuery, count: usize) -> Result<(), SqliteError> {
    for (at, bind) in query.binds[..count].iter().enumerate() {
        bind_value(statement, at + 1, *bind, &query.scratch)?;
    }
    Ok(())
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
