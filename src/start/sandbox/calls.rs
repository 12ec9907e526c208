//! Which system calls a serving process may make: few, none of which makes memory grow, starts a program or opens a connection.
//!
//! A filter has one answer for what it refuses, and three are needed, so there are several, one behind the other in one program: the kernel
//! takes as long to enter a program as to run it. Calls that are let pass whatever their arguments are cost nothing: it keeps them in a bitmap.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, Ge, Gt, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, sock_filter,
};

/// What the wal-index may take of shared memory.
const WAL_INDEX_BYTES: u64 = crate::budget::WAL_INDEX_KIB as u64 * 1024;
/// SQLite maps the wal-index in pieces of this size, or of a page where those are larger.
const WAL_INDEX_PIECE: u64 = 32 * 1024;

/// What becomes of who calls what is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The call fails: ENOMEM for memory, else EPERM.
    Error,
    /// The process ends by SIGSYS, so that no test passes over it.
    Kill,
}

impl Refusal {
    /// In builds for tests the process ends; released ones go on with an error.
    pub const BUILT: Refusal = if cfg!(debug_assertions) { Refusal::Kill } else { Refusal::Error };

    fn or(self, errno: i32) -> SeccompAction {
        match self {
            Refusal::Error => SeccompAction::Errno(errno as u32),
            Refusal::Kill => SeccompAction::KillProcess,
        }
    }
}

/// Allowed whatever their arguments: nothing of the kernel's is reached by them but what is open already or Landlock lets be opened.
const ANY: &[c_long] = &[
    // The loop and its sockets.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    libc::SYS_timerfd_settime,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    // Files: SQLite's, the configuration's, what is kept of it, /proc.
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_fcntl,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    // The ring that syncs, which takes nothing else, was made before.
    libc::SYS_io_uring_enter,
    // Giving memory back.
    libc::SYS_munmap,
    // Time, chance, who we are.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    // Locks of libc and std, signals, the end.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The same under the names that aarch64 never had.
#[cfg(target_arch = "x86_64")]
const ANY_HERE: &[c_long] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ANY_HERE: &[c_long] = &[];

/// The filters, ready for the kernel.
pub struct Filters {
    program: BpfProgram,
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

impl Filters {
    /// Builds them for this machine.
    ///
    /// # Errors
    /// In words, where seccompiler does not know the machine.
    pub fn new(refusal: Refusal) -> Result<Filters, String> {
        let build = || -> Result<BpfProgram, seccompiler::BackendError> {
            Ok(chained([
                // How the kernel itself says no to brk: with a break that is not the one asked for. libc takes an error for an address.
                filter([(libc::SYS_brk, Vec::new())].into(), SeccompAction::Allow, refusal.or(0))?,
                filter(growing()?, SeccompAction::Allow, refusal.or(libc::ENOMEM))?,
                // Others make the wal-index grow: no mistake of ours, so nothing to die of.
                filter(
                    [(libc::SYS_mmap, vec![rule(&[(5, Qword, Ge, WAL_INDEX_BYTES)])?])].into(),
                    SeccompAction::Allow,
                    SeccompAction::Errno(libc::ENOMEM as u32),
                )?,
                filter(allowed()?, refusal.or(libc::EPERM), SeccompAction::Allow)?,
            ]))
        };
        build().map(|program| Filters { program }).map_err(|error| error.to_string())
    }

    /// Puts them in force for this thread.
    ///
    /// # Errors
    /// What the kernel says: EINVAL where it has no seccomp, and under an emulator of another processor.
    pub fn enter(&self) -> Result<(), String> {
        seccompiler::apply_filter(&self.program).map_err(|error| match error {
            seccompiler::Error::Seccomp(error) => error.to_string(),
            other => other.to_string(),
        })
    }
}

/// What would make memory grow, beside brk: every mapping but a piece of the wal-index.
fn growing() -> Result<Rules, seccompiler::BackendError> {
    let piece = WAL_INDEX_PIECE.max(rustix::param::page_size() as u64);
    let mmap = vec![
        rule(&[(3, Qword, Ne, libc::MAP_SHARED as u64)])?,
        rule(&[(1, Qword, Gt, piece)])?,
        rule(&[(2, Dword, MaskedEq(libc::PROT_EXEC as u64), libc::PROT_EXEC as u64)])?,
    ];
    Ok([(libc::SYS_mmap, mmap), (libc::SYS_mremap, Vec::new())].into())
}

/// All that may be called; what [`growing`] refuses is among it, to be refused in its own way.
fn allowed() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = ANY.iter().chain(ANY_HERE).map(|&call| (call, Vec::new())).collect();
    rules.extend([(libc::SYS_brk, Vec::new()), (libc::SYS_mmap, Vec::new()), (libc::SYS_mremap, Vec::new())]);
    // To who was connected before, and nobody else: the service manager, and ourselves from a signal.
    rules.insert(libc::SYS_sendto, vec![rule(&[(4, Qword, Eq, 0)])?]);
    // To ourselves: abort(3) ends the process so.
    rules.insert(libc::SYS_tgkill, vec![rule(&[(0, Dword, Eq, u64::from(std::process::id()))])?]);
    // Pages of the cache go back to the kernel and come again.
    let advice = [libc::MADV_DONTNEED, libc::MADV_POPULATE_WRITE];
    rules.insert(
        libc::SYS_madvise,
        advice.iter().map(|&advice| rule(&[(2, Dword, Eq, advice as u64)])).collect::<Result<_, _>>()?,
    );
    Ok(rules)
}

/// Holds when all conditions on arguments do, each its place from 0, width, comparison and value.
fn rule(conditions: &[(u8, SeccompCmpArgLen, SeccompCmpOp, u64)]) -> Result<SeccompRule, seccompiler::BackendError> {
    let made = conditions.iter().map(|(at, width, how, value)| SeccompCondition::new(*at, width.clone(), how.clone(), *value));
    SeccompRule::new(made.collect::<Result<_, _>>()?)
}

/// One program of several: what one lets pass the next one is asked about.
fn chained<const N: usize>(programs: [BpfProgram; N]) -> BpfProgram {
    let mut chain = BpfProgram::new();
    for (at, mut program) in programs.into_iter().enumerate() {
        let length = program.len();
        let lets_pass = |of: &sock_filter| u32::from(of.code) == libc::BPF_RET && of.k == libc::SECCOMP_RET_ALLOW;
        for (place, instruction) in program.iter_mut().enumerate().filter(|(_, instruction)| at + 1 < N && lets_pass(instruction))
        {
            *instruction =
                sock_filter { code: (libc::BPF_JMP | libc::BPF_JA) as u16, jt: 0, jf: 0, k: (length - place - 1) as u32 };
        }
        chain.extend(program);
    }
    chain
}

fn filter(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Result<BpfProgram, seccompiler::BackendError> {
    SeccompFilter::new(rules, otherwise, matched, std::env::consts::ARCH.try_into()?)?.try_into()
}
