//! The configuration's SQL before it is served: each statement is prepared, and what would fail or mislead later is a mistake now.

use std::fmt::Write as _;

use rusqlite::ffi;
use rusqlite::types::ValueRef;

use super::authorizer::Allowed;
use super::run::Back;
use super::sqlite_error::SqliteError;
use super::statement::Statement;
use super::turns::{Turn, with_turns};
use crate::api::statements::Statements;
use crate::config::nearest::nearest;
use crate::config::{Config, Expose, Mistakes, Route, Rows};
use crate::job::Micros;

/// Rows from which on a table is large: reading all of it for a request is worth a word.
const LARGE: i64 = 10_000;

/// One step of a route's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// SQLite's words, indented by depth.
    pub text: String,
    /// The rows of the table that is read whole, if it is large.
    pub whole: Option<i64>,
}

impl<'c> Back<'c> {
    /// Prepares everything that `config` asks of the database, which was read from `text`. What is wrong is added to `mistakes`. `turn` is called
    /// meanwhile; the deadline is only there so that a lock of another process ends the check.
    pub fn check(&mut self, config: &Config, text: &str, mistakes: &mut Mistakes, deadline: Micros, turn: Turn<'_>) {
        self.end_sharing();
        let (conn, started) = (self.conn, self.started);
        with_turns(conn, started, deadline, turn, |turns| {
            self.check_exposed(config, text, mistakes);
            for route in config.routes() {
                self.check_route(config, route, text, mistakes);
                turns.look();
            }
        });
    }

    fn check_exposed(&self, config: &Config, text: &str, mistakes: &mut Mistakes) {
        let Expose::Named(names) = &config.expose else { return };
        let catalog = &self.work.catalog;
        let tables = || catalog.tables().iter().map(|table| catalog.table_name(table));
        for name in names.iter().map(|&name| config.text(name)) {
            if tables().any(|table| table.eq_ignore_ascii_case(name)) {
                continue;
            }
            let message = format_args!("the database has no table {name:?}");
            match nearest(name, tables()) {
                Some(near) => mistakes.at_key(text, "expose", message, format_args!("did you mean {near:?}?")),
                None => mistakes.at_key(text, "expose", message, format_args!("GET /tables lists them where all are exposed")),
            }
        }
    }

    fn check_route(&mut self, config: &Config, route: &Route, text: &str, mistakes: &mut Mistakes) {
        let sql = config.text(route.sql);
        for part in Statements::of(sql) {
            let start = part.as_ptr().addr() - sql.as_ptr().addr();
            let allowed = if route.verb.writes() { Allowed::Write } else { Allowed::Read };
            match self.held.try_prepare(part, allowed) {
                Ok(statement) if route.verb.writes() => drop(statement),
                Ok(statement) => check_columns(&statement, route, text, mistakes),
                Err(error) => refuse(&error, route, part, start, text, mistakes),
            }
        }
    }

    /// How SQLite will run a route's statements, for people; each step with what is worth knowing. For the start and the command line: it allocates.
    ///
    /// # Errors
    /// What SQLite said.
    pub fn plan(&mut self, config: &Config, route: &Route) -> Result<Vec<Step>, SqliteError> {
        let mut steps = Vec::new();
        for sql in Statements::of(config.text(route.sql)) {
            let mut explained = Statement::prepare(self.conn, &format!("EXPLAIN QUERY PLAN {sql}"))?;
            let mut rows = explained.rows();
            let mut depths: Vec<(i64, usize)> = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, parent) = (integer(row.value(0)), integer(row.value(1)));
                let ValueRef::Text(detail) = row.value(3) else { continue };
                let detail = String::from_utf8_lossy(detail);
                let depth = depths.iter().find(|(known, _)| *known == parent).map_or(0, |(_, depth)| depth + 1);
                depths.push((id, depth));
                let whole = match detail.strip_prefix("SCAN ") {
                    Some(name) if !detail.contains("VIRTUAL TABLE") => self.rows_if_large(name, sql)?,
                    _ => None,
                };
                steps.push(Step { text: format!("{}{detail}", "  ".repeat(depth)), whole });
            }
        }
        Ok(steps)
    }

    /// The number of rows of the table that a plan's step reads whole, when they are many. A plan names a table by its alias.
    fn rows_if_large(&self, scanned: &str, sql: &str) -> Result<Option<i64>, SqliteError> {
        let name = scanned.split(' ').next().unwrap_or_default();
        let catalog = &self.work.catalog;
        let find = |name: &str| {
            let place = catalog.tables().iter().position(|table| catalog.table_name(table).eq_ignore_ascii_case(name));
            place.map(|place| catalog.table_name(&catalog.tables()[place]))
        };
        let Some(table) = find(name).or_else(|| aliased(name, sql).and_then(find)) else { return Ok(None) };
        let mut count = String::new();
        let quoted = table.replace('"', "\"\"");
        let _ = write!(count, "SELECT count(*) FROM (SELECT 1 FROM \"{quoted}\" LIMIT {})", LARGE + 1);
        let rows = self.counted(&count)?;
        if rows <= LARGE {
            return Ok(None);
        }
        self.counted(&format!("SELECT count(*) FROM \"{quoted}\"")).map(Some)
    }

    fn counted(&self, sql: &str) -> Result<i64, SqliteError> {
        let mut counting = Statement::prepare(self.conn, sql)?;
        Ok(counting.rows().next()?.map_or(0, |row| integer(row.value(0))))
    }
}

fn integer(value: ValueRef) -> i64 {
    if let ValueRef::Integer(number) = value { number } else { 0 }
}

/// The table that `alias` stands for: the word before it, or before an AS before it.
fn aliased<'s>(alias: &str, sql: &'s str) -> Option<&'s str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
    let words: Vec<&str> = sql.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).collect();
    let at = words.iter().skip(1).position(|word| word.eq_ignore_ascii_case(alias))? + 1;
    let before = if words[at - 1].eq_ignore_ascii_case("as") { at.checked_sub(2)? } else { at - 1 };
    Some(words[before].trim_matches('"'))
}

fn check_columns(statement: &Statement<'_>, route: &Route, text: &str, mistakes: &mut Mistakes) {
    let names = || (0..statement.column_count()).map(|column| statement.column_name(column));
    if statement.column_count() == 0 {
        mistakes.at_sql(text, route.line, 0, format_args!("a GET route's SQL gives rows"), format_args!("begin it with SELECT"));
    }
    if route.rows == Rows::Value {
        return;
    }
    for (at, name) in names().enumerate() {
        if names().take(at).any(|other| other == name) {
            let message = format_args!("two columns of this answer are named {name:?}");
            return mistakes.at_sql(text, route.line, 0, message, format_args!("give one of them another name with AS"));
        }
    }
}

/// Tells what SQLite has against a statement that begins at `start` of its route's SQL.
fn refuse(error: &SqliteError, route: &Route, sql: &str, start: usize, text: &str, mistakes: &mut Mistakes) {
    let (message, offset) = (error.message.as_str(), usize::try_from(error.offset).unwrap_or(0));
    if error.primary() == ffi::SQLITE_AUTH {
        let allowed = if route.verb.writes() { "SELECT, INSERT, UPDATE and DELETE" } else { "SELECT" };
        let hint = format_args!("a {} route may {allowed}, and nothing else", route.verb.name());
        return mistakes.at_sql(text, route.line, start, format_args!("the SQL does what no route may: {message}"), hint);
    }
    // Of a name that is not there SQLite tells the name, and not the place.
    let named = message.strip_prefix("no such ").and_then(|rest| rest.split_once(": ")).and_then(|(_, name)| sql.find(name));
    let at = start + named.filter(|_| offset == 0).unwrap_or(offset);
    let hint = format_args!("try it in the sqlite3 shell on the same database");
    mistakes.at_sql(text, route.line, at, format_args!("SQLite says: {message}"), hint);
}
