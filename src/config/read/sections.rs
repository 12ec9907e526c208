//! Everything but routes: the top level, tokens, foreign origins, tables, flags and limits.

use core::net::IpAddr;

use toml::de::{DeTable, DeValue};

use super::{Name, Reader, Value};
use crate::config::duration::Duration;
use crate::config::keys::{Form, Key, NAME_BYTES, PATH_BYTES};
use crate::config::mistake::Quoted;
use crate::config::{EXPOSED, Expose, HOSTS, LISTEN, ORIGINS, PROXIES, TOKENS, Token};
use crate::memory::Span;

impl Reader<'_> {
    /// `[tokens]`: a name and a hash each.
    pub(super) fn tokens(&mut self, table: &DeTable<'_>) {
        for (at, (name, value)) in table.iter().enumerate() {
            if at == TOKENS {
                self.fits("tokens", table.len(), TOKENS, "TOKENS in src/config/mod.rs", value);
                return;
            }
            self.token_of(name, value);
        }
    }

    fn token_of(&mut self, name: &Name<'_>, value: &Value<'_>) {
        let typed: &str = name.get_ref();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if typed.is_empty() || typed.len() > 64 || !typed.bytes().all(plain) {
            let message = format_args!("{} is no name for a token", Quoted(typed));
            self.mistakes.at(self.text, name.span(), message, format_args!("1 to 64 letters, digits, - _ ."));
            return;
        }
        let Some(text) = value.get_ref().as_str() else {
            let hint = format_args!("flagstone token {typed} makes one and says what to write here");
            self.wrong_type(typed, format_args!("\"sha256:\" and 64 hexadecimal digits"), value, hint);
            return;
        };
        let Some(sha256) = text.strip_prefix("sha256:").and_then(hash) else {
            let digits = text.strip_prefix("sha256:").unwrap_or(text);
            // The text may be a token itself: it is not repeated.
            let message = format_args!("{typed} is not \"sha256:\" and 64 hexadecimal digits; {} were found", digits.len());
            self.wrong(value, message, format_args!("flagstone token {typed} makes one and says what to write here"));
            return;
        };
        let twin = self.config.tokens.iter().find(|token| token.sha256 == sha256).map(|token| token.name);
        if let Some(twin) = twin {
            let message = format_args!("{typed} and {} are the same token", self.config.text(twin));
            let hint = format_args!("each name has a token of its own: flagstone token {typed}");
            self.mistakes.at(self.text, value.span(), message, hint);
            return;
        }
        let name = self.keep(typed.as_bytes(), value);
        let kept = self.config.tokens.push(Token { name, sha256 });
        debug_assert!(kept.is_ok(), "counted before");
    }

    /// A key of the top level.
    pub(super) fn top(&mut self, key: &Key, value: &Value<'_>) {
        match key.name {
            "listen" => self.listen(key, value),
            "ops" => self.config.ops = self.address(key, value),
            "ops_auth" => self.config.ops_auth = self.token(key, value),
            "state" => self.config.state = self.kept(key, value, PATH_BYTES),
            "hosts" => self.hosts(key, value),
            "trusted_proxies" => self.proxies(key, value),
            "open_writes" => self.config.open_writes = self.boolean(key, value).unwrap_or_default(),
            "slots_per_client" => {
                let (least, most) = key.form.range();
                if let Some(count) = self.count(key, value, least, most) {
                    self.config.limits.slots_per_client = count as usize;
                }
            }
            _ => debug_assert!(false, "{} is in the table but not read", key.name),
        }
    }

    /// An address is looked at by who listens: here it is a text of bounded length.
    fn address(&mut self, key: &Key, value: &Value<'_>) -> Option<Span> {
        self.kept(key, value, NAME_BYTES)
    }

    fn listen(&mut self, key: &Key, value: &Value<'_>) {
        let DeValue::Array(array) = value.get_ref() else {
            if let Some(span) = self.address(key, value) {
                let _ = self.config.listen.push(span);
            }
            return;
        };
        if array.is_empty() {
            self.wrong(value, format_args!("listen is empty"), format_args!("for example listen = {}", key.default));
        }
        self.fits("addresses", array.len(), LISTEN, "LISTEN in src/config/mod.rs", value);
        for element in array.iter().take(LISTEN) {
            if let Some(span) = self.address(key, element) {
                let _ = self.config.listen.push(span);
            }
        }
    }

    fn hosts(&mut self, key: &Key, value: &Value<'_>) {
        let Some(array) = self.array(key, value) else { return };
        self.fits("hosts", array.len(), HOSTS, "HOSTS in src/config/mod.rs", value);
        for element in array.iter().take(HOSTS) {
            let Some(text) = self.text_of(key, element, NAME_BYTES) else { continue };
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || byte >= 0x80;
            if !text.is_ascii() {
                let hint = format_args!("browsers send such names in their ASCII form, which begins with xn--");
                self.wrong(element, format_args!("{} is no host name", Quoted(text)), hint);
            } else if !text.bytes().all(plain) {
                let bare = text.rsplit("//").next().unwrap_or_default().split(['/', ':']).next().unwrap_or_default();
                let hint = format_args!("a name alone, without scheme, port and path: {}", Quoted(bare));
                self.wrong(element, format_args!("{} is no host name", Quoted(text)), hint);
            } else {
                let span = self.keep(text.as_bytes(), element);
                let _ = self.config.hosts.push(span);
            }
        }
    }

    fn proxies(&mut self, key: &Key, value: &Value<'_>) {
        let Some(array) = self.array(key, value) else { return };
        self.fits("proxies", array.len(), PROXIES, "PROXIES in src/config/mod.rs", value);
        for element in array.iter().take(PROXIES) {
            let Some(text) = self.text_of(key, element, NAME_BYTES) else { continue };
            match text.parse::<IpAddr>() {
                Ok(address) => {
                    let _ = self.config.trusted_proxies.push(address);
                }
                Err(_) => {
                    let hint = format_args!("addresses one by one, without port or network: \"192.168.1.10\", \"fd00::1\"");
                    self.wrong(element, format_args!("{} is no IP address", Quoted(text)), hint);
                }
            }
        }
    }

    /// A key of `[cors]`, `[tables]`, `[flags]` or `[limits]`.
    pub(super) fn in_section(&mut self, key: &Key, value: &Value<'_>) {
        match (key.form, key.name) {
            (Form::Share, name) => {
                let Some(percent) = self.share(key, value) else { return };
                let flags = &mut self.config.flags;
                *match name {
                    "cache" => &mut flags.cache,
                    "batching" => &mut flags.batching,
                    "single_flight" => &mut flags.single_flight,
                    _ => &mut flags.warming,
                } = percent;
            }
            (Form::Limit(least, most, field), _) => {
                if let Some(ms) = self.time(key, value, least, most) {
                    *field(&mut self.config.limits) = ms;
                }
            }
            (Form::Count(least, most), name) => {
                let Some(count) = self.count(key, value, least, most) else { return };
                match name {
                    "burst" => self.config.limits.burst = count as u32,
                    "wal_autocheckpoint" => self.config.limits.wal_autocheckpoint_pages = count as u32,
                    _ => self.config.limits.batch_least = count as usize,
                }
            }
            (Form::Rate, _) => {
                if let Some(rate) = self.rate(key, value) {
                    self.config.limits.rate_per_minute = rate;
                }
            }
            (Form::Expose, _) => self.expose(key, value),
            (_, "origins") => self.origins(key, value),
            (_, "auth") => self.config.tables_auth = self.token(key, value),
            _ => debug_assert!(false, "{} is in the table but not read", key.name),
        }
    }

    fn origins(&mut self, key: &Key, value: &Value<'_>) {
        let Some(array) = self.array(key, value) else { return };
        self.fits("origins", array.len(), ORIGINS, "ORIGINS in src/config/mod.rs", value);
        for element in array.iter().take(ORIGINS) {
            let Some(text) = self.text_of(key, element, NAME_BYTES) else { continue };
            if text == "*" || is_origin(text) {
                let span = self.keep(text.as_bytes(), element);
                let _ = self.config.origins.push(span);
                continue;
            }
            let message = format_args!("{} is no origin", Quoted(text));
            let scheme = text.find("://").map_or(0, |at| at + 3);
            let end = text[scheme..].find('/').map_or(text.len(), |at| scheme + at);
            if scheme > 0 && is_origin(&text[..end]) {
                let hint = format_args!("an origin has no path: write {}", Quoted(&text[..end]));
                self.wrong(element, message, hint);
            } else {
                let hint = format_args!("scheme://host[:port] in small letters, as browsers send it: {}", key.example);
                self.wrong(element, message, hint);
            }
        }
    }

    fn expose(&mut self, key: &Key, value: &Value<'_>) {
        let is_all = |value: &Value<'_>| value.get_ref().as_str() == Some("*");
        if is_all(value) {
            self.config.expose = Expose::All;
            return;
        }
        if let Some(text) = value.get_ref().as_str() {
            let hint = format_args!("write expose = [{}]; \"*\" alone means all", Quoted(text));
            self.wrong_type(key.name, format_args!("an array of names"), value, hint);
            return;
        }
        let Some(array) = self.array(key, value) else { return };
        if array.iter().any(is_all) {
            if array.len() > 1 {
                self.wrong(
                    value,
                    format_args!("expose has names beside \"*\""),
                    format_args!("\"*\" means all: write expose = \"*\""),
                );
            }
            self.config.expose = Expose::All;
            return;
        }
        self.fits("tables", array.len(), EXPOSED, "EXPOSED in src/config/mod.rs", value);
        let mut names: heapless::Vec<Span, EXPOSED> = heapless::Vec::new();
        for element in array.iter().take(EXPOSED) {
            let Some(text) = self.text_of(key, element, PATH_BYTES) else { continue };
            if names.iter().any(|name| self.config.text(*name).eq_ignore_ascii_case(text)) {
                self.wrong(element, format_args!("expose names {} twice", Quoted(text)), format_args!("leave one out"));
                continue;
            }
            let span = self.keep(text.as_bytes(), element);
            let _ = names.push(span);
        }
        self.config.expose = if names.is_empty() { Expose::Nothing } else { Expose::Named(names) };
    }

    /// What limits ask of each other.
    pub(super) fn check_limits(&mut self, tree: &DeTable<'_>) {
        let limits = self.config.limits;
        let nested = [
            (
                "batch_window",
                limits.batch_window_ms,
                "batch_wait",
                limits.batch_wait_ms,
                "the window closes before a write's wait ends",
            ),
            ("batch_wait", limits.batch_wait_ms, "queue", limits.queue_ms, "a batch waits inside the queue"),
        ];
        let table = tree.get("limits").and_then(|limits| limits.get_ref().as_table());
        for (inner, less, outer, more, why) in nested {
            let written = table.and_then(|table| table.get(inner).or_else(|| table.get(outer)));
            if let Some(value) = written
                && less > more
            {
                let message = format_args!("{inner} ({}) is longer than {outer} ({})", Duration(less), Duration(more));
                self.wrong(value, message, format_args!("{why}: make {inner} at most {outer}"));
            }
        }
    }
}

/// Whether a text is an origin as browsers send it (RFC 6454 §6.2): http or https, small letters, no path.
fn is_origin(text: &str) -> bool {
    let Some(authority) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_');
    let host_fits = match literal {
        Some(literal) => literal.parse::<core::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(named),
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    host_fits && port.is_none_or(digits)
}

/// The bytes of 64 hexadecimal digits.
fn hash(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}
