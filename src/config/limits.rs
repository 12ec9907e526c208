//! Times and thresholds that may change without a new build.

/// Times and thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From accept to the first byte, in ms.
    pub first_byte_ms: u64,
    /// From the first byte to the end of the head, in ms.
    pub head_ms: u64,
    /// From the end of the head to the end of the body, in ms.
    pub body_ms: u64,
    /// Between two requests of a kept connection, in ms.
    pub idle_ms: u64,
    /// Within this, in ms, a client takes at least 4 KiB of its answer.
    pub write_ms: u64,
    /// How long a connection that ends with an error is read and discarded so that the error arrives, in ms.
    pub linger_ms: u64,
    /// How long a request waits for the database to be free, in ms.
    pub queue_ms: u64,
    /// The expected wait from which on requests are shed, in ms.
    pub shed_wait_ms: u64,
    /// How long what failed repeatedly is left alone, in ms.
    pub breaker_ms: u64,
    /// How long a request waits for another process's lock, in ms.
    pub busy_ms: u64,
    /// How long a query of a table may run, in ms.
    pub table_query_ms: u64,
    /// How long a query of a named route may run, in ms.
    pub route_query_ms: u64,
    /// From when on a request is slow enough for the log, in ms; 0 for never.
    pub slow_request_ms: u64,
    /// How long a cached answer lives at most, in ms; it also dies with the data that it was made from.
    pub cache_ttl_ms: u64,
    /// How long a graceful stop waits for requests under way, in ms.
    pub drain_ms: u64,
    /// Connections of one client.
    pub slots_per_client: usize,
    /// Requests a minute of one client in the long run; 0 for any number.
    pub rate_per_minute: u32,
    /// Requests of one client that may come at once where there is a rate.
    pub burst: u32,
    /// Frames in the WAL from which on it is checkpointed; 0 leaves that to others (Litestream).
    pub wal_autocheckpoint_pages: u32,
    /// Waiting writes that end the batch window at the latest.
    pub batch_least: usize,
    /// How long the batch window is at most, in ms.
    pub batch_window_ms: u64,
    /// How long a write waits for its batch at most, in ms.
    pub batch_wait_ms: u64,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Limits = Limits {
        first_byte_ms: 10_000,
        head_ms: 10_000,
        body_ms: 20_000,
        idle_ms: 30_000,
        write_ms: 10_000,
        linger_ms: 1_000,
        queue_ms: 5_000,
        shed_wait_ms: 200,
        breaker_ms: 30_000,
        busy_ms: 1_000,
        table_query_ms: 1_000,
        route_query_ms: 5_000,
        slow_request_ms: 1_000,
        cache_ttl_ms: 300_000,
        drain_ms: 10_000,
        slots_per_client: crate::budget::SLOTS_PER_CLIENT,
        rate_per_minute: 0,
        burst: 50,
        wal_autocheckpoint_pages: 100,
        batch_least: 5,
        batch_window_ms: 25,
        batch_wait_ms: 50,
    };
}
