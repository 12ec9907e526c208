//! The tar.gz: names sorted, owner root, the source's time, nothing else.

use std::fs;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::binary::Target;
use super::checksums;
use super::files::File;
use super::source::Source;
use super::{Failed, failed};

/// Writes `flagstone-VERSION-MACHINE-linux.tar.gz`, with the sums of what is in it beside its files.
pub fn write(folder: &Path, source: &Source, target: Target, files: &[File]) -> Result<(), Failed> {
    let name = format!("flagstone-{}-{}-linux", source.version(), target.machine());
    let path = folder.join(format!("{name}.tar.gz"));
    let doing = path.display().to_string();
    let out = fs::File::create(&path).map_err(|error| failed(&doing, error))?;
    // No name and no time in the head.
    let mut archive = Builder::new(GzBuilder::new().write(out, Compression::best()));
    let mut entry = |name: &str, kind: EntryType, mode: u32, bytes: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(source.time);
        header.set_size(bytes.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, name, bytes).map_err(|error| failed(&doing, error))
    };
    let mut sums = String::new();
    let mut folders = vec![];
    entry(&format!("{name}/"), EntryType::Directory, 0o755, b"")?;
    for file in files {
        let bytes = fs::read(&file.path).map_err(|error| failed(&file.path.display().to_string(), error))?;
        for (at, _) in file.name.match_indices('/') {
            let inner = file.name[..=at].to_owned();
            if !folders.contains(&inner) {
                entry(&format!("{name}/{inner}"), EntryType::Directory, 0o755, b"")?;
                folders.push(inner);
            }
        }
        sums.push_str(&checksums::line(&bytes, &file.name));
        entry(&format!("{name}/{}", file.name), EntryType::Regular, if file.runs { 0o755 } else { 0o644 }, &bytes)?;
    }
    entry(&format!("{name}/{}", checksums::FILE), EntryType::Regular, 0o644, sums.as_bytes())?;
    let finished = archive.into_inner().and_then(flate2::write::GzEncoder::finish);
    finished.map(drop).map_err(|error| failed(&doing, error))
}
