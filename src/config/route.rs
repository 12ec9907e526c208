//! A named route as the configuration describes it: its method and path, its SQL, its parameters and how its answer may be kept.

use crate::memory::Span;

/// What a route is asked with (RFC 9110 §9.3). GET routes answer HEAD too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Writes.
    Post,
    /// Writes.
    Put,
    /// Writes.
    Patch,
    /// Writes.
    Delete,
}

impl Verb {
    /// The method's name.
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
        }
    }

    /// Whether its statements may change the database.
    pub const fn writes(self) -> bool {
        !matches!(self, Verb::Get)
    }
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// An array of flat objects.
    Many,
    /// One object, or 404.
    One,
    /// The first column of the first row, bare, or 404.
    Value,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text from path, query and form; a JSON body's values keep their own type. What a parameter is that nobody declared.
    Any,
    /// UTF-8 text.
    Text,
    /// A 64-bit integer.
    Integer,
    /// A finite number.
    Real,
    /// `true` or `false`, also `1` and `0`; bound as 1 or 0.
    Boolean,
    /// JSON, bound as its text.
    Json,
    /// Base64 (RFC 4648 §4), bound as its bytes.
    Blob,
}

/// A value that stands in the configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Literal {
    /// An integer; also true (1) and false (0).
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text, or JSON, in the configuration's text.
    Text(Span),
    /// Bytes, in the configuration's text.
    Blob(Span),
}

/// A parameter of a route's SQL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Param {
    /// Its name without the colon, in the configuration's text.
    pub name: Span,
    /// Its type.
    pub kind: Kind,
    /// Its value when a request has none; without it a request must have one.
    pub default: Option<Literal>,
    /// The least value of an integer or real, the least length of a text in characters.
    pub min: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
    /// Whether the route's `params` name it.
    pub declared: bool,
}

/// A named route.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Route {
    /// What it is asked with.
    pub verb: Verb,
    /// Its path, `/api/latest/:sensor`: each segment literal or a parameter, never empty but for the path `/`.
    pub path: Span,
    /// Its SQL: one statement, or several that run in one transaction.
    pub sql: Span,
    /// Where its parameters begin in the configuration's list: those that its SQL names, each once, in the order in which they stand there
    /// first (SQLite's own order, where it is one statement); behind them those that stand in the path alone.
    pub params: u16,
    /// How many they are.
    pub param_count: u16,
    /// The answer's shape.
    pub rows: Rows,
    /// The Content-Type of a bare value; `text/plain; charset=utf-8` without it.
    pub content_type: Option<Span>,
    /// How long an answer is kept at most, in ms, where the file says so; 0 keeps none.
    pub ttl_ms: Option<u64>,
    /// How long after a change of the data the old answer may still be given, in ms.
    pub stale_ok_ms: u64,
    /// The same while the back fails.
    pub stale_if_error_ms: u64,
    /// How long clients and proxies may keep an answer unasked, in s.
    pub max_age_s: u32,
    /// Never shed, evicted last, warmed.
    pub critical: bool,
    /// The token that a request must bring, as a place in the configuration's list.
    pub auth: Option<u8>,
    /// Whether an Idempotency-Key's answer is kept.
    pub idempotent: bool,
    /// The line of the file where it begins.
    pub line: u32,
}

impl Param {
    /// One that nobody declared: text, or what a JSON body says, and no default.
    pub const fn undeclared(name: Span) -> Param {
        Param { name, kind: Kind::Any, default: None, min: None, max: None, declared: false }
    }
}

impl Route {
    /// A route with every default, which begins at `line`. It has its parameters from [`super::Config::add_route`].
    pub const fn new(verb: Verb, path: Span, sql: Span, line: u32) -> Route {
        Route {
            verb,
            path,
            sql,
            params: 0,
            param_count: 0,
            rows: Rows::Many,
            content_type: None,
            ttl_ms: None,
            stale_ok_ms: 0,
            stale_if_error_ms: 0,
            max_age_s: 0,
            critical: false,
            auth: None,
            idempotent: false,
            line,
        }
    }
}
