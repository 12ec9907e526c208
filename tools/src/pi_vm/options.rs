//! The command line of `tools pi-vm`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;

/// What `--help` prints.
pub const HELP: &str = "\
tools pi-vm [OPTIONS] [--tarball FILE | --server FILE]

Boots an emulated machine of four Cortex-A53 cores and 512 MB with nothing on it but busybox and the server, twice: on a
kernel without PSI, memory cgroup and Landlock, as Pi OS may be, and on one with the three. Each serves the demo to this
machine by loopback, and RssAnon is compared with the memory sheet. Then its power is cut in the middle of writes.
qemu-system-arm and e2fsprogs are installed by root where they are missing; kernel and busybox are kept in a folder.

    --tarball FILE   what `tools package --target aarch64` made; otherwise the one that it left in target/package
    --server FILE    a static flagstone for 64-bit ARM alone
    --cuts N         power cuts (3); 0: none
    --writers N      clients that write meanwhile (8)
    -h, --help

Figures are from emulation: they say nothing of a real machine's time. Exit: 0; 1 when something is not as promised; 64; 70.
";

/// What the machine is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// All that is packaged.
    Tarball(PathBuf),
    /// The executable.
    Server(PathBuf),
}

impl Program {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Program::Tarball(path) | Program::Server(path) => path,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The server.
    pub program: Program,
    /// Power cuts.
    pub cuts: u32,
    /// Clients that write.
    pub writers: usize,
}

/// Reads the arguments; `None` asks for help.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut program, mut cuts, mut writers) = (None, 3, 8);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("tarball") => program = Some(Program::Tarball(parser.value()?.into())),
            Long("server") => program = Some(Program::Server(parser.value()?.into())),
            Long("cuts") => cuts = parser.value()?.parse()?,
            Long("writers") => writers = parser.value()?.parse()?,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if !(1..=32).contains(&writers) || cuts > 100 {
        return Err("--writers is 1 to 32, --cuts at most 100".into());
    }
    let program = program.or_else(packaged).ok_or("nothing is packaged yet: cargo run -p tools -- package --target aarch64")?;
    Ok(Some(Options { program, cuts, writers }))
}

/// The tarball that `tools package` has left.
fn packaged() -> Option<Program> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join("target/package");
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.into_iter().find(|path| path.to_string_lossy().ends_with("-aarch64-linux.tar.gz")).map(Program::Tarball)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_options_and_wrong_ones_errors() {
        let parsed = |words: &[&str]| parse(words.iter().map(OsString::from));
        let options = parsed(&["--server", "a", "--cuts", "0"]).unwrap().unwrap();
        assert_eq!(options, Options { program: Program::Server("a".into()), cuts: 0, writers: 8 });
        assert!(parsed(&["--help"]).unwrap().is_none());
        for wrong in [&["--server", "a", "--writers", "0"][..], &["--tarball", "a", "--cuts", "101"], &["--what"]] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
