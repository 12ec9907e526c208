//! The configuration: what a flagstone.toml says, checked, in a room of fixed size.
//!
//! Pure: text goes in, a [`Config`] or a list of mistakes comes out. Two rooms exist, for the running configuration and for the next one; which
//! runs, files and versions are the business of `start`.

pub mod changes;
mod cost;
pub mod dump;
pub mod duration;
pub mod history;
mod json_text;
pub mod keys;
pub mod limits;
pub mod mistake;
pub mod nearest;
pub mod path;
mod place;
pub mod rate;
mod read;
pub mod route;
mod schema;
pub mod sql_names;
mod syntax;

use core::net::IpAddr;

pub use changes::{Changes, changed_keys};
pub use dump::{Hashes, dump};
pub use limits::Limits;
pub use mistake::{MISTAKES, Mistake, Mistakes};
pub use read::{Invalid, read, read_bytes};
pub use route::{Kind, Literal, Param, Route, Rows, Verb};
pub use schema::schema_json;
pub use syntax::reading_bytes;

use crate::budget::{CONFIG_BYTES, ROUTE_PARAMS, ROUTES};
use crate::memory::sink::{Full, Sink};
use crate::memory::{Fixed, Span};

/// A commented configuration that works with `--demo` and shows every key.
pub const EXAMPLE: &str = include_str!("example.toml");
/// Tokens that a configuration may name.
pub const TOKENS: usize = 16;
/// Names under which the server may be asked, beside its own.
pub const HOSTS: usize = 16;
/// Foreign origins whose pages may read answers.
pub const ORIGINS: usize = 16;
/// Addresses of proxies whose forwarding headers count.
pub const PROXIES: usize = 8;
/// Tables that `expose` may list.
pub const EXPOSED: usize = 64;
/// Addresses to listen on.
pub const LISTEN: usize = 7;
/// Parameters of one route.
pub const PARAMS_PER_ROUTE: usize = 32;

/// A token: its name for people, its SHA-256 for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What routes call it.
    pub name: Span,
    /// SHA-256 of the token itself.
    pub sha256: [u8; 32],
}

/// Which tables are served at /tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expose {
    /// None.
    Nothing,
    /// All of them.
    All,
    /// Those with these names.
    Named(heapless::Vec<Span, EXPOSED>),
}

/// How much of the clients get an optional feature, in percent: 0 is off, 100 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// The cache of answers.
    pub cache: u8,
    /// Grouping of writes.
    pub batching: u8,
    /// One query for equal requests in flight.
    pub single_flight: u8,
    /// Making critical answers before they are asked for.
    pub warming: u8,
}

impl Flags {
    /// Nothing on: the plain path for everybody.
    pub const OFF: Flags = Flags { cache: 0, batching: 0, single_flight: 0, warming: 0 };
    /// Everything on.
    pub const DEFAULT: Flags = Flags { cache: 100, batching: 100, single_flight: 100, warming: 100 };
}

/// A whole configuration. Its text, routes and parameters lie in rooms that never grow.
#[derive(Debug)]
pub struct Config {
    /// Whether there is a file; without one everything is open to read, as on the command line.
    pub from_file: bool,
    /// Times and thresholds.
    pub limits: Limits,
    /// Optional features.
    pub flags: Flags,
    /// Addresses to listen on; empty for the command line's or the default.
    pub listen: heapless::Vec<Span, LISTEN>,
    /// The operators' listener.
    pub ops: Option<Span>,
    /// The token that opens /-/ on the public listener.
    pub ops_auth: Option<u8>,
    /// The state directory.
    pub state: Option<Span>,
    /// Names under which the server may be asked, beside its own.
    pub hosts: heapless::Vec<Span, HOSTS>,
    /// Origins whose pages may read answers; `*` is any.
    pub origins: heapless::Vec<Span, ORIGINS>,
    /// Proxies whose forwarding headers count.
    pub trusted_proxies: heapless::Vec<IpAddr, PROXIES>,
    /// Whether write routes without a token may be served beyond loopback.
    pub open_writes: bool,
    /// Which tables are served.
    pub expose: Expose,
    /// The token that tables ask for.
    pub tables_auth: Option<u8>,
    /// Tokens.
    pub tokens: heapless::Vec<Token, TOKENS>,
    routes: Fixed<Route>,
    params: Fixed<Param>,
    text: Fixed<u8>,
}

const _: () = assert!(
    ROUTES * size_of::<Route>() + ROUTE_PARAMS * size_of::<Param>() + crate::budget::CONFIG_FILE_BYTES + size_of::<Config>()
        <= CONFIG_BYTES
);

impl Config {
    /// What is served without a file: every table, to read, everything on. Takes its room from the heap, once.
    pub fn new() -> Config {
        Config {
            routes: Fixed::new(ROUTES),
            params: Fixed::new(ROUTE_PARAMS),
            text: Fixed::new(crate::budget::CONFIG_FILE_BYTES),
            ..Config::without_room()
        }
    }

    fn without_room() -> Config {
        Config {
            from_file: false,
            limits: Limits::DEFAULT,
            flags: Flags::DEFAULT,
            listen: heapless::Vec::new(),
            ops: None,
            ops_auth: None,
            state: None,
            hosts: heapless::Vec::new(),
            origins: heapless::Vec::new(),
            trusted_proxies: heapless::Vec::new(),
            open_writes: false,
            expose: Expose::All,
            tables_auth: None,
            tokens: heapless::Vec::new(),
            routes: Fixed::new(0),
            params: Fixed::new(0),
            text: Fixed::new(0),
        }
    }

    /// Forgets everything, as in [`Config::new`], in the same room.
    pub fn reset(&mut self) {
        let mut empty = Config {
            routes: core::mem::replace(&mut self.routes, Fixed::new(0)),
            params: core::mem::replace(&mut self.params, Fixed::new(0)),
            text: core::mem::replace(&mut self.text, Fixed::new(0)),
            ..Config::without_room()
        };
        empty.routes.clear();
        empty.params.clear();
        empty.text.clear();
        *self = empty;
    }

    /// The text behind a span of this configuration; everything in it came out of a file in UTF-8.
    pub fn text(&self, span: Span) -> &str {
        core::str::from_utf8(span.of(&self.text)).expect("spans are of whole strings")
    }

    /// The bytes behind a span of this configuration.
    pub fn bytes(&self, span: Span) -> &[u8] {
        span.of(&self.text)
    }

    /// Keeps bytes in the configuration's text.
    ///
    /// # Errors
    /// [`Full`] when all strings together are longer than the longest file.
    pub fn keep(&mut self, bytes: &[u8]) -> Result<Span, Full> {
        let start = self.text.len();
        self.text.put(bytes)?;
        Ok(Span::between(start, self.text.len()))
    }

    /// Whether any route writes.
    pub fn writes(&self) -> bool {
        self.routes.iter().any(|route| route.verb.writes())
    }

    /// Its routes, in the file's order.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The parameters of a route: those of its SQL, then those of its path alone.
    pub fn params(&self, route: &Route) -> &[Param] {
        &self.params[usize::from(route.params)..usize::from(route.params + route.param_count)]
    }

    /// Adds a route with its parameters; `route.params` and `route.param_count` are set here.
    ///
    /// # Errors
    /// [`Full`] when there are more routes, or parameters of all routes, than the build allows; nothing is added then.
    pub fn add_route(&mut self, mut route: Route, params: &[Param]) -> Result<(), Full> {
        let first = self.params.len();
        for &param in params {
            if let Err(full) = self.params.push(param) {
                self.params.truncate(first);
                return Err(full);
            }
        }
        route.params = first as u16;
        route.param_count = params.len() as u16;
        self.routes.push(route).inspect_err(|_| self.params.truncate(first))
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_reset_within_its_room() {
        let mut config = Config::new();
        let path = config.keep(b"/a").unwrap();
        let route = Route::new(Verb::Get, path, config.keep(b"SELECT :x").unwrap(), 1);
        let name = config.keep(b"x").unwrap();
        let param = Param::undeclared(name);
        for _ in 0..ROUTES {
            config.add_route(route, &[param]).unwrap();
        }
        assert_eq!(config.add_route(route, &[param]), Err(Full));
        assert_eq!(config.params(&config.routes()[1]), [param]);
        assert_eq!(config.text(config.routes()[ROUTES - 1].path), "/a");
        let room = config.text.as_ptr();
        config.reset();
        assert!(config.routes().is_empty() && !config.from_file);
        config.keep(b"b").unwrap();
        assert_eq!(config.text.as_ptr(), room);
    }
}
