//! The order of start-up: options, demo, database, listeners, memory, seal, block, loop; and the way back when the file is replaced.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::address::Address;
use super::around::Around;
use super::block::{self, Block};
use super::configuration::{Access, Configuration};
use super::failures::{cannot_open, cannot_read, internal, no_heap};
use super::inspect::{self, Facts, JournalMode};
use super::listen::{self, Bound};
use super::log_limit;
pub use super::logging::install_log;
use super::notify::{self, Notify};
use super::state::{self, State};
use super::watched::Watched;
use super::{Exit, StartError, reach, shell_word};
use crate::back::heap::Arenas;
use crate::back::open::{How, open};
use crate::back::{Back, SqliteError, Workspace};
use crate::budget::{ANSWER_BYTES, CONFIG_ARENA_BYTES, HEAP_BYTES, KERNEL_BYTES, PROCESS_BYTES};
use crate::cli::{Demo, Options};
use crate::config::{Config, Limits};
use crate::demo::{self, DemoDir};
use crate::event_loop::{self, End};
use crate::front::mio_net::MioNet;
use crate::front::slots::Listening;
use crate::front::{Front, Regions, Setup};
use crate::job::Reply;
use crate::memory::Heaps;
use crate::memory::StaticCell;
use crate::memory::statics::prefault;
use crate::ops::log_ring;
use crate::ops::system::Sources;
use crate::policy::checkpoints::Checkpoints;
use crate::policy::hosts::Hosts;
use crate::policy::watchdog::Watchdog;

/// The process's heaps: the binary makes them its global allocator. Configurations are read in the second.
pub type ProcessHeap = Heaps<HEAP_BYTES, CONFIG_ARENA_BYTES>;

static REPLY: StaticCell<[u8; ANSWER_BYTES]> = StaticCell::new([0; ANSWER_BYTES]);

/// Pages of a database that is not there yet (the demo's).
const USUAL_PAGE: usize = 4096;
/// Between two attempts to open a database that another process has locked.
const BUSY_STEP: Duration = Duration::from_millis(5);
/// How long the start waits for a lock of another process: as long as a request would.
pub(super) const PATIENCE: Duration = Duration::from_millis(Limits::DEFAULT.busy_ms);

/// The database that is served, from its options to its page size.
pub(super) struct Database {
    pub(super) path: PathBuf,
    pub(super) facts: Facts,
    pub(super) immutable: bool,
    /// Kept until the end: the folder goes with it.
    _demo: Option<DemoDir>,
}

impl Database {
    /// The folder of an example that goes with the server.
    pub(super) fn example(&self) -> Option<&Path> {
        self._demo.as_ref().map(DemoDir::path)
    }
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
    let (bound, _files) = listen::all(&mut configuration, options, &served)?;
    let listed: Vec<(Address, Listening)> = bound.iter().map(|(bound, kind)| (bound.address.clone(), *kind)).collect();
    let Parts { mut arenas, workspace, mut reply, regions, started } = parts;
    install_log();
    let notify = Notify::from_environment();
    let mut front = front(bound, regions, &state, started, configuration.running(), &notify)?;
    let listen = listed.iter().filter(|(_, kind)| *kind == Listening::Public).map(|(address, _)| address.clone()).collect();
    let demo = options.demo.is_some() && options.config.is_none();
    let mut around = Around {
        heap,
        started,
        watched: Watched::none(),
        sources: Sources::find(
            database.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            &state.temporary,
        ),
        configuration,
        listen,
        writable: false,
        checkpoints: Checkpoints::new(),
        next_reading: demo.then_some(0),
        sealed: None,
        sandbox: String::new(),
        hostname: block::hostname(),
        notify,
    };
    let mut said = String::new();
    let places = reach::places(&database, &state, options.config.as_deref(), listed.iter().map(|(address, _)| address.clone()));
    loop {
        let page_slots = install(&mut arenas, &database, &state);
        let end = page_slots.and_then(|page_slots| {
            let start = |front: &mut Front<MioNet>, around: &mut Around, conn: &Connection, back: &Back<'_>| {
                around.settle(front, conn)?;
                around.confine(front, !options.no_sandbox, &places);
                print_block(&database, &listed, &state, around, back, options, &served);
                around.seal();
                around.configuration.starts.serving();
                around.notify.ready();
                Ok(())
            };
            serve_open(&database, page_slots, workspace, &mut front, &mut reply, &mut around, start)
        });
        let failed = match end {
            Ok(End::Drained) => {
                log_limit::tell_all();
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
        let failed = failed.or_else(|| remove_left_log(&around, &database));
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
    let may_write = !database.immutable && database.facts.folder_writable() && database.facts.file_writable();
    if around.sealed.is_none() {
        // First to read: a start that is refused leaves the database as it is.
        let how = How { writable: false, ..how_of(database, page_slots) };
        check_to_read(database, how, workspace, front, around)?;
    }
    around.writable = front.config().writes();
    around.configuration.access = Access { may_write, writable: around.writable };
    if around.writable && !may_write {
        return Err(not_to_be_written(database));
    }
    // A reload may bring the first route that writes, and the sandbox lets nobody make a ring.
    if around.sealed.is_none() && (around.writable || may_write && front.config().from_file) {
        set_up_syncs(front);
    }
    let how = How { writable: around.writable, ..how_of(database, page_slots) };
    // Looked at before it is opened: a file that takes its place in between is then noticed.
    around.watched = Watched::of(&database.path);
    // Once there are clients, the waiting is done while they are served.
    let patience = if around.sealed.is_none() { PATIENCE } else { Duration::ZERO };
    let conn = open_patiently(&database.path, how, patience).map_err(|error| cannot_open(&database.facts, &error))?;
    let mut back = Back::new(&conn, workspace, state::random(), around.started, front.config())
        .map_err(|error| cannot_read(&database.facts, &error))?;
    around.watched.note_side_files();
    if around.writable {
        let config = front.config();
        patiently(patience, || back.prepare_writes(&config)).map_err(|error| cannot_open(&database.facts, &error))?;
    }
    front.readings.database.pages_total = page_slots as u64;
    front.readings.database.ready = true;
    if around.sealed.is_none() {
        start(front, around, &conn, &back)?;
    } else {
        log::info!("the database is open again, for {}", if around.writable { "reading and writing" } else { "reading" });
    }
    let end = event_loop::serve(front, &mut back, reply, around);
    drop(back);
    if end == End::Drained && around.writable && !around.watched.replaced() {
        // The last one out copies the WAL into the database and removes it: a copy of the file is then whole.
        let closes = conn
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map(|_| ())
            .and_then(|()| conn.close().map_err(|(_, error)| error));
        if let Err(error) = closes {
            log::warn!("the WAL stays beside the database: {error}");
        }
    }
    Ok(end)
}

fn how_of(database: &Database, page_slots: usize) -> How {
    let page_bytes = database.facts.page_size as usize;
    How { immutable: database.immutable, writable: false, page_slots, page_bytes }
}

/// Checks the configuration against the database before anything may be written.
fn check_to_read(
    database: &Database, how: How, workspace: &mut Workspace, front: &mut Front<MioNet>, around: &mut Around,
) -> Result<(), StartError> {
    let conn = open_patiently(&database.path, how, PATIENCE).map_err(|error| cannot_open(&database.facts, &error))?;
    let mut back = Back::new(&conn, workspace, state::random(), around.started, front.config())
        .map_err(|error| cannot_read(&database.facts, &error))?;
    let heap = around.heap;
    heap.aside(|| around.configuration.check_at_start(&around.listen, front, &mut back))?;
    around.configuration.tell(front);
    Ok(())
}

/// Writes need a database and a folder that may be written.
fn not_to_be_written(database: &Database) -> StartError {
    let facts = &database.facts;
    let what = match database.immutable {
        true => "the configuration has routes that write, and --immutable promises that nobody does".to_string(),
        false => {
            format!("{}: the configuration has routes that write, and uid {} may not write it", facts.path.display(), facts.uid)
        }
    };
    let path = shell_word(&facts.resolved);
    StartError::new(Exit::Database, what, &[format!("sudo chown {}:{} {path} \"$(dirname {path})\"", facts.uid, facts.gid)])
}

/// Syncs go by a ring of their own from now on, which wakes the front.
fn set_up_syncs(front: &mut Front<MioNet>) {
    use crate::back::sync;
    if sync::set_up() == sync::SyncMode::IoUring {
        let woken = sync::completion_fd().map(|descriptor| front.wake_on(descriptor));
        sync::front_is_woken(matches!(woken, Some(Ok(()))));
    }
}

/// Opens it and reads its first page; a lock of another process is waited for.
pub(super) fn open_patiently(path: &Path, how: How, patience: Duration) -> Result<Connection, SqliteError> {
    patiently(patience, || {
        let conn = open(path, how)?;
        conn.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
        Ok(conn)
    })
}

/// A WAL of ours beside a database that has taken the place of the one that it is of goes, before SQLite sees the two together.
fn remove_left_log(around: &Around, database: &Database) -> Option<StartError> {
    if !around.writable {
        return None;
    }
    match around.watched.remove_left_log() {
        Ok(false) => None,
        Ok(true) => {
            log::warn!("another database has taken the place of the one that was written; the old one's WAL is removed");
            None
        }
        Err(error) => {
            let path = database.path.display();
            let what = format!("{path}: the WAL beside it is the old database's, and cannot be removed: {error}");
            Some(StartError::new(Exit::Database, what, &[format!("rm {}-wal", shell_word(&database.path))]))
        }
    }
}

/// Tries again while another process has it locked, as long as `patience` lasts.
fn patiently<T>(patience: Duration, mut attempt: impl FnMut() -> Result<T, SqliteError>) -> Result<T, SqliteError> {
    let until = Instant::now() + patience;
    loop {
        match attempt() {
            Err(error) if error.is_busy() && Instant::now() < until => std::thread::sleep(BUSY_STEP),
            tried => return tried,
        }
    }
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
    // What is kept of an example goes with it.
    let own = database.example();
    Configuration::read(options, heap, |folder| state::state(&database.facts.resolved, folder.or(own)))
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
    bound: Vec<(Bound, Listening)>, regions: Regions, state: &State, started: Instant, config: Rc<Config>, notify: &Notify,
) -> Result<Front<MioNet>, StartError> {
    let mut sockets = heapless::Vec::new();
    let mut listeners = heapless::Vec::new();
    for (bound, kind) in bound {
        if sockets.push(bound.socket).is_err() || listeners.push(kind).is_err() {
            return Err(StartError::usage("more than 8 addresses", "flagstone -h"));
        }
    }
    let mut net = MioNet::new(sockets, started, config.from_file)
        .map_err(|error| internal(&format!("the event loop cannot be set up: {error}")))?;
    let watchdog = notify::watchdog().and_then(|interval| Some((interval, notify.second()?)));
    let interval = watchdog.map(|(interval, socket)| {
        net.feed_by(socket);
        interval
    });
    let mut front = Front::new(net, setup(listeners, state, config), regions);
    front.watch(Watchdog::new(interval));
    Ok(front)
}

pub(super) fn setup(
    listeners: heapless::Vec<Listening, { crate::front::mio_net::MAX_LISTENERS }>, state: &State, config: Rc<Config>,
) -> Setup {
    Setup { listeners, config, tag_key: state.tag_key, hosts: Hosts::new(&block::hostname()) }
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
    notes.extend(around.configuration.why_safe());
    notes.extend(around.configuration.fall().map(str::to_string));
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
        hostname: &around.hostname,
        configuration: options.config.as_deref().map(|file| (file, token)),
        routes: &routes,
        tables: &tables,
        memory_total: (PROCESS_BYTES + KERNEL_BYTES) as u64,
        sandbox: &around.sandbox,
        notes: &notes,
        demo: options.demo.is_some() && options.config.is_none(),
        token: around.configuration.demo_token(),
        served,
    };
    // Without a reader of stdout the server serves all the same.
    let _ = std::io::stdout().write_all(block.render().as_bytes());
    let _ = std::io::stdout().flush();
}
