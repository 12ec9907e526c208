//! `--demo`: an example database, made in pure SQL. Sensors and a calendar, as imperfect as real ones.
//!
//! The rows depend on the present minute alone: the same `now` makes the same database. It is built under another
//! name and then renamed, so that a build that was cut off leaves nothing that looks like a database.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use crate::start::inspect;
use crate::start::{Exit, StartError, shell_word};

/// `PRAGMA application_id` of a demo database ("Flgd"): how one is told from somebody's own demo.db.
pub const APPLICATION_ID: u32 = 0x466C_6764;

/// The file's name in its folder.
const NAME: &str = "demo.db";

const SCHEMA: &str = include_str!("demo/schema.sql");
const DATA: &str = include_str!("demo/data.sql");

/// The configuration that the example is served by; its token `ingest` is made anew at each start.
pub const CONFIGURATION: &str = include_str!("demo/ingest.toml");

/// What the server adds every few seconds while it serves the example: a reading a sensor, a small step from its last one.
pub const NEW_READINGS: &str = "INSERT OR IGNORE INTO readings(sensor, at, value) \
    SELECT sensor, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), round(value + (random() % 100) / 250.0, 1) \
    FROM (SELECT s.id AS sensor, (SELECT value FROM readings AS r WHERE r.sensor = s.id AND value IS NOT NULL ORDER BY at DESC LIMIT 1) AS value \
        FROM sensors AS s) WHERE value IS NOT NULL";

/// Makes `dir/demo.db`, or finds the one that an earlier start left there; `dir` is created when its parent exists.
///
/// Opens and closes the database (through SQLite and, when it is there already, [`inspect`]), so call it before serving.
/// Refuses with 66 to touch a demo.db that is none of ours.
pub fn build(dir: &Path) -> Result<PathBuf, StartError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    build_at(dir, i64::try_from(now).unwrap_or(0))
}

/// As [`build`], at `now` seconds since 1970; rounded down to the minute.
fn build_at(dir: &Path, now: i64) -> Result<PathBuf, StartError> {
    make_folder(dir)?;
    let path = dir.join(NAME);
    if fs::symlink_metadata(&path).is_ok() {
        return reuse(path);
    }
    let building = dir.join(format!(".{NAME}.{}", std::process::id()));
    let made = write(&building, now - now.rem_euclid(60)).map_err(|error| error.to_string());
    if let Err(error) = made.and_then(|()| fs::rename(&building, &path).map_err(|error| error.to_string())) {
        remove_database(&building);
        let what = format!("{}: the example could not be written: {error}", path.display());
        return Err(StartError::new(Exit::Database, what, &[format!("df -h {}", shell_word(dir))]));
    }
    Ok(path)
}

fn make_folder(dir: &Path) -> Result<(), StartError> {
    let refuse = |why: String, remedy: String| {
        Err(StartError::new(Exit::Database, format!("{}: {why}", dir.display()), &[remedy, "flagstone --demo".to_owned()]))
    };
    match fs::create_dir(dir) {
        Ok(()) => Ok(()),
        Err(_) if dir.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let database = format!("flagstone {}", shell_word(dir));
            refuse("a file, but --demo takes the folder to put demo.db in".to_owned(), database)
        }
        Err(error) => {
            refuse(format!("the folder for the example cannot be created: {error}"), format!("mkdir -p {}", shell_word(dir)))
        }
    }
}

fn reuse(path: PathBuf) -> Result<PathBuf, StartError> {
    // Whether it can be served is asked later, by whoever serves it: here `immutable` lifts those conditions.
    match inspect::database(&path, true) {
        Ok(facts) if facts.application_id == APPLICATION_ID => Ok(path),
        other => {
            let why = other.err().map_or_else(|| "a database".to_owned(), |_| "a file".to_owned());
            let what = format!("{}: {why} that is not the example of --demo stands there; it is left alone", path.display());
            let elsewhere = path.with_file_name("flagstone-demo");
            let remedies = [format!("flagstone --demo {}", shell_word(&elsewhere)), format!("flagstone {}", shell_word(&path))];
            Err(StartError::new(Exit::Database, what, &remedies))
        }
    }
}

fn write(path: &Path, now: i64) -> rusqlite::Result<()> {
    remove_database(path);
    let connection = Connection::open(path)?;
    // No sync, no journal: the file gets its name only when it is whole, and a cut-off build is thrown away.
    // The small cache is for SQLite's fixed heap, in which the example may have to be built.
    connection.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;
         PRAGMA cache_size = -128; PRAGMA temp_store = FILE; BEGIN;",
    )?;
    connection.execute_batch(SCHEMA)?;
    connection.execute_batch("CREATE TEMP TABLE present(now INTEGER NOT NULL)")?;
    connection.execute("INSERT INTO present VALUES (?1)", [now])?;
    connection.execute_batch(DATA)?;
    connection.execute_batch("DROP TABLE temp.present; COMMIT; ANALYZE; PRAGMA optimize;")?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    // Rows came in by time, so the index filled its pages by halves: VACUUM fills them up.
    // The mode is set last: a database in WAL mode would be built twice, once in its log.
    connection.execute_batch("VACUUM;")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}

/// Removes a database with its side files; what is not there is no matter.
fn remove_database(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::remove_file(PathBuf::from(name));
    }
}

/// A folder of our own for an example that nobody wants to keep: created private, removed with all in it on drop.
///
/// Drop it only after the connection to the database in it is closed.
#[derive(Debug)]
pub struct DemoDir {
    path: PathBuf,
}

impl DemoDir {
    /// Creates the folder in `$TMPDIR` (else /tmp), readable by us alone, under a name that cannot be guessed.
    pub fn create() -> Result<DemoDir, StartError> {
        Self::create_in(&std::env::temp_dir())
    }

    fn create_in(parent: &Path) -> Result<DemoDir, StartError> {
        let created = random_name().and_then(|name| {
            let path = parent.join(name);
            // Fails when the name is taken, be it by a symbolic link that somebody laid out for us.
            DirBuilder::new().mode(0o700).create(&path)?;
            Ok(DemoDir { path })
        });
        created.map_err(|error| {
            let what = format!("{}: no folder for the example can be created there: {error}", parent.display());
            let remedies = ["TMPDIR=/var/tmp flagstone --demo".to_owned(), "flagstone --demo ./demo".to_owned()];
            StartError::new(Exit::Database, what, &remedies)
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DemoDir {
    fn drop(&mut self) {
        // At exit there is nobody left to tell; what stays behind is 1 MB in a temporary folder.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn random_name() -> io::Result<String> {
    let mut bytes = [0_u8; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if filled != bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(format!("flagstone-demo-{:016x}", u64::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests;
