//! Two measurements: what group commit gains, against what the disk's sync allows, and how reads fare beside slow syncs.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::clients::{self, Line};
use super::disk::{Disk, Kind};
use super::ledger::Ledger;
use super::server::Server;
use super::trial::{Setup, fresh};

/// Of each measurement.
const TIME: Duration = Duration::from_secs(5);

/// Syncs that are timed.
const SYNCS: usize = 200;

/// Clients of a full group.
const MANY: usize = 32;

/// A sync of the slow disk.
const SLOW_SYNC_MS: u64 = 200;

/// What was measured, for people.
pub type Lines = Vec<String>;

/// Acknowledged writes a second, of one client and of many, beside the time of a sync.
///
/// # Errors
/// Faults of the harness, and a machine without tmpfs.
pub fn throughput(setup: Setup) -> io::Result<Lines> {
    let disk = Disk::new(Kind::Folder)?;
    let sync = sync_time(&disk)?;
    let one = writes(setup, &disk, 1)?;
    let many = writes(setup, &disk, MANY)?;
    let again = sync_time(&disk)?;
    let memory = Disk::new(Kind::Tmpfs(256 * 1024));
    let (f, mut lines) = ((sync + again).as_secs_f64() / 2.0, Lines::new());
    lines.push(format!("F, a 4 KiB append and fdatasync (median of {SYNCS}): {:.3} ms before, {:.3} after", ms(sync), ms(again)));
    lines.push(format!(
        "1 client: {:.0} writes/s; {MANY} clients: {:.0} writes/s; ratio {:.1}",
        one.rate,
        many.rate,
        many.rate / one.rate
    ));
    for (name, run) in [("1 client", &one), ("32 clients", &many)] {
        if let Some(syncs) = run.syncs {
            lines.push(format!("{name}: {:.2} syncs a write, as the server counts", syncs as f64 / run.acknowledged as f64));
        }
    }
    let h = match memory {
        // Where a sync costs nothing, a write costs h.
        Ok(memory) => 1.0 / writes(setup, &memory, 1)?.rate,
        Err(error) => {
            lines.push(format!("h is not measured: {error}"));
            return Ok(lines);
        }
    };
    let bound = (f + h) / (f / MANY as f64 + h);
    let share = many.rate / one.rate / bound;
    lines.push(format!(
        "h, a write of one client on tmpfs: {:.3} ms; (F+h)/(F/{MANY}+h) = {bound:.1}; reached {:.0} %",
        h * 1e3,
        share * 100.0
    ));
    Ok(lines)
}

struct Run {
    rate: f64,
    acknowledged: u64,
    syncs: Option<u64>,
}

fn writes(setup: Setup, disk: &Disk, clients: usize) -> io::Result<Run> {
    fresh(disk)?;
    let server = Server::start(setup.program, &disk.database(), disk.base())?;
    let mut ledger = Ledger::new(clients);
    let before = server.syncs();
    let ((count, time), _) = clients::write_while(server.address, &mut ledger, |shared| {
        let began = Instant::now();
        std::thread::sleep(TIME);
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
        "a sync of {SLOW_SYNC_MS} ms, {MANY} clients write: {} acknowledged, {refused} refused, {} syncs; {} reads of one row: p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms",
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
    let (mut times, until) = (Vec::new(), Instant::now() + TIME);
    while Instant::now() < until {
        let began = Instant::now();
        let answer = line.ask("GET /constant HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        times.push(began.elapsed());
        if !answer.is_some_and(|answer| answer.status == 200) {
            return Err(io::Error::other("a read is refused"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(times)
}
