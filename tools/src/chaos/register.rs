//! The register's twelve risks, by the names that `/-/risks` has them by.

/// A row of the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// The process grows, or the machine has too little.
    Memory,
    /// The cache takes more than its share, or keeps what nobody asks for.
    Cache,
    /// Every connection slot is taken.
    Pool,
    /// What holds on one processor does not on the other.
    Arm64,
    /// The path that is fallen back to does not hold.
    Fallback,
    /// Writes wait for each other.
    Batching,
    /// A flag says what nobody meant.
    Flags,
    /// Connections that nobody uses stay.
    Leak,
    /// What runs is not what the file says.
    Drift,
    /// Another process holds the database.
    Lock,
    /// A database from elsewhere, or changed from elsewhere.
    Legacy,
    /// The cache holds what is not so.
    Poisoning,
}

impl Risk {
    /// All of them, in the register's order.
    pub const ALL: [Self; 12] = [
        Self::Memory,
        Self::Cache,
        Self::Pool,
        Self::Arm64,
        Self::Fallback,
        Self::Batching,
        Self::Flags,
        Self::Leak,
        Self::Drift,
        Self::Lock,
        Self::Legacy,
        Self::Poisoning,
    ];

    /// Its name in the register.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory exhaustion",
            Self::Cache => "cache memory bloat",
            Self::Pool => "connection pool exhaustion",
            Self::Arm64 => "ARM64 trouble",
            Self::Fallback => "fallback failure",
            Self::Batching => "batching deadlock",
            Self::Flags => "flag misconfiguration",
            Self::Leak => "connection leak",
            Self::Drift => "configuration drift",
            Self::Lock => "database lock contention",
            Self::Legacy => "legacy integration",
            Self::Poisoning => "cache poisoning",
        }
    }
}
