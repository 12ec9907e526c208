//! What all of them serve: the same bodies as files and as rows, and one table.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Rows of the table.
pub const ROWS: usize = 10_000;
/// The bodies, by name and length in bytes.
pub const BODIES: [(&str, usize); 3] = [("1k", 1024), ("10k", 10 * 1024), ("100k", 100 * 1024)];
/// What writing asks for, and what it sends.
pub const TOKEN: &str = "bench-0123456789";

/// Files in a folder of this run.
pub struct Scene {
    /// The folder of the static bodies.
    pub files: PathBuf,
    /// The database.
    pub database: PathBuf,
    /// Flagstone's configuration with everything on.
    pub cached: PathBuf,
    /// The same with every request run by the database.
    pub uncached: PathBuf,
}

impl Scene {
    /// Makes it in `folder`, the database in `card`.
    pub fn make(folder: &Path, card: &Path) -> io::Result<Scene> {
        let files = folder.join("files");
        fs::create_dir(&files)?;
        for (name, length) in BODIES {
            fs::write(files.join(format!("{name}.txt")), body(length))?;
        }
        let database = card.join("data.db");
        make_database(&database)?;
        let (cached, uncached) = (folder.join("cached.toml"), folder.join("uncached.toml"));
        fs::write(&cached, configuration("on"))?;
        fs::write(&uncached, configuration("off"))?;
        Ok(Scene { files, database, cached, uncached })
    }
}

/// Text of a length, the same in each run.
pub fn body(length: usize) -> String {
    const WORDS: &str = "The fixed budget of a small machine is spent on what it is asked for. ";
    WORDS.chars().cycle().take(length).collect()
}

/// The name of a row.
pub fn name_of(row: usize) -> String {
    format!("item {row}")
}

fn make_database(path: &Path) -> io::Result<()> {
    let bodies: String =
        BODIES.iter().map(|(name, length)| format!("INSERT INTO bodies VALUES ('{name}', '{}');", body(*length))).collect();
    let sql = format!(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE bodies(name TEXT PRIMARY KEY, body TEXT NOT NULL);
         {bodies}
         CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT NOT NULL, value REAL NOT NULL, note TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO items SELECT i, 'item ' || i, i * 0.5, 'a note of some length on item ' || i FROM n;
         CREATE TABLE written(id INTEGER PRIMARY KEY, value REAL NOT NULL);
         PRAGMA wal_checkpoint(TRUNCATE);"
    );
    rusqlite::Connection::open(path).and_then(|conn| conn.execute_batch(&sql)).map_err(io::Error::other)
}

fn configuration(cache: &str) -> String {
    let digest: String =
        flagstone::policy::credentials::digest(TOKEN.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "ops_auth = \"bench\"
[tokens]
bench = \"sha256:{digest}\"
[flags]
cache = \"{cache}\"
single_flight = \"{cache}\"
[limits]
shed_wait = \"2s\"
route_query = \"30s\"
[tables]
expose = [\"items\"]
[[route]]
path = \"/body/:name\"
sql = \"SELECT body FROM bodies WHERE name = :name\"
rows = \"value\"
[[route]]
path = \"/slow\"
sql = \"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT :steps) SELECT count(*) AS n FROM n\"
params = {{ steps = \"integer\" }}
ttl = \"0\"
rows = \"one\"
[[route]]
method = \"POST\"
path = \"/write\"
sql = \"INSERT INTO written(value) VALUES (:value)\"
params = {{ value = \"real\" }}
auth = \"bench\"
"
    )
}

/// Where a program is: as a path, in `extra`, or on PATH (with /usr/sbin, where Debian puts servers).
pub fn find(program: &str, extra: Option<&Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = extra.map(|folder| folder.join("bin")).into_iter();
    folders
        .chain(std::env::split_paths(&path))
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder: PathBuf| folder.join(program))
        .find(|file| file.is_file())
}

/// A program's first line about its version.
pub fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    let Ok(output) = output else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
