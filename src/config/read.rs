//! A configuration's text becomes a [`Config`], or mistakes: every one that can be told at once. Knows keys and their values; routes have a file
//! of their own.

mod params;
mod path;
mod route;
mod sections;
mod value;

pub(super) use params::kind_place;
pub(super) use route::{rows_place, verb_place};

use core::fmt;

use toml::de::{DeTable, DeValue};

use super::keys::{self, Section};
use super::mistake::{Listed, Meant, Mistakes, Quoted};
use super::nearest::nearest;
use super::{Config, Expose, syntax};
use crate::budget::CONFIG_FILE_BYTES;
use crate::memory::Span;

/// A value with its place in the file.
type Value<'i> = toml::Spanned<DeValue<'i>>;
/// A key with its place in the file.
type Name<'i> = toml::Spanned<toml::de::DeString<'i>>;

/// The text is no configuration; the mistakes say why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// As [`read`], for a file whose bytes may be anything.
///
/// # Errors
/// [`Invalid`], with at least one mistake.
pub fn read_bytes(bytes: &[u8], into: &mut Config, mistakes: &mut Mistakes) -> Result<(), Invalid> {
    into.reset();
    mistakes.clear();
    if bytes.len() > CONFIG_FILE_BYTES {
        return too_long(bytes, mistakes);
    }
    match core::str::from_utf8(bytes) {
        Ok(text) => read(text, into, mistakes),
        Err(error) => {
            let at = error.valid_up_to();
            mistakes.at(
                bytes,
                at..at + 1,
                format_args!("byte {at} of the file is not UTF-8 (0x{:02x})", bytes[at]),
                format_args!("save the file as UTF-8"),
            );
            Err(Invalid)
        }
    }
}

/// Reads a configuration. Both rooms are emptied first; on [`Invalid`] the configuration is not to be used.
///
/// Takes at most [`crate::budget::CONFIG_ARENA_BYTES`] of the heap while it runs, and keeps nothing of it.
///
/// # Errors
/// [`Invalid`], with at least one mistake; the mistakes are in the file's order.
pub fn read(text: &str, into: &mut Config, mistakes: &mut Mistakes) -> Result<(), Invalid> {
    into.reset();
    mistakes.clear();
    if text.len() > CONFIG_FILE_BYTES {
        return too_long(text.as_bytes(), mistakes);
    }
    if let Some(reading) = syntax::check(text, mistakes)
        && mistakes.is_empty()
    {
        parse(text, reading, into, mistakes);
    }
    mistakes.sort();
    if mistakes.is_empty() { Ok(()) } else { Err(Invalid) }
}

fn too_long(bytes: &[u8], mistakes: &mut Mistakes) -> Result<(), Invalid> {
    mistakes.at(
        bytes,
        CONFIG_FILE_BYTES..CONFIG_FILE_BYTES + 1,
        format_args!("the file has {} bytes: this build reads {CONFIG_FILE_BYTES} (FLAGSTONE_CONFIG_FILE_KIB)", bytes.len()),
        format_args!("is it a configuration? shorten it, or build with a larger FLAGSTONE_CONFIG_FILE_KIB"),
    );
    Err(Invalid)
}

/// The tree of the document, and then its meaning; what is left to go wrong with the tree are keys and tables that stand twice.
fn parse(text: &str, reading: syntax::Reading, into: &mut Config, mistakes: &mut Mistakes) {
    let first = match DeTable::parse(text) {
        Ok(tree) => {
            into.from_file = true;
            into.expose = Expose::Nothing;
            return Reader { text, config: into, mistakes }.document(tree.get_ref());
        }
        Err(error) => error,
    };
    if reading.errors.is_none() {
        return twice(text, &first, mistakes);
    }
    drop(first);
    for error in &DeTable::parse_recoverable(text).1 {
        twice(text, error, mistakes);
    }
}

fn twice(text: &str, error: &toml::de::Error, mistakes: &mut Mistakes) {
    let range = error.span().unwrap_or_default();
    let word = text.get(range.clone()).unwrap_or_default();
    mistakes.at(
        text,
        range,
        format_args!("{} {}", error.message(), Quoted(word)),
        format_args!("each key and each section stands once"),
    );
}

/// Fills a configuration from a document.
struct Reader<'a> {
    text: &'a str,
    config: &'a mut Config,
    mistakes: &'a mut Mistakes,
}

impl Reader<'_> {
    /// Tokens come first: other keys name them.
    fn document(&mut self, tree: &DeTable<'_>) {
        if let Some(tokens) = self.section(tree, Section::Tokens) {
            self.tokens(tokens);
        }
        for (name, value) in tree {
            match keys::find(Section::Top, name.get_ref()) {
                Some(key) => self.top(key, value),
                None if Section::HEADERS.iter().any(|section| section.name() == name.get_ref()) => {}
                None => self.unknown(Section::Top, name),
            }
        }
        for section in [Section::Cors, Section::Tables, Section::Flags, Section::Limits] {
            let Some(table) = self.section(tree, section) else { continue };
            for (name, value) in table {
                match keys::find(section, name.get_ref()) {
                    Some(key) => self.in_section(key, value),
                    None => self.unknown(section, name),
                }
            }
        }
        self.check_limits(tree);
        self.routes(tree);
    }

    /// A section's table where it stands in the document as one.
    fn section<'t, 'i>(&mut self, tree: &'t DeTable<'i>, section: Section) -> Option<&'t DeTable<'i>> {
        let value = tree.get(section.name())?;
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            DeValue::Array(_) if self.text[value.span()].starts_with("[[") || value.span().is_empty() => {
                self.wrong(
                    value,
                    format_args!("[[{0}]] stands for a list, but {0} is a section", section.name()),
                    format_args!("write [{}]", section.name()),
                );
                None
            }
            other => {
                let found = other.type_str();
                self.wrong(
                    value,
                    format_args!("{} is a section, not {} {found}", section.name(), article(found)),
                    format_args!("write [{}], and its keys below", section.name()),
                );
                None
            }
        }
    }

    /// A key that is not known where it stands: what was meant, where it belongs, what is allowed.
    fn unknown(&mut self, section: Section, name: &Name<'_>) {
        let typed: &str = name.get_ref();
        let headers = if section == Section::Top { &Section::HEADERS[..] } else { &[] };
        let here = keys::in_section(section).map(|key| key.name).chain(headers.iter().map(|section| section.name()));
        let elsewhere = keys::KEYS.iter().find(|key| key.name == typed);
        let message = format_args!("unknown key {} in {}", Quoted(typed), section.shown());
        match (nearest(typed, here.clone()), elsewhere) {
            (None, Some(key)) if key.section == Section::Top => self.mistakes.at(
                self.text,
                name.span(),
                message,
                format_args!("{typed} is a key of the top level: it stands above the first [section]"),
            ),
            (None, Some(key)) => {
                self.mistakes.at(self.text, name.span(), message, format_args!("{typed} is a key of {}", key.section.shown()));
            }
            (near, _) => {
                self.mistakes.at(self.text, name.span(), message, format_args!("{}allowed: {}", Meant(near), Listed(here)))
            }
        }
    }

    /// A mistake about a value.
    fn wrong(&mut self, value: &Value<'_>, message: fmt::Arguments<'_>, hint: fmt::Arguments<'_>) {
        self.mistakes.at(self.text, value.span(), message, hint);
    }

    /// Keeps text in the configuration. All strings of a file are shorter than the file, so there is room for each of them once.
    fn keep(&mut self, bytes: &[u8], value: &Value<'_>) -> Span {
        self.config.keep(bytes).unwrap_or_else(|_| {
            self.wrong(
                value,
                format_args!("all texts together are longer than {CONFIG_FILE_BYTES} bytes (FLAGSTONE_CONFIG_FILE_KIB)"),
                format_args!("shorten the file"),
            );
            Span::default()
        })
    }
}

/// The article of a type's name.
fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
