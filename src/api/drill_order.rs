//! What the body of `POST /-/drill/NAME` orders: a form or a JSON object of whole numbers, or nothing.

use core::str::from_utf8;

use super::named::json::{Reader, Shape};
use super::percent::decode_form;
use super::problem::{Echo, Problem};
use crate::config::nearest::nearest;
use crate::policy::drill::{Drill, Order, Word};

/// Bytes of the longest name or value that is looked at.
const TEXT_BYTES: usize = 32;

/// The drill that a path names.
///
/// # Errors
/// A 404 that says which there are.
pub fn named(name: &[u8]) -> Result<Drill, Problem> {
    let name = from_utf8(name).unwrap_or_default();
    let names = || Drill::ALL.into_iter().map(Drill::name);
    Drill::named(name).ok_or_else(|| {
        let problem = Problem::new(404, "unknown-drill", "Unknown drill").allow(names());
        problem.detail(format_args!("There is no drill of this name.")).did_you_mean(nearest(name, names()))
    })
}

/// Reads an order. What begins with a brace is JSON, whatever its Content-Type says; all else is a form.
///
/// # Errors
/// A 400 that says which word or value does not fit, and what does.
pub fn read(drill: Drill, body: &[u8]) -> Result<Order, Problem> {
    let body = body.trim_ascii();
    let mut order = Order::DEFAULT;
    let mut said = 0;
    let mut say = |name: &[u8], value: &[u8]| {
        let word = word(drill, name)?;
        if said & 1 << word as u8 != 0 {
            return Err(malformed(drill, format_args!("{} stands there twice.", word.name())));
        }
        said |= 1 << word as u8;
        let number = match value {
            b"true" if word == Word::Monotonic => Some(1),
            b"false" if word == Word::Monotonic => Some(0),
            value => from_utf8(value).ok().and_then(|text| text.parse().ok()),
        };
        let (least, most) = word.range();
        match number.is_some_and(|number| order.say(word, number)) {
            true => Ok(()),
            false => Err(malformed(
                drill,
                format_args!("{} is a whole number from {least} to {most}, not {}.", word.name(), Echo(value)),
            )),
        }
    };
    if body.starts_with(b"{") { members(drill, body, &mut say) } else { pairs(drill, body, &mut say) }?;
    if order.monotonic && order.offset < 0 {
        return Err(malformed(drill, format_args!("The monotonic clock cannot go back.")));
    }
    Ok(order)
}

fn pairs(drill: Drill, body: &[u8], say: &mut impl FnMut(&[u8], &[u8]) -> Result<(), Problem>) -> Result<(), Problem> {
    for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let decoded = |text: &[u8]| {
            let mut decoded: heapless::Vec<u8, TEXT_BYTES> = heapless::Vec::new();
            match decode_form(text, &mut decoded) {
                Ok(()) => Ok(decoded),
                Err(_) => Err(malformed(drill, format_args!("{} is no word or number.", Echo(text)))),
            }
        };
        say(&decoded(&pair[..at])?, &decoded(pair.get(at + 1..).unwrap_or_default())?)?;
    }
    Ok(())
}

fn members(drill: Drill, body: &[u8], say: &mut impl FnMut(&[u8], &[u8]) -> Result<(), Problem>) -> Result<(), Problem> {
    let broken = |error| malformed(drill, format_args!("The body is not JSON; {error}."));
    let mut reader = Reader::new(body).map_err(broken)?;
    let mut is_first = true;
    reader.enter().map_err(broken)?;
    while reader.next(b'}', is_first).map_err(broken)? {
        is_first = false;
        let (key, value) = (reader.key().map_err(broken)?, reader.value().map_err(broken)?);
        // A name of ours has no escapes.
        let key = key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")).unwrap_or(key);
        let text = value.raw.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
        say(key, if value.shape == Shape::String { text.unwrap_or(value.raw) } else { value.raw })?;
    }
    reader.end().map_err(broken)
}

fn word(drill: Drill, name: &[u8]) -> Result<Word, Problem> {
    let found = drill.words().iter().find(|word| word.name().as_bytes() == name);
    found.copied().ok_or_else(|| malformed(drill, format_args!("{} is nothing that this drill is told.", Echo(name))))
}

fn malformed(drill: Drill, detail: core::fmt::Arguments) -> Problem {
    let words = drill.words().iter().map(|word| word.name());
    Problem::new(400, "malformed-drill", "Malformed drill")
        .detail(detail)
        .hint(format_args!("send a form or a JSON object, such as seconds=10"))
        .allow(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(change: impl FnOnce(&mut Order)) -> Order {
        let mut order = Order::DEFAULT;
        change(&mut order);
        order
    }

    #[test]
    fn forms_and_objects_say_the_same() {
        let cases = [
            (Drill::Fall, "", "{}", Order::DEFAULT),
            (Drill::Fall, "seconds=5", r#" {"seconds": 5} "#, order(|order| order.seconds = 5)),
            (
                Drill::CachePanic,
                "count=3&seconds=0",
                r#"{"count":3,"seconds":0}"#,
                order(|order| (order.count, order.seconds) = (3, 0)),
            ),
            (Drill::SlowSync, "m%73=2000&", r#"{"ms":"2000"}"#, order(|order| order.delay_ms = 2000)),
            (Drill::ClockJump, "offset=-7", r#"{"offset":-7}"#, order(|order| order.offset = -7)),
            (Drill::ClockJump, "monotonic=1", r#"{"monotonic":true}"#, order(|order| order.monotonic = true)),
        ];
        for (drill, form, object, wanted) in cases {
            assert_eq!(read(drill, form.as_bytes()), Ok(wanted), "{form}");
            assert_eq!(read(drill, object.as_bytes()), Ok(wanted), "{object}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_does() {
        let cases = [
            (Drill::Fall, "seconds=61"),
            (Drill::Fall, "seconds=-1"),
            (Drill::Fall, "seconds=1.5"),
            (Drill::Fall, "seconds"),
            (Drill::Fall, "count=1"),
            (Drill::Fall, "ms=1"),
            (Drill::Fall, "seconds=1&seconds=2"),
            (Drill::Fall, "seconds=%3"),
            (Drill::Fall, "[1]"),
            (Drill::Fall, r#"{"seconds":1"#),
            (Drill::Fall, r#"{"seconds":1} x"#),
            (Drill::Fall, r#"{"seconds":null}"#),
            (Drill::Fall, r#"{"seconds":{}}"#),
            (Drill::Fall, r#"{"Seconds":1}"#),
            (Drill::CachePanic, "count=0"),
            (Drill::CachePanic, "ms=1"),
            (Drill::ClockJump, "offset=-1&monotonic=1"),
            (Drill::ClockJump, "monotonic=2"),
        ];
        for (drill, body) in cases {
            let problem = read(drill, body.as_bytes()).expect_err(body);
            assert_eq!((problem.status, problem.slug), (400, "malformed-drill"), "{body}");
            assert!(problem.allowed.starts_with("seconds") && !problem.detail.is_empty(), "{body}: {problem:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_told_its_neighbour() {
        assert_eq!(named(b"slow-sync"), Ok(Drill::SlowSync));
        let problem = named(b"slow-synk").expect_err("no drill");
        assert_eq!((problem.status, problem.hint.as_str()), (404, "did you mean 'slow-sync'?"));
        assert!(problem.allowed.starts_with("cache-panic, "));
        assert_eq!(named(b"\xff").expect_err("no drill").status, 404);
    }
}
