//! The kernel's FUSE protocol, version 7.31, as far as SQLite and its server need it: numbers in, bytes out.
//! Layouts as of `linux/fuse.h`.

/// The folder itself.
pub const ROOT: u64 = 1;

/// The longest write in one request, in bytes.
pub const MAX_WRITE: u32 = 128 * 1024;

/// Bytes before a request's arguments.
const HEADER: usize = 40;

/// How long the kernel may believe what it was told: it is the only one who changes anything.
const VALID_S: u64 = 3600;

/// What the kernel asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Lookup,
    /// Nobody waits for an answer.
    Silent,
    GetAttributes,
    SetAttributes,
    Unlink,
    Open,
    Read,
    Write,
    FileSystem,
    Release,
    Sync,
    Flush,
    Init,
    OpenFolder,
    SyncFolder,
    Access,
    Create,
    Other,
}

/// A request.
pub struct Request<'a> {
    bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads a request's header; `None` for what is none.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= HEADER).then_some(Self { bytes })
    }

    /// What is asked.
    pub fn operation(&self) -> Operation {
        match number(self.bytes, 4, 4) {
            1 => Operation::Lookup,
            2 | 36 | 42 => Operation::Silent,
            3 => Operation::GetAttributes,
            4 => Operation::SetAttributes,
            10 => Operation::Unlink,
            14 => Operation::Open,
            15 => Operation::Read,
            16 => Operation::Write,
            17 => Operation::FileSystem,
            18 | 29 => Operation::Release,
            20 => Operation::Sync,
            25 => Operation::Flush,
            26 => Operation::Init,
            27 => Operation::OpenFolder,
            30 => Operation::SyncFolder,
            34 => Operation::Access,
            35 => Operation::Create,
            _ => Operation::Other,
        }
    }

    /// To be repeated in the answer.
    pub fn unique(&self) -> u64 {
        number(self.bytes, 8, 8)
    }

    /// The file it is about.
    pub fn node(&self) -> u64 {
        number(self.bytes, 16, 8)
    }

    /// An argument of `width` bytes, `at` so many after the header; 0 beyond the end.
    pub fn argument(&self, at: usize, width: usize) -> u64 {
        number(self.bytes, HEADER + at, width)
    }

    /// What follows arguments of so many bytes.
    pub fn rest(&self, arguments: usize) -> &'a [u8] {
        self.bytes.get(HEADER + arguments..).unwrap_or_default()
    }

    /// A name after arguments of so many bytes.
    pub fn name(&self, arguments: usize) -> String {
        let bytes = self.rest(arguments).split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }
}

fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    let mut whole = [0; 8];
    if let Some(part) = bytes.get(at..at + width) {
        whole[..width].copy_from_slice(part);
    }
    u64::from_ne_bytes(whole)
}

/// An answer's bytes, header first.
pub struct Reply(Vec<u8>);

impl Reply {
    /// An empty one, of success.
    pub fn to(unique: u64) -> Self {
        Self([0; 8].into_iter().chain(unique.to_ne_bytes()).collect())
    }

    /// Adds numbers of 8 bytes.
    pub fn longs(mut self, numbers: &[u64]) -> Self {
        numbers.iter().for_each(|number| self.0.extend(number.to_ne_bytes()));
        self
    }

    /// Adds numbers of 4 bytes.
    pub fn words(mut self, numbers: &[u32]) -> Self {
        numbers.iter().for_each(|number| self.0.extend(number.to_ne_bytes()));
        self
    }

    /// Adds bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// `fuse_attr`, of a file or of the folder.
    pub fn attributes(self, node: u64, size: u64) -> Self {
        let (mode, links) = if node == ROOT { (0o040_755, 2) } else { (0o100_644, 1) };
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        self.longs(&[node, size, size.div_ceil(512), 0, 0, 0]).words(&[0, 0, 0, mode, links, user, group, 0, 4096, 0])
    }

    /// `fuse_entry_out`.
    pub fn entry(self, node: u64, size: u64) -> Self {
        self.longs(&[node, 0, VALID_S, VALID_S]).words(&[0, 0]).attributes(node, size)
    }

    /// `fuse_attr_out`.
    pub fn attributes_out(self, node: u64, size: u64) -> Self {
        self.longs(&[VALID_S]).words(&[0, 0]).attributes(node, size)
    }

    /// `fuse_open_out`.
    pub fn opened(self) -> Self {
        self.longs(&[0, 0])
    }

    /// `fuse_init_out`: version 7.31, writes of more than a page.
    pub fn init(self) -> Self {
        const BIG_WRITES: u32 = 1 << 5;
        self.words(&[7, 31, MAX_WRITE, BIG_WRITES, 0, MAX_WRITE, 1, 0]).words(&[0; 8])
    }

    /// `fuse_statfs_out`, in blocks of 4096 bytes.
    pub fn file_system(self, blocks: u64, free: u64) -> Self {
        self.longs(&[blocks, free, free, 1000, 900]).words(&[4096, 255, 4096, 0, 0, 0, 0, 0, 0, 0])
    }

    /// Whole, with its length.
    pub fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }

    /// An error instead.
    pub fn error(unique: u64, errno: rustix::io::Errno) -> Vec<u8> {
        let mut reply = Self::to(unique);
        reply.0[4..8].copy_from_slice(&(-errno.raw_os_error()).to_ne_bytes());
        reply.finish()
    }
}
