//! Every limit: what is just within it is answered, what is beyond it is refused in good form, and nothing grows.

use std::time::Duration;

use crate::chaos::crowd::Manner;
use crate::chaos::question::{self, LARGEST, Question};
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "limits",
        what: "heads, targets, bodies and answers at their limits and beyond them, from 30 connections at once",
        risks: &[Risk::Memory],
        signs: &[
            Sign::Rise("flagstone_http_requests_total", &["code=\"413\""], 1.0),
            Sign::Rise("flagstone_http_requests_total", &["code=\"414\""], 1.0),
            Sign::Rise("flagstone_http_requests_total", &["code=\"431\""], 1.0),
            Sign::Rise("flagstone_http_requests_total", &["code=\"501\""], 1.0),
        ],
        quick: true,
        run: limits,
        ..Row::BLANK
    },
    Row {
        name: "sorts",
        what: "sorts and groups of more than SQLite's memory holds",
        risks: &[Risk::Memory],
        signs: &[Sign::Rise("flagstone_temporary_written_bytes_total", &[], 1.0)],
        allows: &[504, 507],
        // Each is one long query: who must have a fresh answer waits for it.
        fresh_gap: Duration::from_secs(6),
        run: sorts,
        ..Row::BLANK
    },
];

/// A request, and the status that it must have.
fn beyond() -> Vec<(&'static str, String, u16)> {
    let head = "Host: localhost\r\n";
    let write = |body: &str| {
        let length = body.len();
        format!("POST /write HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let elements = |count: u64, from: u64| {
        let all: Vec<String> = (0..count).map(|at| format!(r#"{{"key":{},"value":"e"}}"#, from + at)).collect();
        format!("[{}]", all.join(","))
    };
    vec![
        ("a head of 9 KB", format!("GET /item/1 HTTP/1.1\r\n{head}X: {}\r\n\r\n", "x".repeat(9_000)), 431),
        ("80 fields", format!("GET /item/1 HTTP/1.1\r\n{head}{}\r\n", "X: y\r\n".repeat(80)), 431),
        ("a target of 7 KB", format!("GET /item/{} HTTP/1.1\r\n{head}\r\n", "1".repeat(7_000)), 414),
        ("a body of 40 KB", write(&format!(r#"{{"key":1,"value":"{}"}}"#, "v".repeat(40_000))), 413),
        ("1,001 elements", write(&elements(1_001, 1 << 40)), 413),
        ("an unknown method", format!("BREW /item/1 HTTP/1.1\r\n{head}\r\n"), 501),
        ("HTTP/2.0", format!("GET /item/1 HTTP/2.0\r\n{head}\r\n"), 505),
        ("two lengths", format!("GET /item/1 HTTP/1.1\r\n{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400),
        ("JSON 200 deep", write(&format!(r#"{{"key":1,"value":{}1{}}}"#, "[".repeat(200), "]".repeat(200))), 400),
        ("a number of 400 digits", write(&format!(r#"{{"key":{},"value":"v"}}"#, "9".repeat(400))), 400),
    ]
}

fn limits(trial: &Trial) -> Result<(), Stop> {
    let all = beyond();
    trial.breaks(format!("{} kinds of request beyond a limit, beside answers of the largest size", all.len()));
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            let manner = Manner { connections: 30, sources: 3, time: Duration::from_secs(3), ..Manner::default() };
            trial.crowd(
                &manner,
                || false,
                |turn| match turn % 16 {
                    0 => Question::Large(0, LARGEST),
                    1 => Question::Write(trial.shared.key()),
                    _ => Question::Fresh((turn % 500) as u32 + 1),
                },
            )
        });
        for _ in 0..5 {
            for (kind, request, status) in &all {
                let answer = trial.send(request)?;
                let got = answer.as_ref().map(|answer| answer.status);
                // On a full server the connection itself may be turned away.
                let good = got == Some(*status) || matches!(got, Some(503 | 429) | None);
                trial.must(good, || format!("{kind}: {got:?} instead of {status}"));
            }
        }
        crowd.join().map_err(|_| Stop::Internal("the crowd panicked".to_owned()))??;
        Ok::<(), Stop>(())
    })?;
    // And alone, where nothing excuses another answer.
    for (kind, request, status) in &all {
        let got = trial.send(request)?.map(|answer| answer.status);
        trial.must(got == Some(*status), || format!("{kind}, alone: {got:?} instead of {status}"));
    }
    let too_long = trial.send(&Question::Large(0, question::ITEMS).request())?;
    let text = too_long.map(|answer| format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
    let named = text.as_ref().is_some_and(|text| text.starts_with("500 ") && text.contains(" KiB"));
    trial.must(named, || format!("an answer beyond 1 MiB: {:.200}", text.unwrap_or_default()));
    trial.mended();
    trial.await_signs(Duration::from_secs(2));
    Ok(())
}

fn sorts(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("sorts of 400,000 rows and groups of as many, one after the other");
    for _ in 0..if trial.quick { 2 } else { 4 } {
        let answer = trial.send("GET /sorted/400000 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let status = answer.map(|answer| answer.status);
        trial.must(matches!(status, Some(200 | 503 | 504 | 507)), || format!("a large sort: {status:?}"));
    }
    trial.mended();
    trial.await_signs(Duration::from_secs(2));
    Ok(())
}
