//! What a simulation is told: which faults happen, how long it runs, and which bug is planted in it.

/// A kind of trouble that a simulation makes unless it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// System calls are interrupted, waits end without an event.
    Interrupt,
    /// The kernel takes less than there is room for, or nothing, for want of memory.
    Pressure,
    /// Descriptors run out for a while.
    Descriptors,
    /// Connections end before they are accepted.
    Abort,
    /// Clients vanish by a reset or stop answering.
    Vanish,
    /// Clients send requests that are none.
    Malformed,
    /// Clients send and take their bytes slowly.
    Slow,
    /// The database is locked by others.
    Busy,
    /// A long step of a query keeps the front from its turn.
    Gaps,
    /// Jobs panic.
    Panic,
    /// The server is stopped at some moment.
    Drain,
}

impl Fault {
    /// Every fault with its name on the command line.
    pub const ALL: [(Fault, &'static str); 11] = [
        (Fault::Interrupt, "interrupt"),
        (Fault::Pressure, "pressure"),
        (Fault::Descriptors, "descriptors"),
        (Fault::Abort, "abort"),
        (Fault::Vanish, "vanish"),
        (Fault::Malformed, "malformed"),
        (Fault::Slow, "slow"),
        (Fault::Busy, "busy"),
        (Fault::Gaps, "gaps"),
        (Fault::Panic, "panic"),
        (Fault::Drain, "drain"),
    ];
}

/// A set of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults(u32);

impl Faults {
    /// No trouble.
    pub const NONE: Faults = Faults(0);
    /// All of it.
    pub const ALL: Faults = Faults((1 << Fault::ALL.len()) - 1);

    /// Whether a fault is among them.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & 1 << fault as u32 != 0
    }

    /// The faults that a list names, divided by commas; `all` and `none` are lists too.
    ///
    /// # Errors
    /// The first name that is no fault's.
    pub fn parse(list: &str) -> Result<Faults, String> {
        match list {
            "all" => return Ok(Faults::ALL),
            "none" => return Ok(Faults::NONE),
            _ => {}
        }
        list.split(',').try_fold(Faults::NONE, |faults, word| {
            let found = Fault::ALL.iter().find(|(_, name)| *name == word);
            found.map(|&(fault, _)| Faults(faults.0 | 1 << fault as u32)).ok_or_else(|| word.to_owned())
        })
    }
}

/// A bug that is planted around the front, to see that the simulation finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The network forgets an edge: a lost wake-up.
    LostEdge,
    /// The network forgets to tell of a reset: a slot is kept for nobody.
    DeafToReset,
    /// Sockets that the front has dropped stay open: a leak.
    LeakedSocket,
    /// The network says that it took more than it did: bytes of an answer are lost.
    LostBytes,
    /// What is written is written twice.
    DoubleAnswer,
    /// Waits last ten times as long as asked: missed deadlines.
    Oversleep,
    /// A job is answered with the reply of the one before it.
    WrongReply,
    /// A job is started from inside a running one.
    NestedJob,
    /// A finished job is handed back as if its client had gone: its request is never answered.
    ForgottenAnswer,
    /// The front learns of commits late.
    LaggingState,
    /// The back names the state of its rows after it has read them.
    LateStamp,
}

impl Plant {
    /// Every plant with its name on the command line.
    pub const ALL: [(Plant, &'static str); 11] = [
        (Plant::LostEdge, "lost-edge"),
        (Plant::DeafToReset, "deaf-to-reset"),
        (Plant::LeakedSocket, "leaked-socket"),
        (Plant::LostBytes, "lost-bytes"),
        (Plant::DoubleAnswer, "double-answer"),
        (Plant::Oversleep, "oversleep"),
        (Plant::WrongReply, "wrong-reply"),
        (Plant::NestedJob, "nested-job"),
        (Plant::ForgottenAnswer, "forgotten-answer"),
        (Plant::LaggingState, "lagging-state"),
        (Plant::LateStamp, "late-stamp"),
    ];

    /// The plant of a name.
    pub fn parse(word: &str) -> Option<Plant> {
        Plant::ALL.iter().find(|(_, name)| *name == word).map(|&(plant, _)| plant)
    }
}

/// How one simulation runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Calls of the front after which a run ends, whatever is under way.
    pub steps: usize,
    /// The trouble that is made.
    pub faults: Faults,
    /// Whether every step is printed.
    pub verbose: bool,
    /// The bug to be found.
    pub plant: Option<Plant>,
}

impl Options {
    /// All faults, no bug, as long as it takes.
    pub const DEFAULT: Options = Options { steps: 200_000, faults: Faults::ALL, verbose: false, plant: None };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_lists_have_their_meaning() {
        let faults = Faults::parse("slow,drain").unwrap();
        assert!(faults.has(Fault::Slow) && faults.has(Fault::Drain) && !faults.has(Fault::Busy));
        assert_eq!(Faults::parse("slow,fast"), Err("fast".to_owned()));
        assert!(Fault::ALL.iter().all(|&(fault, name)| Faults::ALL.has(fault) && Faults::parse(name).unwrap().has(fault)));
    }
}
