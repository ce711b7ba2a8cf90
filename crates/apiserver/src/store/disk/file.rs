//! The database in the file: how it is made, read and verified, and how changes are written to it.
//! Whatever the file holds, the answer is its contents or what is wrong with it.

use super::record::{Totals, decode, encode, length};
use super::volume::{Database as Backend, Volume, lock};
use crate::store::{Entry, Event, LIMITS, OpenError};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
/// Revision, number of entries, digest.
const TOTALS: TableDefinition<'_, &str, (u64, u64, u64)> = TableDefinition::new("totals");
const CURRENT: &str = "current";

/// A store that was read and found good.
pub(super) struct Loaded {
    pub(super) volume: Arc<Volume>,
    pub(super) database: Database,
    pub(super) totals: Totals,
    pub(super) entries: Vec<Entry>,
    pub(super) created: bool,
    pub(super) repaired: bool,
}

/// What could be read of a store, in whatever state it is.
#[derive(Debug, Default)]
pub(in crate::store) struct Contents {
    pub(in crate::store) revision: u64,
    /// Entries that should be there.
    pub(in crate::store) expected: u64,
    pub(in crate::store) entries: Vec<Entry>,
    pub(in crate::store) problems: Vec<String>,
    pub(in crate::store) problem_count: u64,
    pub(in crate::store) repaired: bool,
    pub(in crate::store) file_bytes: u64,
    /// Of the entries that were read.
    totals: Totals,
}

/// Opens a store for use, or makes an empty one.
pub(super) fn load(path: &Path) -> Result<Loaded, OpenError> {
    let io = |source| OpenError::Io { path: path.into(), source };
    let open = || OpenOptions::new().read(true).write(true).open(path);
    let (file, created) = match open() {
        Ok(file) => (file, false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            build(path, |_| Ok::<_, OpenError>(()))?;
            (open().map_err(io)?, true)
        }
        Err(error) => return Err(io(error)),
    };
    let volume = Arc::new(Volume::open(file, path)?);
    let damaged = |reason| OpenError::Damaged { path: path.into(), reason };
    let (database, clean) = start(&volume).and_then(verify).map_err(damaged)?;
    let contents = read_all(&database, &volume);
    let usable = contents.summary().map_or(Ok(()), |reason| Err(damaged(reason)));
    if let Err(error) = usable.and_then(|()| volume.release().map_err(io)) {
        stop(database);
        return Err(error);
    }
    let totals = Totals { revision: contents.revision, ..contents.totals };
    Ok(Loaded { volume, database, totals, entries: contents.entries, created, repaired: !clean })
}

/// Reads what can be read of a store without changing it.
pub(in crate::store) fn examine(path: &Path) -> Result<Contents, OpenError> {
    let file = File::open(path).map_err(|source| OpenError::Io { path: path.into(), source })?;
    let volume = Arc::new(Volume::open(file, path)?);
    let (clean, problem) = match start(&volume).and_then(verify) {
        Ok((database, clean)) => {
            stop(database);
            (clean, None)
        }
        Err(problem) => (true, Some(problem)),
    };
    // What the verification did to the database it did in memory only; what is read is what is there.
    volume.hold_anew();
    let mut contents = match start(&volume) {
        Ok(database) => {
            let contents = read_all(&database, &volume);
            stop(database);
            contents
        }
        Err(problem) => {
            let mut contents = Contents::default();
            contents.note(format!("nothing can be read: {problem}"));
            contents
        }
    };
    problem.into_iter().for_each(|problem| contents.note(problem));
    contents.repaired = !clean;
    contents.file_bytes = volume.file_bytes();
    Ok(contents)
}

/// Writes entries into a store that is being made.
pub(in crate::store) struct Filler<'a> {
    database: &'a Database,
    totals: Totals,
    waiting: Vec<Entry>,
    waiting_bytes: usize,
}

/// Makes a store under another name and gives it its own when it is complete, so that a store is never
/// half made, and never replaces what is there.
pub(in crate::store) fn build<E: From<OpenError>>(
    path: &Path,
    fill: impl FnOnce(&mut Filler<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let io = |source| OpenError::Io { path: path.into(), source };
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let file = own_draft(&draft)?;
    let volume = Arc::new(Volume::create(file).map_err(io)?);
    let filled = fill_draft(&volume, path, fill).and_then(|()| Ok(publish(&draft, path).map_err(io)?));
    // What is left of a draft is only in the way.
    let _ = fs::remove_file(&draft);
    filled
}

/// A locked file that is known by the draft's name and no other. After a crash the draft can be another
/// name of a finished store, which must not be written to.
fn own_draft(draft: &Path) -> Result<File, OpenError> {
    let io = |source| OpenError::Io { path: draft.into(), source };
    for _ in 0..3 {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(draft);
        let file = options.map_err(io)?;
        lock(&file, draft)?;
        let mine = file.metadata().map_err(io)?;
        match fs::metadata(draft) {
            Ok(named) if (named.dev(), named.ino()) != (mine.dev(), mine.ino()) => {}
            Ok(_) if mine.nlink() == 1 => return Ok(file),
            Ok(_) => fs::remove_file(draft).map_err(io)?,
            Err(_) => {}
        }
    }
    Err(OpenError::InUse { path: draft.into() })
}

fn fill_draft<E: From<OpenError>>(
    volume: &Arc<Volume>,
    path: &Path,
    fill: impl FnOnce(&mut Filler<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |reason| OpenError::Io { path: path.into(), source: io::Error::other(reason) };
    let database = start(volume).map_err(failed)?;
    let mut filler =
        Filler { database: &database, totals: Totals::default(), waiting: Vec::new(), waiting_bytes: 0 };
    let filled = fill(&mut filler).and_then(|()| Ok(filler.flush().map_err(failed)?));
    stop(database);
    filled
}

impl Filler<'_> {
    pub(in crate::store) fn add(&mut self, entry: Entry) -> Result<(), String> {
        self.totals.add(&entry);
        self.waiting_bytes += entry.key.len() + length(&entry);
        self.waiting.push(entry);
        if self.waiting_bytes < LIMITS.group_bytes { Ok(()) } else { self.flush() }
    }

    pub(in crate::store) fn set_revision(&mut self, revision: u64) {
        self.totals.revision = revision;
    }

    fn flush(&mut self) -> Result<(), String> {
        let entries = self.waiting.iter().map(|entry| (&*entry.key, Some(entry)));
        guarded(|| write(self.database, entries, &self.totals))?;
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }
}

fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    // Unlike a rename, a link never replaces a file that another process made meanwhile.
    match fs::hard_link(draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
            fs::rename(draft, path)?;
        }
        result => result?,
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Opens the database of a volume; redb repairs what a crash has left.
pub(super) fn start(volume: &Arc<Volume>) -> Result<Database, String> {
    guarded(|| {
        let backend = Backend(Arc::clone(volume));
        let database =
            Database::builder().set_cache_size(LIMITS.file_cache_bytes).create_with_backend(backend)?;
        Ok(database)
    })
}

/// Closes a database, whatever state it is in.
pub(super) fn stop(database: Database) {
    let _ = guarded(|| {
        drop(database);
        Ok(())
    });
}

/// Makes changes durable.
pub(super) fn write_events(
    database: &Database,
    events: &[Arc<Event>],
    totals: &Totals,
) -> Result<(), String> {
    let changes = events.iter().map(|event| (&*event.key, event.current.as_ref()));
    guarded(|| write(database, changes, totals))
}

pub(super) fn read_totals(database: &Database) -> Result<Totals, String> {
    guarded(|| {
        let table = database.begin_read()?.open_table(TOTALS)?;
        let (revision, entries, digest) = table
            .get(CURRENT)?
            .ok_or_else(|| redb::Error::Corrupted("its totals are missing".into()))?
            .value();
        Ok(Totals { revision, entries, digest })
    })
}

fn write<'a>(
    database: &Database,
    changes: impl Iterator<Item = (&'a str, Option<&'a Entry>)>,
    totals: &Totals,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    // Also writes down which pages are free, so that opening after a crash or a failed write need not
    // walk the whole database; and synchronises twice, so that a state is never half there.
    transaction.set_quick_repair(true);
    {
        let mut table = transaction.open_table(ENTRIES)?;
        for (key, entry) in changes {
            match entry {
                Some(entry) => {
                    encode(entry, table.insert_reserve(key.as_bytes(), length(entry))?.as_mut());
                }
                None => drop(table.remove(key.as_bytes())?),
            }
        }
        let current = (totals.revision, totals.entries, totals.digest);
        transaction.open_table(TOTALS)?.insert(CURRENT, current)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Checks the database's structure and checksums; false if only its list of free pages was wrong.
fn verify(mut database: Database) -> Result<(Database, bool), String> {
    guarded(move || {
        let clean = database.check_integrity()?;
        Ok((database, clean))
    })
}

fn read_all(database: &Database, volume: &Volume) -> Contents {
    let mut contents = Contents::default();
    let declared = read_totals(database);
    if let Ok(totals) = &declared {
        (contents.revision, contents.expected) = (totals.revision, totals.entries);
    }
    if let Err(problem) = guarded(|| read_entries(database, &mut contents)) {
        contents.note(format!("not all entries can be read: {problem}"));
    }
    match declared {
        Ok(declared) => contents.compare(&declared, volume.witness()),
        Err(problem) => contents.note(problem),
    }
    let newest = contents.entries.iter().map(|entry| entry.mod_revision).max().unwrap_or(0);
    if newest > contents.revision {
        contents.note(format!("an entry is of revision {newest}, after the last one"));
        contents.revision = newest;
    }
    contents
}

/// Reads forward until something is wrong with the tree, then backward as far.
fn read_entries(database: &Database, contents: &mut Contents) -> Result<(), redb::Error> {
    let table = database.begin_read()?.open_table(ENTRIES)?;
    let mut last = Vec::new();
    let mut failure = None;
    for item in table.iter()? {
        match item {
            Ok((key, record)) => {
                last = key.value().to_vec();
                contents.take(key.value(), record.value());
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let Some(failure) = failure else { return Ok(()) };
    let behind = contents.entries.len();
    for item in table.iter()?.rev() {
        let Ok((key, record)) = item else { break };
        if key.value() <= last.as_slice() {
            break;
        }
        contents.take(key.value(), record.value());
    }
    contents.entries[behind..].reverse();
    Err(failure.into())
}

impl Contents {
    /// What is wrong, in a line; nothing if nothing is.
    fn summary(&self) -> Option<String> {
        let problem = self.problems.first()?;
        Some(match self.problem_count {
            1 => problem.clone(),
            count => format!("{problem} (and {} more)", count - 1),
        })
    }

    pub(in crate::store) fn note(&mut self, problem: String) {
        self.problem_count += 1;
        if self.problems.len() < LIMITS.reported_problems {
            self.problems.push(problem);
        }
    }

    fn take(&mut self, key: &[u8], record: &[u8]) {
        match decode(key, record) {
            Ok((entry, checksum)) => {
                self.totals.add_checksum(checksum);
                self.entries.push(entry);
            }
            Err(problem) => {
                let key = String::from_utf8_lossy(key).into_owned();
                self.note(format!("entry {key:?} cannot be used: {problem}"));
            }
        }
    }

    fn compare(&mut self, declared: &Totals, witness: Option<u64>) {
        let complete = (self.totals.entries, self.totals.digest) == (declared.entries, declared.digest);
        if !complete && self.problem_count == 0 {
            let (found, expected) = (self.entries.len(), declared.entries);
            self.note(format!("its {found} entries are not the {expected} that were written last"));
        }
        if let Some(reached) = witness.filter(|&reached| reached > declared.revision) {
            let revision = declared.revision;
            self.note(format!("it is at revision {revision}, but had reached revision {reached}"));
        }
    }
}

/// Runs something of redb. A database that is damaged in a way that redb does not foresee makes it panic,
/// which is a reason like any other.
fn guarded<T>(run: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Err(format!("its structure makes no sense ({text})"))
        }
    }
}
