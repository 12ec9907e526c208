//! What differs between two configurations, by the names of keys: for the audit line and the history. Knows the model, compares meanings.

use core::fmt;

use super::keys::{self, Form, Key, METHODS, Section};
use super::mistake::cut;
use super::path::same_shape;
use super::read::verb_place;
use super::{Config, Expose, Literal, Param, Route};
use crate::memory::Span;

/// Names that are kept; further ones are only counted.
pub const CHANGES: usize = 16;
/// The longest name; of a longer one the beginning.
pub const CHANGE_BYTES: usize = 96;

/// Names of keys: `listen`, `limits.idle`, `tokens.display`, `GET /api/latest/:sensor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The first ones, in the order of the documentation.
    pub names: heapless::Vec<heapless::String<CHANGE_BYTES>, CHANGES>,
    /// How many more there are.
    pub omitted: usize,
}

impl Changes {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn add(&mut self, name: fmt::Arguments<'_>) {
        if self.names.push(cut(name)).is_err() {
            self.omitted += 1;
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.names.iter().enumerate() {
            write!(f, "{}{name}", if at > 0 { ", " } else { "" })?;
        }
        if self.omitted > 0 {
            write!(f, " and {} more", self.omitted)?;
        }
        Ok(())
    }
}

/// The keys whose meaning differs. Where a text stands in a file, and which key says what is the default anyway, makes no difference.
pub fn changed_keys(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    for key in keys::KEYS.iter().filter(|key| !matches!(key.section, Section::Route | Section::Param)) {
        if !same_key(key, old, new) {
            match key.section {
                Section::Top => changes.add(format_args!("{}", key.name)),
                section => changes.add(format_args!("{}.{}", section.name(), key.name)),
            }
        }
    }
    tokens(old, new, &mut changes);
    routes(old, new, &mut changes);
    changes
}

fn same_key(key: &Key, old: &Config, new: &Config) -> bool {
    let (mut a, mut b) = (old.limits, new.limits);
    match (key.section, key.form, key.name) {
        (_, Form::Limit(_, _, field), _) => field(&mut a) == field(&mut b),
        (_, _, "listen") => same_list(old, &old.listen, new, &new.listen),
        (_, _, "ops") => same_text(old, old.ops, new, new.ops),
        (_, _, "ops_auth") => token_name(old, old.ops_auth) == token_name(new, new.ops_auth),
        (_, _, "state") => same_text(old, old.state, new, new.state),
        (_, _, "hosts") => same_list(old, &old.hosts, new, &new.hosts),
        (_, _, "trusted_proxies") => old.trusted_proxies == new.trusted_proxies,
        (_, _, "open_writes") => old.open_writes == new.open_writes,
        (_, _, "slots_per_client") => a.slots_per_client == b.slots_per_client,
        (_, _, "origins") => same_list(old, &old.origins, new, &new.origins),
        (_, _, "expose") => match (&old.expose, &new.expose) {
            (Expose::Named(one), Expose::Named(other)) => same_list(old, one, new, other),
            (one, other) => core::mem::discriminant(one) == core::mem::discriminant(other),
        },
        (Section::Tables, _, "auth") => token_name(old, old.tables_auth) == token_name(new, new.tables_auth),
        (_, _, "cache") => old.flags.cache == new.flags.cache,
        (_, _, "batching") => old.flags.batching == new.flags.batching,
        (_, _, "single_flight") => old.flags.single_flight == new.flags.single_flight,
        (_, _, "warming") => old.flags.warming == new.flags.warming,
        (_, _, "wal_autocheckpoint") => a.wal_autocheckpoint_pages == b.wal_autocheckpoint_pages,
        (_, _, "rate") => a.rate_per_minute == b.rate_per_minute,
        (_, _, "burst") => a.burst == b.burst,
        (_, _, "batch_least") => a.batch_least == b.batch_least,
        _ => {
            debug_assert!(false, "{} is in the table but not compared", key.name);
            true
        }
    }
}

fn tokens(old: &Config, new: &Config, changes: &mut Changes) {
    for token in &new.tokens {
        let name = new.text(token.name);
        let before = old.tokens.iter().find(|other| old.text(other.name) == name);
        if before.is_none_or(|before| before.sha256 != token.sha256) {
            changes.add(format_args!("tokens.{name}"));
        }
    }
    for token in &old.tokens {
        let name = old.text(token.name);
        if !new.tokens.iter().any(|other| new.text(other.name) == name) {
            changes.add(format_args!("tokens.{name}"));
        }
    }
}

fn routes(old: &Config, new: &Config, changes: &mut Changes) {
    let twin = |config: &Config, other: &Config, route: &Route| -> Option<Route> {
        let path = config.text(route.path);
        other.routes().iter().find(|twin| twin.verb == route.verb && same_shape(other.text(twin.path), path)).copied()
    };
    for route in new.routes() {
        if twin(new, old, route).is_none_or(|before| !same_route(old, &before, new, route)) {
            changes.add(format_args!("{} {}", METHODS[verb_place(route.verb)], new.text(route.path)));
        }
    }
    for route in old.routes() {
        if twin(old, new, route).is_none() {
            changes.add(format_args!("{} {}", METHODS[verb_place(route.verb)], old.text(route.path)));
        }
    }
}

fn same_route(old: &Config, one: &Route, new: &Config, other: &Route) -> bool {
    let plain = |route: &Route| {
        (
            (route.rows, route.ttl_ms, route.stale_ok_ms, route.stale_if_error_ms),
            (route.max_age_s, route.critical, route.idempotent, route.param_count),
        )
    };
    plain(one) == plain(other)
        && old.text(one.path) == new.text(other.path)
        && old.text(one.sql) == new.text(other.sql)
        && same_text(old, one.content_type, new, other.content_type)
        && token_name(old, one.auth) == token_name(new, other.auth)
        && old.params(one).iter().zip(new.params(other)).all(|(one, other)| same_param(old, one, new, other))
}

fn same_param(old: &Config, one: &Param, new: &Config, other: &Param) -> bool {
    let default = match (one.default, other.default) {
        (Some(Literal::Text(one)), Some(Literal::Text(other))) | (Some(Literal::Blob(one)), Some(Literal::Blob(other))) => {
            old.bytes(one) == new.bytes(other)
        }
        (one, other) => one == other,
    };
    let plain = |param: &Param| (param.kind, param.min, param.max, param.declared);
    default && plain(one) == plain(other) && old.text(one.name) == new.text(other.name)
}

fn same_text(old: &Config, one: Option<Span>, new: &Config, other: Option<Span>) -> bool {
    one.map(|span| old.text(span)) == other.map(|span| new.text(span))
}

fn same_list(old: &Config, one: &[Span], new: &Config, other: &[Span]) -> bool {
    one.iter().map(|span| old.text(*span)).eq(other.iter().map(|span| new.text(*span)))
}

fn token_name(config: &Config, at: Option<u8>) -> Option<&str> {
    at.and_then(|at| config.tokens.get(usize::from(at))).map(|token| config.text(token.name))
}
