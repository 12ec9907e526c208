//! What reading a text will take of the heap, told before it is read: an upper bound from counting its words, tables and keys. Knows how the
//! TOML reader builds its tree, not what stands in it. `tests/memory_config.rs` holds it against measured peaks.

use toml::Spanned;
use toml::de::{DeString, DeValue, Error};
use toml_parser::decoder::Encoding;
use toml_parser::lexer::Token;
use toml_parser::parser::{Event, EventReceiver};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span};

/// How deep arrays and inline tables may nest, and how many segments a header with one of its keys may have. A configuration needs four.
pub const DEPTH: usize = 8;

/// What the allocator may add to a block.
const HEADER: usize = 32;
const KEY: usize = size_of::<Spanned<DeString<'_>>>();
const VALUE: usize = size_of::<Spanned<DeValue<'_>>>();
/// A node of a B-tree: 11 keys and values, a parent, and 12 children.
const NODE: usize = 11 * (KEY + VALUE) + 16 + 12 * 8 + HEADER;
/// Keys that every node but a table's last holds at least.
const NODE_KEYS: usize = 5;
/// A list that doubles holds three times its elements while it moves.
const MOVING: usize = 3;
/// A key or table that stands twice is an error with a message of its own.
const ERROR: usize = MOVING * size_of::<Error>() + 2 * HEADER;

/// Bytes for the words and signs of a text of `length` bytes, and for what the grammar makes of them.
pub(super) fn of_tokens(length: usize, tokens: usize) -> usize {
    // The reader's first guess is two words for seven bytes; then it doubles.
    let mut room = (length / 7 * 2).max(4);
    while room < tokens {
        room *= 2;
    }
    room * size_of::<Token>() + tokens * size_of::<Event>() + 2 * HEADER
}

/// Counts what the tree of a document will take, and tells what is wrong inside its words.
pub(super) struct Cost<'s> {
    source: Source<'s>,
    /// Bytes without the words' own.
    bytes: usize,
    /// Keys and tables that may turn out to stand there twice.
    twice: usize,
    /// Keys of the running table and of the inline tables that are open in it.
    keys: heapless::Vec<usize, { DEPTH + 2 }>,
    /// Open arrays and inline tables.
    depth: usize,
    /// Segments of the running key.
    key: usize,
    /// Segments of the running header.
    header: usize,
    is_header: bool,
    /// Whether the next value has a key: its room is the key's.
    named: bool,
}

impl<'s> Cost<'s> {
    /// Nothing counted yet.
    pub(super) fn new(source: Source<'s>) -> Cost<'s> {
        let mut keys = heapless::Vec::new();
        let _ = keys.push(0);
        // The root's node, and the copy of the text that errors share.
        let bytes = NODE + ERROR + source.input().len() + HEADER;
        Cost { source, bytes, twice: 0, keys, depth: 0, key: 0, header: 0, is_header: false, named: false }
    }

    /// Bytes that the tree takes at most.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that the errors take when every key stands there twice.
    pub(super) fn errors(&self) -> usize {
        self.twice * ERROR
    }

    /// Whether one more level is allowed; says so where it is not.
    fn deeper(&mut self, span: Span, error: &mut dyn ErrorSink) -> bool {
        self.depth += 1;
        let allowed = self.depth <= DEPTH && self.keys.push(0).is_ok();
        if !allowed {
            error.report_error(ParseError::new("nested deeper than eight levels").with_unexpected(span));
        }
        allowed
    }

    fn shallower(&mut self) {
        if self.depth <= DEPTH {
            self.keys.pop();
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// A key of the running table: every fifth begins a node.
    fn one_more_key(&mut self) {
        if let Some(keys) = self.keys.last_mut() {
            *keys += 1;
            self.bytes += if keys.is_multiple_of(NODE_KEYS) { NODE } else { 0 };
        }
    }

    /// A value, which is an element of an array where it has no key.
    fn one_more_element(&mut self) {
        if !core::mem::take(&mut self.named) {
            self.bytes += MOVING * VALUE;
        }
    }

    fn opens_header(&mut self) {
        // Its own node, and its share of its parent's.
        self.bytes += NODE + NODE / NODE_KEYS + VALUE;
        self.is_header = true;
        (self.header, self.key, self.depth) = (0, 0, 0);
        self.keys.truncate(1);
        if let Some(keys) = self.keys.first_mut() {
            *keys = 0;
        }
    }

    /// A word that is not in the file as it is read has a copy.
    fn copied(&mut self, word: &str, encoding: Option<Encoding>) {
        let changes = match encoding {
            None => word.contains('_'),
            Some(_) => word.contains(['\\', '\r']),
        };
        if changes {
            self.bytes += MOVING * word.len() + 2 * HEADER;
        }
    }
}

impl EventReceiver for Cost<'_> {
    fn std_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.opens_header();
    }

    fn std_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_header = false;
    }

    fn array_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.opens_header();
        // It may be the first of its list, whose room is for four.
        self.bytes += 4 * VALUE + HEADER;
    }

    fn array_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_header = false;
    }

    fn inline_table_open(&mut self, span: Span, error: &mut dyn ErrorSink) -> bool {
        self.bytes += NODE;
        self.one_more_element();
        self.deeper(span, error)
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.shallower();
    }

    fn array_open(&mut self, span: Span, error: &mut dyn ErrorSink) -> bool {
        // Room for four at once.
        self.bytes += 4 * VALUE + HEADER;
        self.one_more_element();
        self.deeper(span, error)
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.shallower();
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let segments = if self.is_header { &mut self.header } else { &mut self.key };
        *segments += 1;
        self.twice += 1;
        if self.key + self.header > DEPTH {
            error.report_error(ParseError::new("nested deeper than eight levels").with_unexpected(span));
        }
        self.one_more_key();
        if let Some(raw) = self.source.get(span) {
            self.copied(raw.as_str(), encoding);
            Raw::new_unchecked(raw.as_str(), encoding, span).decode_key(&mut (), error);
        }
    }

    /// Each segment but the last is a table.
    fn key_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.bytes += NODE + VALUE;
    }

    fn key_val_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.key = 0;
        self.named = true;
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        self.one_more_element();
        if let Some(raw) = self.source.get(span) {
            self.copied(raw.as_str(), encoding);
            let _ = Raw::new_unchecked(raw.as_str(), encoding, span).decode_scalar(&mut (), error);
        }
    }

    fn newline(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.key = 0;
    }
}
