//! Soak: millions of mixed requests, and at their end nothing is left of them: no descriptor, no slot, no byte, no wrong answer.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::*;

use super::crowd::{self, Crowded, Manner};
use super::operator::Operator;
use super::probe::Shared;
use super::question::{self, Question};
use super::scene::{self, Scene};
use super::server::{self, Server, Start};
use super::tally::Tally;
use crate::rig::process;

/// What `--help` prints.
const HELP: &str = "\
tools soak [OPTIONS]: does anything grow?

Mixed requests from many connections that stay, pipeline, come and go: hits, misses, refusals, writes, large answers.
Each answer is compared with what is true. At the end descriptors, connection slots and anonymous memory are what they
were after the first tenth, and every acknowledged write is there.

    --requests N       how many (default 10,000,000)
    --server PATH      a flagstone; without it one is built

Exit: 0 nothing grew and nothing was wrong; 1 not so; 64 usage; 70 the harness itself failed.
";

/// Exit codes as of sysexits.h; 1 is growth, or a wrong answer.
const EXIT_RED: u8 = 1;
const EXIT_USAGE: u8 = 64;
const EXIT_INTERNAL: u8 = 70;

/// Requests without `--requests`.
const REQUESTS: u64 = 10_000_000;
/// Parts; after each all is read, and a line printed.
const PARTS: u64 = 40;
/// Parts until everything has been touched once.
const WARM: usize = 4;
/// For slots and descriptors of ended connections to be free.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);
/// A part may take so long at most.
const PART_WITHIN: Duration = Duration::from_secs(1800);

/// What was read after a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    /// Requests up to then.
    requests: u64,
    /// Open descriptors.
    descriptors: usize,
    /// Public connection slots in use, ours included.
    slots: u64,
    /// Anonymous memory, in bytes.
    rss_anon: u64,
}

/// `tools soak`.
pub fn command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (requests, server) = match parse(arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("soak: {error}\nTry: tools soak --help");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match server.map_or_else(process::build, Ok).and_then(|program| soak(&program, requests)) {
        Ok(red) if red.is_empty() => {
            println!("soak: passed");
            ExitCode::SUCCESS
        }
        Ok(red) => {
            red.iter().for_each(|line| println!("soak: RED: {line}"));
            ExitCode::from(EXIT_RED)
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::from(EXIT_INTERNAL)
        }
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<(u64, Option<PathBuf>)>, lexopt::Error> {
    let (mut requests, mut server) = (REQUESTS, None);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("requests") => requests = parser.value()?.parse()?,
            Long("server") => server = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if requests < PARTS * 10 {
        return Err(format!("--requests N is {} at least", PARTS * 10).into());
    }
    Ok(Some((requests, server)))
}

/// The mix: mostly what is kept, and something of everything else.
fn mixed(shared: &Shared, turn: u64) -> Question {
    let spread = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let id = (spread % 1_000) as u32 + 1;
    match turn % 50 {
        0..30 => Question::Item(id % 300 + 1),
        30..35 => Question::Row(id),
        35..40 => Question::Fresh(id),
        40..44 => Question::Echo(turn),
        44 => Question::Nowhere,
        45 => Question::Large(id, 30),
        46 => Question::Write(shared.key()),
        47 => Question::Health,
        48 => Question::Fixed,
        _ => shared.now(),
    }
}

/// How the connections of a part behave: they stay, pipeline, or come and go.
fn manner(part: u64, count: u64) -> Manner {
    let base = Manner { connections: 30, sources: 3, count, time: PART_WITHIN, ..Manner::default() };
    match part % 4 {
        0 => base,
        1 => Manner { depth: 8, ..base },
        2 => Manner { turns: 5, ..base },
        _ => Manner { depth: 3, turns: 50, ..base },
    }
}

/// Runs it; all that is wrong.
fn soak(program: &Path, requests: u64) -> io::Result<Vec<String>> {
    let folder = tempfile::Builder::new().prefix("flagstone-soak-").tempdir()?;
    let scene = Scene::make(program, folder.path())?;
    let start = Start {
        program: vec![program.into()],
        database: scene.database(),
        config: Some(scene.config()),
        arguments: Vec::new(),
        folder: folder.path().to_owned(),
        cgroup: None,
        descriptors: None,
        ports: (0, 0),
    };
    let server = Server::start(&start)?;
    let operator = Operator::new(server.operators, &scene.token);
    let shared = Shared::default();
    let other = scene.open().map_err(io::Error::other)?;
    let (mut tally, mut acknowledged, mut samples) = (Tally::default(), Vec::new(), Vec::new());
    let mut asked = 0;
    for part in 0..PARTS {
        scene::set_version(&other, part + 1).map_err(io::Error::other)?;
        shared.version.store(part + 1, std::sync::atomic::Ordering::Release);
        let count = requests * (part + 1) / PARTS - asked;
        let first = asked;
        let crowded = crowd::run(server.address, &manner(part, count), || false, |turn| mixed(&shared, first + turn))?;
        asked += count;
        let sample = settled(&server, &operator, asked, samples.first())?;
        print(&crowded, requests, &sample);
        samples.push(sample);
        tally.merge(crowded.tally);
        acknowledged.extend(crowded.acknowledged);
    }
    drop(operator);
    let mut red = judge(&tally, &samples);
    match server.stop()? {
        Some(status) if status.success() => {}
        status => red.push(format!("its end: {status:?}")),
    }
    let lost = lost(&other, &acknowledged).map_err(io::Error::other)?;
    if lost > 0 {
        red.push(format!("{lost} of {} acknowledged writes are lost", acknowledged.len()));
    }
    let (tried, served, shed) = (tally.tried, tally.served, tally.shed);
    println!(
        "soak: {tried} tried, {served} served, {shed} shed, {} wrong, {} writes, {lost} lost",
        tally.wrong,
        acknowledged.len()
    );
    println!("soak: RssAnon slope {:.3} bytes a million requests", slope(&samples[WARM.min(samples.len() - 1)..]) * 1e6);
    Ok(red)
}

/// Reads when what has ended is gone, or does not go.
fn settled(server: &Server, operator: &Operator, requests: u64, first: Option<&Sample>) -> io::Result<Sample> {
    let until = Instant::now() + SETTLE_WITHIN;
    loop {
        let metrics = operator.metrics()?;
        let sample = Sample {
            requests,
            descriptors: server::descriptors(server.pid()),
            slots: metrics.sum("flagstone_use", &["part=\"public slots\""]).unwrap_or(f64::MAX) as u64,
            rss_anon: server::rss_anon(server.pid()),
        };
        let most = first.map_or((usize::MAX, 1), |first| (first.descriptors, first.slots));
        if (sample.descriptors <= most.0 && sample.slots <= most.1) || Instant::now() > until {
            return Ok(sample);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn print(crowded: &Crowded, requests: u64, sample: &Sample) {
    println!(
        "soak: {:>9} of {requests}, {:>6.0} a second, {} descriptors, {} slots, RssAnon {} KiB, {} wrong",
        sample.requests,
        crowded.tally.served as f64 / crowded.time.as_secs_f64(),
        sample.descriptors,
        sample.slots,
        sample.rss_anon / 1024,
        crowded.tally.wrong
    );
}

/// Bytes of anonymous memory for each request: the line that fits best.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: fn(&Sample) -> u64| samples.iter().map(|sample| of(sample) as f64).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.requests), mean(|sample| sample.rss_anon));
    let (mut above, mut below) = (0.0, 0.0);
    for sample in samples {
        let step = sample.requests as f64 - x;
        above += step * (sample.rss_anon as f64 - y);
        below += step * step;
    }
    if below == 0.0 { 0.0 } else { above / below }
}

/// All that is wrong.
fn judge(tally: &Tally, samples: &[Sample]) -> Vec<String> {
    let mut red = Vec::new();
    let mut must = |good: bool, what: String| {
        if !good {
            red.push(what);
        }
    };
    must(tally.wrong == 0, format!("{} wrong answers: {}", tally.wrong, tally.examples.join("; ")));
    must(tally.refused.is_empty(), format!("refused: {:?}", tally.refused));
    must(tally.served * 100 >= tally.tried * 99, format!("{} of {} were served", tally.served, tally.tried));
    let Some((warm, last)) = samples.get(WARM.min(samples.len().saturating_sub(1))).zip(samples.last()) else {
        return vec!["nothing was read".to_owned()];
    };
    must(
        last.descriptors <= warm.descriptors,
        format!("descriptors: {} at the end, {} before", last.descriptors, warm.descriptors),
    );
    must(last.slots <= warm.slots, format!("slots in use: {} at the end, {} before", last.slots, warm.slots));
    let measured = &samples[WARM.min(samples.len() - 1)..];
    must(slope(measured) <= 0.0, format!("RssAnon grows: {} bytes, then {}", warm.rss_anon, last.rss_anon));
    red
}

/// Acknowledged writes that are not there.
fn lost(database: &rusqlite::Connection, acknowledged: &[u64]) -> rusqlite::Result<usize> {
    let mut statement = database.prepare("SELECT value FROM written WHERE key = ?1")?;
    let is_lost = |key: u64| statement.query_row([key as i64], |row| row.get::<_, String>(0)).ok() != Some(question::value(key));
    Ok(acknowledged.iter().copied().map(is_lost).filter(|&lost| lost).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::question::Judgement;

    fn flat() -> (Tally, Vec<Sample>) {
        let mut tally = Tally::default();
        (0..200).for_each(|_| tally.add(Judgement::Served, Duration::ZERO));
        let samples = (1..=10).map(|part| Sample { requests: part * 100, descriptors: 9, slots: 1, rss_anon: 5_000 }).collect();
        (tally, samples)
    }

    #[test]
    fn growth_of_each_kind_is_red_and_flat_is_not() {
        let (tally, samples) = flat();
        assert_eq!(judge(&tally, &samples), Vec::<String>::new());
        let red = |spoil: fn(&mut Tally, &mut Vec<Sample>), word: &str| {
            let (mut tally, mut samples) = flat();
            spoil(&mut tally, &mut samples);
            let red = judge(&tally, &samples);
            assert!(red.len() == 1 && red[0].contains(word), "{word}: {red:?}");
        };
        red(|_, samples| samples[9].rss_anon += 4096, "RssAnon grows");
        red(|_, samples| samples[9].descriptors += 1, "descriptors");
        red(|_, samples| samples[9].slots += 1, "slots");
        red(|tally, _| tally.add(Judgement::Wrong("x".to_owned()), Duration::ZERO), "1 wrong");
        red(|tally, _| tally.broke(10), "were served");
        // Pages that are first touched before the warm-up's end are no growth.
        let (tally, mut samples) = flat();
        samples[0].rss_anon = 1_000;
        assert_eq!(judge(&tally, &samples), Vec::<String>::new());
    }
}
