//! What goes with the binary: pages and completions made from its tables, and what it prints itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::binary::Binary;
use super::source::Source;
use super::{Failed, completion, failed, manual, manual_toml, run};

/// The units, the user and the folder, from tools/unit.
const UNIT: [&str; 4] = ["flagstone.service", "flagstone.socket", "flagstone.sysusers", "flagstone.tmpfile"];

/// A file of the archive.
pub struct File {
    /// Its path inside the archive's folder.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is to be run.
    pub runs: bool,
}

/// Manual pages and completions, by their names below a folder.
pub fn made(source: &Source) -> [(&'static str, String); 5] {
    let day = source.day();
    [
        ("man/man1/flagstone.1", manual::flagstone(&day)),
        ("man/man5/flagstone.toml.5", manual_toml::flagstone_toml(&day)),
        ("completions/flagstone.bash", completion::bash()),
        ("completions/_flagstone", completion::zsh()),
        ("completions/flagstone.fish", completion::fish()),
    ]
}

/// Writes them into a folder.
pub fn papers(folder: &Path, source: &Source) -> Result<(), Failed> {
    for (name, text) in made(source) {
        write_to(&folder.join(name), &text)?;
    }
    Ok(())
}

/// Writes everything that is made to target/package/files, where Cargo.toml's assets look for it, and lists what the archive holds.
pub fn write(root: &Path, source: &Source, binary: &Binary) -> Result<Vec<File>, Failed> {
    let folder = root.join("target/package/files");
    papers(&folder, source)?;
    let said = ask(binary, "--version")?;
    if !said.contains(&source.commit) || !said.contains(binary.target.triple()) {
        return Err(Failed(format!("the binary says of itself: {said}")));
    }
    let sheet = ask(binary, "--budget")?;
    units(root, &folder.join("unit"), &sheet)?;
    write_to(&folder.join("flagstone.example.toml"), &ask(binary, "--example")?)?;
    write_to(&folder.join("memory_sheet.md"), &sheet)?;
    let changes = format!(
        "flagstone ({}) stable; urgency=medium\n\n  * Built from commit {}.\n\n -- {}  {}\n",
        source.version(),
        source.commit,
        "The Flagstone authors <flagstone@localhost>",
        // As RFC 5322 has it: the zone is a number there.
        String::from_utf8_lossy(&flagstone::http::date::format(source.time)).replace("GMT", "+0000"),
    );
    write_to(&folder.join("changelog"), &changes)?;
    let mut files = vec![File { name: "flagstone".to_owned(), path: binary.path.clone(), runs: true }];
    let mut add = |name: &str, path: PathBuf| files.push(File { name: name.to_owned(), path, runs: false });
    for name in ["flagstone.example.toml", "memory_sheet.md"].into_iter().chain(made(source).map(|(name, _)| name)) {
        add(name, folder.join(name));
    }
    for name in ["README.md", "memory_budget.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        add(name, root.join(name));
    }
    for name in UNIT {
        add(name, folder.join("unit").join(name));
    }
    add("flagstone.schema.json", root.join("tools/flagstone.schema.json"));
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// The units with what belongs to them; the service's memory limit is that of this binary, whose sizes may be others than the default ones.
fn units(root: &Path, folder: &Path, sheet: &str) -> Result<(), Failed> {
    let limit = sheet.split("MemoryMax: ").nth(1).and_then(|rest| rest.split(' ').next());
    let limit = limit.ok_or_else(|| Failed("the sheet names no MemoryMax".to_owned()))?;
    for name in UNIT {
        let path = root.join("tools/unit").join(name);
        let text = fs::read_to_string(&path).map_err(|error| failed(&path.display().to_string(), error))?;
        let lines = text.lines().map(|line| match line.starts_with("MemoryMax=") {
            true => format!("MemoryMax={limit}K\n"),
            false => format!("{line}\n"),
        });
        write_to(&folder.join(name), &lines.collect::<String>())?;
    }
    Ok(())
}

/// What the binary prints; another machine's runs in the emulator that its toolchain names.
fn ask(binary: &Binary, option: &str) -> Result<String, Failed> {
    let runner = binary.environment.iter().find(|(name, _)| name.ends_with("_RUNNER")).map(|(_, runner)| runner);
    let mut command = match runner {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(&binary.path);
            command
        }
        None => Command::new(&binary.path),
    };
    run(command.arg(option))
}

fn write_to(path: &Path, text: &str) -> Result<(), Failed> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).map_err(|error| failed(&path.display().to_string(), error))
}
