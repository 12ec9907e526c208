//! The loops: what a request costs in the process alone, without a kernel. Each takes the same way for each iteration, so that the
//! instructions of one are the difference of two runs, divided.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use flagstone::back::heap::Arenas;
use flagstone::back::open::{How, open};
use flagstone::back::rows::RowShape;
use flagstone::back::{Back, Workspace};
use flagstone::budget::{ANSWER_BYTES, REQUEST_BYTES};
use flagstone::config::Config;
use flagstone::event_loop::run_job;
use flagstone::front::slots::Listening;
use flagstone::front::{Front, Regions, Setup, Wait, Work};
use flagstone::http::accept::Media;
use flagstone::http::etag::TagKey;
use flagstone::http::request::Step;
use flagstone::job::{Exchange, Reply};
use flagstone::policy::hosts::Hosts;
use rusqlite::types::ValueRef;

use super::client::{OneClient, Seen};

/// A page whose body is about 1 KB.
const SMALL_PAGE: &str = "/tables/readings?sensor=eq.kitchen&limit=16";

/// What a browser or a script sends.
fn request(target: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux aarch64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: application/json\r\n\
         Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes()
}

const DATABASE: &str = "PRAGMA journal_mode = wal;
    CREATE TABLE readings(id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, at TEXT NOT NULL, value REAL);
    WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
    INSERT INTO readings SELECT i, 'kitchen', strftime('%Y-%m-%dT%H:%M:%SZ', 1700000000 + 60 * i, 'unixepoch'), 20 + i / 10.0 FROM n;";

/// Rows of one `encode`.
const ROWS: i64 = 100;

/// One of the loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// A request's bytes into its parts.
    Parse,
    /// A request that the cache answers, from the bytes read to the bytes written: the front's own turn. Its bytes are those of the request
    /// before, so that they are compared and not read.
    Hit,
    /// The same, of requests that take turns: each is read, judged and looked for.
    OtherHit,
    /// A hundred rows of four values into JSON.
    Encode,
    /// One row by its key with the cache off: front, back and SQLite.
    Key,
    /// A page of a hundred rows with the cache off.
    Page,
}

impl Loop {
    /// All, in the order in which they are told.
    pub const ALL: [Loop; 6] = [Loop::Parse, Loop::Hit, Loop::OtherHit, Loop::Encode, Loop::Key, Loop::Page];

    /// The name on the command line and in a baseline.
    pub const fn name(self) -> &'static str {
        match self {
            Loop::Parse => "parse",
            Loop::Hit => "hit",
            Loop::OtherHit => "other-hit",
            Loop::Encode => "encode",
            Loop::Key => "key",
            Loop::Page => "page",
        }
    }

    /// The loop of that name.
    pub fn named(name: &str) -> Option<Loop> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Takes it `iterations` times.
    ///
    /// # Errors
    /// What went otherwise than meant, so that nothing was measured.
    pub fn run(self, iterations: u64) -> Result<(), String> {
        match self {
            Loop::Parse => parse(iterations),
            Loop::Hit => serve(&[SMALL_PAGE], Cache::On, iterations),
            Loop::OtherHit => serve(&[SMALL_PAGE, "/tables/readings?sensor=eq.kitchen&limit=15"], Cache::On, iterations),
            Loop::Encode => encode(iterations),
            Loop::Key => serve(&["/tables/readings/17", "/tables/readings/71"], Cache::Off, iterations),
            Loop::Page => serve(&["/tables/readings?limit=100"], Cache::Off, iterations),
        }
    }
}

/// Whether answers are kept.
#[derive(Clone, Copy, PartialEq)]
enum Cache {
    On,
    Off,
}

fn parse(iterations: u64) -> Result<(), String> {
    let request = request(SMALL_PAGE);
    let mut exchange = Exchange::new(vec![0; REQUEST_BYTES].leak());
    for _ in 0..iterations {
        exchange.room()[..request.len()].copy_from_slice(black_box(&request));
        exchange.filled = request.len();
        if exchange.advance() != Step::Ready {
            return Err("the request is not read whole".to_owned());
        }
        black_box(exchange.request());
        exchange.next_request();
    }
    Ok(())
}

fn encode(iterations: u64) -> Result<(), String> {
    let full = |_| "the rows do not fit".to_owned();
    let mut reply = Reply::new(vec![0; ANSWER_BYTES].leak());
    let mut shape = Box::new(RowShape::new());
    shape.set(["id", "sensor", "at", "value"].into_iter(), Media::Json).map_err(full)?;
    for _ in 0..iterations {
        reply.clear();
        shape.put_head(Media::Json, false, &mut reply).map_err(full)?;
        for at in 0..ROWS {
            let values = [
                ValueRef::Integer(at),
                ValueRef::Text(b"kitchen"),
                ValueRef::Text(b"2023-11-14T22:13:20Z"),
                ValueRef::Real(20.0 + at as f64 / 10.0),
            ];
            shape.put_row(Media::Json, at == 0, black_box(values).into_iter(), &mut reply).map_err(full)?;
        }
        RowShape::put_tail(Media::Json, false, &mut reply).map_err(full)?;
        black_box(reply.body());
    }
    Ok(())
}

/// Real front, real back, real database and its wal-index; only the sockets are in memory.
fn serve(targets: &[&str], cache: Cache, iterations: u64) -> Result<(), String> {
    let folder = crate::serve::scratch::Scratch::new().map_err(|error| error.to_string())?;
    let path = folder.path().join("data.db");
    let mut arenas = Arenas::take().ok_or("the arenas are taken")?;
    let page_slots = arenas.install(4096).map_err(|error| format!("{error:?}"))?;
    let sql = |error: rusqlite::Error| error.to_string();
    let writer = rusqlite::Connection::open(&path).map_err(sql)?;
    writer.execute_batch(DATABASE).map_err(sql)?;
    let conn = open(&path, How { immutable: false, writable: false, page_slots, page_bytes: 4096 }).map_err(sql)?;
    let mut config = Config::new();
    if cache == Cache::Off {
        config.flags.cache = 0;
    }
    let config = Rc::new(config);
    let work = Workspace::take().ok_or("the workspace is taken")?;
    let mut back = Back::new(&conn, work, [7; 16], Instant::now(), Rc::clone(&config)).map_err(|error| format!("{error:?}"))?;
    let mut reply = Reply::new(vec![0; ANSWER_BYTES].leak());

    let mut listeners = heapless::Vec::new();
    listeners.push(Listening::Public).map_err(|_| "no room for a listener")?;
    let setup = Setup { listeners, config, tag_key: TagKey([7; 16]), hosts: Hosts::new("bench") };
    let seen = Rc::new(Seen::default());
    let requests = targets.iter().map(|target| request(target)).collect();
    let mut front =
        Front::new(OneClient::new(requests, Rc::clone(&seen)), setup, Regions::take().ok_or("the regions are taken")?);
    front.set_freshness(Some(back.freshness()));

    // Statements are prepared, and the cache is filled.
    let mut turns = |front: &mut Front<OneClient>, turns: u64| {
        for _ in 0..turns {
            front.turn(Wait::No);
            if let Some(Work::Job(job)) = front.next_work() {
                run_job(front, &mut back, &mut reply, job);
            }
        }
    };
    turns(&mut front, 32);
    let (answers, jobs) = (seen.answers.get(), front.metrics.jobs);
    turns(&mut front, iterations);
    let (answered, asked) = (seen.answers.get() - answers, front.metrics.jobs - jobs);
    let expected = if cache == Cache::On { 0 } else { iterations };
    if answers == 0 || answered != iterations || asked != expected {
        return Err(format!(
            "{answered} of {iterations} turns were answered, {asked} asked the database: {:?}",
            seen.other.borrow()
        ));
    }
    Ok(())
}
