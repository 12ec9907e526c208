//! Whether the files under the database's names are still those that were opened.
//!
//! By stat alone: opening and closing one of them would drop SQLite's locks on it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The database and its -wal and -shm, as they were when it was opened.
pub(super) struct Watched {
    path: PathBuf,
    wal: PathBuf,
    shm: PathBuf,
    opened: Option<Inode>,
    opened_wal: Option<Inode>,
    opened_shm: Option<Inode>,
}

/// Device and inode: what stays the same while a file keeps its name.
type Inode = (u64, u64);

impl Watched {
    /// Nothing yet.
    pub(super) const fn none() -> Watched {
        Watched {
            path: PathBuf::new(),
            wal: PathBuf::new(),
            shm: PathBuf::new(),
            opened: None,
            opened_wal: None,
            opened_shm: None,
        }
    }

    /// The files of a database that is open; `opened` is what stood under its name just before.
    pub(super) fn of(path: &Path) -> Watched {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let shm = beside("-shm");
        Watched {
            opened: inode(path),
            opened_wal: None,
            opened_shm: inode(&shm),
            path: path.to_owned(),
            wal: beside("-wal"),
            shm,
        }
    }

    /// WAL and wal-index are there once the database has been read.
    pub(super) fn note_side_files(&mut self) {
        (self.opened_wal, self.opened_shm) = (inode(&self.wal), inode(&self.shm));
    }

    /// Whether another database stands under the name.
    pub(super) fn database_replaced(&self) -> bool {
        inode(&self.path).is_some_and(|now| Some(now) != self.opened)
    }

    /// Removes the WAL that we wrote and the wal-index, if they still stand beside another database than they are of: SQLite goes by names, and
    /// would lay the old one's pages over the new one's. Not to be called while the database is open. Whether there was one.
    ///
    /// # Errors
    /// What removing them gave: the new database must not be opened then.
    pub(super) fn remove_left_log(&self) -> std::io::Result<bool> {
        let ours = self.opened_wal.is_some() && inode(&self.wal) == self.opened_wal;
        if !ours || !self.database_replaced() {
            return Ok(false);
        }
        std::fs::remove_file(&self.wal)?;
        match std::fs::remove_file(&self.shm) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }

    /// Whether another database stands under the name, or another wal-index beside it, which others now use and we do not. A missing file is
    /// a rename in progress: the old database is served until there is a new one.
    pub(super) fn replaced(&self) -> bool {
        let other = |path: &Path, opened: Option<Inode>| inode(path).is_some_and(|now| Some(now) != opened);
        other(&self.path, self.opened) || self.opened_shm.is_some() && other(&self.shm, self.opened_shm)
    }

    /// The inode of the wal-index that was opened.
    pub(super) fn wal_index(&self) -> Option<u64> {
        self.opened_shm.map(|(_, inode)| inode)
    }

    /// Bytes of the database, of its -wal and of its -shm.
    pub(super) fn sizes(&self) -> (u64, u64, u64) {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        (size(&self.path), size(&self.wal), size(&self.shm))
    }
}

fn inode(path: &Path) -> Option<Inode> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_under_a_name_is_seen_and_a_missing_one_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.db");
        let write = |name: &str| std::fs::write(folder.path().join(name), name).unwrap();
        let rename = |from: &str, to: &str| std::fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
        write("data.db");
        let mut watched = Watched::of(&path);
        assert!(!watched.replaced());
        write("data.db-shm");
        assert!(!watched.replaced(), "one that was not there was nobody's");
        watched.note_side_files();
        write("other");
        rename("other", "data.db-shm");
        assert!(watched.replaced(), "another wal-index");
        watched.note_side_files();
        assert!(!watched.remove_left_log().unwrap(), "the database is the same");
        std::fs::remove_file(&path).unwrap();
        assert!(!watched.replaced(), "perhaps a rename in progress");
        write("data.db");
        write("data.db-wal");
        assert_eq!(watched.sizes(), (7, 11, 5));
        write("new");
        rename("new", "data.db");
        assert!(watched.replaced());
        assert!(!watched.remove_left_log().unwrap(), "that WAL was not there when it was opened");
        watched.opened_wal = inode(&watched.wal);
        assert!(watched.remove_left_log().unwrap());
        assert_eq!(watched.sizes(), (3, 0, 0), "the database alone is left");
    }
}
