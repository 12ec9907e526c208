//! Deadlines: each frees its slot, is counted by its own name, and harms no neighbour. The front runs in a thread of the test, because
//! its times are configuration that a running server does not take yet; what stands behind it answers with as many bytes as are asked for.

mod server;
mod wire;

#[path = "deadlines/hosted.rs"]
mod hosted;

use flagstone::budget::{ANSWER_BYTES, OUTPUT_BLOCK_BYTES, OUTPUT_BLOCKS, PIPELINE};
use flagstone::config::Limits;
use hosted::Hosted;
use server::wait_for;
use wire::{HEALTH, Wire, get};

/// Soon, but not so soon that a busy machine meets it by accident before the test has done its part.
const SHORT: u64 = 400;
/// Never within a test.
const LONG: u64 = 600_000;

const LONG_TIMES: Limits = Limits {
    first_byte_ms: LONG,
    head_ms: LONG,
    body_ms: LONG,
    idle_ms: LONG,
    write_ms: LONG,
    linger_ms: LONG,
    queue_ms: LONG,
    busy_ms: LONG,
    drain_ms: LONG,
    ..Limits::DEFAULT
};

const HALF_HEAD: &str = "GET /-/health HTTP/1.1\r\nHost: loc";
const HALF_BODY: &str = "POST /tables HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf";

/// Waits until a connection was closed for `reason`, and only it.
fn closed_once(hosted: &Hosted, reason: &str) {
    wait_for(reason, || hosted.status()["closed"][reason] == 1);
    for other in ["first_byte_timeout", "head_timeout", "body_timeout", "idle_timeout", "write_timeout"] {
        assert_eq!(hosted.status()["closed"][other], u64::from(other == reason), "{other}");
    }
}

#[test]
fn a_client_that_never_says_a_word_is_closed() {
    let hosted = Hosted::new(Limits { first_byte_ms: SHORT, ..LONG_TIMES });
    let mut neighbour = Wire::to(hosted.address);
    assert_eq!(neighbour.ask("/-/health").status, 200);
    let mut silent = Wire::to(hosted.address);
    let mut empty_line = Wire::to(hosted.address);
    empty_line.send("\r\n");
    silent.ends("nothing was asked");
    empty_line.ends("an empty line is no word");
    wait_for("both are counted", || hosted.status()["closed"]["first_byte_timeout"] == 2);
    assert_eq!(neighbour.ask("/-/health").status, 200);
    hosted.only_slots(1);
}

#[test]
fn a_head_that_does_not_end_is_told_and_closed() {
    let hosted = Hosted::new(Limits { head_ms: SHORT, linger_ms: SHORT, ..LONG_TIMES });
    let mut neighbour = Wire::to(hosted.address);
    assert_eq!(neighbour.ask("/-/health").status, 200);
    let mut slow = Wire::to(hosted.address);
    slow.send(HALF_HEAD);
    let answer = slow.answer();
    assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
    assert_eq!(answer.json()["type"], "tag:flagstone,2026:request-timeout");
    slow.ends("told");
    // Kept open by its client it would linger: that ends too.
    closed_once(&hosted, "head_timeout");
    assert_eq!(neighbour.ask("/-/health").status, 200);
    hosted.only_slots(1);
}

/// The deadline is the whole head's: a byte now and then does not move it.
#[test]
fn a_byte_now_and_then_buys_no_time() {
    let hosted = Hosted::new(Limits { head_ms: SHORT, ..LONG_TIMES });
    let mut slow = Wire::to(hosted.address);
    slow.send("GET /-/health HTTP/1.1\r\nX: ");
    wait_for("the head's time is over", || {
        slow.try_send(b"x");
        slow.has_answer()
    });
    assert_eq!(slow.answer().status, 408);
}

#[test]
fn a_body_that_does_not_end_is_told_and_closed() {
    let hosted = Hosted::new(Limits { body_ms: SHORT, ..LONG_TIMES });
    let mut neighbour = Wire::to(hosted.address);
    neighbour.send(HALF_HEAD);
    let mut slow = Wire::to(hosted.address);
    slow.send(format!("{HEALTH}{HALF_BODY}"));
    assert_eq!(slow.answer().status, 200);
    assert_eq!(slow.answer().status, 408);
    slow.ends("told");
    drop(slow);
    closed_once(&hosted, "body_timeout");
    neighbour.send("alhost\r\n\r\n");
    assert_eq!(neighbour.answer().status, 200);
    hosted.only_slots(1);
}

#[test]
fn a_connection_that_is_kept_for_nothing_is_closed_without_a_word() {
    let hosted = Hosted::new(Limits { idle_ms: SHORT, ..LONG_TIMES });
    let mut neighbour = Wire::to(hosted.address);
    neighbour.send(HALF_HEAD);
    let mut idle = Wire::to(hosted.address);
    assert_eq!(idle.ask("/-/health").status, 200);
    idle.ends("nothing was asked");
    closed_once(&hosted, "idle_timeout");
    neighbour.send("alhost\r\n\r\n");
    assert_eq!(neighbour.answer().status, 200);
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_closed_and_its_blocks_are_free() {
    let hosted = Hosted::new(Limits { write_ms: SHORT, ..LONG_TIMES });
    let mut neighbour = Wire::to(hosted.address);
    assert_eq!(neighbour.ask("/-/health").status, 200);
    let stuck = Wire::small(hosted.address);
    stuck.send(get(&format!("/tables/t/{ANSWER_BYTES}")));
    closed_once(&hosted, "write_timeout");
    assert_eq!(neighbour.ask("/-/health").status, 200);
    hosted.only_slots(1);
    assert_eq!(hosted.blocks(), 0);
}

/// While a client takes its answer it is neither idle nor late with its next request, of which nothing is read meanwhile.
#[test]
fn a_slow_reader_gets_all_of_its_answer_however_long_the_other_deadlines_pass() {
    let hosted = Hosted::new(Limits { idle_ms: SHORT, head_ms: SHORT, ..LONG_TIMES });
    let (mut reader, mut pipeliner) = (Wire::small(hosted.address), Wire::small(hosted.address));
    reader.send(get(&format!("/tables/t/{ANSWER_BYTES}")));
    pipeliner.send(format!("{}{HALF_HEAD}", get(&format!("/tables/t/{ANSWER_BYTES}"))));
    wait_for("both wait for their clients", || hosted.blocks() > 2 * ANSWER_BYTES / OUTPUT_BLOCK_BYTES - 300);
    // Those that come after them meet their deadlines.
    let (mut idle, mut half) = (Wire::to(hosted.address), Wire::to(hosted.address));
    assert_eq!(idle.ask("/-/health").status, 200);
    half.send(HALF_HEAD);
    idle.ends("idle");
    assert_eq!(half.answer().status, 408);
    assert_eq!(reader.answer().body.len(), ANSWER_BYTES);
    assert_eq!(pipeliner.answer().body.len(), ANSWER_BYTES);
    // Then their time begins.
    reader.ends("idle in the end");
    assert_eq!(pipeliner.answer().status, 408);
    wait_for("all of it is counted", || {
        let closed = &hosted.status()["closed"];
        closed["idle_timeout"] == 2 && closed["write_timeout"] == 0
    });
}

#[test]
fn a_refused_client_that_does_not_close_is_closed() {
    let hosted = Hosted::new(Limits { linger_ms: SHORT, ..LONG_TIMES });
    let mut rude = Wire::to(hosted.address);
    rude.send("NONSENSE / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(rude.answer().status, 501);
    rude.ends("refused");
    wait_for("the slot is free", || hosted.status()["closed"]["rejected"] == 1);
    hosted.only_slots(0);
}

#[test]
fn a_request_that_the_database_has_no_time_for_is_told_and_its_connection_goes_on() {
    let hosted = Hosted::new(Limits { queue_ms: SHORT, ..LONG_TIMES });
    hosted.pause();
    let mut client = Wire::to(hosted.address);
    client.send(format!("{}{HEALTH}", get("/tables/t/5")));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("connection")), (503, None));
    assert_eq!(answer.json()["type"], "tag:flagstone,2026:queue-timeout");
    assert!(answer.field("retry-after").is_some());
    assert_eq!(client.answer().status, 200, "what stands behind it in the pipeline is answered");
    assert_eq!(hosted.status()["refused"]["queue_timeout"], 1);
    hosted.resume();
    assert_eq!(client.ask("/tables/t/5").body.len(), 5);
}

#[test]
fn a_database_that_stays_locked_is_told_after_its_time() {
    let hosted = Hosted::new(Limits { busy_ms: SHORT, ..LONG_TIMES });
    let mut client = Wire::to(hosted.address);
    let answer = client.ask("/tables/t/busy");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["type"], "tag:flagstone,2026:database-busy");
    assert_eq!(client.ask("/tables/t/5").body.len(), 5);
    let status = hosted.status();
    assert_eq!(status["refused"]["busy"], 1);
    assert!(status["requests"]["busy_retries"].as_u64() > Some(2));
}

/// When not even the refusal of an answer fits, the connection must end: a later answer would be taken for the missing one.
#[test]
fn an_answer_that_has_no_room_at_all_ends_its_connection() {
    let hosted = Hosted::new(LONG_TIMES);
    let mut client = Wire::to(hosted.address);
    client.send(get("/tables/t/1000000"));
    let head = client.head_of_next();
    client.skip(1_000_000);
    // One pipeline fills all blocks but a few hundred bytes: less than a refusal takes.
    let (pool, large) = (OUTPUT_BLOCKS * OUTPUT_BLOCK_BYTES, 1_000_000 + head);
    let (count, left) = (pool / large, pool % large);
    assert!(left > 100_000 && count + 4 < PIPELINE);
    let middle = left - (head + 8) - 300;
    let mut requests = get("/tables/t/1000000").repeat(count);
    requests.push_str(&get(&format!("/tables/t/{middle}")));
    requests.push_str(&HEALTH.repeat(PIPELINE - count - 1));
    hosted.pause();
    client.send(requests);
    wait_for("the first is queued", || hosted.status()["requests"]["queued"] == 1);
    hosted.resume();
    for size in std::iter::repeat_n(1_000_000, count).chain([middle]) {
        assert_eq!(client.answer().body.len(), size);
    }
    let mut more = 0;
    while let Ok(answer) = client.try_answer(false) {
        assert_eq!(answer.status, 200);
        more += 1;
    }
    assert!(more <= 1, "{more} answers of some 250 bytes had room");
    assert_eq!(hosted.status()["refused"]["output_full"], 1);
    // It lingers until its client closes too, because requests of it are unread.
    drop(client);
    wait_for("its end is counted", || hosted.status()["closed"]["refused"] == 1);
    assert_eq!(hosted.blocks(), 0);
}
