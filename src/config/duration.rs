//! Durations as a configuration writes them: `250ms`, `30s`, `5m`, `1h`, and `0`.

use core::fmt;

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// A number other than 0 without a unit.
    NoUnit,
    /// Anything else.
    Malformed,
}

/// A duration's length in ms.
///
/// # Errors
/// [`DurationError`]; a number that does not fit 64 bits in ms is malformed too.
pub fn parse(text: &str) -> Result<u64, DurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| DurationError::Malformed)?;
    match &text[digits..] {
        "" if number == 0 => Ok(0),
        "" => Err(DurationError::NoUnit),
        unit => UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, ms)| number.checked_mul(*ms))
            .ok_or(DurationError::Malformed),
    }
}

/// Writes a number of ms in the largest unit that divides it.
#[derive(Clone, Copy, Debug)]
pub struct Duration(pub u64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let (unit, ms) = UNITS.iter().find(|(_, ms)| self.0.is_multiple_of(*ms)).unwrap_or(&UNITS[3]);
        write!(f, "{}{unit}", self.0 / ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let cases = [
            ("0", Ok(0)),
            ("0s", Ok(0)),
            ("250ms", Ok(250)),
            ("30s", Ok(30_000)),
            ("5m", Ok(300_000)),
            ("1h", Ok(3_600_000)),
            ("300", Err(DurationError::NoUnit)),
            ("", Err(DurationError::Malformed)),
            ("s", Err(DurationError::Malformed)),
            ("5 m", Err(DurationError::Malformed)),
            ("-5m", Err(DurationError::Malformed)),
            ("+5m", Err(DurationError::Malformed)),
            ("1.5s", Err(DurationError::Malformed)),
            ("5M", Err(DurationError::Malformed)),
            ("1d", Err(DurationError::Malformed)),
            ("18446744073709551615h", Err(DurationError::Malformed)),
            ("99999999999999999999s", Err(DurationError::Malformed)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for (ms, text) in [(0, "0s"), (250, "250ms"), (1500, "1500ms"), (90_000, "90s"), (300_000, "5m"), (7_200_000, "2h")] {
            assert_eq!(Duration(ms).to_string(), text);
            assert_eq!(parse(text), Ok(ms));
        }
    }
}
