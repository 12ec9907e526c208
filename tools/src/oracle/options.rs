//! The command line of `tools oracle`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use super::plant::Plant;

/// What `--help` prints.
pub const HELP: &str = "\
tools oracle [OPTIONS]: does the server ever answer what was not true?

Processes of their own commit, roll back, spill, checkpoint, vacuum and are killed at random moments, the server stands
still at random moments, requests fly over many connections. No answer may be older than the last commit that had
returned before its request was sent, none may show what was not committed, and its rows must be of one moment. A
violation is printed with all that is known of it, and the exit code is 1.

    --seconds S        how long, in all modes together (default 30)
    --requests N       end after so many requests
    --seed X           repeat the choices of an earlier run; not its timing
    --mode MODE        wal, delete (rollback journal, and to WAL half-way), replace (by rename), all (default)
    --connections C    how many at once (default 24)
    --server PATH      a flagstone; without it one is built
    --plant NAME       put a caching proxy with a known fault in front, which must be caught: stale-ttl,
                       stale-after-checkpoint, stamp-after, stale-304, torn, dirty, renew-foreign, renew-written; or
                       honest, which must pass, or panic, to see the processes go
";

/// The time of a run without --seconds and --requests.
const DEFAULT: Duration = Duration::from_secs(30);
/// The longest run.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// How commits reach the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Write-ahead log.
    Wal,
    /// Rollback journal; one writer changes to WAL half-way.
    Delete,
    /// Another file takes the database's place now and then.
    Replace,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// All modes together.
    pub time: Duration,
    /// Of all modes together; `u64::MAX` when not limited.
    pub requests: u64,
    /// Of all choices.
    pub seed: u64,
    /// One after the other.
    pub modes: Vec<Mode>,
    /// Connections at once.
    pub connections: usize,
    /// The server's executable; built when absent.
    pub server: Option<PathBuf>,
    /// A fault on purpose.
    pub plant: Option<Plant>,
}

/// Reads the arguments; `None` asks for help.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    use std::hash::{BuildHasher, RandomState};
    let mut options = Options {
        time: DEFAULT,
        requests: u64::MAX,
        seed: RandomState::new().hash_one("seed"),
        modes: vec![Mode::Wal, Mode::Delete, Mode::Replace],
        connections: 24,
        server: None,
        plant: None,
    };
    let mut time = None;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => {
                let seconds: f64 = parser.value()?.parse()?;
                let length = Duration::try_from_secs_f64(seconds).ok().filter(|length| *length <= LONGEST);
                time = Some(length.ok_or("--seconds S is a length of time, a week at most")?);
            }
            Long("requests") => options.requests = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("mode") => options.modes = modes(&parser.value()?.string()?)?,
            Long("connections") => options.connections = parser.value()?.parse()?,
            Long("server") => options.server = Some(parser.value()?.into()),
            Long("plant") => {
                let name = parser.value()?.string()?;
                options.plant =
                    Some(Plant::named(&name).ok_or_else(|| format!("--plant {name}: tools oracle --help names them"))?);
            }
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    // Requests alone end a run, but no run is without an end.
    options.time = time.unwrap_or(if options.requests == u64::MAX { DEFAULT } else { LONGEST });
    if !(1..=48).contains(&options.connections) {
        return Err("--connections C is 1 to 48: the server has 50".into());
    }
    Ok(Some(options))
}

fn modes(name: &str) -> Result<Vec<Mode>, lexopt::Error> {
    Ok(match name {
        "wal" => vec![Mode::Wal],
        "delete" => vec![Mode::Delete],
        "replace" => vec![Mode::Replace],
        "all" => vec![Mode::Wal, Mode::Delete, Mode::Replace],
        other => return Err(format!("--mode {other}: wal, delete, replace or all").into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn words_become_options_and_wrong_ones_errors() {
        let options = parsed(&["--seconds", "0.5", "--requests", "9", "--seed", "7", "--mode", "delete"]).unwrap().unwrap();
        assert_eq!((options.time, options.requests, options.seed), (Duration::from_millis(500), 9, 7));
        assert_eq!(options.modes, [Mode::Delete]);
        assert_eq!(parsed(&["--requests", "9"]).unwrap().unwrap().time, LONGEST);
        assert_eq!(parsed(&["--plant", "dirty"]).unwrap().unwrap().plant, Some(Plant::Dirty));
        assert!(parsed(&["--help"]).unwrap().is_none());
        for wrong in [["--mode", "fast"], ["--plant", "none"], ["--connections", "49"], ["--seconds", "-1"], ["--what", "x"]] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
    }
}
