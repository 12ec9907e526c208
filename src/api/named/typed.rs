//! A value's text, or its JSON, as the type that a parameter asks for. Knows types and bounds, not where the value came from.

use core::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::json::{self, Shape};
use crate::api::value::{self, Bind, Number};
use crate::config::{Config, Kind, Literal, Param};
use crate::memory::sink::{Full, Sink};
use crate::memory::{Fixed, Span};

/// Why a value is not of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is something else.
    Type,
    /// It is text, but not UTF-8.
    Utf8,
    /// It is malformed JSON.
    Json(json::Error),
    /// It is a number beyond 64 bits, or beyond the range of a double.
    Beyond,
    /// There is no room for it.
    Full,
}

impl From<Full> for Wrong {
    fn from(_: Full) -> Wrong {
        Wrong::Full
    }
}

/// The value whose decoded text ends the scratch, from `start` on. Afterwards the scratch ends with what the value needs of it.
///
/// # Errors
/// [`Wrong`]; the text of all but a blob still ends the scratch then.
pub fn from_text(kind: Kind, scratch: &mut Fixed<u8>, start: usize) -> Result<Bind, Wrong> {
    let bytes = &scratch[start..];
    let text = core::str::from_utf8(bytes).map_err(|_| Wrong::Utf8);
    let number = match kind {
        Kind::Any | Kind::Text => {
            text?;
            return Ok(Bind::Text(Span::between(start, scratch.len())));
        }
        Kind::Json => {
            let length = json::whole(bytes).map_err(Wrong::Json)?.raw.len();
            let before = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            scratch.copy_within(start + before..start + before + length, start);
            scratch.truncate(start + length);
            return Ok(Bind::Text(Span::between(start, start + length)));
        }
        Kind::Blob => return base64(scratch, start),
        Kind::Integer => integer(text.map_err(|_| Wrong::Type)?),
        Kind::Real => real(bytes),
        Kind::Boolean => match bytes {
            b"true" | b"1" => Ok(Bind::Integer(1)),
            b"false" | b"0" => Ok(Bind::Integer(0)),
            _ => Err(Wrong::Type),
        },
    }?;
    scratch.truncate(start);
    Ok(number)
}

/// The value that stands as JSON; its text or bytes are added to the scratch. null is NULL for every type.
///
/// # Errors
/// [`Wrong`]; the scratch may have grown.
pub fn from_json(kind: Kind, value: json::Value, scratch: &mut Fixed<u8>) -> Result<Bind, Wrong> {
    let start = scratch.len();
    match (kind, value.shape) {
        (_, Shape::Null) => Ok(Bind::Null),
        (Kind::Json, _) | (Kind::Any, Shape::Array | Shape::Object) => {
            scratch.put(value.raw)?;
            Ok(Bind::Text(Span::between(start, scratch.len())))
        }
        (Kind::Any | Kind::Boolean, Shape::True) => Ok(Bind::Integer(1)),
        (Kind::Any | Kind::Boolean, Shape::False) => Ok(Bind::Integer(0)),
        (Kind::Any, Shape::Number) if !is_integral(value.raw) => real(value.raw),
        (Kind::Any | Kind::Integer, Shape::Number) => integer(core::str::from_utf8(value.raw).map_err(|_| Wrong::Utf8)?),
        (Kind::Real, Shape::Number) => real(value.raw),
        (Kind::Any | Kind::Text, Shape::String) => {
            json::put_decoded(value.raw, scratch)?;
            Ok(Bind::Text(Span::between(start, scratch.len())))
        }
        (Kind::Blob, Shape::String) => {
            json::put_decoded(value.raw, scratch)?;
            base64(scratch, start)
        }
        (Kind::Text | Kind::Integer | Kind::Real | Kind::Boolean | Kind::Blob, _) => Err(Wrong::Type),
    }
}

/// The value that the configuration gives a parameter which a request leaves out.
///
/// # Errors
/// [`Full`] when the scratch is.
pub fn from_literal(config: &Config, kind: Kind, literal: Literal, scratch: &mut Fixed<u8>) -> Result<Bind, Full> {
    let start = scratch.len();
    Ok(match (kind, literal) {
        (Kind::Real, Literal::Integer(number)) => Bind::Real(number as f64),
        (_, Literal::Integer(number)) => Bind::Integer(number),
        (_, Literal::Real(number)) => Bind::Real(number),
        (_, Literal::Text(text)) => {
            scratch.put(config.bytes(text))?;
            Bind::Text(Span::between(start, scratch.len()))
        }
        (_, Literal::Blob(bytes)) => {
            scratch.put(config.bytes(bytes))?;
            Bind::Blob(Span::between(start, scratch.len()))
        }
    })
}

/// What of a value lies outside its parameter's bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// An integer itself.
    Integer(i64),
    /// A real itself.
    Real(f64),
    /// A text's length in characters.
    Characters(i64),
}

impl Measure {
    fn of(param: &Param, bind: Bind, scratch: &[u8]) -> Option<Measure> {
        match (param.kind, bind) {
            (Kind::Integer | Kind::Any, Bind::Integer(number)) => Some(Measure::Integer(number)),
            (Kind::Real | Kind::Any, Bind::Real(number)) => Some(Measure::Real(number)),
            (Kind::Text | Kind::Any, Bind::Text(span)) => {
                let is_start = |byte: &&u8| **byte & 0xC0 != 0x80;
                Some(Measure::Characters(span.of(scratch).iter().filter(is_start).count() as i64))
            }
            _ => None,
        }
    }

    fn compare(self, bound: f64) -> Option<Ordering> {
        match self {
            Measure::Integer(number) | Measure::Characters(number) => compare(number, bound),
            Measure::Real(number) => number.partial_cmp(&bound),
        }
    }
}

/// What of a value lies outside its parameter's bounds, if anything does.
pub fn out_of_range(param: &Param, bind: Bind, scratch: &[u8]) -> Option<Measure> {
    let measure = Measure::of(param, bind, scratch)?;
    let low = param.min.is_some_and(|min| measure.compare(min) == Some(Ordering::Less));
    let high = param.max.is_some_and(|max| measure.compare(max) == Some(Ordering::Greater));
    (low || high).then_some(measure)
}

/// Compares without rounding the integer to a double.
fn compare(number: i64, bound: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if bound >= BEYOND {
        return Some(Ordering::Less);
    }
    if bound < -BEYOND {
        return Some(Ordering::Greater);
    }
    let fraction = 0.0.partial_cmp(&bound.fract())?;
    Some(number.cmp(&(bound.trunc() as i64)).then(fraction))
}

fn is_integral(raw: &[u8]) -> bool {
    !raw.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

fn integer(text: &str) -> Result<Bind, Wrong> {
    text.parse().map(Bind::Integer).map_err(|error| match error.kind() {
        core::num::IntErrorKind::PosOverflow | core::num::IntErrorKind::NegOverflow => Wrong::Beyond,
        _ => Wrong::Type,
    })
}

fn real(text: &[u8]) -> Result<Bind, Wrong> {
    match value::number(text) {
        None => Err(Wrong::Type),
        Some(Number::Integer(number)) => Ok(Bind::Real(number as f64)),
        Some(Number::Real(number)) if number.is_finite() => Ok(Bind::Real(number)),
        Some(Number::Real(_)) => Err(Wrong::Beyond),
    }
}

/// Decodes the base64 that ends the scratch in its place: what is written never overtakes what is read.
fn base64(scratch: &mut Fixed<u8>, start: usize) -> Result<Bind, Wrong> {
    const GROUPS: usize = 16;
    let padding = scratch[start..].iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 || padding > 0 && !(scratch.len() - start).is_multiple_of(4) {
        return Err(Wrong::Type);
    }
    let end = scratch.len() - padding;
    let (mut read, mut written) = (start, start);
    while read < end {
        let take = (end - read).min(GROUPS * 4);
        let mut bytes = [0; GROUPS * 3];
        let len = STANDARD_NO_PAD.decode_slice(&scratch[read..read + take], &mut bytes).map_err(|_| Wrong::Type)?;
        scratch[written..written + len].copy_from_slice(&bytes[..len]);
        read += take;
        written += len;
    }
    scratch.truncate(written);
    Ok(Bind::Blob(Span::between(start, written)))
}
