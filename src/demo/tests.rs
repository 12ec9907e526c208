//! The example is deterministic, about 1 MB, imperfect in the ways that it promises, and each view answers.

use std::os::unix::fs::{MetadataExt, symlink};

use rusqlite::OpenFlags;
use tempfile::TempDir;

use super::*;
use crate::start::inspect::JournalMode;

/// Monday 2026-03-02, 10:20:30 UTC.
const NOW: i64 = 1_772_446_830;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn open(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opened")
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Each row of a query, its columns as SQL literals.
fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).expect("prepared");
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i).map(|value| format!("{value:?} "))).collect()
    };
    let rows: Result<Vec<String>, _> = statement.query_map([], row).expect("queried").collect();
    rows.expect("read")
}

fn dump(path: &Path) -> Vec<String> {
    let connection = open(path);
    ["sqlite_schema", "sensors", "readings", "events"]
        .iter()
        .flat_map(|table| rows(&connection, &format!("SELECT * FROM {table} ORDER BY rowid")))
        .collect()
}

#[test]
fn the_file_is_about_a_megabyte_and_stands_alone() {
    let folder = folder();
    let path = build_at(folder.path(), NOW).expect("built");
    let facts = inspect::database(&path, false).expect("a database");
    assert!((700_000..1_500_000).contains(&facts.size), "{} bytes", facts.size);
    assert_eq!(facts.journal_mode, JournalMode::Wal);
    assert_eq!((facts.wal, facts.shm, facts.journal), (None, None, None));
    let names: Vec<_> = fs::read_dir(folder.path()).expect("listed").map(|entry| entry.expect("read").file_name()).collect();
    assert_eq!(names, ["demo.db"], "nothing else is left");
    let connection = open(&path);
    assert_eq!(rows(&connection, "PRAGMA integrity_check"), ["Text(\"ok\") "]);
    assert!(rows(&connection, "PRAGMA foreign_key_check").is_empty());
    assert!(number(&connection, "SELECT count(*) FROM sqlite_stat1") >= 3, "the planner knows the sizes");
}

#[test]
fn the_same_minute_makes_the_same_database() {
    let (first, second, later) = (folder(), folder(), folder());
    let first = dump(&build_at(first.path(), NOW).expect("built"));
    let second = dump(&build_at(second.path(), NOW + 29).expect("built"));
    let later = dump(&build_at(later.path(), NOW + 30).expect("built"));
    assert!(first.len() > 10_000);
    assert!(first == second, "seconds do not matter");
    assert!(first != later, "minutes do");
}

#[test]
fn the_sensors_are_as_imperfect_as_promised() {
    let folder = folder();
    let connection = open(&build_at(folder.path(), NOW).expect("built"));
    let ask = |sql: &str| number(&connection, sql);
    let minutes_between =
        "CAST(round((julianday(at) - julianday(lag(at) OVER (PARTITION BY sensor ORDER BY at))) * 1440) AS INTEGER)";
    assert_eq!(ask("SELECT count(*) FROM sensors"), 8);
    assert_eq!(ask("SELECT count(DISTINCT sensor) FROM readings"), 8);
    let gaps =
        format!("SELECT count(*) FROM (SELECT sensor, {minutes_between} AS gap FROM readings) WHERE gap > 400 AND sensor = 3");
    assert_eq!(ask(&gaps), 1, "one sensor has a gap");
    let others = gaps.replace("sensor = 3", "sensor <> 3");
    assert_eq!(ask(&others), 0, "only one");
    assert_eq!(ask("SELECT count(*) FROM readings WHERE sensor = 5 AND value = 65535"), 1, "one has an outlier");
    let stale = "SELECT group_concat(id) = '6' FROM latest WHERE at < '2026-02-28T11:00:00Z'";
    assert_eq!(ask(stale), 1, "one is stale since two days");
    assert!(ask("SELECT count(*) FROM readings WHERE value IS NULL") > 5, "some have no value");
    for name in ["Wohnzimmer – Süd", "冷蔵庫", "Dachböden"] {
        assert_eq!(ask(&format!("SELECT count(*) FROM sensors WHERE name = '{name}'")), 1, "{name}");
    }
    let shape = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]Z";
    assert_eq!(ask(&format!("SELECT count(*) FROM readings WHERE NOT at GLOB '{shape}'")), 0);
    assert_eq!(ask("SELECT max(at) = '2026-03-02T10:20:00Z' FROM readings"), 1, "the newest is of this minute");
    assert_eq!(ask("SELECT min(at) = '2026-02-23T10:20:00Z' FROM readings"), 1, "the oldest of seven days ago");
}

#[test]
fn the_values_are_plausible() {
    let folder = folder();
    let connection = open(&build_at(folder.path(), NOW).expect("built"));
    for (sensor, low, high) in
        [(1, 20, 24), (2, 4, 11), (3, 12, 30), (4, 65, 73), (5, 430, 1300), (6, 31, 46), (7, 8, 21), (8, 180, 2600)]
    {
        let sql = format!(
            "SELECT min(value) >= {low} AND max(value) <= {high} AND max(value) - min(value) > ({high} - {low}) / 3.0
             FROM readings WHERE sensor = {sensor} AND value < 65535"
        );
        assert_eq!(number(&connection, &sql), 1, "sensor {sensor}");
    }
}

#[test]
fn the_calendar_has_every_kind_of_event() {
    let folder = folder();
    let connection = open(&build_at(folder.path(), NOW).expect("built"));
    let ask = |sql: &str| number(&connection, sql);
    assert!(ask("SELECT count(*) FROM events WHERE all_day") >= 3);
    assert_eq!(ask("SELECT count(*) FROM events WHERE all_day AND NOT starts_at LIKE '%T00:00:00Z'"), 0);
    for frequency in ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"] {
        assert!(ask(&format!("SELECT count(*) FROM events WHERE rrule LIKE 'FREQ={frequency}%'")) > 0, "{frequency}");
    }
    let overlapping = "SELECT count(*) FROM events AS a JOIN events AS b ON a.id < b.id
        AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at
        WHERE a.rrule IS NULL AND b.rrule IS NULL AND NOT a.all_day AND NOT b.all_day";
    assert!(ask(overlapping) >= 2);
}

#[test]
fn every_view_answers() {
    let folder = folder();
    // The view asks for the present day, so this one is built for it.
    let connection = open(&build(folder.path()).expect("built"));
    let ask = |sql: &str| number(&connection, sql);
    assert_eq!(ask("SELECT count(*) FROM latest"), 8);
    assert_eq!(ask("SELECT count(*) FROM latest WHERE at IS NULL OR alarm IS NULL"), 0);
    assert!(ask("SELECT count(*) FROM hourly") > 8 * 100);
    assert_eq!(ask("SELECT count(*) FROM hourly WHERE lowest > average OR highest < average"), 0);
    assert!(ask("SELECT count(*) FROM today") >= 5);
    assert_eq!(ask("SELECT count(*) FROM today WHERE title = 'School break'"), 1, "what spans days is there");
    assert_eq!(ask("SELECT count(*) FROM today WHERE title = 'Boiler service'"), 0, "tomorrow is not");
    assert_eq!(ask("SELECT count(*) FROM today WHERE title = '晩ごはん'"), 1, "what recurs is there");
    assert_eq!(ask("SELECT count(*) FROM today WHERE substr(starts_at, 1, 10) <> date('now') AND rrule IS NOT NULL"), 0);
}

#[test]
fn what_recurs_is_there_on_its_days_alone() {
    let folder = folder();
    let connection = open(&build_at(folder.path(), NOW).expect("built"));
    let view: String =
        connection.query_row("SELECT sql FROM sqlite_schema WHERE name = 'today'", [], |row| row.get(0)).expect("the view");
    let query = view.split_once(" AS\n").expect("a query").1;
    // From Monday the 2nd to Sunday the 8th of March 2026.
    for (title, days) in [
        ("Müll: Papier", "3"),
        ("Piano lesson", "2 5"),
        ("Stand-up", "2 3 4 5 6"),
        ("Run", "7 8"),
        ("晩ごはん", "2 3 4 5 6 7 8"),
        ("Planning", "2"),
        ("Rent", ""),
        ("School break", "2 3 4 5 6 7"),
        ("Night shift of the washing machine", "2 3"),
    ] {
        let there = |day: &u32| {
            let query = query.replace("'now'", &format!("'2026-03-0{day} 12:00:00'"));
            number(&connection, &format!("SELECT count(*) FROM ({query}) WHERE title = '{title}'")) == 1
        };
        let found: Vec<String> = (2..=8).filter(there).map(|day| day.to_string()).collect();
        assert_eq!(found.join(" "), days, "{title}");
    }
}

#[test]
fn the_latest_readings_are_found_without_a_scan() {
    let folder = folder();
    let connection = open(&build_at(folder.path(), NOW).expect("built"));
    let plan = rows(&connection, "EXPLAIN QUERY PLAN SELECT * FROM latest").join("\n");
    assert!(plan.contains("USING COVERING INDEX readings_by_sensor (sensor=?)"), "{plan}");
    assert!(!plan.contains("SCAN r") && !plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn an_example_is_reused_and_anything_else_left_alone() {
    let folder = folder();
    let path = build_at(folder.path(), NOW).expect("built");
    let inode = fs::metadata(&path).expect("there").ino();
    assert_eq!(build_at(folder.path(), NOW + 3600), Ok(path.clone()));
    assert_eq!(fs::metadata(&path).expect("there").ino(), inode);
    let refused = || {
        let error = build_at(folder.path(), NOW).expect_err("refused");
        assert_eq!(error.exit, 66);
        assert!(error.message.contains("left alone") && error.message.contains("try: flagstone --demo "), "{error}");
    };
    fs::remove_file(&path).expect("removed");
    Connection::open(&path).expect("opened").execute_batch("CREATE TABLE mine(a)").expect("made");
    refused();
    assert_eq!(number(&open(&path), "SELECT count(*) FROM mine"), 0, "it is still there");
    for bytes in ["", "my notes"] {
        fs::write(&path, bytes).expect("written");
        refused();
        assert_eq!(fs::read(&path).expect("read"), bytes.as_bytes());
    }
    fs::remove_file(&path).expect("removed");
    symlink(folder.path().join("elsewhere"), &path).expect("linked");
    refused();
}

#[test]
fn a_folder_is_made_but_not_its_parents() {
    let folder = folder();
    assert!(build_at(&folder.path().join("new"), NOW).is_ok());
    let error = build_at(&folder.path().join("a/b"), NOW).expect_err("refused");
    assert!(error.message.contains("try: mkdir -p "), "{error}");
    let file = folder.path().join("file.db");
    fs::write(&file, "x").expect("written");
    let error = build_at(&file, NOW).expect_err("refused");
    assert!(error.message.contains("takes the folder") && error.message.contains("try: flagstone "), "{error}");
}

#[test]
fn a_temporary_folder_is_private_and_goes_with_its_owner() {
    let parent = folder();
    let demo = DemoDir::create_in(parent.path()).expect("created");
    let other = DemoDir::create_in(parent.path()).expect("created");
    assert_ne!(demo.path(), other.path());
    assert_eq!(fs::metadata(demo.path()).expect("there").mode() & 0o777, 0o700);
    let path = build_at(demo.path(), NOW).expect("built");
    assert!(path.starts_with(parent.path()));
    drop((demo, other));
    assert_eq!(fs::read_dir(parent.path()).expect("listed").count(), 0);
    let error = DemoDir::create_in(&parent.path().join("gone")).expect_err("refused");
    assert!(error.message.contains("TMPDIR=/var/tmp flagstone --demo"), "{error}");
}
