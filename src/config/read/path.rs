//! What is said of a path that is none.

use core::fmt::Arguments;
use core::ops::Range;

use super::{Reader, Value};
use crate::config::mistake::Quoted;
use crate::config::path::{PathError, SEGMENTS};
use crate::config::place;

impl Reader<'_> {
    /// A mistake about a path, at the part of it that is meant.
    pub(super) fn wrong_path(&mut self, path: &str, value: &Value<'_>, error: &PathError) {
        let range = range_of(error, path);
        let part = Quoted(path.get(range.clone()).unwrap_or_default());
        let mut say = |message: Arguments<'_>, hint: Arguments<'_>| {
            let raw = &self.text[value.span()];
            let start = value.span().start + place::in_string(raw, range.start);
            let end = value.span().start + place::in_string(raw, range.end);
            self.mistakes.at(self.text, start..end.max(start + 1), message, hint);
        };
        match error {
            PathError::NoSlash => say(format_args!("the path does not begin with a slash"), format_args!("write \"/{path}\"")),
            PathError::EmptySegment(_) => say(
                format_args!("the path has an empty segment"),
                format_args!("a request is matched segment by segment: leave one slash out"),
            ),
            PathError::EndsWithSlash => {
                say(format_args!("the path ends with a slash"), format_args!("write {}", Quoted(path.trim_end_matches('/'))));
            }
            PathError::TooManySegments(count) => {
                say(format_args!("the path has {count} segments"), format_args!("at most {SEGMENTS}"));
            }
            PathError::Query(_) => say(
                format_args!("a path has no query string and no fragment"),
                format_args!("parameters of the query string need no mention: write :name in the SQL"),
            ),
            PathError::Escape(_) => say(
                format_args!("the path has an escape"),
                format_args!("write the character itself: requests are decoded before they are compared"),
            ),
            PathError::Unprintable(_) => {
                say(format_args!("the path has a space or a control character"), format_args!("use - or _"));
            }
            PathError::Dots(_) => say(format_args!("{part} in a path is taken away by clients"), format_args!("leave it out")),
            PathError::ParamName(_) => say(
                format_args!("{part} is no name for a parameter"),
                format_args!("a letter or _, then letters, digits and _: \"/api/latest/:sensor\""),
            ),
            PathError::Twice(_) => {
                say(format_args!("the path has {part} twice"), format_args!("each parameter has a name of its own"));
            }
            PathError::Reserved => say(
                format_args!("{part} is reserved"),
                format_args!("/-/..., /tables, /tables/... and /metrics are Flagstone's own; for example \"/api/latest\""),
            ),
        }
    }
}

/// The part of a path that an error is about.
fn range_of(error: &PathError, path: &str) -> Range<usize> {
    match error {
        PathError::EmptySegment(range)
        | PathError::Unprintable(range)
        | PathError::Dots(range)
        | PathError::ParamName(range)
        | PathError::Twice(range) => range.clone(),
        PathError::Query(from) => *from..path.len(),
        PathError::Escape(from) => *from..(*from + 3).min(path.len()),
        PathError::EndsWithSlash => path.len() - 1..path.len(),
        PathError::NoSlash | PathError::TooManySegments(_) | PathError::Reserved => 0..path.len(),
    }
}
