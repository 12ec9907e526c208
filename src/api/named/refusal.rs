//! The problems of a request on a named route: each names the parameter, says what it should be and what to do next.

use core::fmt;

use super::typed::{Measure, Wrong};
use super::{ELEMENTS, VALUE_BYTES, json};
use crate::api::problem::{Echo, Problem};
use crate::config::nearest::nearest;
use crate::config::{Config, Kind, Param, Route};

/// How a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As text, in a path, query or form.
    Text,
    /// As JSON.
    Json,
}

/// 400: a name that the route's SQL does not know; `allowed` are the places of those that would do.
pub fn unknown(config: &Config, params: &[Param], name: &[u8], allowed: impl Fn(usize) -> bool) -> Problem {
    let names = || params.iter().enumerate().filter(|(place, _)| allowed(*place)).map(|(_, param)| config.text(param.name));
    let problem = Problem::new(400, "unknown-parameter", "Unknown parameter")
        .detail(format_args!("{} is not a parameter of this route", Echo(name)));
    let near = nearest(core::str::from_utf8(name).unwrap_or_default(), names());
    let problem = match (near, names().next()) {
        (Some(near), _) => problem.did_you_mean(Some(near)),
        (None, Some(_)) => problem.hint(format_args!("leave it out, or use one of the allowed names")),
        (None, None) => problem.hint(format_args!("leave it out: this route takes none")),
    };
    problem.allow(names())
}

/// 400: a parameter of the path in the query.
pub fn in_path(name: &[u8]) -> Problem {
    Problem::new(400, "unknown-parameter", "Unknown parameter")
        .detail(format_args!("{} is part of the path, not of the query", Echo(name)))
        .hint(format_args!("leave it out of the query"))
}

/// 400: a name twice in one query, form or object.
pub fn doubled(name: &[u8]) -> Problem {
    Problem::malformed(format_args!("{} is given twice", Echo(name))).hint(format_args!("give it once"))
}

/// 400: a parameter without a value.
pub fn missing(config: &Config, route: &Route, param: &Param) -> Problem {
    let name = config.text(param.name);
    let problem = Problem::new(400, "missing-parameter", "Missing parameter").detail(format_args!(
        "{} is missing; it is {}",
        Echo(name.as_bytes()),
        noun(param.kind)
    ));
    if route.verb.writes() {
        problem.hint(format_args!("give it in the body, or in the query"))
    } else {
        problem.hint(format_args!("add {name}= to the query"))
    }
}

/// 400: a value that is not of its parameter's type; `value` is its text, or its JSON.
pub fn wrong(config: &Config, param: &Param, wrong: Wrong, value: &[u8], written: Written) -> Problem {
    let name = Echo(config.bytes(param.name));
    match wrong {
        Wrong::Full => no_room(),
        Wrong::Beyond if param.kind == Kind::Real || value.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => {
            Problem::malformed(format_args!("{name} is {}, beyond the range of a double", Echo(value)))
                .hint(format_args!("numbers go to 1.8e308"))
        }
        Wrong::Beyond => Problem::malformed(format_args!("{name} is {}, beyond 64 bits", Echo(value))).hint(format_args!(
            "integers go from {} to {}",
            i64::MIN,
            i64::MAX
        )),
        Wrong::Utf8 => Problem::malformed(format_args!("{name} is not UTF-8")).hint(format_args!("percent-encode UTF-8")),
        Wrong::Json(error) => Problem::malformed(format_args!("{name} must be JSON; {error}"))
            .hint(format_args!("text is JSON only in double quotes, percent-encoded: %22text%22")),
        Wrong::Type if param.kind == Kind::Blob => Problem::malformed(format_args!("{name} must be {}", noun(param.kind)))
            .hint(format_args!("{}", example(param.kind, written))),
        Wrong::Type => Problem::malformed(format_args!("{name} is {}; it must be {}", Echo(value), noun(param.kind)))
            .hint(format_args!("{}", example(param.kind, written))),
    }
}

/// 400: a value outside its parameter's bounds.
pub fn out_of_range(config: &Config, param: &Param, measure: Measure) -> Problem {
    let name = Echo(config.bytes(param.name));
    let problem = Problem::new(400, "parameter-out-of-range", "Parameter out of range");
    let (problem, unit) = match measure {
        Measure::Integer(number) => (problem.detail(format_args!("{name} is {number}")), ""),
        Measure::Real(number) => (problem.detail(format_args!("{name} is {}", Bound(number))), ""),
        Measure::Characters(count) => (problem.detail(format_args!("{name} has {count} characters")), " characters"),
    };
    match (param.min, param.max) {
        (Some(min), Some(max)) => problem.hint(format_args!("{} to {}{unit} are allowed", Bound(min), Bound(max))),
        (Some(min), None) => problem.hint(format_args!("at least {}{unit}", Bound(min))),
        (None, max) => problem.hint(format_args!("at most {}{unit}", Bound(max.unwrap_or(f64::INFINITY)))),
    }
}

/// 400: the values of one route are longer than its room.
pub fn no_room() -> Problem {
    Problem::new(400, "query-too-large", "Query too large")
        .detail(format_args!("bytes of all values together, defaults too: at most {VALUE_BYTES}"))
        .hint(format_args!("send less at once"))
}

/// 400: a body that is not JSON.
pub fn malformed_body(error: json::Error) -> Problem {
    Problem::new(400, "malformed-body", "Malformed body")
        .detail(format_args!("the body is not JSON; {error}"))
        .hint(format_args!("send a JSON object, or an array of objects"))
}

/// 400: a body that is JSON, but neither an object nor an array of objects.
pub fn not_an_object(what: fmt::Arguments) -> Problem {
    Problem::new(400, "malformed-body", "Malformed body")
        .detail(what)
        .hint(format_args!("send a JSON object, or an array of objects"))
}

/// 413: an array of too many objects.
pub fn too_many_elements() -> Problem {
    Problem::new(413, "too-many-elements", "Too many elements")
        .detail(format_args!("the array has more than {ELEMENTS} elements"))
        .hint(format_args!("send the rest in further requests"))
}

/// 415: a body of a type that is not read.
pub fn unsupported(content_type: Option<&[u8]>) -> Problem {
    let problem = Problem::new(415, "unsupported-media-type", "Unsupported media type");
    let problem = match content_type {
        Some(named) => problem.detail(format_args!("a body of type {} is not read here", Echo(named))),
        None => problem.detail(format_args!("the body has no Content-Type")),
    };
    problem
        .hint(format_args!("send the header Content-Type: application/json"))
        .allow(["application/json", "application/x-www-form-urlencoded"].into_iter())
}

/// The problem, with its element named; elements are counted from 1.
pub fn of_element(mut problem: Problem, number: usize, count: usize) -> Problem {
    let detail = core::mem::take(&mut problem.detail);
    problem.detail(format_args!("element {number} of {count}: {detail}"))
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Any | Kind::Text => "text",
        Kind::Integer => "an integer",
        Kind::Real => "a number",
        Kind::Boolean => "a boolean",
        Kind::Json => "JSON",
        Kind::Blob => "base64",
    }
}

fn example(kind: Kind, written: Written) -> &'static str {
    match (kind, written) {
        (Kind::Any | Kind::Text, _) => "write it in double quotes",
        (Kind::Integer, Written::Text) => "digits, as in 42 or -7",
        (Kind::Integer, Written::Json) => "digits without quotes, as in 42 or -7",
        (Kind::Real, Written::Text) => "as in 21.5 or 1e-3",
        (Kind::Real, Written::Json) => "without quotes, as in 21.5 or 1e-3",
        (Kind::Boolean, Written::Text) => "true or false, or 1 or 0",
        (Kind::Boolean, Written::Json) => "true or false, without quotes",
        (Kind::Json, _) => "any JSON value",
        (Kind::Blob, Written::Text) => "letters, digits, + and / (RFC 4648, section 4); in a query + is written %2B",
        (Kind::Blob, Written::Json) => "a string of letters, digits, + and / (RFC 4648, section 4)",
    }
}

/// A bound as short as it can be said.
struct Bound(f64);

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        if self.0 == 0.0 || (1e-6..1e15).contains(&self.0.abs()) {
            write!(out, "{}", self.0)
        } else {
            write!(out, "{:e}", self.0)
        }
    }
}
