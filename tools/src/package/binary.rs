//! The server's binary for one target: static, stripped, without a path of the machine that builds it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::source::Source;
use super::{Failed, failed, run};

/// What it is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// 64-bit ARM from the Cortex-A53 on: Raspberry Pi Zero 2 W, 3, 4, 5.
    Aarch64,
    /// Any x86-64.
    X86_64,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 2] = [Target::Aarch64, Target::X86_64];

    /// As uname(1) calls it.
    pub fn machine(self) -> &'static str {
        match self {
            Target::Aarch64 => "aarch64",
            Target::X86_64 => "x86_64",
        }
    }

    /// As rustc calls it.
    pub fn triple(self) -> &'static str {
        match self {
            Target::Aarch64 => "aarch64-unknown-linux-gnu",
            Target::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }

    /// Bytes that its binary may have: it is copied to a card, and its text is memory too.
    fn most_bytes(self) -> u64 {
        match self {
            Target::Aarch64 => 5 << 20,
            Target::X86_64 => 4 << 20,
        }
    }

    fn variable(self, prefix: &str, suffix: &str) -> String {
        let name = format!("{prefix}{}{suffix}", self.triple().replace('-', "_"));
        if prefix == "CFLAGS_" { name } else { name.to_uppercase() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.triple())
    }
}

/// A finished binary.
pub struct Binary {
    /// What it was built for.
    pub target: Target,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What cargo and cargo-deb were told.
    pub environment: BTreeMap<String, String>,
}

/// Builds it. A crossing to another machine needs `tools/arm64/toolchain.sh`, which says what to tell cargo.
pub fn build(root: &Path, source: &Source, target: Target) -> Result<Binary, Failed> {
    let mut environment = if target.machine() == std::env::consts::ARCH { BTreeMap::new() } else { toolchain(root, target)? };
    environment.insert("FLAGSTONE_COMMIT".to_owned(), source.commit.clone());
    environment.insert("SOURCE_DATE_EPOCH".to_owned(), source.time.to_string());
    let mappings = mappings(root, &environment)?;
    let flags =
        environment.entry(target.variable("CARGO_TARGET_", "_RUSTFLAGS")).or_insert("-Ctarget-feature=+crt-static".to_owned());
    mappings.iter().for_each(|(from, to)| flags.push_str(&format!(" --remap-path-prefix={from}={to}")));
    let flags = environment.entry(target.variable("CFLAGS_", "")).or_default();
    flags.push_str(&format!(" {}", common_c_flags()));
    mappings.iter().for_each(|(from, to)| flags.push_str(&format!(" -ffile-prefix-map={from}={to}")));
    let mut cargo = cargo(root, &environment);
    cargo.args(["build", "--release", "--locked", "--package", "flagstone", "--bin", "flagstone", "--target", target.triple()]);
    run(cargo.arg("--target-dir").arg(root.join("target")))?;
    let path = root.join("target").join(target.triple()).join("release/flagstone");
    let bytes = std::fs::metadata(&path).map_err(|error| failed("the binary", error))?.len();
    if bytes > target.most_bytes() {
        return Err(failed("the binary", format_args!("{target}: {bytes} bytes; it may have {}", target.most_bytes())));
    }
    Ok(Binary { target, path, bytes, environment })
}

/// CFLAGS of `.cargo/config.toml`: those of one target take their place.
fn common_c_flags() -> &'static str {
    let lines = include_str!("../../../.cargo/config.toml").lines();
    let mut told = lines.filter_map(|line| line.strip_prefix("CFLAGS = \"")?.strip_suffix('"'));
    told.next_back().expect("a line of CFLAGS")
}

/// cargo for a folder, without what the cargo that runs us has told us.
pub fn cargo(root: &Path, environment: &BTreeMap<String, String>) -> Command {
    let mut cargo = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix));
        if ours || matches!(name.as_ref(), "CARGO" | "CARGO_TARGET_DIR" | "RUSTFLAGS" | "CARGO_ENCODED_RUSTFLAGS") {
            cargo.env_remove(name.as_ref());
        }
    }
    if environment.contains_key("PATH") {
        // Another toolchain than the one in use, and rustup is not to choose.
        cargo.env_remove("RUSTUP_TOOLCHAIN");
    }
    cargo.current_dir(root).envs(environment);
    cargo
}

/// What `tools/arm64/toolchain.sh` says to export.
fn toolchain(root: &Path, target: Target) -> Result<BTreeMap<String, String>, Failed> {
    if target != Target::Aarch64 {
        return Err(Failed(format!("{target} cannot be built on {}", std::env::consts::ARCH)));
    }
    let script = "said=$(tools/arm64/toolchain.sh) && env -i PATH=\"$PATH\" bash -c \"$said\"' && env -0'";
    let said = run(Command::new("bash").current_dir(root).args(["-c", script]))?;
    let told = said.split('\0').filter_map(|line| line.split_once('='));
    let ours = |name: &str| name == "PATH" || name.starts_with("CARGO_TARGET_") || name.starts_with("CFLAGS_");
    // The toolchain in use, when it has the target's std.
    let same = std::env::var("PATH").unwrap_or_default();
    let told = told.filter(|(name, value)| *name != "PATH" || *value != same);
    Ok(told.filter(|(name, _)| ours(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Folders whose names stand in no binary, and what stands there instead.
fn mappings(root: &Path, environment: &BTreeMap<String, String>) -> Result<Vec<(String, &'static str)>, Failed> {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    let home = home.map_err(|error| failed("CARGO_HOME", error))?;
    let mut rustc = Command::new("rustc");
    let sysroot = run(rustc.current_dir(root).envs(environment).args(["--print", "sysroot"]))?;
    Ok(vec![(root.display().to_string(), "/flagstone"), (home, "/cargo"), (sysroot.trim().to_owned(), "/rust")])
}
