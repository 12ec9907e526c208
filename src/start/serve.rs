//! The order of start-up: options, demo, database, listeners, memory, seal, block, loop; and the way back when the file is replaced.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, ffi};
use rustix::process::{Resource, Rlimit};

use super::address::Address;
use super::block::{self, Block};
use super::configuration::Configuration;
use super::inspect::{self, Facts, JournalMode};
use super::listen::{self, Bound};
use super::state::{self, State};
use super::watched::Watched;
use super::{Exit, StartError, shell_word};
use crate::api::problem::Problem;
use crate::back::heap::{Arenas, HeapError};
use crate::back::open::{How, open};
use crate::back::write::Checkpoint;
use crate::back::{Back, DescribeError, Workspace};
use crate::budget::{ANSWER_BYTES, CONFIG_ARENA_BYTES, HEAP_BYTES, KERNEL_BYTES, PROCESS_BYTES};
use crate::cli::{Demo, Options};
use crate::config::{Config, Limits};
use crate::demo::{self, DemoDir};
use crate::event_loop::{self, End, Surroundings};
use crate::front::mio_net::MioNet;
use crate::front::net::Net;
use crate::front::slots::Listening;
use crate::front::{Front, Regions, Setup};
use crate::job::{Change, Micros, Reply};
use crate::memory::Heaps;
use crate::memory::StaticCell;
use crate::memory::statics::{populate, prefault};
use crate::ops::metrics::GapCause;
use crate::ops::{log_ring, process};
use crate::policy::checkpoints::{Checkpoints, Due};
use crate::policy::hosts::Hosts;

/// The process's heaps: the binary makes them its global allocator. Configurations are read in the second.
pub type ProcessHeap = Heaps<HEAP_BYTES, CONFIG_ARENA_BYTES>;

static REPLY: StaticCell<[u8; ANSWER_BYTES]> = StaticCell::new([0; ANSWER_BYTES]);

/// What the sheet allows the wal-index.
const WAL_INDEX_BYTES: u64 = crate::budget::WAL_INDEX_KIB as u64 * 1024;
/// Pages of a database that is not there yet (the demo's).
const USUAL_PAGE: usize = 4096;
/// The longest log line in bytes: SQLite's messages name what they are about, and a statement may stand in them.
const LONGEST_LINE: usize = 16 * 1024;
/// Between two attempts to open a database that another process has locked.
const BUSY_STEP: Duration = Duration::from_millis(5);
/// How long the start waits for a lock of another process: as long as a request would.
pub(super) const PATIENCE: Duration = Duration::from_millis(Limits::DEFAULT.busy_ms);
/// The stack that the deepest query may use, made resident at start.
const STACK_BYTES: usize = 256 * 1024;

/// The database that is served, from its options to its page size.
pub(super) struct Database {
    pub(super) path: PathBuf,
    pub(super) facts: Facts,
    pub(super) immutable: bool,
    /// Kept until the end: the folder goes with it.
    _demo: Option<DemoDir>,
}

/// Everything that is taken once, before the first request.
pub(super) struct Parts {
    pub(super) arenas: Arenas,
    pub(super) workspace: &'static mut Workspace,
    pub(super) reply: Reply,
    pub(super) regions: Regions,
    pub(super) started: Instant,
}

impl Parts {
    /// Takes and touches every static region.
    pub(super) fn take() -> Result<Parts, StartError> {
        let taken = || {
            let reply = REPLY.take()?;
            prefault(reply);
            Some(Parts {
                arenas: Arenas::take()?,
                workspace: Workspace::take()?,
                reply: Reply::new(reply),
                regions: Regions::take()?,
                started: Instant::now(),
            })
        };
        taken().ok_or_else(|| internal("the static regions are taken already"))
    }
}

/// Serves until a signal; the process's exit code.
///
/// # Errors
/// Everything that keeps the server from starting, with its exit code.
pub fn serve(options: &Options, heap: &'static ProcessHeap) -> Result<(), StartError> {
    let mut parts = Parts::take()?;
    let mut database = database(options, &mut parts)?;
    let served = served(options, &database.path);
    let (mut configuration, state) = configuration(options, heap, &database)?;
    let mut bound = Vec::new();
    for address in &configuration.listen(options)? {
        bound.push((listen::bind(address, &served)?, Listening::Public));
    }
    if let Some(ops) = &configuration.ops(options)? {
        bound.push((listen::bind(ops, &served)?, Listening::Ops));
    }
    let _files: Vec<_> = bound.iter().filter_map(|(bound, _)| bound.file()).collect();
    let listed: Vec<(Address, Listening)> = bound.iter().map(|(bound, kind)| (bound.address.clone(), *kind)).collect();
    let Parts { mut arenas, workspace, mut reply, regions, started } = parts;
    let mut front = front(bound, regions, &state, started, configuration.running())?;
    install_log();
    let listen = listed.iter().filter(|(_, kind)| *kind == Listening::Public).map(|(address, _)| address.clone()).collect();
    let demo = options.demo.is_some() && options.config.is_none();
    let mut around = Around {
        heap,
        started,
        watched: Watched::none(),
        configuration,
        listen,
        writable: false,
        immutable: database.immutable,
        checkpoints: Checkpoints::new(),
        next_reading: demo.then_some(0),
        sealed: None,
    };
    let mut said = String::new();
    loop {
        let page_slots = install(&mut arenas, &database, &state);
        let end = page_slots.and_then(|page_slots| {
            let start = |front: &mut Front<MioNet>, around: &mut Around, conn: &Connection, back: &Back<'_>| {
                print_block(&database, &listed, &state, around, back, options, &served);
                around.seal(front, conn)
            };
            serve_open(&database, page_slots, workspace, &mut front, &mut reply, &mut around, start)
        });
        let failed = match end {
            Ok(End::Drained) => {
                log_ring::flush(std::io::stderr());
                return Ok(());
            }
            Ok(End::DatabaseReplaced | End::ConnectionLost) => {
                said.clear();
                None
            }
            Err(error) if around.sealed.is_none() => return Err(error),
            Err(error) => Some(error),
        };
        crate::back::sync::reopened();
        // The old connection is closed, so looking at the new file takes no lock of ours away.
        let Some(facts) = reopen(&mut front, &reply, &mut around, &database, failed, &mut said) else { return Ok(()) };
        database.facts = facts;
    }
}

/// Opens the database and serves from it until the server stops or the file is replaced; `start` ends the start the first time.
fn serve_open(
    database: &Database, page_slots: usize, workspace: &mut Workspace, front: &mut Front<MioNet>, reply: &mut Reply,
    around: &mut Around, start: impl FnOnce(&mut Front<MioNet>, &mut Around, &Connection, &Back<'_>) -> Result<(), StartError>,
) -> Result<End, StartError> {
    around.writable = front.config().writes();
    if around.writable {
        may_write(database)?;
        set_up_syncs(front);
    }
    let how = How {
        immutable: database.immutable,
        writable: around.writable,
        page_slots,
        page_bytes: database.facts.page_size as usize,
    };
    // Looked at before it is opened: a file that takes its place in between is then noticed.
    around.watched = Watched::of(&database.path);
    // Once there are clients, the waiting is done while they are served.
    let patience = if around.sealed.is_none() { PATIENCE } else { Duration::ZERO };
    let conn = open_patiently(&database.path, how, patience).map_err(|error| cannot_open(&database.facts, &error))?;
    let mut back = Back::new(&conn, workspace, state::random(), around.started, front.config())
        .map_err(|error| cannot_read(&database.facts, &error))?;
    around.watched.note_shm();
    if around.writable {
        back.prepare_writes(&front.config()).map_err(|error| cannot_open(&database.facts, &error))?;
    }
    if around.sealed.is_none() {
        let heap = around.heap;
        heap.aside(|| around.configuration.check_at_start(&around.listen, front, &mut back))?;
        around.configuration.tell(front);
    }
    front.readings.database.pages_total = page_slots as u64;
    front.readings.database.ready = true;
    if around.sealed.is_none() {
        start(front, around, &conn, &back)?;
    } else {
        log::info!("serving the database that has taken the old one's place");
    }
    Ok(event_loop::serve(front, &mut back, reply, around))
}

/// Writes need a database and a folder that may be written.
fn may_write(database: &Database) -> Result<(), StartError> {
    let facts = &database.facts;
    if !database.immutable && facts.folder_writable() && facts.file_writable() {
        return Ok(());
    }
    let what = match database.immutable {
        true => "the configuration has routes that write, and --immutable promises that nobody does".to_string(),
        false => {
            format!("{}: the configuration has routes that write, and uid {} may not write it", facts.path.display(), facts.uid)
        }
    };
    let path = shell_word(&facts.resolved);
    Err(StartError::new(Exit::Database, what, &[format!("sudo chown {}:{} {path} \"$(dirname {path})\"", facts.uid, facts.gid)]))
}

/// Syncs go by a ring of their own from now on, which wakes the front.
fn set_up_syncs(front: &mut Front<MioNet>) {
    use crate::back::sync;
    if sync::mode() == sync::SyncMode::Plain(sync::Why::Off) && sync::set_up() == sync::SyncMode::IoUring {
        let woken = sync::completion_fd().map(|descriptor| front.wake_on(descriptor));
        sync::front_is_woken(matches!(woken, Some(Ok(()))));
    }
}

/// Opens it and reads its first page; a lock of another process is waited for.
pub(super) fn open_patiently(path: &Path, how: How, patience: Duration) -> rusqlite::Result<Connection> {
    let until = Instant::now() + patience;
    loop {
        let opened = open(path, how).and_then(|conn| {
            conn.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
            Ok(conn)
        });
        match opened {
            Err(error) if is_busy(&error) && Instant::now() < until => std::thread::sleep(BUSY_STEP),
            opened => return opened,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Waits, serving what needs no database, until the file at the path can be served; `None` when the server stopped meanwhile.
/// `failed` is why the last attempt to open it ended; `said` is the last reason that was logged.
fn reopen(
    front: &mut Front<MioNet>, reply: &Reply, around: &mut Around, database: &Database, mut failed: Option<StartError>,
    said: &mut String,
) -> Option<Facts> {
    loop {
        let looked = match failed.take() {
            Some(error) => Err(error),
            None => inspect::database(&database.path, database.immutable),
        };
        match looked {
            Ok(facts) => return Some(facts),
            Err(error) if error.message != *said => {
                log::error!("the database was replaced and cannot be served: {error}");
                *said = error.message;
            }
            Err(_) => {}
        }
        if event_loop::serve_without(front, reply, around).is_some() {
            return None;
        }
    }
}

/// The configuration, and the state directory that it or the environment names.
pub(super) fn configuration(
    options: &Options, heap: &'static ProcessHeap, database: &Database,
) -> Result<(Configuration, State), StartError> {
    Configuration::read(options, heap, |folder| state::state(&database.facts.resolved, folder))
}

/// Finds, or for the demo makes, the database.
pub(super) fn database(options: &Options, parts: &mut Parts) -> Result<Database, StartError> {
    let (path, demo_dir) = match (&options.demo, &options.database) {
        (Some(demo), _) => {
            // The demo is made within the fixed memory too.
            parts.arenas.install(USUAL_PAGE).map_err(no_heap)?;
            crate::back::heap::lift_limit();
            let folder = match demo {
                Demo::Temporary => Some(DemoDir::create()?),
                Demo::Kept(_) => None,
            };
            let kept = if let Demo::Kept(folder) = demo { Some(folder.as_path()) } else { None };
            let dir = folder.as_ref().map(DemoDir::path).or(kept).unwrap_or(Path::new("."));
            (demo::build(dir)?, folder)
        }
        (None, Some(path)) => (path.clone(), None),
        (None, None) => return Err(StartError::usage("no database is named", "flagstone --demo")),
    };
    let facts = inspect::database(&path, options.immutable)?;
    Ok(Database { path, facts, immutable: options.immutable, _demo: demo_dir })
}

/// Gives SQLite its memory for this database's pages.
pub(super) fn install(arenas: &mut Arenas, database: &Database, state: &State) -> Result<usize, StartError> {
    let slots = arenas.install(database.facts.page_size as usize).map_err(no_heap)?;
    arenas.set_temporary_folder(&state.temporary);
    Ok(slots)
}

fn served(options: &Options, path: &Path) -> String {
    let what = match &options.demo {
        Some(Demo::Temporary) => "--demo".to_string(),
        Some(Demo::Kept(folder)) => format!("--demo {}", shell_word(folder)),
        None if options.immutable => format!("--immutable {}", shell_word(path)),
        None => shell_word(path),
    };
    options.config.as_deref().map_or(what.clone(), |file| format!("-c {} {what}", shell_word(file)))
}

fn front(
    bound: Vec<(Bound, Listening)>, regions: Regions, state: &State, started: Instant, config: Rc<Config>,
) -> Result<Front<MioNet>, StartError> {
    let mut sockets = heapless::Vec::new();
    let mut listeners = heapless::Vec::new();
    for (bound, kind) in bound {
        if sockets.push(bound.socket).is_err() || listeners.push(kind).is_err() {
            return Err(StartError::usage("more than 8 addresses", "flagstone -h"));
        }
    }
    let net = MioNet::new(sockets, started, config.from_file)
        .map_err(|error| internal(&format!("the event loop cannot be set up: {error}")))?;
    Ok(Front::new(net, setup(listeners, state, config), regions))
}

pub(super) fn setup(
    listeners: heapless::Vec<Listening, { crate::front::mio_net::MAX_LISTENERS }>, state: &State, config: Rc<Config>,
) -> Setup {
    Setup { listeners, config, tag_key: state.tag_key, hosts: Hosts::new(&block::hostname()) }
}

/// env_logger into the ring, at RUST_LOG's level or `info`. A line is `LEVEL message`; whoever collects stderr knows the time.
pub fn install_log() {
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(log::LevelFilter::Info)
        .parse_default_env()
        .target(env_logger::Target::Pipe(Box::new(log_ring::RingWriter)))
        .write_style(env_logger::WriteStyle::Never)
        .format(|out, record| writeln!(out, "{:5} {}", record.level(), record.args()));
    // A logger that somebody installed before stays; tests do that.
    let _ = builder.try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
        let text = panic.payload_as_str().unwrap_or("a payload that is no text");
        log::error!("panic at {}:{}: {text}", place.0, place.1);
    }));
    // The first line of a thread makes its buffer: now, at a level that is hardly ever off, and as long as lines get.
    log::error!("{:LONGEST_LINE$}", "");
    log_ring::discard();
}

fn print_block(
    database: &Database, listed: &[(Address, Listening)], state: &State, around: &Around, back: &Back<'_>, options: &Options,
    served: &str,
) {
    let catalog = back.catalog();
    let tables: Vec<String> = catalog.exposed().map(|table| catalog.table_name(table).to_string()).collect();
    let listen: Vec<Address> =
        listed.iter().filter(|(_, kind)| *kind == Listening::Public).map(|(address, _)| address.clone()).collect();
    let ops = listed.iter().find(|(_, kind)| *kind == Listening::Ops).map(|(address, _)| address);
    let config = around.configuration.running();
    let routes: Vec<String> =
        config.routes().iter().map(|route| format!("{} {}", route.verb.name(), config.text(route.path))).collect();
    let token = config.ops_auth.map(|token| config.text(config.tokens[usize::from(token)].name));
    let mut notes = database.facts.notes.clone();
    if around.writable {
        if database.facts.journal_mode != JournalMode::Wal {
            notes.push("switched from a rollback journal to WAL, because routes write".to_string());
        }
        notes.push(format!("writes are acknowledged when they are on disk; syncs: {}", crate::back::sync::mode()));
    }
    notes.extend(state.note.clone());
    let version = crate::cli::version();
    let block = Block {
        version: &version,
        database: &database.path,
        size: database.facts.size,
        journal_mode: match (database.immutable, database.facts.journal_mode) {
            (true, _) => "immutable",
            (false, JournalMode::Wal) => "WAL",
            (false, JournalMode::Rollback) if around.writable => "WAL",
            (false, JournalMode::Rollback) => "rollback journal",
        },
        listen: &listen,
        ops,
        hostname: &block::hostname(),
        configuration: options.config.as_deref().map(|file| (file, token)),
        routes: &routes,
        tables: &tables,
        memory_total: (PROCESS_BYTES + KERNEL_BYTES) as u64,
        notes: &notes,
        demo: options.demo.is_some() && options.config.is_none(),
        token: around.configuration.demo_token(),
        served,
    };
    // Without a reader of stdout the server serves all the same.
    let _ = std::io::stdout().write_all(block.render().as_bytes());
    let _ = std::io::stdout().flush();
}

/// What the loop asks for between requests.
struct Around {
    heap: &'static ProcessHeap,
    started: Instant,
    watched: Watched,
    configuration: Configuration,
    /// Where requests are taken.
    listen: Vec<Address>,
    /// Whether the database is open for writing.
    writable: bool,
    immutable: bool,
    checkpoints: Checkpoints,
    /// When the example gets its next readings.
    next_reading: Option<Micros>,
    sealed: Option<u64>,
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
        match back.checkpoint(what, &mut |wait| front.nested_turn(wait)) {
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
        if let Err(error) = back.run_own(demo::NEW_READINGS, &mut |wait| front.nested_turn(wait)) {
            log::warn!("the example has no new readings: {error}");
        }
        front.metrics.gap(GapCause::Fsync, back.take_longest_gap());
    }

    /// The last step of the start: everything that is made at first use is used once, every page is touched, and from here on the heap may
    /// not grow.
    fn seal(&mut self, front: &mut Front<MioNet>, conn: &Connection) -> Result<(), StartError> {
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
        self.heap.seal();
        Ok(())
    }
}

impl Surroundings for Around {
    fn read<N: Net>(&mut self, front: &mut Front<N>) {
        if let Err(error) = process::read(&mut front.readings.process) {
            log::warn!("/proc cannot be read: {error}");
        }
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
        !self.writable && !self.immutable && self.configuration.running().writes()
    }

    fn configuration_edited(&mut self) -> bool {
        self.configuration.edited()
    }

    fn change<N: Net>(&mut self, change: Change, front: &mut Front<N>, back: &mut Back<'_>) -> Result<(), Problem> {
        self.configuration.change(change, &self.listen, self.heap, front, back)
    }
}

#[inline(never)]
fn touch_stack() {
    let mut stack = [0_u8; STACK_BYTES];
    prefault(&mut stack);
}

pub(super) fn internal(what: &str) -> StartError {
    StartError::new(Exit::Internal, what, &["flagstone --version".to_string()])
}

fn no_heap(error: HeapError) -> StartError {
    match error {
        HeapError::Option(option) => internal(&format!(
            "SQLite refused its fixed memory ({option}): this binary was built without the flags in .cargo/config.toml"
        )),
        HeapError::PagesTooLarge { page, least_kib } => StartError::new(
            Exit::Database,
            format!("the database has pages of {page} bytes, of which this build's page cache holds too few"),
            &[format!("FLAGSTONE_SQLITE_PAGES_KIB={least_kib} cargo build --release")],
        ),
    }
}

pub(super) fn cannot_open(facts: &Facts, error: &rusqlite::Error) -> StartError {
    let path = facts.path.as_path();
    let path_word = shell_word(path);
    if is_busy(error) {
        let what = format!("{}: another process has locked it for writing; it can be opened when that is done", path.display());
        return StartError::new(Exit::Database, what, &[format!("fuser -v {path_word}   # who has it open")]);
    }
    if error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_ROLLBACK) {
        return inspect::hot_journal(facts);
    }
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OutOfMemory) {
        let what = format!(
            "{}: its schema needs more memory than the {} KiB that this build gives SQLite (its tables and views may number {})",
            path.display(),
            crate::budget::SQLITE_HEAP_LIMIT_BYTES / 1024,
            crate::budget::TABLES,
        );
        let larger = 4 * crate::budget::SQLITE_HEAP_KIB;
        return StartError::new(Exit::Database, what, &[format!("FLAGSTONE_SQLITE_HEAP_KIB={larger} cargo build --release")]);
    }
    StartError::new(
        Exit::Database,
        format!("{}: SQLite cannot open it: {error}", path.display()),
        &[format!("ls -l {path_word}*"), format!("sqlite3 {path_word} 'PRAGMA integrity_check'")],
    )
}

pub(super) fn cannot_read(facts: &Facts, error: &DescribeError) -> StartError {
    match error {
        DescribeError::Sqlite(error) => cannot_open(facts, error),
        DescribeError::Full(full) => StartError::new(
            Exit::Database,
            format!(
                "{}: has more than {} {}, which is what this build's catalog holds",
                facts.path.display(),
                full.limit,
                full.what
            ),
            &["FLAGSTONE_PRESET=pi-4 cargo build --release".to_string()],
        ),
    }
}
