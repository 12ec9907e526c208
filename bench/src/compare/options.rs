//! The command line of `compare`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use super::case::CASES;
use super::peer::Peer;
use crate::load::options::Usage;

/// `bench compare --help`.
pub const HELP: &str = "\
bench compare: flagstone beside every other server that is installed, in one run on one machine

    bench compare
    bench compare --only cached-1k --rounds 9
    bench compare --report target/compare

    --only CASE        this case alone, may be repeated: cached-1k, cached-10k, cached-100k, pipelined, not-modified,
                       churn, key, page, write-1, write-32, slow-query
    --peer NAME        this peer beside flagstone alone, may be repeated: bare, nginx, nginx-return, h2o, lighttpd,
                       caddy, datasette, sqlite-web
    --rounds N         rounds of each case, all peers in turn in each (5)
    --seconds S        seconds of each measurement (1)
    --server FILE      this flagstone instead of a build
    --venv DIR         where datasette and sqlite-web are (target/bench-venv, else PATH)
    --report DIR       where report.html and report.svg go (target/compare)
    --smoke            two rounds of 0.1 s; the figures mean nothing
    -h, --help

    apt-get install nginx-light h2o lighttpd caddy
    python3 -m venv target/bench-venv && target/bench-venv/bin/pip install datasette sqlite-web

A peer that is not installed is a line and no failure. Every peer is asked first, and must give the same bytes or the
same rows. Servers are pinned to the first allowed core, the driver to the second. CPU is the server's user and system time
for each answer, all its processes together: it stays true where the driver is the bottleneck.
Exit: 0 all ran; 1 a run was not clean or a peer gave another answer; 64 usage; 70 no server.
";

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// Names of cases; empty is all.
    pub only: Vec<String>,
    /// The peers that are looked for.
    pub peers: Vec<Peer>,
    /// How often each is measured.
    pub rounds: usize,
    /// How long each time.
    pub seconds: f64,
    /// None: it is built.
    pub server: Option<PathBuf>,
    /// Where the programs from PyPI are.
    pub venv: PathBuf,
    /// Where the report goes.
    pub report: PathBuf,
}

/// Reads the arguments after `compare`. `Ok(None)` is a wish for help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Plan>, Usage> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut plan = Plan {
        only: Vec::new(),
        peers: Vec::new(),
        rounds: 5,
        seconds: 1.0,
        server: None,
        venv: PathBuf::from("target/bench-venv"),
        report: PathBuf::from("target/compare"),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("only") => plan.only.push(case(&parser.value()?.string()?)?),
            Long("peer") => plan.peers.push(peer(&parser.value()?.string()?)?),
            Long("rounds") => plan.rounds = number(&mut parser, 1.0, 99.0)? as usize,
            Long("seconds") => plan.seconds = number(&mut parser, 0.05, 60.0)?,
            Long("server") => plan.server = Some(parser.value()?.into()),
            Long("venv") => plan.venv = parser.value()?.into(),
            Long("report") => plan.report = parser.value()?.into(),
            Long("smoke") => (plan.rounds, plan.seconds) = (2, 0.1),
            other => return Err(other.unexpected().into()),
        }
    }
    if plan.peers.is_empty() {
        plan.peers = Peer::ALL.into_iter().filter(|peer| !peer.is_ours()).collect();
    }
    Ok(Some(plan))
}

fn case(name: &str) -> Result<String, Usage> {
    let known: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    if known.contains(&name) { Ok(name.to_owned()) } else { Err(Usage(format!("{name}: the cases are {}", known.join(", ")))) }
}

fn peer(name: &str) -> Result<Peer, Usage> {
    let others = || Peer::ALL.into_iter().filter(|peer| !peer.is_ours());
    let known: Vec<&str> = others().map(Peer::name).collect();
    others().find(|peer| peer.name() == name).ok_or_else(|| Usage(format!("{name}: the peers are {}", known.join(", "))))
}

fn number(parser: &mut lexopt::Parser, least: f64, most: f64) -> Result<f64, Usage> {
    let text = parser.value()?.string()?;
    match text.parse() {
        Ok(value) if value >= least && value <= most => Ok(value),
        _ => Err(Usage(format!("{text}: a number from {least} to {most} is wanted"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Plan, Usage> {
        parse(line.split_whitespace().map(OsString::from)).map(|plan| plan.expect("no --help here"))
    }

    #[test]
    fn everything_has_a_default_and_every_case_and_peer_a_name() {
        let plan = parsed("").unwrap();
        assert_eq!((plan.rounds, plan.seconds, plan.only.len()), (5, 1.0, 0));
        assert!(!plan.peers.is_empty() && plan.peers.iter().all(|peer| !peer.is_ours()));
        for case in CASES {
            assert!(HELP.contains(case.name), "{}", case.name);
            assert_eq!(parsed(&format!("--only {}", case.name)).unwrap().only, [case.name]);
        }
        for peer in plan.peers {
            assert!(HELP.contains(peer.name()), "{}", peer.name());
        }
    }

    #[test]
    fn what_is_unknown_or_out_of_bounds_is_refused() {
        for line in ["--only nothing", "--peer apache", "--peer flagstone", "--rounds 0", "--seconds x", "--frob"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
