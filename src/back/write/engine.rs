//! One write: its elements, their statements, its rows. Knows nothing of transactions but that there is one.

use rusqlite::Connection;

use super::answer::Answer;
use super::idempotency::{self, Earlier, Key};
use super::work::Work;
use crate::api::named::Bound;
use crate::api::problem::Problem;
use crate::api::statements::Statements;
use crate::back::authorizer::Allowed;
use crate::back::constraint::{self, Fault, fault};
use crate::back::heap;
use crate::back::held::Held;
use crate::back::named::bind;
use crate::back::rows::RowShape;
use crate::back::statement::Statement;
use crate::back::turns::Turns;
use crate::config::{Config, Route, Rows, Verb};
use crate::job::{Done, Item, Reply};

/// Rows between two looks at the clock.
const ROWS_BETWEEN_LOOKS: u64 = 16;

/// What running statements needs.
pub struct Engine<'e, 'c, 't> {
    pub conn: &'c Connection,
    pub held: &'e mut Held<'c>,
    pub shape: &'e mut RowShape,
    pub bound: &'e mut Bound,
    pub turns: &'e Turns<'t>,
    pub config: &'e Config,
    pub reply: &'e mut Reply,
}

impl Engine<'_, '_, '_> {
    /// Runs an item's statements and puts its answer behind what is in the reply. On an error what it did must be taken back, and the reply
    /// cut to what it was.
    ///
    /// # Errors
    /// Why it failed.
    pub fn execute(&mut self, item: &Item) -> Result<Done, Fault> {
        let ran = self.execute_allowed(item);
        self.held.rest();
        ran
    }

    fn execute_allowed(&mut self, item: &Item) -> Result<Done, Fault> {
        let mut work = Work::of(item, self.config)?;
        let (place, route) = (work.place, work.route());
        let (bytes, request) = (item.exchange.current(), item.exchange.request());
        let key = match route.idempotent {
            true => Key::of(request.fields(bytes, "idempotency-key"), self.config.text(route.path), route.verb)?,
            false => None,
        };
        if let Some(key) = &key {
            match idempotency::earlier(self.held, key, bytes, request, place as u16, self.reply)? {
                Earlier::Nothing => {}
                Earlier::Answer(done) => return Ok(done),
            }
        }
        let done = self.run(&mut work, item)?;
        if let Some(key) = &key {
            let body = &self.reply.body()[done.span.range()];
            idempotency::keep(self.held, key, bytes, request, &done, body)?;
        }
        Ok(done)
    }

    fn run(&mut self, work: &mut Work<'_>, item: &Item) -> Result<Done, Fault> {
        let (route, bytes, request) = (work.route(), item.exchange.current(), item.exchange.request());
        let sql = self.config.text(route.sql);
        let answering = self.answering(sql)?;
        let mut answer = Answer::new(route, work.is_array(), self.reply.len());
        for element in 0..work.elements() {
            work.bind_next(self.bound)?;
            if element == 0 && answering.is_some() {
                answer.choose_media(request.fields(bytes, "accept"), self.bound.format())?;
            }
            self.element(route, answering, &mut answer).map_err(|fault| match fault {
                Fault::Problem(problem) if work.is_array() => Fault::Problem(of_element(problem, element + 1, work.elements())),
                fault => fault,
            })?;
        }
        let span = answer.end(answering.is_some(), self.reply)?;
        Ok(Done { status: answer.status(), media: answer.media(), span, route: work.place as u16, replayed: false })
    }

    /// The place of the last statement that gives rows: it is the answer. Every statement is prepared before the first one runs.
    fn answering(&mut self, sql: &str) -> Result<Option<usize>, Fault> {
        let mut answering = None;
        for (place, text) in Statements::of(sql).enumerate() {
            let statement = self.held.get_allowed(text, Allowed::Write).map_err(|error| fault(&error))?;
            if statement.column_count() > 0 {
                answering = Some(place);
            }
        }
        Ok(answering)
    }

    fn element(&mut self, route: &Route, answering: Option<usize>, answer: &mut Answer) -> Result<(), Fault> {
        let changes = self.conn.total_changes();
        let given = answer.given();
        for (place, text) in Statements::of(self.config.text(route.sql)).enumerate() {
            let answer = (Some(place) == answering).then_some(&mut *answer);
            self.statement(text, route, answer)?;
            if self.turns.look() {
                return Err(Fault::Interrupted);
            }
        }
        // A deferred violation is its own, so it is told now: at COMMIT it would be everybody's.
        if constraint::deferred_violations(self.conn) {
            return Err(constraint::foreign_key().detail(format_args!("FOREIGN KEY constraint failed")).into());
        }
        let silent = answering.is_none() && route.rows == Rows::One && route.verb != Verb::Post;
        let missed = match answering {
            Some(_) => answer.wants_row() && answer.given() == given,
            None => silent && self.conn.total_changes() == changes,
        };
        if missed { Err(no_row().into()) } else { Ok(()) }
    }

    fn statement(&mut self, sql: &str, route: &Route, answer: Option<&mut Answer>) -> Result<(), Fault> {
        let statement = self.held.get_allowed(sql, Allowed::Write).map_err(|error| fault(&error))?;
        let ran = bind(statement, self.config, route, self.bound)
            .map_err(|error| fault(&error))
            .and_then(|()| step(statement, answer, self.shape, self.reply, self.turns));
        // Long values would stay in SQLite's heap as long as the statement is held.
        statement.clear_bindings();
        ran
    }

    /// Gives back what SQLite can do without.
    pub fn free(&mut self) {
        self.held.clear();
        heap::release(self.conn);
    }
}

fn step(
    statement: &mut Statement<'_>, mut answer: Option<&mut Answer>, shape: &mut RowShape, reply: &mut Reply, turns: &Turns<'_>,
) -> Result<(), Fault> {
    let columns = statement.column_count();
    if let Some(answer) = &mut answer {
        answer.begin(statement, shape, reply)?;
    }
    let mut rows = statement.rows();
    let mut count = 0;
    while let Some(row) = rows.next().map_err(|error| fault(&error))? {
        if let Some(answer) = &mut answer {
            let first = count == 0;
            answer.put_row(row.values(0, columns), first, shape, reply)?;
        }
        count += 1;
        if count % ROWS_BETWEEN_LOOKS == 0 && turns.look() {
            return Err(Fault::Interrupted);
        }
    }
    Ok(())
}

fn no_row() -> Problem {
    Problem::new(404, "no-row", "No such row").detail(format_args!("no row is as the request says; nothing was written"))
}

/// Says which element of an array it was, counted from 1.
fn of_element(mut problem: Problem, number: usize, count: usize) -> Problem {
    let detail = core::mem::take(&mut problem.detail);
    problem.detail(format_args!("element {number} of {count}: {detail}"))
}
