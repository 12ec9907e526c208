//! The shim's files, in memory: what programs see, and what is on the disk; a power cut leaves the latter, and of what was
//! written since the last sync whatever chance leaves.

use std::collections::BTreeMap;

use crate::rig::random::Random;

/// What a disk writes whole.
const SECTOR: usize = 512;

/// A write that no sync has covered.
enum Change {
    Write(usize, Vec<u8>),
    Size(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => put(bytes, *at, data),
            Self::Size(size) => bytes.resize(*size, 0),
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(data);
}

/// A file that may have lost its name.
#[derive(Default)]
pub struct File {
    /// What programs see.
    pub bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// A folder of files; a file's number is its place, and never used again.
#[derive(Default)]
pub struct Tree {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
}

impl Tree {
    /// A file by its name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// A file by its number.
    pub fn file(&self, number: usize) -> Option<&File> {
        self.files.get(number)
    }

    /// A file's name, while it has one.
    pub fn name(&self, number: usize) -> &str {
        self.names.iter().find(|(_, of)| **of == number).map_or("", |(name, _)| name)
    }

    /// A new, empty one.
    pub fn create(&mut self, name: &str) -> usize {
        self.files.push(File::default());
        self.names.insert(name.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    /// Takes a name away; false when there is none.
    pub fn unlink(&mut self, name: &str) -> bool {
        self.names.remove(name).is_some()
    }

    /// Writes, to be synced.
    pub fn write(&mut self, number: usize, at: usize, data: &[u8]) {
        self.change(number, Change::Write(at, data.to_vec()));
    }

    /// Truncates or extends, to be synced.
    pub fn resize(&mut self, number: usize, size: usize) {
        self.change(number, Change::Size(size));
    }

    fn change(&mut self, number: usize, change: Change) {
        if let Some(file) = self.files.get_mut(number) {
            change.apply(&mut file.bytes);
            file.pending.push(change);
        }
    }

    /// All bytes of a file reach the disk.
    pub fn sync(&mut self, number: usize) {
        if let Some(file) = self.files.get_mut(number) {
            for change in file.pending.drain(..) {
                change.apply(&mut file.durable);
            }
        }
    }

    /// A sync that failed: what it was to write is still seen, and no later sync writes it, as on Linux.
    pub fn forget_pending(&mut self, number: usize) {
        if let Some(file) = self.files.get_mut(number) {
            file.pending.clear();
        }
    }

    /// The names reach the disk.
    pub fn sync_names(&mut self) {
        self.durable_names.clone_from(&self.names);
    }

    /// Everything reaches the disk.
    pub fn sync_all(&mut self) {
        (0..self.files.len()).for_each(|number| self.sync(number));
        self.sync_names();
    }

    /// Bytes that programs see in all files that have a name.
    pub fn size(&self) -> usize {
        self.names.values().map(|number| self.files[*number].bytes.len()).sum()
    }

    /// The power is cut: what is there afterwards.
    pub fn after_power_cut(mut self, random: &mut Random) -> Self {
        for file in &mut self.files {
            let pending = std::mem::take(&mut file.pending);
            survivors(&pending, &mut file.durable, random);
            file.bytes.clone_from(&file.durable);
        }
        // A name that was made or taken away since the folder's last sync is there or not.
        for (name, number) in &self.names {
            if self.durable_names.get(name) != Some(number) && random.percent(50) {
                self.durable_names.insert(name.clone(), *number);
            }
        }
        self.durable_names.retain(|name, _| self.names.contains_key(name) || random.percent(50));
        self.names.clone_from(&self.durable_names);
        self
    }
}

/// Applies none of the changes, all, the first ones or any of them; the last of the first ones is torn between sectors.
fn survivors(pending: &[Change], durable: &mut Vec<u8>, random: &mut Random) {
    let count = pending.len() as u64;
    match random.below(4) {
        0 => {}
        1 => pending.iter().for_each(|change| change.apply(durable)),
        2 => {
            let first = random.below(count + 1) as usize;
            pending[..first].iter().for_each(|change| change.apply(durable));
            if let Some(Change::Write(at, data)) = pending.get(first) {
                let sectors = random.below(data.len().div_ceil(SECTOR) as u64 + 1) as usize;
                put(durable, *at, &data[..(sectors * SECTOR).min(data.len())]);
            }
        }
        _ => pending.iter().filter(|_| random.percent(50)).for_each(|change| change.apply(durable)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(prepare: impl Fn(&mut Tree), seed: u64) -> Tree {
        let mut tree = Tree::default();
        prepare(&mut tree);
        tree.after_power_cut(&mut Random::new(seed, 0))
    }

    #[test]
    fn synced_bytes_outlive_every_cut_and_others_only_some() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let tree = cut(
                |tree| {
                    let number = tree.create("a");
                    tree.write(number, 0, &[1; 1024]);
                    tree.sync(number);
                    tree.sync_names();
                    tree.write(number, 1024, &[2; 1024]);
                    tree.write(number, 2048, &[3; 1024]);
                },
                seed,
            );
            let bytes = &tree.file(tree.find("a").unwrap()).unwrap().bytes;
            assert_eq!(bytes[..1024], [1; 1024]);
            seen.insert(bytes[1024..].to_vec());
        }
        // None, all, a sector of the first, the first, a sector of the second, the second alone.
        assert_eq!(seen.len(), 6, "{:?}", seen.iter().map(Vec::len).collect::<Vec<_>>());
    }

    #[test]
    fn a_failed_sync_loses_what_it_was_to_write() {
        for seed in 0..20 {
            let tree = cut(
                |tree| {
                    let number = tree.create("a");
                    tree.sync_names();
                    tree.write(number, 0, &[1; 512]);
                    tree.forget_pending(number);
                    tree.sync(number);
                },
                seed,
            );
            assert!(tree.file(0).unwrap().bytes.is_empty());
        }
    }

    #[test]
    fn a_name_is_only_sure_when_its_folder_was_synced() {
        let there = |synced: bool| {
            let prepare = |tree: &mut Tree| {
                tree.create("a");
                if synced {
                    tree.sync_names();
                }
            };
            (0..50).filter(|seed| cut(prepare, *seed).find("a").is_some()).count()
        };
        assert_eq!(there(true), 50);
        assert!((10..40).contains(&there(false)));
    }
}
