//! Which places a server needs while it serves: what the sandbox leaves in its reach.

use std::path::{Path, PathBuf};

use super::address::Address;
use super::sandbox::files::{Access, What, folders_of, of_every_server};
use super::serve::Database;
use super::state::State;

/// The folders of the database, the state, temporary files, the configuration and of sockets that are removed at the end, beside what every
/// server reads.
pub(super) fn places(
    database: &Database, state: &State, configuration: Option<&Path>, sockets: impl Iterator<Item = Address>,
) -> Vec<Access> {
    let mut places: Vec<Access> = of_every_server().collect();
    let mut add = |path: PathBuf, what: What| places.push(Access { path, what });
    // Even to read it: who reads a database in WAL mode makes its wal-index.
    let what = if database.immutable { What::Read } else { What::Write };
    folders_of(&database.path).for_each(|folder| add(folder, what));
    state.folder.iter().for_each(|folder| add(folder.clone(), What::Write));
    add(state.temporary.clone(), What::Write);
    configuration.into_iter().flat_map(folders_of).for_each(|folder| add(folder, What::Read));
    for socket in sockets {
        if let Address::Unix(path) = socket {
            folders_of(&path).for_each(|folder| add(folder, What::RemoveFile));
        }
    }
    // The example's own folder is removed at the end, from the one that it is in.
    database.example().into_iter().flat_map(folders_of).for_each(|folder| add(folder, What::RemoveFolder));
    places
}
