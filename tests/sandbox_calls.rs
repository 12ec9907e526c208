//! The sandbox itself, call by call: a forked child enters it as the server does and tries what is allowed and what is not.

use std::ffi::{CString, c_long};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use flagstone::budget::WAL_INDEX_KIB;
use flagstone::start::sandbox::calls::{Filters, Refusal};
use flagstone::start::sandbox::files::{Access, Reach, What};

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The call succeeded.
    Done,
    /// It failed with this.
    Errno(i32),
    /// The process was ended by this signal.
    Signal(i32),
}

/// Runs `call` in a child that has entered by `enter`; it returns what a raw system call does.
fn child(enter: impl FnOnce() -> Result<(), String>, call: impl FnOnce() -> c_long) -> End {
    const NO_ENTRY: i32 = 255;
    // SAFETY: the child calls libc alone, but for building the filter, for which libc's fork keeps malloc usable; it ends by _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = match enter() {
            Err(_) => NO_ENTRY,
            Ok(()) if call() >= 0 => 0,
            Ok(()) => std::io::Error::last_os_error().raw_os_error().unwrap_or(NO_ENTRY),
        };
        // SAFETY: ends the process, which is the child.
        unsafe { libc::_exit(code) };
    }
    assert!(pid > 0, "fork: {}", std::io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: the pointer is to a live integer.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    match libc::WIFSIGNALED(status) {
        true => End::Signal(libc::WTERMSIG(status)),
        false => match libc::WEXITSTATUS(status) {
            NO_ENTRY => panic!("the child could not enter the sandbox"),
            0 => End::Done,
            errno => End::Errno(errno),
        },
    }
}

/// A raw system call of up to six arguments.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: what pointers the arguments are live through the call, and what it would change is the child's alone.
        unsafe { libc::syscall(libc::$number $(, $argument)*) }
    };
}

/// Whether this kernel filters calls; under an emulator of another processor it does not.
fn filters() -> bool {
    let entered =
        child(|| Ok(()), || if Filters::new(Refusal::Error).and_then(|filters| filters.enter()).is_ok() { 0 } else { -1 });
    if entered != End::Done {
        eprintln!("skipped: seccomp is not to be had here");
    }
    entered == End::Done
}

const NONE: usize = 0;

/// What a row tries.
type Call = Box<dyn Fn() -> c_long>;

/// Every row is a call and the error that it fails with where the process is not killed.
fn forbidden(file: i32, socket: i32) -> Vec<(&'static str, i32, Call)> {
    use libc::{ENOMEM, EPERM};
    let own = std::process::id();
    let shared = libc::MAP_SHARED;
    let map = move |length: usize, protection: i32, flags: i32, fd: i32| {
        move || call!(SYS_mmap, NONE, length, protection, flags, fd, NONE)
    };
    let read = libc::PROT_READ;
    let address = [libc::AF_INET as u16, 0, 0, 0, 0, 0, 0, 0];
    let path = c"/bin/true";
    vec![
        // Growth.
        ("anonymous memory", ENOMEM, Box::new(map(4096, read, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1))),
        ("shared anonymous memory", ENOMEM, Box::new(map(4096, read, shared | libc::MAP_ANONYMOUS, -1))),
        ("a private mapping of a file", ENOMEM, Box::new(map(4096, read, libc::MAP_PRIVATE, file))),
        ("a long shared mapping", ENOMEM, Box::new(map(128 * 1024, read, shared, file))),
        ("a shared mapping to run code from", ENOMEM, Box::new(map(4096, read | libc::PROT_EXEC, shared, file))),
        ("a populated shared mapping", ENOMEM, Box::new(map(4096, read, shared | libc::MAP_POPULATE, file))),
        ("mremap", ENOMEM, Box::new(|| call!(SYS_mremap, NONE, 4096, 8192, 1))),
        ("mprotect", EPERM, Box::new(|| call!(SYS_mprotect, NONE, 4096, 5))),
        ("memfd_create", EPERM, Box::new(move || call!(SYS_memfd_create, path.as_ptr(), 0))),
        ("madvise beyond giving back", EPERM, Box::new(|| call!(SYS_madvise, NONE, 4096, libc::MADV_HUGEPAGE))),
        // Programs and processes.
        ("execve", EPERM, Box::new(move || call!(SYS_execve, path.as_ptr(), NONE, NONE))),
        ("execveat", EPERM, Box::new(move || call!(SYS_execveat, libc::AT_FDCWD, path.as_ptr(), NONE, NONE, 0))),
        ("clone", EPERM, Box::new(|| call!(SYS_clone, libc::SIGCHLD, NONE, NONE, NONE, NONE))),
        ("clone3", EPERM, Box::new(|| call!(SYS_clone3, NONE, 0))),
        ("kill", EPERM, Box::new(move || call!(SYS_kill, own, 0))),
        ("tgkill of another", EPERM, Box::new(move || call!(SYS_tgkill, own, own, 0))),
        ("ptrace", EPERM, Box::new(move || call!(SYS_ptrace, libc::PTRACE_ATTACH, own, NONE, NONE))),
        ("process_vm_readv", EPERM, Box::new(move || call!(SYS_process_vm_readv, own, NONE, 0, NONE, 0, 0))),
        ("pidfd_open", EPERM, Box::new(move || call!(SYS_pidfd_open, own, 0))),
        // Sockets.
        ("a new socket", EPERM, Box::new(|| call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0))),
        ("a new unix socket", EPERM, Box::new(|| call!(SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM, 0))),
        ("connect", EPERM, Box::new(move || call!(SYS_connect, socket, address.as_ptr(), 16))),
        ("bind", EPERM, Box::new(move || call!(SYS_bind, socket, address.as_ptr(), 16))),
        ("listen", EPERM, Box::new(move || call!(SYS_listen, socket, 1))),
        ("sendto with an address", EPERM, Box::new(move || call!(SYS_sendto, socket, path.as_ptr(), 1, 0, address.as_ptr(), 16))),
        ("sendmsg", EPERM, Box::new(move || call!(SYS_sendmsg, socket, NONE, 0))),
        ("recvmsg", EPERM, Box::new(move || call!(SYS_recvmsg, socket, NONE, 0))),
        // The kernel and its doors.
        ("a new io_uring", EPERM, Box::new(|| call!(SYS_io_uring_setup, 2, NONE))),
        ("changing an io_uring", EPERM, Box::new(move || call!(SYS_io_uring_register, file, 0, NONE, 0))),
        ("bpf", EPERM, Box::new(|| call!(SYS_bpf, 0, NONE, 0))),
        ("perf_event_open", EPERM, Box::new(|| call!(SYS_perf_event_open, NONE, 0, -1, -1, 0))),
        ("userfaultfd", EPERM, Box::new(|| call!(SYS_userfaultfd, 0))),
        ("keyctl", EPERM, Box::new(|| call!(SYS_keyctl, 0, 0, 0, 0, 0))),
        ("mount", EPERM, Box::new(move || call!(SYS_mount, path.as_ptr(), path.as_ptr(), NONE, 0, NONE))),
        ("chroot", EPERM, Box::new(move || call!(SYS_chroot, path.as_ptr()))),
        ("unshare", EPERM, Box::new(|| call!(SYS_unshare, libc::CLONE_NEWNET))),
        ("setns", EPERM, Box::new(move || call!(SYS_setns, file, 0))),
        ("setuid", EPERM, Box::new(|| call!(SYS_setuid, 0))),
        ("prctl", EPERM, Box::new(|| call!(SYS_prctl, libc::PR_SET_DUMPABLE, 0))),
        ("raising a limit", EPERM, Box::new(|| call!(SYS_prlimit64, 0, libc::RLIMIT_DATA, NONE, NONE))),
        ("another filter", EPERM, Box::new(|| call!(SYS_seccomp, 1, 0, NONE))),
        ("ioctl", EPERM, Box::new(move || call!(SYS_ioctl, file, libc::TIOCSTI, NONE))),
        ("a device", EPERM, Box::new(move || call!(SYS_mknodat, libc::AT_FDCWD, path.as_ptr(), libc::S_IFCHR, 0))),
        (
            "a link that leads elsewhere",
            EPERM,
            Box::new(move || call!(SYS_symlinkat, path.as_ptr(), libc::AT_FDCWD, path.as_ptr())),
        ),
        ("rights by name", EPERM, Box::new(move || call!(SYS_fchmodat, libc::AT_FDCWD, path.as_ptr(), 0o4755))),
    ]
}

#[test]
fn what_the_loop_never_does_fails_in_releases_and_kills_in_tests() {
    if !filters() {
        return;
    }
    let file = tempfile::tempfile().expect("a file");
    file.set_len(1 << 20).expect("room");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for (name, errno, call) in forbidden(file.as_raw_fd(), socket.as_raw_fd()) {
        let end = |refusal| child(|| Filters::new(refusal)?.enter(), &call);
        assert_eq!(end(Refusal::Error), End::Errno(errno), "{name}");
        assert_eq!(end(Refusal::Kill), End::Signal(libc::SIGSYS), "{name}");
    }
}

#[test]
fn brk_is_refused_in_the_kernels_own_way() {
    if !filters() {
        return;
    }
    // Zero is below whatever was asked for: libc takes an error for the address of a break that rose.
    let grown = || if call!(SYS_brk, usize::MAX / 2) == 0 { 0 } else { -1 };
    assert_eq!(child(|| Filters::new(Refusal::Error)?.enter(), grown), End::Done);
    assert_eq!(child(|| Filters::new(Refusal::Kill)?.enter(), grown), End::Signal(libc::SIGSYS));
    // So that its malloc says no, and says it again.
    let no_memory = || {
        // SAFETY: asks for more than the process has, and uses none of it.
        let got = (0..3).any(|_| unsafe { !libc::malloc(64 << 20).is_null() });
        if got { -1 } else { 0 }
    };
    assert_eq!(child(|| Filters::new(Refusal::Error)?.enter(), no_memory), End::Done);
}

#[test]
fn the_wal_index_is_mapped_up_to_its_bound() {
    if !filters() {
        return;
    }
    let bound = WAL_INDEX_KIB * 1024;
    let file = tempfile::tempfile().expect("a file");
    file.set_len(2 * bound as u64).expect("room");
    let map = |offset: usize| {
        let fd = file.as_raw_fd();
        let write = libc::PROT_READ | libc::PROT_WRITE;
        move || call!(SYS_mmap, NONE, 32 * 1024, write, libc::MAP_SHARED, fd, offset)
    };
    for refusal in [Refusal::Error, Refusal::Kill] {
        let end = |offset| child(|| Filters::new(refusal)?.enter(), map(offset));
        assert_eq!(end(0), End::Done);
        assert_eq!(end(bound - 32 * 1024), End::Done);
        // Whoever writes makes it grow: that is no mistake of ours, and nothing to die of.
        assert_eq!(end(bound), End::Errno(libc::ENOMEM));
        assert_eq!(end(bound + 32 * 1024), End::Errno(libc::ENOMEM));
    }
}

#[test]
fn what_the_loop_does_goes_on() {
    if !filters() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| CString::new(folder.path().join(name).as_os_str().as_bytes()).expect("no zero");
    let (made, one, two, gone) = (path("made"), path("one"), path("two"), path("gone"));
    File::create(folder.path().join("gone")).expect("a file");
    File::create(folder.path().join("one")).expect("a file");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let _client = std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let (ours, _theirs) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
    let (ours, listener) = (ours.as_raw_fd(), listener.as_raw_fd());
    let at = libc::AT_FDCWD;
    let pipe = [0_i32; 2];
    // SAFETY: makes a descriptor, which lives as long as the test's process.
    let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, 0) };
    let once = [0_i64, 0, 60, 0];
    let page = Box::leak(vec![0_u8; 3 * 4096].into_boxed_slice());
    let page = page.as_ptr().wrapping_add(page.as_ptr().align_offset(4096)) as usize;
    let allowed: Vec<(&str, Call)> = vec![
        ("accept4", Box::new(move || call!(SYS_accept4, listener, NONE, NONE, libc::SOCK_CLOEXEC))),
        ("a datagram to who is connected", Box::new(move || call!(SYS_sendto, ours, pipe.as_ptr(), 8, 0, NONE, 0))),
        ("timerfd_settime", Box::new(move || call!(SYS_timerfd_settime, timer, 0, once.as_ptr(), NONE))),
        ("openat", Box::new(move || call!(SYS_openat, at, made.as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600))),
        ("unlinkat", Box::new(move || call!(SYS_unlinkat, at, gone.as_ptr(), 0))),
        ("renameat2", Box::new(move || call!(SYS_renameat2, at, one.as_ptr(), at, two.as_ptr(), 0))),
        ("giving pages back", Box::new(move || call!(SYS_madvise, page, 4096, libc::MADV_DONTNEED))),
        ("taking them again", Box::new(move || call!(SYS_madvise, page, 4096, libc::MADV_POPULATE_WRITE))),
        ("munmap", Box::new(move || call!(SYS_munmap, page, 4096))),
    ];
    for (name, call) in allowed {
        assert_eq!(child(|| Filters::new(Refusal::Kill)?.enter(), call), End::Done, "{name}");
    }
    let abort = || std::process::abort();
    assert_eq!(child(|| Filters::new(Refusal::Kill)?.enter(), abort), End::Signal(libc::SIGABRT), "a crash is told as one");
}

/// Opens with these flags, as a raw call does.
fn open(path: &Path, flags: i32) -> c_long {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no zero");
    call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600)
}

#[test]
fn files_elsewhere_are_out_of_reach() {
    let all = tempfile::tempdir().expect("a folder");
    let at = |name: &str| all.path().join(name);
    for folder in ["read", "write", "sockets", "parent", "parent/own", "elsewhere"] {
        std::fs::create_dir(at(folder)).expect("a folder");
        std::fs::write(at(folder).join("file"), "text").expect("a file");
    }
    std::fs::remove_file(at("parent/own/file")).expect("a file");
    std::os::unix::fs::symlink(at("elsewhere/file"), at("read/link")).expect("a link");
    let place = |name: &str, what| Access { path: at(name), what };
    let places = [
        place("read", What::Read),
        place("write", What::Write),
        place("sockets", What::RemoveFile),
        place("parent", What::RemoveFolder),
        place("missing", What::Write),
    ];
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let std = |result: std::io::Result<()>| if result.is_ok() { 0 } else { -1 };
    type Try<'a> = Box<dyn Fn() -> c_long + 'a>;
    let reach = || Reach::of(&places)?.enter();
    if child(|| Ok(()), || if reach().is_ok() { 0 } else { -1 }) != End::Done {
        return eprintln!("skipped: Landlock is not to be had here");
    }
    let denied = End::Errno(libc::EACCES);
    let rows: Vec<(&str, End, Try)> = vec![
        ("reading", End::Done, Box::new(|| open(&at("read/file"), libc::O_RDONLY))),
        ("writing where it is read", denied, Box::new(|| open(&at("read/file"), libc::O_RDWR))),
        ("making a file where it is read", denied, Box::new(|| open(&at("read/new"), libc::O_RDWR | libc::O_CREAT))),
        ("a link that leads out", denied, Box::new(|| open(&at("read/link"), libc::O_RDONLY))),
        ("writing", End::Done, Box::new(|| open(&at("write/file"), libc::O_RDWR | libc::O_TRUNC))),
        ("making a file", End::Done, Box::new(|| open(&at("write/new"), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL))),
        ("putting one in another's place", End::Done, Box::new(|| std(std::fs::rename(at("write/new"), at("write/file"))))),
        ("a second name", End::Done, Box::new(|| std(std::fs::hard_link(at("write/file"), at("write/second"))))),
        ("removing it", End::Done, Box::new(|| std(std::fs::remove_file(at("write/second"))))),
        ("making a folder", denied, Box::new(|| std(std::fs::create_dir(at("write/folder"))))),
        ("reading elsewhere", denied, Box::new(|| open(&at("elsewhere/file"), libc::O_RDONLY))),
        ("listing elsewhere", denied, Box::new(|| open(&at("elsewhere"), libc::O_RDONLY | libc::O_DIRECTORY))),
        ("removing elsewhere", denied, Box::new(|| std(std::fs::remove_file(at("elsewhere/file"))))),
        ("carrying a file out", denied, Box::new(|| std(std::fs::rename(at("write/file"), at("elsewhere/file"))))),
        ("reading beside a socket", denied, Box::new(|| open(&at("sockets/file"), libc::O_RDONLY))),
        ("removing a socket", End::Done, Box::new(|| std(std::fs::remove_file(at("sockets/file"))))),
        ("removing a file of the parent", denied, Box::new(|| std(std::fs::remove_file(at("parent/file"))))),
        ("removing our folder", End::Done, Box::new(|| std(std::fs::remove_dir(at("parent/own"))))),
    ];
    for (name, end, call) in rows {
        assert_eq!(child(reach, call), end, "{name}");
    }
    // Since Linux 6.7 and 6.12; older kernels have no such rules, and there seccomp alone refuses.
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) >= (Some(6), Some(12)) {
        let own = std::os::unix::process::parent_id();
        let refused: [(&str, i32, Try); 3] = [
            ("listening", libc::EACCES, Box::new(|| std(std::net::TcpListener::bind("127.0.0.1:0").map(drop)))),
            ("connecting", libc::EACCES, Box::new(|| std(std::net::TcpStream::connect(address).map(drop)))),
            ("a signal", libc::EPERM, Box::new(move || call!(SYS_kill, own, 0))),
        ];
        for (name, errno, call) in refused {
            assert_eq!(child(reach, call), End::Errno(errno), "{name}");
        }
    }
}
