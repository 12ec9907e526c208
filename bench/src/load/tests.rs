//! The driver against real loopback sockets: the baseline, and small servers that misbehave by a script.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::options::{self, Options};
use super::report::{Fault, Tally};
use crate::bare::Bare;

/// A baseline server on a thread of its own, stopped when dropped.
struct Served {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Served {
    fn bare() -> Self {
        let mut bare = Bare::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = bare.address().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                bare.turn(Some(Duration::from_millis(10))).unwrap();
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Runs `script` on a thread for each connection, with the connection's number. The threads end with their sockets.
fn scripted(script: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let script = Arc::clone(&script);
            thread::spawn(move || script(number, stream.unwrap()));
        }
    });
    address
}

/// Reads one request without a body; None at the end of the connection.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

fn load(address: SocketAddr, arguments: &str) -> (Options, Tally) {
    let line = format!("http://{address}/ {arguments}");
    let options = options::parse(line.split_whitespace().map(Into::into)).unwrap().unwrap();
    let tally = super::run(&options, &AtomicBool::new(false), || {}).unwrap();
    (options, tally)
}

fn faults(tally: &Tally) -> Vec<(Fault, u64)> {
    tally.faults.iter().map(|(&fault, &count)| (fault, count)).collect()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn every_request_is_answered_once_at_depth_1_and_16() {
    let server = Served::bare();
    for (arguments, requests) in [
        ("-c 3 -n 1000", 1000),
        ("-c 3 -n 1000 -p 16", 1000),
        ("-c 1 -n 777 -p 64", 777),
        ("-c 70 -n 70", 70),
        ("-c 4 -n 100 --no-keep-alive", 100),
        ("-c 4 -n 100 --bind-sources 3", 100),
        ("-c 4 -r 2000 -t 0.1 -p 4", 200),
    ] {
        let (options, tally) = load(server.address, arguments);
        assert!(tally.is_clean(&options), "{arguments}: {tally:?}");
        assert_eq!((tally.replies(), tally.latency.len()), (requests, requests), "{arguments}");
        assert_eq!(tally.body_bytes, requests * 1024, "{arguments}");
    }
}

#[test]
fn a_closed_loop_by_time_ends_when_its_time_is_over() {
    let server = Served::bare();
    let (options, tally) = load(server.address, "-c 2 -t 0.2");
    assert!(tally.is_clean(&options) && tally.replies() > 10);
    assert!(tally.elapsed < Duration::from_secs(2) && tally.elapsed > Duration::from_millis(150), "{:?}", tally.elapsed);
}

#[test]
fn a_unix_socket_is_loaded_like_any_other() {
    let path = std::env::temp_dir().join(format!("bench-{}.sock", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) && stream.write_all(OK).is_ok() {}
            });
        }
    });
    let line = format!("unix:{}:/x -c 2 -n 50", path.display());
    let options = options::parse(line.split(' ').map(Into::into)).unwrap().unwrap();
    let tally = super::run(&options, &AtomicBool::new(false), || {}).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(tally.is_clean(&options), "{tally:?}");
    assert_eq!(tally.replies(), 50);
}

#[test]
fn paths_are_mixed_round_robin() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let address = scripted(move |_, mut stream| {
        while let Some(head) = request(&mut stream) {
            log.lock().unwrap().push(head.split(' ').nth(1).unwrap().to_owned());
            stream.write_all(OK).unwrap();
        }
    });
    load(address, "-c 1 -n 6 --path /b --path /c");
    assert_eq!(*seen.lock().unwrap(), ["/", "/b", "/c", "/", "/b", "/c"]);
}

#[test]
fn chunked_replies_count_their_data_alone() {
    let address = scripted(|_, mut stream| {
        while request(&mut stream).is_some() {
            for piece in ["HTTP/1.1 200 OK\r\nTransfer-Enc", "oding: chunked\r\n\r\n5\r", "\nhello\r\n0\r\n", "\r\n"] {
                stream.write_all(piece.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let (options, tally) = load(address, "-c 2 -n 20");
    assert!(tally.is_clean(&options), "{tally:?}");
    assert_eq!((tally.replies(), tally.body_bytes), (20, 100));
}

#[test]
fn an_announced_close_is_no_error_and_loses_no_pipelined_request() {
    let address = scripted(|_, mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // Take what else was sent: closing over unread bytes would be a reset.
        while request(&mut stream).is_some() {}
    });
    let (options, tally) = load(address, "-c 2 -n 30 -p 4");
    assert!(tally.is_clean(&options), "{tally:?}");
    assert_eq!((tally.replies(), tally.announced_closes), (30, 30));
}

#[test]
fn each_kind_of_failure_is_told_apart() {
    let cases: [(&'static [u8], Fault); 5] = [
        (b"", Fault::ClosedEarly),
        (b"HTTP/1.1 200 OK\r\nConte", Fault::ClosedEarly),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", Fault::ShortBody),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", Fault::ShortBody),
        (b"SMTP ready\r\n\r\n", Fault::Malformed),
    ];
    for (answer, fault) in cases {
        // The first connection is the bad one; those after it show that the driver goes on.
        let address = scripted(move |number, mut stream| {
            while request(&mut stream).is_some() {
                stream.write_all(if number == 0 { answer } else { OK }).unwrap();
                if number == 0 {
                    return stream.shutdown(Shutdown::Both).unwrap();
                }
            }
        });
        let (options, tally) = load(address, "-c 1 -n 5");
        assert_eq!((faults(&tally), tally.replies()), (vec![(fault, 1)], 4), "{}", String::from_utf8_lossy(answer));
        assert!(!tally.is_clean(&options));
    }
}

#[test]
fn a_malformed_reply_in_a_pipeline_fails_all_behind_it() {
    let address = scripted(|_, mut stream| {
        request(&mut stream);
        stream.write_all(&[OK, b"garbage\r\n\r\n"].concat()).unwrap();
        while request(&mut stream).is_some() {}
    });
    let (_, tally) = load(address, "-c 1 -n 4 -p 4");
    assert_eq!((faults(&tally), tally.replies()), (vec![(Fault::ClosedEarly, 2), (Fault::Malformed, 1)], 1));
}

#[test]
fn a_reset_a_timeout_and_a_refusal_are_told_apart() {
    let address = scripted(|_, mut stream| {
        request(&mut stream);
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    assert_eq!(faults(&load(address, "-c 1 -n 1").1), [(Fault::Reset, 1)]);
    let address = scripted(|_, mut stream| while request(&mut stream).is_some() {});
    assert_eq!(faults(&load(address, "-c 1 -n 3 -p 3 --timeout 0.1").1), [(Fault::Timeout, 3)]);
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(faults(&load(unused, "-c 2 -n 9").1), [(Fault::ConnectRefused, 2)]);
    assert_eq!(faults(&load(unused, "-c 1 -n 2 --no-keep-alive").1), [(Fault::ConnectRefused, 2)]);
}

#[test]
fn a_second_reply_that_nobody_asked_for_is_counted() {
    let address = scripted(|_, mut stream| {
        while request(&mut stream).is_some() {
            stream.write_all(&OK.repeat(2)).unwrap();
        }
    });
    let (options, tally) = load(address, "-c 1 -n 3");
    assert_eq!((faults(&tally), tally.replies()), (vec![(Fault::Unsolicited, 3)], 6));
    assert!(!tally.is_clean(&options));
}

#[test]
fn a_refusal_on_accept_shows_its_status() {
    let address = scripted(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        while request(&mut stream).is_some() {}
    });
    let (options, tally) = load(address, "-c 3 -n 9");
    assert!(!tally.is_clean(&options) && tally.statuses[&503] >= 9, "{tally:?}");
    assert_eq!(tally.statuses.len(), 1);
}

#[test]
fn a_close_that_comes_with_the_last_bytes_is_seen_at_once() {
    // Data and close in one edge: who stops at a short read waits for a timeout instead.
    let address = scripted(|_, mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort").unwrap();
    });
    for _ in 0..30 {
        let (_, tally) = load(address, "-c 1 -n 1 --timeout 1");
        assert_eq!(faults(&tally), [(Fault::ShortBody, 1)]);
    }
}

#[test]
fn an_unexpected_status_is_not_clean_and_an_expected_one_is() {
    let address = scripted(|_, mut stream| {
        while request(&mut stream).is_some() {
            stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    for (arguments, clean) in [("-c 1 -n 3", false), ("-c 1 -n 3 --expect 503", true)] {
        let (options, tally) = load(address, arguments);
        assert_eq!((tally.statuses.get(&503), tally.is_clean(&options)), (Some(&3), clean));
    }
}

/// A server that sleeps 200 ms once, before its 20th answer on the only connection.
fn stalling() -> SocketAddr {
    scripted(|_, mut stream| {
        let mut count = 0;
        while request(&mut stream).is_some() {
            count += 1;
            if count == 20 {
                thread::sleep(Duration::from_millis(200));
            }
            stream.write_all(OK).unwrap();
        }
    })
}

#[test]
fn an_open_loop_charges_a_stall_to_everyone_it_kept_waiting() {
    let (options, tally) = load(stalling(), "-c 1 -r 500 -t 0.8");
    assert!(tally.is_clean(&options), "{tally:?}");
    assert_eq!(tally.replies(), 400);
    // 100 requests were due during the stall; half of them waited for more than half of it.
    let slow = tally.latency.count_between(100_000_000, u64::MAX / 2);
    assert!((40..=200).contains(&slow), "{slow} slow replies: {tally:?}");
    assert!(tally.latency_us(99.0) > 100_000.0);

    // The closed loop sees the same stall in one reply: that is why its report says what it says.
    let (_, tally) = load(stalling(), "-c 1 -n 400");
    assert_eq!(tally.latency.count_between(100_000_000, u64::MAX / 2), 1);
}

#[test]
fn an_open_loop_that_cannot_keep_up_says_what_was_never_sent() {
    let address = scripted(|_, mut stream| {
        while request(&mut stream).is_some() {
            thread::sleep(Duration::from_millis(50));
            stream.write_all(OK).unwrap();
        }
    });
    let (options, tally) = load(address, "-c 1 -r 1000 -t 0.2 --timeout 0.3");
    assert!(!tally.is_clean(&options));
    let unsent = tally.faults.get(&Fault::Unsent).copied().unwrap_or(0);
    assert!((100..200).contains(&unsent), "{tally:?}");
    assert_eq!(tally.replies() + tally.failures(), 200);
}
