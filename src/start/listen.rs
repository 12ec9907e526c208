//! Binds the listeners: sizes of socket buffers and backlog from the budget, inherited by every accepted connection.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::address::Address;
use super::configuration::Configuration;
use super::{StartError, handed_over, port_holder};
use crate::budget::{BACKLOG, RECEIVE_BUFFER_KIB, SEND_BUFFER_KIB};
use crate::cli::Options;
use crate::front::slots::Listening;

/// A bound, listening, non-blocking socket.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub socket: OwnedFd,
    /// Its address, with the port that the kernel chose for port 0.
    pub address: Address,
}

/// The file of a unix socket, removed at the end.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // That it is gone already is what we want.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Bound {
    /// The guard of a unix socket's file.
    pub fn file(&self) -> Option<SocketFile> {
        match &self.address {
            Address::Unix(path) => Some(SocketFile(path.clone())),
            Address::Tcp(_) => None,
        }
    }
}

/// A public or an operators' listener.
pub(super) type Placed = (Bound, Listening);

/// All listeners, and the files that are removed at the end. What a service manager hands over takes the place of what the configuration
/// names and of the default; what the command line names comes beside it.
///
/// # Errors
/// 69 for an address, 78 for text in the configuration that is none.
pub(super) fn all(
    configuration: &mut Configuration, options: &Options, served: &str,
) -> Result<(Vec<Placed>, Vec<SocketFile>), StartError> {
    let mut bound = handed_over::take()?;
    bound.retain(|(bound, _)| configuration.may_listen(&bound.address));
    let has = |wanted: Listening| bound.iter().any(|(_, kind)| *kind == wanted);
    let (has_public, has_ops) = (has(Listening::Public), has(Listening::Ops));
    let public = if has_public && options.listen.is_empty() { Vec::new() } else { configuration.listen(options)? };
    let ops = if has_ops && options.ops.is_none() { None } else { configuration.ops(options)? };
    let public = public.into_iter().map(|address| (address, Listening::Public));
    let mut files = Vec::new();
    for (address, kind) in public.chain(ops.into_iter().map(|address| (address, Listening::Ops))) {
        let new = bind(&address, served)?;
        files.extend(new.file());
        bound.push((new, kind));
    }
    Ok((bound, files))
}

/// Binds and listens.
///
/// # Errors
/// A start error with exit code 69 that says who holds the address and what to type instead; `served` is what stood behind the options on
/// the command line.
pub fn bind(address: &Address, served: &str) -> Result<Bound, StartError> {
    let bound = match address {
        Address::Tcp(wanted) => tcp(*wanted).map(|(socket, actual)| Bound { socket, address: Address::Tcp(actual) }),
        Address::Unix(path) => {
            port_holder::claim(path, served)?;
            unix(path).map(|socket| Bound { socket, address: address.clone() })
        }
    };
    bound.map_err(|error| port_holder::explain(address, &error, served))
}

fn tcp(address: SocketAddr) -> std::io::Result<(OwnedFd, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), None)?;
    socket.set_reuse_address(true)?;
    // Answers are written whole, so there is nothing to wait for.
    socket.set_tcp_nodelay(true)?;
    size_buffers(&socket)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG as i32)?;
    let actual = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket.into(), actual))
}

fn unix(path: &Path) -> std::io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    size_buffers(&socket)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG as i32)?;
    Ok(socket.into())
}

/// Makes one that somebody else listens on like our own.
pub(super) fn adopt(socket: &Socket, address: &Address) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    if let Address::Tcp(_) = address {
        socket.set_tcp_nodelay(true)?;
    }
    size_buffers(socket)?;
    // Again, which changes the length of its queue to what the sheet has for it.
    socket.listen(BACKLOG as i32)
}

/// Fixed sizes turn the kernel's own growing of buffers off; the kernel books twice what is asked (socket(7)).
fn size_buffers(socket: &Socket) -> std::io::Result<()> {
    socket.set_send_buffer_size(SEND_BUFFER_KIB * 1024)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_KIB * 1024)
}
