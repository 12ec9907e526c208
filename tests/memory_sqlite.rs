//! SQLite in its fixed heap: what does not fit is a clear answer, and the next query works.

mod server;
mod trace;

use server::{Server, Start};
use trace::Tracer;

const SQL: &str = "
    CREATE TABLE small(id INTEGER PRIMARY KEY, name TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO small SELECT i, 'name ' || i FROM n;
    CREATE VIEW hungry AS SELECT a.id, group_concat(hex(zeroblob(4000))) AS a, group_concat(hex(zeroblob(3000))) AS b,
        group_concat(hex(zeroblob(2000))) AS c, group_concat(hex(zeroblob(1000))) AS d FROM small AS a GROUP BY a.id % 2;";

#[test]
fn a_query_too_large_for_the_heap_is_a_503_and_the_next_one_works() {
    let server = Server::with(SQL);
    let held = ["/tables/small?id=gt.3&limit=3", "/tables/small/7", "/tables/small?order=name&limit=2"];
    let before: Vec<String> = held.iter().map(|target| server.get(target).text()).collect();
    for _ in 0..5 {
        let answer = server.get("/tables/hungry");
        assert_eq!(answer.status, 503, "{}", answer.text().get(..300).unwrap_or_default());
        assert_eq!(answer.json()["type"], "tag:flagstone,2026:sqlite-memory");
        assert!(answer.field("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|seconds| seconds >= 1)));
        let after: Vec<String> = held.iter().map(|target| server.get(target).text()).collect();
        assert_eq!(after, before);
    }
    let refused = server.status()["refused"]["sqlite_memory"].as_u64();
    assert_eq!(refused, Some(5));
}

#[test]
fn a_sort_larger_than_the_heap_goes_to_files_in_the_state_directory() {
    const ROWS: usize = 4000;
    let server = Start::new()
        .sql(&format!(
            "CREATE TABLE large(id INTEGER PRIMARY KEY, key INTEGER, text TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
                INSERT INTO large SELECT i, (i * 7919) % {ROWS}, hex(zeroblob(1200)) FROM n;
             CREATE VIEW sorted AS SELECT id, key, length(text) AS n FROM (SELECT * FROM large ORDER BY key, text LIMIT -1);"
        ))
        .run();
    let size = std::fs::metadata(server.database()).expect("a database").len() as usize;
    assert!(size > server.setting("SQLITE_HEAP_KIB") * 1024, "{size} bytes are more than the heap");
    let written = || {
        let text = std::fs::read_to_string(format!("/proc/{}/io", server.pid())).expect("our child");
        let line = text.lines().find(|line| line.starts_with("wchar:")).expect("a count").to_string();
        line[6..].trim().parse::<usize>().expect("a number")
    };
    let before = written();

    let answer = server.get("/tables/sorted?limit=1000");

    assert_eq!(answer.status, 200, "{}", answer.text());
    let rows = answer.json();
    let keys: Vec<u64> = rows.as_array().expect("rows").iter().map(|row| row["key"].as_u64().expect("a key")).collect();
    assert_eq!(keys, (0..1000).collect::<Vec<_>>());
    let spilled = written() - before;
    assert!(spilled > size / 2, "{spilled} bytes were written for a sort of {size}");
    // A smaller one, twice what SQLite may allocate, because every call of a watched process takes two stops.
    let rows = server.setting("SQLITE_HEAP_KIB") / 8;
    let part = format!(
        "CREATE VIEW part AS SELECT id, length(text) AS n FROM (SELECT * FROM large WHERE id <= {rows} ORDER BY key, text LIMIT -1)"
    );
    rusqlite::Connection::open(server.database()).expect("a database").execute_batch(&part).expect("SQL");
    match Tracer::attach(server.pid()) {
        Ok(tracer) => {
            assert_eq!(server.get("/tables/part?limit=1").status, 200);
            let calls = tracer.detach();
            // SQLite opens them without a name (O_TMPFILE) or unlinks them at once: either way only the call tells where.
            let state = server.folder.path().join(".local/state/flagstone");
            assert!(!calls.created.is_empty(), "{calls:?}");
            assert!(calls.created.iter().all(|path| path.starts_with(state.to_str().expect("UTF-8"))), "{:?}", calls.created);
            assert!(calls.written_at > 0);
            assert_eq!(calls.growing, Vec::<String>::new());
        }
        Err(error) => eprintln!("ptrace is not permitted ({error}): where the files are was not looked at"),
    }
    let status = server.status();
    assert!(status["memory"]["rss_anon_bytes"].as_u64() <= status["memory"]["ready_rss_anon_bytes"].as_u64(), "{status}");
}

#[test]
fn values_and_rows_beyond_the_limits_have_names_of_their_own() {
    let server = Start::new().sql("CREATE TABLE t(a)").run();
    let (length, answer) = (server.setting("SQLITE_LENGTH_KIB") * 1024, server.setting("ANSWER_KIB") * 1024);
    let sql = format!(
        "CREATE VIEW toobig AS SELECT zeroblob({}) AS bytes;
         CREATE TABLE wide(a, b, c);
         INSERT INTO wide SELECT zeroblob({}), zeroblob({}), zeroblob({});",
        length + 1,
        // In base64 a little more than the limit, and each a little less than a power of two.
        answer / 2 - answer / 128,
        answer / 4 - 144,
        answer / 64,
    );
    rusqlite::Connection::open(server.database()).expect("a database").execute_batch(&sql).expect("SQL");
    for (target, slug) in [("/tables/toobig", "value-too-large"), ("/tables/wide", "answer-too-large")] {
        let answer = server.get(target);
        assert_eq!(answer.status, 500, "{target}: {}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["type"], format!("tag:flagstone,2026:{slug}"), "{target}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("KiB")), "{problem}");
        assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("FLAGSTONE_")), "{problem}");
    }
    assert_eq!(server.get("/tables/t").text(), "[]");
}

#[test]
fn a_page_that_ends_at_the_answer_limit_goes_on_and_every_row_comes_once() {
    const ROWS: u64 = 700;
    let server = Start::new()
        .sql(&format!(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
                INSERT INTO t SELECT i, hex(zeroblob(2000 + i)) FROM n;"
        ))
        .run();
    let limit = server.setting("ANSWER_KIB") * 1024;
    for format in ["json", "csv", "ndjson"] {
        let (mut ids, mut pages) = (Vec::new(), 0);
        let mut target = format!("/tables/t?limit=1000&_format={format}");
        loop {
            let answer = server.get(&target);
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.body.len() <= limit);
            ids.extend(answer.text().lines().flat_map(|line| line.split("\"id\":")).filter_map(first_number));
            pages += 1;
            match answer.next() {
                Some(next) => target = next.to_string(),
                None => break,
            }
        }
        assert!(pages > 2, "{pages} pages of {format}");
        assert_eq!(ids, (1..=ROWS).collect::<Vec<_>>(), "{format}");
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// SQLite's messages may hold the database's own text; in Rust's heap there is no room for that, where a failed allocation would be the end.
#[test]
fn an_error_message_of_any_length_is_survived() {
    let server = Start::new().sql("CREATE TABLE t(id INTEGER PRIMARY KEY, path TEXT);").run();
    let conn = rusqlite::Connection::open(server.database()).expect("a database");
    conn.execute_batch("CREATE VIEW v AS SELECT id, json_extract('{}', path) AS value FROM t;").expect("SQL");
    let length = server.setting("SQLITE_LENGTH_KIB") * 1024;
    let mut sizes: Vec<usize> = (10..40).map(|power| 1 << power).take_while(|&size| size < length).collect();
    sizes = sizes.iter().flat_map(|&size| [size - 100, size * 3 / 2]).collect();
    for (id, size) in sizes.iter().enumerate() {
        // Valid text, and text whose every byte becomes three.
        for (id, byte) in [(2 * id, 0x78_u8), (2 * id + 1, 0xff)] {
            let sql = "INSERT INTO t VALUES (?1, CAST(?2 AS TEXT))";
            conn.execute(sql, rusqlite::params![id as i64, vec![byte; *size]]).expect("a row");
        }
    }
    let mut failed = 0;
    for id in 0..2 * sizes.len() {
        let answer = server.get(&format!("/tables/v?id=eq.{id}"));
        assert!(matches!(answer.status, 500 | 503), "{id}: {}", answer.text());
        failed += usize::from(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains("bad JSON path")));
    }
    assert!(failed > 10, "messages of many lengths were met: {failed}");
    let now = server.status()["uptime_seconds"].as_u64().expect("a number");
    // Readings are taken once a second.
    let status = server.wait_for_status("newer readings", |status| status["uptime_seconds"].as_u64() >= Some(now + 3));
    let (live, peak) = (&status["memory"]["heap_bytes"], &status["memory"]["heap_peak_bytes"]);
    eprintln!("messages up to {length} bytes: Rust heap {live} live, {peak} at most, of {}", server.setting("HEAP_KIB") * 1024);
    assert_eq!(server.get("/-/ready").status, 200, "the reserve was not touched");
}
