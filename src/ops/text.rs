//! How the pages are written: into a fixed sink, with names, numbers and strings as Prometheus and JSON have them.

use core::fmt::{self, Write};

use crate::memory::sink::Sink;

/// `fmt` over a sink.
pub(super) struct Text<'t, S>(pub &'t mut S);

impl<S: Sink> Write for Text<'_, S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// A metric's help and type.
pub(super) fn head(out: &mut impl Write, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// A metric of one value.
pub(super) fn single(out: &mut impl Write, name: &str, kind: &str, help: &str, value: u64) -> fmt::Result {
    head(out, name, kind, help)?;
    writeln!(out, "{name} {value}")
}

/// Text as a JSON string.
pub(super) struct Quoted<'t>(pub &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(out, "\\{letter}")?,
                letter if letter.is_control() => write!(out, "\\u{:04x}", letter as u32)?,
                letter => out.write_char(letter)?,
            }
        }
        out.write_char('"')
    }
}

/// Microseconds as seconds, exactly.
pub(super) struct Seconds(pub u64);

impl fmt::Display for Seconds {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Thousandths of a unit, exactly and as short as that goes.
pub struct Thousandths(pub i64);

impl fmt::Display for Thousandths {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let (sign, value) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(out, "{sign}{}", value / 1000)?;
        match value % 1000 {
            0 => Ok(()),
            rest if rest % 100 == 0 => write!(out, ".{}", rest / 100),
            rest if rest % 10 == 0 => write!(out, ".{:02}", rest / 10),
            rest => write!(out, ".{rest:03}"),
        }
    }
}

/// A value in JSON, `null` when there is none.
pub(super) struct OrNull<T>(pub Option<T>);

impl<T: fmt::Display> fmt::Display for OrNull<T> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(out),
            None => out.write_str("null"),
        }
    }
}

/// One member of an object: names with numbers.
pub(super) fn counts(out: &mut impl Write, name: &str, items: impl Iterator<Item = (&'static str, u64)>) -> fmt::Result {
    write!(out, "\"{name}\":{{")?;
    for (at, (label, count)) in items.enumerate() {
        write!(out, "{}\"{label}\":{count}", if at == 0 { "" } else { "," })?;
    }
    out.write_str("},")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_are_exact_and_short() {
        let texts = [0, 5, 50, 500, 1000, -1500, 12_345, -7, i64::MIN].map(|value| Thousandths(value).to_string());
        assert_eq!(texts, ["0", "0.005", "0.05", "0.5", "1", "-1.5", "12.345", "-0.007", "-9223372036854775.808"]);
        assert_eq!((OrNull(Some(1)).to_string(), OrNull::<u8>(None).to_string()), ("1".into(), "null".into()));
    }
}
