//! What an operator does with a store that is not running: check it, export it as text, make one from an
//! export. Reading never changes a file, and a store is only made where there is none.
//!
//! An export is lines of JSON: a head, an entry on each line in the order of the keys, and an end, so
//! that one which was cut off is noticed.

use super::disk::{Contents, FORMAT, Filler, build, checksum, examine};
use super::{DumpError, Entry, LIMITS, OpenError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::Arc;

const DUMP_FORMAT: &str = "ferrolb-store-export";
const DUMP_VERSION: u32 = 1;
/// Every byte of a value may take six characters; twice a key and the field names take less than the rest.
const LINE_BYTES: usize = 6 * (LIMITS.value_bytes + LIMITS.key_bytes) + 1_024;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub format: u32,
    pub revision: u64,
    /// Entries that can be read.
    pub entries: u64,
    pub value_bytes: u64,
    pub file_bytes: u64,
    /// The list of free space is wrong, which opening the store repairs.
    pub needs_repair: bool,
    /// What is damaged, nothing if the store can be opened. Not all of it if there is much.
    pub problems: Vec<String>,
    pub problem_count: u64,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub revision: u64,
    pub entries: u64,
    /// Entries that should be there and could not be read.
    pub unreadable: u64,
    /// Why the export is not complete; nothing if it is.
    pub problems: Vec<String>,
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    pub revision: u64,
    pub entries: u64,
}

/// What to do with an export of a damaged store, in which entries are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    Refuse,
    Accept,
}

/// Reads and verifies all of a store.
pub fn check(path: &Path) -> Result<Checked, OpenError> {
    let contents = examine(path)?;
    Ok(Checked {
        format: FORMAT,
        revision: contents.revision,
        entries: contents.entries.len() as u64,
        value_bytes: contents.entries.iter().map(|entry| entry.value.len() as u64).sum(),
        file_bytes: contents.file_bytes,
        needs_repair: contents.repaired,
        problems: contents.problems,
        problem_count: contents.problem_count,
    })
}

/// Writes a store as text; of a damaged one what can be read.
pub fn export(path: &Path, out: &mut dyn Write) -> Result<Exported, DumpError> {
    let contents = examine(path)?;
    let head = Head { format: DUMP_FORMAT.into(), version: DUMP_VERSION, revision: contents.revision };
    write_line(out, &head)?;
    for entry in &contents.entries {
        write_line(out, &Line::of(entry))?;
    }
    let (entries, unreadable) = (contents.entries.len() as u64, unreadable(&contents));
    write_line(out, &End { end: true, entries, unreadable, complete: contents.problem_count == 0 })?;
    out.flush()?;
    Ok(Exported { revision: contents.revision, entries, unreadable, problems: contents.problems })
}

/// Makes a store from an export. Entries keep their revisions, and the store its own.
pub fn import(path: &Path, input: &mut dyn BufRead, incomplete: Incomplete) -> Result<Imported, DumpError> {
    if path.try_exists()? {
        return Err(DumpError::Exists(path.into()));
    }
    let mut imported = Imported { revision: 0, entries: 0 };
    build(path, |filler| {
        imported = fill(filler, &mut Lines { input, number: 0 }, incomplete)?;
        Ok::<_, DumpError>(())
    })?;
    Ok(imported)
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
    revision: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    create_revision: u64,
    mod_revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// A value that is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
    /// Of key, revisions and value; a line that was written by hand needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct End {
    end: bool,
    entries: u64,
    unreadable: u64,
    complete: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    End(End),
    Entry(Line),
}

struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: usize,
}

fn fill(
    filler: &mut Filler<'_>,
    lines: &mut Lines<'_>,
    incomplete: Incomplete,
) -> Result<Imported, DumpError> {
    let head: Head = lines.next()?;
    if (head.format.as_str(), head.version) != (DUMP_FORMAT, DUMP_VERSION) {
        return Err(lines.wrong(format!("this is no export of format {DUMP_FORMAT:?} {DUMP_VERSION}")));
    }
    filler.set_revision(head.revision);
    let mut imported = Imported { revision: head.revision, entries: 0 };
    let mut last: Option<Arc<str>> = None;
    let end = loop {
        let line = match lines.next()? {
            Item::End(end) => break end,
            Item::Entry(line) => line,
        };
        let entry = line.entry(head.revision).map_err(|reason| lines.wrong(reason))?;
        if last.as_ref().is_some_and(|last| *last >= entry.key) {
            return Err(lines.wrong(format!("{:?} is not in the order of the keys", entry.key)));
        }
        last = Some(Arc::clone(&entry.key));
        imported.entries += 1;
        filler.add(entry).map_err(io::Error::other)?;
    };
    if end.entries != imported.entries {
        return Err(lines.wrong(format!("{} entries expected, {} found", end.entries, imported.entries)));
    }
    if !end.complete && incomplete == Incomplete::Refuse {
        return Err(DumpError::Incomplete(end.unreadable));
    }
    Ok(imported)
}

impl Lines<'_> {
    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, DumpError> {
        self.number += 1;
        let mut line = Vec::new();
        Read::take(&mut *self.input, LINE_BYTES as u64).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            let long = line.len() == LINE_BYTES;
            return Err(self.wrong(if long { "it is too long" } else { "the export is cut off here" }.into()));
        }
        serde_json::from_slice(&line).map_err(|error| self.wrong(format!("it is not as expected: {error}")))
    }

    fn wrong(&self, reason: String) -> DumpError {
        DumpError::Line { line: self.number, reason }
    }
}

impl Line {
    fn of(entry: &Entry) -> Self {
        let text = std::str::from_utf8(&entry.value).ok();
        Self {
            key: entry.key.to_string(),
            create_revision: entry.create_revision,
            mod_revision: entry.mod_revision,
            value: text.map(str::to_owned),
            value_hex: text.is_none().then(|| to_hex(&entry.value)),
            checksum: Some(format!("{:016x}", checksum(entry))),
        }
    }

    fn entry(self, newest: u64) -> Result<Entry, String> {
        let Self { key, create_revision, mod_revision, value, value_hex, checksum: expected } = self;
        let value = match (value, value_hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(hex)) => from_hex(&hex).ok_or("its value_hex is not hexadecimal")?,
            _ => return Err("it needs either value or value_hex".into()),
        };
        if key.len() > LIMITS.key_bytes || value.len() > LIMITS.value_bytes {
            return Err(format!("{key:?} is too large"));
        }
        if create_revision == 0 || create_revision > mod_revision || mod_revision > newest {
            return Err(format!("the revisions of {key:?} cannot be right"));
        }
        let entry = Entry { key: key.into(), value: Bytes::from(value), create_revision, mod_revision };
        match expected {
            Some(expected) if expected != format!("{:016x}", checksum(&entry)) => {
                Err(format!("the checksum of {:?} is wrong", entry.key))
            }
            _ => Ok(entry),
        }
    }
}

fn unreadable(contents: &Contents) -> u64 {
    contents.expected.saturating_sub(contents.entries.len() as u64)
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs.iter().map(|&[high, low]| Some((digit(high)? * 16 + digit(low)?) as u8)).collect()
}
