//! Which configuration runs: read at start, read again when asked, prepared whole beside the running one, and swapped or kept out.
//!
//! All that is allocated for reading one comes from the second heap and goes back to it.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::address::Address;
use super::kept::Kept;
use super::serve::{PATIENCE, ProcessHeap};
use super::starts::Starts;
use super::state::{self, State};
use super::{Exit, StartError, shell_word};
use crate::api::problem::Problem;
use crate::back::Back;
use crate::budget::CONFIG_FILE_BYTES;
use crate::cli::Options;
use crate::config::history::{self, Changed, History, Outcome};
use crate::config::{self, Config, Flags, Limits, Mistakes};
use crate::demo;
use crate::event_loop::nested_turn;
use crate::front::Front;
use crate::front::net::Net;
use crate::job::{Change, Go};
use crate::ops::readings;
use crate::policy::credentials;

mod at_start;
mod objections;

use objections::{cannot_read, check_open_writes, refused};

/// One byte more than the longest file, so that a longer one is known as such.
const ROOM: usize = CONFIG_FILE_BYTES + 1;

/// What a file looked like when it was looked at: inode, size, and time of change in ns.
type Look = (u64, u64, i128);

/// The running configuration, the room for the next one, and what is known of the file.
pub(super) struct Configuration {
    file: Option<PathBuf>,
    running: Rc<Config>,
    /// Nobody else's but while it is made the running one.
    next: Rc<Config>,
    mistakes: Mistakes,
    room: Box<[u8]>,
    /// The bytes in `room` that were read last.
    len: usize,
    /// The running one's text, by its hash.
    running_hash: u64,
    /// The hash of what the file held when it was read last.
    file_hash: u64,
    /// The file when it was read last, and at the last look.
    looks: (Option<Look>, Option<Look>),
    /// Whether the database may be written, and whether it is open for that now.
    pub(super) access: Access,
    /// Limits and flags were reset, so the file says otherwise.
    was_reset: bool,
    /// The token of the example's own configuration.
    demo_token: Option<heapless::String<{ credentials::TOKEN_CHARS }>>,
    /// Where the one that the server starts with comes from.
    source: at_start::Source,
    /// Whether the start may take the last good copy, and whether it is to come about whatever is broken.
    fallback: bool,
    safe: bool,
    /// This start among those before it, for who asked for counting.
    pub(super) starts: Starts,
    history: History,
    kept: Kept,
    seen: readings::Configuration,
}

/// How the database may be used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Access {
    /// File and folder may be written, and nobody promised that they are not.
    pub(super) may_write: bool,
    /// It is open for writing.
    pub(super) writable: bool,
}

impl Configuration {
    /// Reads the file that the options name. What is wrong is an error with every mistake in it, unless the last good copy may be used.
    ///
    /// # Errors
    /// 78 with every mistake, 66 is not among them: the database has not been looked at.
    pub(super) fn read(
        options: &Options, heap: &'static ProcessHeap, state: impl FnOnce(Option<&Path>) -> State,
    ) -> Result<(Configuration, State), StartError> {
        let mut made = Configuration::empty(options);
        if options.demo.is_some() && options.config.is_none() {
            made.demo_token = heap.aside(|| made.be_the_demos());
        }
        let read = heap.aside(|| made.read_running());
        let folder = made.running.state.filter(|_| read.is_ok()).map(|span| PathBuf::from(made.running.text(span)));
        let state = state(folder.as_deref());
        made.kept = match &state.folder {
            Some(folder) => Kept::open(folder, &mut made.history),
            None => Kept::nowhere(state.note.clone().unwrap_or_default()),
        };
        made.starts = match (options.safe_after, &state.folder) {
            (Some(_), Some(folder)) => Starts::count(folder),
            _ => Starts::not_counted(),
        };
        made.safe |= options.safe_after.is_some_and(|most| made.starts.before() >= most);
        heap.aside(|| match read {
            _ if made.safe => {
                made.be_safe(read.err());
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(error) => made.fall_back(error),
        })?;
        Ok((made, state))
    }

    /// The file alone, without what was kept of earlier ones.
    ///
    /// # Errors
    /// 78 with every mistake.
    pub(super) fn alone(options: &Options) -> Result<Configuration, StartError> {
        let mut made = Configuration::empty(options);
        made.read_running()?;
        Ok(made)
    }

    fn empty(options: &Options) -> Configuration {
        Configuration {
            file: options.config.clone(),
            running: Rc::new(Config::new()),
            next: Rc::new(Config::new()),
            mistakes: Mistakes::new(),
            room: vec![0; ROOM].into_boxed_slice(),
            len: 0,
            running_hash: 0,
            file_hash: 0,
            looks: (None, None),
            access: Access::default(),
            was_reset: false,
            demo_token: None,
            source: at_start::Source::File,
            fallback: options.fallback,
            safe: options.safe,
            starts: Starts::not_counted(),
            history: History::new(),
            kept: Kept::nowhere(String::new()),
            seen: readings::Configuration::default(),
        }
    }

    /// The running one.
    pub(super) fn running(&self) -> Rc<Config> {
        Rc::clone(&self.running)
    }

    /// The token that the example's write route asks for.
    pub(super) fn demo_token(&self) -> Option<&str> {
        self.demo_token.as_deref()
    }

    /// The example's routes, beside everything that is served without a configuration.
    fn be_the_demos(&mut self) -> Option<heapless::String<{ credentials::TOKEN_CHARS }>> {
        let token = credentials::make(state::random_token());
        let digest = credentials::digest_text(&credentials::digest(token.as_bytes()));
        let text = format!("{}\n[tokens]\ningest = \"{digest}\"\n", demo::CONFIGURATION);
        let running = Rc::get_mut(&mut self.running).expect("nobody has it before the start");
        let read = config::read(&text, running, &mut self.mistakes);
        assert!(read.is_ok(), "the example's configuration is right");
        running.from_file = false;
        Some(token)
    }

    /// The file, as messages name it.
    fn name(&self) -> String {
        self.file.as_ref().map_or_else(String::new, |file| file.display().to_string())
    }

    fn read_running(&mut self) -> Result<(), StartError> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        self.fill().map_err(|error| cannot_read(&file, &error))?;
        let running = Rc::get_mut(&mut self.running).expect("nobody has it before the start");
        config::read_bytes(&self.room[..self.len], running, &mut self.mistakes).map_err(|_| self.refusal())?;
        self.running_hash = self.file_hash;
        Ok(())
    }

    /// Reads the file into the room.
    fn fill(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        self.len = 0;
        // What cannot be opened is not tried again at every look.
        self.looks.0 = look(file);
        let mut open = std::fs::File::open(file)?;
        loop {
            match open.read(&mut self.room[self.len..]) {
                Ok(0) => break,
                Ok(count) => self.len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.file_hash = history::hash(&self.room[..self.len]);
        Ok(())
    }

    /// The same while it serves: a pipe would be waited for, and an empty file is what a full disk leaves of an edit.
    fn fill_again(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if !std::fs::metadata(file)?.is_file() {
            self.looks.0 = look(file);
            return Err(io::Error::other("it is no regular file"));
        }
        self.fill()?;
        if self.room[..self.len].trim_ascii().is_empty() {
            return Err(io::Error::other("it is empty"));
        }
        Ok(())
    }

    /// All mistakes, as an error of the start.
    fn refusal(&self) -> StartError {
        let mut text = String::new();
        let rendered = self.mistakes.render(&self.name(), &self.room[..self.len], &mut text);
        debug_assert!(rendered.is_ok(), "a string takes all text");
        let count = self.mistakes.count();
        let file = self.file.as_deref().unwrap_or(Path::new("flagstone.toml"));
        StartError::new(
            Exit::Configuration,
            format!("{}: {count} mistake{} in the configuration\n\n{text}", self.name(), if count == 1 { "" } else { "s" }),
            &[
                format!("flagstone -c {} --check DATABASE   # when it is mended", shell_word(file)),
                "flagstone --example   # a configuration that works".to_string(),
            ],
        )
    }

    /// The addresses to listen on: the command line's, else the file's. With `safe` and nothing usable there is none.
    ///
    /// # Errors
    /// 78 for text that is no address.
    pub(super) fn listen(&mut self, options: &Options) -> Result<Vec<Address>, StartError> {
        let spans: Vec<_> = self.running.listen.iter().copied().collect();
        let listed = if options.listen.is_empty() { self.addresses("listen", &spans)? } else { options.listen.clone() };
        let listed = if listed.is_empty() { vec![Address::default()] } else { listed };
        Ok(if self.source == at_start::Source::Nothing { listed.into_iter().map(at_start::near).collect() } else { listed })
    }

    /// The operators' address, likewise.
    ///
    /// # Errors
    /// 78 for text that is no address.
    pub(super) fn ops(&mut self, options: &Options) -> Result<Option<Address>, StartError> {
        let listed: Vec<_> = self.running.ops.into_iter().collect();
        let listed = self.addresses("ops", &listed)?;
        let ops = options.ops.clone().or(listed.into_iter().next());
        let any_port = |address: &Address| matches!(address, Address::Tcp(address) if address.port() == 0);
        if ops.as_ref().is_some_and(|ops| !any_port(ops) && self.listen(options).is_ok_and(|listen| listen.contains(ops))) {
            let text = std::str::from_utf8(&self.room[..self.len]).unwrap_or_default();
            self.mistakes.at_key(
                text,
                "ops",
                format_args!("listen names this address too"),
                format_args!("give one of them another port"),
            );
            return Err(self.refusal());
        }
        Ok(ops)
    }

    fn addresses(&mut self, key: &str, spans: &[crate::memory::Span]) -> Result<Vec<Address>, StartError> {
        let mut addresses = Vec::new();
        self.mistakes.clear();
        for &span in spans {
            let text = self.running.text(span);
            match text.parse::<Address>() {
                Ok(address) => addresses.push(address),
                Err(error) => {
                    let file = std::str::from_utf8(&self.room[..self.len]).unwrap_or_default();
                    let hint = format!("write {key} = \"{}\"", error.suggestion());
                    self.mistakes.at_key(file, key, format_args!("{key}: {text}: {error}"), format_args!("{hint}"));
                }
            }
        }
        if self.mistakes.is_empty() { Ok(addresses) } else { Err(self.refusal()) }
    }

    /// Checks the SQL against the database, and who could write.
    ///
    /// # Errors
    /// 78 with every mistake.
    pub(super) fn validate(&mut self, back: &mut Back<'_>, listen: &[Address]) -> Result<(), StartError> {
        self.mistakes.clear();
        let running = Rc::clone(&self.running);
        let text = std::str::from_utf8(&self.room[..self.len]).unwrap_or_default();
        back.check(&running, text, &mut self.mistakes, u64::MAX, &mut |_| Go::On);
        check_open_writes(&running, text, listen, &mut self.mistakes);
        if !self.mistakes.is_empty() {
            self.mistakes.sort();
            return Err(self.refusal());
        }
        Ok(())
    }

    /// Whether the file has been edited and has lain still for a look since: an editor may write it in pieces.
    pub(super) fn edited(&mut self) -> bool {
        let Some(file) = &self.file else { return false };
        let now = look(file);
        let still = std::mem::replace(&mut self.looks.1, now) == now;
        // A missing file is a rename in progress, or an editor's way to write.
        now.is_some() && still && now != self.looks.0
    }

    /// Changes the running configuration, or keeps it and says why. Requests go on being served meanwhile.
    ///
    /// # Errors
    /// A problem for whoever asked; the log says more.
    pub(super) fn change<N: Net>(
        &mut self, change: Change, listen: &[Address], heap: &'static ProcessHeap, front: &mut Front<N>, back: &mut Back<'_>,
    ) -> Result<(), Problem> {
        if self.file.is_none() {
            return Err(Problem::new(409, "no-configuration", "There is no configuration")
                .detail(format_args!("The server was started without -c."))
                .hint(format_args!("flagstone --example > flagstone.toml, then flagstone -c flagstone.toml DATABASE")));
        }
        let changed = heap.aside(|| self.prepare(change, listen, front, back));
        let now = front.unix_time();
        let outcome = match (&changed, change) {
            (Ok(None), _) => {
                self.tell(front);
                return Ok(());
            }
            (Err(_), _) => Outcome::Refused,
            (Ok(_), Change::Reload) => Outcome::Reloaded,
            (Ok(_), Change::Rollback) => Outcome::RolledBack,
            (Ok(_), Change::Reset) => Outcome::Reset,
        };
        let result = match changed {
            Ok(keys) => {
                self.swap(front, back);
                self.was_reset = change == Change::Reset;
                if self.was_reset {
                    front.forget_set_flags();
                }
                if change != Change::Reset {
                    self.keep_good();
                }
                self.record(outcome, keys.unwrap_or_default(), now);
                Ok(())
            }
            // There was nothing to try.
            Err(problem) if problem.status == 409 => Err(problem),
            Err(problem) => {
                self.note_error(&problem.detail);
                self.seen.last_successful = false;
                self.seen.failures += 1;
                self.record(outcome, Changed::new(), now);
                Err(problem)
            }
        };
        self.tell(front);
        result
    }

    /// Makes the next configuration ready; the keys that it changes, or `None` when it is what runs already.
    fn prepare<N: Net>(
        &mut self, change: Change, listen: &[Address], front: &mut Front<N>, back: &mut Back<'_>,
    ) -> Result<Option<Changed>, Problem> {
        self.load(change)?;
        let hash = history::hash(&self.room[..self.len]);
        if hash == self.running_hash && !self.was_reset && change == Change::Reload {
            self.seen.last_successful = true;
            self.seen.error.clear();
            return Ok(None);
        }
        let next = Rc::get_mut(&mut self.next).expect("the next configuration is nobody else's");
        let read = config::read_bytes(&self.room[..self.len], next, &mut self.mistakes);
        if read.is_ok() {
            if change == Change::Reset {
                (next.limits, next.flags) = (Limits::DEFAULT, Flags::DEFAULT);
            }
            if self.safe {
                next.flags = Flags::OFF;
            }
            let text = std::str::from_utf8(&self.room[..self.len]).unwrap_or_default();
            let deadline = front.now() + PATIENCE.as_micros() as u64;
            back.check(next, text, &mut self.mistakes, deadline, &mut |wait| nested_turn(front, wait));
            check_open_writes(next, text, listen, &mut self.mistakes);
            if let Some(route) = next.routes().iter().find(|route| route.verb.writes() && !self.access.may_write) {
                let hint = format_args!("start the server as a user who may write it, without --immutable");
                self.mistakes.at_line(text, route.line, format_args!("the database may not be written"), hint);
            }
        }
        if !self.mistakes.is_empty() {
            self.mistakes.sort();
            log::error!("the configuration is refused, the running one stays\n{}", self.refusal().message);
            return Err(refused(&self.mistakes));
        }
        if self.access.writable {
            back.prepare_writes(next).map_err(|error| {
                log::error!("the configuration is refused, the running one stays: {error}");
                Problem::new(503, "database-busy", "The database is not ready").detail(format_args!("{error}"))
            })?;
        }
        let changes = config::changed_keys(&self.running, next);
        if changes.names.iter().any(|name| matches!(name.as_str(), "listen" | "ops" | "state")) {
            log::warn!("listen, ops and state change at the next start only");
        }
        self.running_hash = hash;
        Ok(Some(history::changed(changes.names.iter().map(|name| name.as_str()))))
    }

    /// Brings the text of the next configuration into the room.
    fn load(&mut self, change: Change) -> Result<(), Problem> {
        let found = match change {
            Change::Reload => {
                return self.fill_again().map_err(|error| {
                    log::error!("{}: the configuration cannot be read: {error}", self.name());
                    Problem::new(422, "configuration-refused", "The configuration cannot be read").detail(format_args!("{error}"))
                });
            }
            Change::Rollback => self.kept.before(&mut self.room).map(str::len),
            Change::Reset => self.kept.good(&mut self.room).map(str::len),
        };
        self.len = found.ok_or_else(|| {
            Problem::new(409, "nothing-kept", "There is nothing to go back to")
                .detail(format_args!("The state directory holds no such copy. {}", self.kept.note().unwrap_or_default()))
        })?;
        Ok(())
    }

    fn swap<N: Net>(&mut self, front: &mut Front<N>, back: &mut Back<'_>) {
        drop(back.set_config(Rc::clone(&self.next)));
        drop(front.set_config(Rc::clone(&self.next)));
        std::mem::swap(&mut self.running, &mut self.next);
        assert_eq!(Rc::strong_count(&self.next), 1, "whoever had the old configuration has the new one now");
    }

    fn keep_good(&mut self) {
        let text = std::str::from_utf8(&self.room[..self.len]).unwrap_or_default();
        if let Err(error) = self.kept.keep_good(text) {
            log::error!("the configuration's copy cannot be kept: {error}");
        }
        self.seen.last_successful = true;
        self.seen.error.clear();
    }

    fn record(&mut self, outcome: Outcome, changed: Changed, now: u64) {
        let hash = if outcome == Outcome::Refused { self.file_hash } else { self.running_hash };
        let version = self.history.record(hash, now, outcome, changed);
        if outcome != Outcome::Refused {
            (self.seen.number, self.seen.since) = (version.number, now);
        }
        let space = if version.changed.is_empty() { "" } else { " " };
        log::info!("configuration {}: {} {hash:016x}{space}{}", version.number, outcome.name(), version.changed);
        if let Err(error) = self.kept.record(&version) {
            log::error!("the configuration's audit cannot be kept: {error}");
        }
    }

    fn note_error(&mut self, text: &str) {
        self.seen.error.clear();
        for letter in text.chars() {
            if self.seen.error.push(letter).is_err() {
                break;
            }
        }
    }

    /// Tells the operators' pages.
    pub(super) fn tell<N: Net>(&mut self, front: &mut Front<N>) {
        let seen = &mut self.seen;
        seen.present = self.file.is_some();
        seen.hash = self.running_hash;
        seen.file_differs = self.file.is_some() && (self.file_hash != self.running_hash || self.was_reset);
        seen.kept = self.kept.note().is_none();
        seen.versions.clear();
        for version in self.history.newest_first() {
            // As many as the pages show.
            let line = heapless::String::try_from(version.line().trim_end()).unwrap_or_default();
            if seen.versions.push(line).is_err() {
                break;
            }
        }
        front.readings.configuration.clone_from(seen);
    }
}

fn look(file: &Path) -> Option<Look> {
    let metadata = std::fs::metadata(file).ok()?;
    let changed = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Some((metadata.ino(), metadata.len(), changed))
}
