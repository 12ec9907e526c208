//! Connections in numbers: limits of a request, slots, storms, descriptors, the graceful end, and a log that nobody reads.

mod server;
mod wire;

#[path = "connections/drain.rs"]
mod drain;
#[path = "connections/limits.rs"]
mod limits;
#[path = "connections/log.rs"]
mod log;
#[path = "connections/output.rs"]
mod output;
#[path = "connections/slots.rs"]
mod slots;
#[path = "connections/storms.rs"]
mod storms;

/// A table of small rows, one of which a page of 1000 fills the answer limit to nearly 1 MiB, and a view that takes the back a while.
const SQL: &str = "
    CREATE TABLE sensors(id INTEGER PRIMARY KEY, name TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) INSERT INTO sensors SELECT i, 'row ' || i FROM n;
    CREATE TABLE big(id INTEGER PRIMARY KEY, text TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) INSERT INTO big SELECT i, printf('%.1000c', 'x') FROM n;
    CREATE VIEW slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT count(*) AS n FROM n;
    CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS n FROM n;";

/// A request that never ends by itself.
const HALF: &str = "GET /tables/sensors/1 HTTP/1.1\r\nHost: loc";
/// What completes it.
const OTHER_HALF: &str = "alhost\r\n\r\n";
