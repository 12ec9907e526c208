//! What surrounds the loop: the heap, the database's files, the configuration, and the work that nobody waits for.

use std::time::Instant;

use rusqlite::Connection;
use rustix::process::{Resource, Rlimit};

use super::address::Address;
use super::configuration::Configuration;
use super::failures::internal;
use super::notify::Notify;
use super::sandbox::calls::Refusal;
use super::sandbox::files::Access;
use super::serve::ProcessHeap;
use super::watched::Watched;
use super::{StartError, log_limit, sandbox};
use crate::api::problem::Problem;
use crate::back::Back;
use crate::back::write::Checkpoint;
use crate::demo;
use crate::event_loop::{Surroundings, nested_turn};
use crate::front::Front;
use crate::front::mio_net::MioNet;
use crate::front::net::Net;
use crate::job::{Change, Micros};
use crate::memory::statics::{populate, prefault};
use crate::ops::metrics::GapCause;
use crate::ops::readings::Sandbox;
use crate::ops::system::Sources;
use crate::ops::{log_ring, process};
use crate::policy::checkpoints::{Checkpoints, Due};

/// What the sheet allows the wal-index.
const WAL_INDEX_BYTES: u64 = crate::budget::WAL_INDEX_KIB as u64 * 1024;
/// The stack that the deepest query may use, made resident at start.
const STACK_BYTES: usize = 256 * 1024;

/// What the loop asks for between requests.
pub(super) struct Around {
    pub(super) heap: &'static ProcessHeap,
    pub(super) started: Instant,
    pub(super) watched: Watched,
    pub(super) sources: Sources,
    pub(super) configuration: Configuration,
    /// Where requests are taken.
    pub(super) listen: Vec<Address>,
    /// Whether the database is open for writing.
    pub(super) writable: bool,
    pub(super) checkpoints: Checkpoints,
    /// When the example gets its next readings.
    pub(super) next_reading: Option<Micros>,
    pub(super) sealed: Option<u64>,
    /// The service manager.
    pub(super) notify: Notify,
    /// This machine's name.
    pub(super) hostname: String,
    /// What the start block says of the sandbox.
    pub(super) sandbox: String,
}

/// Between two readings of the example's sensors.
const READING: Micros = 5_000_000;

impl Around {
    /// Copies the WAL into the database when that is due.
    fn checkpoint<N: Net>(&mut self, front: &mut Front<N>, back: &mut Back<'_>) {
        let pages = front.config().limits.wal_autocheckpoint_pages;
        let what = match self.checkpoints.due(front.wal_frames(), pages) {
            Due::Now => Checkpoint::Passive,
            Due::WhenIdle if front.is_idle() => Checkpoint::Passive,
            Due::Truncate => Checkpoint::Truncate,
            Due::No | Due::WhenIdle => return,
        };
        match back.checkpoint(what, &mut |wait| nested_turn(front, wait)) {
            Ok(Some(size)) => self.checkpoints.made(if what == Checkpoint::Truncate && !size.busy { 0 } else { size.frames }),
            Ok(None) => {}
            Err(error) => {
                log::error!("the WAL could not be copied into the database: {error}");
                self.checkpoints.made(front.wal_frames());
            }
        }
        front.metrics.checkpoints += 1;
        front.metrics.gap(GapCause::Checkpoint, back.take_longest_gap());
    }

    /// Adds readings to the example when their time has come.
    fn read_sensors<N: Net>(&mut self, front: &mut Front<N>, back: &mut Back<'_>) {
        if self.next_reading.is_none_or(|due| front.now() < due) || !front.is_idle() {
            return;
        }
        self.next_reading = Some(front.now() + READING);
        if let Err(error) = back.run_own(demo::NEW_READINGS, &mut |wait| nested_turn(front, wait)) {
            log::warn!("the example has no new readings: {error}");
        }
        front.metrics.gap(GapCause::Fsync, back.take_longest_gap());
    }

    /// Near the end of the start: everything that is made at first use is used once, every page is touched, and from here on the kernel gives
    /// no more memory.
    pub(super) fn settle(&mut self, front: &mut Front<MioNet>, conn: &Connection) -> Result<(), StartError> {
        touch_stack();
        // libc reads the time zone and allocates for it at the first local time.
        conn.query_row("SELECT datetime('now', 'localtime'), strftime('%Y', 'now', 'localtime')", [], |_| Ok(()))
            .map_err(|error| internal(&format!("SQLite does not work: {error}")))?;
        self.heap.prefault();
        if let Err(error) = populate() {
            log::warn!("RssAnon may grow by the few pages that nobody has touched yet: {error}");
        }
        front.readings.process.started_at = front.unix_time();
        let limit = rustix::process::getrlimit(Resource::Nofile).current;
        front.readings.process.descriptor_limit = limit.unwrap_or(u64::MAX);
        self.read(front);
        front.readings.process.ready_rss_anon_bytes = front.readings.process.rss_anon_bytes;
        let data = process::data_bytes().map_err(|error| internal(&format!("/proc cannot be read: {error}")))?;
        let maximum = rustix::process::getrlimit(Resource::Data).maximum;
        rustix::process::setrlimit(Resource::Data, Rlimit { current: Some(data), maximum })
            .map_err(|error| internal(&format!("RLIMIT_DATA cannot be lowered: {error}")))?;
        self.sealed = Some(data);
        Ok(())
    }

    /// Enters the sandbox, but for debugging, and says which part of it this machine has not.
    pub(super) fn confine(&mut self, front: &mut Front<MioNet>, wanted: bool, places: &[Access]) {
        front.readings.sandbox = match wanted {
            true => self.heap.aside(|| sandbox::prepare(places, Refusal::BUILT).enter()),
            false => Sandbox { seccomp: sandbox::off("--no-sandbox"), landlock: sandbox::off("--no-sandbox") },
        };
        for (name, part) in front.readings.sandbox.parts() {
            if !part.on {
                log::warn!("the sandbox is without {name}: {}", part.why);
            }
        }
        self.sandbox = sandbox::line(&front.readings.sandbox);
    }

    /// The last step: from here on allocations of the heap are counted apart.
    pub(super) fn seal(&self) {
        self.heap.seal();
    }
}

impl Surroundings for Around {
    fn read<N: Net>(&mut self, front: &mut Front<N>) {
        log_limit::tell();
        front.readings.log_left_out = log_limit::left_out();
        if let Err(error) = process::read(&mut front.readings.process) {
            log::warn!("/proc cannot be read: {error}");
        }
        front.readings.system.wal = front.wal();
        self.sources.read(self.watched.wal_index(), &mut front.readings.system);
        self.configuration.starts.look();
        front.readings.heap = self.heap.readings();
        front.readings.configuration_heap = self.heap.aside_readings();
        front.heap_in_reserve = self.heap.in_reserve();
        let database = &mut front.readings.database;
        let within = database.wal_index_bytes <= WAL_INDEX_BYTES;
        (database.file_bytes, database.wal_bytes, database.wal_index_bytes) = self.watched.sizes();
        if within && database.wal_index_bytes > WAL_INDEX_BYTES {
            log::warn!(
                "the wal-index has grown to {} KiB, beyond the sheet's {} KiB: who writes should checkpoint more often, or a reader keeps its \
                 snapshot open",
                database.wal_index_bytes / 1024,
                WAL_INDEX_BYTES / 1024
            );
        }
    }

    fn database_replaced(&mut self) -> bool {
        self.watched.replaced()
    }

    fn flush_log(&mut self) {
        log_ring::flush(std::io::stderr());
    }

    fn background<N: Net>(&mut self, front: &mut Front<N>, back: &mut Back<'_>) -> bool {
        if self.writable {
            self.read_sensors(front, back);
            self.checkpoint(front, back);
        }
        crate::back::sync::failed()
    }

    fn wants_reopening(&mut self) -> bool {
        !self.writable && self.configuration.running().writes()
    }

    fn configuration_edited(&mut self) -> bool {
        self.configuration.edited()
    }

    fn change<N: Net>(&mut self, change: Change, front: &mut Front<N>, back: &mut Back<'_>) -> Result<(), Problem> {
        self.notify.reloading();
        let changed = self.configuration.change(change, &self.listen, self.heap, front, back);
        self.notify.ready();
        changed
    }

    fn tell_status(&mut self, text: &str) {
        self.notify.status(text, self.started.elapsed().as_micros() as Micros);
    }

    fn stopping(&mut self) {
        self.notify.stopping();
    }
}

#[inline(never)]
fn touch_stack() {
    let mut stack = [0_u8; STACK_BYTES];
    prefault(&mut stack);
}
