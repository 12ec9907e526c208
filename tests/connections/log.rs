//! A log that nobody reads stops nothing.

use std::process::Stdio;

use crate::SQL;
use crate::server::{Server, Start};
use crate::wire::{Probe, Wire};

const DROPPED: &str = "flagstone_log_dropped_lines_total";

fn chatty(stderr: Stdio) -> Server {
    Start::new().sql(SQL).environment("RUST_LOG", "debug").stderr(stderr).run()
}

#[test]
fn a_full_pipe_for_a_log_is_noticed_by_no_client() {
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a small pipe");
    let server = chatty(writer.into());
    let mut probe = Probe::of(&server);
    let mut kept = Wire::to(server.address);
    // Each closed connection is a line; the ring and the pipe hold a few thousand.
    for round in 0..100_000 {
        assert_eq!(Wire::to(server.address).ask("/tables/sensors/1").status, 200, "round {round}");
        assert_eq!(kept.ask("/tables/sensors/2").status, 200);
        if round % 100 == 99 && probe.metric(DROPPED) > 200 {
            break;
        }
    }
    let dropped = probe.metric(DROPPED);
    assert!(dropped > 200, "{dropped}");
    probe.wait_for("both pages say so", |probe| probe.status()["log_lines_dropped"].as_u64() == Some(probe.metric(DROPPED)));
    // A reader that comes at last finds whole lines, and how many are missing.
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    crate::server::wait_for("the log says how many lines are missing", || {
        let _ = Wire::to(server.address).ask("/tables/sensors/1");
        let count = rustix::io::read(&reader, &mut piece).expect("a pipe");
        text.extend_from_slice(&piece[..count]);
        String::from_utf8_lossy(&text).contains("log lines dropped]\n")
    });
    drop(kept);
}

#[test]
fn a_log_whose_reader_is_gone_is_noticed_by_no_client() {
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    let server = chatty(writer.into());
    drop(reader);
    for _ in 0..200 {
        assert_eq!(Wire::to(server.address).ask("/tables/sensors/1").status, 200);
    }
    let mut server = server;
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
}
