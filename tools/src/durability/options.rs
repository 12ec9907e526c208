//! The command line of `tools durability`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use super::reference::Weakness;
use super::server::Program;

/// What `--help` prints.
pub const HELP: &str = "\
tools durability [OPTIONS]: is an acknowledged write on disk?

Clients write while the server is killed or its disk loses power at random moments. What was acknowledged before must be
there after the next start, nothing may be half there, and the database must be whole. A disk is ext4 on a loop device,
shut down without its journal (root), and a shim in memory that drops what was not synced (root and FUSE). The same
harness must find losses in a small reference server with synchronous OFF and NORMAL, or it proves nothing.
Without the name of a part: --kills 200 --cuts 300 --faults --self-check.

    --kills N        SIGKILL, so many times
    --cuts N         power cuts, so many times on each disk
    --faults         disk full, read-only, EIO on every k-th write and sync
    --self-check     the reference server with each weakness: what must be found is found, and nothing else
    --throughput     acknowledged writes a second of 1 and 32 clients, against the time of a sync
    --slow-sync      reads while 32 clients write and each sync takes 200 ms
    --disk DISK      for --cuts and --self-check: ext4, shim or both (default)
    --clients C      how many write at once (default 8)
    --seed S         repeat the choices of an earlier run; not its timing
    --server PATH    a flagstone; without it one is built. reference-full, -normal, -off, -early, -halves: our own, weak

Exit: 0 nothing was lost, and the self-check found what it should; 1 not so; 69 power cuts or faults were asked for and
this machine can do none.
";

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// SIGKILLs.
    pub kills: u64,
    /// Power cuts on each disk.
    pub cuts: u64,
    /// Whether disks fail.
    pub faults: bool,
    /// Whether the reference server is run with each weakness.
    pub self_check: bool,
    /// Whether to measure group commit.
    pub throughput: bool,
    /// Whether to measure reads beside slow syncs.
    pub slow_sync: bool,
    /// Whether ext4 is used.
    pub ext4: bool,
    /// Whether the shim is used.
    pub shim: bool,
    /// Writers at once.
    pub clients: usize,
    /// Of all choices.
    pub seed: u64,
    /// The server; built when absent.
    pub server: Option<Program>,
}

/// Reads the arguments; `None` asks for help.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    use std::hash::{BuildHasher, RandomState};
    let seed = RandomState::new().hash_one("seed");
    let mut options = Options { ext4: true, shim: true, clients: 8, seed, ..Options::default() };
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut is_named = false;
    while let Some(argument) = parser.next()? {
        let mut is_part = true;
        match argument {
            Long("kills") => options.kills = parser.value()?.parse()?,
            Long("cuts") => options.cuts = parser.value()?.parse()?,
            Long("faults") => options.faults = true,
            Long("self-check") => options.self_check = true,
            Long("throughput") => options.throughput = true,
            Long("slow-sync") => options.slow_sync = true,
            Short('h') | Long("help") => return Ok(None),
            other => {
                is_part = false;
                match other {
                    Long("disk") => (options.ext4, options.shim) = disks(&parser.value()?.string()?)?,
                    Long("clients") => options.clients = parser.value()?.parse()?,
                    Long("seed") => options.seed = parser.value()?.parse()?,
                    Long("server") => options.server = Some(program(parser.value()?)?),
                    other => return Err(other.unexpected()),
                }
            }
        }
        is_named |= is_part;
    }
    if !is_named {
        (options.kills, options.cuts, options.faults, options.self_check) = (200, 300, true, true);
    }
    if !(1..=48).contains(&options.clients) {
        return Err("--clients C is 1 to 48".into());
    }
    Ok(Some(options))
}

fn disks(name: &str) -> Result<(bool, bool), lexopt::Error> {
    match name {
        "ext4" => Ok((true, false)),
        "shim" => Ok((false, true)),
        "both" => Ok((true, true)),
        other => Err(format!("--disk {other}: ext4, shim or both").into()),
    }
}

fn program(name: OsString) -> Result<Program, lexopt::Error> {
    let Some(weakness) = name.to_str().and_then(|name| name.strip_prefix("reference-")) else {
        return Ok(Program::Flagstone(PathBuf::from(name)));
    };
    let known = Weakness::named(weakness);
    known.map(Program::Reference).ok_or_else(|| format!("--server {name:?}: full, normal, off, early, halves").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn words_become_options_and_wrong_ones_errors() {
        let all = parsed(&["--seed", "7"]).unwrap().unwrap();
        assert_eq!((all.kills, all.cuts, all.faults, all.self_check, all.throughput), (200, 300, true, true, false));
        let one = parsed(&["--kills", "3", "--disk", "shim", "--server", "reference-off"]).unwrap().unwrap();
        assert_eq!((one.kills, one.cuts, one.faults, one.self_check), (3, 0, false, false));
        assert!(one.shim && !one.ext4 && matches!(one.server, Some(Program::Reference(Weakness::Off))));
        assert!(parsed(&["--help"]).unwrap().is_none());
        for wrong in [["--disk", "xfs"], ["--clients", "49"], ["--server", "reference-none"], ["--what", "x"]] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
    }
}
