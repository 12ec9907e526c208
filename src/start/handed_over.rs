//! Sockets that a service manager listens on and hands over (sd_listen_fds(3)): $LISTEN_PID, $LISTEN_FDS, $LISTEN_FDNAMES.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use listenfd::ListenFd;
use socket2::SockRef;

use super::address::Address;
use super::listen::{self, Bound};
use super::{Exit, StartError};
use crate::front::slots::Listening;

/// The name of the sockets that operators use; all others are public.
const OPS: &str = "ops";

/// Takes all of them, each for whom its name says. None where this process was handed none.
///
/// # Errors
/// 69 for one that cannot be accepted from.
pub(super) fn take() -> Result<Vec<(Bound, Listening)>, StartError> {
    // Before they are taken, which removes the variables.
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut handed = ListenFd::from_env();
    let mut taken = Vec::new();
    for at in 0..handed.len() {
        let kind = if names.next() == Some(OPS) { Listening::Ops } else { Listening::Public };
        taken.push((bound(&mut handed, at).map_err(|why| refused(at, &why))?, kind));
    }
    Ok(taken)
}

fn bound(handed: &mut ListenFd, at: usize) -> Result<Bound, String> {
    let socket: OwnedFd = match handed.take_tcp_listener(at) {
        Ok(Some(listener)) => listener.into(),
        _ => match handed.take_unix_listener(at) {
            Ok(Some(listener)) => listener.into(),
            _ => return Err("it is no stream socket".to_string()),
        },
    };
    let reference = SockRef::from(&socket);
    if !reference.is_listener().unwrap_or(false) {
        return Err("it does not listen (Accept=yes hands over connections)".to_string());
    }
    let local = reference.local_addr().map_err(|error| error.to_string())?;
    let address = match (local.as_socket(), local.as_pathname()) {
        (Some(tcp), _) => Address::Tcp(tcp),
        (None, Some(path)) => Address::Unix(path.to_owned()),
        (None, None) => Address::Unix(PathBuf::from("@")),
    };
    listen::adopt(&reference, &address).map_err(|error| error.to_string())?;
    Ok(Bound { socket, address })
}

fn refused(at: usize, why: &str) -> StartError {
    let what = format!("the service manager has handed over descriptor {}, and {why}", at + 3);
    StartError::new(Exit::Address, what, &["systemctl cat flagstone.socket".to_string()])
}
