//! A write's answer: the rows of its last statement that gives any.
//!
//! As REST and PostgREST have it: rows of a POST are what it has created, 201; any other rows are 200; no rows to give is 204. A POST whose
//! statement gives rows but gave none (ON CONFLICT DO NOTHING) has created nothing: 200 and an empty list. A route that answers with one row
//! or value has 404 when there is none, and then has written nothing. An array of elements is answered by an array: all their rows, or
//! one row or value of each.

use rusqlite::types::ValueRef;

use crate::api::named;
use crate::api::problem::Problem;
use crate::api::table_query::Format;
use crate::back::constraint::Fault;
use crate::back::named::put_bare;
use crate::back::rows::{RowShape, put_json};
use crate::back::statement::Statement;
use crate::budget::ANSWER_KIB;
use crate::config::{Route, Rows, Verb};
use crate::http::accept::Media;
use crate::job::Reply;
use crate::memory::Span;
use crate::memory::sink::{Full, Sink};

/// An answer on its way into the reply.
pub struct Answer {
    rows: Rows,
    is_array: bool,
    creates: bool,
    media: Media,
    /// Where it begins in the reply.
    start: usize,
    /// Whether the head stands there and the names are shaped.
    begun: bool,
    /// Whether rows are given at all.
    shown: bool,
    given: u64,
}

impl Answer {
    /// The answer of a route, behind `start` bytes of the reply.
    pub fn new(route: &Route, is_array: bool, start: usize) -> Answer {
        let creates = route.verb == Verb::Post;
        Answer { rows: route.rows, is_array, creates, media: Media::Json, start, begun: false, shown: false, given: 0 }
    }

    /// Chooses the rows' format before anything is written.
    ///
    /// # Errors
    /// 406 when no format is acceptable.
    pub fn choose_media<'a>(&mut self, accept: impl Iterator<Item = &'a [u8]>, format: Option<Format>) -> Result<(), Problem> {
        self.media = named::media(self.rows, format, accept)?;
        Ok(())
    }

    /// Takes the names of a statement's columns, once.
    ///
    /// # Errors
    /// When names or head do not fit.
    pub fn begin(&mut self, statement: &Statement<'_>, shape: &mut RowShape, reply: &mut Reply) -> Result<(), Fault> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let names = (0..statement.column_count()).map(|column| statement.column_name(column));
        shape.set(names, self.media).map_err(|_| too_large())?;
        let put = match self.rows {
            Rows::Value if self.is_array => reply.put(b"["),
            Rows::Value => Ok(()),
            _ => shape.put_head(self.media, self.is_single(), reply),
        };
        put.map_err(|_| self.no_room())
    }

    /// Puts a row, unless the answer wants only the first of each element and this is not `first`.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn put_row<'v>(
        &mut self, mut values: impl Iterator<Item = ValueRef<'v>>, first: bool, shape: &RowShape, reply: &mut Reply,
    ) -> Result<(), Fault> {
        if self.rows != Rows::Many && !first {
            return Ok(());
        }
        let put = match self.rows {
            Rows::Value => {
                let value = values.next().unwrap_or(ValueRef::Null);
                if self.is_array { put_element(value, self.given == 0, reply) } else { put_bare(value, reply) }
            }
            _ => shape.put_row(self.media, self.given == 0, values, reply),
        };
        self.given += 1;
        put.map_err(|_| self.no_room())
    }

    /// Ends the answer; where it stands. `shown` says whether there is a statement that gives rows.
    ///
    /// # Errors
    /// When the end does not fit.
    pub fn end(&mut self, shown: bool, reply: &mut Reply) -> Result<Span, Fault> {
        self.shown = shown;
        let put = match (shown, self.rows) {
            (false, _) => Ok(()),
            // An array without elements ran nothing.
            (true, _) if !self.begun => reply.put(b"[]"),
            (true, Rows::Value) if self.is_array => reply.put(b"]"),
            (true, Rows::Value) => Ok(()),
            (true, _) => RowShape::put_tail(self.media, self.is_single(), reply),
        };
        put.map_err(|_| self.no_room())?;
        Ok(Span::between(self.start, reply.len()))
    }

    /// Rows so far.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// Whether every element must give a row.
    pub fn wants_row(&self) -> bool {
        self.rows != Rows::Many
    }

    /// The status, when it is whole.
    pub fn status(&self) -> u16 {
        match self.shown {
            false => 204,
            true if self.creates && self.given > 0 => 201,
            true => 200,
        }
    }

    /// What the body is, when it is whole; `None` without rows to give.
    pub fn media(&self) -> Option<Media> {
        let list_of_values = self.rows == Rows::Value && self.is_array;
        self.shown.then_some(if list_of_values { Media::Json } else { self.media })
    }

    fn is_single(&self) -> bool {
        self.rows == Rows::One && !self.is_array
    }

    /// Whose answer is the first in the reply has all of its room.
    fn no_room(&self) -> Fault {
        if self.start == 0 { too_large().into() } else { Fault::Later }
    }
}

fn put_element(value: ValueRef, first: bool, reply: &mut Reply) -> Result<(), Full> {
    if !first {
        reply.put(b",")?;
    }
    put_json(value, reply)
}

fn too_large() -> Problem {
    Problem::new(500, "answer-too-large", "The answer is too large")
        .detail(format_args!("The rows are longer than an answer may be: {ANSWER_KIB} KiB; nothing was written."))
        .hint(format_args!("give fewer columns back, or build with a larger FLAGSTONE_ANSWER_KIB"))
}
