//! A disk that fails while the server writes: each refusal is clear, reads go on, writes come back, and nothing that was
//! acknowledged is missing after a power cut.

use std::io::{self, Error};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::clients::{self, Outcome, Shared};
use super::disk::{Disk, Kind};
use super::ledger::{Findings, Ledger};
use super::record::Key;
use super::server::Server;
use super::trial::{Setup, fresh};
use crate::rig::line::Line;
use crate::rig::random::Random;

/// For a fault to show, and for writes to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes, and refusals, after which a phase is seen.
const ENOUGH: u64 = 40;

/// Room that is left on a disk that is filled, in bytes.
const ROOM: u64 = 512 * 1024;

/// What fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The rest of the disk is filled.
    Full(Kind),
    /// Every write is refused with EROFS.
    ReadOnly,
    /// ext4 finds an error and makes itself read-only, until it is mounted again.
    Ext4Error,
    /// Every so many writes and syncs fail.
    Io(u64),
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Full(Kind::Tmpfs(8 * 1024)),
        Self::Full(Kind::Ext4),
        Self::Full(Kind::Shim),
        Self::ReadOnly,
        Self::Ext4Error,
        Self::Io(23),
        Self::Io(7),
        Self::Io(3),
    ];

    /// For people.
    pub fn name(self) -> String {
        match self {
            Self::Full(kind) => format!("disk full, {}", kind.name()),
            Self::ReadOnly => "read-only, the shim".to_owned(),
            Self::Ext4Error => "an error of ext4, which makes itself read-only".to_owned(),
            Self::Io(every) => format!("EIO at every {every}th write or sync, the shim"),
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Full(kind) => kind,
            Self::Ext4Error => Kind::Ext4,
            Self::ReadOnly | Self::Io(_) => Kind::Shim,
        }
    }

    /// Whether a status is a clear refusal.
    fn explains(self, status: u16) -> bool {
        // A full disk is found as such or, in the middle of something, as a failed write.
        status == 507 && matches!(self, Self::Full(_)) || status == 503
    }

    /// Whether writes come back without a new start.
    fn heals(self) -> bool {
        !matches!(self, Self::Ext4Error)
    }

    fn inject(self, disk: &Disk) -> io::Result<()> {
        let shim = disk.shim().map(|shim| shim.faults());
        match (self, shim) {
            (Self::Full(_), Some(faults)) => faults.capacity.store(ROOM, Ordering::Relaxed),
            (Self::Full(_), None) => return fill(disk.target()),
            (Self::ReadOnly, Some(faults)) => faults.read_only.store(true, Ordering::Relaxed),
            (Self::Io(every), Some(faults)) => faults.fail_every.store(every, Ordering::Relaxed),
            (Self::Ext4Error, _) => {
                let name = disk.loop_name().ok_or_else(|| Error::other("no loop device"))?;
                std::fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "durability: on purpose")?;
            }
            (Self::ReadOnly | Self::Io(_), None) => return Err(Error::other("only the shim can do this")),
        }
        Ok(())
    }

    fn heal(self, disk: &Disk) -> io::Result<()> {
        if let Some(shim) = disk.shim() {
            let faults = shim.faults();
            faults.capacity.store(0, Ordering::Relaxed);
            faults.read_only.store(false, Ordering::Relaxed);
            faults.fail_every.store(0, Ordering::Relaxed);
            return Ok(());
        }
        if matches!(self, Self::Full(_)) { std::fs::remove_file(ballast(disk.target())) } else { Ok(()) }
    }
}

fn ballast(folder: &Path) -> std::path::PathBuf {
    folder.join("ballast")
}

/// Fills the disk but for some room.
fn fill(folder: &Path) -> io::Result<()> {
    use std::io::Write;
    let room = rustix::fs::statvfs(folder)?;
    let free = (room.f_bavail * room.f_frsize).saturating_sub(ROOM) as usize;
    let mut file = std::fs::File::create(ballast(folder))?;
    let piece = vec![7; 64 * 1024];
    for _ in 0..free / piece.len() {
        file.write_all(&piece)?;
    }
    file.sync_all()
}

/// What was seen.
pub struct Report {
    /// Answers other than 201.
    pub outcome: Outcome,
    /// Everything that is wrong.
    pub problems: Vec<String>,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// An ext4 that made itself read-only keeps nothing back.
    pub findings: Findings,
}

/// Runs one.
///
/// # Errors
/// What the machine does not have or allow, and faults of the harness.
pub fn run(setup: Setup, fault: Fault) -> io::Result<Report> {
    let mut disk = Disk::new(fault.kind())?;
    let mut random = Random::new(setup.seed, 2);
    fresh(&disk)?;
    let mut server = Server::start(setup.program, &disk.database(), disk.base())?;
    let mut ledger = Ledger::new(setup.clients);
    let address = server.address;
    let (enough, outcome) = clients::write_while(address, &mut ledger, |shared| shared.wait(PATIENCE, |now| acks(now) >= ENOUGH));
    let mut acknowledged = clients::keep(&mut ledger, &outcome, None);
    let Some(known) = ledger.promised.first().copied().filter(|_| enough) else {
        return Err(Error::other(format!("nothing is acknowledged before the fault: {:?}", outcome.refused)));
    };
    let (problems, outcome) = clients::write_while(address, &mut ledger, |shared| act(fault, &server, &disk, known, shared));
    let mut problems = problems?;
    acknowledged += clients::keep(&mut ledger, &outcome, None);
    for (status, (count, body)) in &outcome.refused {
        if !fault.explains(*status) {
            problems.push(format!("{count} answers {status}: {body}"));
        }
    }
    if let Some(status) = server.ended()? {
        problems.push(format!("the server ended by itself: {status}"));
    }
    if matches!(fault, Fault::Full(_)) && !outcome.refused.contains_key(&507) {
        problems.push("no 507 came".to_owned());
    }
    // What was acknowledged outlives a power cut too, where there is one.
    if matches!(fault.kind(), Kind::Shim | Kind::Ext4) {
        disk.cut()?;
    }
    server.kill()?;
    disk.restore(&mut random)?;
    let _server = Server::start(setup.program, &disk.database(), disk.base())?;
    let findings = ledger.judge(&disk.database());
    if !findings.is_clean() {
        problems.push(format!("{findings:?}"));
    }
    Ok(Report { outcome, problems, acknowledged, findings })
}

fn acks(shared: &Shared) -> u64 {
    shared.acknowledged.load(Ordering::Relaxed)
}

/// Breaks the disk under the writing clients, looks, and makes it whole again.
fn act(fault: Fault, server: &Server, disk: &Disk, known: Key, shared: &Shared) -> io::Result<Vec<String>> {
    let mut problems = Vec::new();
    fault.inject(disk)?;
    if !shared.wait(PATIENCE, |now| now.refused.load(Ordering::Relaxed) >= ENOUGH) {
        problems.push("writes are not refused".to_owned());
    }
    let mut line = Line::open(server.address)?;
    for request in [known.get(), "GET /constant HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()].iter().cycle().take(20) {
        match line.ask(request)? {
            Some(answer) if answer.status == 200 => {}
            answer => problems.push(format!("a read is answered by {:?}", answer.map(|answer| answer.status))),
        }
    }
    fault.heal(disk)?;
    let before = acks(shared);
    if fault.heals() && !shared.wait(PATIENCE, |now| acks(now) >= before + ENOUGH) {
        problems.push("writes do not come back".to_owned());
    }
    problems.dedup();
    Ok(problems)
}
