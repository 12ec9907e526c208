//! Build script: what `--version` tells of the source and the target. By git, or without it by `FLAGSTONE_COMMIT` and `SOURCE_DATE_EPOCH`, which win.

use std::process::Command;

fn main() {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string()).filter(|text| !text.is_empty())
    };
    let told = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let commit = told("FLAGSTONE_COMMIT").or_else(|| said("git", &["rev-parse", "--short=12", "HEAD"]));
    // The commit's time, not today's: equal sources give equal bytes.
    let time = told("SOURCE_DATE_EPOCH").or_else(|| said("git", &["log", "-1", "--format=%ct"]));
    let date = time.and_then(|seconds| said("date", &["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%d"]));
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=FLAGSTONE_BUILD_COMMIT={}", commit.as_deref().unwrap_or("no commit"));
    println!("cargo:rustc-env=FLAGSTONE_BUILD_DATE={}", date.as_deref().unwrap_or("no date"));
    println!("cargo:rustc-env=FLAGSTONE_BUILD_TARGET={target}");
    if is_static_x86_64() {
        // 24 bytes for each address that the start puts right become about a bit. A dynamic binary would then ask for glibc 2.36.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    println!("cargo:rerun-if-changed=src/build.rs");
    println!("cargo:rerun-if-env-changed=FLAGSTONE_COMMIT");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    if let Some(folder) = said("git", &["rev-parse", "--git-dir"]) {
        println!("cargo:rerun-if-changed={folder}/HEAD");
        println!("cargo:rerun-if-changed={folder}/logs/HEAD");
    }
}

/// Whether the target is x86-64 Linux with glibc in the binary; linkers for other machines may not know how to pack.
fn is_static_x86_64() -> bool {
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    let is_static = told("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    is_static && told("CARGO_CFG_TARGET_ARCH") == "x86_64" && told("CARGO_CFG_TARGET_ENV") == "gnu"
}
