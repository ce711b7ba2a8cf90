//! How netlink writes messages and attributes: in the byte order of the machine, aligned to four.

use std::io;

const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
/// The upper two bits of an attribute's number say how it is written.
const ATTRIBUTE_NUMBER: u16 = 0x3fff;

const FLAG_REQUEST: u16 = 0x01;
const FLAG_ACKNOWLEDGE: u16 = 0x04;
const FLAG_DUMP: u16 = 0x300;
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
pub(crate) const FLAG_CREATE: u16 = 0x400;
pub(crate) const FLAG_EXCLUSIVE: u16 = 0x200;

const ERROR: u16 = 2;
const DONE: u16 = 3;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

impl Message<'_> {
    /// Whether this ends an answer, and how.
    pub(super) fn end(&self) -> Option<io::Result<()>> {
        match self.kind {
            ERROR | DONE => Some(match number_at(self.payload, 0) {
                Some(0) | None => Ok(()),
                Some(code) => Err(io::Error::from_raw_os_error(-code.cast_signed())),
            }),
            _ => None,
        }
    }

    pub(super) fn was_interrupted(&self) -> bool {
        self.flags & FLAG_DUMP_INTERRUPTED != 0
    }
}

/// What is there, up to what is no message.
pub(super) fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = number_at(rest, 0)? as usize;
        let message = Message {
            kind: short_at(rest, 4)?,
            flags: short_at(rest, 6)?,
            sequence: number_at(rest, 8)?,
            payload: rest.get(HEADER..length)?,
        };
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes behind the fixed part of a message.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(short_at(rest, 0)?);
        let number = short_at(rest, 2)? & ATTRIBUTE_NUMBER;
        let value = rest.get(ATTRIBUTE_HEADER..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((number, value))
    })
}

pub(super) fn number_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|&bytes| u32::from_ne_bytes(bytes))
}

pub(super) fn short_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|&bytes| u16::from_ne_bytes(bytes))
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// A message to the kernel.
#[derive(Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// For everything of one sort. The fixed part of the question is zero, which is any.
    pub(super) fn dump(kind: u16, fixed: usize) -> Request {
        Request::new(kind, FLAG_DUMP, &vec![0; fixed])
    }

    pub(super) fn order(kind: u16, flags: u16, fixed: &[u8]) -> Request {
        Request::new(kind, FLAG_ACKNOWLEDGE | flags, fixed)
    }

    fn new(kind: u16, flags: u16, fixed: &[u8]) -> Request {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((FLAG_REQUEST | flags).to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(fixed);
        bytes.resize(aligned(bytes.len()), 0);
        Request { bytes }
    }

    pub(super) fn with(mut self, number: u16, value: &[u8]) -> Request {
        let length = (ATTRIBUTE_HEADER + value.len()) as u16;
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(number.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    pub(super) fn bytes(&mut self, sequence: u32) -> &[u8] {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        &self.bytes
    }
}
