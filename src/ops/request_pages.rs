//! What the operators' pages say of requests, their times, and the connections that they come by.

use core::fmt::{self, Write};

use super::metrics::{CloseReason, DURATION_BOUNDS, Durations, Refusal, RouteKind, STATUSES};
use super::snapshot::Snapshot;
use super::text::{Seconds, counts, head, single};

/// Metrics of answers and their times.
pub(super) fn put_answers(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
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
    let slow = all.metrics.slow_requests;
    single(out, "flagstone_slow_requests_total", "counter", "Answers that took slow_request or longer.", slow)?;
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

/// Metrics of connections.
pub(super) fn put_connections(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
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
    )?;
    let waiting = "The most connections that waited to be accepted at once, within the last second.";
    single(out, "flagstone_accept_queue", "gauge", waiting, all.metrics.accept_queue)
}

/// Members of the status page.
pub(super) fn put_status(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let metrics = all.metrics;
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
    counts(out, "refused", Refusal::ALL.iter().zip(metrics.refused).map(|(reason, count)| (reason.label(), count)))
}
