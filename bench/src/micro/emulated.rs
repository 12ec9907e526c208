//! Instructions of the loops on 64-bit ARM: this program, built for it, under qemu-user with the plugin of tools/arm64/icount.c.

use std::path::Path;
use std::process::Command;

use super::loops::Loop;

/// Two numbers of iterations; what start and end cost is the same in both. Enough of them, or a hundred instructions more
/// or less somewhere would be seen.
const FEW: u64 = 500;
const MANY: u64 = 2500;

/// Instructions of one iteration, rounded.
///
/// # Errors
/// What the emulator or the loop said.
pub fn count(program: &Path, plugin: &Path, each: Loop) -> Result<u64, String> {
    let (few, many) = (run(program, plugin, each, FEW)?, run(program, plugin, each, MANY)?);
    let between = many.checked_sub(few).ok_or("more iterations were fewer instructions")?;
    Ok((between + (MANY - FEW) / 2) / (MANY - FEW))
}

fn run(program: &Path, plugin: &Path, each: Loop, iterations: u64) -> Result<u64, String> {
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
    let first_line = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or(program).to_owned()
    };
    vec![
        "Instructions of one iteration of `bench loop NAME` on 64-bit ARM, by tools/arm64/instructions.sh; no hardware has been measured".to_owned(),
        first_line("rustc"),
        first_line("aarch64-linux-gnu-gcc"),
        first_line("qemu-aarch64"),
    ]
}
