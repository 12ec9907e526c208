//! One value: of the type that its key takes, within the range that it has.

use core::fmt;

use toml::de::{DeArray, DeValue};

use super::{Reader, Value, article};
use crate::config::duration::{self, Duration, DurationError};
use crate::config::keys::{Form, Key};
use crate::config::mistake::{Listed, Meant, Quoted};
use crate::config::nearest::nearest;
use crate::config::rate::{self, Rate};
use crate::memory::Span;

/// The largest whole number below which every one has a double of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Reader<'_> {
    /// A value that is not of its key's type.
    pub(super) fn wrong_type(&mut self, key: &str, wants: fmt::Arguments<'_>, value: &Value<'_>, hint: fmt::Arguments<'_>) {
        let found = value.get_ref().type_str();
        self.wrong(value, format_args!("{key} takes {wants}, not {} {found}", article(found)), hint);
    }

    /// A text, not empty and of at most `most` bytes.
    pub(super) fn text_of<'v>(&mut self, key: &Key, value: &'v Value<'_>, most: usize) -> Option<&'v str> {
        let Some(text) = value.get_ref().as_str() else {
            let source = self.text.get(value.span()).unwrap_or_default();
            match value.get_ref() {
                DeValue::Array(_) | DeValue::Table(_) => {
                    self.wrong_type(key.name, format_args!("a text"), value, format_args!("for example {}", key.example));
                }
                _ => self.wrong_type(key.name, format_args!("a text"), value, format_args!("write {}", Quoted(source))),
            }
            return None;
        };
        self.check_text(key, text, value, most).then_some(text)
    }

    fn check_text(&mut self, key: &Key, text: &str, value: &Value<'_>, most: usize) -> bool {
        if text.trim().is_empty() {
            self.wrong(value, format_args!("{} is empty", key.name), format_args!("for example {}", key.example));
        } else if text.len() > most {
            self.wrong(
                value,
                format_args!("{} has {} bytes, at most {most} are allowed", key.name, text.len()),
                format_args!(""),
            );
        } else if text.contains('\0') {
            self.wrong(value, format_args!("{} has a NUL character in it", key.name), format_args!("leave out \\u0000"));
        } else {
            return true;
        }
        false
    }

    /// A text that is kept.
    pub(super) fn kept(&mut self, key: &Key, value: &Value<'_>, most: usize) -> Option<Span> {
        let text = self.text_of(key, value, most)?;
        Some(self.keep(text.as_bytes(), value))
    }

    /// The array that a key takes.
    pub(super) fn array<'v, 'i>(&mut self, key: &Key, value: &'v Value<'i>) -> Option<&'v DeArray<'i>> {
        let array = value.get_ref().as_array();
        if array.is_none() {
            let hint = format_args!("for example {} = {}", key.name, key.example);
            self.wrong_type(key.name, format_args!("an array of texts"), value, hint);
        }
        array
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &Key, value: &Value<'_>) -> Option<bool> {
        let found = value.get_ref().as_bool();
        if found.is_none() {
            let meant = value.get_ref().as_str().and_then(|text| match text {
                "true" | "yes" | "on" | "1" => Some("true"),
                "false" | "no" | "off" | "0" => Some("false"),
                _ => None,
            });
            let hint = format_args!("write {} = {}", key.name, meant.unwrap_or("true, or false, without quotes"));
            self.wrong_type(key.name, format_args!("true or false"), value, hint);
        }
        found
    }

    /// A whole number in a range.
    pub(super) fn count(&mut self, key: &Key, value: &Value<'_>, least: u64, most: u64) -> Option<u64> {
        let DeValue::Integer(integer) = value.get_ref() else {
            let hint = format_args!("for example {} = {}", key.name, key.example);
            self.wrong_type(key.name, format_args!("a whole number from {least} to {most}"), value, hint);
            return None;
        };
        let found = i64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|number| u64::try_from(number).ok());
        let found = found.filter(|number| (least..=most).contains(number));
        if found.is_none() {
            self.wrong(
                value,
                format_args!("{} = {integer} is out of range", key.name),
                format_args!("allowed: {least} to {most}"),
            );
        }
        found
    }

    /// A duration within a range, in ms.
    pub(super) fn time(&mut self, key: &Key, value: &Value<'_>, least: u64, most: u64) -> Option<u64> {
        let name = key.name;
        let Some(text) = value.get_ref().as_str() else {
            let source = self.text.get(value.span()).unwrap_or_default();
            match value.get_ref() {
                DeValue::Integer(number) if !number.as_str().starts_with('-') && number.radix() == 10 => {
                    let hint = format_args!("write {name} = \"{number}s\", or another unit: ms, s, m, h");
                    self.wrong_type(name, format_args!("a time with its unit"), value, hint);
                }
                _ => {
                    let hint = format_args!("for example {name} = {}; found {}", key.example, Quoted(source));
                    self.wrong_type(name, format_args!("a time such as {}", key.example), value, hint);
                }
            }
            return None;
        };
        match duration::parse(text) {
            Ok(ms) if (least..=most).contains(&ms) => Some(ms),
            Ok(0) => {
                let hint = format_args!("at least {}: what waits for ever holds its place for ever", Duration(least));
                self.wrong(value, format_args!("{name} must not be 0"), hint);
                None
            }
            Ok(_) => {
                let hint = format_args!("allowed: {} to {}", Duration(least), Duration(most));
                self.wrong(value, format_args!("{name} = {} is out of range", Quoted(text)), hint);
                None
            }
            Err(DurationError::NoUnit) => {
                let hint = format_args!("write \"{text}s\", or another unit: ms, s, m, h");
                self.wrong(value, format_args!("{name} = {} has no unit", Quoted(text)), hint);
                None
            }
            Err(DurationError::Malformed) => {
                let hint = format_args!("a whole number and ms, s, m or h: \"250ms\", \"30s\", \"5m\", \"1h\"");
                self.wrong(value, format_args!("{name} = {} is no duration", Quoted(text)), hint);
                None
            }
        }
    }

    /// A share of the clients, in percent.
    pub(super) fn share(&mut self, key: &Key, value: &Value<'_>) -> Option<u8> {
        let found = match value.get_ref() {
            DeValue::Boolean(on) => Some(if *on { 100 } else { 0 }),
            DeValue::String(text) => match text.as_ref() {
                "on" => Some(100),
                "off" => Some(0),
                text => text
                    .strip_suffix('%')
                    .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                    .and_then(|digits| digits.parse().ok())
                    .filter(|percent| *percent <= 100),
            },
            _ => None,
        };
        if found.is_none() {
            let source = self.text.get(value.span()).unwrap_or_default().trim_matches('"');
            let near = value.get_ref().as_str().and_then(|text| nearest(text, ["on", "off"].into_iter()));
            self.wrong(
                value,
                format_args!("{} takes \"on\", \"off\" or a percentage, not {}", key.name, Quoted(source)),
                format_args!("{}allowed: \"on\", \"off\", \"0%\" to \"100%\"", Meant(near)),
            );
        }
        found
    }

    /// Requests a minute; 0 for any number.
    pub(super) fn rate(&mut self, key: &Key, value: &Value<'_>) -> Option<u32> {
        let found = value.get_ref().as_str().and_then(rate::parse);
        if found.is_none() {
            let source = self.text.get(value.span()).unwrap_or_default().trim_matches('"');
            self.wrong(
                value,
                format_args!("{} takes \"off\" or requests in a time, not {}", key.name, Quoted(source)),
                format_args!("for example \"50/s\" or \"30/m\"; at most {}", Rate(rate::MOST)),
            );
        }
        found
    }

    /// The place of a word among those that a key takes.
    pub(super) fn word(&mut self, key: &Key, value: &Value<'_>, words: &'static [&'static str]) -> Option<usize> {
        let Some(text) = value.get_ref().as_str() else {
            let hint = format_args!("allowed: {}", Listed(words.iter().copied()));
            self.wrong_type(key.name, format_args!("a text"), value, hint);
            return None;
        };
        let found = words.iter().position(|word| *word == text);
        if found.is_none() {
            let near = words.iter().copied().find(|word| word.eq_ignore_ascii_case(text));
            let near = near.or_else(|| nearest(text, words.iter().copied()));
            let hint = format_args!("{}allowed: {}", Meant(near), Listed(words.iter().copied()));
            self.wrong(value, format_args!("{} = {} is unknown", key.name, Quoted(text)), hint);
        }
        found
    }

    /// The place of a token in the configuration's list.
    pub(super) fn token(&mut self, key: &Key, value: &Value<'_>) -> Option<u8> {
        let text = self.text_of(key, value, crate::config::keys::NAME_BYTES)?;
        let config = &*self.config;
        let names = || config.tokens.iter().map(|token| config.text(token.name));
        if let Some(at) = names().position(|name| name == text) {
            return u8::try_from(at).ok();
        }
        let message = format_args!("{} names the token {}, which [tokens] does not have", key.name, Quoted(text));
        if config.tokens.is_empty() {
            let hint = format_args!("flagstone token NAME makes one and says what to write under [tokens]");
            self.mistakes.at(self.text, value.span(), message, hint);
        } else {
            let near = nearest(text, names());
            let hint = format_args!("{}[tokens] has: {}", Meant(near), Listed(names()));
            self.mistakes.at(self.text, value.span(), message, hint);
        }
        None
    }

    /// A finite number.
    pub(super) fn number(&mut self, name: &str, value: &Value<'_>) -> Option<f64> {
        let found = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => {
                self.wrong_type(name, format_args!("a number"), value, format_args!("for example {name} = 1"));
                return None;
            }
        };
        let found = found.filter(|number: &f64| number.is_finite());
        let is_integer = matches!(value.get_ref(), DeValue::Integer(_));
        let found = found.filter(|number| !is_integer || number.abs() <= EXACT);
        if found.is_none() {
            let source = self.text.get(value.span()).unwrap_or_default();
            let hint = format_args!("allowed: a finite number; whole ones from -9007199254740992 to 9007199254740992");
            self.wrong(value, format_args!("{name} = {source} is out of range"), hint);
        }
        found
    }

    /// Whether a list has room for one more; says so once, at the first element that finds none.
    pub(super) fn fits(&mut self, what: &str, count: usize, most: usize, constant: &str, value: &Value<'_>) {
        if count > most {
            self.wrong(
                value,
                format_args!("{count} {what}: this build holds {most} ({constant})"),
                format_args!("leave some out, or build with a larger {constant}"),
            );
        }
    }
}

impl Form {
    /// The range of a count.
    pub(super) const fn range(self) -> (u64, u64) {
        match self {
            Form::Count(least, most) | Form::Time(least, most) | Form::Limit(least, most, _) => (least, most),
            _ => (0, u64::MAX),
        }
    }
}
