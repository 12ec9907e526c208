//! Clients that do not take their answers lose their own place when others need the room, and nobody else's.

mod server;

use std::io::Write;

use server::{Server, wait_for};

const ROWS: usize = 60;
const ROW: usize = 10_000;
const TARGET: &str = "/tables/t?limit=1000";

#[test]
fn who_takes_nothing_makes_room_for_who_does() {
    let sql = format!(
        "CREATE TABLE t(v); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO t SELECT hex(randomblob({})) FROM n;",
        ROW / 2
    );
    let server = Server::with(&sql);
    let mut idle = Vec::new();
    let ended = || server.status()["closed"].clone();
    wait_for("one of those who take nothing ends", || {
        // The kernel takes a part of each.
        if idle.len() < 3 * server.setting("OUTPUT_KIB") * 1024 / (ROWS * ROW) {
            let mut stream = server.connect();
            stream.write_all(format!("GET {TARGET} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).expect("it is sent");
            idle.push(stream);
        }
        server.get(TARGET);
        ended()["too_slow"].as_u64() > Some(0)
    });
    assert_eq!(ended()["write_timeout"], 0, "long before the write deadline");
    wait_for("a client that reads gets its answer", || server.get(TARGET).status == 200);
    drop(idle);
}
