//! Answers of named routes: the configuration's SQL with the request's values, and its rows in the shape that the route names.

use std::rc::Rc;

use rusqlite::ffi;
use rusqlite::types::ValueRef;

use super::authorizer::Allowed;
use super::error;
use super::rows::RowShape;
use super::run::{Attempt, Back, ROWS_BETWEEN_LOOKS, bind_value, ended};
use super::sqlite_error::SqliteError;
use super::statement::Statement;
use super::turns::Turns;
use crate::api::named::{self, Bound};
use crate::api::problem::Problem;
use crate::budget::{ANSWER_KIB, QUERY_BYTES};
use crate::config::{Config, Route, Rows};
use crate::http::accept::Media;
use crate::job::{Job, Reply};
use crate::memory::sink::Sink;

impl Back<'_> {
    /// The rows of the route at this place of the configuration.
    pub(super) fn named_rows(&mut self, job: &Job, place: u16, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Media> {
        let media = self.put_named_rows(job, place, reply, turns);
        // The end of a transaction around it is not on the statement's list.
        self.held.rest();
        media
    }

    fn put_named_rows(&mut self, job: &Job, place: u16, reply: &mut Reply, turns: &Turns<'_>) -> Attempt<Media> {
        let config = Rc::clone(&self.config);
        let Some(route) = config.routes().get(usize::from(place)) else { return Err(Problem::no_route(false).into()) };
        let (bytes, request) = (job.exchange.current(), job.exchange.request());
        let work = &mut *self.work;
        let bound = work.bound.get_or_insert_with(Box::default);
        bound.bind_query(&config, route, request.path(bytes), request.query(bytes).unwrap_or_default())?;
        let media = named::media(route.rows, bound.format(), request.fields(bytes, "accept"))?;
        let statement = self.held.get_allowed(config.text(route.sql), Allowed::Read).map_err(|error| ended(&error, turns))?;
        let before = statement.preparations();
        bind(statement, &config, route, bound).map_err(|error| ended(&error, turns))?;
        let found = put_rows(statement, route.rows, media, &mut work.shape, reply, turns)?;
        // Its columns may have been others when their names were taken.
        let prepared_anew = statement.preparations() != before;
        if prepared_anew {
            self.check_schema(turns)?;
        }
        match found || route.rows == Rows::Many {
            true => Ok(media),
            false => Err(Problem::new(404, "no-row", "No such row").detail(format_args!("The query found nothing.")).into()),
        }
    }
}

/// Binds each parameter of the statement by its name.
///
/// # Errors
/// What SQLite said.
pub(super) fn bind(statement: &mut Statement<'_>, config: &Config, route: &Route, bound: &Bound) -> Result<(), SqliteError> {
    let params = config.params(route);
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).and_then(|name| name.strip_prefix(':'));
        let place = name.and_then(|name| params.iter().position(|param| config.text(param.name) == name));
        // The configuration was checked: each parameter of its SQL is one of the route's.
        let Some(place) = place else { return Err(SqliteError::new(ffi::SQLITE_RANGE, "a parameter without a value")) };
        bind_value(statement, index, bound.binds()[place], bound.scratch())?;
    }
    Ok(())
}

/// Whether there was a row.
fn put_rows(
    statement: &mut Statement<'_>, rows: Rows, media: Media, shape: &mut RowShape, reply: &mut Reply, turns: &Turns<'_>,
) -> Attempt<bool> {
    let columns = statement.column_count();
    let single = rows != Rows::Many;
    if rows != Rows::Value {
        let names = (0..columns).map(|column| statement.column_name(column));
        shape
            .set_once((statement.number, statement.preparations(), media), names)
            .map_err(|_| Problem::too_large("bytes of column names", QUERY_BYTES / 3))?;
        shape.put_head(media, single, reply).map_err(|_| too_large())?;
    }
    let mut found = statement.rows();
    let mut given = 0_usize;
    while let Some(row) = found.next().map_err(|error| ended(&error, turns))? {
        let put = match rows {
            Rows::Value => put_bare(row.value(0), reply),
            _ => shape.put_row(media, given == 0, row.values(0, columns), reply),
        };
        put.map_err(|_| too_large())?;
        if single {
            found.end().map_err(|error| ended(&error, turns))?;
            return Ok(true);
        }
        given += 1;
        if given.is_multiple_of(ROWS_BETWEEN_LOOKS) && turns.look() {
            return Err(error::interrupted(turns.stopped()).into());
        }
    }
    if !single {
        RowShape::put_tail(media, false, reply).map_err(|_| too_large())?;
    }
    Ok(given > 0)
}

/// A value as it is: text and blobs byte for byte, numbers as in JSON, NULL as nothing.
///
/// # Errors
/// [`Full`](crate::memory::sink::Full) when the reply is.
pub(super) fn put_bare(value: ValueRef, reply: &mut Reply) -> Result<(), crate::memory::sink::Full> {
    match value {
        ValueRef::Null => Ok(()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => reply.put(bytes),
        number => super::rows::put_json(number, reply),
    }
}

fn too_large() -> Problem {
    Problem::new(500, "answer-too-large", "The answer is too large")
        .detail(format_args!("The rows of this route are longer than an answer may be: {ANSWER_KIB} KiB."))
        .hint(format_args!("let its SQL have a LIMIT, or build with a larger FLAGSTONE_ANSWER_KIB"))
}
