//! The database and the configuration that every row begins with.

use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use super::question::{self, ITEMS};

/// Routes, limits and the operators' token; a row may append to it.
const CONFIG: &str = r#"
ops_auth = "chaos"

[tables]
expose = ["item"]

[[route]]
path = "/critical/fixed"
sql = "SELECT id, name, body FROM item WHERE id <= 5 ORDER BY id"
critical = true
stale_ok = "10m"
stale_if_error = "10m"

[[route]]
path = "/critical/now"
sql = "SELECT version, mark FROM now"
rows = "one"
critical = true
stale_if_error = "10m"

[[route]]
path = "/item/:id"
sql = "SELECT id, name, body FROM item WHERE id = :id"
params.id = "integer"
rows = "one"

[[route]]
path = "/fresh/:id"
sql = "SELECT id, name, body FROM item WHERE id = :id"
params.id = "integer"
rows = "one"
ttl = "0"

[[route]]
path = "/large/:behind/:count"
sql = "SELECT id, name, body FROM item WHERE id > :behind ORDER BY id LIMIT :count"
params = { behind = "integer", count = "integer" }

[[route]]
path = "/work/:steps"
sql = "WITH RECURSIVE step(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM step WHERE i < :steps) SELECT sum(i) FROM step"
params.steps = "integer"
rows = "value"
ttl = "0"

[[route]]
path = "/echo/:word"
sql = "SELECT :word AS word FROM now"
rows = "one"

[[route]]
path = "/sorted/:count"
sql = """
  WITH RECURSIVE step(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM step WHERE i < :count)
  SELECT count(*), sum(length(t)) FROM (SELECT i * 7919 % 1000003 AS k, hex(i * 7919) || 'x' AS t FROM step ORDER BY t LIMIT -1 OFFSET 1)
"""
params.count = "integer"
ttl = "0"

[[route]]
method = "POST"
path = "/write"
sql = "INSERT INTO written(key, value) VALUES (:key, :value) RETURNING key"
params = { key = "integer", value = "text" }

[[route]]
method = "POST"
path = "/write-or-rollback"
sql = "INSERT OR ROLLBACK INTO written(key, value) VALUES (:key, :value) RETURNING key"
params = { key = "integer", value = "text" }

[[route]]
path = "/written/:key"
sql = "SELECT value FROM written WHERE key = :key"
params.key = "integer"
rows = "value"
"#;

/// A folder with all that a server needs.
pub struct Scene {
    /// The token of the operators.
    pub token: String,
    head: String,
    folder: PathBuf,
    database: PathBuf,
}

impl Scene {
    /// Makes database and configuration in `folder`; the program makes the token.
    ///
    /// # Errors
    /// Of the disk, and of a program that makes none.
    pub fn make(program: &Path, folder: &Path) -> io::Result<Self> {
        make_database(&folder.join("data.db")).map_err(Error::other)?;
        let output = Command::new(program).args(["token", "chaos"]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let word = |start: &str| text.split([' ', '\n', '"']).find(|word| word.starts_with(start)).map(str::to_owned);
        let (Some(token), Some(digest)) = (word("flg_"), word("sha256:")) else {
            return Err(Error::other(format!("{} token: {output:?}", program.display())));
        };
        let head = format!("{CONFIG}\n[tokens]\nchaos = \"{digest}\"\n");
        let scene = Self { token, head, folder: folder.to_owned(), database: folder.join("data.db") };
        scene.configure("")?;
        Ok(scene)
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.database.clone()
    }

    /// The same with its database elsewhere: on another disk, say.
    ///
    /// # Errors
    /// Of the disk.
    pub fn at(self, database: &Path) -> io::Result<Self> {
        if database != self.database {
            make_database(database).map_err(Error::other)?;
        }
        Ok(Self { database: database.to_owned(), ..self })
    }

    /// The configuration's file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("flagstone.toml")
    }

    /// Its text as it is at the start.
    pub fn text(&self) -> &str {
        &self.head
    }

    /// Writes the configuration anew, with `more` behind it, as an editor does: beside, and renamed.
    pub fn configure(&self, more: &str) -> io::Result<()> {
        self.write(&format!("{}{more}", self.head))
    }

    /// Writes any text in its place.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let beside = self.folder.join("flagstone.toml.new");
        std::fs::write(&beside, text)?;
        std::fs::rename(beside, self.config())
    }

    /// A connection of another program.
    ///
    /// # Errors
    /// SQLite's.
    pub fn open(&self) -> rusqlite::Result<Connection> {
        open(&self.database)
    }
}

/// A connection of another program, patient with others.
///
/// # Errors
/// SQLite's.
pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(connection)
}

/// Makes the database.
///
/// # Errors
/// SQLite's.
pub fn make_database(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, body TEXT NOT NULL);
         CREATE TABLE now(one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, mark TEXT NOT NULL);
         CREATE TABLE written(key INTEGER PRIMARY KEY, value TEXT NOT NULL);
         CREATE TABLE ballast(id INTEGER PRIMARY KEY, filler BLOB);",
    )?;
    let transaction = connection.transaction()?;
    for id in 1..=ITEMS {
        let (name, body) = question::item(id);
        transaction.execute("INSERT INTO item VALUES (?1, ?2, ?3)", (id, name, body))?;
    }
    transaction.execute("INSERT INTO now VALUES (1, 0, ?1)", [question::mark(0)])?;
    transaction.commit()
}

/// Sets the row that changes, as another program does.
///
/// # Errors
/// SQLite's.
pub fn set_version(connection: &Connection, version: u64) -> rusqlite::Result<()> {
    connection.execute("UPDATE now SET version = ?1, mark = ?2", (version as i64, question::mark(version)))?;
    Ok(())
}
