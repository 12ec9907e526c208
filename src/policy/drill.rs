//! Drills: faults that an operator plants in a running server to see it fall and come back. Knows their names, what each may be told, and
//! how long it is armed; what one does is its carrier's business.
//!
//! A drill is armed for some seconds. Some act once at each of the next uses of a part, until their count is used up; others hold for the
//! whole time. None outlives [`SECONDS_MAX`], whoever forgets it.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// How long a drill stays armed unless it is told otherwise, in seconds.
pub const SECONDS: u32 = 10;
/// The longest that one may stay armed.
pub const SECONDS_MAX: u32 = 60;
/// The longest delay of one operation, in milliseconds.
pub const DELAY_MS_MAX: u32 = 10_000;
/// The most uses that one may spoil.
pub const COUNT_MAX: u32 = 1000;
/// The farthest jump of a clock, in seconds: ten years.
pub const OFFSET_MAX: i64 = 10 * 366 * 86_400;

/// What may go wrong on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drill {
    /// The next look-ups in the cache panic.
    CachePanic,
    /// The next joins of a query under way panic.
    FlightPanic,
    /// The next transactions that several writes share panic.
    BatchPanic,
    /// The next attempts to make an answer before it is asked for panic.
    WarmingPanic,
    /// The next jobs panic in the back.
    PlainPanic,
    /// The next requests for data panic in the front.
    FrontPanic,
    /// A bit of some cached bodies falls over.
    CacheFlip,
    /// Syncs take longer.
    SlowSync,
    /// Reads of the database's files take longer.
    SlowRead,
    /// Reads and writes of the database's files fail.
    IoError,
    /// Writes of the database's files find no space.
    DiskFull,
    /// The machine seems to be short of memory.
    Memory,
    /// The clock jumps.
    ClockJump,
    /// The optimised path is off.
    Fall,
    /// Both paths are off.
    LastWord,
}

/// How a drill is measured beside its seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// It holds while it is armed.
    Time,
    /// `count`: so many uses are spoilt.
    Count,
    /// `ms`: each operation takes so much longer.
    Delay,
    /// `offset`: seconds by which the clock is off, and `monotonic`.
    Offset,
}

impl Drill {
    /// All of them, in the order of their numbers.
    pub const ALL: [Drill; 15] = [
        Drill::CachePanic,
        Drill::FlightPanic,
        Drill::BatchPanic,
        Drill::WarmingPanic,
        Drill::PlainPanic,
        Drill::FrontPanic,
        Drill::CacheFlip,
        Drill::SlowSync,
        Drill::SlowRead,
        Drill::IoError,
        Drill::DiskFull,
        Drill::Memory,
        Drill::ClockJump,
        Drill::Fall,
        Drill::LastWord,
    ];

    /// Its name in URLs and pages.
    pub const fn name(self) -> &'static str {
        match self {
            Drill::CachePanic => "cache-panic",
            Drill::FlightPanic => "flight-panic",
            Drill::BatchPanic => "batch-panic",
            Drill::WarmingPanic => "warming-panic",
            Drill::PlainPanic => "plain-panic",
            Drill::FrontPanic => "front-panic",
            Drill::CacheFlip => "cache-flip",
            Drill::SlowSync => "slow-sync",
            Drill::SlowRead => "slow-read",
            Drill::IoError => "io-error",
            Drill::DiskFull => "disk-full",
            Drill::Memory => "memory",
            Drill::ClockJump => "clock-jump",
            Drill::Fall => "fall",
            Drill::LastWord => "last-word",
        }
    }

    /// The drill with this name.
    pub fn named(name: &str) -> Option<Drill> {
        Drill::ALL.into_iter().find(|drill| drill.name() == name)
    }

    /// How it is measured.
    pub const fn measure(self) -> Measure {
        match self {
            Drill::CachePanic | Drill::FlightPanic | Drill::BatchPanic | Drill::WarmingPanic => Measure::Count,
            Drill::PlainPanic | Drill::FrontPanic | Drill::CacheFlip => Measure::Count,
            Drill::SlowSync | Drill::SlowRead => Measure::Delay,
            Drill::ClockJump => Measure::Offset,
            Drill::IoError | Drill::DiskFull | Drill::Memory | Drill::Fall | Drill::LastWord => Measure::Time,
        }
    }

    /// What it may be told, in the order of [`Word`].
    pub const fn words(self) -> &'static [Word] {
        match self.measure() {
            Measure::Time => &[Word::Seconds],
            Measure::Count => &[Word::Seconds, Word::Count],
            Measure::Delay => &[Word::Seconds, Word::Ms],
            Measure::Offset => &[Word::Seconds, Word::Offset, Word::Monotonic],
        }
    }
}

/// What an order may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// How long it is armed; 0 takes it back.
    Seconds,
    /// How many uses are spoilt.
    Count,
    /// How much longer each operation takes.
    Ms,
    /// By how many seconds the clock is off.
    Offset,
    /// Whether the monotonic clock jumps too, for good, because it cannot go back.
    Monotonic,
}

impl Word {
    /// Its name in a body.
    pub const fn name(self) -> &'static str {
        match self {
            Word::Seconds => "seconds",
            Word::Count => "count",
            Word::Ms => "ms",
            Word::Offset => "offset",
            Word::Monotonic => "monotonic",
        }
    }

    /// Its least and its greatest value.
    pub const fn range(self) -> (i64, i64) {
        match self {
            Word::Seconds => (0, SECONDS_MAX as i64),
            Word::Count => (1, COUNT_MAX as i64),
            Word::Ms => (1, DELAY_MS_MAX as i64),
            Word::Offset => (-OFFSET_MAX, OFFSET_MAX),
            Word::Monotonic => (0, 1),
        }
    }
}

/// An order, as its body gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// How long it is armed; 0 takes it back.
    pub seconds: u32,
    /// How many uses are spoilt.
    pub count: u32,
    /// How much longer each operation takes, in milliseconds.
    pub delay_ms: u32,
    /// By how many seconds the clock is off.
    pub offset: i64,
    /// Whether the monotonic clock jumps too.
    pub monotonic: bool,
}

impl Order {
    /// What an empty body means.
    pub const DEFAULT: Order = Order { seconds: SECONDS, count: 1, delay_ms: 100, offset: 3600, monotonic: false };

    /// Says one word more; false when the value is out of its range.
    pub fn say(&mut self, word: Word, value: i64) -> bool {
        let (least, most) = word.range();
        if value < least || value > most {
            return false;
        }
        match word {
            Word::Seconds => self.seconds = value as u32,
            Word::Count => self.count = value as u32,
            Word::Ms => self.delay_ms = value as u32,
            Word::Offset => self.offset = value,
            Word::Monotonic => self.monotonic = value == 1,
        }
        true
    }
}

/// A drill as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How long it is armed still; `None` when it is not.
    pub left: Option<Micros>,
    /// How often it has acted since the start.
    pub acted: u64,
    /// When it was last ordered, in Unix seconds.
    pub drilled_at: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    until: Micros,
    /// Uses still to be spoilt.
    left: u32,
    order: Order,
    acted: u64,
    drilled_at: Option<u64>,
}

/// The drills, and which of them are armed.
#[derive(Clone, Debug)]
pub struct Drills<const N: usize> {
    rows: [Row; N],
    /// A bit for each that is armed: where nothing is, nothing else is looked at.
    armed: u32,
    /// When the first of them ends.
    next_end: Micros,
}

/// No drill is armed.
pub const NEVER: Micros = Micros::MAX;

impl<const N: usize> Drills<N> {
    /// None is armed.
    pub const fn new() -> Drills<N> {
        const { assert!(N <= u32::BITS as usize, "a bit for each") };
        Drills {
            rows: [Row { until: 0, left: 0, order: Order::DEFAULT, acted: 0, drilled_at: None }; N],
            armed: 0,
            next_end: NEVER,
        }
    }

    /// Arms the drill at a place anew, or with no seconds takes it back. `unix` is the time of day.
    pub fn arm(&mut self, place: usize, order: Order, now: Micros, unix: u64) {
        let row = &mut self.rows[place];
        row.order = order;
        row.until = now + u64::from(order.seconds) * 1_000_000;
        row.left = order.count;
        if order.seconds > 0 {
            row.drilled_at = Some(unix);
            self.armed |= 1 << place;
        } else {
            self.armed &= !(1 << place);
        }
        self.find_end();
    }

    /// Whether this use of a part is to be spoilt; it is counted then.
    #[inline]
    pub fn take(&mut self, place: usize, now: Micros) -> bool {
        self.armed & 1 << place != 0 && self.take_armed(place, now)
    }

    fn take_armed(&mut self, place: usize, now: Micros) -> bool {
        let row = &mut self.rows[place];
        let due = now < row.until && row.left > 0;
        if due {
            row.left -= 1;
            row.acted += 1;
        }
        if !due || row.left == 0 {
            self.armed &= !(1 << place);
            self.find_end();
        }
        due
    }

    /// What was ordered, while it holds.
    #[inline]
    pub fn holds(&self, place: usize, now: Micros) -> Option<Order> {
        let armed = self.armed & 1 << place != 0;
        armed.then(|| self.rows[place]).filter(|row| now < row.until).map(|row| row.order)
    }

    /// Whether any is armed.
    pub const fn any(&self) -> bool {
        self.armed != 0
    }

    /// Counts something that a drill did while it held.
    pub fn acted(&mut self, place: usize) {
        self.rows[place].acted += 1;
    }

    /// When the first of those that are armed ends.
    pub const fn next_end(&self) -> Micros {
        self.next_end
    }

    /// Ends what is over: a bit for each that has just ended.
    pub fn end(&mut self, now: Micros) -> u32 {
        let mut ended = 0;
        for (place, row) in self.rows.iter().enumerate() {
            ended |= u32::from(self.armed & 1 << place != 0 && row.until <= now) << place;
        }
        self.armed &= !ended;
        self.find_end();
        ended
    }

    /// What operators see of a drill.
    pub fn seen(&self, place: usize, now: Micros) -> Seen {
        let row = &self.rows[place];
        let left = self.holds(place, now).map(|_| row.until - now);
        Seen { left, acted: row.acted, drilled_at: row.drilled_at }
    }

    fn find_end(&mut self) {
        let armed = self.rows.iter().enumerate().filter(|(place, _)| self.armed & 1 << place != 0);
        self.next_end = armed.map(|(_, row)| row.until).min().unwrap_or(NEVER);
    }
}

impl<const N: usize> Default for Drills<N> {
    fn default() -> Drills<N> {
        Drills::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Micros = 1_000_000;

    fn order(seconds: u32, count: u32) -> Order {
        Order { seconds, count, ..Order::DEFAULT }
    }

    #[test]
    fn a_counted_drill_spoils_so_many_uses_and_no_more() {
        let mut drills = Drills::<2>::new();
        assert!(!drills.take(0, 0));
        drills.arm(0, order(10, 2), S, 77);
        assert_eq!(drills.next_end(), 11 * S);
        assert!(!drills.take(1, S), "another one");
        assert_eq!([2, 3, 4].map(|at| drills.take(0, at * S)), [true, true, false]);
        assert_eq!(drills.seen(0, 4 * S), Seen { left: None, acted: 2, drilled_at: Some(77) });
        assert_eq!(drills.next_end(), NEVER);
    }

    #[test]
    fn no_drill_outlives_its_time_and_one_can_be_taken_back() {
        let mut drills = Drills::<2>::new();
        drills.arm(0, order(5, 9), 0, 1);
        drills.arm(1, order(9, 9), 0, 2);
        assert_eq!((drills.next_end(), drills.end(4 * S)), (5 * S, 0));
        assert!(drills.holds(0, 5 * S - 1).is_some() && drills.holds(0, 5 * S).is_none());
        assert!(!drills.take(0, 5 * S), "its time is over, told of or not");
        drills.arm(0, order(5, 9), 0, 1);
        assert_eq!((drills.end(5 * S), drills.next_end()), (0b01, 9 * S));
        assert_eq!(drills.end(5 * S), 0, "it ends once");
        drills.arm(1, order(0, 9), 6 * S, 3);
        assert_eq!((drills.holds(1, 6 * S), drills.next_end()), (None, NEVER));
        assert_eq!(drills.seen(1, 6 * S).drilled_at, Some(2), "taking one back is no drill");
    }

    #[test]
    fn arming_anew_replaces_what_was_ordered() {
        let mut drills = Drills::<2>::new();
        drills.arm(0, order(60, 1000), 0, 1);
        drills.arm(0, Order { delay_ms: 7, ..order(1, 1) }, S, 2);
        assert_eq!(drills.holds(0, S).map(|order| order.delay_ms), Some(7));
        assert_eq!(drills.seen(0, S), Seen { left: Some(S), acted: 0, drilled_at: Some(2) });
        assert_eq!([drills.take(0, S), drills.take(0, S)], [true, false]);
    }

    #[test]
    fn words_have_their_range() {
        let cases = [
            (Word::Seconds, 0, true),
            (Word::Seconds, 60, true),
            (Word::Seconds, 61, false),
            (Word::Seconds, -1, false),
            (Word::Count, 0, false),
            (Word::Count, 1000, true),
            (Word::Ms, 10_001, false),
            (Word::Offset, -OFFSET_MAX, true),
            (Word::Offset, OFFSET_MAX + 1, false),
            (Word::Monotonic, 1, true),
            (Word::Monotonic, 2, false),
        ];
        for (word, value, fits) in cases {
            let mut order = Order::DEFAULT;
            assert_eq!(order.say(word, value), fits, "{} = {value}", word.name());
        }
    }

    #[test]
    fn every_drill_has_its_place_and_its_name() {
        for (place, drill) in Drill::ALL.into_iter().enumerate() {
            assert_eq!((drill as usize, Drill::named(drill.name())), (place, Some(drill)));
            assert_eq!(drill.words()[0], Word::Seconds);
        }
        assert_eq!(Drill::named("earthquake"), None);
    }
}
