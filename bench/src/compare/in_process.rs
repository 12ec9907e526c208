//! The same rows without a server: SQLite called in this very process. What a request over HTTP needs beyond that is the server's cost.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::measure::Sample;
use crate::serve::process;

/// Executions between two looks at the clock.
const BATCH: u64 = 256;

/// Executes one held statement again and again for `seconds`, each time in a read transaction of its own, and reads every value.
///
/// # Errors
/// What SQLite said.
pub fn sample(database: &Path, sql: &str, parameter: i64, seconds: f64) -> io::Result<Sample> {
    let (began, before) = (Instant::now(), process::read(std::process::id())?.cpu);
    let (executions, values) = execute(database, sql, parameter, seconds).map_err(io::Error::other)?;
    let (took, after) = (began.elapsed().as_secs_f64(), process::read(std::process::id())?.cpu);
    let each = took * 1e6 / executions as f64;
    Ok(Sample {
        cpu_us: after.saturating_sub(before).as_secs_f64() * 1e6 / executions as f64,
        rate: executions as f64 / took,
        p50_us: each,
        p99_us: each,
        clean: values >= executions,
    })
}

/// How many executions there were, and how many values they gave that are not NULL.
fn execute(database: &Path, sql: &str, parameter: i64, seconds: f64) -> rusqlite::Result<(u64, u64)> {
    let conn = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let mut statement = conn.prepare(sql)?;
    let columns = statement.column_count();
    let (began, time) = (Instant::now(), Duration::from_secs_f64(seconds));
    let (mut executions, mut values) = (0_u64, 0_u64);
    while began.elapsed() < time {
        for _ in 0..BATCH {
            let mut rows = statement.query([parameter])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    values += u64::from(row.get_ref(column)? != ValueRef::Null);
                }
            }
        }
        executions += BATCH;
    }
    Ok((executions, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::scratch::Scratch;

    #[test]
    fn rows_are_read_and_their_lack_is_not_clean() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("data.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (7, 'x')")
            .unwrap();
        let sampled = |key| sample(&path, "SELECT a, b FROM t WHERE a = ?1", key, 0.01).unwrap();
        assert!(sampled(7).clean && sampled(7).cpu_us > 0.0);
        assert!(!sampled(8).clean, "there is none");
        assert!(sample(&path, "SELECT nothing", 7, 0.01).is_err());
    }
}
