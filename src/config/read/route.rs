//! `[[route]]`: a path, its SQL, and how its answer may be kept.

use core::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Reader, Value};
use crate::budget::ROUTES;
use crate::config::keys::{self, Form, METHODS, NAME_BYTES, PATH_BYTES, SHAPES, Section};
use crate::config::mistake::{Meant, Quoted};
use crate::config::nearest::nearest;
use crate::config::path;
use crate::config::sql_names::{self, Found};
use crate::config::{PARAMS_PER_ROUTE, Param, Route, Rows, Verb, place};
use crate::memory::Span;

/// Methods in the order of [`METHODS`].
const VERBS: [Verb; 5] = [Verb::Get, Verb::Post, Verb::Put, Verb::Patch, Verb::Delete];
/// Shapes in the order of [`SHAPES`].
const ROWS: [Rows; 3] = [Rows::Many, Rows::One, Rows::Value];
const _: () = assert!(METHODS.len() == VERBS.len() && SHAPES.len() == ROWS.len());

/// A route's parameters while it is read.
pub(super) type Params = heapless::Vec<Param, PARAMS_PER_ROUTE>;

impl Reader<'_> {
    /// Every `[[route]]`.
    pub(super) fn routes(&mut self, tree: &DeTable<'_>) {
        let Some(value) = tree.get(Section::Route.name()) else { return };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong(value, format_args!("route is a list of tables"), format_args!("write [[route]], with two brackets"));
            return;
        };
        for (at, route) in array.iter().enumerate() {
            if at == ROUTES {
                self.fits("routes", array.len(), ROUTES, "FLAGSTONE_ROUTES", route);
                return;
            }
            match route.get_ref() {
                DeValue::Table(table) => self.route(table, route),
                _ => self.wrong(route, format_args!("a route is a table"), format_args!("write [[route]], and its keys below")),
            }
        }
    }

    fn route(&mut self, table: &DeTable<'_>, place: &Value<'_>) {
        let mut route =
            Route::new(Verb::Get, Span::default(), Span::default(), place::line_of(self.text.as_bytes(), place.span().start));
        // Whether method and shape are what the file says: without them nothing can be said of what goes with them.
        let mut sound = true;
        for (name, value) in table {
            match keys::find(Section::Route, name.get_ref()) {
                Some(key) => self.route_key(&mut route, key, value, &mut sound),
                None => self.unknown(Section::Route, name),
            }
        }
        for key in ["path", "sql"] {
            if !table.contains_key(key) {
                let example = keys::find(Section::Route, key).map_or("", |key| key.example);
                self.wrong(place, format_args!("{key} is missing"), format_args!("for example {key} = {example}"));
            }
        }
        if sound {
            self.check_together(&route, table);
        }
        let mut params = Params::new();
        if let Some(value) = table.get("sql")
            && route.sql != Span::default()
        {
            self.sql(&route, value, &mut params, sound);
        }
        self.path_params(&route, table.get("path"), &mut params);
        if let Some(declared) = table.get("params") {
            self.declared(&route, declared, &mut params);
        }
        if let Some(path) = table.get("path")
            && route.path != Span::default()
            && sound
        {
            self.check_twin(&route, path);
        }
        if self.config.add_route(route, &params).is_err() {
            let most = crate::budget::ROUTE_PARAMS;
            self.wrong(
                place,
                format_args!(
                    "the parameters of all routes are more than {most}: this build holds no more (FLAGSTONE_ROUTE_PARAMS)"
                ),
                format_args!("leave some out, or build with a larger FLAGSTONE_ROUTE_PARAMS"),
            );
        }
    }

    fn route_key(&mut self, route: &mut Route, key: &'static keys::Key, value: &Value<'_>, sound: &mut bool) {
        let (least, most) = key.form.range();
        let ms = match key.form {
            Form::Time(..) => self.time(key, value, least, most),
            _ => None,
        };
        match key.name {
            "path" => route.path = self.path(key, value).unwrap_or_default(),
            "method" => match self.word(key, value, METHODS) {
                Some(at) => route.verb = VERBS[at],
                None => *sound = false,
            },
            "sql" => route.sql = self.kept(key, value, crate::budget::CONFIG_FILE_BYTES).unwrap_or_default(),
            "rows" => match self.word(key, value, SHAPES) {
                Some(at) => route.rows = ROWS[at],
                None => *sound = false,
            },
            "type" => route.content_type = self.content_type(key, value),
            "ttl" => route.ttl_ms = ms,
            "stale_ok" => route.stale_ok_ms = ms.unwrap_or_default(),
            "stale_if_error" => route.stale_if_error_ms = ms.unwrap_or_default(),
            "max_age" => {
                let ms = ms.unwrap_or_default();
                if !ms.is_multiple_of(1000) {
                    self.wrong(
                        value,
                        format_args!("max_age is not of whole seconds"),
                        format_args!("Cache-Control knows no less"),
                    );
                }
                route.max_age_s = (ms / 1000) as u32;
            }
            "critical" => route.critical = self.boolean(key, value).unwrap_or_default(),
            "auth" => route.auth = self.token(key, value),
            "idempotent" => route.idempotent = self.boolean(key, value).unwrap_or_default(),
            _ => debug_assert_eq!(key.name, "params", "in the table but not read"),
        }
    }

    fn content_type(&mut self, key: &keys::Key, value: &Value<'_>) -> Option<Span> {
        let text = self.text_of(key, value, NAME_BYTES)?;
        let essence = text.split(';').next().unwrap_or_default().trim_end();
        let token = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        let whole = essence.split_once('/').is_some_and(|(kind, of)| token(kind) && token(of));
        if !whole || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.wrong(value, format_args!("{} is no Content-Type", Quoted(text)), format_args!("for example {}", key.example));
            return None;
        }
        Some(self.keep(text.as_bytes(), value))
    }

    fn path(&mut self, key: &keys::Key, value: &Value<'_>) -> Option<Span> {
        let text = self.text_of(key, value, PATH_BYTES)?;
        if let Err(error) = path::check(text) {
            self.wrong_path(text, value, &error);
            return None;
        }
        Some(self.keep(text.as_bytes(), value))
    }

    /// What keys of a route ask of each other.
    fn check_together(&mut self, route: &Route, table: &DeTable<'_>) {
        if let Some(value) = table.get("type")
            && route.rows != Rows::Value
        {
            let hint = format_args!(
                "write rows = \"value\", whose first column is sent bare; other answers are JSON, CSV or NDJSON as asked for"
            );
            self.wrong(value, format_args!("type goes with rows = \"value\" only"), hint);
        }
        let reads = ["ttl", "stale_ok", "stale_if_error", "max_age", "critical"];
        for name in reads.into_iter().filter(|_| route.verb.writes()) {
            if let Some(value) = table.get(name) {
                let hint = format_args!("answers to {} are never kept: leave it out", METHODS[verb_place(route.verb)]);
                self.wrong(value, format_args!("{name} goes with GET only"), hint);
            }
        }
        if let Some(value) = table.get("idempotent")
            && !route.verb.writes()
        {
            let hint = format_args!("a GET may be asked again anyway: leave it out");
            self.wrong(value, format_args!("idempotent goes with writes only"), hint);
        }
    }

    /// Another route with the same method and the same shape of path.
    fn check_twin(&mut self, route: &Route, value: &Value<'_>) {
        let text = self.config.text(route.path);
        let twin = self.config.routes().iter().find(|other| {
            other.verb == route.verb && other.path != Span::default() && path::same_shape(self.config.text(other.path), text)
        });
        if let Some(twin) = twin {
            let message = format_args!(
                "{} {} is the same path as {} in line {}",
                METHODS[verb_place(route.verb)],
                text,
                self.config.text(twin.path),
                twin.line
            );
            self.mistakes.at(self.text, value.span(), message, format_args!("each method and path has one route"));
        }
    }

    /// Looks into the SQL: its parameters come out, in the order in which they stand there first.
    fn sql(&mut self, route: &Route, value: &Value<'_>, params: &mut Params, sound: bool) {
        let range = route.sql.range();
        let raw = &self.text[value.span()];
        let sql = self.config.text(route.sql);
        let mut statements = 0_usize;
        // A method that is none may have been meant to write.
        let verb = if sound { route.verb } else { Verb::Post };
        let (text, mistakes) = (self.text, &mut *self.mistakes);
        let mut at = |range: Range<usize>, message: core::fmt::Arguments<'_>, hint: core::fmt::Arguments<'_>| {
            let start = value.span().start + place::in_string(raw, range.start);
            let end = value.span().start + place::in_string(raw, range.end);
            mistakes.at(text, start..end.max(start + 1), message, hint);
        };
        let mut full = false;
        sql_names::scan(sql, |found| match found {
            Found::Param(name) => {
                let known = params.iter().any(|param| self.config.text(param.name) == &sql[name.clone()]);
                let span = Span::between(range.start + name.start, range.start + name.end);
                if !known && params.push(Param::undeclared(span)).is_err() && !core::mem::replace(&mut full, true) {
                    let hint = format_args!("send a JSON text and take it apart with json_extract");
                    at(
                        name,
                        format_args!("more than {PARAMS_PER_ROUTE} parameters (PARAMS_PER_ROUTE in src/config/mod.rs)"),
                        hint,
                    );
                }
            }
            Found::Odd(range) => {
                let message = format_args!("the SQL has the parameter {}", Quoted(&sql[range.clone()]));
                at(
                    range,
                    message,
                    format_args!("only :name is looked up in path, query and body: a letter or _, then letters, digits and _"),
                );
            }
            Found::Statement(range) => {
                statements += 1;
                first_word(verb, &sql[range.clone()], statements, |message, hint| at(range.clone(), message, hint));
            }
            Found::Unclosed(from) => {
                at(
                    from..from + 1,
                    format_args!("the SQL has a string or name that does not end"),
                    format_args!("close it with the same sign"),
                );
            }
        });
        if statements == 0 {
            self.wrong(value, format_args!("the SQL has no statement"), format_args!("for example sql = \"SELECT 1 AS one\""));
        }
    }
}

/// What a statement's first word says about the route.
fn first_word(
    verb: Verb, word: &str, statement: usize, mut wrong: impl FnMut(core::fmt::Arguments<'_>, core::fmt::Arguments<'_>),
) {
    const OTHER: &[&str] = &[
        "ATTACH",
        "DETACH",
        "PRAGMA",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
        "CREATE",
        "DROP",
        "ALTER",
        "REINDEX",
        "ANALYZE",
        "EXPLAIN",
    ];
    const WRITES: &[&str] = &["INSERT", "UPDATE", "DELETE", "REPLACE"];
    const READS: &[&str] = &["SELECT", "WITH", "VALUES"];
    let is = |words: &[&str]| words.iter().any(|other| other.eq_ignore_ascii_case(word));
    if !verb.writes() && statement == 2 {
        let hint = format_args!("several statements run in one transaction of a route that writes: method = \"POST\"");
        wrong(format_args!("a GET route has one statement"), hint);
    } else if is(OTHER) {
        let hint = format_args!(
            "allowed: SELECT, WITH, VALUES, INSERT, UPDATE, DELETE, REPLACE; each request runs in a transaction anyway"
        );
        wrong(format_args!("{} is not allowed in a route", Quoted(word)), hint);
    } else if !verb.writes() && is(WRITES) {
        wrong(format_args!("a GET route changes nothing, but this is {}", Quoted(word)), format_args!("write method = \"POST\""));
    } else if !is(READS) && !is(WRITES) && word != "(" {
        let near = nearest(word, READS.iter().chain(WRITES).copied());
        wrong(
            format_args!("{} begins no statement", Quoted(word)),
            format_args!("{}allowed: SELECT, WITH, VALUES, INSERT, UPDATE, DELETE, REPLACE", Meant(near)),
        );
    }
}

/// A method's place in [`METHODS`].
pub(in crate::config) fn verb_place(verb: Verb) -> usize {
    VERBS.iter().position(|other| *other == verb).unwrap_or_default()
}

/// A shape's place in [`SHAPES`].
pub(in crate::config) fn rows_place(rows: Rows) -> usize {
    ROWS.iter().position(|other| *other == rows).unwrap_or_default()
}
