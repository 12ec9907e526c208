//! Which configuration the server starts with: the file's, else the last good copy or none at all, as far as that was asked for.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::rc::Rc;

use super::{Configuration, StartError};
use crate::back::Back;
use crate::config::history::{self, Changed, Outcome};
use crate::config::{self, Config, Expose, Flags};
use crate::front::Front;
use crate::front::net::Net;
use crate::start::address::Address;

/// Where the configuration that the server starts with comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The file.
    File,
    /// The last good copy.
    Copy,
    /// Nowhere: nothing is served but health.
    Nothing,
}

/// What the operators' pages say of it.
const FELL_BACK: &str = "the file was refused at the start; the last good copy runs";
const NOTHING_RUNS: &str = "the file was refused at the start, and there is no copy that can be used; nothing is served";

const ALL_OFF: Flags = Flags::OFF;

impl Configuration {
    /// What the start block says when it is not the file that runs.
    pub(in crate::start) fn fall(&self) -> Option<&'static str> {
        match self.source {
            Source::File => None,
            Source::Copy => Some("the last good copy of the configuration runs, not the file"),
            Source::Nothing => Some(NOTHING_RUNS),
        }
    }

    /// What the start block says when it is safe without having been told to be.
    pub(in crate::start) fn why_safe(&self) -> Option<String> {
        let before = self.starts.before();
        let counted = self.safe && before > 0;
        counted.then(|| format!("{before} starts in a row came to no good end: optimisations are off, as with --safe"))
    }

    /// Whether it may be listened there: with no usable configuration, on this machine alone.
    pub(in crate::start) fn may_listen(&self, address: &Address) -> bool {
        self.source != Source::Nothing || near(address.clone()) == *address
    }

    /// The file is broken: the last good copy instead, where that was asked for.
    pub(super) fn fall_back(&mut self, error: StartError) -> Result<(), StartError> {
        if !self.fallback {
            return Err(error);
        }
        if !self.take_good() {
            let more = self.kept.note().map_or_else(|| "there is no last good copy yet".to_string(), str::to_string);
            return Err(StartError { message: format!("{}\n  --fallback cannot help: {more}", error.message), ..error });
        }
        self.note_fall(&error, FELL_BACK);
        Ok(())
    }

    /// Optimisations off, and the last configuration that is known to work; with none, nothing but loopback and no tables. `refused` is what is
    /// wrong with the file.
    pub(super) fn be_safe(&mut self, refused: Option<StartError>) {
        if self.file.is_some() && !self.take_good() {
            // A copy that is broken has taken the file's room.
            self.source = Source::File;
            if refused.is_some() || self.read_running().is_err() {
                bare(own(&mut self.running));
                (self.source, self.running_hash) = (Source::Nothing, 0);
            }
        }
        if let Some(error) = refused {
            self.note_fall(&error, if self.source == Source::Copy { FELL_BACK } else { NOTHING_RUNS });
        }
        own(&mut self.running).flags = ALL_OFF;
    }

    /// Whether there was a good copy that is the running one now.
    fn take_good(&mut self) -> bool {
        let Some(text) = self.kept.good(&mut self.room) else { return false };
        let good = config::read(text, own(&mut self.running), &mut self.mistakes).is_ok();
        self.len = text.len();
        self.running_hash = history::hash(text.as_bytes());
        self.source = Source::Copy;
        good
    }

    /// Checks the SQL against the database, and who could write, and notes that the server starts with it. What does not fit the database is
    /// as good as broken: the next choice takes its place, where that was asked for.
    ///
    /// # Errors
    /// 78 with every mistake.
    pub(in crate::start) fn check_at_start<N: Net>(
        &mut self, listen: &[Address], front: &mut Front<N>, back: &mut Back<'_>,
    ) -> Result<(), StartError> {
        if self.file.is_none() {
            return Ok(());
        }
        if let Err(error) = self.validate(back, listen) {
            self.choose_again(error, listen, front, back)?;
        }
        if self.source == Source::File {
            self.keep_good();
        }
        let now = front.unix_time();
        self.record(Outcome::Started, Changed::new(), now);
        Ok(())
    }

    fn choose_again<N: Net>(
        &mut self, error: StartError, listen: &[Address], front: &mut Front<N>, back: &mut Back<'_>,
    ) -> Result<(), StartError> {
        let wanted = (self.fallback || self.safe) && self.source == Source::File;
        if wanted && self.swap_to_good(front, back) && self.validate(back, listen).is_ok() {
            self.note_fall(&error, FELL_BACK);
            return Ok(());
        }
        if !self.safe {
            return Err(error);
        }
        let next = own(&mut self.next);
        bare(next);
        next.flags = ALL_OFF;
        self.swap(front, back);
        (self.source, self.running_hash) = (Source::Nothing, 0);
        self.note_fall(&error, NOTHING_RUNS);
        Ok(())
    }

    /// Whether there was a good copy, which everybody has now.
    fn swap_to_good<N: Net>(&mut self, front: &mut Front<N>, back: &mut Back<'_>) -> bool {
        let Some(text) = self.kept.good(&mut self.room) else { return false };
        let next = own(&mut self.next);
        if config::read(text, next, &mut self.mistakes).is_err() {
            return false;
        }
        if self.safe {
            next.flags = ALL_OFF;
        }
        self.len = text.len();
        self.running_hash = history::hash(text.as_bytes());
        self.source = Source::Copy;
        self.swap(front, back);
        true
    }

    fn note_fall(&mut self, error: &StartError, what: &str) {
        // The logger may not be there yet, and nobody else is: standard error itself.
        let _ = writeln!(std::io::stderr(), "ERROR {}\nERROR {what}", error.message);
        self.note_error(what);
        self.seen.last_successful = false;
        self.seen.failures += 1;
    }
}

/// What is served when nothing else can be: health.
fn bare(config: &mut Config) {
    config.reset();
    config.from_file = true;
    config.expose = Expose::Nothing;
}

/// The same port on this machine alone.
pub(super) fn near(address: Address) -> Address {
    match address {
        Address::Tcp(address) if !address.ip().is_loopback() => Address::Tcp((Ipv4Addr::LOCALHOST, address.port()).into()),
        near => near,
    }
}

fn own(config: &mut Rc<Config>) -> &mut Config {
    Rc::get_mut(config).expect("nobody else has it")
}
