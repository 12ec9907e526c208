//! Messages for a database that is not there: missing, empty, or a folder. Lists folders, opens no file.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use super::refuse;
use crate::start::{StartError, shell_word, suggest};

/// How many names a message offers: more are a list to search, not a hint.
const OFFERED: usize = 3;

/// How many names of a folder are looked at: a folder of mail or photographs may hold a million.
const LOOKED_AT: usize = 10_000;

/// Names that databases go by.
const EXTENSIONS: [&str; 6] = ["db", "sqlite", "sqlite3", "db3", "sdb", "s3db"];

/// A file that does not exist, with the names that may have been meant.
pub(super) fn not_there(path: &Path) -> StartError {
    let shown = path.display();
    if let Ok(target) = fs::read_link(path) {
        let what = format!("{shown}: a symbolic link to {}, where nothing is", target.display());
        return refuse(what, &[format!("ls -l {}", shell_word(path))]);
    }
    let demo = "flagstone --demo   # a live example".to_owned();
    let folder = folder_of(path);
    if !folder.is_dir() {
        let what = format!("{shown}: there is no folder {}", folder.display());
        return refuse(what, &[existing_part(&folder), demo]);
    }
    let near = near(path);
    let what = match near.as_slice() {
        [] => format!("{shown}: no such file, and nothing like it in {}", absolute(&folder).display()),
        names => format!("{shown}: no such file in {}; there is {}", absolute(&folder).display(), listed(names)),
    };
    let remedies = match near.first() {
        Some(name) => vec![format!("flagstone {}", shell_word(name)), demo],
        None => vec![demo],
    };
    refuse(what, &remedies)
}

/// A file without a byte: often what a mistyped `sqlite3 NAME` left behind.
pub(super) fn empty(path: &Path) -> StartError {
    let near = near(path);
    let mut what = format!("{}: empty (0 bytes): it has no tables, perhaps a typing error created it", path.display());
    if !near.is_empty() {
        what.push_str(&format!("; there is also {}", listed(&near)));
    }
    let create = format!("sqlite3 {} VACUUM   # makes it a database without tables", shell_word(path));
    let remedies = match near.first() {
        Some(name) => vec![format!("flagstone {}", shell_word(name)), create],
        None => vec![create],
    };
    refuse(what, &remedies)
}

/// A folder, with the databases in it.
pub(super) fn is_a_folder(path: &Path) -> StartError {
    let mut databases: Vec<PathBuf> = names(path).filter(|name| is_database_name(name)).map(|name| path.join(name)).collect();
    databases.sort();
    let all = databases.len();
    databases.truncate(OFFERED);
    let shown = path.display();
    match databases.first() {
        Some(first) => {
            let more = if all > OFFERED { format!(" and {} more", all - OFFERED) } else { String::new() };
            let what = format!("{shown}: a folder, not a database; in it: {}{more}", listed(&databases));
            refuse(what, &[format!("flagstone {}", shell_word(first))])
        }
        None => {
            let what = format!("{shown}: a folder, and none of its files is named *.db or *.sqlite");
            refuse(what, &[format!("ls -l {}", shell_word(path)), "flagstone --demo".to_owned()])
        }
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn absolute(folder: &Path) -> PathBuf {
    fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}

/// `ls` of the nearest ancestor that exists.
fn existing_part(folder: &Path) -> String {
    let exists = folder.ancestors().find(|ancestor| !ancestor.as_os_str().is_empty() && ancestor.is_dir());
    format!("ls -l {}", shell_word(exists.unwrap_or(Path::new("."))))
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .take(LOOKED_AT)
        .filter_map(Result::ok)
        .filter(|entry| fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !["-wal", "-shm", "-journal"].iter().any(|suffix| name.ends_with(suffix)))
}

fn is_database_name(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}

/// Files beside `path` whose name is at most two edits away, or differs in case or extension alone; the nearest first.
fn near(path: &Path) -> Vec<PathBuf> {
    let Some(wanted) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let folder = folder_of(path);
    let lower = wanted.to_lowercase();
    let stem = |name: &str| Path::new(name).file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
    let mut near: Vec<(usize, Reverse<bool>, String)> = names(&folder)
        .filter(|name| name != wanted)
        .filter_map(|name| {
            let edits = suggest::distance(&lower, &name.to_lowercase());
            let close = edits <= 2 && edits < wanted.chars().count();
            // Another extension is the likeliest slip after case: before what is merely near.
            let rank = if edits == 0 {
                0
            } else if stem(&name) == stem(wanted) {
                1
            } else {
                edits + 1
            };
            (close || rank <= 1).then(|| (rank, Reverse(is_database_name(&name)), name))
        })
        .collect();
    near.sort();
    near.truncate(OFFERED);
    let joined = |name: String| path.parent().map_or_else(|| PathBuf::from(&name), |parent| parent.join(&name));
    near.into_iter().map(|(_, _, name)| joined(name)).collect()
}

/// `a.db, b.db`: names alone, their folder has been said.
fn listed(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().filter_map(|path| path.file_name()).map(|name| shell_word(Path::new(name))).collect();
    names.join(", ")
}
