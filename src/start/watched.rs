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
    opened_shm: Option<Inode>,
}

/// Device and inode: what stays the same while a file keeps its name.
type Inode = (u64, u64);

impl Watched {
    /// Nothing yet.
    pub(super) const fn none() -> Watched {
        Watched { path: PathBuf::new(), wal: PathBuf::new(), shm: PathBuf::new(), opened: None, opened_shm: None }
    }

    /// The files of a database that is open; `opened` is what stood under its name just before.
    pub(super) fn of(path: &Path) -> Watched {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let shm = beside("-shm");
        Watched { opened: inode(path), opened_shm: inode(&shm), path: path.to_owned(), wal: beside("-wal"), shm }
    }

    /// The wal-index is there once the database has been read.
    pub(super) fn note_shm(&mut self) {
        self.opened_shm = inode(&self.shm);
    }

    /// Whether another database stands under the name, or another wal-index beside it, which others now use and we do not. A missing file is
    /// a rename in progress: the old database is served until there is a new one.
    pub(super) fn replaced(&self) -> bool {
        let other = |path: &Path, opened: Option<Inode>| inode(path).is_some_and(|now| Some(now) != opened);
        other(&self.path, self.opened) || self.opened_shm.is_some() && other(&self.shm, self.opened_shm)
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
        watched.note_shm();
        write("other");
        rename("other", "data.db-shm");
        assert!(watched.replaced(), "another wal-index");
        watched.note_shm();
        std::fs::remove_file(&path).unwrap();
        assert!(!watched.replaced(), "perhaps a rename in progress");
        write("data.db");
        write("data.db-wal");
        assert_eq!(watched.sizes(), (7, 11, 5));
        write("new");
        rename("new", "data.db");
        assert!(watched.replaced());
    }
}
