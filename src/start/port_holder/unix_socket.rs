//! The place of a Unix socket before it is bound: a stale socket is removed, anything else left alone.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{other, proc, refuse};
use crate::start::address::UNIX_PATH_BYTES;
use crate::start::{StartError, shell_word};

/// Makes `path` free to be bound: removes a socket that nobody listens on any more, refuses (69) whatever else stands there.
///
/// Between the question and the removal another server may start; the price is its socket's name. Two servers that are
/// started on one path at one moment are a mistake in any case.
pub fn claim(path: &Path, served: &str) -> Result<(), StartError> {
    let length = path.as_os_str().len();
    let shown = path.display();
    let instead = "unix:/run/flagstone.sock";
    if length > UNIX_PATH_BYTES {
        let what = format!("unix:{shown}: the path has {length} bytes, a Unix socket's at most {UNIX_PATH_BYTES}");
        return Err(refuse(what, &[format!("flagstone -l {instead} {served}")]));
    }
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return folder_is_there(path),
        Err(error) => return Err(unknown(path, &error)),
    };
    if !metadata.file_type().is_socket() {
        let what = format!("unix:{shown}: a file that is not a socket stands there; it is left alone");
        return Err(refuse(what, &[format!("ls -l {}", shell_word(path)), format!("flagstone -l {instead} {served}")]));
    }
    match knock(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| unknown(path, &error))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(unknown(path, &error)),
        // Whatever else it says (a full backlog, a socket of another type): somebody is there.
        Ok(()) | Err(_) => {
            let holder = proc::holder_of_unix(&path.to_string_lossy());
            let by = holder.map_or_else(|| "a server".to_owned(), |holder| format!("{} (pid {})", holder.comm, holder.pid));
            let ask = format!("flagstone --ready {}", shell_word(Path::new(&format!("unix:{shown}"))));
            Err(refuse(format!("unix:{shown} is taken by {by}, which listens there"), &[ask, other(8080, served)]))
        }
    }
}

fn folder_is_there(path: &Path) -> Result<(), StartError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    let what = format!("unix:{}: there is no folder {}", path.display(), folder.display());
    Err(refuse(what, &[format!("mkdir -p {}", shell_word(folder))]))
}

fn unknown(path: &Path, error: &io::Error) -> StartError {
    let what = format!("unix:{}: cannot be taken over: {error}", path.display());
    refuse(what, &[format!("ls -l {}", shell_word(path))])
}

/// Connects without waiting: a full backlog would hold a blocking connect until somebody accepts.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    fn refused(path: &Path) -> String {
        let error = claim(path, "data.db").expect_err("refused");
        assert_eq!(error.exit, 69);
        error.message
    }

    #[test]
    fn a_stale_socket_is_removed_and_its_place_can_be_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        assert_eq!(claim(&path, "data.db"), Ok(()), "nothing there");
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists(), "the socket outlives its server");
        assert_eq!(claim(&path, "data.db"), Ok(()));
        assert!(!path.exists());
        UnixListener::bind(&path).expect("bound again");
    }

    #[test]
    fn a_live_server_keeps_its_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).expect("bound");
        let message = refused(&path);
        let pid = format!("(pid {})", std::process::id());
        for essential in ["is taken by", &pid, "try: flagstone --ready unix:/", "or:  flagstone -l 8080 data.db"] {
            assert!(message.contains(essential), "{message}");
        }
        assert!(path.exists());
        drop(listener);
        fs::remove_file(&path).expect("removed");
        let _datagrams = UnixDatagram::bind(&path).expect("bound");
        assert!(refused(&path).contains("is taken by"), "a socket of another type is somebody's too");
        assert!(path.exists());
    }

    #[test]
    fn a_server_with_a_full_backlog_is_alive() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let server = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        server.bind(&SockAddr::unix(&path).expect("an address")).expect("bound");
        server.listen(0).expect("listening");
        let mut waiting = Vec::new();
        // With a backlog of 0 Linux takes one; ten are enough to fill it on any kernel.
        for _ in 0..10 {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
            client.set_nonblocking(true).expect("set");
            let full = client.connect(&SockAddr::unix(&path).expect("an address")).is_err();
            waiting.push(client);
            if full {
                break;
            }
        }
        assert_eq!(knock(&path).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
        assert!(refused(&path).contains("is taken by"));
        assert!(path.exists());
    }

    #[test]
    fn what_is_no_socket_is_never_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data.db");
        fs::write(&path, "precious").expect("written");
        assert!(refused(&path).contains("left alone"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert!(refused(&link).contains("left alone"));
        assert_eq!(fs::read(&path).expect("read"), b"precious");
        assert!(refused(folder.path()).contains("left alone"));
    }

    #[test]
    fn a_path_that_cannot_be_bound_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let message = refused(&folder.path().join("no/such/s"));
        assert!(message.contains("there is no folder") && message.contains("try: mkdir -p "), "{message}");
        let message = refused(&folder.path().join("x".repeat(UNIX_PATH_BYTES)));
        assert!(message.contains("at most 107") && message.contains("try: flagstone -l unix:/run/"), "{message}");
    }
}
