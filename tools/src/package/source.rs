//! What is packaged: version, commit and time. Nothing else of where and when it is built may show in the bytes.

use std::path::Path;
use std::process::Command;

use super::{Failed, failed, run};

/// The source's identity.
#[derive(Clone, Debug)]
pub struct Source {
    /// The commit, as `--version` shows it.
    pub commit: String,
    /// The commit's time in seconds since 1970.
    pub time: u64,
}

impl Source {
    /// By the environment, else by git.
    pub fn find(root: &Path) -> Result<Source, Failed> {
        let told = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let git = |arguments: &[&str]| {
            run(Command::new("git").current_dir(root).args(arguments))
                .map(|said| said.trim().to_owned())
                .map_err(|Failed(why)| Failed(format!("{why}; without git set FLAGSTONE_COMMIT and SOURCE_DATE_EPOCH")))
        };
        let commit = told("FLAGSTONE_COMMIT").map_or_else(|| git(&["rev-parse", "--short=12", "HEAD"]), Ok)?;
        let time = told("SOURCE_DATE_EPOCH").map_or_else(|| git(&["log", "-1", "--format=%ct"]), Ok)?;
        Ok(Source { commit, time: time.parse().map_err(|error| failed("SOURCE_DATE_EPOCH", error))? })
    }

    /// The version of all members of the workspace.
    pub fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Its day as manual pages write it: `January 2, 2006`.
    pub fn day(&self) -> String {
        const MONTHS: [(&str, &str); 12] = [
            ("Jan", "January"),
            ("Feb", "February"),
            ("Mar", "March"),
            ("Apr", "April"),
            ("May", "May"),
            ("Jun", "June"),
            ("Jul", "July"),
            ("Aug", "August"),
            ("Sep", "September"),
            ("Oct", "October"),
            ("Nov", "November"),
            ("Dec", "December"),
        ];
        // Sun, 06 Nov 1994 08:49:37 GMT
        let text = flagstone::http::date::format(self.time);
        let word = |from: usize, to: usize| std::str::from_utf8(&text[from..to]).unwrap_or_default();
        let month = MONTHS.iter().find(|(short, _)| *short == word(8, 11)).map_or("", |(_, long)| long);
        format!("{month} {}, {}", word(5, 7).trim_start_matches('0'), word(12, 16))
    }
}
