//! The first look at a configuration's text: whether it is TOML at all, with every syntax error there is, and whether reading it stays within
//! the memory that is set aside for that. Knows TOML's grammar, not what a configuration means.

use core::fmt;

use toml_parser::decoder::Encoding;
use toml_parser::parser::{EventReceiver, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Source, Span};

use super::mistake::{Mistakes, Quoted};
use crate::budget::{CONFIG_TABLES, CONFIG_TOKENS, CONFIG_VALUES};

/// How deep arrays and inline tables may nest, and how many segments a header with one of its keys may have. A configuration needs four.
pub const DEPTH: usize = 8;

/// Collects every syntax error of `text`, one a line, and refuses what would take too much memory to read.
///
/// Nothing is kept but the mistakes; while it runs it takes 24 bytes a token.
pub(super) fn check(text: &str, mistakes: &mut Mistakes) {
    let source = Source::new(text);
    if let Some(token) = source.lex().nth(CONFIG_TOKENS) {
        let at = token.span().start();
        mistakes.at(
            text,
            at..at + 1,
            format_args!("more than {CONFIG_TOKENS} words and signs: this is not read any further"),
            format_args!("a configuration of the longest length has fewer; is this one?"),
        );
        return;
    }
    let tokens = source.lex().into_vec();
    let mut errors = Errors { text, mistakes };
    let mut counts = Counts { source, tables: 0, keys: 0, values: 0, depth: 0, key: 0, header: 0, is_header: false };
    let mut receiver = ValidateWhitespace::new(&mut counts, source);
    parse_document(&tokens, &mut receiver, &mut errors);
    let limits = [
        (counts.tables, "tables", CONFIG_TABLES),
        (counts.keys, "keys", CONFIG_VALUES),
        (counts.values, "values", CONFIG_VALUES),
    ];
    if let Some((found, what, most)) = limits.into_iter().find(|(found, _, most)| found > most) {
        errors.mistakes.at_line(
            text,
            1,
            format_args!("{found} {what}: this build reads {most} at most"),
            format_args!("the limit follows from FLAGSTONE_ROUTES and FLAGSTONE_ROUTE_PARAMS"),
        );
    }
}

/// Turns syntax errors into mistakes, the first of each line.
struct Errors<'a> {
    text: &'a str,
    mistakes: &'a mut Mistakes,
}

impl ErrorSink for Errors<'_> {
    fn report_error(&mut self, error: ParseError) {
        let span = error.unexpected().or(error.context()).unwrap_or_default();
        report(self.text, span.start()..span.end(), Told(&error), self.mistakes);
    }
}

/// Adds a syntax error unless its line has one: a second one follows from the first as a rule.
pub(super) fn report(text: &str, range: core::ops::Range<usize>, message: impl fmt::Display, mistakes: &mut Mistakes) {
    if mistakes.has_line(super::place::line_of(text.as_bytes(), range.start)) {
        return;
    }
    let word = text.get(range.clone()).unwrap_or_default();
    match hint(text, word, range.start) {
        Some((before, quoted)) => mistakes.at(text, range, format_args!("{message}"), format_args!("{before}{}", Quoted(quoted))),
        None => mistakes.at(text, range, format_args!("{message}"), format_args!("")),
    }
}

/// What was probably meant: a bare word where a value should be.
fn hint<'a>(text: &'a str, word: &'a str, at: usize) -> Option<(&'static str, &'a str)> {
    let line = super::place::line(text.as_bytes(), super::place::line_of(text.as_bytes(), at));
    let (_, value) = text.get(line)?.split_once('=')?;
    let value = value.split(['#', ',', '}', ']']).next()?.trim();
    let bare = !value.is_empty() && !value.starts_with(['"', '\'', '[', '{']) && value.contains(word);
    bare.then_some(("text stands in quotes: ", value))
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

/// Counts what the tree of the document will take, and looks into its words.
struct Counts<'s> {
    source: Source<'s>,
    tables: usize,
    keys: usize,
    values: usize,
    /// Open arrays and inline tables.
    depth: usize,
    /// Segments of the running key.
    key: usize,
    /// Segments of the running header.
    header: usize,
    is_header: bool,
}

impl Counts<'_> {
    /// Whether one more level is allowed; says so where it is not.
    fn deeper(&mut self, span: Span, error: &mut dyn ErrorSink) -> bool {
        self.depth += 1;
        let allowed = self.depth + self.key + self.header <= DEPTH;
        if !allowed {
            error.report_error(ParseError::new("nested deeper than eight levels").with_unexpected(span));
        }
        allowed
    }

    fn opens_header(&mut self) {
        self.tables += 1;
        self.is_header = true;
        self.header = 0;
        self.key = 0;
    }
}

impl EventReceiver for Counts<'_> {
    fn std_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.opens_header();
    }

    fn std_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_header = false;
    }

    fn array_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.opens_header();
        self.values += 1;
    }

    fn array_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_header = false;
    }

    fn inline_table_open(&mut self, span: Span, error: &mut dyn ErrorSink) -> bool {
        self.tables += 1;
        self.values += 1;
        self.deeper(span, error)
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn array_open(&mut self, span: Span, error: &mut dyn ErrorSink) -> bool {
        self.values += 1;
        self.deeper(span, error)
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        self.keys += 1;
        let segments = if self.is_header { &mut self.header } else { &mut self.key };
        *segments += 1;
        if self.depth + self.key + self.header > DEPTH {
            error.report_error(ParseError::new("nested deeper than eight levels").with_unexpected(span));
        }
        if let Some(raw) = self.source.get(span) {
            toml_parser::Raw::new_unchecked(raw.as_str(), encoding, span).decode_key(&mut (), error);
        }
    }

    fn key_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.tables += 1;
    }

    fn newline(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.key = 0;
    }

    fn key_val_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.key = 0;
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        self.values += 1;
        if let Some(raw) = self.source.get(span) {
            let _ = toml_parser::Raw::new_unchecked(raw.as_str(), encoding, span).decode_scalar(&mut (), error);
        }
    }
}
