//! The one who makes and reads the database: a process of its own, as it maps the log's index, and a process that maps a file of
//! a disk it serves itself can wait for itself for ever.

use std::ffi::OsString;
use std::io::{self, BufWriter, Error, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::LOOK;
use super::record::{Key, SCHEMA};

/// For a lock that the server holds.
const BUSY: Duration = Duration::from_secs(10);

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// As the table holds it.
    pub number: i64,
    /// Whether it is in the table of arrays.
    pub is_array: bool,
    /// Whether its content is what its key says.
    pub is_right: bool,
}

/// Makes the tables in a new database.
pub fn make(database: &Path) -> io::Result<()> {
    ask("make", database).map(drop)
}

/// What integrity_check says, and all rows, of one moment.
///
/// # Errors
/// What SQLite says.
pub fn read(database: &Path) -> io::Result<(String, Vec<Row>)> {
    let text = ask("read", database)?;
    let mut lines = text.lines();
    let verdict = lines.next().unwrap_or_default().to_owned();
    let rows = lines.map(|line| {
        let mut words = line.split(' ');
        let number = words.next()?.parse().ok()?;
        Some(Row { number, is_array: words.next()? == "array", is_right: words.next()? == "right" })
    });
    let rows: Option<Vec<Row>> = rows.collect();
    Ok((verdict, rows.ok_or_else(|| Error::other("a line that is no row"))?))
}

fn ask(order: &str, database: &Path) -> io::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(LOOK).arg(order).arg(database).stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() {
        return Err(Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    String::from_utf8(output.stdout).map_err(Error::other)
}

/// The process: an order and a database.
pub fn run(arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let words: Vec<OsString> = arguments.collect();
    let [order, database] = words.as_slice() else { return Err(Error::other("not for people")) };
    match order.to_str() {
        Some("make") => Connection::open(database).and_then(|connection| connection.execute_batch(SCHEMA)).map_err(Error::other),
        Some("read") => print(Path::new(database)),
        _ => Err(Error::other("not for people")),
    }
}

fn print(database: &Path) -> io::Result<()> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(Error::other)?;
    connection.busy_timeout(BUSY).map_err(Error::other)?;
    let mut output = BufWriter::new(io::stdout().lock());
    rows(&connection, &mut output).map_err(Error::other)?;
    output.flush()
}

fn rows(connection: &Connection, output: &mut impl Write) -> rusqlite::Result<()> {
    // A failed write is seen at the flush.
    let mut say = |line: &str| drop(writeln!(output, "{line}"));
    connection.execute_batch("BEGIN")?;
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    say(&verdict.replace('\n', " "));
    for (table, part, kind) in [("left_half", "0", "pair"), ("right_half", "0", "pair"), ("parts", "part", "array")] {
        let mut statement = connection.prepare(&format!("SELECT key, {part}, value FROM {table}"))?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let (number, part, value): (i64, u32, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let is_right = Key::of(number).is_some_and(|key| key.value(part.into()) == value);
            say(&format!("{number} {kind} {}", if is_right { "right" } else { "wrong" }));
        }
    }
    Ok(())
}
