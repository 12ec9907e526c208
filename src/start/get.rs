//! Answers one request on stdout, without a server: the real front and back over a pair of sockets.

use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;

use super::serve::{self, Parts, ProcessHeap};
use super::{Exit, StartError, failures, state};
use crate::back::Back;
use crate::back::open::How;
use crate::cli::Options;
use crate::event_loop;
use crate::front::mio_net::MioNet;
use crate::front::{Front, Wait, Work};
use crate::http;

/// Prints the body of `GET path`; the exit code is 0 for a 2xx, else 1.
///
/// # Errors
/// As for serving, but for addresses.
pub fn get(path: &str, options: &Options, heap: &'static ProcessHeap) -> Result<u8, StartError> {
    let mut parts = Parts::take()?;
    let database = serve::database(options, &mut parts)?;
    let (mut configuration, state) = serve::configuration(options, heap, &database)?;
    let Parts { mut arenas, workspace, mut reply, regions, started } = parts;
    let page_slots = serve::install(&mut arenas, &database, &state)?;
    let how = How { immutable: database.immutable, writable: false, page_slots, page_bytes: database.facts.page_size as usize };
    let conn = serve::open_patiently(&database.path, how, serve::PATIENCE)
        .map_err(|error| failures::cannot_open(&database.facts, &error))?;
    let mut back = Back::new(&conn, workspace, state::random(), started, configuration.running())
        .map_err(|error| failures::cannot_read(&database.facts, &error))?;
    configuration.validate(&mut back, &[])?;
    let failed = |error: std::io::Error| failures::internal(&format!("--get failed: {error}"));
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    theirs.set_nonblocking(true).map_err(failed)?;
    let net = MioNet::new(heapless::Vec::new(), started, false).map_err(failed)?;
    let mut front = Front::new(net, serve::setup(heapless::Vec::new(), &state, configuration.running()), regions);
    front.readings.database.ready = true;
    front.adopt(ours.into());
    let answer = exchange(theirs, path, || {
        front.turn(Wait::No);
        while let Some(Work::Job(job)) = front.next_work() {
            event_loop::run_job(&mut front, &mut back, &mut reply, job);
        }
    })
    .map_err(failed)?;
    print(&answer)
}

fn exchange(mut stream: UnixStream, path: &str, mut work: impl FnMut()) -> std::io::Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        work();
        match stream.read(&mut piece) {
            Ok(0) => return Ok(answer),
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn print(answer: &[u8]) -> Result<u8, StartError> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let status =
        answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| digits.parse::<u16>().ok());
    let (Some(end), Some(status)) = (end, status) else {
        return Err(StartError::new(Exit::Internal, "--get gave no answer", &["flagstone --version".to_string()]));
    };
    let mut out = std::io::stdout().lock();
    // A file gets the body as it is; on a terminal the prompt belongs on a line of its own.
    let newline: &[u8] = if out.is_terminal() && !answer.ends_with(b"\n") { b"\n" } else { b"" };
    let written = out.write_all(&answer[end + 4..]).and_then(|()| out.write_all(newline));
    // A reader that has gone (`| head`) has what it wanted.
    let _ = written.and_then(|()| out.flush());
    debug_assert!(!http::response::reason(status).is_empty(), "we send known statuses");
    Ok(u8::from(!(200..300).contains(&status)))
}
