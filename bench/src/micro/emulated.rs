//! Instructions of the loops on 64-bit ARM: this program, built for it, under qemu-user with the plugin of tools/arm64/icount.c.

use std::path::Path;
use std::process::Command;

use super::loops::Loop;
use super::version;

/// Instructions of a run.
///
/// # Errors
/// What the emulator or the loop said.
pub fn run(program: &Path, plugin: &Path, each: Loop, iterations: u64) -> Result<u64, String> {
    let mut command = Command::new("qemu-aarch64");
    command.args(["-cpu", "cortex-a53", "-plugin"]).arg(plugin).arg(program);
    let output = command
        .args(["loop", each.name(), &iterations.to_string()])
        .output()
        .map_err(|error| format!("qemu-aarch64: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted = said.lines().find_map(|line| line.strip_prefix("instructions: ")?.parse().ok());
    match counted {
        Some(counted) if output.status.success() => Ok(counted),
        _ => Err(format!("{}: {}: {}", each.name(), output.status, said.trim())),
    }
}

/// What the figures depend on besides the source: versions, as the programs tell them.
pub fn made_by() -> Vec<String> {
    vec![
        "Instructions of one iteration of `bench loop NAME` on 64-bit ARM, by tools/arm64/instructions.sh; no hardware has been measured".to_owned(),
        version("rustc"),
        version("aarch64-linux-gnu-gcc"),
        version("qemu-aarch64"),
    ]
}
