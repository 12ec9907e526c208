//! The command line of `serve-and-load`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::load::options::{self as load_options, Usage};
use crate::load::target::checked_path;

/// `bench serve-and-load --help`.
pub const HELP: &str = "\
bench serve-and-load: build flagstone, start it, load it, and set each figure beside a bare epoll loop's

    bench serve-and-load
    bench serve-and-load data.db -- -c 100 -p 8 -t 10
    bench serve-and-load --target /api/latest/kitchen data.db -- -r 2000
    bench serve-and-load --smoke

    DATABASE           what is served (a demonstration database in a temporary folder)
    --target /path     what is loaded, may be repeated (/-/health, /tables/readings/1,
                       /tables/readings?limit=100, /tables); one that does not answer 200 is skipped
    --server FILE      this binary instead of a build; its command line is flagstone's
    --bare-only        the baseline alone
    --smoke            everything tiny, about 3 s in all
    -- OPTIONS         options of `bench load` for each target (see bench load --help); --json applies to the whole
    -h, --help

The server is pinned to the first allowed core, the driver to the second. Processor time, switches and allocations are
differences over a run, divided by its replies; connecting is included. System calls are counted in a run of their own,
because counting slows the server. `x bare` is a figure divided by the baseline's under the same options.
Exit: 0 all well; 1 a run was not clean or no target answered; 64 usage; 70 no server.
";

/// What is loaded unless --target says otherwise.
const TARGETS: [&str; 4] = ["/-/health", "/tables/readings/1", "/tables/readings?limit=100", "/tables"];
/// Options of the load in a smoke run; what follows `--` comes after them and wins.
const SMOKE: [&str; 4] = ["-c", "4", "-t", "0.25"];

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// None: the demonstration.
    pub database: Option<PathBuf>,
    /// None: build flagstone.
    pub server: Option<PathBuf>,
    /// Only the baseline.
    pub bare_only: bool,
    /// Paths to load.
    pub targets: Vec<String>,
    /// Options for each load, without a target.
    pub load: Vec<OsString>,
    /// Requests of the run in which system calls are counted.
    pub counted: u64,
    /// Print JSON.
    pub json: bool,
}

/// Reads the arguments after `serve-and-load`. `Ok(None)` is a wish for help.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Plan>, Usage> {
    let arguments: Vec<OsString> = arguments.collect();
    let split = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let (own, load) = arguments.split_at(split);
    let mut parser = lexopt::Parser::from_args(own);
    let (mut database, mut server, mut bare_only, mut smoke, mut targets) = (None, None, false, false, Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("target") => targets.push(checked_path(&parser.value()?.string()?)?),
            Long("server") => server = Some(PathBuf::from(parser.value()?)),
            Long("bare-only") => bare_only = true,
            Long("smoke") => smoke = true,
            Value(path) if database.is_none() => database = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    if targets.is_empty() {
        targets.extend(TARGETS.map(str::to_owned));
    }
    let smoked = if smoke { &SMOKE[..] } else { &[] };
    let load: Vec<OsString> = smoked.iter().map(OsString::from).chain(load.iter().skip(1).cloned()).collect();
    // Checked now, so that a mistake does not wait for the build.
    let Some(checked) = load_options::parse(with_target("http://127.0.0.1/", &load))? else {
        return Err(Usage("after -- : see bench load --help".to_owned()));
    };
    if checked.paths.len() > 1 {
        return Err(Usage("after -- come options only; what is loaded is said by --target".to_owned()));
    }
    let counted = if smoke { 200 } else { 5_000 };
    Ok(Some(Plan { database, server, bare_only, targets, load, counted, json: checked.json }))
}

/// The load's options, with a target before and more options behind.
pub fn with_target(url: &str, load: &[OsString]) -> Vec<OsString> {
    std::iter::once(OsString::from(url)).chain(load.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Plan, Usage> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(words.into_iter()).map(|plan| plan.expect("no --help here"))
    }

    #[test]
    fn options_behind_the_dashes_are_the_loads_and_win_over_smoke() {
        let plan = parsed("--smoke a.db -- -c 9").unwrap();
        assert_eq!((plan.database, plan.counted, plan.targets.len()), (Some("a.db".into()), 200, 4));
        let options = load_options::parse(with_target("http://127.0.0.1:9/x", &plan.load)).unwrap().unwrap();
        assert_eq!((options.connections, options.duration.as_millis()), (9, 250));
    }

    #[test]
    fn mistakes_are_found_before_anything_is_built() {
        for line in ["a b", "--what", "--target x", "-- -c 0", "-- http://127.0.0.1/y", "-- --path /y", "-- --help"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
