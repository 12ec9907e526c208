//! The back against real files that other processes write, because locks and crashes are a process's own.

mod made;
mod other;
mod snapshot;
