//! Every limit with its unit, its reason and its proof. Knows nothing of the rest of the program.
//!
//! A size is a build constant: it comes from the preset (`FLAGSTONE_PRESET`) unless a variable of its own name overrides
//! it while building. The two sums, of process and of kernel memory, are asserted against the total below, so a build that does
//! not fit does not compile and says by how much.

/// One build constant, as `--budget` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable that overrides it at build time.
    pub variable: &'static str,
    /// What it is built with.
    pub value: usize,
    /// What one of it is.
    pub unit: &'static str,
    /// Why it exists, in one line.
    pub why: &'static str,
}

/// The preset this binary was built with.
pub const PRESET: &str = match option_env!("FLAGSTONE_PRESET") {
    Some(name) => name,
    None => "pi-zero-2w",
};

const PRESET_INDEX: usize = if equal(PRESET, "tiny") {
    0
} else if equal(PRESET, "pi-zero-2w") {
    1
} else if equal(PRESET, "pi-4") {
    2
} else {
    panic!("FLAGSTONE_PRESET must be one of tiny, pi-zero-2w, pi-4")
};

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A whole number from a build variable; anything else stops the build.
const fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    assert!(!bytes.is_empty() && bytes.len() < 10, "a FLAGSTONE_ size must be a whole number of 1 to 9 digits");
    let mut value = 0;
    let mut i = 0;
    while i < bytes.len() {
        assert!(bytes[i].is_ascii_digit(), "a FLAGSTONE_ size must be a whole number, digits only");
        value = value * 10 + (bytes[i] - b'0') as usize;
        i += 1;
    }
    value
}

macro_rules! settings {
    ($($(#[doc = $why:literal])+ $name:ident = $variable:literal [$tiny:expr, $zero:expr, $four:expr] $unit:literal;)+) => {
        $($(#[doc = $why])+ pub const $name: usize = match option_env!($variable) {
            Some(text) => number(text),
            None => [$tiny, $zero, $four][PRESET_INDEX],
        };)+

        /// Every build constant in the order of the sheet.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            variable: $variable, value: $name, unit: $unit, why: first_line(&[$($why),+]),
        }),+];
    };
}

const fn first_line(lines: &[&'static str]) -> &'static str {
    lines[0]
}

settings! {
    /// All memory, process and kernel, that this build may ever cause.
    TOTAL_MIB = "FLAGSTONE_TOTAL_MIB" [8, 200, 400] "MiB";
    /// Connections served at once on the public listeners.
    SLOTS = "FLAGSTONE_SLOTS" [10, 50, 200] "slots";
    /// Connections that only the /-/ listener may take, so that health answers on a full server.
    OPS_SLOTS = "FLAGSTONE_OPS_SLOTS" [2, 2, 4] "slots";
    /// Turned-away connections whose 503 or 429 is still on its way; beyond them it is sent without waiting.
    REFUSAL_SLOTS = "FLAGSTONE_REFUSAL_SLOTS" [4, 8, 32] "slots";
    /// Connections of one client address; run-time configuration may lower it.
    SLOTS_PER_CLIENT = "FLAGSTONE_SLOTS_PER_CLIENT" [5, 15, 60] "slots";
    /// The longest request head: request line and fields. More is a 431.
    HEAD_BYTES = "FLAGSTONE_HEAD_BYTES" [4096, 8192, 8192] "bytes";
    /// The longest request target. More is a 414.
    TARGET_BYTES = "FLAGSTONE_TARGET_BYTES" [3072, 6144, 6144] "bytes";
    /// The longest request body, decoded. More is a 413.
    BODY_BYTES = "FLAGSTONE_BODY_BYTES" [4096, 24_576, 65_536] "bytes";
    /// The longest answer body. A page of rows ends before it; a single row beyond it is an error.
    ANSWER_KIB = "FLAGSTONE_ANSWER_KIB" [128, 1024, 1024] "KiB";
    /// Answers that clients have not taken yet, all connections together, in blocks of 4 KiB.
    OUTPUT_KIB = "FLAGSTONE_OUTPUT_KIB" [208, 4096, 32_768] "KiB";
    /// Answers kept for the next who ask the same, with their heads. 0 keeps none.
    CACHE_MIB = "FLAGSTONE_CACHE_MIB" [0, 25, 100] "MiB";
    /// How many answers are kept at most.
    CACHE_ENTRIES = "FLAGSTONE_CACHE_ENTRIES" [64, 500, 2000] "entries";
    /// The longest body that is kept.
    CACHE_BODY_BYTES = "FLAGSTONE_CACHE_BODY_BYTES" [32_768, 102_400, 262_144] "bytes";
    /// SQLite's heap: memsys5 in a static arena.
    SQLITE_HEAP_KIB = "FLAGSTONE_SQLITE_HEAP_KIB" [1024, 8192, 16_384] "KiB";
    /// SQLite's page cache: slots of the database's own page size.
    SQLITE_PAGES_KIB = "FLAGSTONE_SQLITE_PAGES_KIB" [256, 3584, 16_384] "KiB";
    /// The longest text, blob or row inside SQLite; it bounds the largest allocation and by that the heap's fragmentation.
    SQLITE_LENGTH_KIB = "FLAGSTONE_SQLITE_LENGTH_KIB" [128, 1024, 1024] "KiB";
    /// Prepared statements held between requests.
    STATEMENTS = "FLAGSTONE_STATEMENTS" [8, 32, 64] "statements";
    /// Rust's heap: what start-up allocates, and room for a panic and for a database that is opened anew.
    HEAP_KIB = "FLAGSTONE_HEAP_KIB" [224, 448, 768] "KiB";
    /// Log lines that stderr has not taken yet; beyond it lines are dropped and counted.
    LOG_KIB = "FLAGSTONE_LOG_KIB" [8, 64, 64] "KiB";
    /// One connection's kernel send buffer, as asked for; the kernel books twice that.
    SEND_BUFFER_KIB = "FLAGSTONE_SEND_BUFFER_KIB" [8, 32, 64] "KiB";
    /// One connection's kernel receive buffer, as asked for; the kernel books twice that.
    RECEIVE_BUFFER_KIB = "FLAGSTONE_RECEIVE_BUFFER_KIB" [4, 16, 32] "KiB";
    /// Connections that the kernel has completed and we have not accepted yet.
    BACKLOG = "FLAGSTONE_BACKLOG" [32, 128, 512] "connections";
    /// The longest temporary file of a large sort; beyond it the query is a 507.
    TEMP_FILE_MIB = "FLAGSTONE_TEMP_FILE_MIB" [32, 128, 512] "MiB";
    /// The longest configuration file; it is refused beyond that before it is parsed. All its strings fit the same number of bytes.
    CONFIG_FILE_KIB = "FLAGSTONE_CONFIG_FILE_KIB" [8, 64, 64] "KiB";
    /// Named routes.
    ROUTES = "FLAGSTONE_ROUTES" [16, 64, 256] "routes";
    /// Parameters of all named routes together.
    ROUTE_PARAMS = "FLAGSTONE_ROUTE_PARAMS" [64, 384, 1536] "parameters";
    /// Memory in which a configuration is read and checked: the most that the worst file of the longest length takes.
    CONFIG_ARENA_KIB = "FLAGSTONE_CONFIG_ARENA_KIB" [256, 2048, 4608] "KiB";
    /// The most writes in one transaction.
    BATCH = "FLAGSTONE_BATCH" [16, 64, 64] "writes";
    /// Growth of the wal-index, caused by whoever writes: 32 KiB for every 4,096 frames of WAL.
    WAL_INDEX_KIB = "FLAGSTONE_WAL_INDEX_KIB" [256, 1024, 1024] "KiB";
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Every connection that may exist: public, reserved for /-/, and being turned away.
pub const CONNECTIONS: usize = SLOTS + OPS_SLOTS + REFUSAL_SLOTS;
const _: () = assert!(SLOTS >= 1 && OPS_SLOTS >= 1 && REFUSAL_SLOTS >= 1);
const _: () = assert!(CONNECTIONS <= 60_000, "slot numbers are 16 bits");

/// Requests whose bytes may be held: one a connection that can ask, one more so that a connection can be closed and
/// taken anew while its old request still runs.
pub const EXCHANGES: usize = SLOTS + OPS_SLOTS + 1;

/// What a chunked body's extensions and trailers may take beside head and body (`http/chunked.rs` bounds them).
pub const FRAMING_BYTES: usize = 2 * KIB;
/// One request of the largest size, with what may follow it in the pipeline.
pub const REQUEST_BYTES: usize = HEAD_BYTES + BODY_BYTES + FRAMING_BYTES;
const _: () = assert!(HEAD_BYTES >= 1024 && HEAD_BYTES <= 65_535, "FLAGSTONE_HEAD_BYTES must be 1024 to 65535");
const _: () = assert!(TARGET_BYTES + 256 <= HEAD_BYTES, "FLAGSTONE_TARGET_BYTES must leave 256 bytes of the head for fields");

/// The longest answer body in bytes.
pub const ANSWER_BYTES: usize = ANSWER_KIB * KIB;
const _: () = assert!(ANSWER_KIB >= 16, "FLAGSTONE_ANSWER_KIB must be at least 16");
/// The longest answer head: status line and fields, a Link with its token included.
pub const ANSWER_HEAD_BYTES: usize = 8 * KIB;
/// An operator's page (metrics, status, budget) is rendered here before it is queued; `ops/tests.rs` holds the longest of each to it.
pub const OPS_ANSWER_BYTES: usize = 52 * KIB + ROUTES * 4 * 192;

/// Output waits in blocks of this size: small enough that a 1 KB answer wastes little, large enough that 1 MiB is one writev of 64 and then some.
pub const OUTPUT_BLOCK_BYTES: usize = 4 * KIB;
/// Number of output blocks.
pub const OUTPUT_BLOCKS: usize = OUTPUT_KIB * KIB / OUTPUT_BLOCK_BYTES;
const _: () = assert!(
    OUTPUT_BLOCKS * OUTPUT_BLOCK_BYTES >= ANSWER_BYTES + 2 * ANSWER_HEAD_BYTES + OPS_ANSWER_BYTES,
    "FLAGSTONE_OUTPUT_KIB must hold one answer of the largest size with its head, and an operator's page beside it"
);
const _: () = assert!(OUTPUT_BLOCKS < 65_535, "block numbers are 16 bits");

/// The cache's arena is of blocks of this size: an answer of 1 KB with its head fits one.
pub const CACHE_BLOCK_BYTES: usize = 2 * KIB;
/// Number of the cache's blocks.
pub const CACHE_BLOCKS: usize = CACHE_MIB * MIB / CACHE_BLOCK_BYTES;
const _: () = assert!(CACHE_BLOCKS < 65_535, "block numbers are 16 bits: FLAGSTONE_CACHE_MIB must be below 128");
const _: () = assert!(CACHE_ENTRIES >= 1 && CACHE_ENTRIES < 30_000, "FLAGSTONE_CACHE_ENTRIES must be 1 to 29999");
const _: () = assert!(
    CACHE_MIB == 0 || 4 * (CACHE_BODY_BYTES + ANSWER_HEAD_BYTES) <= CACHE_MIB * MIB,
    "FLAGSTONE_CACHE_MIB must hold four entries of the largest size, or be 0"
);
const _: () = assert!(CACHE_BODY_BYTES <= ANSWER_BYTES, "FLAGSTONE_CACHE_BODY_BYTES must not exceed the longest answer");
/// Places of the cache's index: a power of two, at most half full.
pub const CACHE_TABLE: usize = (2 * CACHE_ENTRIES).next_power_of_two();
/// Keys of evicted answers that are remembered: the policy wants twice the entries, in fours.
pub const CACHE_GHOSTS: usize = (2 * CACHE_ENTRIES).next_multiple_of(4);
/// What so many entries cost beside their blocks: places with a bit for each table, shares of the eviction lists and ghosts, and the index and
/// the shortcuts from raw targets, which have a power of two of places.
pub const fn cache_state_bytes(entries: usize) -> usize {
    entries * CACHE_ENTRY_STATE_BYTES + (2 * entries).next_power_of_two() * 56 + 256
}
/// One entry's part that grows with nothing but their number.
const CACHE_ENTRY_STATE_BYTES: usize = 296 + TABLES / 8;
/// All entries' state: boxed at start in Rust's heap, which is larger by that; `front/cache.rs` asserts that it fits.
pub const CACHE_STATE_BYTES: usize = cache_state_bytes(CACHE_ENTRIES);

/// Answers that one connection may have ready and unsent: a pipelining client gets them in one writev.
pub const PIPELINE: usize = 16;

/// A head of at most this length is remembered beside its slot, so that it need not be read again when it comes again: what programs and
/// most browsers send.
pub const REPEAT_BYTES: usize = 512;

/// SQLite's heap in bytes.
pub const SQLITE_HEAP_BYTES: usize = SQLITE_HEAP_KIB * KIB;
/// SQLite's page cache in bytes.
pub const SQLITE_PAGES_BYTES: usize = SQLITE_PAGES_KIB * KIB;
/// SQLITE_LIMIT_LENGTH in bytes.
pub const SQLITE_LENGTH_BYTES: usize = SQLITE_LENGTH_KIB * KIB;
/// memsys5's smallest allocation in bytes: larger units lower the bound's ratio n, smaller ones waste less.
pub const SQLITE_UNIT_BYTES: usize = 64;
/// The most that SQLite may have allocated at any time so that no request ever fails by fragmentation: memsys5's published bound
/// N >= M * (1 + log2(n) / 2) - n + 1 solved for M. n is the largest allocation in units of the smallest: the longest value and its header,
/// rounded up to a power of two, or the largest power of two within M, since nothing larger is ever given.
pub const SQLITE_HEAP_LIMIT_BYTES: usize = {
    let units = SQLITE_HEAP_BYTES / SQLITE_UNIT_BYTES;
    let mut n = (2 * SQLITE_LENGTH_BYTES).next_power_of_two() / SQLITE_UNIT_BYTES;
    loop {
        let most = 2 * (units + n - 1) / (2 + n.ilog2() as usize);
        if n <= most {
            break most * SQLITE_UNIT_BYTES;
        }
        n /= 2;
    }
};
const _: () = assert!(
    SQLITE_HEAP_BYTES >= 4 * SQLITE_LENGTH_BYTES,
    "FLAGSTONE_SQLITE_HEAP_KIB must be at least 4 times FLAGSTONE_SQLITE_LENGTH_KIB"
);

/// The longest temporary file in bytes.
pub const TEMP_FILE_BYTES: usize = TEMP_FILE_MIB * MIB;

/// The longest configuration file in bytes.
pub const CONFIG_FILE_BYTES: usize = CONFIG_FILE_KIB * KIB;
const _: () = assert!(CONFIG_FILE_KIB >= 1 && CONFIG_FILE_KIB <= 64, "FLAGSTONE_CONFIG_FILE_KIB must be 1 to 64");
/// One configuration: its text, its routes and parameters, and 8 KiB for the rest; `config` asserts it.
pub const CONFIG_BYTES: usize = CONFIG_FILE_BYTES + ROUTES * 160 + ROUTE_PARAMS * 96 + 8 * KIB;
/// Where a configuration is read and checked, in bytes; `tests/memory_config.rs` measures what the worst file takes.
pub const CONFIG_ARENA_BYTES: usize = CONFIG_ARENA_KIB * KIB;
/// The running configuration and the next one, room for a file, and its mistakes.
pub const CONFIGS_BYTES: usize = 2 * CONFIG_BYTES + CONFIG_FILE_BYTES + 24 * KIB;

const _: () = assert!(BATCH >= 1 && BATCH <= 128, "FLAGSTONE_BATCH must be 1 to 128");
/// One write of a batch with its outcome; `job` asserts it.
pub const BATCH_ITEM_BYTES: usize = 720;
/// A whole batch.
pub const BATCH_BYTES: usize = BATCH * BATCH_ITEM_BYTES + 64;

/// Clients whose requests are counted apart where the configuration limits their rate; all others share one bucket.
pub const RATE_CLIENTS: usize = [64, 256, 1024][PRESET_INDEX];
/// What admission remembers: rates of clients, times and breakers of routes; `front/pressure.rs` asserts it.
pub const PRESSURE_BYTES: usize = RATE_CLIENTS * 32 + ROUTES * 64 + 2 * KIB;

/// Rust's heap in bytes: `HEAP_KIB`, and the state of cache, configuration, batch and admission beside it.
pub const HEAP_BYTES: usize = HEAP_KIB * KIB + CACHE_STATE_BYTES + CONFIGS_BYTES + BATCH_BYTES + PRESSURE_BYTES;
/// Part of Rust's heap that is set aside at start: when the rest is used up it is released, and new work is refused.
pub const HEAP_RESERVE_BYTES: usize = 32 * KIB;
/// What start-up allocates there beside the cache's state, at most: slots, queues and buffers of connections, and what does not grow with
/// them; of a connection's share 184 bytes at most are for the tables of clients and of waiting requests. Measured, and held by the memory tests.
pub const START_UP_BYTES: usize = 64 * KIB + CONNECTIONS * (KIB + REPEAT_BYTES + 320) + 2 * (TARGET_BYTES + BODY_BYTES);
/// What is left for the little that allocates after start-up: a panic's payload, a database that is opened anew. A Rust allocation that fails
/// would end the process.
pub const HEAP_SPARE_BYTES: usize = 64 * KIB;
const _: () = assert!(
    HEAP_KIB * KIB >= START_UP_BYTES + HEAP_RESERVE_BYTES + HEAP_SPARE_BYTES,
    "FLAGSTONE_HEAP_KIB must hold what start-up allocates, the reserve and 64 KiB to spare"
);
/// The log ring in bytes.
pub const LOG_BYTES: usize = LOG_KIB * KIB;
/// Places in the code whose repeated lines are limited apart; there are fewer.
pub const LOG_SITES: usize = 64;
/// What is known of them: window, counts, the beginning of a line; `start::log_limit` asserts it.
pub const LOG_LIMIT_BYTES: usize = LOG_SITES * 128;

/// The stack, libc's and the binary's own writable data: measured, and held by the memory tests.
pub const RUNTIME_BYTES: usize = 1152 * KIB;

/// What the kernel keeps for one connection beside its buffers: socket, file, dentry, epoll item (Linux 6, rounded up).
pub const KERNEL_CONNECTION_BYTES: usize = 5 * KIB;

/// The io_uring that syncs a writing server's files: what it maps, and what the kernel keeps beside that. `back/sync` has both, and measured them.
pub const KERNEL_RING_BYTES: usize = (8 + 48) * KIB;

/// One line of the memory sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What holds the memory.
    pub name: &'static str,
    /// How much, in bytes.
    pub bytes: usize,
    /// How the figure comes about.
    pub sum: &'static str,
}

const fn row(name: &'static str, bytes: usize, sum: &'static str) -> Row {
    Row { name, bytes, sum }
}

const CATALOG_TEXT: &str = [
    "64 tables, 1,024 columns, 32 KiB of names",
    "512 tables, 8,192 columns, 256 KiB of names",
    "1,024 tables, 16,384 columns, 512 KiB of names",
][PRESET_INDEX];

const RATE_TEXT: &str = [
    "64 clients x 32 bytes + ROUTES x 64 + 2 KiB, beside HEAP_KIB",
    "256 clients x 32 bytes + ROUTES x 64 + 2 KiB, beside HEAP_KIB",
    "1,024 clients x 32 bytes + ROUTES x 64 + 2 KiB, beside HEAP_KIB",
][PRESET_INDEX];

/// Process memory: compared with RssAnon.
pub const PROCESS: &[Row] = &[
    row("request buffers", EXCHANGES * REQUEST_BYTES, "(SLOTS + OPS_SLOTS + 1) x (HEAD_BYTES + BODY_BYTES + 2 KiB)"),
    row("reply buffer", ANSWER_BYTES, "ANSWER_KIB"),
    row("answer heads and operators' pages", 2 * ANSWER_HEAD_BYTES + OPS_ANSWER_BYTES, "2 x 8 KiB + 52 KiB + ROUTES x 768"),
    row("output blocks", OUTPUT_BLOCKS * (OUTPUT_BLOCK_BYTES + 2), "OUTPUT_KIB, with 2 bytes of index a block"),
    row("cache blocks", CACHE_BLOCKS * (CACHE_BLOCK_BYTES + 2), "CACHE_MIB, with 2 bytes of index a block"),
    row(
        "cache entries",
        CACHE_STATE_BYTES,
        "CACHE_ENTRIES x (296 + tables / 8) and 56 for each place of their index, beside HEAP_KIB",
    ),
    row("configurations", CONFIGS_BYTES, "3 x CONFIG_FILE_KIB + ROUTES x 320 + ROUTE_PARAMS x 192 + 40 KiB, in the Rust heap"),
    row("reading a configuration", CONFIG_ARENA_BYTES, "CONFIG_ARENA_KIB"),
    row("write batch", BATCH_BYTES, "BATCH x 720 bytes, beside HEAP_KIB"),
    row("admission", PRESSURE_BYTES, RATE_TEXT),
    row("SQLite heap", SQLITE_HEAP_BYTES, "SQLITE_HEAP_KIB"),
    row("SQLite page cache", SQLITE_PAGES_BYTES, "SQLITE_PAGES_KIB"),
    row("catalog of tables and columns", CATALOG_BYTES, CATALOG_TEXT),
    row("query workspace", QUERY_BYTES, "SQL text, bound values, column prefixes of the running query"),
    row("Rust heap", HEAP_KIB * KIB, "HEAP_KIB"),
    row("log ring", LOG_BYTES, "LOG_KIB"),
    row("repeated log lines", LOG_LIMIT_BYTES, "64 x 128 bytes"),
    row("stack, libc, writable data", RUNTIME_BYTES, "measured, with head room"),
];

/// Kernel memory that we cause.
pub const KERNEL: &[Row] = &[
    row(
        "socket buffers",
        CONNECTIONS * 2 * (SEND_BUFFER_KIB + RECEIVE_BUFFER_KIB) * KIB,
        "connections x 2 x (SEND_BUFFER_KIB + RECEIVE_BUFFER_KIB)",
    ),
    row("sockets and descriptors", (CONNECTIONS + BACKLOG) * KERNEL_CONNECTION_BYTES, "(connections + BACKLOG) x 5 KiB"),
    row("wal-index", WAL_INDEX_KIB * KIB, "WAL_INDEX_KIB"),
    row("io_uring for syncs", KERNEL_RING_BYTES, "8 KiB shared with it, its worker's stack and records"),
];

const fn sum(rows: &[Row]) -> usize {
    let mut total = 0;
    let mut i = 0;
    while i < rows.len() {
        total += rows[i].bytes;
        i += 1;
    }
    total
}

/// The sum of [`PROCESS`].
pub const PROCESS_BYTES: usize = sum(PROCESS);
/// The sum of [`KERNEL`].
pub const KERNEL_BYTES: usize = sum(KERNEL);
/// The most that the sheet may add up to.
pub const TOTAL_BYTES: usize = TOTAL_MIB * MIB;
/// What a service manager should allow: both sums and 4 MiB for what the sheet does not cause (file-backed text).
pub const MEMORY_MAX_BYTES: usize = PROCESS_BYTES + KERNEL_BYTES + 4 * MIB;

const OVER_TEXT: &str = "the memory sheet is over FLAGSTONE_TOTAL_MIB by           ";
/// Bytes at the end of the text for number and unit.
const SPACE: usize = 10;
const UNIT: &[u8] = b" KiB";
const OVER: [u8; OVER_TEXT.len()] = {
    let mut text = [0; OVER_TEXT.len()];
    let mut i = 0;
    while i < text.len() {
        text[i] = OVER_TEXT.as_bytes()[i];
        i += 1;
    }
    let mut over = (PROCESS_BYTES + KERNEL_BYTES).saturating_sub(TOTAL_BYTES).div_ceil(KIB);
    let digits = if over == 0 { 1 } else { over.ilog10() as usize + 1 };
    let first = OVER_TEXT.len() - SPACE;
    assert!(digits + UNIT.len() <= SPACE, "FLAGSTONE_TOTAL_MIB is far too small for these sizes");
    let mut at = digits;
    while at > 0 {
        at -= 1;
        text[first + at] = b'0' + (over % 10) as u8;
        over /= 10;
    }
    while at < UNIT.len() {
        text[first + digits + at] = UNIT[at];
        at += 1;
    }
    text
};
const _: () = if PROCESS_BYTES + KERNEL_BYTES > TOTAL_BYTES {
    match core::str::from_utf8(&OVER) {
        Ok(text) => panic!("{}", text),
        Err(_) => panic!("the memory sheet is over FLAGSTONE_TOTAL_MIB"),
    }
};

/// Tables and views that the catalog can hold; a database with more is refused at start.
pub const TABLES: usize = [64, 512, 1024][PRESET_INDEX];
/// Columns of all of them.
pub const COLUMNS: usize = [1024, 8192, 16_384][PRESET_INDEX];
/// Bytes of all their names and declared types.
pub const NAME_BYTES: usize = [32 * KIB, 256 * KIB, 512 * KIB][PRESET_INDEX];
/// One table's entry in the catalog; `api/catalog.rs` asserts it.
pub const TABLE_ENTRY_BYTES: usize = 48;
/// One column's entry in the catalog; `api/catalog.rs` asserts it.
pub const COLUMN_ENTRY_BYTES: usize = 24;
/// The whole catalog.
pub const CATALOG_BYTES: usize = TABLES * TABLE_ENTRY_BYTES + COLUMNS * COLUMN_ENTRY_BYTES + NAME_BYTES + 64;
/// The running query's SQL, values and column prefixes; `back/run.rs` asserts it.
pub const QUERY_BYTES: usize = 96 * KIB;
