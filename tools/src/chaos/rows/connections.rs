//! Connections: too many, too slow to ask, too slow to take, half closed, and the pool's reset.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::chaos::crowd::Manner;
use crate::chaos::question::{LARGEST, Question};
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

const REFUSALS: &str = "flagstone_refusals_total";
const CLOSED: &str = "flagstone_connections_closed_total";
/// Connections of one address; the server allows 15.
const OF_ONE: usize = 15;
/// Bytes of a head that never ends.
const NEVER_ENDING: &[u8] = b"GET /item/1 HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "connection-burst",
        what: "400 connections at once from 40 addresses, each asking without pause",
        risks: &[Risk::Pool],
        signs: &[
            Sign::Acted(Risk::Pool),
            Sign::Rise(REFUSALS, &["reason=\"slots_full\""], 10.0),
            Sign::Rise(CLOSED, &["reason=\"reclaimed\""], 1.0),
        ],
        quick: true,
        run: burst,
        ..Row::BLANK
    },
    Row {
        name: "client-cap",
        what: "60 connections from one address, where a client may have 15",
        risks: &[Risk::Pool],
        signs: &[Sign::Acted(Risk::Pool), Sign::Rise(REFUSALS, &["reason=\"client_cap\""], 10.0)],
        quick: true,
        run: one_greedy,
        ..Row::BLANK
    },
    Row {
        name: "slowloris",
        what: "90 connections whose heads come a byte at a time and never end",
        risks: &[Risk::Pool],
        signs: &[
            Sign::Acted(Risk::Pool),
            Sign::Rise(CLOSED, &["reason=\"too_slow\""], 1.0),
            Sign::Rise(REFUSALS, &["reason=\"slots_full\""], 1.0),
        ],
        run: slowloris,
        ..Row::BLANK
    },
    Row {
        name: "silent",
        what: "90 connections that never say anything",
        risks: &[Risk::Pool, Risk::Leak],
        signs: &[
            Sign::Acted(Risk::Leak),
            Sign::Rise(CLOSED, &["reason=\"too_slow\""], 1.0),
            Sign::Rise(REFUSALS, &["reason=\"slots_full\""], 1.0),
        ],
        run: silent,
        ..Row::BLANK
    },
    Row {
        name: "slow-readers",
        what: "45 connections that ask for 1 MiB again and again and take nothing of it",
        risks: &[Risk::Pool, Risk::Memory],
        signs: &[
            Sign::Acted(Risk::Leak),
            Sign::Rise(CLOSED, &["reason=\"too_slow\""], 1.0),
            Sign::Rise(REFUSALS, &["reason=\"output_full\""], 1.0),
        ],
        run: slow_readers,
        ..Row::BLANK
    },
    Row {
        name: "half-closed",
        what: "300 connections that close one half, some after a request, and leave the other open for ever",
        risks: &[Risk::Leak],
        signs: &[Sign::Rise(CLOSED, &["reason=\"client_closed\""], 1.0)],
        quick: true,
        run: half_closed,
        ..Row::BLANK
    },
    Row {
        name: "pool-reset",
        what: "40 idle connections are held, and an operator resets the pool",
        risks: &[Risk::Pool, Risk::Leak],
        signs: &[Sign::Acted(Risk::Pool), Sign::Rise(CLOSED, &["reason=\"reclaimed\""], 30.0)],
        quick: true,
        run: pool_reset,
        ..Row::BLANK
    },
];

/// Connects from 127.0.0.2 and following; `None` when the server does not take it.
fn connect(address: SocketAddr, source: usize) -> Option<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).ok()?;
    socket.set_reuse_address(true).ok()?;
    socket.bind(&SocketAddr::from((Ipv4Addr::from_bits(0x7f00_0002 + source as u32), 0)).into()).ok()?;
    socket.connect_timeout(&address.into(), Duration::from_secs(1)).ok()?;
    Some(socket.into())
}

/// So many connections, 15 from each address, each with these first bytes sent.
fn crowd_of(address: SocketAddr, count: usize, first: &[u8]) -> Vec<TcpStream> {
    let made = (0..count).filter_map(|at| connect(address, at / OF_ONE));
    // One that is refused meanwhile is one less.
    made.filter_map(|mut stream| stream.write_all(first).ok().map(|()| stream)).collect()
}

/// Those that the server has not ended, nor told anything.
fn alive(streams: &mut [TcpStream]) -> usize {
    let open = streams.iter_mut().filter_map(|stream| {
        stream.set_nonblocking(true).ok()?;
        let mut byte = [0];
        matches!(stream.read(&mut byte), Err(error) if error.kind() == ErrorKind::WouldBlock).then_some(())
    });
    open.count()
}

fn burst(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("400 connections from 40 addresses ask for cached and fresh rows");
    let time = Duration::from_secs(if trial.quick { 2 } else { 6 });
    let manner = Manner { connections: 400, sources: 40, time, ..Manner::default() };
    let crowded = trial.crowd(
        &manner,
        || false,
        |turn| {
            let id = (turn % 100) as u32 + 1;
            if turn % 4 == 0 { Question::Fresh(id) } else { Question::Item(id) }
        },
    )?;
    trial.mended();
    let served = crowded.tally.served as f64 / crowded.time.as_secs_f64();
    trial.say(format!("{served:.0} answers a second were served to the crowd"));
    Ok(())
}

fn one_greedy(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("one address opens 60 connections and asks over each");
    let manner = Manner { connections: 60, sources: 1, time: Duration::from_secs(2), ..Manner::default() };
    let crowded = trial.crowd(&manner, || false, |turn| Question::Item((turn % 100) as u32 + 1))?;
    trial.must(crowded.tally.shed > 0, || "nothing was refused".to_owned());
    trial.mended();
    Ok(())
}

/// Keeps so many of such connections alive until the signs are seen: one that is ended is made anew.
fn besiege(trial: &Trial, count: usize, first: &[u8], pace: &[u8]) -> Result<(), Stop> {
    let address = trial.address()?;
    let mut streams = crowd_of(address, count, first);
    let mut most = 0;
    let time = Duration::from_secs(if trial.quick { 4 } else { 15 });
    let began = Instant::now();
    trial.until(time + Duration::from_secs(5), || {
        most = most.max(alive(&mut streams));
        streams.retain_mut(|stream| {
            let ended = stream.read(&mut [0; 512]).is_ok();
            !ended && (pace.is_empty() || stream.write(pace).is_ok())
        });
        while streams.len() < count {
            let Some(mut stream) = connect(address, streams.len() / OF_ONE) else { break };
            if stream.write_all(first).is_err() || stream.set_nonblocking(true).is_err() {
                break;
            }
            streams.push(stream);
        }
        std::thread::sleep(Duration::from_millis(30));
        began.elapsed() > time
    });
    trial.say(format!("{most} connections of the siege were open at most"));
    drop(streams);
    trial.mended();
    Ok(())
}

fn slowloris(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("90 heads from 6 addresses that come a byte at a time and never end; who is ended comes again");
    besiege(trial, 90, NEVER_ENDING, b"x")
}

fn silent(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("90 connections from 6 addresses that say nothing; who is ended comes again");
    besiege(trial, 90, b"", b"")
}

fn slow_readers(trial: &Trial) -> Result<(), Stop> {
    let address = trial.address()?;
    trial.breaks("45 connections that ask for answers of 1 MiB and take nothing");
    let request = Question::Large(0, LARGEST).request();
    let mut streams = Vec::new();
    for at in 0..45 {
        let Some(mut stream) = connect(address, at / OF_ONE) else { continue };
        // Little room on this side, so that the server's is what fills.
        socket2::SockRef::from(&stream).set_recv_buffer_size(4096)?;
        if stream.write_all(request.repeat(2).as_bytes()).is_ok() {
            streams.push(stream);
        }
    }
    // Others need the room all the while.
    let manner = Manner { connections: 4, sources: 0, time: Duration::from_secs(8), ..Manner::default() };
    trial.crowd(
        &manner,
        || trial.watch.all_seen(),
        |turn| match turn % 3 {
            0 => Question::Large(0, LARGEST),
            1 => Question::Fresh((turn % 99) as u32 + 1),
            _ => Question::Item((turn % 99) as u32 + 1),
        },
    )?;
    trial.await_signs(Duration::from_secs(4));
    trial.mended();
    drop(streams);
    Ok(())
}

fn half_closed(trial: &Trial) -> Result<(), Stop> {
    let address = trial.address()?;
    trial.breaks("300 connections that send their FIN at once, after half a head, or after a request");
    let mut streams = Vec::new();
    for at in 0..300 {
        let Some(mut stream) = connect(address, at % 20) else { continue };
        let first: &[u8] = match at % 3 {
            0 => b"",
            1 => NEVER_ENDING,
            _ => b"GET /item/3 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        };
        // A refusal may have come before.
        let _ = stream.write_all(first).and_then(|()| stream.shutdown(Shutdown::Write));
        streams.push(stream);
        if at % 20 == 19 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    trial.await_signs(Duration::from_secs(5));
    // Ours stay open: healing must not wait for them.
    trial.mended();
    trial.heal()?;
    let open = alive(&mut streams);
    trial.must(open == 0, || format!("{open} half-closed connections are still held by the server"));
    Ok(())
}

fn pool_reset(trial: &Trial) -> Result<(), Stop> {
    let address = trial.address()?;
    trial.breaks("40 keep-alive connections from 3 addresses, idle after one request each");
    let mut streams = crowd_of(address, 40, b"GET /item/1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    trial.must(streams.len() == 40, || format!("{} of 40 connections were made", streams.len()));
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        // Its answer, so that it is idle.
        let _ = stream.read(&mut [0; 4096])?;
    }
    let answer = trial.operator.ask("POST", "/-/reset/pool", "")?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let closed: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let closed = closed["closed"].as_u64().unwrap_or(0);
    trial.must(answer.status == 200 && closed >= 40, || format!("the reset: {} {text}", answer.status));
    trial.say(format!("the operator was told {text}"));
    trial.await_signs(Duration::from_secs(2));
    let all_ended = trial.until(Duration::from_secs(2), || alive(&mut streams) == 0);
    trial.must(all_ended, || "idle connections outlived the reset".to_owned());
    trial.mended();
    Ok(())
}
