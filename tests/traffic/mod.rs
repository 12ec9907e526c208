//! A mix of requests that meets every answer and every limit: what the memory proofs send.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use crate::server::{Server, read_answer, wait_for};

/// Tables of each kind, and views that fail in each way.
pub const SQL: &str = r#"
    PRAGMA journal_mode = WAL;
    CREATE TABLE readings(id INTEGER PRIMARY KEY, sensor TEXT, at INTEGER, value REAL, note TEXT, raw BLOB);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
        INSERT INTO readings SELECT i, 'sensor' || i % 7, 1700000000 + i, i / 3.0, nullif('note ' || i % 11, 'note 5'), zeroblob(i % 50) FROM n;
    CREATE TABLE pairs(a TEXT, b INTEGER, c, PRIMARY KEY (a, b)) WITHOUT ROWID;
    INSERT INTO pairs VALUES ('x,y', 1, x'00ff'), ('z', 9007199254740993, NULL), ('ü', -1, 'text');
    CREATE TABLE "odd ""näme/%"("limit" INTEGER, "a b" TEXT);
    INSERT INTO "odd ""näme/%" VALUES (1, 'x');
    CREATE VIEW local AS SELECT id, datetime(at, 'unixepoch', 'localtime') AS at, strftime('%j', at, 'unixepoch', 'localtime') AS day
        FROM readings WHERE id <= 300;
    CREATE VIEW failing AS SELECT id, abs(-9223372036854775807 - (id > 3)) AS value FROM readings;
    CREATE VIEW missing AS SELECT * FROM nowhere;
    CREATE VIEW toobig AS SELECT zeroblob(1900000000) AS bytes;
    CREATE VIEW longrow AS SELECT hex(zeroblob(60000)) AS a, hex(zeroblob(60000)) AS b, hex(zeroblob(30000)) AS c;
    CREATE VIEW slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS n FROM n;
    CREATE VIEW busy AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT count(*) AS n FROM n;
    CREATE TABLE bulk(bytes BLOB);
"#;

/// One request and the status of its answer.
pub struct Case {
    pub bytes: Vec<u8>,
    pub status: u16,
    /// Its answer ends the connection.
    pub closes: bool,
    head_only: bool,
}

fn case(status: u16, bytes: impl Into<Vec<u8>>) -> Case {
    let bytes = bytes.into();
    let head_only = bytes.starts_with(b"HEAD");
    Case { bytes, status, closes: false, head_only }
}

fn closing(status: u16, bytes: impl Into<Vec<u8>>) -> Case {
    Case { closes: true, ..case(status, bytes) }
}

fn get(status: u16, target: &str) -> Case {
    with(status, "GET", target, "")
}

/// A request without a body whose connection goes on.
pub fn with(status: u16, method: &str, target: &str, fields: &str) -> Case {
    case(status, format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
}

/// Requests whose connection goes on, none of them failing inside SQLite.
pub fn keeping(round: usize, statements: usize) -> Vec<Case> {
    let (id, sensor) = (round % 2000 + 1, round % 7);
    let mut cases = vec![
        get(200, &format!("/tables/readings/{id}")),
        get(200, &format!("/tables/readings?id=gte.{id}&limit=20")),
        get(200, &format!("/tables/readings?sensor=eq.sensor{sensor}&order=value.desc,id&select=id,value&limit=50")),
        get(200, &format!("/tables/readings?id=in.({id},1,2,3,%22x%22)")),
        get(200, "/tables/readings?sensor=like.*sor*&note=not.ilike.NOTE*3&limit=10"),
        get(200, "/tables/readings?note=is.null&select=note,raw&limit=5&_format=csv"),
        with(200, "GET", "/tables/readings?limit=30", "Accept: text/csv\r\n"),
        with(200, "GET", "/tables/readings?limit=30", "Accept: application/x-ndjson\r\n"),
        with(200, "GET", "/tables/readings?sensor=eq.sensor1&limit=2", "Prefer: count=exact\r\n"),
        with(304, "GET", "/tables/readings/1", "If-None-Match: *\r\n"),
        with(200, "HEAD", "/tables/readings?limit=1000", ""),
        with(200, "GET", "/", "Accept: text/html\r\n"),
        with(406, "GET", "/tables/readings", "Accept: image/png\r\n"),
        get(200, "/"),
        get(200, "/tables"),
        get(200, "/tables/pairs/x%2Cy,1"),
        get(200, "/tables/pairs?order=c,a&limit=2"),
        get(200, "/tables/odd%20%22n%C3%A4me%2F%25?%22limit%22=eq.1"),
        get(200, "/tables/local?limit=100"),
        get(200, "/tables/local?day=gt.100&order=at&limit=7"),
        get(200, "/-/metrics"),
        get(200, "/-/budget"),
        get(200, "/-/health"),
        get(200, "/-/ready"),
        get(404, "/tables/nowhere"),
        get(404, "/tables/readings/999999"),
        get(404, "/elsewhere"),
        get(404, "/tables/"),
        get(400, "/tables/readings?colour=eq.red"),
        get(400, "/tables/readings?order=colour"),
        get(400, "/tables/readings?limit=0"),
        get(400, "/tables/readings?after=AAAA"),
        get(400, "/tables/readings?id=in.(1,2"),
        with(204, "OPTIONS", "/tables/readings", ""),
        with(204, "OPTIONS", "*", ""),
        with(405, "DELETE", "/tables/readings/1", ""),
        case(405, "POST /tables/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n{\"a\":1}"),
        case(
            405,
            "PUT /tables HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n",
        ),
        case(421, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        case(200, "GET http://localhost/tables/readings/2 HTTP/1.1\r\nHost: else\r\n\r\n"),
        case(200, "GET /tables/readings/3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ];
    // More shapes of statement than are held, so that some are finalized and prepared anew in every round.
    let columns = ["id", "sensor", "at", "value", "note", "raw"];
    for at in 0..statements / 4 {
        let shape = round * (statements / 4) + at;
        let order: Vec<&str> = (0..3).map(|digit| columns[shape / 6_usize.pow(digit) % 6]).collect();
        cases.push(get(200, &format!("/tables/readings?order={}&limit=3", unrepeated(&order))));
    }
    cases
}

fn unrepeated(names: &[&str]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for name in names {
        if !kept.contains(name) {
            kept.push(name);
        }
    }
    kept.join(",")
}

/// Requests that the server answers and then ends the connection.
pub fn ending(server: &Server) -> Vec<Case> {
    let (head, target, body) = (server.setting("HEAD_BYTES"), server.setting("TARGET_BYTES"), server.setting("BODY_BYTES"));
    let long = |count: usize| "x".repeat(count);
    let fields: String = (0..70).map(|at| format!("F{at}: v\r\n")).collect();
    vec![
        closing(200, "GET /tables/readings/1 HTTP/1.0\r\n\r\n"),
        closing(200, "GET /tables/readings/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        closing(414, format!("GET /tables/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", long(target))),
        closing(431, format!("GET / HTTP/1.1\r\nHost: localhost\r\nLong: {}\r\n\r\n", long(head))),
        closing(431, format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")),
        closing(413, format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body + 1)),
        closing(413, format!("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", body + 1)),
        closing(417, "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n"),
        closing(501, "BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        closing(505, "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n"),
        closing(400, "GET / HTTP/1.1\r\n\r\n"),
        closing(400, "GET / HTTP/1.1\nHost: localhost\r\n\r\n"),
        closing(400, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nhello"),
    ]
}

/// One of the `failing` requests.
pub fn fails(target: &str) -> Case {
    get(500, target)
}

/// A query that runs into its time limit.
pub fn too_slow() -> Case {
    get(504, "/tables/slow")
}

/// Asks for what takes long and goes away.
pub fn abandon(server: &Server) {
    let mut stream = server.connect();
    stream.write_all(b"GET /tables/slow HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("taken");
    let asked = |status: &serde_json::Value| status["connections"]["running"].as_u64() == Some(1);
    server.wait_for_status("the query runs", asked);
    reset(stream);
}

/// Sends all cases of a kept connection at once, `depth` at a time, and checks each answer's status.
pub fn pipelined(server: &Server, cases: &[Case], depth: usize) -> usize {
    let mut stream = server.connect();
    for some in cases.chunks(depth) {
        let bytes: Vec<u8> = some.iter().flat_map(|case| case.bytes.iter().copied()).collect();
        stream.write_all(&bytes).expect("the requests are taken");
        for case in some {
            read(&mut stream, case);
        }
    }
    cases.len()
}

/// Waits until every connection but the one that asks has ended: a small preset has few slots.
pub fn settled(server: &Server) {
    wait_for("the connections have ended", || {
        let answer = server.get("/-/status");
        let connections = if answer.status == 200 { answer.json()["connections"].clone() } else { return false };
        let count = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
        let all: u64 = connections.as_object().map_or(0, |states| states.values().map(count).sum());
        count(&connections["free"]) + 1 >= all
    });
}

/// Each case on a connection of its own.
pub fn singly(server: &Server, cases: &[Case]) -> usize {
    for (at, case) in cases.iter().enumerate() {
        if at % 4 == 0 {
            settled(server);
        }
        let mut stream = server.connect();
        stream.write_all(&case.bytes).expect("the request is taken");
        read(&mut stream, case);
    }
    cases.len()
}

fn read(stream: &mut TcpStream, case: &Case) {
    let text = || String::from_utf8_lossy(&case.bytes[..case.bytes.len().min(200)]).into_owned();
    let answer = read_answer(stream, case.head_only).unwrap_or_else(|error| panic!("{error}: {}", text()));
    assert_eq!(answer.status, case.status, "{}\n{}", text(), answer.text());
}

/// Requests that are cut half-way, by an end of stream or a reset, and answers that nobody reads.
pub fn cut_short(server: &Server) -> usize {
    let whole = b"POST /tables/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345";
    for at in (1..whole.len()).step_by(9) {
        let mut stream = server.connect();
        stream.write_all(&whole[..at]).expect("taken");
        if at % 2 == 0 {
            stream.shutdown(Shutdown::Write).expect("open");
        } else {
            reset(stream);
        }
    }
    for _ in 0..10 {
        let mut stream = server.connect();
        stream.write_all(b"GET /tables/readings/7 HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("taken");
        reset(stream);
    }
    settled(server);
    whole.len().div_ceil(9) + 10
}

/// Closes with a reset: a linger of zero (socket(7)).
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).expect("open");
}

/// A body that waits for 100 Continue.
pub fn expecting(server: &Server) -> usize {
    let mut stream = server.connect();
    stream
        .write_all(b"POST /tables HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .expect("taken");
    assert_eq!(read_answer(&mut stream, false).expect("a go-ahead").status, 100);
    stream.write_all(b"hello").expect("taken");
    assert_eq!(read_answer(&mut stream, false).expect("an answer").status, 405);
    1
}

/// What a cache does: a miss, a hit, a 304 from it, an answer that died by another connection's commit, the same answer by another
/// spelling of its target, and an answer that is too large. Without a cache all of them are made anew.
pub fn cached(server: &Server, caching: bool, round: usize) -> usize {
    const ROW: &str = "/tables/readings/5";
    let mut stream = server.connect();
    let mut ask = |target: &str, fields: &str, status: u16, cache: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).expect("taken");
        let answer = read_answer(&mut stream, false).expect("an answer");
        let seen = answer.field("x-cache").unwrap_or_default().to_string();
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert_eq!(seen, if caching { cache } else { "bypass" }, "{target} in round {round}");
        answer.field("etag").expect("a tag").to_string()
    };
    // Another connection of another process: the state that all entries are of has gone.
    commit(server, &format!("UPDATE pairs SET c = {round} WHERE a = 'z'"));
    ask(ROW, "", 200, "miss");
    let tag = ask(ROW, "", 200, "hit");
    ask(ROW, &format!("If-None-Match: {tag}\r\n"), 304, "hit");
    ask("/tables/%72eadings/5", "", 200, "hit");
    commit(server, &format!("UPDATE pairs SET c = -{round} - 1 WHERE a = 'z'"));
    ask(ROW, &format!("If-None-Match: {tag}\r\n"), 304, "miss");
    ask(ROW, "", 200, "hit");
    ask("/tables/readings?limit=1000", "", 200, "bypass");
    7
}

/// Commits from outside, as another process would.
pub fn commit(server: &Server, sql: &str) {
    let writer = rusqlite::Connection::open(server.database()).expect("a database");
    writer.busy_timeout(crate::server::DEADLINE).expect("a number");
    writer.execute_batch(sql).expect("SQL");
}

/// A transaction of more frames than one part of the wal-index names, left in the WAL.
pub fn grow_wal_index(server: &Server) -> usize {
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4500) INSERT INTO bulk SELECT zeroblob(4000) FROM n";
    commit(server, &format!("PRAGMA wal_autocheckpoint = 0; {rows}"));
    singly(server, &[get(200, "/tables/readings/1")])
}

/// Some ask at once what takes a while: the first one's query serves all of them.
pub fn joining(server: &Server, round: usize) -> usize {
    let case = get(200, &format!("/tables/busy?n=gt.{round}"));
    settled(server);
    // As many as one client may have in the smallest preset, without the one that asks for the status.
    let mut streams: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&case.bytes).expect("the request is taken");
    }
    for stream in &mut streams {
        read(stream, &case);
    }
    streams.len()
}

/// A table page by page through its tokens.
pub fn paged(server: &Server) -> usize {
    let mut stream = server.connect();
    let mut target = "/tables/readings?order=note.desc,value&limit=90&select=id,note".to_string();
    let (mut pages, mut rows) = (0, 0);
    loop {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("taken");
        let answer = read_answer(&mut stream, false).expect("a page");
        assert_eq!(answer.status, 200, "{}", answer.text());
        pages += 1;
        rows += answer.json().as_array().expect("rows").len();
        match answer.next() {
            Some(next) => target = next.to_string(),
            None => break,
        }
    }
    assert_eq!(rows, 2000);
    pages
}

/// More connections than there are slots and than one client may have, all at once, by addresses of 127.0.0.0/8.
pub fn crowd(server: &Server) -> usize {
    let (slots, one_client) = (server.setting("SLOTS"), server.setting("SLOTS_PER_CLIENT"));
    let mut streams = Vec::new();
    let mut refused = 0;
    for at in 0..slots + 60 {
        let mut stream = from(server, [127, 0, 1, (at / 10) as u8 + 1]);
        stream.write_all(b"GET /tables/readings/").expect("taken");
        streams.push(stream);
    }
    for _ in 0..one_client + 5 {
        streams.push(from(server, [127, 0, 2, 1]));
    }
    for stream in &mut streams {
        // The turned-away ones have their answer; those with a slot finish their request.
        if stream.write_all(b"1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").is_err() {
            refused += 1;
            continue;
        }
        match read_answer(stream, false) {
            Ok(answer) => refused += usize::from(matches!(answer.status, 503 | 429)),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "a crowd larger than the slots meets a refusal");
    let count = streams.len();
    drop(streams);
    settled(server);
    count
}

fn from(server: &Server, address: [u8; 4]) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&std::net::SocketAddr::from((address, 0)).into()).expect("an address of the loopback");
    socket.connect(&server.address.into()).expect("the server accepts");
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(crate::server::DEADLINE)).expect("a socket");
    stream
}
