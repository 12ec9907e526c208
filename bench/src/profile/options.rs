//! The command line of `profile`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::load::options::Usage;

/// `bench profile --help`.
pub const HELP: &str = "\
bench profile: what this machine and this card can hold

    bench profile
    bench profile --folder /mnt/card --seconds 10

    --folder DIR       where the database is made: name the card or disk that yours will be on (a temporary folder)
    --seconds S        seconds of each measurement (3)
    --server FILE      this flagstone instead of a build
    --smoke            0.2 s each; the figures mean nothing
    -h, --help

It starts flagstone with a database of its own, asks it over loopback from the same machine, writes to it, and says what
held. The driver needs a core too: from another machine more may be possible, over a slow network less.
Exit: 0 all ran; 1 a run was not clean; 64 usage; 70 no server.
";

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// Where the database is made; none is a temporary folder.
    pub folder: Option<PathBuf>,
    /// How long each measurement takes.
    pub seconds: f64,
    /// None: it is built.
    pub server: Option<PathBuf>,
}

/// Reads the arguments after `profile`. `Ok(None)` is a wish for help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Plan>, Usage> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut plan = Plan { folder: None, seconds: 3.0, server: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("folder") => plan.folder = Some(parser.value()?.into()),
            Long("seconds") => {
                let text = parser.value()?.string()?;
                plan.seconds = match text.parse() {
                    Ok(seconds) if (0.05..=60.0).contains(&seconds) => seconds,
                    _ => return Err(Usage(format!("{text}: a number from 0.05 to 60 is wanted"))),
                };
            }
            Long("server") => plan.server = Some(parser.value()?.into()),
            Long("smoke") => plan.seconds = 0.2,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_or_out_of_bounds_is_refused() {
        let parsed = |line: &str| parse(line.split_whitespace().map(OsString::from));
        assert_eq!(parsed("").unwrap().map(|plan| plan.seconds), Some(3.0));
        for line in ["--seconds 0", "--seconds 61", "--seconds x", "--frob"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
