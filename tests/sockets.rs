//! HTTP over real sockets: the corpus, pipelining, and what single answers look like.

mod corpus;
mod server;
mod wire;

#[path = "sockets/answers.rs"]
mod answers;
#[path = "sockets/pipelining.rs"]
mod pipelining;
#[path = "sockets/replay.rs"]
mod replay;

/// Two tables of which every test here makes do.
const SQL: &str = "
    CREATE TABLE sensors(id INTEGER PRIMARY KEY, name TEXT);
    INSERT INTO sensors VALUES (1, 'roof'), (2, 'cellar'), (3, 'garden');
    CREATE TABLE many(id INTEGER PRIMARY KEY, text TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) INSERT INTO many SELECT i, 'row ' || i FROM n;";
