//! Build script: what `--version` tells of the source and the target. Knows git, and does without it.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string()).filter(|text| !text.is_empty())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    // The commit's date, not today's: equal sources give equal bytes.
    let date = git(&["log", "-1", "--format=%cs"]);
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=FLAGSTONE_BUILD_COMMIT={}", commit.as_deref().unwrap_or("no commit"));
    println!("cargo:rustc-env=FLAGSTONE_BUILD_DATE={}", date.as_deref().unwrap_or("no date"));
    println!("cargo:rustc-env=FLAGSTONE_BUILD_TARGET={target}");
    println!("cargo:rerun-if-changed=src/build.rs");
    if let Some(folder) = git(&["rev-parse", "--git-dir"]) {
        println!("cargo:rerun-if-changed={folder}/HEAD");
        println!("cargo:rerun-if-changed={folder}/logs/HEAD");
    }
}
