//! The rows: risks with their scores, the series that watch them, the alerts that tell of them, what answers them, and the drills that provoke
//! them.

/// What a risk threatens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Memory, slots, descriptors.
    Resources,
    /// That there is an answer.
    Availability,
    /// That the answer is right.
    Correctness,
    /// That those who run it know what runs.
    Operations,
}

impl Category {
    /// All of them.
    pub const ALL: [Category; 4] = [Category::Resources, Category::Availability, Category::Correctness, Category::Operations];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Resources => "resources",
            Category::Availability => "availability",
            Category::Correctness => "correctness",
            Category::Operations => "operations",
        }
    }
}

/// The most monitors of a row.
pub(super) const MONITORS: usize = 17;

/// One risk.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// How bad it would be, 1 to 5.
    pub impact: u8,
    /// How likely it is, 1 to 5.
    pub probability: u8,
    /// What it threatens.
    pub category: Category,
    /// Series of the metrics page, as they stand there; a bare name is any one of its family.
    pub monitors: &'static [&'static str],
    /// Names of alerts that say it is near.
    pub alerts: &'static [&'static str],
    /// What answers it.
    pub answer: &'static str,
    /// Drills that provoke it.
    pub drills: &'static [&'static str],
}

impl Row {
    /// Impact times probability.
    pub const fn score(&self) -> u8 {
        self.impact * self.probability
    }

    /// What the score amounts to.
    pub const fn level(&self) -> &'static str {
        match self.score() {
            16.. => "critical",
            12..=15 => "high",
            6..=11 => "medium",
            _ => "low",
        }
    }
}

/// The register, worst first.
pub const ROWS: [Row; 12] = [
    Row {
        name: "memory exhaustion",
        impact: 5,
        probability: 5,
        category: Category::Resources,
        monitors: &[
            "flagstone_rss_anon_bytes",
            "flagstone_rss_anon_slope_bytes_per_second",
            "flagstone_heap_bytes",
            "flagstone_heap_peak_bytes",
            "flagstone_sqlite_heap_bytes",
            "flagstone_sqlite_heap_peak_bytes",
            "flagstone_memory_available_bytes",
            "flagstone_pressure_ratio{resource=\"memory\",scope=\"system\",share=\"some\"}",
            "flagstone_pressure_ratio{resource=\"memory\",scope=\"cgroup\",share=\"some\"}",
            "flagstone_cgroup_memory_bytes",
            "flagstone_cgroup_memory_limit_bytes",
            "flagstone_ladder_step",
            "flagstone_refusals_total{reason=\"heap_reserve\"}",
            "flagstone_refusals_total{reason=\"sqlite_memory\"}",
        ],
        alerts: &[
            "system_memory",
            "cgroup_memory",
            "memory_pressure",
            "own_memory",
            "memory_slope",
            "heap_reserve",
            "sqlite_heap",
        ],
        answer: "fixed budget, sealed heaps; in an emergency the cache is cleared and its pages are given back",
        drills: &["memory"],
    },
    Row {
        name: "cache memory bloat",
        impact: 5,
        probability: 4,
        category: Category::Resources,
        monitors: &[
            "flagstone_use{part=\"cache blocks\"}",
            "flagstone_use{part=\"cache entries\"}",
            "flagstone_cache_largest_entry_bytes",
            "flagstone_cache_critical_bytes",
            "flagstone_cache_inserted_total",
            "flagstone_cache_refused_total",
            "flagstone_cache_gone_total{reason=\"evicted\"}",
            "flagstone_alert_reading{name=\"cache_bytes\"}",
            "flagstone_alert_reading{name=\"hit_rate\"}",
        ],
        alerts: &["cache_bytes", "cache_entries", "hit_rate"],
        answer: "one arena of fixed size, limits for an entry, eviction by what entries are worth, DELETE /-/cache",
        drills: &[],
    },
    Row {
        name: "connection pool exhaustion",
        impact: 4,
        probability: 4,
        category: Category::Availability,
        monitors: &[
            "flagstone_connections{state=\"idle\"}",
            "flagstone_connections{state=\"queued\"}",
            "flagstone_connections{state=\"running\"}",
            "flagstone_use{part=\"public slots\"}",
            "flagstone_use{part=\"slots of one client\"}",
            "flagstone_accept_queue",
            "flagstone_queue_wait_seconds_count",
            "flagstone_refusals_total{reason=\"slots_full\"}",
            "flagstone_refusals_total{reason=\"client_cap\"}",
            "flagstone_accept_failures_total",
            "flagstone_pool_used_slots",
            "flagstone_ladder_step",
            "flagstone_shed_total{class=\"ordinary\"}",
            "flagstone_shed_total{class=\"write\"}",
            "flagstone_alert_reading{name=\"pool_use\"}",
            "flagstone_alert_reading{name=\"queue_wait\"}",
            "flagstone_alert_reading{name=\"failed_connections\"}",
        ],
        alerts: &["pool_use", "queue_wait", "failed_connections", "ladder"],
        answer: "idle connections make room, a cap for each client, newest requests are shed, a reserve for operators, POST /-/reset/pool",
        drills: &[],
    },
    Row {
        name: "ARM64 trouble",
        impact: 4,
        probability: 4,
        category: Category::Operations,
        monitors: &[
            "flagstone_build_info",
            "process_cpu_seconds_total",
            "flagstone_job_seconds_total",
            "flagstone_longest_gap_seconds{cause=\"opcode\"}",
            "flagstone_temperature_celsius",
            "flagstone_throttled",
            "flagstone_under_voltage",
        ],
        alerts: &["temperature", "throttled", "under_voltage", "loop_gap"],
        answer: "built and tested on ARM64, with baselines of its own for instructions a request",
        drills: &[],
    },
    Row {
        name: "fallback failure",
        impact: 5,
        probability: 3,
        category: Category::Availability,
        monitors: &[
            "flagstone_path{path=\"optimised\"}",
            "flagstone_path{path=\"plain\"}",
            "flagstone_path{path=\"emergency\"}",
            "flagstone_falls_total{from=\"cache\",to=\"plain\",reason=\"panic\"}",
            "flagstone_falls_total{from=\"cache\",to=\"plain\",reason=\"damaged\"}",
            "flagstone_falls_total{from=\"flight\",to=\"plain\",reason=\"panic\"}",
            "flagstone_falls_total{from=\"batch\",to=\"plain\",reason=\"panic\"}",
            "flagstone_falls_total{from=\"plain\",to=\"emergency\",reason=\"panic\"}",
            "flagstone_falls_total{from=\"front\",to=\"emergency\",reason=\"panic\"}",
            "flagstone_panics_total",
            "flagstone_cache_on",
            "flagstone_database_ready",
        ],
        alerts: &["path", "falls", "panics", "cache_resting", "database"],
        answer: "three paths: what is broken is switched off, answered by the next one, and comes back by itself",
        drills: &[
            "cache-panic",
            "flight-panic",
            "batch-panic",
            "warming-panic",
            "plain-panic",
            "front-panic",
            "io-error",
            "disk-full",
            "fall",
            "last-word",
        ],
    },
    Row {
        name: "batching deadlock",
        impact: 4,
        probability: 3,
        category: Category::Availability,
        monitors: &[
            "flagstone_write_batches_total",
            "flagstone_writes_total",
            "flagstone_write_commits_total",
            "flagstone_write_replays_total",
            "flagstone_syncs_failed_total",
            "flagstone_alert_reading{name=\"write_wait\"}",
            "flagstone_alert_reading{name=\"slow_syncs\"}",
        ],
        alerts: &["write_wait", "slow_syncs", "failed_syncs"],
        answer: "nested deadlines, a savepoint for each write, and each alone again when a batch is lost",
        drills: &["batch-panic", "slow-sync"],
    },
    Row {
        name: "flag misconfiguration",
        impact: 4,
        probability: 3,
        category: Category::Operations,
        monitors: &[
            "flagstone_flag_wanted_ratio{flag=\"cache\"}",
            "flagstone_flag_evaluations_total{flag=\"cache\",result=\"on\"}",
            "flagstone_flag_evaluations_total{flag=\"cache\",result=\"off\"}",
            "flagstone_flag_evaluations_total{flag=\"batching\",result=\"on\"}",
            "flagstone_flag_evaluations_total{flag=\"single_flight\",result=\"on\"}",
            "flagstone_alert_reading{name=\"flag_drift\"}",
            "flagstone_alert_reading{name=\"flag_doubt\"}",
        ],
        alerts: &["flag_drift", "flag_doubt"],
        answer: "any doubt means the safe default; values are checked before they count",
        drills: &[],
    },
    Row {
        name: "connection leak",
        impact: 3,
        probability: 3,
        category: Category::Resources,
        monitors: &[
            "flagstone_connections{state=\"free\"}",
            "flagstone_connections{state=\"lingering\"}",
            "process_open_fds",
            "flagstone_connections_closed_total{reason=\"idle_timeout\"}",
            "flagstone_connections_closed_total{reason=\"write_timeout\"}",
            "flagstone_alert_reading{name=\"stray_descriptors\"}",
            "flagstone_alert_reading{name=\"overdue_connection\"}",
        ],
        alerts: &["stray_descriptors", "overdue_connection", "descriptors"],
        answer: "every state has a deadline, every slot one owner, and a sweep ends what is over",
        drills: &[],
    },
    Row {
        name: "configuration drift",
        impact: 3,
        probability: 3,
        category: Category::Operations,
        monitors: &[
            "flagstone_flag_wanted_ratio{flag=\"warming\"}",
            "flagstone_config_last_reload_successful",
            "flagstone_config_last_reload_success_timestamp_seconds",
            "flagstone_config_reload_failures_total",
            "flagstone_config_drift",
        ],
        alerts: &["config_reload", "config_drift"],
        answer: "checked before it counts, kept with its audit, POST /-/rollback, POST /-/reset",
        drills: &["clock-jump"],
    },
    Row {
        name: "database lock contention",
        impact: 4,
        probability: 2,
        category: Category::Availability,
        monitors: &[
            "flagstone_busy_retries_total",
            "flagstone_refusals_total{reason=\"busy\"}",
            "flagstone_sqlite_sleep_seconds_total",
            "flagstone_query_timeouts_total",
            "flagstone_breaker_state{cause=\"timeout\"}",
            "flagstone_wal_bytes",
            "flagstone_wal_index_bytes",
            "flagstone_wal_frames",
            "flagstone_wal_copied_frames",
            "flagstone_wal_pinned_seconds",
            "flagstone_alert_reading{name=\"queue_wait\"}",
        ],
        alerts: &["breaker", "lock_contention", "query_timeouts", "wal_bytes", "wal_index", "wal_reader"],
        answer: "retries without sleeping until the busy timeout, a limit for each query, checkpoints in the background",
        drills: &["slow-read", "slow-sync"],
    },
    Row {
        name: "legacy integration",
        impact: 4,
        probability: 2,
        category: Category::Correctness,
        monitors: &[
            "flagstone_database_ready",
            "flagstone_database_reopens_total",
            "flagstone_statements",
            "flagstone_refused_statements_total",
            "flagstone_abandoned_jobs_total",
            "flagstone_breaker_state{cause=\"io\"}",
            "flagstone_breaker_state{cause=\"corrupt\"}",
            "flagstone_wal_frames",
        ],
        alerts: &["database", "breaker"],
        answer: "the plain path gives the same bytes, statements are prepared anew with the schema, --check tells beforehand",
        drills: &["fall"],
    },
    Row {
        name: "cache poisoning",
        impact: 3,
        probability: 2,
        category: Category::Correctness,
        monitors: &[
            "flagstone_cache_verified_total",
            "flagstone_cache_gone_total{reason=\"damaged\"}",
            "flagstone_cache_refused_total",
            "flagstone_cache_on",
            "flagstone_alert_reading{name=\"cache_damage\"}",
        ],
        alerts: &["cache_damage", "cache_resting"],
        answer: "only good answers enter, under canonical keys and with a checksum; what is damaged is dropped, and the cache rests",
        drills: &["cache-flip"],
    },
];
