//! Who may read and write the database, and what to type when we may not.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

use super::{Facts, refuse};
use crate::start::{StartError, shell_word, size_text};

/// Whether something may be written, and if not, whether permissions could change that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writable {
    /// It may.
    Yes,
    /// Its permissions say no.
    Denied,
    /// It lies on a file system that is mounted read-only: no chmod helps.
    ReadOnlyFileSystem,
}

/// Asks the kernel, for the effective ids: mode bits alone know neither ACLs, capabilities nor read-only mounts.
pub(super) fn writable(path: &Path) -> Writable {
    match rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => Writable::Yes,
        Err(Errno::ROFS) => Writable::ReadOnlyFileSystem,
        Err(_) => Writable::Denied,
    }
}

/// Whether `path` may be read.
pub(super) fn may_read(path: &Path) -> bool {
    rustix::fs::accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).is_ok()
}

fn us() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// A file that exists and that we may not read.
pub(super) fn unreadable(path: &Path, metadata: &Metadata) -> StartError {
    let (uid, gid) = us();
    let what = format!(
        "{}: no permission to read it: we run as uid {uid}, gid {gid}; the file belongs to uid {}, gid {}, mode {:04o}",
        path.display(),
        metadata.uid(),
        metadata.gid(),
        metadata.mode() & 0o7777
    );
    let word = shell_word(path);
    refuse(what, &[give(uid, gid, metadata.uid(), "r", &word), format!("ls -l {word}")])
}

/// The command that gives us `right`: as the owner by chmod alone, else through our group.
fn give(uid: u32, gid: u32, owner: u32, right: &str, word: &str) -> String {
    if uid == owner {
        format!("chmod u+{right} {word}")
    } else {
        format!("sudo chgrp {gid} {word} && sudo chmod g+{right} {word}")
    }
}

fn owner(path: &Path) -> u32 {
    fs::metadata(path).map_or(0, |metadata| metadata.uid())
}

/// A path that cannot be followed: one of its folders may not be searched.
pub(super) fn unreachable_folder(path: &Path) -> StartError {
    let (uid, gid) = us();
    let closed = |folder: &&Path| rustix::fs::accessat(CWD, *folder, Access::EXEC_OK, AtFlags::EACCESS) == Err(Errno::ACCESS);
    // The outermost closed folder is the one to open: those below it cannot even be asked.
    let folder = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).filter(closed).last();
    let folder = folder.or(path.parent()).filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let what = format!("{}: the folder {} may not be entered by uid {uid}", path.display(), folder.display());
    let word = shell_word(folder);
    refuse(what, &[give(uid, gid, owner(folder), "x", &word), format!("ls -ld {word}")])
}

/// A -wal or -shm that we may not read: the database alone is not the whole of it.
pub(super) fn unreadable_side_file(facts: &Facts) -> StartError {
    let side = if facts.wal.is_some() && !may_read(&super::beside(&facts.resolved, "-wal")) { "-wal" } else { "-shm" };
    let file = super::beside(&facts.resolved, side);
    let what = format!(
        "{}: no permission to read {}, which belongs to it: we run as uid {}",
        facts.path.display(),
        file.display(),
        facts.uid
    );
    let word = shell_word(&file);
    refuse(what, &[give(facts.uid, facts.gid, owner(&file), "r", &word), format!("ls -l {word}")])
}

/// A WAL database whose -shm cannot be created.
pub(super) fn wal_in_a_closed_folder(facts: &Facts) -> StartError {
    let folder = shell_word(facts.home());
    let what = format!(
        "{}: a WAL database in a folder that we (uid {}) may not write: {}; SQLite must create a -shm there",
        facts.path.display(),
        facts.uid,
        facts.home().display()
    );
    let word = shell_word(&facts.path);
    let ignored = match facts.wal.unwrap_or(0) {
        0 => String::new(),
        bytes => format!("; ignores {} not yet in the database (-wal)", size_text(bytes)),
    };
    let promise = format!("flagstone --immutable {word}   # only while nobody writes to it{ignored}");
    let open = match facts.folder {
        // What is mounted read-only is written by nobody here: the promise is the natural remedy.
        Writable::ReadOnlyFileSystem => {
            let copy = format!("cp {word} /var/tmp/ && flagstone {}", shell_word(&copied(&facts.path)));
            return refuse(what + " (the file system is mounted read-only)", &[promise, copy]);
        }
        Writable::Denied | Writable::Yes => give(facts.uid, facts.gid, owner(facts.home()), "wx", &folder),
    };
    refuse(what, &[open, promise])
}

fn copied(path: &Path) -> std::path::PathBuf {
    Path::new("/var/tmp").join(path.file_name().unwrap_or_default())
}

/// A rollback journal that has to be played back: what a read-only connection may not do (SQLITE_READONLY_ROLLBACK).
pub fn hot_journal(facts: &Facts) -> StartError {
    let bytes = facts.journal.map_or_else(String::new, size_text);
    let what = format!(
        "{}: a write was cut off and its journal ({bytes} in {}-journal) must be rolled back first, \
         which needs a writer, and we (uid {}) only read; if another program is writing just now, start again when it is done",
        facts.path.display(),
        facts.resolved.display(),
        facts.uid
    );
    let sqlite = if facts.uid == 0 { "sqlite3" } else { "sudo sqlite3" };
    refuse(what, &[format!("{sqlite} {} 'SELECT count(*) FROM sqlite_schema'", shell_word(&facts.resolved))])
}
