//! What simulated clients ask, and what each request's answer must be.

use flagstone::budget::BODY_BYTES;

use super::database::{Database, TARGETS, number_of};
use super::options::{Fault, Faults};
use super::random::Random;

/// What the answer to a request must be, apart from the refusals of a busy server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// 200 with a body of this size that repeats the request's number.
    Rows(u64),
    /// 200 with a shared target's body, at any version since it was asked, 304 when the client named a tag, or a failure.
    Shared { target: usize, conditional: bool },
    /// 304.
    NotModified,
    /// This status, from the back or without it.
    Status(u16),
    /// Rows of this size, or 503 when the database stays locked.
    Busy(u64),
    /// Rows of this size, or 503 when the query takes too long.
    Long(u64),
    /// An operators' page.
    Page,
    /// A refusal that ends the connection.
    Reject(u16),
}

/// One request as its client sent it.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Its number, different from all others of the run.
    pub id: u64,
    /// The answer has no body.
    pub head: bool,
    /// The client asked for the connection to end.
    pub close: bool,
    /// HTTP/1.0: keeping the connection must be announced.
    pub old: bool,
    /// The client asked for a 100 first.
    pub expects: bool,
    /// The right answer.
    pub want: Want,
    /// Where it begins in the connection's stream.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// The database's version when the front had read it to its end.
    pub floor: u64,
}

/// How the requests of one client are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Taste {
    /// The most that a job costs, in microseconds.
    pub cost: u64,
    /// The largest body.
    pub size: u64,
    /// How many of a hundred requests need the back and nothing special.
    pub plain: u64,
    /// How many of a hundred of those are for what others ask as well.
    pub shared: u64,
    /// Asks for much: large bodies, long jobs.
    pub greedy: bool,
    /// Asks the operators' pages only.
    pub ops: bool,
}

/// Requests that are none: the bytes and the status they get.
const MALFORMED: [(&str, u16); 9] = [
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nabc", 413),
];

/// Appends one request to `stream`, whose first byte stands at `start` of the connection's.
pub fn compose(
    random: &mut Random, database: &Database, taste: Taste, faults: Faults, id: u64, start: u64, stream: &mut Vec<u8>,
) -> Asked {
    let before = stream.len();
    let mut asked =
        Asked { id, head: false, close: false, old: false, expects: false, want: Want::Page, start, end: 0, floor: 0 };
    if taste.ops {
        // A greedy one asks for more than a pipeline holds, and can be answered at once.
        let pages: &[&str] =
            if taste.greedy { &["/-/health"] } else { &["/-/health", "/-/ready", "/-/status", "/-/metrics", "/-/budget"] };
        let page = random.pick(pages);
        put(random, &mut asked, "GET", page, "", stream);
    } else if random.percent(taste.plain) {
        if random.percent(taste.shared) {
            compose_shared(random, database, &mut asked, stream);
        } else {
            compose_job(random, taste, faults, &mut asked, stream);
        }
    } else {
        compose_other(random, faults, &mut asked, stream);
    }
    asked.end = asked.start + (stream.len() - before) as u64;
    asked
}

fn compose_job(random: &mut Random, taste: Taste, faults: Faults, asked: &mut Asked, stream: &mut Vec<u8>) {
    let greedy = taste.greedy && random.percent(60);
    let mut amount = |most| if greedy { random.range(most / 4, most) } else { random.spread(20, most) };
    let (size, cost) = (amount(taste.size), amount(taste.cost));
    let kind = match random.range(0, 99) {
        0..4 => 'p',
        4..8 if faults.has(Fault::Busy) => 'b',
        8 if faults.has(Fault::Panic) => 'x',
        9 if faults.has(Fault::Slow) => 't',
        10..13 => 'm',
        _ => 'r',
    };
    let (cost, extra) = match kind {
        't' => (random.range(500_000, 3_000_000), ""),
        'm' => (cost, "If-None-Match: *\r\n"),
        _ => (cost, ""),
    };
    asked.want = match kind {
        'p' => Want::Status(404),
        'b' => Want::Busy(size),
        'x' => Want::Status(500),
        't' => Want::Long(size),
        'm' => Want::NotModified,
        _ => Want::Rows(size),
    };
    let method = if random.one_in(8) { "HEAD" } else { "GET" };
    let path = format!("/tables/s/{}.{size}.{cost}.{kind}", asked.id);
    put(random, asked, method, &path, extra, stream);
}

fn compose_shared(random: &mut Random, database: &Database, asked: &mut Asked, stream: &mut Vec<u8>) {
    let target = random.range(0, TARGETS.len() as u64 - 1) as usize;
    let tag = database.tag(target).filter(|_| random.one_in(4));
    asked.want = Want::Shared { target, conditional: tag.is_some() };
    let extra = tag.map(|tag| format!("If-None-Match: {tag}\r\n")).unwrap_or_default();
    let method = if random.one_in(6) { "HEAD" } else { "GET" };
    let path = format!("/tables/s/{}.{}.{}.s", number_of(target), TARGETS[target].size, TARGETS[target].cost);
    put(random, asked, method, &path, &extra, stream);
}

fn compose_other(random: &mut Random, faults: Faults, asked: &mut Asked, stream: &mut Vec<u8>) {
    let mut simple = |asked: &mut Asked, want, method, path, extra| {
        asked.want = want;
        put(random, asked, method, path, extra, stream);
    };
    match asked.id % 8 {
        0 => simple(asked, Want::Status(404), "GET", "/nowhere", ""),
        1 => simple(asked, Want::Status(204), "OPTIONS", "*", ""),
        2 => simple(asked, Want::Page, "GET", "/-/health", ""),
        3 => simple(asked, Want::Status(405), "DELETE", "/tables/s", ""),
        4 => {
            simple(asked, Want::Status(405), "POST", "/tables/s", "Transfer-Encoding: chunked\r\n");
            if asked.old {
                asked.want = Want::Reject(400);
            }
            stream.extend_from_slice(b"5\r\nabcde\r\n3;x=y\r\nfgh\r\n0\r\n\r\n");
        }
        5 => {
            let length = random.spread(1, BODY_BYTES.min(20_000) as u64);
            asked.expects = random.percent(50);
            let expect = if asked.expects { "Expect: 100-continue\r\n" } else { "" };
            asked.want = Want::Status(405);
            put(random, asked, "PUT", "/tables/s", &format!("{expect}Content-Length: {length}\r\n"), stream);
            asked.expects &= !asked.old;
            stream.extend(std::iter::repeat_n(b'b', length as usize));
        }
        6 => {
            asked.want = Want::Status(421);
            stream.extend_from_slice(b"GET /tables HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        }
        _ if faults.has(Fault::Malformed) => {
            let (text, status) = random.pick(&MALFORMED);
            asked.want = Want::Reject(*status);
            stream.extend_from_slice(text.as_bytes());
        }
        _ => simple(asked, Want::Status(404), "GET", "/tables/", ""),
    }
}

fn put(random: &mut Random, asked: &mut Asked, method: &str, target: &str, extra: &str, stream: &mut Vec<u8>) {
    asked.head = method == "HEAD";
    asked.old = random.one_in(12);
    let keep = !random.one_in(20);
    asked.close = !keep;
    let (version, connection) = match (asked.old, keep) {
        (true, true) => ("1.0", "Connection: keep-alive\r\n"),
        (true, false) => ("1.0", ""),
        (false, true) => ("1.1", ""),
        (false, false) => ("1.1", "Connection: close\r\n"),
    };
    let head = format!("{method} {target} HTTP/{version}\r\nHost: 127.0.0.1\r\n{connection}{extra}\r\n");
    stream.extend_from_slice(head.as_bytes());
}
