//! How long a server takes from its start to its first answer, on a database of the size that somebody has.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lexopt::prelude::*;

use crate::compare::peer::free_address;
use crate::compare::table::Spread;
use crate::load::options::Usage;
use crate::machine;
use crate::serve::scratch::Scratch;
use crate::serve::{fetch, process, server};

/// `bench start --help`.
pub const HELP: &str = "\
bench start: from the start of the process to its first answer, a row of a large database

    bench start
    bench start --mib 4096 --folder /mnt/card

    --mib N            size of the database (1024)
    --rounds N         starts (15)
    --folder DIR       where the database is made (a temporary folder)
    --server FILE      this flagstone instead of a build
    --smoke            16 MiB, 3 starts; the figures mean nothing
    -h, --help

The database has just been written, so that what is read of it comes from memory: a card adds the time of a few pages.
Exit: 0 each start was answered; 64 usage; 70 no server, or no answer.
";

/// Longest wait for the first answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_micros(200);
/// What is asked for first.
const ROW: &str = "/tables/items/777";

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    mib: u32,
    rounds: u32,
    folder: Option<PathBuf>,
    server: Option<PathBuf>,
}

/// Reads the arguments after `start`. `Ok(None)` is a wish for help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Plan>, Usage> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut plan = Plan { mib: 1024, rounds: 15, folder: None, server: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("mib") => plan.mib = parser.value()?.parse_with(|text| bounded(text, 65_536))?,
            Long("rounds") => plan.rounds = parser.value()?.parse_with(|text| bounded(text, 999))?,
            Long("folder") => plan.folder = Some(parser.value()?.into()),
            Long("server") => plan.server = Some(parser.value()?.into()),
            Long("smoke") => (plan.mib, plan.rounds) = (16, 3),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(plan))
}

/// A whole number from 1 to `most`.
pub fn bounded(text: &str, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("a whole number from 1 to {most} is wanted"))
}

/// Measures and prints. False when it was interrupted.
pub fn run(plan: &Plan, stop: &AtomicBool) -> io::Result<bool> {
    let flagstone = match &plan.server {
        Some(program) => fs::canonicalize(program)?,
        None => server::build()?,
    };
    let folder = match &plan.folder {
        Some(folder) => Scratch::below(folder)?,
        None => Scratch::new()?,
    };
    let database = folder.path().join("data.db");
    make_database(&database, plan.mib)?;
    let mut times = Vec::new();
    let mut own = 0;
    while times.len() < plan.rounds as usize && !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let started = Started::new(&flagstone, &database, folder.path())?;
        started.first_answer(began + PATIENCE)?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        own = process::memory(started.0.id())?.anon;
    }
    let Some(Spread { median, least, most }) = Spread::of(times.iter().copied()) else { return Ok(false) };
    let mib = fs::metadata(&database)?.len() / (1024 * 1024);
    println!("machine   {}", machine::line());
    println!("set-up    a database of {mib} MiB, {} starts; to the end of the first answer, a row of it", times.len());
    println!("start     {median:.1} ms  ({least:.1}..{most:.1})");
    println!("memory    {own} KiB of its own by then");
    Ok(times.len() == plan.rounds as usize)
}

fn make_database(path: &Path, mib: u32) -> io::Result<()> {
    let sql = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
         CREATE TABLE items(id INTEGER PRIMARY KEY, note TEXT NOT NULL);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {mib} * 1000)
         INSERT INTO items SELECT i, hex(zeroblob(500)) FROM n;
         PRAGMA wal_checkpoint(TRUNCATE);"
    );
    rusqlite::Connection::open(path).and_then(|conn| conn.execute_batch(&sql)).map_err(io::Error::other)
}

/// A server that was started; it is stopped when this goes.
struct Started(Child, SocketAddr);

impl Started {
    fn new(program: &Path, database: &Path, folder: &Path) -> io::Result<Started> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command.arg("-l").arg(address.to_string()).arg(database).env("STATE_DIRECTORY", folder.join("state"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Started(child.map_err(|error| io::Error::other(format!("{}: {error}", program.display())))?, address))
    }

    fn first_answer(&self, deadline: Instant) -> io::Result<()> {
        loop {
            match fetch::get(self.1, ROW) {
                Ok((200, _)) => return Ok(()),
                Ok((status, _)) => return Err(io::Error::other(format!("{ROW}: {status}"))),
                Err(error) if Instant::now() > deadline => return Err(io::Error::other(format!("no answer: {error}"))),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        server::stop(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_or_out_of_bounds_is_refused() {
        let parsed = |line: &str| parse(line.split_whitespace().map(OsString::from));
        let plan = parsed("--smoke").unwrap().unwrap();
        assert_eq!((plan.mib, plan.rounds), (16, 3));
        for line in ["--mib 0", "--mib 65537", "--rounds x", "--frob"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
