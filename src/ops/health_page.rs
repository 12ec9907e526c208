//! `/-/health` and `/-/ready`: one word for everybody, each component's state for operators.

use core::fmt::{self, Write};

use super::alerts;
use super::snapshot::Snapshot;
use crate::budget;

/// Under 100 bytes without details.
pub(super) fn put(all: &Snapshot, good: bool, details: bool, out: &mut impl Write) -> fmt::Result {
    let word = if good { "ok" } else { "unavailable" };
    if details {
        let database = if all.readings.database.ready { "ok" } else { "unavailable" };
        let state = if all.draining { "stopping" } else { "ok" };
        let memory = if all.readings.process.rss_anon_bytes > budget::PROCESS_BYTES as u64 { "over the sheet" } else { "ok" };
        write!(
            out,
            r#"{{"status":"{word}","components":{{"loop":"{state}","database":"{database}","memory":"{memory}"}},"uptime_seconds":{},"#,
            all.uptime_seconds
        )?;
        alerts::put_member(all.alerts, out)?;
        out.write_str("}")
    } else {
        write!(out, r#"{{"status":"{word}"}}"#)
    }
}
