//! What connections that are open and silent cost those that are not.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lexopt::prelude::*;

use crate::compare::case::{CASES, Case, Load};
use crate::compare::measure::{self, Sample};
use crate::compare::peer::{Peer, Running};
use crate::compare::scene::Scene;
use crate::compare::table::Spread;
use crate::load::options::Usage;
use crate::load::response::Parser;
use crate::machine::{self, Cores};
use crate::serve::scratch::Scratch;
use crate::serve::server;
use crate::start::bounded;

/// `bench crowd --help`.
pub const HELP: &str = "\
bench crowd: a cached answer over 50 busy connections, with thousands of idle ones open beside them and without

    bench crowd
    bench crowd --idle 4950

    --idle N           connections that are open and ask once a round (9950)
    --busy N           connections that ask all the time (50)
    --rounds N         rounds, each with and without the crowd (5)
    --server FILE      this flagstone instead of a build with as many slots; it must have enough of them
    --smoke            20 idle, 10 busy, 2 rounds of 0.1 s; the figures mean nothing
    -h, --help

Two servers of one build run, one with the crowd and one without, and are measured in turns. Each idle connection is asked
again in each round: one that has been closed is an error.
Exit: 0 all ran; 1 a run was not clean; 64 usage; 70 no server, or a connection was lost.
";

/// Slots beside those of the crowd and the busy: for whoever comes meanwhile.
const SPARE_SLOTS: u32 = 100;
/// Longest wait for one answer to one of the crowd.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    idle: u32,
    busy: u32,
    rounds: u32,
    seconds: f64,
    server: Option<PathBuf>,
}

/// Reads the arguments after `crowd`. `Ok(None)` is a wish for help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Plan>, Usage> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut plan = Plan { idle: 9950, busy: 50, rounds: 5, seconds: 1.0, server: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("idle") => plan.idle = parser.value()?.parse_with(|text| bounded(text, 25_000))?,
            Long("busy") => plan.busy = parser.value()?.parse_with(|text| bounded(text, 1000))?,
            Long("rounds") => plan.rounds = parser.value()?.parse_with(|text| bounded(text, 99))?,
            Long("server") => plan.server = Some(parser.value()?.into()),
            Long("smoke") => (plan.idle, plan.busy, plan.rounds, plan.seconds) = (20, 10, 2, 0.1),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(plan))
}

/// Measures and prints. False when a measurement was not clean.
pub fn run(plan: &Plan, stop: &AtomicBool) -> io::Result<bool> {
    let flagstone = match &plan.server {
        Some(program) => fs::canonicalize(program)?,
        None => server::build_sized(&sizes(plan.idle + plan.busy + SPARE_SLOTS), "crowd")?,
    };
    let cores = Cores::choose()?;
    machine::raise_descriptors();
    let start = |folder: &Scratch| -> io::Result<Running> {
        let scene = Scene::make(folder.path(), folder.path())?;
        machine::pin(cores.server)?;
        let started = Running::start(Peer::Flagstone, &flagstone, Path::new(""), &scene, folder.path());
        machine::pin(cores.driver)?;
        started?.ok_or_else(|| io::Error::other("flagstone does not start"))
    };
    let folders = (Scratch::new()?, Scratch::new()?);
    let (alone, crowded) = (start(&folders.0)?, start(&folders.1)?);
    let case = Case { load: Load { connections: plan.busy as usize, ..CASES[0].load }, ..CASES[0] };
    let path = case.paths[0].1;
    let mut crowd = (0..plan.idle).map(|_| connect(&crowded, path)).collect::<io::Result<Vec<TcpStream>>>()?;
    let (mut without, mut with): (Vec<Sample>, Vec<Sample>) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        without.push(measure::sample(&alone, &case, path, plan.seconds, stop)?);
        crowd.iter_mut().try_for_each(|stream| ask(stream, path))?;
        with.push(measure::sample(&crowded, &case, path, plan.seconds, stop)?);
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
    }
    println!("machine   {}\nbinary    {}", machine::line(), alone.version);
    println!("set-up    {} rounds of {} s in turns, one server on a core of its own at a time", plan.rounds, plan.seconds);
    let (alone, crowded) = (told(&alone, "without", &without)?, told(&crowded, "with them", &with)?);
    println!("crowd     {} idle connections beside {} busy ones: {:.3} times the time", plan.idle, plan.busy, crowded / alone);
    Ok(without.iter().chain(&with).all(|sample| sample.clean))
}

/// What a build needs for so many slots.
fn sizes(slots: u32) -> [(&'static str, String); 4] {
    [
        ("FLAGSTONE_SLOTS", slots.to_string()),
        ("FLAGSTONE_SLOTS_PER_CLIENT", slots.to_string()),
        ("FLAGSTONE_HEAP_KIB", "32768".to_owned()),
        ("FLAGSTONE_TOTAL_MIB", (600 + slots / 10).to_string()),
    ]
}

/// Prints a server's line; its median time of an answer.
fn told(running: &Running, label: &str, samples: &[Sample]) -> io::Result<f64> {
    let spread =
        Spread::of(samples.iter().map(|sample| sample.cpu_us)).ok_or_else(|| io::Error::other("nothing was measured"))?;
    let Spread { median, least, most } = spread;
    let own = measure::resident(running, false).anon;
    println!("{label:9} {median:.2} us of CPU an answer  ({least:.2}..{most:.2}), {own} KiB of its own");
    Ok(median)
}

/// A connection that has been answered once: the accept queue is shorter than the crowd.
fn connect(running: &Running, path: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&running.address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    ask(&mut stream, path)?;
    Ok(stream)
}

/// One request over a connection that stays.
fn ask(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let (mut parser, mut buffer) = (Parser::default(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::Error::other("a connection of the crowd was closed"));
        }
        match parser.feed(&buffer[..count], false, |_| {}) {
            Ok((_, Some(reply))) if reply.status == 200 => return Ok(()),
            Ok((_, None)) => {}
            Ok((_, Some(reply))) => return Err(io::Error::other(format!("{path}: {}", reply.status))),
            Err(error) => return Err(io::Error::other(format!("{path}: malformed reply: {error:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_or_out_of_bounds_is_refused() {
        let parsed = |line: &str| parse(line.split_whitespace().map(OsString::from));
        let plan = parsed("--smoke").unwrap().unwrap();
        assert_eq!((plan.idle, plan.busy, plan.rounds), (20, 10, 2));
        for line in ["--idle 0", "--busy 1001", "--rounds x", "--frob"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
