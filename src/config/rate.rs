//! A rate as it is written: `50/s`, `30/m`, or `off`. Kept as requests a minute.

use core::fmt;

/// The highest, in requests a minute: a hundred thousand a second.
pub const MOST: u32 = 6_000_000;

/// Reads a rate; 0 for none. `None` when it is no rate, or none that can be kept.
pub fn parse(text: &str) -> Option<u32> {
    if text == "off" {
        return Some(0);
    }
    let (digits, unit) = text.split_once('/')?;
    let factor = match unit {
        "s" => 60,
        "m" => 1,
        _ => return None,
    };
    let number: u32 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    let rate = number.checked_mul(factor)?;
    (1..=MOST).contains(&rate).then_some(rate)
}

/// Requests a minute, in the form that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub u32);

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => out.write_str("off"),
            rate if rate.is_multiple_of(60) => write!(out, "{}/s", rate / 60),
            rate => write!(out, "{rate}/m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_number_and_its_time() {
        let cases = [
            ("50/s", Some(3000)),
            ("90/m", Some(90)),
            ("off", Some(0)),
            ("100000/s", Some(MOST)),
            ("100001/s", None),
            ("0/s", None),
            ("50", None),
            ("50/h", None),
            ("-1/s", None),
            ("+1/s", None),
            ("/s", None),
            ("99999999999/s", None),
            ("", None),
        ];
        for (text, rate) in cases {
            assert_eq!(parse(text), rate, "{text:?}");
        }
        for rate in [0, 1, 59, 60, 61, 3000, MOST] {
            assert_eq!(parse(&Rate(rate).to_string()), Some(rate));
        }
    }
}
