//! The Debian packages, by cargo-deb from what Cargo.toml says of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::binary::{self, Binary};
use super::source::Source;
use super::{Failed, failed, root, run};

/// Bytes of a package depend on it.
const VERSION: &str = "3.8.0";

/// cargo-deb in its one version: the installed one, or one that is installed for this project alone, below target/.
pub fn cargo_deb() -> Result<PathBuf, Failed> {
    let ours = root().join("target/cargo-deb");
    for path in [PathBuf::from("cargo-deb"), ours.join("bin/cargo-deb")] {
        let said = Command::new(&path).arg("--version").output();
        if said.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(VERSION)) {
            return Ok(path);
        }
    }
    println!("installing cargo-deb {VERSION}");
    let mut cargo = binary::cargo(&root(), &BTreeMap::new());
    // Not optimised: it is built sooner than it would gain. xz comes from the system.
    cargo.args([
        "install",
        "--quiet",
        "--locked",
        "--debug",
        "--no-default-features",
        "--version",
        VERSION,
        "cargo-deb",
        "--root",
    ]);
    run(cargo.arg(&ours))?;
    Ok(ours.join("bin/cargo-deb"))
}

/// Writes the package of one target to target/package.
pub fn write(root: &Path, source: &Source, binary: &Binary, cargo_deb: &Path) -> Result<(), Failed> {
    let mut command = Command::new(cargo_deb);
    command.current_dir(root).envs(&binary.environment).env("SOURCE_DATE_EPOCH", source.time.to_string());
    command.env_remove("CARGO_TARGET_DIR");
    // gzip: small enough, quick to unpack on a small board, and the same bytes on every machine.
    command.args([
        "--compress-type",
        "gz",
        "--no-build",
        "--no-strip",
        "--quiet",
        "--package",
        "flagstone",
        "--target",
        binary.target.triple(),
        "--output",
    ]);
    let output = root.join("target/package");
    let said = run(command.arg(&output))?;
    if said.lines().any(|line| line.ends_with(".deb")) { Ok(()) } else { Err(failed("cargo-deb", said)) }
}
