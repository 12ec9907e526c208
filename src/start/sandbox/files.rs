//! Which files a serving process reaches. Folders rather than files: editors, reloads and backups put a new file in an old one's place.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};

/// The newest rules that we know; the kernel takes those of them that it knows.
const KNOWN: ABI = ABI::V7;

/// A place that stays in reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// A folder with all in it, or a file.
    pub path: PathBuf,
    /// What may be done there.
    pub what: What,
}

/// What may be done in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Reading files and listing folders.
    Read,
    /// That, and making, writing, renaming and removing files.
    Write,
    /// Removing a file of it: the socket that was listened on.
    RemoveFile,
    /// Removing an empty folder of it: the example's.
    RemoveFolder,
}

impl What {
    fn rights(self) -> BitFlags<AccessFs> {
        let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        match self {
            What::Read => read,
            What::Write => read | make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile}),
            What::RemoveFile => AccessFs::RemoveFile.into(),
            What::RemoveFolder => AccessFs::RemoveDir.into(),
        }
    }
}

/// The rules, ready for the kernel.
pub struct Reach(RulesetCreated);

impl Reach {
    /// Opens the places. One that is not there, or not for us, is left out: it would not be reached without a sandbox either.
    ///
    /// # Errors
    /// In words, what the kernel says of the rules.
    pub fn of(places: &[Access]) -> Result<Reach, String> {
        let said = |error: landlock::RulesetError| error.to_string();
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))
            .and_then(|rules| rules.handle_access(AccessNet::from_all(KNOWN)))
            .and_then(|rules| rules.scope(Scope::from_all(KNOWN)))
            .and_then(Ruleset::create)
            .map_err(said)?;
        for Access { path, what } in places {
            let (Ok(opened), Ok(place)) = (PathFd::new(path), std::fs::metadata(path)) else { continue };
            let rights = if place.is_dir() { what.rights() } else { what.rights() & AccessFs::from_file(KNOWN) };
            rules = rules.add_rule(PathBeneath::new(opened, rights)).map_err(said)?;
        }
        Ok(Reach(rules))
    }

    /// Puts them in force for this thread.
    ///
    /// # Errors
    /// Why the kernel has none of it.
    pub fn enter(self) -> Result<(), String> {
        let status = self.0.restrict_self().map_err(|error| error.to_string())?;
        match (status.ruleset, status.landlock) {
            (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => Err("not switched on in this kernel".to_string()),
            (RulesetStatus::NotEnforced, _) => Err("not in this kernel".to_string()),
            // An older kernel has fewer rules: it is in force as far as it goes.
            (RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced, _) => Ok(()),
        }
    }
}

/// The folder that a file is in, under its name and where a link leads; both, because either may be replaced.
pub fn folders_of(file: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = |file: &Path| {
        let folder = file.parent().unwrap_or(Path::new("/"));
        if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
    };
    let led_to = std::fs::canonicalize(file).ok().map(|file| folder(&file));
    [Some(folder(file)), led_to].into_iter().flatten()
}

/// What every server reads: its own figures and the machine's, the time zone, the spare descriptor, chance for SQLite.
pub fn of_every_server() -> impl Iterator<Item = Access> {
    const PLACES: [&str; 6] = ["/proc", "/sys", "/etc/localtime", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"];
    PLACES.into_iter().map(|path| Access { path: path.into(), what: What::Read })
}
