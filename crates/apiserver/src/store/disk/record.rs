//! How an entry is written, and the checksums that prove at the next start that all of it is there.

use crate::store::Entry;
use bytes::Bytes;
use std::sync::Arc;

const REVISIONS_BYTES: usize = 16;
const HEAD_BYTES: usize = 24;

/// What the file says of itself, brought up to date with every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) revision: u64,
    pub(super) entries: u64,
    /// The sum of the entries' checksums, so that an entry that is missing or too much is noticed.
    pub(super) digest: u64,
}

impl Totals {
    pub(super) fn add(&mut self, entry: &Entry) {
        self.add_checksum(checksum(entry));
    }

    pub(super) fn add_checksum(&mut self, checksum: u64) {
        self.entries = self.entries.wrapping_add(1);
        self.digest = self.digest.wrapping_add(checksum);
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        self.entries = self.entries.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(checksum(entry));
    }
}

pub(super) fn length(entry: &Entry) -> usize {
    HEAD_BYTES + entry.value.len()
}

/// Create revision, mod revision, checksum, value; `out` has the entry's [`length`].
pub(super) fn encode(entry: &Entry, out: &mut [u8]) {
    let (head, value) = out.split_at_mut(HEAD_BYTES);
    let (revisions, check) = head.split_at_mut(REVISIONS_BYTES);
    revisions.copy_from_slice(&revisions_of(entry));
    check.copy_from_slice(&checksum(entry).to_le_bytes());
    value.copy_from_slice(&entry.value);
}

/// The entry and its checksum, or what is wrong with it.
pub(super) fn decode(key: &[u8], record: &[u8]) -> Result<(Entry, u64), &'static str> {
    let key = std::str::from_utf8(key).map_err(|_| "its key is not UTF-8")?;
    let (head, value) = record.split_at_checked(HEAD_BYTES).ok_or("its record is too short")?;
    let (revisions, check) = head.split_at(REVISIONS_BYTES);
    let (create, modified) = revisions.split_at(8);
    let entry = Entry {
        key: Arc::from(key),
        value: Bytes::copy_from_slice(value),
        create_revision: number(create),
        mod_revision: number(modified),
    };
    let check = number(check);
    if check == checksum(&entry) { Ok((entry, check)) } else { Err("its checksum is wrong") }
}

/// The checksum of a key, its revisions and its value.
pub(in crate::store) fn checksum(entry: &Entry) -> u64 {
    hash(&[entry.key.as_bytes(), &revisions_of(entry), &entry.value])
}

/// A 64-bit checksum of several strings of bytes. Against accidents, not against an adversary: every
/// step is a bijection of the state, so damage within eight aligned bytes never goes unnoticed.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = MULTIPLIER;
    let mut step = |lane: u64| {
        state = (state ^ lane).wrapping_mul(MULTIPLIER);
        state ^= state >> 32;
    };
    for part in parts {
        let (lanes, rest) = part.as_chunks::<8>();
        lanes.iter().for_each(|lane| step(u64::from_le_bytes(*lane)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        step(u64::from_le_bytes(last));
        step(part.len() as u64);
    }
    state
}

fn revisions_of(entry: &Entry) -> [u8; REVISIONS_BYTES] {
    let mut bytes = [0; REVISIONS_BYTES];
    bytes[..8].copy_from_slice(&entry.create_revision.to_le_bytes());
    bytes[8..].copy_from_slice(&entry.mod_revision.to_le_bytes());
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}
