//! The state directory: where temporary files of large sorts and this installation's keys are kept.

use std::hash::Hasher;
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use siphasher::sip::SipHasher13;

use crate::http::etag::TagKey;

/// Where state goes, and what the start block says of it.
#[derive(Debug)]
pub struct State {
    /// The folder; `None` where nothing can be kept.
    pub folder: Option<PathBuf>,
    /// The folder for temporary files.
    pub temporary: PathBuf,
    /// The key of entity tags: kept where it can be, so that browsers' copies stay good over a restart.
    pub tag_key: TagKey,
    /// Said in the start block where nothing can be kept.
    pub note: Option<String>,
}

/// Finds or makes the state directory of a database: the configured one, else $STATE_DIRECTORY, else ~/.local/state/flagstone/HASH-OF-THE-DATABASE-PATH. Where
/// neither may be written, temporary files go to /var/tmp and nothing is kept.
pub fn state(database: &Path, configured: Option<&Path>) -> State {
    match configured
        .map_or_else(|| directory(database), |folder| Ok(folder.to_owned()))
        .and_then(|folder| prepare(&folder).map(|key| (folder.clone(), key)).map_err(|error| (folder, error)))
    {
        Ok((folder, tag_key)) => State { folder: Some(folder.clone()), temporary: folder, tag_key, note: None },
        Err((folder, error)) => State {
            folder: None,
            temporary: PathBuf::from("/var/tmp"),
            tag_key: TagKey(random()),
            note: Some(format!("{}: {error}; nothing is kept, temporary files go to /var/tmp", folder.display())),
        },
    }
}

fn directory(database: &Path) -> Result<PathBuf, (PathBuf, std::io::Error)> {
    // systemd may list several; the first is the main one.
    if let Some(listed) = std::env::var_os("STATE_DIRECTORY").filter(|listed| !listed.is_empty()) {
        let listed = listed.to_string_lossy();
        return Ok(PathBuf::from(listed.split(':').next().unwrap_or_default()));
    }
    let Some(home) = std::env::var_os("HOME").filter(|home| !home.is_empty()) else {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "neither STATE_DIRECTORY nor HOME is set");
        return Err((PathBuf::from("state directory"), missing));
    };
    let mut hasher = SipHasher13::new();
    hasher.write(database.as_os_str().as_encoded_bytes());
    Ok(Path::new(&home).join(".local/state/flagstone").join(format!("{:016x}", hasher.finish())))
}

fn prepare(folder: &Path) -> std::io::Result<TagKey> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join("etag.key");
    let mut key = [0; 16];
    match std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut key)) {
        Ok(()) => Ok(TagKey(key)),
        Err(_) => {
            let key: [u8; 16] = random();
            let beside = folder.join(format!("etag.key.{}", std::process::id()));
            let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            std::io::Write::write_all(&mut file, &key)?;
            std::fs::rename(&beside, &path)?;
            Ok(TagKey(key))
        }
    }
}

/// Bytes from the kernel's generator, which never runs dry (getrandom(2)).
pub fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    let count =
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).expect("getrandom works since Linux 3.17");
    assert_eq!(count, bytes.len(), "up to 256 bytes come whole");
    bytes
}

/// As many as a token has.
pub fn random_token() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&random());
    bytes[16..].copy_from_slice(&random());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = prepare(&folder.path().join("deep/er")).unwrap();
        let second = prepare(&folder.path().join("deep/er")).unwrap();
        assert_eq!(first.0, second.0);
        assert_ne!(prepare(folder.path()).unwrap().0, first.0);
        assert!(prepare(Path::new("/dev/null/x")).is_err());
    }
}
