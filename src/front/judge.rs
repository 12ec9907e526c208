//! What a complete request is for and whether it may have it: host, origin, place, method, token. In this order, because each answer tells more.

use core::net::SocketAddr;

use super::Front;
use super::allow::Allow;
use super::net::Net;
use super::slots::Listening;
use crate::api::named;
use crate::api::problem::Problem;
use crate::api::route::{Ops, Route};
use crate::config::{Expose, Verb};
use crate::http::forwarded;
use crate::http::origin::{self, Verdict};
use crate::http::request::{Method, Request};
use crate::job::{Change, Task};
use crate::ops::metrics::RouteKind;
use crate::policy::clients::Client;
use crate::policy::credentials::{self, Presented};

/// What becomes of a request before the back sees it.
pub(super) enum Judged {
    /// An answer with data, from the cache or by the back.
    Data(Task),
    /// An operators' page.
    Page(Ops),
    /// Something that an operator changes without the back.
    Control(Ops),
    /// What may be done there.
    Options(RouteKind, Allow),
    /// Known place, wrong method.
    NotAllowed(RouteKind, Allow),
    /// Anything else.
    Problem(RouteKind, Problem),
}

impl From<(RouteKind, Problem)> for Judged {
    fn from((kind, problem): (RouteKind, Problem)) -> Judged {
        Judged::Problem(kind, problem)
    }
}

impl<N: Net> Front<N> {
    /// Decides on the request that the connection has brought.
    pub(super) fn judge(&mut self, index: u16) -> Judged {
        self.slots.at(index).task = Task::Tables;
        self.decide(index).unwrap_or_else(Judged::from)
    }

    fn decide(&mut self, index: u16) -> Result<Judged, (RouteKind, Problem)> {
        let Some(exchange) = self.slots.peek(index).exchange.as_ref() else { return Ok(Judged::Data(Task::Tables)) };
        let (bytes, request) = (exchange.current(), exchange.request());
        if request.host(bytes).is_some_and(|host| !self.is_ours(host)) {
            return Err((RouteKind::Other, misdirected()));
        }
        if request.options_asterisk() {
            let allow = if self.setup.config.writes() { Allow::Everything } else { Allow::Read };
            return Ok(Judged::Options(RouteKind::Other, allow));
        }
        if self.origin(bytes, request) == Verdict::Foreign {
            return Err((RouteKind::Other, foreign()));
        }
        let (path, method) = (request.path(bytes), request.method);
        let route = Route::of(path);
        let kind = kind(&route);
        let ops_listener = self.slots.peek(index).listening == Listening::Ops;
        match route {
            Route::Ops(page) => self.decide_ops(index, page, method),
            _ if ops_listener => Err((kind, ops_only())),
            Route::None { trailing_slash } => self.decide_named(index, trailing_slash),
            Route::Index if !named::allowed(&self.setup.config, path).is_empty() => self.decide_named(index, false),
            _ if self.setup.config.expose == Expose::Nothing => Err((kind, self.nowhere(false))),
            _ => match method {
                Method::Get | Method::Head => {
                    let auth = self.setup.config.tables_auth;
                    self.authorise(index, auth).map_err(|problem| (kind, problem))?;
                    Ok(Judged::Data(Task::Tables))
                }
                Method::Options => Ok(Judged::Options(kind, Allow::Read)),
                _ => Ok(Judged::NotAllowed(kind, Allow::Read)),
            },
        }
    }

    fn decide_named(&mut self, index: u16, trailing_slash: bool) -> Result<Judged, (RouteKind, Problem)> {
        const KIND: RouteKind = RouteKind::Named;
        let config = self.setup.config.clone();
        let Some(exchange) = self.slots.peek(index).exchange.as_ref() else { return Ok(Judged::Data(Task::Tables)) };
        let request = exchange.request();
        let path = request.path(exchange.current());
        let found = verb(request.method).and_then(|verb| named::find(&config, verb, path));
        if let Some(place) = found {
            // Known before it is allowed: a refusal is counted as this route's.
            self.slots.at(index).task = Task::Route(place as u16);
            self.authorise(index, config.routes()[place].auth).map_err(|problem| (KIND, problem))?;
            return Ok(Judged::Data(Task::Route(place as u16)));
        }
        let allowed = named::allowed(&config, path);
        if allowed.is_empty() {
            let slash = trailing_slash || named::means_something_without_slash(&config, path);
            return Err((RouteKind::Other, self.nowhere(slash)));
        }
        Ok(match request.method {
            Method::Options => Judged::Options(KIND, Allow::Named(allowed)),
            _ => Judged::NotAllowed(KIND, Allow::Named(allowed)),
        })
    }

    /// 404, which points to the tables only where there are any.
    fn nowhere(&self, trailing_slash: bool) -> Problem {
        let mut problem = Problem::no_route(trailing_slash);
        if !trailing_slash && self.setup.config.expose == Expose::Nothing {
            problem.hint.clear();
        }
        problem
    }

    fn decide_ops(&mut self, index: u16, page: Ops, method: Method) -> Result<Judged, (RouteKind, Problem)> {
        const KIND: RouteKind = RouteKind::Ops;
        let fail = |problem| (KIND, problem);
        let changes = page.change_method();
        match method {
            Method::Options => Ok(Judged::Options(KIND, Allow::Ops(page))),
            Method::Get | Method::Head if page.is_page() => {
                if !matches!(page, Ops::Health | Ops::Ready) {
                    self.may_see(index).map_err(fail)?;
                }
                Ok(Judged::Page(page))
            }
            _ if changes == Some(method) => {
                let Some(token) = self.setup.config.ops_auth else { return Err(fail(no_ops_token())) };
                self.authorise(index, Some(token)).map_err(fail)?;
                Ok(match page {
                    Ops::Reload => Judged::Data(Task::Change(Change::Reload)),
                    Ops::Rollback => Judged::Data(Task::Change(Change::Rollback)),
                    Ops::Reset => Judged::Data(Task::Change(Change::Reset)),
                    _ => Judged::Control(page),
                })
            }
            _ => Ok(Judged::NotAllowed(KIND, Allow::Ops(page))),
        }
    }

    fn is_ours(&self, host: &[u8]) -> bool {
        let config = &self.setup.config;
        self.setup.hosts.allow(host, config.hosts.iter().map(|&name| config.bytes(name)))
    }

    fn origin(&self, bytes: &[u8], request: &Request) -> Verdict {
        let config = &self.setup.config;
        origin::judge(
            !matches!(request.method, Method::Get | Method::Head | Method::Options),
            request.field(bytes, "origin"),
            request.field(bytes, "sec-fetch-site"),
            request.authority(bytes),
            config.origins.iter().map(|&origin| config.bytes(origin)),
        )
    }

    /// The client that asks: a proxy that is trusted names the one behind it.
    pub(super) fn asking(&self, index: u16) -> Client {
        let slot = self.slots.peek(index);
        let Some(exchange) = slot.exchange.as_ref() else { return slot.client };
        let (bytes, request) = (exchange.current(), exchange.request());
        let of = |name| request.fields(bytes, name);
        let named = forwarded::client(slot.peer, &self.setup.config.trusted_proxies, of("x-forwarded-for"), of("forwarded"));
        named.or(slot.peer).map_or(slot.client, |address| Client::of(SocketAddr::new(address, 0)))
    }

    /// Whether the request brings the token that is asked for. Wrong ones are counted against its client.
    fn authorise(&mut self, index: u16, wanted: Option<u8>) -> Result<(), Problem> {
        let Some(wanted) = wanted else { return Ok(()) };
        let client = self.asking(index);
        let Some(exchange) = self.slots.peek(index).exchange.as_ref() else { return Ok(()) };
        let presented = credentials::presented(exchange.request().fields(exchange.current(), "authorization"));
        if presented == Presented::Nothing {
            return Err(unauthorised("This needs a token."));
        }
        if let Some(seconds) = self.attempts.ask(client, self.now) {
            return Err(too_many_attempts(seconds));
        }
        let found = match presented {
            Presented::Token(token) => credentials::matching(token, self.setup.config.tokens.iter().map(|token| &token.sha256)),
            _ => None,
        };
        match found {
            Some(place) if place == wanted => Ok(()),
            Some(_) => Err(Problem::new(403, "wrong-token", "Not with this token")
                .detail(format_args!("The token is known, and is not the one that this needs."))),
            None => {
                self.attempts.failed(client, self.now);
                Err(unauthorised("Nobody has this token."))
            }
        }
    }

    /// Whether details of /-/ are for this request's eyes: on the operators' listener, with the token for it, or, where there is no
    /// configuration, directly from this machine.
    pub(super) fn sees_all(&mut self, index: u16) -> bool {
        self.may_see(index).is_ok()
    }

    fn may_see(&mut self, index: u16) -> Result<(), Problem> {
        let slot = self.slots.peek(index);
        if slot.listening == Listening::Ops {
            return Ok(());
        }
        let Some(exchange) = slot.exchange.as_ref() else { return Err(elsewhere()) };
        if !self.setup.config.from_file {
            let direct = !exchange.request().names(exchange.current()).any(forwards);
            return if slot.local && direct { Ok(()) } else { Err(elsewhere()) };
        }
        let brings = exchange.request().field(exchange.current(), "authorization").is_some();
        match self.setup.config.ops_auth {
            Some(token) if brings => self.authorise(index, Some(token)),
            Some(_) => Err(unauthorised("This page needs the token of operators.")),
            None => Err(elsewhere()),
        }
    }
}

/// Whether only proxies send a field of this name, in any case: what has it does not come from this machine, whatever its peer.
fn forwards(name: &[u8]) -> bool {
    const NAMES: [&str; 6] = ["forwarded", "x-real-ip", "via", "x-client-ip", "true-client-ip", "cf-connecting-ip"];
    const FAMILIES: [&str; 2] = ["x-forwarded", "tailscale-"];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        || FAMILIES.iter().any(|known| name.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known.as_bytes())))
}

/// What a route is asked with by this method.
pub(super) const fn verb(method: Method) -> Option<Verb> {
    match method {
        Method::Get | Method::Head => Some(Verb::Get),
        Method::Post => Some(Verb::Post),
        Method::Put => Some(Verb::Put),
        Method::Patch => Some(Verb::Patch),
        Method::Delete => Some(Verb::Delete),
        Method::Options => None,
    }
}

pub(super) const fn kind(route: &Route) -> RouteKind {
    match route {
        Route::Index => RouteKind::Index,
        Route::Tables => RouteKind::Tables,
        Route::Rows { .. } => RouteKind::Rows,
        Route::Row { .. } => RouteKind::Row,
        Route::Ops(_) => RouteKind::Ops,
        Route::None { .. } => RouteKind::Other,
    }
}

fn misdirected() -> Problem {
    Problem::new(421, "wrong-host", "This server does not answer for that host")
        .detail(format_args!("Host names neither this machine, nor localhost, nor an address, nor a listed host."))
        .hint(format_args!("use the machine's IP address or name, or list the name in hosts = [...]"))
}

fn foreign() -> Problem {
    Problem::new(403, "foreign-origin", "Not from another site's page")
        .detail(format_args!("A browser sent this for a page of another origin."))
        .hint(format_args!("list the page's origin under [cors] origins"))
}

fn unauthorised(detail: &str) -> Problem {
    Problem::new(401, "unauthorized", "A token is needed")
        .detail(format_args!("{detail}"))
        .hint(format_args!("send it as Authorization: Bearer TOKEN"))
}

fn too_many_attempts(seconds: u32) -> Problem {
    let mut problem = Problem::new(429, "too-many-attempts", "Too many wrong tokens")
        .detail(format_args!("Tokens from this client are not looked at for {seconds} s."));
    problem.retry_after = Some(seconds as u16);
    problem
}

fn no_ops_token() -> Problem {
    Problem::new(403, "operators-only", "For operators only")
        .detail(format_args!("A change needs a token, and no configuration names one."))
        .hint(format_args!("flagstone token admin, then ops_auth = \"admin\""))
}

fn elsewhere() -> Problem {
    Problem::new(403, "operators-only", "For operators only")
        .detail(format_args!("This page is served on the operators' listener, and elsewhere with the token of ops_auth."))
        .hint(format_args!("start with --ops 127.0.0.1:8081 and ask there"))
}

fn ops_only() -> Problem {
    Problem::new(404, "not-found", "Not found")
        .detail(format_args!("This listener serves /-/ only."))
        .hint(format_args!("ask the public address for data"))
}
