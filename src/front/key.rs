//! What an answer is known by, and for how long: route, bound values, format and authorization scope make its key.

use std::hash::Hasher;
use std::rc::Rc;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::answer::Store;
use super::cache::{Key, Lifetime};
use super::net::Net;
use super::slots::{NEVER, State};
use super::warming::Tried;
use super::{Front, MS, QUEUE};
use crate::api::named;
use crate::api::problem::Problem;
use crate::api::route::Route;
use crate::config::{Config, Rows};
use crate::http::accept::{self, Media};
use crate::http::prefer;
use crate::job::Task;
use crate::memory::Span;
use crate::ops::route_pages::Answers;
use crate::policy::drill::Drill;
use crate::policy::flags::Flag;

/// How the answers of a route are kept.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) lifetime: Lifetime,
    /// Kept even if it may change without a commit: the route names its time.
    volatile_too: bool,
    pub(super) store: Store,
    /// Whether an answer depends on any field of its request (RFC 9110 §12.5.5). A bare value that needs no token has one form for all.
    pub(super) varies: bool,
}

impl Rule {
    /// Whether an answer enters the cache.
    pub(super) fn keeps(self, volatile: bool) -> bool {
        self.lifetime.ttl > 0 && (self.volatile_too || !volatile)
    }
}

impl<N: Net> Front<N> {
    /// What the request's answer is known by; 0 when it is to be made for this request alone.
    ///
    /// # Errors
    /// A 400 or 406 when the request does not fit its route.
    pub(super) fn key(&mut self, index: u16, task: Task) -> Result<Key, Problem> {
        let key = match task {
            Task::Tables => Ok(self.key_of_tables(index)),
            Task::Route(place) => self.key_of_route(index, usize::from(place)),
            Task::Change(_) => Ok(0),
        }?;
        Ok(if key != 0 && !self.drilled(Drill::Fall) && self.has_feature(index, Flag::Cache) { key } else { 0 })
    }

    /// Whether this connection's client has a feature.
    pub(super) fn has_feature(&mut self, index: u16, flag: Flag) -> bool {
        let client = self.asking(index);
        self.flags.on(flag, client)
    }

    fn key_of_tables(&mut self, index: u16) -> Key {
        let Some(exchange) = self.slots.peek(index).exchange.as_ref() else { return 0 };
        let (bytes, request) = (exchange.current(), exchange.request());
        let (path, query) = (request.path(bytes), request.query(bytes).unwrap_or_default());
        let offered: &[Media] = match Route::of(path) {
            Route::Index => &[Media::Json, Media::Html],
            Route::Tables => &[Media::Json],
            _ => named::ROW_MEDIA,
        };
        let Some(media) = accept::choose(offered, request.fields(bytes, "accept")) else { return 0 };
        let counted = prefer::count_exact(request.fields(bytes, "prefer"));
        let scoped = self.setup.config.tables_auth.is_some();
        let asked = [media as u8, u8::from(counted), u8::from(scoped)];
        let raw = self.hash([&asked[..], path, b"?", query].into_iter());
        let place = raw as usize % self.shortcuts.len();
        if self.shortcuts[place].0 == raw {
            return self.shortcuts[place].1;
        }
        if self.canonical.read(path, query).is_err() {
            return 0;
        }
        let key = self.hash(std::iter::once(&asked[..]).chain(self.canonical.parts()));
        self.shortcuts[place] = (raw, key);
        key
    }

    fn key_of_route(&mut self, index: u16, place: usize) -> Result<Key, Problem> {
        let config = self.setup.config.clone();
        let route = &config.routes()[place];
        if route.verb.writes() {
            return Ok(0);
        }
        let Some(exchange) = self.slots.peek(index).exchange.as_ref() else { return Ok(0) };
        let (bytes, request) = (exchange.current(), exchange.request());
        let (path, query) = (request.path(bytes), request.query(bytes).unwrap_or_default());
        // Whether anything is acceptable depends on the query too.
        let accepted = accept::choose(named::ROW_MEDIA, request.fields(bytes, "accept"));
        let asked = [accepted.map_or(u8::MAX, |media| media as u8)];
        let raw = self.hash([&asked[..], b"route", path, b"?", query].into_iter());
        let shortcut = raw as usize % self.shortcuts.len();
        if self.shortcuts[shortcut].0 == raw {
            return Ok(self.shortcuts[shortcut].1);
        }
        self.bound.bind_query(&config, route, path, query)?;
        let media = named::media(route.rows, self.bound.format(), request.fields(bytes, "accept"))?;
        let key = self.key_of_values(place, media);
        self.shortcuts[shortcut] = (raw, key);
        Ok(key)
    }

    /// The key of a route's answer in a format, for the values that are bound.
    pub(super) fn key_of_values(&self, place: usize, media: Media) -> Key {
        let mut hasher = SipHasher13::new_with_key(&self.setup.tag_key.0);
        hasher.write(&self.route_keys[place].to_le_bytes());
        hasher.write_u8(media as u8);
        self.bound.feed(|bytes| hasher.write(bytes));
        hasher.finish128().as_u128().max(1)
    }

    /// A keyed hash over parts, each with its length, so that no two lists of parts are one. Never 0.
    fn hash<'p>(&self, parts: impl Iterator<Item = &'p [u8]>) -> Key {
        let mut hasher = SipHasher13::new_with_key(&self.setup.tag_key.0);
        for part in parts {
            hasher.write_u32(part.len() as u32);
            hasher.write(part);
        }
        hasher.finish128().as_u128().max(1)
    }

    /// How answers to `task` are kept, here and by others.
    pub(super) fn rule(&self, task: Task) -> Rule {
        let config = &self.setup.config;
        let usual = config.limits.cache_ttl_ms;
        match task {
            Task::Route(place) => {
                let route = &config.routes()[usize::from(place)];
                let private = route.auth.is_some();
                Rule {
                    lifetime: Lifetime {
                        ttl: if route.verb.writes() { 0 } else { route.ttl_ms.unwrap_or(usual) * MS },
                        stale_ok: route.stale_ok_ms * MS,
                        stale_if_error: route.stale_if_error_ms * MS,
                        critical: route.critical,
                    },
                    volatile_too: route.ttl_ms.is_some(),
                    store: match (route.verb.writes(), route.max_age_s) {
                        (true, _) => Store::No,
                        (false, 0) => Store::Ask { private },
                        (false, seconds) => Store::Seconds { seconds, private },
                    },
                    varies: route.rows != Rows::Value || private || !config.origins.is_empty(),
                }
            }
            Task::Tables | Task::Change(_) => Rule {
                lifetime: Lifetime { ttl: usual * MS, stale_ok: 0, stale_if_error: 0, critical: false },
                volatile_too: false,
                store: Store::Ask { private: config.tables_auth.is_some() },
                varies: true,
            },
        }
    }

    /// Serves by another configuration from now on; the old one is handed back. Requests that wait are judged anew.
    pub fn set_config(&mut self, config: Rc<Config>) -> Rc<Config> {
        let old = std::mem::replace(&mut self.setup.config, config);
        self.epoch = self.epoch.wrapping_add(1);
        self.flags.configure(self.setup.config.flags);
        self.note_routes();
        self.judge_waiting_anew();
        old
    }

    /// Takes back what was said of flags at run time.
    pub fn forget_set_flags(&mut self) {
        self.flags.unset();
    }

    /// Names the routes by all that their answers depend on, so that an answer outlives a reload that leaves its route as it was.
    pub(super) fn note_routes(&mut self) {
        self.shortcuts.fill((0, 0));
        self.pressure.forget_routes();
        self.tried.fill(Tried::default());
        self.route_answers.fill(Answers::default());
        let config = self.setup.config.clone();
        for (place, route) in config.routes().iter().enumerate() {
            let text = |span: Option<Span>| span.map_or(&b""[..], |span| config.bytes(span));
            let token = route.auth.map_or(&[][..], |token| &config.tokens[usize::from(token)].sha256[..]);
            let mut numbers = [0; 34];
            let limits =
                [u64::from(route.max_age_s), route.ttl_ms.unwrap_or(u64::MAX), route.stale_ok_ms, route.stale_if_error_ms];
            for (bytes, number) in numbers.chunks_mut(8).zip(limits) {
                bytes.copy_from_slice(&number.to_le_bytes());
            }
            numbers[32] = route.rows as u8;
            // Its answers' heads say whether they vary.
            numbers[33] = u8::from(config.origins.is_empty());
            let parts = [config.bytes(route.path), config.bytes(route.sql), text(route.content_type), token, &numbers];
            self.route_keys[place] = self.hash(parts.into_iter());
        }
    }

    /// Requests that wait for the back are judged anew, by the configuration that runs now.
    fn judge_waiting_anew(&mut self) {
        let mut waiting: heapless::Vec<u16, QUEUE> = heapless::Vec::new();
        for index in self.slots.places() {
            match self.slots.peek(index).state {
                State::Queued => self.dequeue(index),
                State::Joined => self.joined -= 1,
                _ => continue,
            }
            let now = self.now;
            self.slots.at(index).enter(State::Running, now, NEVER);
            let pushed = waiting.push(index);
            assert!(pushed.is_ok(), "no more wait than there are slots that can ask");
        }
        for index in waiting {
            self.serving = Some(index);
            self.answer_request(index);
            self.drive(index);
            self.serving = None;
        }
    }
}
