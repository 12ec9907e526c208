//! What paths mean, and what queries and bodies bind, as tables of cases; `property` has the general rules.

mod body;
mod json;
mod matching;
mod property;
mod query;

use super::fixture::{D, P, one, route};
use super::*;
use crate::api::problem::{PROBLEM_BYTES, Problem};
use crate::api::value::Value;
use crate::config::{Config, Kind, Verb};

/// A bound value that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
enum Own {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

fn text(text: &str) -> Own {
    Own::Text(text.to_string())
}

fn own(bound: &Bound) -> Vec<Own> {
    (0..bound.binds().len())
        .map(|place| match bound.value(place) {
            Value::Null => Own::Null,
            Value::Integer(number) => Own::Integer(number),
            Value::Real(number) => Own::Real(number),
            Value::Text(bytes) => Own::Text(String::from_utf8(bytes.to_vec()).expect("always UTF-8")),
            Value::Blob(bytes) => Own::Blob(bytes.to_vec()),
        })
        .collect()
}

/// A problem as `slug: detail | hint | allowed`, checked for what holds of every problem here.
fn said(problem: &Problem) -> String {
    let mut json: heapless::Vec<u8, 1024> = heapless::Vec::new();
    problem.put_json(&mut json).expect("fits");
    assert!(json.len() <= PROBLEM_BYTES);
    serde_json::from_slice::<serde_json::Value>(&json).expect("JSON");
    assert!(!problem.hint.is_empty() || !problem.allowed.is_empty(), "{problem:?} says what to do");
    let more = |text: &str| if text.is_empty() { String::new() } else { format!(" | {text}") };
    format!("{} {}: {}{}{}", problem.status, problem.slug, problem.detail, more(&problem.hint), more(&problem.allowed))
}
