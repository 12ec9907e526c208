//! Optional features that can be switched off: wholly, or for a share of the clients.
//!
//! A share is decided by a hash of the flag's name and the client: the same client gets the same answer as long as the share stays, those who
//! have a feature keep it as the share rises, and who has one feature early is not the same who has another early. All exempt peers are one
//! client here, so behind a proxy whose word does not count a share is all or nothing.

use core::fmt;
use core::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::clients::Client;
use crate::config;

/// Parts of the whole in which shares are measured: hundredths of a percent.
pub const WHOLE: u32 = 10_000;
/// Asks after which the seen share is compared with the wanted one.
pub const WINDOW: u32 = 1000;

/// Fixed, so that a client's place outlives a restart. It hides nothing: whoever finds an address that has a feature gains the feature.
const KEY: [u8; 16] = *b"flagstone/flags1";

/// An optional feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The cache of answers.
    Cache,
    /// Grouping of writes.
    Batching,
    /// One query for equal requests in flight.
    SingleFlight,
    /// Making critical answers before they are asked for.
    Warming,
}

impl Flag {
    /// All of them, in the order of their numbers.
    pub const ALL: [Flag; 4] = [Flag::Cache, Flag::Batching, Flag::SingleFlight, Flag::Warming];

    /// Its name in the configuration, in URLs and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Flag::Cache => "cache",
            Flag::Batching => "batching",
            Flag::SingleFlight => "single_flight",
            Flag::Warming => "warming",
        }
    }

    /// The flag with this name.
    pub fn named(name: &str) -> Option<Flag> {
        Flag::ALL.into_iter().find(|flag| flag.name() == name)
    }

    /// What it is when there is any doubt. Without the cache every answer comes by the plain path; without batching every write is a
    /// transaction of its own; without single-flight equal requests each run their query; without warming critical answers are made when
    /// asked for. Slower, each of them, and right.
    pub const fn safe(self) -> bool {
        match self {
            Flag::Cache | Flag::Batching | Flag::SingleFlight | Flag::Warming => false,
        }
    }
}

/// For how many of the clients a flag is wanted, in whole percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted(u8);

/// Why a text is no [`Wanted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedError {
    /// A number, a percentage even, but with a sign or a fraction.
    NotWhole,
    /// A whole percentage beyond 100.
    TooMuch,
    /// A number without its `%`.
    NoPercent,
    /// Nothing of the kind.
    Unknown,
}

impl fmt::Display for WantedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WantedError::NotWhole => "a share is a whole percentage, such as 25%",
            WantedError::TooMuch => "a share is at most 100%",
            WantedError::NoPercent => "a share ends in %, such as 25%",
            WantedError::Unknown => "a flag is on, off or a percentage, such as 25%",
        })
    }
}

impl Wanted {
    /// Nobody.
    pub const OFF: Wanted = Wanted(0);
    /// Everybody.
    pub const ON: Wanted = Wanted(100);

    /// A share in percent; `None` beyond 100.
    pub const fn percent(percent: u8) -> Option<Wanted> {
        if percent <= 100 { Some(Wanted(percent)) } else { None }
    }

    /// Reads `on`, `off` or a whole percentage from `0%` to `100%`, without white space.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn read(text: &str) -> Result<Wanted, WantedError> {
        match text {
            "on" => return Ok(Wanted::ON),
            "off" => return Ok(Wanted::OFF),
            _ => {}
        }
        let number = text.strip_suffix('%');
        let digits = number.unwrap_or(text);
        let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        let numeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match unsigned.split_once('.') {
            _ if number.is_none() && numeric(unsigned) => Err(WantedError::NoPercent),
            None if numeric(digits) => digits.parse().ok().and_then(Wanted::percent).ok_or(WantedError::TooMuch),
            None if numeric(unsigned) => Err(WantedError::NotWhole),
            Some((whole, part)) if (numeric(whole) || whole.is_empty()) && numeric(part) => Err(WantedError::NotWhole),
            _ => Err(WantedError::Unknown),
        }
    }

    /// The share in percent, 0 to 100.
    pub const fn in_percent(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("off"),
            100 => f.write_str("on"),
            percent => write!(f, "{percent}%"),
        }
    }
}

/// A flag as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What the configuration says; `None` when that cannot be.
    pub configured: Option<Wanted>,
    /// What was said at run time, and counts more.
    pub set: Option<Wanted>,
    /// Whether it is off whatever was said, because the server is hard pressed.
    pub forced_off: bool,
    /// Asks since the start.
    pub asked: u64,
    /// Those of them that were answered with on.
    pub on: u64,
    /// Asks that fell to the safe default because what was wanted cannot be.
    pub doubtful: u64,
    /// How far the share of the last whole window was from the wanted one, in hundredths of a percent: 0 to 10,000. `None` until a window
    /// is over in which the wanted share stayed. Clients are few and ask unevenly, so with a share between 0 and 100 some drift is nature.
    pub drift: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// In percent, as the configuration holds it: what is beyond 100 is doubt.
    configured: u8,
    set: Option<Wanted>,
    /// Off whatever was said, for the ladder's sake.
    forced_off: bool,
    asked: u64,
    on: u64,
    doubtful: u64,
    /// Asks and ons of the window that runs.
    window: (u32, u32),
    drift: Option<u16>,
}

impl State {
    const fn new(configured: u8) -> State {
        State { configured, set: None, forced_off: false, asked: 0, on: 0, doubtful: 0, window: (0, 0), drift: None }
    }

    const fn wanted(&self) -> Option<Wanted> {
        match self.set {
            _ if self.forced_off => Some(Wanted::OFF),
            Some(wanted) => Some(wanted),
            None => Wanted::percent(self.configured),
        }
    }

    /// Does `change`; a window in which two shares were wanted would measure neither, so it begins anew.
    fn change(&mut self, change: impl FnOnce(&mut State)) {
        let before = self.wanted();
        change(self);
        if self.wanted() != before {
            self.window = (0, 0);
            self.drift = None;
        }
    }

    fn count(&mut self, on: bool, wanted: u32) {
        self.asked += 1;
        self.on += u64::from(on);
        self.window.0 += 1;
        self.window.1 += u32::from(on);
        if self.window.0 == WINDOW {
            let seen = self.window.1 * (WHOLE / WINDOW);
            self.drift = Some(seen.abs_diff(wanted) as u16);
            self.window = (0, 0);
        }
    }
}

const _: () = assert!(WHOLE.is_multiple_of(WINDOW), "a window's share is measured in whole parts");

/// The flags, what was said of them at run time, and what was counted.
#[derive(Clone, Debug)]
pub struct Flags {
    states: [State; Flag::ALL.len()],
}

impl Flags {
    /// The flags of a configuration.
    pub const fn new(flags: config::Flags) -> Flags {
        let config::Flags { cache, batching, single_flight, warming } = flags;
        Flags { states: [State::new(cache), State::new(batching), State::new(single_flight), State::new(warming)] }
    }

    /// Takes over another configuration's flags; what was said at run time goes on counting more.
    pub fn configure(&mut self, flags: config::Flags) {
        let fresh = Flags::new(flags);
        for (state, fresh) in self.states.iter_mut().zip(fresh.states) {
            state.change(|state| state.configured = fresh.configured);
        }
    }

    /// Says at run time what counts more than the configuration; `None` takes that back.
    pub fn set(&mut self, flag: Flag, wanted: Option<Wanted>) {
        self.states[flag as usize].change(|state| state.set = wanted);
    }

    /// Switches a feature off whatever was said of it, or ends that.
    pub fn force_off(&mut self, flag: Flag, off: bool) {
        self.states[flag as usize].change(|state| state.forced_off = off);
    }

    /// Takes back everything that was said at run time.
    pub fn unset(&mut self) {
        for flag in Flag::ALL {
            self.set(flag, None);
        }
    }

    /// Whether `client` gets the feature; counted.
    pub fn on(&mut self, flag: Flag, client: Client) -> bool {
        let state = &mut self.states[flag as usize];
        let (on, wanted) = match state.wanted() {
            Some(wanted) => (has(flag, client, wanted), share(wanted)),
            None => {
                state.doubtful += 1;
                (flag.safe(), if flag.safe() { WHOLE } else { 0 })
            }
        };
        state.count(on, wanted);
        on
    }

    /// Whether `client` gets the feature, uncounted: for a request that will be asked for by [`Flags::on`] or counted by
    /// [`Flags::count_again`].
    pub fn gets(&self, flag: Flag, client: Client) -> bool {
        self.states[flag as usize].wanted().is_some_and(|wanted| has(flag, client, wanted))
    }

    /// Counts `times` requests of a client that [`Flags::gets`] the feature.
    pub fn count_again(&mut self, flag: Flag, times: usize) {
        let state = &mut self.states[flag as usize];
        if let Some(wanted) = state.wanted() {
            (0..times).for_each(|_| state.count(true, share(wanted)));
        }
    }

    /// What operators see of a flag.
    pub const fn seen(&self, flag: Flag) -> Seen {
        let State { configured, set, forced_off, asked, on, doubtful, drift, .. } = self.states[flag as usize];
        Seen { configured: Wanted::percent(configured), set, forced_off, asked, on, doubtful, drift }
    }
}

const fn share(wanted: Wanted) -> u32 {
    wanted.0 as u32 * (WHOLE / 100)
}

/// Whether `client` is among the share that is wanted: its place is below it, so who is in stays in as the share rises.
fn has(flag: Flag, client: Client, wanted: Wanted) -> bool {
    match wanted {
        Wanted::OFF => false,
        Wanted::ON => true,
        _ => place(flag, client) < share(wanted),
    }
}

/// Where a client stands among all, 0 to 9999, for one flag.
fn place(flag: Flag, client: Client) -> u32 {
    let mut hasher = SipHasher13::new_with_key(&KEY);
    hasher.write(flag.name().as_bytes());
    let (kind, address) = match client {
        Client::Exempt => (0, 0),
        Client::V4(address) => (4, u64::from(address)),
        Client::V6(prefix) => (6, prefix),
    };
    // Fixed lengths in a fixed byte order behind a byte that no name has, so the same on every machine.
    hasher.write(&[kind]);
    hasher.write(&address.to_le_bytes());
    (hasher.finish() % u64::from(WHOLE)) as u32
}

#[cfg(test)]
mod tests;
