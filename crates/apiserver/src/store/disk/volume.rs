//! The file: a page of our own, then a redb database. It can hold back what redb writes, so that a file
//! is not touched before all of it was found to be good.

use super::record::hash;
use crate::store::OpenError;
use redb::StorageBackend;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(in crate::store) const FORMAT: u32 = 1;
const MAGIC: &[u8; 16] = b"FerroLB store\r\n\x1a";
/// The page before the database; a whole one, so that the database's pages stay aligned.
const HEADER_BYTES: u64 = 4096;
const FORMAT_AT: usize = 16;
const WITNESS_AT: usize = 32;
const LOCK_WAIT: Duration = Duration::from_millis(200);
const LOCK_RETRY: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(super) struct Volume {
    file: File,
    /// What redb has written while it is held back, in order.
    held: Mutex<Option<Vec<Operation>>>,
    /// The last failure: redb tells it once and then only that there was one.
    failure: Mutex<Option<Failure>>,
    #[cfg(test)]
    pub(super) faults: Faults,
}

#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) no_space: bool,
    /// It was the synchronisation that failed, not a write.
    pub(super) synchronising: bool,
}

#[derive(Debug)]
enum Operation {
    Write(u64, Vec<u8>),
    SetLength(u64),
    Synchronise,
}

/// What redb is given of a volume.
#[derive(Debug)]
pub(super) struct Database(pub(super) Arc<Volume>);

impl Volume {
    /// Locks a file and checks that it is a store. Its database is held back.
    pub(super) fn open(file: File, path: &Path) -> Result<Self, OpenError> {
        lock(&file, path)?;
        let io = |source| OpenError::Io { path: path.into(), source };
        let damaged = |reason: &str| OpenError::Damaged { path: path.into(), reason: reason.into() };
        let length = file.metadata().map_err(io)?.len();
        if length == 0 {
            return Err(damaged("the file is empty, and an empty store is not an empty file"));
        }
        let mut header = vec![0; HEADER_BYTES.min(length) as usize];
        file.read_exact_at(&mut header, 0).map_err(io)?;
        if !header.starts_with(&MAGIC[..MAGIC.len().min(header.len())]) {
            if header.iter().all(|&byte| byte == 0) {
                return Err(damaged("it begins with zeros"));
            }
            let reason = "it does not begin as one".into();
            return Err(OpenError::Foreign { path: path.into(), reason });
        }
        if length <= HEADER_BYTES {
            return Err(damaged("it ends before its database begins"));
        }
        let found = u32_at(&header, FORMAT_AT);
        if found != FORMAT {
            return Err(OpenError::Format { path: path.into(), found, supported: FORMAT });
        }
        Ok(Self::new(file, Some(Vec::new())))
    }

    /// Makes a file that is locked already a volume with an empty database, which redb will initialise.
    pub(super) fn create(file: File) -> io::Result<Self> {
        let mut header = vec![0; HEADER_BYTES as usize];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[FORMAT_AT..FORMAT_AT + 4].copy_from_slice(&FORMAT.to_le_bytes());
        file.set_len(0)?;
        file.write_all_at(&header, 0)?;
        Ok(Self::new(file, None))
    }

    fn new(file: File, held: Option<Vec<Operation>>) -> Self {
        Self {
            file,
            held: Mutex::new(held),
            failure: Mutex::new(None),
            #[cfg(test)]
            faults: Faults::default(),
        }
    }

    /// The revision that the store had at least reached. It is written after every acknowledged commit
    /// without waiting for the disk, so it is never ahead of the database unless the database went back,
    /// which redb does by itself when the newest state in it is damaged.
    pub(super) fn witness(&self) -> Option<u64> {
        let mut bytes = [0; 16];
        self.file.read_exact_at(&mut bytes, WITNESS_AT as u64).ok()?;
        let revision = u64_at(&bytes, 0);
        (u64_at(&bytes, 8) == hash(&[&bytes[..8]])).then_some(revision)
    }

    /// Best effort: without a witness less damage is noticed, but nothing is lost.
    pub(super) fn set_witness(&self, revision: u64) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&revision.to_le_bytes());
        let check = hash(&[&bytes[..8]]);
        bytes[8..].copy_from_slice(&check.to_le_bytes());
        let _ = self.file.write_all_at(&bytes, WITNESS_AT as u64);
    }

    /// Lets everything that was held back reach the file, in the order in which redb did it.
    pub(super) fn release(&self) -> io::Result<()> {
        let Some(operations) = self.held().take() else { return Ok(()) };
        for operation in operations {
            match operation {
                Operation::Write(offset, data) => self.write_file(offset, &data)?,
                Operation::SetLength(length) => self.resize_file(length)?,
                Operation::Synchronise => self.synchronise_file()?,
            }
        }
        Ok(())
    }

    /// Forgets what was held back, and holds back from here on.
    pub(super) fn hold_anew(&self) {
        *self.held() = Some(Vec::new());
    }

    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    fn held(&self) -> MutexGuard<'_, Option<Vec<Operation>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_file(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        self.faults.check(offset + data.len() as u64)?;
        self.file.write_all_at(data, HEADER_BYTES + offset)
    }

    fn resize_file(&self, length: u64) -> io::Result<()> {
        #[cfg(test)]
        self.faults.check(length)?;
        self.file.set_len(HEADER_BYTES + length)
    }

    fn synchronise_file(&self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.check(0)?;
        self.file.sync_data()
    }

    fn noting(&self, result: io::Result<()>, synchronising: bool) -> io::Result<()> {
        if let Err(error) = &result {
            let full =
                [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
            let no_space = full.contains(&error.kind());
            let failure = Failure { reason: error.to_string(), no_space, synchronising };
            // The first failure is the reason for those that follow.
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        }
        result
    }
}

impl Operation {
    /// Whether a read can find something else after it.
    fn concerns(&self, offset: u64, length: usize) -> bool {
        match self {
            Self::Write(at, data) => *at < offset + length as u64 && offset < at + data.len() as u64,
            Self::SetLength(_) => true,
            Self::Synchronise => false,
        }
    }
}

impl StorageBackend for Database {
    fn len(&self) -> io::Result<u64> {
        let held = self.0.held();
        let resized = held.iter().flatten().rev().find_map(|operation| match operation {
            Operation::SetLength(length) => Some(*length),
            _ => None,
        });
        match resized {
            Some(length) => Ok(length),
            None => Ok(self.0.file.metadata()?.len().saturating_sub(HEADER_BYTES)),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.0.held();
        let operations = held.as_deref().unwrap_or_default();
        if operations.iter().any(|operation| operation.concerns(offset, out.len())) {
            return read_through(&self.0.file, operations, offset, out);
        }
        self.0.file.read_exact_at(out, HEADER_BYTES + offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        match self.0.held().as_mut() {
            Some(operations) => operations.push(Operation::SetLength(length)),
            None => self.0.noting(self.0.resize_file(length), false)?,
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.0.held().as_mut() {
            Some(operations) => operations.push(Operation::Synchronise),
            None => self.0.noting(self.0.synchronise_file(), true)?,
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.0.held().as_mut() {
            Some(operations) => operations.push(Operation::Write(offset, data.to_vec())),
            None => self.0.noting(self.0.write_file(offset, data), false)?,
        }
        Ok(())
    }
}

/// Reads what the file would hold if the operations had reached it.
fn read_through(file: &File, operations: &[Operation], offset: u64, out: &mut [u8]) -> io::Result<()> {
    let mut length = file.metadata()?.len().saturating_sub(HEADER_BYTES);
    let kept = length.saturating_sub(offset).min(out.len() as u64) as usize;
    out.fill(0);
    file.read_exact_at(&mut out[..kept], HEADER_BYTES + offset)?;
    let end = offset + out.len() as u64;
    for operation in operations {
        match operation {
            Operation::SetLength(resized) => {
                let cut = resized.clamp(&offset, &end) - offset;
                out[cut as usize..].fill(0);
                length = *resized;
            }
            Operation::Write(at, data) => {
                let (from, to) = ((*at).max(offset), (at + data.len() as u64).min(end));
                if from < to {
                    out[(from - offset) as usize..(to - offset) as usize]
                        .copy_from_slice(&data[(from - at) as usize..(to - at) as usize]);
                }
                length = length.max(at + data.len() as u64);
            }
            Operation::Synchronise => {}
        }
    }
    if end > length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// A process that this one starts elsewhere at the same time shares its locks until it has become another program, also
/// those that were given back meanwhile. So a lock that is held is asked for once more.
pub(super) fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOCK_RETRY),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path: path.into(), source }),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// What can be wrong with a disk in a test.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Faults {
    /// It is full beyond this length.
    pub(super) room: std::sync::atomic::AtomicU64,
    /// It takes no writes.
    pub(super) broken: std::sync::atomic::AtomicBool,
    /// After so many operations one fails.
    pub(super) countdown: std::sync::atomic::AtomicI64,
}

#[cfg(test)]
impl Default for Faults {
    fn default() -> Self {
        Self { room: u64::MAX.into(), broken: false.into(), countdown: (-1).into() }
    }
}

#[cfg(test)]
impl Faults {
    fn check(&self, length: u64) -> io::Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        if self.countdown.fetch_sub(1, Relaxed) == 0 || self.broken.load(Relaxed) {
            return Err(io::Error::other("injected failure"));
        }
        if length > self.room.load(Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}
