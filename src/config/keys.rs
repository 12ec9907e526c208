//! Every key that a configuration may have: where it stands, what it takes, what it is without it, and a line that says what it is for.
//! The reader, the schema and the documentation go by this table and know no other.

use super::{EXPOSED, HOSTS, LISTEN, Limits, ORIGINS, PARAMS_PER_ROUTE, PROXIES};
use crate::budget::SLOTS;

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Before the first section.
    Top,
    /// `[tokens]`, whose keys are names of the user's.
    Tokens,
    /// `[cors]`
    Cors,
    /// `[tables]`
    Tables,
    /// `[flags]`
    Flags,
    /// `[limits]`
    Limits,
    /// `[[route]]`
    Route,
    /// A parameter inside a route's `params`.
    Param,
}

impl Section {
    /// Those with a header of their own.
    pub const HEADERS: [Section; 6] =
        [Section::Tokens, Section::Cors, Section::Tables, Section::Flags, Section::Limits, Section::Route];

    /// Its name in a header.
    pub const fn name(self) -> &'static str {
        match self {
            Section::Top => "",
            Section::Tokens => "tokens",
            Section::Cors => "cors",
            Section::Tables => "tables",
            Section::Flags => "flags",
            Section::Limits => "limits",
            Section::Route => "route",
            Section::Param => "params",
        }
    }

    /// How a message calls it.
    pub const fn shown(self) -> &'static str {
        match self {
            Section::Top => "the top level",
            Section::Tokens => "[tokens]",
            Section::Cors => "[cors]",
            Section::Tables => "[tables]",
            Section::Flags => "[flags]",
            Section::Limits => "[limits]",
            Section::Route => "[[route]]",
            Section::Param => "params",
        }
    }

    /// What it is for, in one line.
    pub const fn doc(self) -> &'static str {
        match self {
            Section::Top => "A Flagstone configuration.",
            Section::Tokens => "Tokens by name, each as its SHA-256: `flagstone token NAME` makes one.",
            Section::Cors => "Who else's pages may read answers.",
            Section::Tables => "Which tables are served at /tables.",
            Section::Flags => "Optional features: \"on\", \"off\" or a share of the clients such as \"25%\".",
            Section::Limits => "Times and thresholds.",
            Section::Route => "A path that answers with the result of SQL.",
            Section::Param => "A parameter of the route's SQL.",
        }
    }
}

/// A field of [`Limits`] that holds ms.
pub type TimeField = fn(&mut Limits) -> &mut u64;

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Any text that is not empty, of at most so many bytes.
    Text(usize),
    /// One text, or an array of at most so many.
    OneOrMany(usize),
    /// An array of at most so many texts.
    Many(usize),
    /// Names of tables, `"*"` for all.
    Expose,
    /// The name of a token in `[tokens]`.
    TokenName,
    /// `true` or `false`.
    Bool,
    /// A whole number in a range.
    Count(u64, u64),
    /// A time in a range of ms, kept in a field.
    Limit(u64, u64, TimeField),
    /// A time in a range of ms.
    Time(u64, u64),
    /// `off`, or requests in a time: `50/s`, `30/m`.
    Rate,
    /// `on`, `off`, true, false or a percentage.
    Share,
    /// One of some words.
    Word(&'static [&'static str]),
    /// A table of parameters.
    Params,
    /// A number, least or greatest.
    Number,
    /// A value of the parameter's own type.
    Any,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands.
    pub section: Section,
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub form: Form,
    /// What holds without it, as TOML; empty where that is nothing, or the field's own default ([`Form::Limit`]).
    pub default: &'static str,
    /// What it is for, in one line.
    pub doc: &'static str,
    /// A value, as TOML.
    pub example: &'static str,
}

const fn key(
    section: Section, name: &'static str, form: Form, default: &'static str, example: &'static str, doc: &'static str,
) -> Key {
    Key { section, name, form, default, doc, example }
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// A path may take this much; addresses and names are shorter.
pub(super) const PATH_BYTES: usize = 1024;
/// The longest name: of a token, a host, an address.
pub(super) const NAME_BYTES: usize = 256;
/// Types of a parameter, by the order of their kinds.
pub(super) const TYPES: &[&str] = &["text", "integer", "real", "boolean", "json", "blob"];
/// Methods of a route.
pub(super) const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];
/// Shapes of an answer.
pub(super) const SHAPES: &[&str] = &["many", "one", "value"];

use Form::*;
use Section::{Cors, Flags, Limits as Limit_, Param, Route, Tables, Top};

/// The table, in the order of the documentation.
pub const KEYS: &[Key] = &[
    key(
        Top,
        "listen",
        OneOrMany(LISTEN),
        "\"127.0.0.1:8080\"",
        "[\"127.0.0.1:8080\", \"[::1]:8080\"]",
        "Addresses to listen on: IP:PORT, :PORT for every interface, or unix:PATH. --listen wins.",
    ),
    key(Top, "ops", Text(NAME_BYTES), "", "\"127.0.0.1:8081\"", "An address of its own for the operators' pages at /-/."),
    key(Top, "ops_auth", TokenName, "", "\"admin\"", "The token that opens /-/ on the public listeners."),
    key(
        Top,
        "state",
        Text(PATH_BYTES),
        "",
        "\"/var/lib/flagstone\"",
        "The folder for keys, the last good configuration and temporary files.",
    ),
    key(Top, "hosts", Many(HOSTS), "[]", "[\"pi.example.org\"]", "Names under which the server may be asked, beside its own."),
    key(
        Top,
        "trusted_proxies",
        Many(PROXIES),
        "[]",
        "[\"192.168.1.10\"]",
        "IP addresses of proxies whose forwarding headers count.",
    ),
    key(Top, "open_writes", Bool, "false", "true", "Whether routes that write may go without a token beyond this machine."),
    key(Top, "slots_per_client", Count(1, SLOTS as u64), "", "15", "Connections that one client may have."),
    key(
        Cors,
        "origins",
        Many(ORIGINS),
        "[]",
        "[\"https://app.example.org\"]",
        "Origins whose pages may read answers: scheme://host[:port], or \"*\" for any.",
    ),
    key(Tables, "expose", Expose, "[]", "[\"sensors\", \"latest\"]", "Tables and views that are served, or \"*\" for all."),
    key(Tables, "auth", TokenName, "", "\"display\"", "The token that they ask for."),
    key(Flags, "cache", Share, "\"on\"", "\"off\"", "The cache of answers."),
    key(Flags, "batching", Share, "\"on\"", "\"off\"", "Writes that arrive together share a transaction."),
    key(Flags, "single_flight", Share, "\"on\"", "\"50%\"", "Equal requests in flight share a query."),
    key(Flags, "warming", Share, "\"on\"", "\"off\"", "Answers of critical routes are made before they are asked for."),
    key(
        Limit_,
        "first_byte",
        Limit(100, 10 * MINUTE, |limits| &mut limits.first_byte_ms),
        "",
        "\"5s\"",
        "From accept to a request's first byte.",
    ),
    key(
        Limit_,
        "head",
        Limit(100, 10 * MINUTE, |limits| &mut limits.head_ms),
        "",
        "\"5s\"",
        "From the first byte to the end of the head.",
    ),
    key(
        Limit_,
        "body",
        Limit(100, 10 * MINUTE, |limits| &mut limits.body_ms),
        "",
        "\"10s\"",
        "From the end of the head to the end of the body.",
    ),
    key(
        Limit_,
        "idle",
        Limit(100, HOUR, |limits| &mut limits.idle_ms),
        "",
        "\"1m\"",
        "Between two requests of a kept connection.",
    ),
    key(
        Limit_,
        "write",
        Limit(100, 10 * MINUTE, |limits| &mut limits.write_ms),
        "",
        "\"20s\"",
        "Within this a client takes at least 4 KiB of its answer.",
    ),
    key(
        Limit_,
        "queue",
        Limit(10, 10 * MINUTE, |limits| &mut limits.queue_ms),
        "",
        "\"2s\"",
        "How long a request waits for the database to be free.",
    ),
    key(
        Limit_,
        "shed_wait",
        Limit(1, 10 * MINUTE, |limits| &mut limits.shed_wait_ms),
        "",
        "\"100ms\"",
        "From this expected wait for the database on, requests of routes that are not critical are shed in proportion.",
    ),
    key(
        Limit_,
        "breaker",
        Limit(100, 10 * MINUTE, |limits| &mut limits.breaker_ms),
        "",
        "\"10s\"",
        "How long a route or a database that fails repeatedly is left alone.",
    ),
    key(
        Limit_,
        "busy_timeout",
        Limit(1, MINUTE, |limits| &mut limits.busy_ms),
        "",
        "\"2s\"",
        "How long a request waits for another process's lock.",
    ),
    key(
        Limit_,
        "table_query",
        Limit(10, 10 * MINUTE, |limits| &mut limits.table_query_ms),
        "",
        "\"2s\"",
        "How long a query of a table may run.",
    ),
    key(
        Limit_,
        "route_query",
        Limit(10, 10 * MINUTE, |limits| &mut limits.route_query_ms),
        "",
        "\"10s\"",
        "How long a query of a route may run.",
    ),
    key(
        Limit_,
        "slow_request",
        Limit(0, 10 * MINUTE, |limits| &mut limits.slow_request_ms),
        "",
        "\"250ms\"",
        "From when on a request is told in the log, by its route; 0 tells none.",
    ),
    key(
        Limit_,
        "cache_ttl",
        Limit(0, 30 * 24 * HOUR, |limits| &mut limits.cache_ttl_ms),
        "",
        "\"1m\"",
        "How long an answer is kept where no route says otherwise; 0 keeps none.",
    ),
    key(
        Limit_,
        "drain",
        Limit(100, 10 * MINUTE, |limits| &mut limits.drain_ms),
        "",
        "\"5s\"",
        "How long a graceful stop waits for requests under way.",
    ),
    key(Limit_, "rate", Rate, "\"off\"", "\"50/s\"", "Requests that one client may make in the long run; beyond it is a 429."),
    key(Limit_, "burst", Count(1, 100_000), "", "100", "Requests of one client that may come at once, where there is a rate."),
    key(
        Limit_,
        "wal_autocheckpoint",
        Count(0, 1_000_000),
        "",
        "1000",
        "Pages in the WAL from which on it is checkpointed; 0 leaves that to others, such as Litestream.",
    ),
    key(Limit_, "batch_least", Count(1, 64), "", "10", "Waiting writes that end the batch window at the latest."),
    key(
        Limit_,
        "batch_window",
        Limit(0, 10 * SECOND, |limits| &mut limits.batch_window_ms),
        "",
        "\"10ms\"",
        "How long a batch of writes is waited for; at most batch_wait.",
    ),
    key(
        Limit_,
        "batch_wait",
        Limit(1, 10 * SECOND, |limits| &mut limits.batch_wait_ms),
        "",
        "\"100ms\"",
        "How long a write waits for its batch; at most queue.",
    ),
    key(Route, "path", Text(PATH_BYTES), "", "\"/api/latest/:sensor\"", "The path; a segment :name is a parameter."),
    key(Route, "method", Word(METHODS), "\"GET\"", "\"POST\"", "The method; GET answers HEAD too."),
    key(
        Route,
        "sql",
        Text(65_536),
        "",
        "\"SELECT at, value FROM readings WHERE sensor = :sensor\"",
        "The SQL, with :name for parameters; several statements run in one transaction.",
    ),
    key(
        Route,
        "params",
        Params,
        "{}",
        "{ n = { type = \"integer\", default = 10, max = 500 } }",
        "Types, defaults and bounds of parameters; without them a parameter is text and must be there.",
    ),
    key(
        Route,
        "rows",
        Word(SHAPES),
        "\"many\"",
        "\"one\"",
        "many: an array of objects; one: an object, or 404; value: the first column, bare.",
    ),
    key(
        Route,
        "type",
        Text(NAME_BYTES),
        "\"text/plain; charset=utf-8\"",
        "\"text/calendar; charset=utf-8\"",
        "The Content-Type of rows = \"value\".",
    ),
    key(
        Route,
        "ttl",
        Time(0, 30 * 24 * HOUR),
        "",
        "\"5m\"",
        "How long an answer is kept at most; it also dies with the data it was made from. 0 keeps none.",
    ),
    key(Route, "stale_ok", Time(0, 24 * HOUR), "\"0s\"", "\"10s\"", "How much older than the data an answer may be."),
    key(Route, "stale_if_error", Time(0, 30 * 24 * HOUR), "\"0s\"", "\"1h\"", "The same while the database fails."),
    key(
        Route,
        "max_age",
        Time(0, 365 * 24 * HOUR),
        "\"0s\"",
        "\"1m\"",
        "How long browsers and proxies may keep an answer unasked, in whole seconds.",
    ),
    key(Route, "critical", Bool, "false", "true", "Never shed, evicted last, warmed."),
    key(Route, "auth", TokenName, "", "\"display\"", "The token that a request must bring; without it everybody may ask."),
    key(Route, "idempotent", Bool, "false", "true", "An Idempotency-Key's answer is kept with the write and given again."),
    key(Param, "type", Word(TYPES), "", "\"integer\"", "Its type."),
    key(Param, "default", Any, "", "10", "Its value when a request has none."),
    key(Param, "min", Number, "", "1", "The least number, or the least length of a text in characters."),
    key(Param, "max", Number, "", "500", "The greatest number, or the greatest length of a text in characters."),
];

const _: () = assert!(PARAMS_PER_ROUTE <= 255 && EXPOSED <= 255);

/// The key with this name in a section.
pub fn find(section: Section, name: &str) -> Option<&'static Key> {
    in_section(section).find(|key| key.name == name)
}

/// The keys of a section.
pub fn in_section(section: Section) -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.iter().filter(move |key| key.section == section)
}

impl Key {
    /// Its default as TOML where it has one; that of a limit is the limit's own.
    pub fn default_toml(&self) -> Option<heapless::String<64>> {
        use core::fmt::Write;
        let mut limits = Limits::DEFAULT;
        let mut text = heapless::String::new();
        let written = match (self.form, self.name) {
            (Form::Limit(_, _, field), _) => write!(text, "\"{}\"", super::duration::Duration(*field(&mut limits))),
            (_, "slots_per_client") => write!(text, "{}", limits.slots_per_client),
            (_, "wal_autocheckpoint") => write!(text, "{}", limits.wal_autocheckpoint_pages),
            (_, "burst") => write!(text, "{}", limits.burst),
            (_, "batch_least") => write!(text, "{}", limits.batch_least),
            _ => write!(text, "{}", self.default),
        };
        (written.is_ok() && !text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_once_and_says_what_it_is() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..at].iter().all(|other| (other.section, other.name) != (key.section, key.name)), "{}", key.name);
            assert!(key.doc.ends_with('.') && !key.example.is_empty(), "{}", key.name);
            assert!(key.default.is_empty() || key.default_toml().is_some(), "{}", key.name);
        }
    }

    #[test]
    fn the_defaults_of_times_are_within_their_ranges() {
        for key in KEYS {
            if let Form::Limit(least, most, field) = key.form {
                let mut limits = Limits::DEFAULT;
                let ms = *field(&mut limits);
                assert!((least..=most).contains(&ms), "{} = {ms}", key.name);
            }
        }
    }
}
