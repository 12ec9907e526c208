//! The table: what each alert watches, from which value on it is how bad, how long that has to last, and what is done about it.

use super::Level;

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A share of a whole.
    Ratio,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Degrees Celsius.
    Celsius,
    /// How many: now, or in the last five minutes.
    Count,
    /// 0 or 1.
    State,
}

impl Unit {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Ratio => "ratio",
            Unit::Seconds => "seconds",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "bytes_per_second",
            Unit::Celsius => "celsius",
            Unit::Count => "count",
            Unit::State => "state",
        }
    }
}

/// Which side of a threshold is the bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// At the threshold or above it.
    From,
    /// Below it.
    Below,
}

/// One alert's rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name in pages, metrics and log.
    pub name: &'static str,
    /// What its value counts.
    pub unit: Unit,
    /// The bad side.
    pub side: Side,
    /// The threshold of each level, in thousandths of the unit; levels without one never come on.
    pub thresholds: [Option<i64>; Level::ALL.len()],
    /// How long a level's condition holds before it comes on, in seconds.
    pub after: u32,
    /// How long it does not hold before the level goes off, in seconds.
    pub clear: u32,
    /// What is wrong, in a few words.
    pub wrong: &'static str,
    /// What is done about it: by the server where it does something, else by whom it tells.
    pub doing: &'static str,
}

impl Rule {
    /// Whether `value` is on the bad side of a level's threshold.
    pub fn holds(&self, level: Level, value: Option<i64>) -> bool {
        value.zip(self.thresholds[level as usize]).is_some_and(|(value, threshold)| match self.side {
            Side::From => value >= threshold,
            Side::Below => value < threshold,
        })
    }
}

const MIB: i64 = 1024 * 1024 * 1000;
const ONE: i64 = 1000;

macro_rules! alerts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $unit:ident $side:ident [$warning:expr, $high:expr, $critical:expr]
        after $after:literal clear $clear:literal, $wrong:literal, $doing:literal;)+) => {
        /// Everything that may be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Alert { $($(#[$doc])* $variant,)+ }

        impl Alert {
            /// In the order of the pages: what is scarcest first.
            pub const ALL: [Alert; [$(Alert::$variant),+].len()] = [$(Alert::$variant),+];

            /// Its rule.
            pub const fn rule(self) -> &'static Rule {
                match self {
                    $(Alert::$variant => &Rule {
                        name: $name, unit: Unit::$unit, side: Side::$side, thresholds: [$warning, $high, $critical],
                        after: $after, clear: $clear, wrong: $wrong, doing: $doing,
                    },)+
                }
            }
        }
    };
}

alerts! {
    /// Share of the machine's memory that is in use: 300, 400 and 450 of 512 MB.
    SystemMemory = "system_memory" Ratio From [Some(590), Some(780), Some(880)] after 10 clear 30,
        "the machine is short of memory", "from 88 % on the cache is cleared and its pages are given back, until use has stayed lower";
    /// Share of the cgroup's limit.
    CgroupMemory = "cgroup_memory" Ratio From [Some(850), Some(920), Some(970)] after 10 clear 30,
        "the memory cgroup is nearly full", "raise MemoryMax to what --budget prints, or look who else is in the cgroup";
    /// Share of the time in which some task waited for memory.
    MemoryPressure = "memory_pressure" Ratio From [Some(100), Some(250), Some(500)] after 10 clear 30,
        "tasks wait for memory", "look which process grows; this one cannot";
    /// RssAnon as a share of the sheet's process sum.
    OwnMemory = "own_memory" Ratio From [None, None, Some(1020)] after 10 clear 60,
        "this process uses more than its sheet says", "please report it with /-/status and /-/budget";
    /// Growth of RssAnon over 15 minutes. The kernel counts pages in bundles for each processor: what is less than 512 KiB in an hour is none.
    MemorySlope = "memory_slope" BytesPerSecond From [Some(150 * ONE), None, None] after 60 clear 300,
        "this process's memory grows", "please report it with /-/status from before and after";
    /// Whether Rust's heap lives on its reserve.
    HeapReserve = "heap_reserve" State From [None, None, Some(ONE)] after 0 clear 10,
        "the heap is used up", "new work is refused until the reserve is whole";
    /// SQLite's heap against its limit.
    SqliteHeap = "sqlite_heap" Ratio From [Some(850), Some(950), None] after 5 clear 30,
        "SQLite's heap is nearly full", "queries that need more are answered 503";
    /// Bytes that nothing else may take the place of, as a share of the cache.
    CacheBytes = "cache_bytes" Ratio From [Some(700), Some(850), Some(950)] after 10 clear 30,
        "critical answers fill the cache", "the rest of the answers is kept for a shorter time";
    /// Entries as a share of the places: 400 and 475 of 500.
    CacheEntries = "cache_entries" Ratio From [Some(800), Some(950), None] after 60 clear 60,
        "the cache's places are nearly all taken", "entries leave by what they are worth";
    /// Share of the cacheable requests of five minutes that needed no query of their own; from 200 on.
    HitRate = "hit_rate" Ratio Below [Some(700), None, None] after 60 clear 120,
        "the cache spares few queries", "look whether ttl or writes are in its way: /-/status, cache_gone";
    /// Damaged entries in five minutes.
    CacheDamage = "cache_damage" Count From [None, Some(ONE), Some(3 * ONE)] after 0 clear 60,
        "cached answers were damaged", "damaged entries are dropped; after several the cache rests. Check the machine's memory";
    /// Whether the cache rests.
    CacheResting = "cache_resting" State From [Some(ONE), None, None] after 5 clear 10,
        "the cache is out of use", "requests go to the database; it comes back by itself";
    /// Public slots that cannot be reclaimed.
    PoolUse = "pool_use" Ratio From [Some(700), Some(850), Some(950)] after 5 clear 15,
        "connections are nearly all in use", "idle connections make room, then newcomers are turned away";
    /// Share of the connections of five minutes that ended in failure; from 20 on.
    FailedConnections = "failed_connections" Ratio From [Some(50), Some(200), None] after 30 clear 60,
        "connections fail", "see which reason rises: /-/status, closed";
    /// Open descriptors against their limit.
    Descriptors = "descriptors" Ratio From [Some(800), Some(900), Some(970)] after 10 clear 30,
        "file descriptors are nearly used up", "accepting rests while there are none";
    /// Descriptors that belong to no connection and were not there at the start.
    StrayDescriptors = "stray_descriptors" Count From [Some(16 * ONE), Some(64 * ONE), None] after 120 clear 60,
        "descriptors leak", "please report it with /-/status";
    /// How long a connection has been past its deadline.
    OverdueConnection = "overdue_connection" Seconds From [Some(10 * ONE), Some(60 * ONE), None] after 0 clear 10,
        "a connection has outlived its deadline", "the next sweep ends it; after a long query that is as it should be";
    /// How long the oldest request has waited for the database.
    QueueWait = "queue_wait" Seconds From [Some(200), Some(500), None] after 3 clear 10,
        "requests wait for the database", "what can be answered from the cache is; the newest others are shed";
    /// How long the oldest write has waited.
    WriteWait = "write_wait" Seconds From [Some(500), Some(2 * ONE), None] after 3 clear 10,
        "writes wait", "a batch takes all that wait, and each still ends at its deadline";
    /// The ladder's step.
    Ladder = "ladder" Count From [Some(ONE), Some(2 * ONE), Some(3 * ONE)] after 0 clear 10,
        "the server gives up something to go on", "1: less comfort. 2: newest requests are shed. 3: memory is given back. 4: health alone";
    /// How many causes the breaker is open for.
    Breaker = "breaker" Count From [None, Some(ONE), None] after 0 clear 10,
        "the database fails again and again", "it is left alone for a while, then a few probes tell whether it works again";
    /// The longest time between two turns of the last minute.
    LoopGap = "loop_gap" Seconds From [Some(250), Some(ONE), Some(5 * ONE)] after 0 clear 60,
        "the server was held up", "see by what: /-/status, longest_gap_us";
    /// Whether there is no database.
    Database = "database" State From [None, None, Some(ONE)] after 2 clear 2,
        "the database cannot be opened", "it is tried again ten times a second; the log says why";
    /// Requests of five minutes that were refused because of another process's lock.
    LockContention = "lock_contention" Count From [Some(ONE), Some(20 * ONE), None] after 0 clear 60,
        "another process keeps the database locked", "requests are tried again until the busy timeout; end the other's long transactions";
    /// Queries of five minutes that were stopped at their limit.
    QueryTimeouts = "query_timeouts" Count From [Some(5 * ONE), Some(50 * ONE), None] after 0 clear 60,
        "queries are stopped at their limit", "--check prints each route's plan: an index may be missing";
    /// The write-ahead log.
    WalBytes = "wal_bytes" Bytes From [Some(64 * MIB), Some(256 * MIB), Some(1024 * MIB)] after 10 clear 30,
        "the write-ahead log is long", "it is copied and cut as soon as no reader is in the way";
    /// The wal-index against what the sheet allows it.
    WalIndex = "wal_index" Ratio From [Some(500), Some(800), Some(ONE)] after 10 clear 30,
        "the wal-index fills its part of the sheet", "who writes should checkpoint more often; see who reads: /-/status, system.wal";
    /// How long the same reader, or a checkpoint that does not get on, has kept the write-ahead log.
    WalReader = "wal_reader" Seconds From [Some(60 * ONE), Some(600 * ONE), Some(3600 * ONE)] after 0 clear 5,
        "a reader keeps the write-ahead log from being copied", "end its transaction: /-/status says which process, system.wal.pinned";
    /// What is left where database and state are, the less of the two.
    DiskSpace = "disk_space" Bytes Below [Some(512 * MIB), Some(128 * MIB), Some(32 * MIB)] after 10 clear 60,
        "the disk is nearly full", "writes that find no room are answered 507 and lose nothing";
    /// Mean time of a sync over five minutes; from 5 syncs on.
    SlowSyncs = "slow_syncs" Seconds From [Some(200), Some(ONE), None] after 10 clear 60,
        "the disk takes long to keep what is written", "writes share syncs; the card may be worn out";
    /// Syncs of five minutes that failed.
    FailedSyncs = "failed_syncs" Count From [None, None, Some(ONE)] after 0 clear 60,
        "the disk did not keep what was written", "the database is opened anew and nothing lost is acknowledged; save the data";
    /// Share of the time in which all tasks waited for a disk.
    IoPressure = "io_pressure" Ratio From [Some(300), Some(600), None] after 60 clear 60,
        "everybody waits for the disk", "look who writes; cached answers go on";
    /// The board's temperature.
    Temperature = "temperature" Celsius From [Some(75 * ONE), Some(80 * ONE), Some(85 * ONE)] after 30 clear 60,
        "the board is hot", "from 80 degrees on the firmware slows it down: give it air";
    /// Whether the processor is slowed down.
    Throttled = "throttled" State From [Some(ONE), None, None] after 10 clear 60,
        "the firmware slows the processor down", "give the board air, or a better supply";
    /// Whether the supply is too weak.
    UnderVoltage = "under_voltage" State From [None, Some(ONE), None] after 5 clear 60,
        "the supply's voltage is too low", "use a supply and a cable that are made for this board: cards lose data otherwise";
    /// Whether the last configuration was refused.
    ConfigReload = "config_reload" State From [Some(ONE), None, None] after 0 clear 0,
        "the last configuration was refused", "the one before it goes on; /-/status says what is wrong with the new one";
    /// Whether file, running version and flags say different things.
    ConfigDrift = "config_drift" State From [Some(ONE), None, None] after 600 clear 0,
        "what runs is not what the file says", "POST /-/reload, or write down what was set at run time";
    /// How far a flag's seen share is from the wanted one.
    FlagDrift = "flag_drift" Ratio From [Some(100), None, None] after 60 clear 60,
        "a flag reaches other clients than it should", "few clients make a coarse share; see /-/flags";
    /// Asks of five minutes that fell to a flag's safe default.
    FlagDoubt = "flag_doubt" Count From [Some(ONE), None, None] after 0 clear 60,
        "a flag's setting was in doubt", "its safe default is in use; see /-/flags";
    /// Whether a part of the sandbox is off.
    Sandbox = "sandbox" State From [Some(ONE), None, None] after 0 clear 0,
        "a part of the sandbox is off", "the rest is in force; /-/status says why, in sandbox";
    /// The path that answers: 1 for the plain one, 2 for static bytes.
    Path = "path" Count From [Some(ONE), None, Some(2 * ONE)] after 2 clear 5,
        "a part of the fast path, or all of it, is off", "the next path answers; what is off is probed and comes back by itself";
    /// Falls of five minutes from one path to a lower one.
    Falls = "falls" Count From [Some(ONE), Some(20 * ONE), None] after 0 clear 60,
        "answers came by a lower path", "the next path answered; see flagstone_falls_total for the reason";
    /// Panics of five minutes.
    Panics = "panics" Count From [None, Some(ONE), Some(5 * ONE)] after 0 clear 60,
        "a part of the server panicked", "what it served was ended, the rest goes on; please report the log's line";
    /// Lines of five minutes that nobody took.
    LogDropped = "log_dropped" Count From [Some(ONE), None, None] after 0 clear 60,
        "log lines are lost", "whoever reads stderr is too slow";
    /// Tokens of five minutes that nobody has.
    WrongTokens = "wrong_tokens" Count From [Some(20 * ONE), None, None] after 0 clear 120,
        "somebody tries tokens", "who fails often is refused unheard for a while";
}
