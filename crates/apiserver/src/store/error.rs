//! Everything that can go wrong, each with what the caller needs to answer for it.

use super::{Entry, Require};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a request to an open store was not served.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("{0}")]
    Conflict(Box<Conflict>),
    #[error("revision {requested} is no longer kept, the oldest is {oldest}")]
    Expired { requested: u64, oldest: u64 },
    #[error("revision {requested} does not exist yet, the newest is {newest}")]
    Future { requested: u64, newest: u64 },
    #[error("the {what} is too large: {size}, at most {limit} are allowed")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    #[error("the key {0:?} is changed twice in one commit")]
    RepeatedKey(Arc<str>),
    #[error("there are {limit} watches already")]
    TooManyWatches { limit: usize },
    /// Nothing was changed. Writes succeed again when there is room.
    #[error("no space left on the disk: {reason}")]
    NoSpace { reason: String },
    /// Nothing was changed. The disk is tried again with later writes.
    #[error("the disk does not take writes: {reason}")]
    Unwritable { reason: String },
    /// The disk failed so that it cannot be read either: the change will be there as a whole or not at
    /// all, and which of the two is seen when the disk answers again.
    #[error("the disk failed during the write, whose outcome is not known: {reason}")]
    Unknown { reason: String, no_space: bool },
    #[error("the store is closed")]
    Closed,
}

/// A key was not as a commit required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub key: Arc<str>,
    pub required: Require,
    /// What is there instead.
    pub found: Option<Entry>,
}

/// Why a file was not opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{}: the store is damaged: {reason}. Nothing was changed in the file. `ferrolb apiserver check` \
         says more, `ferrolb apiserver export` saves what can be read, and `ferrolb apiserver import` \
         makes a new store of that or of an earlier export",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "{}: not a FerroLB store: {reason}. Nothing was changed in the file; name another one, or move \
         this one away to start with an empty store",
        path.display()
    )]
    Foreign { path: PathBuf, reason: String },
    #[error(
        "{}: the store has format {found} and this version reads format {supported}. Export it with the \
         version that wrote it and import it with this one",
        path.display()
    )]
    Format { path: PathBuf, found: u32, supported: u32 },
    #[error("{}: the store is open in another process", path.display())]
    InUse { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Why an export or an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{}: exists already; an import makes a new store", .0.display())]
    Exists(PathBuf),
    #[error("line {line} of the export: {reason}")]
    Line { line: usize, reason: String },
    #[error(
        "the export says that it is incomplete, {0} entries could not be read; import it all the same only \
         if they are not needed"
    )]
    Incomplete(u64),
    #[error("the export could not be read or written: {0}")]
    Io(#[from] io::Error),
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ", self.key)?;
        match (self.required, &self.found) {
            (Require::Absent, _) => write!(f, "exists already"),
            (_, None) => write!(f, "does not exist"),
            (_, Some(found)) => write!(f, "was changed, it is at revision {}", found.mod_revision),
        }
    }
}
