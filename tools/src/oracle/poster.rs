//! A client that writes through the server, while others commit beside it: what is acknowledged binds every later answer, and what is
//! refused is never seen.
//!
//! A version rises with the order of commits. Who writes through the server does not hold the lock when it chooses one, so its route writes
//! only while no newer version is there, and answers with the version that it was built upon; else it is a 404, and nothing is written.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::Failure;
use super::mark::{self, LEDGER_GROUPS, NOW, SMALL, Version};
use super::run::Shared;
use crate::rig::http::{Answer, Wire};
use crate::rig::random::Random;

/// How many there are: enough to share a transaction now and then.
pub const POSTERS: usize = 3;
/// Longer than any deadline of the server's.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two writes, in microseconds.
const PAUSE: (u64, u64) = (20, 12_000);
/// Writes on a connection at most.
const ON_ONE: u64 = 200;

/// How far ahead of the time a version may be, in nanoseconds: others commit until the lock is ours.
const AHEAD: u64 = 300_000_000;

/// A route, and the groups that it may write.
const ROUTES: &[(&str, std::ops::Range<usize>)] = &[
    ("ledger", 0..LEDGER_GROUPS),
    ("small1", SMALL + 1..SMALL + 2),
    ("small2", SMALL + 2..SMALL + 3),
    // By a trigger.
    ("poke", SMALL + 3..SMALL + 4),
];

/// Writes the configuration of a server that takes these writes and serves every table.
pub fn configure(path: &Path) -> std::io::Result<()> {
    let route = |name: &str, write: &str| {
        format!(
            "[[route]]\nmethod = \"POST\"\npath = \"/ours/{name}\"\nrows = \"one\"\n\
             params = {{ v = \"integer\", g = {{ type = \"integer\", default = 0 }} }}\nsql = \"\"\"\
             UPDATE now SET base = version, version = :v, mark = :n WHERE id = 1 AND version < :v;\n\
             {write} AND :g = :g AND (SELECT version FROM now) = :v;\n\
             SELECT base FROM now WHERE version = :v\"\"\"\n\n"
        )
    };
    let text = [
        "[tables]\nexpose = \"*\"\n\n".to_owned(),
        route("ledger", &format!("UPDATE ledger SET version = :v, mark = :m WHERE k % {LEDGER_GROUPS} = :g")),
        route("small1", "UPDATE small1 SET version = :v, mark = :m WHERE 1"),
        route("small2", "UPDATE small2 SET version = :v, mark = :m WHERE 1"),
        route("poke", "UPDATE poke SET version = :v, mark = :m WHERE 1"),
        // What is written here is always taken back, within the transaction of others.
        "[[route]]\nmethod = \"POST\"\npath = \"/ours/undone\"\nrows = \"one\"\nparams = { v = \"integer\" }\nsql = \"\"\"\
         UPDATE ledger SET version = -:v, mark = :m; UPDATE small1 SET mark = :m; UPDATE now SET mark = :n;\n\
         SELECT 1 AS one FROM now WHERE id = 0\"\"\"\n"
            .to_owned(),
    ];
    std::fs::write(path, text.concat())
}

/// One of them.
pub struct Poster<'a> {
    shared: &'a Shared,
    random: Random,
    address: SocketAddr,
}

impl<'a> Poster<'a> {
    /// The one of this number.
    pub fn new(shared: &'a Shared, address: SocketAddr, name: usize) -> Self {
        Self { shared, random: Random::new(shared.seed, 2000 + name as u64), address }
    }

    /// Writes until the run ends.
    ///
    /// # Errors
    /// A violation, or a server that does not answer.
    pub fn run(&mut self) -> Result<(), Failure> {
        while !self.shared.stopped() {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            match self.converse(&mut Wire::new(stream)) {
                Ok(()) => {}
                Err(_) if self.shared.stopped() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn converse(&mut self, wire: &mut Wire) -> Result<(), Failure> {
        for _ in 0..ON_ONE {
            if self.shared.stopped() {
                break;
            }
            if self.random.percent(15) {
                self.undone(wire)?;
            } else {
                self.write(wire)?;
            }
            let pause = self.random.pause(PAUSE.0, PAUSE.1);
            std::thread::sleep(pause);
        }
        Ok(())
    }

    fn write(&mut self, wire: &mut Wire) -> Result<(), Failure> {
        let (route, groups) = self.random.pick(ROUTES).clone();
        let group = groups.start + self.random.below(groups.len() as u64) as usize;
        let version = {
            let mut journal = self.shared.journal();
            journal.drain()?;
            let now = self.shared.clock.now();
            let ahead = self.random.below(AHEAD) as Version;
            journal.history.announce(now + ahead, now, 1 << group | 1 << NOW)
        };
        let (mark, now) = (mark::text(group, version, false), mark::text(NOW, version, false));
        let body = format!("{{\"v\":{version},\"m\":\"{mark}\",\"n\":\"{now}\",\"g\":{group}}}");
        let answer = post(wire, route, &body)?;
        let received = self.shared.clock.now();
        let mut journal = self.shared.journal();
        journal.drain()?;
        let (name, verdict) = match answer.status {
            201 => {
                let base = base(&answer).ok_or_else(|| unexpected(&answer, &body))?;
                ("our writes", journal.history.acknowledged(version, base, received))
            }
            404 => ("our writes overtaken", journal.history.rolled_back(version)),
            503 if !answer.body.windows(15).any(|window| window == b"write-uncertain") => {
                ("our writes refused", journal.history.rolled_back(version))
            }
            _ => return Err(unexpected(&answer, &body)),
        };
        journal.count(name);
        verdict.map_err(|violation| Failure::Violation(format!("{violation:?}\n  upon our {body}\n  answer {:?}", answer.head)))
    }

    fn undone(&mut self, wire: &mut Wire) -> Result<(), Failure> {
        let version = self.shared.clock.now();
        let (mark, now) = (mark::text(0, version, true), mark::text(NOW, version, true));
        let body = format!("{{\"v\":{version},\"m\":\"{mark}\",\"n\":\"{now}\"}}");
        let answer = post(wire, "undone", &body)?;
        if !matches!(answer.status, 404 | 503) {
            return Err(unexpected(&answer, &body));
        }
        self.shared.count("our writes undone");
        Ok(())
    }
}

fn post(wire: &mut Wire, route: &str, body: &str) -> Result<Answer, Failure> {
    let text = format!(
        "POST /ours/{route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    wire.stream().write_all(text.as_bytes())?;
    let answer = wire.answer(false)?;
    answer.ok_or_else(|| Failure::Violation(format!("no answer to a write: {body}")))
}

/// The version that a write was built upon.
fn base(answer: &Answer) -> Option<Version> {
    let text = std::str::from_utf8(&answer.body).ok()?;
    text.strip_prefix("{\"base\":")?.strip_suffix('}')?.parse().ok()
}

fn unexpected(answer: &Answer, body: &str) -> Failure {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    Failure::Violation(format!("an unexpected answer to our write {body}\n  {:?}\n  {text}", answer.head))
}
