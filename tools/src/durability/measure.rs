//! Two measurements: what group commit gains, against what the disk's sync allows, and how reads fare beside slow syncs.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::clients;
use super::disk::{Disk, Kind};
use super::ledger::Ledger;
use super::server::Server;
use super::trial::{Setup, fresh};
use crate::rig::line::Line;

/// Of reads beside slow syncs.
const READING: Duration = Duration::from_secs(5);

/// Of each run of writes.
const WRITING: Duration = Duration::from_millis(1500);

/// Measurements of group commit.
const TURNS: usize = 3;

/// Syncs that are timed.
const SYNCS: usize = 100;

/// Clients of a full group.
const MANY: usize = 32;

/// A sync of a memory card.
const CARD_SYNC_MS: u64 = 5;

/// A sync of the slow disk.
const SLOW_SYNC_MS: u64 = 200;

/// What was measured, for people.
pub type Lines = Vec<String>;

/// Acknowledged writes a second, of one client and of many, beside the time of a sync: on this machine's disk, and on the shim
/// with a sync as slow as a memory card's.
///
/// # Errors
/// Faults of the harness, and a machine without tmpfs or FUSE.
pub fn throughput(setup: Setup) -> io::Result<Lines> {
    // Where a sync costs nothing, a write costs h.
    let h = 1.0 / writes(setup, &Disk::new(Kind::Tmpfs(256 * 1024))?, 1)?.rate;
    let mut lines = turns(setup, "a folder", &Disk::new(Kind::Folder)?, h)?;
    let disk = Disk::new(Kind::Shim)?;
    let shim = disk.shim().ok_or_else(|| io::Error::other("not the shim"))?;
    let h = 1.0 / writes(setup, &disk, 1)?.rate;
    shim.faults().sync_ms.store(CARD_SYNC_MS, Ordering::Relaxed);
    lines.extend(turns(setup, "the shim", &disk, h)?);
    Ok(lines)
}

/// One client and many in turns, as disks have moods.
fn turns(setup: Setup, name: &str, disk: &Disk, h: f64) -> io::Result<Lines> {
    let mut lines = vec![format!("{name}: h, a write of one client where a sync costs nothing: {:.3} ms", h * 1e3)];
    let mut shares = Vec::with_capacity(TURNS);
    for _ in 0..TURNS {
        let f = sync_time(disk)?.as_secs_f64();
        let (one, many) = (writes(setup, disk, 1)?, writes(setup, disk, MANY)?);
        let (ratio, bound) = (many.rate / one.rate, (f + h) / (f / MANY as f64 + h));
        shares.push(ratio / bound);
        lines.push(format!(
            "F {:.3} ms; 1 client {:.0} writes/s{}, {MANY} clients {:.0} writes/s{}: ratio {ratio:.1}, (F+h)/(F/{MANY}+h) = {bound:.1}",
            f * 1e3,
            one.rate,
            one.syncs_a_write(),
            many.rate,
            many.syncs_a_write()
        ));
    }
    shares.sort_by(f64::total_cmp);
    lines.push(format!("reached {:.0} % of (F+h)/(F/{MANY}+h), the median of {TURNS} turns", shares[TURNS / 2] * 100.0));
    Ok(lines)
}

struct Run {
    rate: f64,
    acknowledged: u64,
    syncs: Option<u64>,
}

impl Run {
    fn syncs_a_write(&self) -> String {
        self.syncs.map_or_else(String::new, |syncs| format!(" ({:.2} syncs each)", syncs as f64 / self.acknowledged as f64))
    }
}

fn writes(setup: Setup, disk: &Disk, clients: usize) -> io::Result<Run> {
    fresh(disk)?;
    let server = Server::start(setup.program, &disk.database(), disk.base())?;
    let mut ledger = Ledger::new(clients);
    let before = server.syncs();
    let ((count, time), _) = clients::write_while(server.address, &mut ledger, |shared| {
        let began = Instant::now();
        std::thread::sleep(WRITING);
        (shared.acknowledged.load(Ordering::Relaxed), began.elapsed())
    });
    let syncs = server.syncs().zip(before).map(|(after, before)| after - before);
    if count == 0 {
        return Err(io::Error::other("nothing is acknowledged"));
    }
    Ok(Run { rate: count as f64 / time.as_secs_f64(), acknowledged: count, syncs })
}

fn sync_time(disk: &Disk) -> io::Result<Duration> {
    let path = disk.target().join("probe");
    let mut file = std::fs::File::create(&path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    std::fs::remove_file(path)?;
    times.sort();
    Ok(times[SYNCS / 2])
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Cached reads while many clients write to a disk that is slow to sync.
///
/// # Errors
/// Faults of the harness, and a machine without FUSE.
pub fn slow_sync(setup: Setup) -> io::Result<Lines> {
    let disk = Disk::new(Kind::Shim)?;
    fresh(&disk)?;
    let shim = disk.shim().ok_or_else(|| io::Error::other("not the shim"))?;
    let server = Server::start(setup.program, &disk.database(), disk.base())?;
    shim.faults().sync_ms.store(SLOW_SYNC_MS, Ordering::Relaxed);
    let mut ledger = Ledger::new(MANY);
    let (times, outcome) = clients::write_while(server.address, &mut ledger, |_| reads(&server));
    shim.faults().sync_ms.store(0, Ordering::Relaxed);
    let mut times = times?;
    times.sort();
    let at = |share: f64| ms(times[((times.len() - 1) as f64 * share) as usize]);
    let refused: u64 = outcome.refused.values().map(|(count, _)| count).sum();
    Ok(vec![format!(
        "a sync of {SLOW_SYNC_MS} ms, {MANY} clients write: {} acknowledged, {refused} refused, {} syncs; \
         {} reads of one row: p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms",
        outcome.acks.len(),
        shim.faults().syncs.load(Ordering::Relaxed),
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    )])
}

fn reads(server: &Server) -> io::Result<Vec<Duration>> {
    let mut line = Line::open(server.address)?;
    let (mut times, until) = (Vec::new(), Instant::now() + READING);
    while Instant::now() < until {
        let began = Instant::now();
        let answer = line.ask("GET /constant HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        times.push(began.elapsed());
        if answer.is_none_or(|answer| answer.status != 200) {
            return Err(io::Error::other("a read is refused"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(times)
}
