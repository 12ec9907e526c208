//! A database from elsewhere: its schema changes, it is replaced, it is in another journal mode; and the two paths answer alike.

use std::time::Duration;

use rusqlite::Connection;

use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

/// For a replaced file to be noticed: a second by the server's own look, and some more.
const NOTICED_WITHIN: Duration = Duration::from_secs(8);

/// The rows.
pub const ROWS: &[Row] = &[Row {
    name: "legacy-database",
    what: "the schema changes, statements that no route may have, the file replaced by one with a rollback journal",
    risks: &[Risk::Legacy],
    signs: &[
        Sign::Acted(Risk::Legacy),
        Sign::Rise("flagstone_database_reopens_total", &[], 1.0),
        Sign::Rise("flagstone_config_reload_failures_total", &[], 3.0),
    ],
    commits: false,
    fresh_gap: Duration::from_secs(2),
    quick: true,
    run: legacy,
    ..Row::BLANK
}];

fn legacy(trial: &Trial) -> Result<(), Stop> {
    let other = trial.scene.open()?;
    trial.breaks("columns, indexes and tables change; PRAGMA, ATTACH and COMMIT in routes; another file by rename");
    other.execute_batch(
        "ALTER TABLE item ADD COLUMN later TEXT DEFAULT 'x';
         CREATE INDEX item_by_name ON item(name);
         CREATE TABLE unexpected(a, b);
         DROP TABLE unexpected;",
    )?;
    ask_some(trial)?;
    for sql in ["PRAGMA journal_mode = OFF", "ATTACH 'x' AS x", "SELECT 1; COMMIT"] {
        trial.scene.configure(&format!("\n[[route]]\npath = \"/odd\"\nsql = \"{sql}\"\n"))?;
        let answer = trial.operator.ask("POST", "/-/reload", "")?;
        trial.must(answer.status == 422, || format!("a route with {sql}: {}", answer.status));
    }
    trial.scene.configure("")?;
    let answer = trial.operator.ask("POST", "/-/reload", "")?;
    trial.must(answer.status == 200, || format!("the good configuration again: {}", answer.status));
    both_paths(trial)?;
    replace(trial, &other)?;
    trial.await_signs(NOTICED_WITHIN);
    trial.mended();
    ask_some(trial)
}

fn ask_some(trial: &Trial) -> Result<(), Stop> {
    for id in 1..60 {
        trial.ask(Question::Item(id))?;
        trial.ask(Question::Fresh(id))?;
    }
    Ok(())
}

/// The optimised path and the plain one give equal bytes and the same ETag.
fn both_paths(trial: &Trial) -> Result<(), Stop> {
    let ask = |target: &str| -> Result<(u16, String, Vec<u8>), Stop> {
        let answer = trial.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))?;
        let answer = answer.ok_or_else(|| Stop::Fault(format!("{target}: no answer")))?;
        Ok((answer.status, answer.field("etag").unwrap_or_default().to_owned(), answer.body))
    };
    let targets = [
        "/tables/item?limit=5",
        "/tables/item/7",
        "/tables/item?id=in.(1,2,3)&select=name",
        "/item/9",
        "/item/9?_format=csv",
        "/critical/fixed",
        "/large/3/50?_format=ndjson",
        "/item/none",
    ];
    let optimised: Result<Vec<_>, Stop> = targets.iter().chain(&targets).map(|target| ask(target)).collect();
    let optimised = optimised?.split_off(targets.len());
    trial.operator.ask("PUT", "/-/flags/cache", "off")?;
    for (target, wanted) in targets.iter().zip(optimised) {
        let plain = ask(target)?;
        trial.must(plain == wanted, || format!("{target}: the plain path answers otherwise"));
    }
    trial.operator.ask("PUT", "/-/flags/cache", "configured")?;
    Ok(())
}

/// Puts a copy with a rollback journal in the database's place.
fn replace(trial: &Trial, old: &Connection) -> Result<(), Stop> {
    let path = trial.scene.database();
    let beside = path.with_extension("new");
    let name = beside.to_str().ok_or_else(|| Stop::Internal("a path".to_owned()))?;
    old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    old.execute("VACUUM INTO ?1", [name])?;
    let copy = Connection::open(&beside)?;
    copy.execute_batch("PRAGMA journal_mode = DELETE")?;
    copy.close().map_err(|(_, error)| error)?;
    for ending in ["db-wal", "db-shm"] {
        // SQLite goes by names: these belong to the old file.
        let _ = std::fs::remove_file(path.with_extension(ending));
    }
    std::fs::rename(beside, path)?;
    Ok(())
}
