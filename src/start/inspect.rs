//! A look at the database file before SQLite sees it: is it there, is it one, may we, can it be served?
//!
//! This is the one place that opens the database, its -wal, -shm or -journal by itself. On Linux closing *any*
//! descriptor of a file drops all POSIX locks that the process holds on it, SQLite's included; afterwards another
//! process would take our WAL away under us. So [`database`] runs before the first connection is opened, while there is no lock to lose, and never again.
//! `tests/tidy.rs` bans such opening everywhere else. Nothing here writes: served read-only, the file keeps its sha256.

mod kind;
mod missing;
mod rights;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use self::kind::Kind;
pub use self::rights::{Writable, hot_journal};
use super::{Exit, StartError, shell_word};

/// Bytes of a database's header (SQLite "Database File Format" §1.3).
const HEADER_BYTES: usize = 100;

/// How much is read to tell what a file is: a page, enough to measure entropy.
const HEAD_BYTES: usize = 4096;

/// How the database keeps a transaction apart until it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalMode {
    /// Write-ahead log: needs a -shm, and so the folder.
    Wal,
    /// A rollback journal of any kind (delete, truncate, persist, memory, off: the file does not say which).
    Rollback,
}

impl fmt::Display for JournalMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JournalMode::Wal => "WAL",
            JournalMode::Rollback => "rollback journal",
        })
    }
}

/// What is known of the database before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The path as it was given, for messages.
    pub path: PathBuf,
    /// The same without symbolic links: SQLite keeps -wal, -shm and -journal beside this one.
    pub resolved: PathBuf,
    /// The file's length in bytes.
    pub size: u64,
    /// 512 to 65,536 bytes, a power of two.
    pub page_size: u32,
    /// From the header's read version.
    pub journal_mode: JournalMode,
    /// `PRAGMA application_id`.
    pub application_id: u32,
    /// The -wal's length in bytes, when there is one.
    pub wal: Option<u64>,
    /// The -shm's length in bytes, when there is one.
    pub shm: Option<u64>,
    /// The -journal's length in bytes, when there is one.
    pub journal: Option<u64>,
    /// The -journal begins like one that has to be rolled back. It may also be that of a writer at work.
    pub hot_journal: bool,
    /// Whether -wal and -shm, as far as they exist, may be read.
    pub side_files_readable: bool,
    /// Whether files may be created beside the database.
    pub folder: Writable,
    /// Whether the database itself may be written.
    pub file: Writable,
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// What the start block should say about it, one sentence each.
    pub notes: Vec<String>,
}

impl Facts {
    /// Whether files may be created beside the database.
    pub fn folder_writable(&self) -> bool {
        self.folder == Writable::Yes
    }

    /// Whether the database itself may be written.
    pub fn file_writable(&self) -> bool {
        self.file == Writable::Yes
    }

    /// Whether the process runs as root, for whom permissions mean nothing.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// The folder of the database and its side files.
    fn home(&self) -> &Path {
        self.resolved.parent().unwrap_or(Path::new("/"))
    }
}

/// Finds out what can be found out about the database at `path`, and whether it can be served at all.
///
/// Call it before SQLite opens the file (see the top of this file why). `immutable` is the user's promise that nobody writes: it
/// lifts the need for a -shm, at the price of ignoring a -wal. All errors have exit code 66.
pub fn database(path: &Path, immutable: bool) -> Result<Facts, StartError> {
    let metadata = fs::metadata(path).map_err(|error| absent(path, &error))?;
    if metadata.is_dir() {
        return Err(missing::is_a_folder(path));
    }
    if !metadata.is_file() {
        let what = format!("{}: not a regular file (a device, pipe or socket)", path.display());
        return Err(refuse(what, &[format!("ls -l {}", shell_word(path))]));
    }
    let head = head(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => rights::unreadable(path, &metadata),
        _ => failed(path, &error),
    })?;
    if metadata.len() == 0 {
        return Err(missing::empty(path));
    }
    match Kind::of(&head) {
        Kind::Database => {}
        kind => return Err(refuse(kind.message(path), &kind.remedies(path))),
    }
    let resolved = fs::canonicalize(path).map_err(|error| failed(path, &error))?;
    let mut facts = gather(path, resolved, metadata.len(), &head)?;
    judge(&facts, immutable)?;
    facts.notes = notes(&facts, immutable);
    Ok(facts)
}

fn refuse(what: impl fmt::Display, remedies: &[String]) -> StartError {
    StartError::new(Exit::Database, what, remedies)
}

fn failed(path: &Path, error: &io::Error) -> StartError {
    refuse(format!("{}: cannot be read: {error}", path.display()), &[format!("ls -l {}", shell_word(path))])
}

fn absent(path: &Path, error: &io::Error) -> StartError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => rights::unreachable_folder(path),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing::not_there(path),
        _ => failed(path, error),
    }
}

/// The first bytes of the file, fewer where it is shorter.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A big-endian number of the header; the caller has checked that the header is whole.
fn number(head: &[u8], offset: usize) -> u32 {
    head[offset..offset + 4].iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// `data.db` to `data.db-wal`.
fn beside(resolved: &Path, suffix: &str) -> PathBuf {
    let mut name = resolved.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn gather(path: &Path, resolved: PathBuf, size: u64, head: &[u8]) -> Result<Facts, StartError> {
    let shown = path.display();
    if head.len() < HEADER_BYTES {
        let what = format!("{shown}: truncated: it has {size} bytes, the header of a database alone has {HEADER_BYTES}");
        return Err(refuse(what, &again(path)));
    }
    // 16 bits, in which 65,536 does not fit and is written as 1.
    let page_size = match number(head, 16) >> 16 {
        1 => 65_536,
        size => size,
    };
    if !page_size.is_power_of_two() || page_size < 512 {
        let what = format!("{shown}: damaged: its header says a page has {page_size} bytes, which SQLite never writes");
        return Err(refuse(what, &again(path)));
    }
    if head[19] > 2 {
        let what = format!("{shown}: made by a newer SQLite: its format has version {}, this program reads up to 2", head[19]);
        let dump = format!("sqlite3 {} .dump | sqlite3 new.db   # with the newer sqlite3", shell_word(path));
        return Err(refuse(what, &[dump]));
    }
    let length = |suffix: &str| fs::metadata(beside(&resolved, suffix)).ok().map(|metadata| metadata.len());
    let (wal, shm, journal) = (length("-wal"), length("-shm"), length("-journal"));
    // A -wal or -journal may hold the pages that the file still lacks: then SQLite completes it.
    if wal.unwrap_or(0) == 0 && journal.unwrap_or(0) == 0 {
        whole(path, size, page_size, head)?;
    }
    let readable = |suffix: &str| rights::may_read(&beside(&resolved, suffix));
    Ok(Facts {
        path: path.to_owned(),
        size,
        page_size,
        journal_mode: if head[19] == 2 { JournalMode::Wal } else { JournalMode::Rollback },
        application_id: number(head, 68),
        wal,
        shm,
        journal,
        hot_journal: journal.unwrap_or(0) > 0 && begins_hot(&beside(&resolved, "-journal")),
        side_files_readable: (wal.is_none() || readable("-wal")) && (shm.is_none() || readable("-shm")),
        folder: rights::writable(resolved.parent().unwrap_or(Path::new("/"))),
        file: rights::writable(&resolved),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        notes: Vec::new(),
        resolved,
    })
}

/// Refuses a file that is shorter than its header says. The count is valid only when the change counter
/// equals the version-valid-for number (file format §1.3.7): old versions of SQLite did not keep it.
fn whole(path: &Path, size: u64, page_size: u32, head: &[u8]) -> Result<(), StartError> {
    let pages = number(head, 28);
    let counted = u64::from(pages) * u64::from(page_size);
    let valid = pages > 0 && number(head, 24) == number(head, 92);
    if size >= if valid { counted } else { u64::from(page_size) } {
        return Ok(());
    }
    let shown = path.display();
    let what = if valid {
        format!(
            "{shown}: truncated: its header counts {pages} pages of {page_size} bytes, {counted} bytes in all, \
             but the file has {size} bytes; perhaps a copy or download that did not finish"
        )
    } else {
        format!("{shown}: truncated: a page has {page_size} bytes, the whole file {size} bytes")
    };
    Err(refuse(what, &again(path)))
}

fn again(path: &Path) -> Vec<String> {
    let word = shell_word(path);
    vec![
        format!("sqlite3 {word} .recover | sqlite3 recovered.db"),
        "sqlite3 original.db '.backup copy.db'   # a copy that is whole, even while it is written".to_owned(),
    ]
}

/// A journal whose first byte is zero has been committed (PERSIST mode) and needs no rollback; so SQLite sees it too.
fn begins_hot(journal: &Path) -> bool {
    head(journal).is_ok_and(|head| head.first().is_some_and(|byte| *byte != 0))
}

/// Whether what was found can be served. Pure, so that every combination can be tested by anybody, root included.
fn judge(facts: &Facts, immutable: bool) -> Result<(), StartError> {
    let closed = !(facts.folder_writable() && facts.file_writable());
    // With --immutable nobody is writing, so the journal is hot for certain, and without it the pages do not fit together.
    if facts.journal_mode == JournalMode::Rollback && facts.hot_journal && (closed || immutable) {
        return Err(hot_journal(facts));
    }
    if immutable {
        return Ok(());
    }
    match facts.journal_mode {
        JournalMode::Wal if !facts.side_files_readable => Err(rights::unreadable_side_file(facts)),
        // Without a -shm SQLite has to create one; with both there, it reads them as they are.
        JournalMode::Wal if !facts.folder_writable() && (facts.shm.is_none() || facts.wal.is_none()) => {
            Err(rights::wal_in_a_closed_folder(facts))
        }
        _ => Ok(()),
    }
}

fn notes(facts: &Facts, immutable: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if immutable {
        notes.push("--immutable: nobody may write while this runs; changes are not seen".to_owned());
        if let Some(bytes) = facts.wal.filter(|bytes| *bytes > 0) {
            let size = super::size_text(bytes);
            notes.push(format!("--immutable ignores {size} in {}-wal: what is only there is not served", facts.path.display()));
        }
    } else if facts.journal_mode == JournalMode::Wal && !facts.folder_writable() {
        notes.push("the folder may not be written: -wal and -shm are used as they are".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests;
