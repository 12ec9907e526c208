//! What the operators' pages say of memory, and of the process as the kernel counts it.

use core::fmt::{self, Write};

use super::readings::Readings;
use super::snapshot::Snapshot;
use super::text::{Seconds, counts, head, single};
use crate::budget;

/// Metrics of memory, against its limits.
pub(super) fn put_metrics(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
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
    let left_out = all.readings.log_left_out;
    single(out, "flagstone_log_left_out_lines_total", "counter", "Log lines left out because they repeat.", left_out)?;
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

/// Metrics of the process.
pub(super) fn put_process(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
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

/// A member of the status page.
pub(super) fn put_status(readings: &Readings, out: &mut impl Write) -> fmt::Result {
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
