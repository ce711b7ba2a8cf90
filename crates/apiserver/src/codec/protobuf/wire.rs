//! The bytes of a protobuf message, field by field. Knows no type.

use super::ProtobufError;

/// What is left of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// One field as it comes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
    /// Groups are skipped, and nothing is known of what was in them.
    Group,
}

impl<'a> Fields<'a> {
    pub(super) fn of(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The next field and its number; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Raw<'a>)>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        let kind = tag & 7;
        if kind == 4 {
            return Err(ProtobufError::EndOfGroup);
        }
        if number == 0 {
            return Err(ProtobufError::IllegalTag { tag: tag >> 3, wire_type: kind });
        }
        let raw = self.value(kind)?;
        Ok(Some((number, raw)))
    }

    fn value(&mut self, kind: u64) -> Result<Raw<'a>, ProtobufError> {
        Ok(match kind {
            0 => Raw::Varint(self.varint()?),
            1 => Raw::Fixed64(self.take(8)?.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| ProtobufError::Length)?;
                if i64::try_from(length).is_err() {
                    return Err(ProtobufError::Length);
                }
                Raw::Bytes(self.take(length)?)
            }
            3 => {
                self.skip_group()?;
                Raw::Group
            }
            5 => {
                self.take(4)?;
                Raw::Fixed32
            }
            other => return Err(ProtobufError::WireType(other)),
        })
    }

    /// Groups may nest, so their depth is counted rather than descended into.
    fn skip_group(&mut self) -> Result<(), ProtobufError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.varint()? & 7 {
                3 => depth += 1,
                4 => depth -= 1,
                kind => drop(self.value(kind)?),
            }
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::End)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Sixty-four bits, seven to a byte, the lowest first.
    pub(super) fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(ProtobufError::End)?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(ProtobufError::Overflow)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

impl Raw<'_> {
    /// The number by which the format knows how a field is written.
    pub(super) fn wire_type(&self) -> u8 {
        match self {
            Raw::Varint(_) => 0,
            Raw::Fixed64(_) => 1,
            Raw::Bytes(_) => 2,
            Raw::Group => 3,
            Raw::Fixed32 => 5,
        }
    }
}
