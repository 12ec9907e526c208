//! The power of the emulated machine is cut while clients write: after the next boot everything that was acknowledged is there.
//!
//! qemu is killed. What the machine had handed to its disk stays, so a write is safe from when the kernel's flush came back; a disk that
//! lies about flushes is what `tools durability` simulates.

use std::fs;
use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::machine::{Machine, Parts};
use crate::durability::clients;
use crate::durability::ledger::{Cut, Findings, Ledger};
use crate::durability::{look, record};
use crate::rig::line::Line;

/// A disk of 64 MiB, with room for a few thousand writes and their log.
const DISK_KIB: u64 = 64 * 1024;
/// Acknowledgements before the power goes.
const WRITES: u64 = 60;
/// For these; emulated, ten writes a second would be slow.
const WRITES_WITHIN: Duration = Duration::from_secs(60);

/// What the cuts came to.
pub struct Cuts {
    /// How often the power was cut.
    pub cuts: u32,
    /// Writes that were acknowledged before, all together.
    pub acknowledged: u64,
    /// Requests that were under way then.
    pub under_way: u64,
    /// Acknowledged writes that a request did not find after the next boot.
    pub missing: u64,
    /// What the database's file says at the end.
    pub findings: Findings,
}

impl Cuts {
    /// Whether the machine was cut in the middle, and nothing was lost.
    pub fn is_good(&self) -> bool {
        self.acknowledged >= WRITES * u64::from(self.cuts) && self.under_way > 0 && self.missing == 0 && self.findings.is_clean()
    }
}

/// Makes a disk, and cuts `count` times.
///
/// # Errors
/// What did not start.
pub fn cut(parts: &Parts, count: u32, writers: usize, scratch: &Path) -> io::Result<Cuts> {
    let disk = make_disk(scratch)?;
    let parts = Parts { disk: Some(&disk), arguments: "-c /data/flagstone.toml -l 0.0.0.0:8080 /data/data.db", ..*parts };
    let mut ledger = Ledger::new(writers);
    let mut result = Cuts { cuts: 0, acknowledged: 0, under_way: 0, missing: 0, findings: Findings::default() };
    for _ in 0..count {
        let machine = boot(&parts, scratch)?;
        result.missing += missing(&machine, &ledger)?;
        let (cut, outcome) = clients::write_while(machine.address, &mut ledger, |shared| {
            let written = shared.wait(WRITES_WITHIN, |shared| shared.acknowledged.load(Ordering::Relaxed) >= WRITES);
            let began = Instant::now();
            machine.cut()?;
            let done = Instant::now();
            // The clients are still writing when it goes, and learn it by themselves.
            shared.stop();
            if written { Ok(Cut { began, done }) } else { Err(Error::other("too few writes were acknowledged in time")) }
        });
        result.cuts += 1;
        result.under_way += outcome.broken;
        result.acknowledged += clients::keep(&mut ledger, &outcome, Some(cut?));
    }
    let machine = boot(&parts, scratch)?;
    result.missing += missing(&machine, &ledger)?;
    let exit = machine.stop()?;
    if exit != "0" {
        return Err(Error::other(format!("the server ended with {exit}")));
    }
    result.findings = ledger.judge(&fetch(&disk, scratch)?);
    Ok(result)
}

fn boot(parts: &Parts, scratch: &Path) -> io::Result<Machine> {
    let machine = Machine::boot(parts, scratch)?;
    super::wait_until_ready(machine.address)?;
    Ok(machine)
}

/// Promised writes that the running server does not have.
fn missing(machine: &Machine, ledger: &Ledger) -> io::Result<u64> {
    let mut line = Line::open(machine.address)?;
    let mut missing = 0;
    for key in &ledger.promised {
        let answer = line.ask(&key.get())?.ok_or_else(|| Error::other("the connection ended"))?;
        missing += u64::from(answer.status != 200 || !key.is_in(&answer.body));
    }
    Ok(missing)
}

/// An ext4 image with the empty database and its configuration.
fn make_disk(scratch: &Path) -> io::Result<PathBuf> {
    let folder = scratch.join("disk");
    fs::create_dir(&folder)?;
    look::make(&folder.join("data.db"))?;
    // The host asks from outside the machine, and needs no token.
    fs::write(folder.join("flagstone.toml"), format!("open_writes = true\n{}", record::CONFIG))?;
    let disk = scratch.join("disk.img");
    run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4", "-d"]).arg(&folder).arg(&disk).arg(DISK_KIB.to_string()))?;
    Ok(disk)
}

/// The database out of the image of a machine that was switched off in order.
fn fetch(disk: &Path, scratch: &Path) -> io::Result<PathBuf> {
    let folder = scratch.join("fetched");
    fs::create_dir(&folder)?;
    let database = folder.join("data.db");
    for suffix in ["", "-wal"] {
        let into = format!("{}{suffix}", database.display());
        run(Command::new("debugfs").arg("-R").arg(format!("dump /data.db{suffix} {into}")).arg(disk))?;
    }
    Ok(database)
}

fn run(command: &mut Command) -> io::Result<()> {
    // Both live where not everybody's PATH leads.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = command
        .env("PATH", path)
        .output()
        .map_err(|error| Error::other(format!("{}: {error}", command.get_program().display())))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(Error::other(format!("{}: {said}", command.get_program().display()))) }
}
