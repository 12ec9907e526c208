//! A route's parameters: those that its SQL and its path name, and what `params` says of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use toml::de::{DeTable, DeValue};

use super::route::Params;
use super::{Name, Reader, Value};
use crate::config::keys::{self, Key, Section, TYPES};
use crate::config::mistake::{Listed, Meant, Quoted};
use crate::config::nearest::nearest;
use crate::config::path;
use crate::config::{Kind, Literal, PARAMS_PER_ROUTE, Param, Route};
use crate::memory::Span;

/// Kinds in the order of [`TYPES`].
const KINDS: [Kind; 6] = [Kind::Text, Kind::Integer, Kind::Real, Kind::Boolean, Kind::Json, Kind::Blob];
const _: () = assert!(TYPES.len() == KINDS.len());

/// A kind's place in [`TYPES`]; none for [`Kind::Any`].
pub(in crate::config) fn kind_place(kind: Kind) -> Option<usize> {
    KINDS.iter().position(|other| *other == kind)
}

impl Reader<'_> {
    /// Adds the parameters of the path that the SQL does not name.
    pub(super) fn path_params(&mut self, route: &Route, value: Option<&Value<'_>>, params: &mut Params) {
        let start = route.path.range().start;
        for (range, name) in path::params(self.config.text(route.path)) {
            let known = params.iter().any(|param| self.config.text(param.name) == name);
            let span = Span::between(start + range.start, start + range.end);
            if !known && params.push(Param::undeclared(span)).is_err() {
                if let Some(value) = value {
                    let message = format_args!("path and SQL have more than {PARAMS_PER_ROUTE} parameters");
                    self.mistakes.at(
                        self.text,
                        value.span(),
                        message,
                        format_args!("PARAMS_PER_ROUTE in src/config/mod.rs is the limit"),
                    );
                }
                return;
            }
        }
    }

    /// Reads `params`. Without SQL or path nobody can say which of them are used.
    pub(super) fn declared(&mut self, route: &Route, value: &Value<'_>, params: &mut Params) {
        let DeValue::Table(table) = value.get_ref() else {
            let hint = format_args!("for example params = {{ n = {{ type = \"integer\", default = 10 }} }}");
            self.wrong_type("params", format_args!("a table"), value, hint);
            return;
        };
        let whole = route.sql != Span::default() && route.path != Span::default();
        for (name, value) in table {
            let at = params.iter().position(|param| self.config.text(param.name) == name.get_ref().as_ref());
            let read = self.param(name, value, at.map(|at| params[at].name));
            match (at, read) {
                (Some(at), Some(param)) => params[at] = param,
                (None, _) if whole => self.unused(name, params),
                _ => {}
            }
        }
    }

    fn unused(&mut self, name: &Name<'_>, params: &Params) {
        let config = &*self.config;
        let names = || params.iter().map(|param| config.text(param.name));
        let message = format_args!("parameter {} stands neither in the SQL nor in the path", Quoted(name.get_ref()));
        if params.is_empty() {
            self.mistakes.at(
                self.text,
                name.span(),
                message,
                format_args!("they name none: write :{} where its value belongs", name.get_ref()),
            );
        } else {
            let near = nearest(name.get_ref(), names());
            self.mistakes.at(self.text, name.span(), message, format_args!("{}they name: {}", Meant(near), Listed(names())));
        }
    }

    /// A parameter's declaration; `kept` is its name in the configuration, where it is used.
    fn param(&mut self, name: &Name<'_>, value: &Value<'_>, kept: Option<Span>) -> Option<Param> {
        let type_key = keys::find(Section::Param, "type")?;
        let mut param = Param { declared: true, ..Param::undeclared(kept.unwrap_or_default()) };
        let table = match value.get_ref() {
            DeValue::Table(table) => table,
            DeValue::String(_) => {
                param.kind = KINDS[self.word(type_key, value, TYPES)?];
                return Some(param);
            }
            _ => {
                let name = name.get_ref();
                let hint = format_args!("write {name} = \"integer\", or {name} = {{ type = \"integer\", default = 10 }}");
                self.wrong_type(name, format_args!("a type, or a table with one"), value, hint);
                return None;
            }
        };
        for name in table.keys().filter(|name| keys::find(Section::Param, name.get_ref()).is_none()) {
            self.unknown(Section::Param, name);
        }
        let Some(kind) = table.get("type") else {
            let message = format_args!("parameter {} has no type", Quoted(name.get_ref()));
            self.mistakes.at(self.text, name.span(), message, format_args!("allowed: {}", Listed(TYPES.iter().copied())));
            return None;
        };
        param.kind = KINDS[self.word(type_key, kind, TYPES)?];
        self.bounds(&mut param, table);
        if let Some(value) = table.get("default") {
            param.default = self.default(keys::find(Section::Param, "default")?, param, value);
        }
        Some(param)
    }

    fn bounds(&mut self, param: &mut Param, table: &DeTable<'_>) {
        let name_of = kind_place(param.kind).map_or("", |at| TYPES[at]);
        for name in ["min", "max"] {
            let Some(value) = table.get(name) else { continue };
            if !matches!(param.kind, Kind::Integer | Kind::Real | Kind::Text) {
                let hint = format_args!("integer and real have a least and a greatest value, text a length");
                self.wrong(value, format_args!("{name} does not go with type = \"{name_of}\""), hint);
                continue;
            }
            let Some(number) = self.number(name, value) else { continue };
            if param.kind != Kind::Real && number.fract() != 0.0 {
                self.wrong(
                    value,
                    format_args!("{name} = {number} is no whole number"),
                    format_args!("type = \"{name_of}\" takes none"),
                );
            } else if param.kind == Kind::Text && number < 0.0 {
                self.wrong(
                    value,
                    format_args!("{name} = {number} is no length"),
                    format_args!("{name} of a text counts its characters"),
                );
            } else if name == "min" {
                param.min = Some(number);
            } else {
                param.max = Some(number);
            }
        }
        if let (Some(min), Some(max), Some(value)) = (param.min, param.max, table.get("min"))
            && min > max
        {
            self.wrong(value, format_args!("min ({min}) is greater than max ({max})"), format_args!("no value would be allowed"));
            (param.min, param.max) = (None, None);
        }
    }

    /// A default: of the parameter's type and within its bounds.
    fn default(&mut self, key: &Key, param: Param, value: &Value<'_>) -> Option<Literal> {
        let found = match (param.kind, value.get_ref()) {
            (Kind::Integer, DeValue::Integer(number)) => {
                let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) else {
                    self.wrong(
                        value,
                        format_args!("default = {number} has more than 64 bits"),
                        format_args!("SQLite's integers have 64 bits"),
                    );
                    return None;
                };
                self.within(number as f64, param, "", value).then_some(Literal::Integer(number))?
            }
            (Kind::Real, DeValue::Integer(_) | DeValue::Float(_)) => {
                let number = self.number("default", value)?;
                self.within(number, param, "", value).then_some(Literal::Real(number))?
            }
            (Kind::Boolean, DeValue::Boolean(on)) => Literal::Integer(i64::from(*on)),
            (Kind::Text, DeValue::String(text)) => {
                let fits = self.within(text.chars().count() as f64, param, " characters", value);
                fits.then(|| Literal::Text(self.keep(text.as_bytes(), value)))?
            }
            (Kind::Json, DeValue::String(text)) => {
                if !crate::config::json_text::is_json(text) {
                    let hint = format_args!("a text in quotes needs both kinds: default = '\"text\"'; also '[]', '{{}}', 'null'");
                    self.wrong(value, format_args!("default = {} is not JSON", Quoted(text)), hint);
                    return None;
                }
                Literal::Text(self.keep(text.as_bytes(), value))
            }
            (Kind::Blob, DeValue::String(text)) => self.blob(text, value)?,
            (kind, _) => {
                let type_name = kind_place(kind).map_or("", |at| TYPES[at]);
                let hint = match kind {
                    Kind::Integer => "for example default = 10",
                    Kind::Real => "for example default = 0.5",
                    Kind::Boolean => "write default = true, or false",
                    Kind::Json => "JSON stands in quotes: default = '[]'",
                    Kind::Blob => "base64 stands in quotes: default = \"AAEC\"",
                    Kind::Text | Kind::Any => "text stands in quotes: default = \"\"",
                };
                self.wrong_type(key.name, format_args!("a value of type = \"{type_name}\""), value, format_args!("{hint}"));
                return None;
            }
        };
        Some(found)
    }

    fn blob(&mut self, text: &str, value: &Value<'_>) -> Option<Literal> {
        // Decoded in the configuration's own room, piece by piece: four letters are three bytes.
        let mut piece = [0_u8; 3 * 64];
        let start = self.keep(b"", value).range().start;
        let count = text.len().div_ceil(256);
        let mut end = start;
        for (at, letters) in text.as_bytes().chunks(256).enumerate() {
            match STANDARD.decode_slice(letters, &mut piece) {
                // Padding ends the text.
                Ok(length) if at + 1 == count || length == piece.len() => {
                    end = self.keep(&piece[..length], value).range().end;
                }
                _ => {
                    self.wrong(
                        value,
                        format_args!("default = {} is not base64", Quoted(text)),
                        format_args!("RFC 4648 §4, with padding: \"AAEC\""),
                    );
                    return None;
                }
            }
        }
        Some(Literal::Blob(Span::between(start, end.max(start))))
    }

    /// Whether a default is within the bounds; says so where it is not.
    fn within(&mut self, number: f64, param: Param, unit: &str, value: &Value<'_>) -> bool {
        let (below, above) = (param.min.is_some_and(|min| number < min), param.max.is_some_and(|max| number > max));
        if below {
            let min = param.min.unwrap_or_default();
            self.wrong(
                value,
                format_args!("default ({number}{unit}) is less than min ({min})"),
                format_args!("every value lies within min and max"),
            );
        } else if above {
            let max = param.max.unwrap_or_default();
            self.wrong(
                value,
                format_args!("default ({number}{unit}) is more than max ({max})"),
                format_args!("every value lies within min and max"),
            );
        }
        !below && !above
    }
}
