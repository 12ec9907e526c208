//! The values of a route's parameters, in the route's order. One room, made once, for one request at a time.

use super::refusal::{self, Written};
use super::typed;
use super::{VALUE_BYTES, json, matching};
use crate::api::problem::Problem;
use crate::api::table_query::Format;
use crate::api::value::{Bind, Value};
use crate::api::{parameters, percent};
use crate::config::{Config, PARAMS_PER_ROUTE, Param, Route};
use crate::memory::Fixed;
use crate::memory::sink::Sink;

/// A set of parameters: a bit for each place.
type Places = u32;
const _: () = assert!(PARAMS_PER_ROUTE <= Places::BITS as usize);

/// The values of a route's parameters.
pub struct Bound {
    values: heapless::Vec<Bind, PARAMS_PER_ROUTE>,
    /// Those that have their value.
    given: Places,
    /// Those whose value came out of the path.
    in_path: Places,
    /// Those whose value came out of path or query: the same for every element of a body.
    in_target: Places,
    /// Bytes of the scratch that belong to them.
    target_bytes: usize,
    scratch: Fixed<u8>,
    format: Option<Format>,
}

impl Default for Bound {
    fn default() -> Bound {
        Bound::new()
    }
}

/// Where a list of `name=value` pairs stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Query,
    Body,
}

impl Bound {
    /// Takes its room from the heap, once.
    pub fn new() -> Bound {
        Bound {
            values: heapless::Vec::new(),
            given: 0,
            in_path: 0,
            in_target: 0,
            target_bytes: 0,
            scratch: Fixed::new(VALUE_BYTES),
            format: None,
        }
    }

    /// Binds a request without a body: each parameter has its value from the path, else from the query, else its default. `path` is one that
    /// the route's path fits; both are still percent-encoded.
    ///
    /// # Errors
    /// A 400 that names the parameter: unknown, doubled, missing, not of its type, out of range. Nothing is bound then.
    pub fn bind_query(&mut self, config: &Config, route: &Route, path: &[u8], query: &[u8]) -> Result<(), Problem> {
        let result = self.bind_target(config, route, path, query).and_then(|()| self.fill(config, route));
        if result.is_err() {
            self.forget();
        }
        result
    }

    /// The values, in the order of the route's parameters.
    pub fn binds(&self) -> &[Bind] {
        &self.values
    }

    /// Where the texts and blobs of the values lie.
    pub fn scratch(&self) -> &[u8] {
        &self.scratch
    }

    /// The value of the parameter at this place of the route's.
    pub fn value(&self, place: usize) -> Value<'_> {
        self.values[place].value(&self.scratch)
    }

    /// What `_format=` asked for, unless the route has a parameter of that name.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Hands over all values as bytes, for a key of a cache: for one route, different values never give the same bytes.
    pub fn feed(&self, mut take: impl FnMut(&[u8])) {
        for bind in &self.values {
            let (tag, bytes) = match bind.value(&self.scratch) {
                Value::Null => {
                    take(&[0]);
                    continue;
                }
                Value::Integer(number) => {
                    take(&[1]);
                    take(&number.to_le_bytes());
                    continue;
                }
                Value::Real(number) => {
                    take(&[2]);
                    take(&number.to_bits().to_le_bytes());
                    continue;
                }
                Value::Text(bytes) => (3, bytes),
                Value::Blob(bytes) => (4, bytes),
            };
            take(&[tag]);
            take(&(bytes.len() as u64).to_le_bytes());
            take(bytes);
        }
    }

    /// Starts over, with what path and query say.
    ///
    /// # Errors
    /// As [`Bound::bind_query`], but nothing is missing yet.
    pub(super) fn bind_target(&mut self, config: &Config, route: &Route, path: &[u8], query: &[u8]) -> Result<(), Problem> {
        let params = config.params(route);
        self.forget();
        self.values.resize(params.len(), Bind::Null).expect("the configuration keeps routes to PARAMS_PER_ROUTE");
        for (wanted, segment) in matching::segments(config.bytes(route.path), path) {
            let Some(name) = matching::parameter(wanted) else { continue };
            // A parameter that the SQL does not name only widens the path.
            let Some(place) = place_of(config, params, name) else { continue };
            self.set_text(config, params, place, segment, false)?;
        }
        self.in_path = self.given;
        self.bind_pairs(config, params, query, Source::Query)?;
        (self.in_target, self.target_bytes) = (self.given, self.scratch.len());
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        self.values.clear();
        self.scratch.clear();
        (self.given, self.in_path, self.in_target, self.target_bytes, self.format) = (0, 0, 0, 0, None);
    }

    /// Forgets what the last element of the body said.
    pub(super) fn back_to_target(&mut self) {
        self.scratch.truncate(self.target_bytes);
        self.given = self.in_target;
    }

    /// Binds a form's fields.
    ///
    /// # Errors
    /// A 400: unknown, doubled, not of its type, out of range.
    pub(super) fn bind_form(&mut self, config: &Config, params: &[Param], form: &[u8]) -> Result<(), Problem> {
        self.bind_pairs(config, params, form, Source::Body)
    }

    fn bind_pairs(&mut self, config: &Config, params: &[Param], pairs: &[u8], source: Source) -> Result<(), Problem> {
        let mut seen: Places = 0;
        for pair in pairs.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &b""[..]),
            };
            let start = self.scratch.len();
            decode(name, true, &mut self.scratch)?;
            let place = place_of(config, params, &self.scratch[start..]);
            if place.is_none() && source == Source::Query && &self.scratch[start..] == b"_format" {
                self.scratch.truncate(start);
                self.set_format(value)?;
                continue;
            }
            let place = self.admit(config, params, place, start, &mut seen, source)?;
            self.scratch.truncate(start);
            if let Some(place) = place {
                self.set_text(config, params, place, value, true)?;
            }
        }
        Ok(())
    }

    /// Binds the members of a JSON object, which [`json::Reader::value`] has read before.
    ///
    /// # Errors
    /// A 400: unknown, doubled, not of its type, out of range.
    pub(super) fn bind_object(&mut self, config: &Config, params: &[Param], object: &[u8]) -> Result<(), Problem> {
        let mut reader = json::Reader::new(object).map_err(refusal::malformed_body)?;
        let mut seen: Places = 0;
        let mut is_first = true;
        reader.enter().map_err(refusal::malformed_body)?;
        while reader.next(b'}', is_first).map_err(refusal::malformed_body)? {
            is_first = false;
            let key = reader.key().map_err(refusal::malformed_body)?;
            let value = reader.value().map_err(refusal::malformed_body)?;
            let start = self.scratch.len();
            json::put_decoded(key, &mut self.scratch).map_err(|_| refusal::no_room())?;
            let place = place_of(config, params, &self.scratch[start..]);
            let place = self.admit(config, params, place, start, &mut seen, Source::Body)?;
            self.scratch.truncate(start);
            if let Some(place) = place {
                let bind = typed::from_json(params[place].kind, value, &mut self.scratch)
                    .map_err(|wrong| refusal::wrong(config, &params[place], wrong, value.raw, Written::Json))?;
                self.set(config, params, place, bind)?;
            }
        }
        Ok(())
    }

    /// Gives every parameter that has no value its default.
    ///
    /// # Errors
    /// A 400 for the first that has none.
    pub(super) fn fill(&mut self, config: &Config, route: &Route) -> Result<(), Problem> {
        for (place, param) in config.params(route).iter().enumerate() {
            if self.given & 1 << place == 0 {
                let default = param.default.ok_or_else(|| refusal::missing(config, route, param))?;
                self.values[place] =
                    typed::from_literal(config, param.kind, default, &mut self.scratch).map_err(|_| refusal::no_room())?;
            }
        }
        Ok(())
    }

    /// Whether the name that ends the scratch may be given here, and is to be read: a body's value is not asked where path or query has one.
    fn admit(
        &self, config: &Config, params: &[Param], place: Option<usize>, start: usize, seen: &mut Places, source: Source,
    ) -> Result<Option<usize>, Problem> {
        let name = &self.scratch[start..];
        let Some(place) = place else {
            return Err(refusal::unknown(config, params, name, |place| self.in_path & 1 << place == 0));
        };
        let bit = 1 << place;
        if source == Source::Query && self.in_path & bit != 0 {
            return Err(refusal::in_path(name));
        }
        if *seen & bit != 0 {
            return Err(refusal::doubled(name));
        }
        *seen |= bit;
        Ok((source == Source::Query || self.in_target & bit == 0).then_some(place))
    }

    fn set_text(
        &mut self, config: &Config, params: &[Param], place: usize, encoded: &[u8], plus_is_space: bool,
    ) -> Result<(), Problem> {
        let start = self.scratch.len();
        decode(encoded, plus_is_space, &mut self.scratch)?;
        let param = &params[place];
        let bind = typed::from_text(param.kind, &mut self.scratch, start)
            .map_err(|wrong| refusal::wrong(config, param, wrong, &self.scratch[start..], Written::Text))?;
        self.set(config, params, place, bind)
    }

    fn set(&mut self, config: &Config, params: &[Param], place: usize, bind: Bind) -> Result<(), Problem> {
        if let Some(measure) = typed::out_of_range(&params[place], bind, &self.scratch) {
            return Err(refusal::out_of_range(config, &params[place], measure));
        }
        self.values[place] = bind;
        self.given |= 1 << place;
        Ok(())
    }

    fn set_format(&mut self, value: &[u8]) -> Result<(), Problem> {
        let start = self.scratch.len();
        decode(value, true, &mut self.scratch)?;
        if self.format.is_some() {
            return Err(refusal::doubled(b"_format"));
        }
        self.format = Some(parameters::format(&self.scratch[start..])?);
        self.scratch.truncate(start);
        Ok(())
    }
}

fn place_of(config: &Config, params: &[Param], name: &[u8]) -> Option<usize> {
    params.iter().position(|param| config.bytes(param.name) == name)
}

/// Appends what percent-encoded text stands for; text without escapes goes over whole.
fn decode(encoded: &[u8], plus_is_space: bool, scratch: &mut Fixed<u8>) -> Result<(), Problem> {
    if !encoded.iter().any(|&byte| byte == b'%' || byte == b'+') {
        return scratch.put(encoded).map_err(|_| refusal::no_room());
    }
    let decoded =
        if plus_is_space { percent::decode_form(encoded, scratch) } else { percent::decode_path_segment(encoded, scratch) };
    decoded.map_err(|at| {
        let escape = &encoded[at..encoded.len().min(at + 3)];
        let is_well_formed = percent::decode_path_segment(escape, &mut heapless::Vec::<u8, 3>::new()).is_ok();
        if is_well_formed { refusal::no_room() } else { parameters::malformed_escape(encoded, at) }
    })
}
