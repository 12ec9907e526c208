//! The demo, served by the emulated machine and asked from here: every answer is right, and the memory is what the sheet says.

use std::io::{self, Error};
use std::path::Path;

use super::machine::{Machine, Parts};
use crate::rig::line::Line;

/// Requests for each boot; the first of each target is a miss.
const REQUESTS: u32 = 1000;
const TARGETS: [&str; 5] = ["/", "/tables", "/tables/sensors", "/tables/readings?order=at.desc&limit=16", "/-/health"];
/// How far RssAnon may be from the sheet's sum, in per cent.
const WITHIN_PER_CENT: f64 = 2.0;

/// What one boot came to.
pub struct Served {
    /// Which kernel features there were, as the machine says.
    pub kernel: String,
    /// What it has: memory and cores.
    pub machine: String,
    /// The server's start block, as far as it tells of the kernel.
    pub told: Vec<String>,
    /// Answers with 200.
    pub answers: u32,
    /// Of these by the cache.
    pub hits: u32,
    /// RssAnon in KiB when ready, and after the requests.
    pub anonymous: (u64, u64),
    /// The sheet's process sum in KiB.
    pub sheet: u64,
    /// The server's exit status after SIGTERM.
    pub exit: String,
}

impl Served {
    /// RssAnon against the sheet, in per cent of the sheet.
    pub fn difference(&self) -> f64 {
        (self.anonymous.1 as f64 / self.sheet as f64 - 1.0) * 100.0
    }

    /// Whether all was as it should be.
    pub fn is_good(&self) -> bool {
        let within = self.difference().abs() <= WITHIN_PER_CENT;
        within && self.answers == REQUESTS && self.hits > 0 && self.exit == "0" && self.anonymous.0 == self.anonymous.1
    }
}

/// Boots, asks, reads the memory, and switches off.
///
/// # Errors
/// What did not start or answer.
pub fn serve(parts: &Parts, scratch: &Path) -> io::Result<Served> {
    let mut machine = Machine::boot(parts, scratch)?;
    super::wait_until_ready(machine.address)?;
    let ready = machine.anonymous_kib()?;
    let mut line = Line::open(machine.address)?;
    let (mut answers, mut hits) = (0, 0);
    for number in 0..REQUESTS {
        let target = TARGETS[number as usize % TARGETS.len()];
        let answer = line.ask(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n"))?;
        let answer = answer.ok_or_else(|| Error::other(format!("{target}: the connection ended")))?;
        if answer.status != 200 {
            return Err(Error::other(format!("{target}: {} {}", answer.status, String::from_utf8_lossy(&answer.body))));
        }
        answers += 1;
        hits += u32::from(answer.field("x-cache") == Some("hit"));
    }
    let after = machine.anonymous_kib()?;
    let said = |topic: &str| machine.said(topic).unwrap_or("?").to_owned();
    let kernel = format!("psi {}, memory cgroup {}, landlock {}", said("psi"), said("memory-cgroup"), said("landlock"));
    let about = format!("{}, {}", said("memory"), said("cores"));
    let sheet = sheet_kib(&machine.console).ok_or_else(|| Error::other("the sheet has no sum"))?;
    let told = machine.console.iter().filter(|line| line.contains("sandbox") || line.contains("psi")).cloned();
    let told = told.filter(|line| !line.starts_with("pi: ")).collect();
    let exit = machine.stop()?;
    Ok(Served { kernel, machine: about, told, answers, hits, anonymous: (ready, after), sheet, exit })
}

/// The first sum of the sheet, that of the process, out of what the console said.
fn sheet_kib(console: &[String]) -> Option<u64> {
    let row = console.iter().find_map(|line| line.strip_prefix("pi: sheet | **together** | **"))?;
    row.split('*').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_sum_is_the_first_one() {
        let lines = ["pi: sheet | a | 1 | |", "pi: sheet | **together** | **57128** | |", "pi: sheet | **together** | **9** | |"];
        assert_eq!(sheet_kib(&lines.map(str::to_owned)), Some(57_128));
        assert_eq!(sheet_kib(&[]), None);
    }

    #[test]
    fn memory_off_the_sheet_a_missing_answer_or_an_exit_is_not_good() {
        let good = || Served {
            kernel: String::new(),
            machine: String::new(),
            told: Vec::new(),
            answers: REQUESTS,
            hits: 1,
            anonymous: (9_810, 9_810),
            sheet: 10_000,
            exit: "0".to_owned(),
        };
        assert!(good().is_good());
        for wrong in [
            Served { anonymous: (9_790, 9_790), ..good() },
            Served { anonymous: (10_210, 10_210), ..good() },
            Served { anonymous: (9_900, 9_910), ..good() },
            Served { answers: REQUESTS - 1, ..good() },
            Served { hits: 0, ..good() },
            Served { exit: "101".to_owned(), ..good() },
        ] {
            assert!(!wrong.is_good());
        }
    }
}
