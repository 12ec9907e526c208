//! `tools package`: what is given to people. A static binary with its papers in a tar.gz, Debian packages, checksums, in target/package.
//!
//! ```text
//! source      which commit, which time: all of it that may show in the bytes
//!   binary      cargo, for one target: static, stripped, no path of this machine in it
//!     files       manual pages, completions, example, sheet: made, not written
//!       archive     tar.gz
//!       debian      .deb, by cargo-deb
//!         checksums   SHA256SUMS
//! twin        the same from a copy of the source in another folder: equal bytes, or the run has found something
//! ```

mod archive;
mod binary;
mod checksums;
mod completion;
mod debian;
mod files;
mod manual;
mod manual_toml;
mod roff;
mod source;
mod twin;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::Usage;
use binary::Target;
use source::Source;

const HELP: &str = "\
tools package: the binaries and packages that are given to people, in target/package

    cargo run -p tools -- package                    both targets: tar.gz, .deb, SHA256SUMS
    cargo run -p tools -- package --target aarch64   one of them: aarch64 or x86_64
    cargo run -p tools -- package --twice            and again from a copy in another folder: are the bytes equal?
    cargo run -p tools -- package --papers DIR       only manual pages and completions, into DIR

Equal sources give equal bytes: times are the commit's, paths are left out. Without git, FLAGSTONE_COMMIT and
SOURCE_DATE_EPOCH say what it would. The cross compiler comes by tools/arm64/toolchain.sh, cargo-deb by cargo.
";

/// What kept a package from being made.
#[derive(Debug)]
pub struct Failed(pub String);

/// An error with what was being done.
fn failed(doing: &str, error: impl std::fmt::Display) -> Failed {
    Failed(format!("{doing}: {error}"))
}

/// A command's outcome: what it printed, or why there is nothing.
fn run(command: &mut std::process::Command) -> Result<String, Failed> {
    let shown = format!("{command:?}");
    let output = command.stderr(std::process::Stdio::inherit()).output().map_err(|error| failed(&shown, error))?;
    if !output.status.success() {
        return Err(failed(&shown, output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| failed(&shown, error))
}

/// Runs the command; false means that two builds differ.
pub fn command(arguments: impl Iterator<Item = OsString>) -> Result<bool, Usage> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut targets, mut twice) = (Target::ALL.to_vec(), false);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("target") => {
                let name = parser.value()?;
                let target = Target::ALL.into_iter().find(|target| target.machine() == name);
                targets = vec![target.ok_or_else(|| Usage(format!("{name:?}: the targets are aarch64 and x86_64")))?];
            }
            lexopt::Arg::Long("twice") => twice = true,
            lexopt::Arg::Long("papers") => {
                let folder = PathBuf::from(parser.value()?);
                let papers = Source::find(&root()).and_then(|source| files::papers(&folder, &source));
                return papers.map(|()| true).map_err(|Failed(why)| Usage(why));
            }
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                print!("{HELP}");
                return Ok(true);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    match make(&targets, twice) {
        Ok(equal) => Ok(equal),
        Err(Failed(why)) => {
            eprintln!("tools: {why}");
            Ok(false)
        }
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"));
    tools.parent().unwrap_or(tools).to_path_buf()
}

fn make(targets: &[Target], twice: bool) -> Result<bool, Failed> {
    let root = root();
    let source = Source::find(&root)?;
    let folder = package(&root, &source, targets)?;
    println!("{}", folder.display());
    print!("{}", std::fs::read_to_string(folder.join(checksums::FILE)).map_err(|error| failed("checksums", error))?);
    if twice { twin::compare(&root, &source, targets, &folder) } else { Ok(true) }
}

/// Makes everything for some targets from the source in `root`; the folder it is in.
fn package(root: &Path, source: &Source, targets: &[Target]) -> Result<PathBuf, Failed> {
    let folder = root.join("target/package");
    let _ = std::fs::remove_dir_all(&folder);
    let cargo_deb = debian::cargo_deb()?;
    for &target in targets {
        let began = Instant::now();
        let binary = binary::build(root, source, target)?;
        println!("{target}: {} bytes, built in {:.0} s", binary.bytes, began.elapsed().as_secs_f64());
        let files = files::write(root, source, &binary)?;
        archive::write(&folder, source, target, &files)?;
        debian::write(root, source, &binary, &cargo_deb)?;
    }
    checksums::write(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests;
