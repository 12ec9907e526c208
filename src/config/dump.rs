//! A configuration as TOML again: everything that holds, whether the file says so or not. Knows the model, not the file it came from.

use core::fmt::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::duration::Duration;
use super::keys::{self, Form, METHODS, SHAPES, Section, TYPES};
use super::rate::Rate;
use super::read::{kind_place, rows_place, verb_place};
use super::{Config, Expose, Kind, Literal, Param, Route, Rows};
use crate::memory::Span;

/// How tokens' hashes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashes {
    /// The first eight digits: enough to tell two of them apart, too little to try tokens against. Such a dump does not read back.
    Masked,
    /// In full: the dump reads back as an equal configuration.
    Whole,
}

/// Writes the effective configuration as TOML.
///
/// # Errors
/// Those of `out` alone.
pub fn dump(config: &Config, hashes: Hashes, out: &mut impl Write) -> fmt::Result {
    top(config, out)?;
    if !config.tokens.is_empty() {
        out.write_str("\n[tokens]\n")?;
    }
    for token in &config.tokens {
        text(config.text(token.name), out)?;
        out.write_str(" = \"sha256:")?;
        let shown = if hashes == Hashes::Masked { 4 } else { token.sha256.len() };
        token.sha256[..shown].iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
        out.write_str(if hashes == Hashes::Masked { "...\"\n" } else { "\"\n" })?;
    }
    out.write_str("\n[cors]\norigins = ")?;
    list(config, &config.origins, out)?;
    out.write_str("\n\n[tables]\nexpose = ")?;
    match &config.expose {
        Expose::Nothing => out.write_str("[]")?,
        Expose::All => out.write_str("\"*\"")?,
        Expose::Named(names) => list(config, names, out)?,
    }
    out.write_char('\n')?;
    token("auth", config, config.tables_auth, out)?;
    flags_and_limits(config, out)?;
    config.routes().iter().try_for_each(|one| route(config, one, out))
}

fn top(config: &Config, out: &mut impl Write) -> fmt::Result {
    if !config.listen.is_empty() {
        out.write_str("listen = ")?;
        list(config, &config.listen, out)?;
        out.write_char('\n')?;
    }
    if let Some(ops) = config.ops {
        entry("ops", config.text(ops), out)?;
    }
    token("ops_auth", config, config.ops_auth, out)?;
    if let Some(state) = config.state {
        entry("state", config.text(state), out)?;
    }
    out.write_str("hosts = ")?;
    list(config, &config.hosts, out)?;
    out.write_str("\ntrusted_proxies = [")?;
    for (at, address) in config.trusted_proxies.iter().enumerate() {
        write!(out, "{}\"{address}\"", if at > 0 { ", " } else { "" })?;
    }
    writeln!(out, "]\nopen_writes = {}\nslots_per_client = {}", config.open_writes, config.limits.slots_per_client)
}

fn flags_and_limits(config: &Config, out: &mut impl Write) -> fmt::Result {
    out.write_str("\n[flags]\n")?;
    let flags = config.flags;
    for (name, percent) in
        [("cache", flags.cache), ("batching", flags.batching), ("single_flight", flags.single_flight), ("warming", flags.warming)]
    {
        match percent {
            0 => writeln!(out, "{name} = \"off\"")?,
            100 => writeln!(out, "{name} = \"on\"")?,
            percent => writeln!(out, "{name} = \"{percent}%\"")?,
        }
    }
    out.write_str("\n[limits]\n")?;
    let mut limits = config.limits;
    for key in keys::in_section(Section::Limits) {
        match (key.form, key.name) {
            (Form::Limit(_, _, field), name) => writeln!(out, "{name} = \"{}\"", Duration(*field(&mut limits)))?,
            (_, "wal_autocheckpoint") => writeln!(out, "wal_autocheckpoint = {}", limits.wal_autocheckpoint_pages)?,
            (Form::Rate, name) => writeln!(out, "{name} = \"{}\"", Rate(limits.rate_per_minute))?,
            (_, "burst") => writeln!(out, "burst = {}", limits.burst)?,
            (_, name) => writeln!(out, "{name} = {}", limits.batch_least)?,
        }
    }
    Ok(())
}

fn route(config: &Config, route: &Route, out: &mut impl Write) -> fmt::Result {
    out.write_str("\n[[route]]\n")?;
    entry("method", METHODS[verb_place(route.verb)], out)?;
    entry("path", config.text(route.path), out)?;
    entry("sql", config.text(route.sql), out)?;
    let mut declared = config.params(route).iter().filter(|param| param.declared).peekable();
    if declared.peek().is_some() {
        out.write_str("params = { ")?;
        for (at, one) in declared.enumerate() {
            out.write_str(if at > 0 { ", " } else { "" })?;
            param(config, one, out)?;
        }
        out.write_str(" }\n")?;
    }
    entry("rows", SHAPES[rows_place(route.rows)], out)?;
    if let (Some(kind), Rows::Value) = (route.content_type, route.rows) {
        entry("type", config.text(kind), out)?;
    }
    token("auth", config, route.auth, out)?;
    if route.verb.writes() {
        return writeln!(out, "idempotent = {}", route.idempotent);
    }
    if let Some(ttl) = route.ttl_ms {
        writeln!(out, "ttl = \"{}\"", Duration(ttl))?;
    }
    writeln!(
        out,
        "stale_ok = \"{}\"\nstale_if_error = \"{}\"\nmax_age = \"{}\"\ncritical = {}",
        Duration(route.stale_ok_ms),
        Duration(route.stale_if_error_ms),
        Duration(u64::from(route.max_age_s) * 1000),
        route.critical
    )
}

fn param(config: &Config, param: &Param, out: &mut impl Write) -> fmt::Result {
    let kind = kind_place(param.kind).map_or("text", |at| TYPES[at]);
    write!(out, "{} = {{ type = \"{kind}\"", config.text(param.name))?;
    if let Some(default) = param.default {
        out.write_str(", default = ")?;
        match default {
            Literal::Integer(on) if param.kind == Kind::Boolean => write!(out, "{}", on != 0)?,
            Literal::Integer(number) => write!(out, "{number}")?,
            Literal::Real(number) => write!(out, "{number:?}")?,
            Literal::Text(span) => text(config.text(span), out)?,
            Literal::Blob(span) => write!(out, "\"{}\"", Base64Display::new(config.bytes(span), &STANDARD))?,
        }
    }
    for (name, bound) in [("min", param.min), ("max", param.max)] {
        match bound {
            Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => write!(out, ", {name} = {number:.0}")?,
            Some(number) if param.kind == Kind::Integer => write!(out, ", {name} = {number:.0}")?,
            Some(number) => write!(out, ", {name} = {number:?}")?,
            None => {}
        }
    }
    out.write_str(" }")
}

fn token(name: &str, config: &Config, at: Option<u8>, out: &mut impl Write) -> fmt::Result {
    match at.and_then(|at| config.tokens.get(usize::from(at))) {
        Some(token) => entry(name, config.text(token.name), out),
        None => Ok(()),
    }
}

fn entry(name: &str, value: &str, out: &mut impl Write) -> fmt::Result {
    write!(out, "{name} = ")?;
    text(value, out)?;
    out.write_char('\n')
}

fn list(config: &Config, spans: &[Span], out: &mut impl Write) -> fmt::Result {
    out.write_char('[')?;
    for (at, span) in spans.iter().enumerate() {
        out.write_str(if at > 0 { ", " } else { "" })?;
        text(config.text(*span), out)?;
    }
    out.write_char(']')
}

/// A text as TOML, in the form that is easiest to read: plain, literal, several lines, or with escapes.
fn text(text: &str, out: &mut impl Write) -> fmt::Result {
    let odd = |letter: char| letter.is_ascii_control() && letter != '\t';
    if !text.contains(odd) && !text.contains(['"', '\\']) {
        return write!(out, "\"{text}\"");
    }
    if !text.contains(odd) && !text.contains('\'') {
        return write!(out, "'{text}'");
    }
    if !text.contains(|letter| odd(letter) && letter != '\n') && !text.contains("'''") && !text.ends_with('\'') {
        return write!(out, "'''\n{text}'''");
    }
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(out, "\\{letter}")?,
            '\n' => out.write_str("\\n")?,
            letter if odd(letter) => write!(out, "\\u{:04x}", u32::from(letter))?,
            letter => out.write_char(letter)?,
        }
    }
    out.write_char('"')
}
