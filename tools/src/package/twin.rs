//! The same once more from a copy of the source in another folder, without git: equal sources must give equal bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::binary::Target;
use super::source::Source;
use super::{Failed, checksums, failed, package, run};

/// Builds the twin and compares the checksums; false when they differ.
pub fn compare(root: &Path, source: &Source, targets: &[Target], folder: &Path) -> Result<bool, Failed> {
    let elsewhere = tempfile::Builder::new().prefix("flagstone-twin-").tempdir().map_err(|error| failed("a folder", error))?;
    let copy = elsewhere.path().join("under/another/name");
    copy_source(root, &copy)?;
    let theirs = package(&copy, source, targets)?;
    let sums = |folder: &Path| fs::read_to_string(folder.join(checksums::FILE)).map_err(|error| failed("checksums", error));
    let (ours, theirs) = (sums(folder)?, sums(&theirs)?);
    if ours == theirs {
        println!("built twice, in two folders: equal bytes");
        return Ok(true);
    }
    println!("built twice, in two folders: different bytes\n{theirs}");
    // What differs is wanted by whoever looks for the reason.
    println!("the other build is kept in {}", elsewhere.keep().display());
    Ok(false)
}

/// Copies what git would have: neither what it ignores nor itself.
fn copy_source(root: &Path, copy: &Path) -> Result<(), Failed> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    for name in run(&mut git)?.split_terminator('\0') {
        let (from, to) = (root.join(name), copy.join(name));
        // Deleted, and not yet committed.
        if !from.exists() {
            continue;
        }
        let made = fs::create_dir_all(to.parent().unwrap_or(copy)).and_then(|()| fs::copy(&from, &to));
        made.map_err(|error| failed(name, error))?;
    }
    Ok(())
}
