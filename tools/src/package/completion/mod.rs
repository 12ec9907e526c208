//! Completions for shells, from the table of options: one file a shell.

mod bash;
mod fish;
mod zsh;

pub use bash::bash;
pub use fish::fish;
pub use zsh::zsh;

/// Addresses that a shell offers: no colon in the first, because bash takes colons for the ends of words.
const ADDRESSES: [&str; 3] = ["8080", "127.0.0.1:8080", "unix:/run/flagstone.sock"];
/// Paths that a shell offers.
const PATHS: [&str; 3] = ["/tables", "/-/health", "/"];
/// What makes a token.
const TOKEN: (&str, &str) = ("token", "make a token, print what to configure");
