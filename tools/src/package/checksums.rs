//! SHA256SUMS, as sha256sum(1) writes and checks them.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Failed, failed};

/// The file's name.
pub const FILE: &str = "SHA256SUMS";

/// One line of it.
pub fn line(bytes: &[u8], name: &str) -> String {
    let mut line = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing into a String does not fail.
        let _ = write!(line, "{byte:02x}");
    }
    line + "  " + name + "\n"
}

/// Writes the sums of a folder's files, sorted by name.
pub fn write(folder: &Path) -> Result<(), Failed> {
    let doing = folder.display().to_string();
    let mut names = vec![];
    for entry in fs::read_dir(folder).map_err(|error| failed(&doing, error))? {
        let entry = entry.map_err(|error| failed(&doing, error))?;
        if entry.path().is_file() && entry.file_name() != FILE {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut sums = String::new();
    for name in names {
        let bytes = fs::read(folder.join(&name)).map_err(|error| failed(&name, error))?;
        sums.push_str(&line(&bytes, &name));
    }
    fs::write(folder.join(FILE), sums).map_err(|error| failed(&doing, error))
}
