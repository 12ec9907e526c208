//! What the operators' pages say of the server under pressure: the ladder's step, the breakers, what was shed and limited.

use core::fmt::{self, Write};

use super::text::{Seconds, counts, head, single};

/// How a cause's breakers stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerUse {
    /// The cause.
    pub cause: &'static str,
    /// The worst of its breakers: 0 closed, 1 half-open, 2 open.
    pub state: u8,
    /// How often one of them has opened.
    pub opened: u64,
}

impl BreakerUse {
    const fn word(self) -> &'static str {
        match self.state {
            0 => "closed",
            1 => "half_open",
            _ => "open",
        }
    }
}

/// The pressure as the front saw it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// The ladder's step: 0 to 4.
    pub step: u8,
    /// Its name.
    pub step_name: &'static str,
    /// Since when, in Unix seconds; 0 when that is since the start.
    pub since: u64,
    /// What asks for more than the lowest step.
    pub causes: heapless::Vec<&'static str, 9>,
    /// The breakers by cause.
    pub breakers: [BreakerUse; 3],
    /// How long until the last that is open lets a probe through, in microseconds.
    pub breaker_rest_micros: u64,
    /// Requests that were shed, by class.
    pub shed: [(&'static str, u64); 4],
    /// How long a request that came now would wait for the back, in microseconds.
    pub queue_wait_micros: u64,
    /// Public slots that cannot be reclaimed, and all.
    pub pool: (u64, u64),
    /// Bytes of the cache that critical answers hold.
    pub critical_cache_bytes: u64,
    /// Requests beyond their client's rate.
    pub rate_limited: u64,
    /// Those of all requests that shared a bucket because the table was full.
    pub rate_shared: u64,
}

/// Metrics.
pub(super) fn put_metrics(pressure: &Pressure, out: &mut impl Write) -> fmt::Result {
    const STEP: &str = "The ladder's step: 0 normal, 1 busy, 2 shedding, 3 emergency, 4 last word.";
    single(out, "flagstone_ladder_step", "gauge", STEP, u64::from(pressure.step))?;
    let state = "flagstone_breaker_state";
    head(out, state, "gauge", "The worst breaker of each cause: 0 closed, 1 half-open, 2 open.")?;
    for breaker in &pressure.breakers {
        writeln!(out, "{state}{{cause=\"{}\"}} {}", breaker.cause, breaker.state)?;
    }
    let opened = "flagstone_breaker_opened_total";
    head(out, opened, "counter", "How often a breaker opened, by cause.")?;
    for breaker in &pressure.breakers {
        writeln!(out, "{opened}{{cause=\"{}\"}} {}", breaker.cause, breaker.opened)?;
    }
    let shed = "flagstone_shed_total";
    head(out, shed, "counter", "Requests sent away because more was asked than the database can do, by class.")?;
    for (class, count) in pressure.shed {
        writeln!(out, "{shed}{{class=\"{class}\"}} {count}")?;
    }
    const LIMITED: &str = "Requests beyond their client's rate.";
    single(out, "flagstone_rate_limited_total", "counter", LIMITED, pressure.rate_limited)?;
    const SHARED: &str = "Requests of clients that shared a bucket because the table was full.";
    single(out, "flagstone_rate_shared_total", "counter", SHARED, pressure.rate_shared)?;
    head(out, "flagstone_expected_wait_seconds", "gauge", "How long a request that came now would wait for the database.")?;
    writeln!(out, "flagstone_expected_wait_seconds {}", Seconds(pressure.queue_wait_micros))?;
    let (used, size) = pressure.pool;
    single(out, "flagstone_pool_used_slots", "gauge", "Public slots that cannot be reclaimed.", used)?;
    single(out, "flagstone_pool_slots", "gauge", "Public slots.", size)?;
    const CRITICAL: &str = "Bytes of the cache that critical answers hold.";
    single(out, "flagstone_cache_critical_bytes", "gauge", CRITICAL, pressure.critical_cache_bytes)
}

/// Members of the status page.
pub(super) fn put_status(pressure: &Pressure, out: &mut impl Write) -> fmt::Result {
    write!(out, r#""ladder":{{"step":"{}","since":{},"causes":["#, pressure.step_name, pressure.since)?;
    for (at, cause) in pressure.causes.iter().enumerate() {
        write!(out, "{}\"{cause}\"", if at == 0 { "" } else { "," })?;
    }
    out.write_str(r#"]},"breaker":{"#)?;
    for breaker in &pressure.breakers {
        write!(out, r#""{}":{{"state":"{}","opened":{}}},"#, breaker.cause, breaker.word(), breaker.opened)?;
    }
    write!(out, r#""rest_ms":{}}},"#, pressure.breaker_rest_micros / 1000)?;
    counts(out, "shed", pressure.shed.into_iter())?;
    let (used, size) = pressure.pool;
    let rest = [
        ("expected_wait_ms", pressure.queue_wait_micros / 1000),
        ("pool_used", used),
        ("pool_slots", size),
        ("critical_cache_bytes", pressure.critical_cache_bytes),
        ("rate_limited", pressure.rate_limited),
        ("rate_shared", pressure.rate_shared),
    ];
    counts(out, "pressure", rest.into_iter())
}
