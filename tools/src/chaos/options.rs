//! The command line of `tools chaos`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use super::plant::Fault;

/// What `--help` prints.
pub const HELP: &str = "\
tools chaos [OPTIONS]: does the server keep the promises of its risk register?

For each risk it is provoked for real, on a server that this program starts. Meanwhile critical routes and health are
asked over and over, every answer's content is compared with what is true, and the operators' pages must show what
happens. A row is red when an answer was wrong, when critical routes went without answers for too long, when nothing
showed it, when it did not heal, or when memory grew. What this machine cannot do is skipped, with the reason.

    --only NAME        this row alone; may be repeated
    --quick            the rows that take seconds, and short loads
    --overload S       how long the overload lasts (default 60, with --quick 10)
    --list             the rows, and what each does
    --server PATH      a flagstone; without it one is built
    --plant FAULT      put a proxy with a known fault in front, which must be found: flip, pause, blind, forget, terse;
                       or honest, which must pass
    --arm64 PATH       a flagstone for ARM64, to be run by qemu-aarch64; without it that row is skipped

Exit: 0 no row is red; 1 not so; 64 usage; 70 the harness itself failed.
";

/// The longest overload.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of rows; all when empty.
    pub only: Vec<String>,
    /// Fast rows, short loads.
    pub quick: bool,
    /// Of the overload.
    pub overload: Option<Duration>,
    /// Print the rows.
    pub list: bool,
    /// The server; built when absent.
    pub server: Option<PathBuf>,
    /// A fault on purpose.
    pub plant: Option<Fault>,
    /// One for ARM64.
    pub arm64: Option<PathBuf>,
}

/// Reads the arguments; `None` asks for help.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl Iterator<Item = OsString>, names: &[&str]) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("only") => {
                let name = parser.value()?.string()?;
                if !names.contains(&name.as_str()) {
                    return Err(format!("--only {name}: the rows are {}", names.join(", ")).into());
                }
                options.only.push(name);
            }
            Long("quick") => options.quick = true,
            Long("overload") => {
                let time = Duration::try_from_secs_f64(parser.value()?.parse()?).ok();
                let time = time.filter(|time| (Duration::from_secs(1)..=LONGEST).contains(time));
                options.overload = Some(time.ok_or("--overload S is 1 to 3600 seconds")?);
            }
            Long("list") => options.list = true,
            Long("server") => options.server = Some(parser.value()?.into()),
            Long("plant") => {
                let name = parser.value()?.string()?;
                let fault = Fault::named(&name).ok_or_else(|| format!("--plant {name}: tools chaos --help names them"))?;
                options.plant = Some(fault);
            }
            Long("arm64") => options.arm64 = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        parse(words.iter().map(OsString::from), &["one", "two"])
    }

    #[test]
    fn words_become_options_and_wrong_ones_errors() {
        let options = parsed(&["--only", "two", "--quick", "--overload", "3"]).unwrap().unwrap();
        assert_eq!((options.only, options.quick, options.overload), (vec!["two".to_owned()], true, Some(Duration::from_secs(3))));
        assert!(parsed(&["--help"]).unwrap().is_none());
        for wrong in [["--only", "three"], ["--overload", "0"], ["--overload", "-1"], ["--plant", "none"], ["--what", "x"]] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
    }
}
