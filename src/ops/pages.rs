//! The operators' pages: Prometheus text, status, budget and health, written into a fixed buffer.

use core::fmt::{self, Write};

use super::configuration_pages::{self, FlagUse};
use super::metrics::{CloseReason, DURATION_BOUNDS, Durations, GapCause, Metrics, Refusal, RouteKind, STATUSES};
use super::readings::{Configuration, Readings};
use super::route_pages::{self, RouteUse};
use super::write_pages;
use crate::budget;
use crate::memory::sink::{Full, Sink};

/// How full one fixed part is.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Its name, as in the sheet.
    pub name: &'static str,
    /// What one of it is.
    pub unit: &'static str,
    /// How many there are.
    pub limit: u64,
    /// In use now.
    pub now: u64,
    /// The most that was ever in use.
    pub high: u64,
}

/// What the cache has counted, and how it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cache {
    /// Requests that could be answered from the cache: by what became of them.
    pub requests: [(&'static str, u64); 4],
    /// Entries that left: by why.
    pub gone: [(&'static str, u64); 4],
    /// Answers that entered.
    pub inserted: u64,
    /// Answers that were too large or came while the cache rested.
    pub refused: u64,
    /// Entries whose checksum was verified.
    pub verified: u64,
    /// Whether it is in use.
    pub on: bool,
}

/// All that a page may say, as the front gathers it for one answer.
pub struct Snapshot<'s> {
    /// The counters.
    pub metrics: &'s Metrics,
    /// The readings.
    pub readings: &'s Readings,
    /// Names and numbers of connections by state.
    pub connections: &'s [(&'static str, u64)],
    /// The cache.
    pub cache: Cache,
    /// Each fixed part's use.
    pub uses: &'s [Use],
    /// Requests that wait for the back.
    pub queued: u64,
    /// How long the oldest of them has waited, in microseconds.
    pub oldest_wait_micros: u64,
    /// Log lines dropped.
    pub log_dropped: u64,
    /// The named routes.
    pub routes: &'s [RouteUse<'s>],
    /// Wrong tokens, and attempts that were refused unheard.
    pub wrong_tokens: (u64, u64),
    /// The flags.
    pub flags: &'s [FlagUse],
    /// Whether the server is stopping.
    pub draining: bool,
    /// Seconds since the start.
    pub uptime_seconds: u64,
}

/// `fmt` over a sink.
struct Text<'t, S>(&'t mut S);

impl<S: Sink> Write for Text<'_, S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// `/-/metrics`: Prometheus text format 0.0.4.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_metrics(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    let mut out = Text(sink);
    metrics(all, &mut out).map_err(|_| Full)
}

/// `/-/status`: the same and more, as JSON.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_status(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    let mut out = Text(sink);
    status(all, &mut out).map_err(|_| Full)
}

/// `/-/budget`: every limit, its use now, its high-water mark; the sheet; the build constants.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_budget(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    let mut out = Text(sink);
    budget_page(all, &mut out).map_err(|_| Full)
}

/// `/-/flags`: what is wanted, said at run time and seen of each flag.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_flags(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    configuration_pages::put_flags(all.flags, &mut Text(sink)).map_err(|_| Full)
}

/// What a change of the configuration is answered with.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_version(running: &Configuration, sink: &mut impl Sink) -> Result<(), Full> {
    let Configuration { number, hash, since, .. } = running;
    write!(Text(sink), r#"{{"version":{number},"hash":"{hash:016x}","since":{since}}}"#).map_err(|_| Full)
}

/// `/-/health` and `/-/ready`: under 100 bytes for everybody, each component's state for operators.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_health(all: &Snapshot, good: bool, details: bool, sink: &mut impl Sink) -> Result<(), Full> {
    let mut out = Text(sink);
    let word = if good { "ok" } else { "unavailable" };
    let written = if details {
        let database = if all.readings.database.ready { "ok" } else { "unavailable" };
        let state = if all.draining { "stopping" } else { "ok" };
        let memory = if all.readings.process.rss_anon_bytes > budget::PROCESS_BYTES as u64 { "over the sheet" } else { "ok" };
        write!(
            out,
            r#"{{"status":"{word}","components":{{"loop":"{state}","database":"{database}","memory":"{memory}"}},"uptime_seconds":{}}}"#,
            all.uptime_seconds
        )
    } else {
        write!(out, r#"{{"status":"{word}"}}"#)
    };
    written.map_err(|_| Full)
}

pub(super) fn head(out: &mut impl Write, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

pub(super) fn single(out: &mut impl Write, name: &str, kind: &str, help: &str, value: u64) -> fmt::Result {
    head(out, name, kind, help)?;
    writeln!(out, "{name} {value}")
}

/// Text as a JSON string.
pub(super) struct Quoted<'t>(pub &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(out, "\\{letter}")?,
                letter if letter.is_control() => write!(out, "\\u{:04x}", letter as u32)?,
                letter => out.write_char(letter)?,
            }
        }
        out.write_char('"')
    }
}

/// Microseconds as seconds, exactly.
pub(super) struct Seconds(pub u64);

impl fmt::Display for Seconds {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

fn metrics(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    head(out, "flagstone_build_info", "gauge", "Version, preset and SQLite of this binary; always 1.")?;
    let (version, preset) = (env!("CARGO_PKG_VERSION"), budget::PRESET);
    writeln!(out, "flagstone_build_info{{version=\"{version}\",preset=\"{preset}\"}} 1")?;
    http_metrics(all, out)?;
    route_pages::put_metrics(all.routes, out)?;
    let (failed, refused) = all.wrong_tokens;
    single(out, "flagstone_wrong_tokens_total", "counter", "Tokens that nobody has.", failed)?;
    single(
        out,
        "flagstone_token_attempts_refused_total",
        "counter",
        "Tokens that were not looked at after wrong ones.",
        refused,
    )?;
    connection_metrics(all, out)?;
    cache_metrics(&all.cache, out)?;
    back_metrics(all, out)?;
    memory_metrics(all, out)?;
    write_pages::put_metrics(all.metrics, all.readings, all.uptime_seconds, out)?;
    configuration_pages::put_metrics(&all.readings.configuration, all.flags, out)?;
    process_metrics(all, out)
}

fn http_metrics(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let name = "flagstone_http_requests_total";
    head(out, name, "counter", "Answers, by route and status.")?;
    for (route, counts) in RouteKind::ALL.iter().zip(&all.metrics.answers) {
        for (status, &count) in STATUSES.iter().zip(counts) {
            if count > 0 || (*status == 200 && *route == RouteKind::Rows) {
                writeln!(out, "{name}{{route=\"{}\",code=\"{status}\"}} {count}", route.label())?;
            }
        }
    }
    let duration = "flagstone_http_request_duration_seconds";
    histogram(out, duration, "From a request's last byte to its queued answer.", &all.metrics.durations)?;
    let wait = "flagstone_queue_wait_seconds";
    histogram(out, wait, "From a request's queueing to the start of its job.", &all.metrics.queue_waits)?;
    single(out, "flagstone_http_received_bytes_total", "counter", "Bytes read from clients.", all.metrics.received_bytes)?;
    single(out, "flagstone_http_sent_bytes_total", "counter", "Bytes written to clients.", all.metrics.sent_bytes)?;
    single(out, "flagstone_socket_reads_total", "counter", "read calls on client sockets.", all.metrics.reads)?;
    single(out, "flagstone_socket_writes_total", "counter", "writev calls on client sockets.", all.metrics.writes)
}

fn histogram(out: &mut impl Write, name: &str, help: &str, durations: &Durations) -> fmt::Result {
    head(out, name, "histogram", help)?;
    let mut total = 0;
    for (&bound, &count) in DURATION_BOUNDS.iter().zip(&durations.buckets) {
        total += count;
        writeln!(out, "{name}_bucket{{le=\"{}\"}} {total}", Seconds(bound))?;
    }
    total += durations.buckets[DURATION_BOUNDS.len()];
    writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {}\n{name}_count {total}", Seconds(durations.sum))
}

fn connection_metrics(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    head(out, "flagstone_connections", "gauge", "Connection slots by state.")?;
    for (state, count) in all.connections {
        writeln!(out, "flagstone_connections{{state=\"{state}\"}} {count}")?;
    }
    single(out, "flagstone_connections_accepted_total", "counter", "Connections accepted.", all.metrics.accepted)?;
    head(out, "flagstone_connections_closed_total", "counter", "Connections ended, by reason.")?;
    for (reason, count) in CloseReason::ALL.iter().zip(all.metrics.closed) {
        writeln!(out, "flagstone_connections_closed_total{{reason=\"{}\"}} {count}", reason.label())?;
    }
    head(out, "flagstone_refusals_total", "counter", "Connections and requests turned away, by reason.")?;
    for (reason, count) in Refusal::ALL.iter().zip(all.metrics.refused) {
        writeln!(out, "flagstone_refusals_total{{reason=\"{}\"}} {count}", reason.label())?;
    }
    single(
        out,
        "flagstone_accept_failures_total",
        "counter",
        "Accepts that failed for want of descriptors.",
        all.metrics.accept_failures,
    )
}

fn cache_metrics(cache: &Cache, out: &mut impl Write) -> fmt::Result {
    head(out, "flagstone_cache_requests_total", "counter", "Requests for data, by what the cache did for them.")?;
    for (result, count) in cache.requests {
        writeln!(out, "flagstone_cache_requests_total{{result=\"{result}\"}} {count}")?;
    }
    head(out, "flagstone_cache_gone_total", "counter", "Entries that left the cache, by reason.")?;
    for (reason, count) in cache.gone {
        writeln!(out, "flagstone_cache_gone_total{{reason=\"{reason}\"}} {count}")?;
    }
    single(out, "flagstone_cache_inserted_total", "counter", "Answers that entered the cache.", cache.inserted)?;
    single(
        out,
        "flagstone_cache_refused_total",
        "counter",
        "Answers too large for the cache, or made while it rested.",
        cache.refused,
    )?;
    single(out, "flagstone_cache_verified_total", "counter", "Entries whose checksum was verified.", cache.verified)?;
    single(
        out,
        "flagstone_cache_on",
        "gauge",
        "Whether the cache is in use; it rests after damaged entries.",
        u64::from(cache.on),
    )
}

fn back_metrics(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let metrics = all.metrics;
    single(out, "flagstone_queued_requests", "gauge", "Requests that wait for the database.", all.queued)?;
    single(out, "flagstone_jobs_total", "counter", "Jobs run on the database.", metrics.jobs)?;
    head(out, "flagstone_job_seconds_total", "counter", "Time spent in jobs.")?;
    writeln!(out, "flagstone_job_seconds_total {}", Seconds(metrics.job_micros))?;
    single(out, "flagstone_query_timeouts_total", "counter", "Queries stopped at their limit.", metrics.query_timeouts)?;
    single(out, "flagstone_abandoned_jobs_total", "counter", "Queries stopped because nobody waited.", metrics.abandoned_jobs)?;
    single(
        out,
        "flagstone_busy_retries_total",
        "counter",
        "Jobs put back because of another process's lock.",
        metrics.busy_retries,
    )?;
    single(out, "flagstone_database_reopens_total", "counter", "Reopenings because the file was replaced.", metrics.reopens)?;
    single(out, "flagstone_panics_total", "counter", "Panics caught.", metrics.panics)?;
    single(out, "flagstone_turns_total", "counter", "Turns of the event loop.", metrics.turns)?;
    single(out, "flagstone_nested_turns_total", "counter", "Turns taken inside a running query.", metrics.nested_turns)?;
    head(out, "flagstone_longest_gap_seconds", "gauge", "The longest time between two turns, by cause.")?;
    for (cause, &gap) in GapCause::ALL.iter().zip(&metrics.longest_gap) {
        writeln!(out, "flagstone_longest_gap_seconds{{cause=\"{}\"}} {}", cause.label(), Seconds(gap))?;
    }
    let database = &all.readings.database;
    single(out, "flagstone_database_ready", "gauge", "Whether the database is open.", u64::from(database.ready))?;
    single(out, "flagstone_database_bytes", "gauge", "Size of the database file.", database.file_bytes)?;
    let shared = "Size of its wal-index, which this process maps.";
    single(out, "flagstone_wal_index_bytes", "gauge", shared, database.wal_index_bytes)?;
    single(out, "flagstone_wal_index_limit_bytes", "gauge", "What the sheet allows it.", budget::WAL_INDEX_KIB as u64 * 1024)?;
    single(out, "flagstone_wal_bytes", "gauge", "Size of its write-ahead log.", database.wal_bytes)?;
    let temporary = "flagstone_temporary_written_bytes_total";
    single(out, temporary, "counter", "Bytes written to temporary files of large sorts.", database.temporary_bytes)?;
    head(out, "flagstone_sqlite_sleep_seconds_total", "counter", "Time that SQLite waited for others and the front had.")?;
    writeln!(out, "flagstone_sqlite_sleep_seconds_total {}", Seconds(database.slept_micros))?;
    single(out, "flagstone_statements", "gauge", "Prepared statements held.", database.statements)
}

fn memory_metrics(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let (database, heap) = (&all.readings.database, &all.readings.heap);
    single(out, "flagstone_sqlite_heap_bytes", "gauge", "SQLite's heap in use.", database.heap_bytes)?;
    single(out, "flagstone_sqlite_heap_peak_bytes", "gauge", "The most of it ever in use.", database.heap_peak_bytes)?;
    single(out, "flagstone_sqlite_heap_limit_bytes", "gauge", "What it may use.", budget::SQLITE_HEAP_LIMIT_BYTES as u64)?;
    single(out, "flagstone_heap_bytes", "gauge", "Rust's heap in use.", heap.live as u64)?;
    single(out, "flagstone_heap_peak_bytes", "gauge", "The most of it ever in use.", heap.peak as u64)?;
    single(
        out,
        "flagstone_heap_allocations_total",
        "counter",
        "Allocations since the server became ready.",
        heap.sealed_allocations,
    )?;
    single(out, "flagstone_log_dropped_lines_total", "counter", "Log lines that stderr did not take.", all.log_dropped)?;
    single(out, "flagstone_budget_process_bytes", "gauge", "The sheet's sum of process memory.", budget::PROCESS_BYTES as u64)?;
    single(out, "flagstone_budget_kernel_bytes", "gauge", "The sheet's sum of kernel memory.", budget::KERNEL_BYTES as u64)?;
    head(out, "flagstone_use", "gauge", "Use of each fixed part, in its own unit.")?;
    for part in all.uses {
        writeln!(out, "flagstone_use{{part=\"{}\"}} {}", part.name, part.now)?;
    }
    head(out, "flagstone_use_limit", "gauge", "Size of each fixed part, in its own unit.")?;
    for part in all.uses {
        writeln!(out, "flagstone_use_limit{{part=\"{}\"}} {}", part.name, part.limit)?;
    }
    Ok(())
}

fn process_metrics(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let process = &all.readings.process;
    single(
        out,
        "flagstone_rss_anon_bytes",
        "gauge",
        "Anonymous resident memory, which the sheet bounds.",
        process.rss_anon_bytes,
    )?;
    single(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", process.rss_bytes)?;
    single(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", process.virtual_bytes)?;
    head(out, "process_cpu_seconds_total", "counter", "User and system time spent.")?;
    writeln!(out, "process_cpu_seconds_total {}", Seconds(process.cpu_micros))?;
    single(out, "process_open_fds", "gauge", "Open file descriptors.", process.descriptors)?;
    single(out, "process_max_fds", "gauge", "The most that may be open.", process.descriptor_limit)?;
    single(out, "process_start_time_seconds", "gauge", "Start time in seconds since 1970.", process.started_at)
}

fn status(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let (metrics, readings) = (all.metrics, all.readings);
    let (version, preset) = (env!("CARGO_PKG_VERSION"), budget::PRESET);
    let state = if all.draining { "stopping" } else { "serving" };
    write!(out, r#"{{"version":"{version}","preset":"{preset}","state":"{state}","uptime_seconds":{},"#, all.uptime_seconds)?;
    write!(
        out,
        r#""requests":{{"answered":{},"queued":{},"oldest_wait_ms":{}"#,
        metrics.answers_total(),
        all.queued,
        all.oldest_wait_micros / 1000
    )?;
    write!(
        out,
        r#","query_timeouts":{},"abandoned":{},"busy_retries":{}}},"#,
        metrics.query_timeouts, metrics.abandoned_jobs, metrics.busy_retries
    )?;
    counts(out, "connections", all.connections.iter().copied())?;
    counts(out, "closed", CloseReason::ALL.iter().zip(metrics.closed).map(|(reason, count)| (reason.label(), count)))?;
    counts(out, "refused", Refusal::ALL.iter().zip(metrics.refused).map(|(reason, count)| (reason.label(), count)))?;
    counts(out, "longest_gap_us", GapCause::ALL.iter().zip(metrics.longest_gap).map(|(cause, gap)| (cause.label(), gap)))?;
    counts(
        out,
        "cache",
        all.cache.requests.into_iter().chain([
            ("inserted", all.cache.inserted),
            ("refused", all.cache.refused),
            ("warmed", metrics.warmed),
        ]),
    )?;
    counts(out, "cache_gone", all.cache.gone.into_iter())?;
    let database = &readings.database;
    counts(
        out,
        "database",
        [
            ("ready", u64::from(database.ready)),
            ("bytes", database.file_bytes),
            ("wal_bytes", database.wal_bytes),
            ("wal_index_bytes", database.wal_index_bytes),
            ("tables", database.tables),
            ("statements", database.statements),
            ("reopens", metrics.reopens),
        ]
        .into_iter(),
    )?;
    write_pages::put_status(metrics, readings, all.uptime_seconds, out)?;
    let (failed, refused) = all.wrong_tokens;
    counts(out, "tokens", [("failed", failed), ("refused", refused)].into_iter())?;
    configuration_pages::put_status(&readings.configuration, all.flags, out)?;
    status_memory(readings, out)?;
    write!(
        out,
        r#""turns":{},"nested_turns":{},"jobs":{},"panics":{},"log_lines_dropped":{}}}"#,
        metrics.turns, metrics.nested_turns, metrics.jobs, metrics.panics, all.log_dropped
    )
}

fn status_memory(readings: &Readings, out: &mut impl Write) -> fmt::Result {
    let (database, process, heap) = (&readings.database, &readings.process, &readings.heap);
    counts(
        out,
        "memory",
        [
            ("rss_bytes", process.rss_bytes),
            ("rss_anon_bytes", process.rss_anon_bytes),
            ("ready_rss_anon_bytes", process.ready_rss_anon_bytes),
            ("system_total_bytes", process.system_total_bytes),
            ("system_available_bytes", process.system_available_bytes),
            ("sheet_process_bytes", budget::PROCESS_BYTES as u64),
            ("sheet_kernel_bytes", budget::KERNEL_BYTES as u64),
            ("heap_bytes", heap.live as u64),
            ("heap_peak_bytes", heap.peak as u64),
            ("heap_allocations_since_ready", heap.sealed_allocations),
            ("configuration_heap_bytes", readings.configuration_heap.live as u64),
            ("configuration_heap_peak_bytes", readings.configuration_heap.peak as u64),
            ("sqlite_heap_bytes", database.heap_bytes),
            ("sqlite_heap_peak_bytes", database.heap_peak_bytes),
            ("sqlite_largest_allocation_bytes", database.largest_bytes),
        ]
        .into_iter(),
    )
}

/// One member of an object: names with numbers.
pub(super) fn counts(out: &mut impl Write, name: &str, items: impl Iterator<Item = (&'static str, u64)>) -> fmt::Result {
    write!(out, "\"{name}\":{{")?;
    for (at, (label, count)) in items.enumerate() {
        write!(out, "{}\"{label}\":{count}", if at == 0 { "" } else { "," })?;
    }
    out.write_str("},")
}

fn budget_page(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    out.write_str("{\"use\":[")?;
    for (at, part) in all.uses.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let Use { name, unit, limit, now, high } = part;
        write!(out, r#"{comma}{{"name":"{name}","unit":"{unit}","limit":{limit},"now":{now},"high":{high}}}"#)?;
    }
    for (name, rows, total) in
        [("process", budget::PROCESS, budget::PROCESS_BYTES), ("kernel", budget::KERNEL, budget::KERNEL_BYTES)]
    {
        write!(out, "],\"{name}_bytes\":{total},\"{name}\":[")?;
        for (at, row) in rows.iter().enumerate() {
            write!(
                out,
                r#"{}{{"name":"{}","bytes":{},"sum":"{}"}}"#,
                if at == 0 { "" } else { "," },
                row.name,
                row.bytes,
                row.sum
            )?;
        }
    }
    write!(out, "],\"memory_max_bytes\":{},\"settings\":[", budget::MEMORY_MAX_BYTES)?;
    for (at, setting) in budget::SETTINGS.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(out, r#"{comma}{{"name":"{}","value":{},"unit":"{}"}}"#, setting.variable, setting.value, setting.unit)?;
    }
    out.write_str("]}")
}
