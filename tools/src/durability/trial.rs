//! A trial: a server writes, is killed or loses power at a random moment, starts again, and what it has is compared with what
//! it promised; again and again on one disk.

use std::io::{self, Error};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::clients;
use super::disk::{Disk, Kind};
use super::ledger::{Cut, Findings, Ledger};
use super::look;
use super::record::Key;
use super::server::{Program, Server};
use crate::rig::line::Line;
use crate::rig::random::Random;

/// Rounds on one database: then a new one, as each verdict reads all of it.
const ROUNDS_A_DATABASE: u64 = 25;

/// From the first write to the blow, in microseconds.
const WRITING_US: (u64, u64) = (2_000, 120_000);

/// Acknowledged writes that are asked for through the server after each start.
const ASKED: usize = 8;

/// How the server goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// The disk loses power, then SIGKILL.
    Power,
}

/// What a trial is made of.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// Which server.
    pub program: &'a Program,
    /// Clients at once.
    pub clients: usize,
    /// Of all choices.
    pub seed: u64,
    /// SIGINT or SIGTERM came.
    pub interrupted: &'a AtomicBool,
}

impl Setup<'_> {
    /// Whether to end early.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// The sum of all rounds.
#[derive(Default)]
pub struct Totals {
    /// Blows.
    pub rounds: u64,
    /// Writes that were promised.
    pub acknowledged: u64,
    /// Answers other than 201.
    pub refused: u64,
    /// Promised, and not there.
    pub lost: u64,
    /// Of which a part was there.
    pub halves: u64,
    /// Rows with another content, or that nobody sent.
    pub damaged: u64,
    /// Rounds after which the database was not whole.
    pub corrupt: u64,
    /// Rounds after which the server did not start, or had ended by itself.
    pub fallen: u64,
    /// Of each start after a blow.
    pub ready: Vec<Duration>,
    /// The last answer other than 201.
    pub refusal: Option<String>,
    /// The first thing that was wrong.
    pub example: Option<String>,
}

impl Totals {
    /// Whether nothing was lost and nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.lost + self.halves + self.damaged + self.corrupt + self.fallen == 0
    }

    fn add(&mut self, findings: &Findings) {
        self.lost += findings.lost;
        self.halves += findings.halves;
        self.damaged += findings.damaged + findings.unknown;
        self.corrupt += u64::from(findings.corrupt.is_some());
        if !findings.is_clean() {
            self.note(format!("{findings:?}"));
        }
    }

    fn note(&mut self, what: String) {
        let round = self.rounds;
        self.example.get_or_insert_with(|| format!("round {round}: {what}"));
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        let mut ready = self.ready.clone();
        ready.sort();
        let (median, most) = (ready.get(ready.len() / 2), ready.last());
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
        write!(to, "{} acknowledged, {} lost, {} half there, ", self.acknowledged, self.lost, self.halves)?;
        write!(to, "{} damaged, {} corrupt, {} fallen, ", self.damaged, self.corrupt, self.fallen)?;
        write!(to, "{} refused; serves again after {:.0} ms ({:.0} at most)", self.refused, ms(median), ms(most))
    }
}

/// A new database, on the disk to stay, in place of any other.
pub fn fresh(disk: &Disk) -> io::Result<()> {
    for entry in std::fs::read_dir(disk.target()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("data.db") {
            std::fs::remove_file(entry.path())?;
        }
    }
    for name in ["data.db", "data.db-wal", "data.db-shm"] {
        // The shim lists nothing.
        let _ = std::fs::remove_file(disk.target().join(name));
    }
    look::make(&disk.database())?;
    disk.settle()
}

/// Runs so many rounds.
///
/// # Errors
/// What the machine does not have or allow, and faults of the harness; the server's are in the totals.
pub fn run(setup: Setup, kind: Kind, blow: Blow, rounds: u64) -> io::Result<Totals> {
    let mut disk = Disk::new(kind)?;
    let mut random = Random::new(setup.seed, 1);
    let mut totals = Totals::default();
    let mut running: Option<(Server, Ledger)> = None;
    while totals.rounds < rounds && !setup.is_interrupted() {
        if totals.rounds.is_multiple_of(ROUNDS_A_DATABASE) {
            running = None;
        }
        let (server, mut ledger) = match running.take() {
            Some(both) => both,
            None => {
                fresh(&disk)?;
                (Server::start(setup.program, &disk.database(), disk.base())?, Ledger::new(setup.clients))
            }
        };
        totals.rounds += 1;
        let time = random.pause(WRITING_US.0, WRITING_US.1);
        // Some time without power, in which nothing may be acknowledged.
        let dark = if random.percent(50) { random.pause(100, 5_000) } else { Duration::ZERO };
        let address = server.address;
        let (cut, outcome) = clients::write_while(address, &mut ledger, |_| strike(server, &disk, blow, time, dark));
        let (cut, fell) = cut?;
        if let Some(how) = fell {
            totals.fallen += 1;
            totals.note(how);
        }
        totals.acknowledged += clients::keep(&mut ledger, &outcome, Some(cut));
        if let Some((status, (_, body))) = outcome.refused.last_key_value() {
            totals.refusal = Some(format!("{status}: {body}"));
        }
        totals.refused += outcome.refused.values().map(|(count, _)| count).sum::<u64>();
        if blow == Blow::Power {
            disk.restore(&mut random).map_err(|error| Error::other(format!("after the cut: {error}")))?;
        }
        match Server::start(setup.program, &disk.database(), disk.base()) {
            Ok(server) => {
                totals.ready.push(server.ready_after);
                let clean = verify(&mut totals, &server, &disk, &ledger)?;
                // What is lost is counted once.
                running = clean.then_some((server, ledger));
            }
            Err(error) => {
                totals.fallen += 1;
                totals.note(error.to_string());
            }
        }
    }
    Ok(totals)
}

/// Lets the clients write, then takes the server down; says when, and how it had ended by itself, should it have.
fn strike(mut server: Server, disk: &Disk, blow: Blow, time: Duration, dark: Duration) -> io::Result<(Cut, Option<String>)> {
    std::thread::sleep(time);
    let ended = server.ended()?;
    let began = Instant::now();
    if blow == Blow::Kill {
        server.kill()?;
        // What the clients read later was sent before: the kill is done when it has begun.
        return Ok((Cut { began, done: began }, ended.map(|status| format!("it ended by itself: {status}"))));
    }
    disk.cut()?;
    let done = Instant::now();
    std::thread::sleep(dark);
    server.kill()?;
    Ok((Cut { began, done }, ended.map(|status| format!("it ended by itself: {status}"))))
}

/// Compares; true when nothing is wrong.
fn verify(totals: &mut Totals, server: &Server, disk: &Disk, ledger: &Ledger) -> io::Result<bool> {
    let mut findings = ledger.judge(&disk.database());
    let missing = missing(server, ledger)?;
    if findings.is_clean() && missing > 0 {
        // In the file, and not in the server's answers.
        findings.lost = missing;
    }
    totals.add(&findings);
    Ok(findings.is_clean())
}

/// Asks the server for the last write of some clients; how many it does not have.
fn missing(server: &Server, ledger: &Ledger) -> io::Result<u64> {
    let mut line = Line::open(server.address)?;
    let mut missing = 0;
    for client in (0..ledger.next.len() as u32).take(ASKED) {
        let range = Key { client, sequence: 0 }..=Key { client, sequence: u32::MAX };
        let Some(key) = ledger.promised.range(range).next_back() else { continue };
        let answer = line.ask(&key.get())?.ok_or_else(|| Error::other("the server closed"))?;
        missing += u64::from(answer.status != 200 || !key.is_in(&answer.body));
    }
    Ok(missing)
}
