//! The first look at a configuration's text: whether it is TOML at all, with every syntax error there is, and whether reading it stays within
//! the memory that is set aside for that. Knows TOML's grammar, not what a configuration means.

use core::fmt;

use toml_parser::parser::{ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Source};

use super::cost::{self, Cost};
use super::mistake::{Mistakes, Quoted};
use super::place;
use crate::budget::CONFIG_ARENA_BYTES;

/// Bytes of the heap that reading `text` takes at most, whatever stands in it; `None` for a text that is not read because of its syntax or
/// because that is more than [`CONFIG_ARENA_BYTES`].
pub fn reading_bytes(text: &str) -> Option<usize> {
    let mut mistakes = Mistakes::new();
    let reading = check(text, &mut mistakes);
    reading.filter(|_| mistakes.is_empty()).map(|reading| reading.bytes + reading.errors.unwrap_or(0))
}

/// What reading a text takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Bytes of its words and its tree.
    bytes: usize,
    /// Bytes of the errors that may come up in the tree, where there is room for all of them.
    pub(super) errors: Option<usize>,
}

/// Collects every syntax error of `text`, one a line, and refuses what would take too much memory to read; else says how much it will be.
///
/// Keeps nothing but the mistakes; while it runs it takes what [`cost::of_tokens`] says.
pub(super) fn check(text: &str, mistakes: &mut Mistakes) -> Option<Reading> {
    let source = Source::new(text);
    let words = cost::of_tokens(text.len(), source.lex().count());
    if words > CONFIG_ARENA_BYTES {
        too_much(text, words, mistakes);
        return None;
    }
    let tokens = source.lex().into_vec();
    let mut cost = Cost::new(source);
    let mut errors = Errors { text, mistakes, told: 0..0, open: None, lost: false };
    let mut receiver = ValidateWhitespace::new(&mut cost, source);
    parse_document(&tokens, &mut receiver, &mut errors);
    let bytes = words + cost.bytes();
    if bytes > CONFIG_ARENA_BYTES {
        too_much(text, bytes, mistakes);
        return None;
    }
    Some(Reading { bytes, errors: Some(cost.errors()).filter(|errors| bytes + errors <= CONFIG_ARENA_BYTES) })
}

fn too_much(text: &str, bytes: usize, mistakes: &mut Mistakes) {
    let (needed, most) = (bytes.div_ceil(1024), CONFIG_ARENA_BYTES / 1024);
    mistakes.at_line(
        text,
        1,
        format_args!("reading this file would take {needed} KiB: this build has {most} for that (FLAGSTONE_CONFIG_ARENA_KIB)"),
        format_args!("it has very many keys, tables or signs: leave some out, or build with a larger FLAGSTONE_CONFIG_ARENA_KIB"),
    );
}

/// Turns syntax errors into mistakes, the first of each line.
struct Errors<'a> {
    text: &'a str,
    mistakes: &'a mut Mistakes,
    /// The line of the last error: a further one in it follows from that as a rule, and need not be looked up.
    told: core::ops::Range<usize>,
    /// Where a string begins that its line does not end: the lines behind it may have been meant to belong to it.
    open: Option<usize>,
    /// Behind an array that was not closed nothing can be told.
    lost: bool,
}

impl ErrorSink for Errors<'_> {
    fn report_error(&mut self, error: ParseError) {
        if self.lost {
            return;
        }
        if self.mistakes.is_full() {
            return self.mistakes.at(self.text, 0..0, format_args!(""), format_args!(""));
        }
        let span = error.unexpected().or(error.context()).unwrap_or_default();
        let range = span.start()..span.end();
        if self.told.contains(&range.start) {
            return;
        }
        if let Some(open) = self.open
            && is_one_value(self.text.get(open..range.start).unwrap_or_default())
        {
            // What was looked at is not looked at again.
            self.open = Some(range.start);
            return;
        }
        let line = place::line(self.text.as_bytes(), place::line_of(self.text.as_bytes(), range.start));
        self.told = line.start..line.end + 1;
        self.open = error.description().ends_with("string").then_some(line.end);
        let in_array = error.description().contains("array element");
        if in_array && self.text[line.start..].trim_start().starts_with(begins_key) && self.text[line.clone()].contains('=') {
            self.lost = true;
            let message = format_args!("an array above this line is not closed");
            self.mistakes.at(self.text, range, message, format_args!("write its ]; what follows was not looked at"));
        } else if range.is_empty() && error.description().starts_with("string values must") {
            self.mistakes.at(self.text, range, format_args!("the value is missing"), format_args!("for example ttl = \"5m\""));
        } else if self.open.is_some() && error.description().starts_with("invalid") {
            let hint = format_args!("it ends in its line; text of several lines stands between \"\"\" and \"\"\"");
            self.mistakes.at(self.text, range, format_args!("{}", Told(&error)), hint);
        } else {
            report(self.text, range, Told(&error), self.mistakes);
        }
    }
}

/// Whether no line of a text begins a key or a section.
fn is_one_value(text: &str) -> bool {
    text.lines().all(|line| {
        let word = line.split('=').next().unwrap_or_default().trim();
        let key = line.contains('=') && !word.is_empty() && word.chars().all(|letter| begins_key(letter) || letter == '.');
        !key && !line.trim_start().starts_with('[')
    })
}

/// Whether a letter may begin a key without quotes.
fn begins_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}

/// Adds a syntax error.
fn report(text: &str, range: core::ops::Range<usize>, message: impl fmt::Display, mistakes: &mut Mistakes) {
    match bare_value(text, range.clone()) {
        Some(value) => {
            mistakes.at(text, range, format_args!("{message}"), format_args!("text stands in quotes: {}", Quoted(value)))
        }
        None => mistakes.at(text, range, format_args!("{message}"), format_args!("")),
    }
}

/// The value of a line, where the error lies in it and it has no quotes.
fn bare_value(text: &str, range: core::ops::Range<usize>) -> Option<&str> {
    let line = place::line(text.as_bytes(), place::line_of(text.as_bytes(), range.start));
    let (key, value) = text.get(line.clone())?.split_once('=')?;
    let value = value.split(['#', ',', '}', ']']).next()?.trim();
    let bare = !value.is_empty() && !value.contains('=') && !value.starts_with(['"', '\'', '[', '{']);
    (bare && range.start > line.start + key.len()).then_some(value)
}

/// An error's words.
struct Told<'a>(&'a ParseError);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.description())?;
        let expected = self.0.expected().unwrap_or_default();
        for (at, expected) in expected.iter().enumerate() {
            f.write_str(match at {
                0 => ", expected ",
                _ if at + 1 == self.0.expected().unwrap_or_default().len() => " or ",
                _ => ", ",
            })?;
            match expected {
                Expected::Literal("\n") => f.write_str("the end of the line")?,
                Expected::Literal(text) => write!(f, "`{text}`")?,
                Expected::Description(text) => f.write_str(text)?,
                _ => f.write_str("something else")?,
            }
        }
        Ok(())
    }
}
