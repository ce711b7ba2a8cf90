//! What speakers say to each other, and how it is written down: numbers in network order, names and addresses with their
//! length before them. It travels sealed, so whoever wrote it has the key; it is read as if it did not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::record::{Record, Standing};
use super::{LIMITS, Name, Note};
use crate::reader::Reader;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Beat(Beat),
    /// Are you there? Answered by the same with `is_answer`.
    Ping(Greeting),
    /// What the sender knows of some members.
    Records(Vec<Record>),
    /// The sender's table, please: ours differs.
    Want,
    /// That a member is down, by whoever found out.
    Verdict {
        record: Record,
        by: Name,
        silence: Duration,
        inquiry: Duration,
    },
    /// Do you hear it?
    Ask {
        nonce: u32,
        about: Name,
        /// Which start of it: that another one runs says nothing.
        generation: u64,
    },
    Answer {
        nonce: u32,
        is_heard: bool,
    },
    Notes(Vec<(IpAddr, Note)>),
}

/// As the control packets of RFC 5880, 4.1, as far as they have a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) state: BeatState,
    /// The sender is the one that is watched.
    pub(super) is_watched: bool,
    pub(super) mine: u32,
    pub(super) yours: u32,
    pub(super) sequence: u16,
    /// Between beats of the sender, as it sends them.
    pub(super) interval: Duration,
    /// Faster ones than this are more than the sender wants.
    pub(super) accepts: Duration,
    pub(super) multiplier: u8,
}

/// RFC 5880, 6.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BeatState {
    AdminDown,
    Down,
    Init,
    Up,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) is_answer: bool,
    /// The sender took the one that it greets for dead, and nobody else did: it is the sender that was cut off.
    pub(super) was_missed: bool,
    pub(super) nonce: u32,
    /// Of the sender's table.
    pub(super) digest: u64,
    /// Of its notes.
    pub(super) notes: u64,
    pub(super) own: Record,
    /// What the sender knows of the receiver.
    pub(super) yours: Option<Record>,
}

/// A unit of intervals, so that two bytes are enough for them.
const TICK: Duration = Duration::from_micros(100);

impl Message {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(64));
        match self {
            Message::Beat(beat) => out.beat(beat),
            Message::Ping(greeting) => {
                out.byte(2);
                out.byte(u8::from(greeting.is_answer));
                out.byte(u8::from(greeting.was_missed));
                out.bytes(&greeting.nonce.to_be_bytes());
                out.bytes(&greeting.digest.to_be_bytes());
                out.bytes(&greeting.notes.to_be_bytes());
                out.record(&greeting.own);
                if let Some(yours) = &greeting.yours {
                    out.record(yours);
                }
            }
            Message::Records(records) => {
                out.byte(3);
                records.iter().for_each(|record| out.record(record));
            }
            Message::Want => out.byte(4),
            Message::Verdict { record, by, silence, inquiry } => {
                out.byte(5);
                out.record(record);
                out.name(by);
                out.millis(*silence);
                out.millis(*inquiry);
            }
            Message::Ask { nonce, about, generation } => {
                out.byte(6);
                out.bytes(&nonce.to_be_bytes());
                out.name(about);
                out.bytes(&generation.to_be_bytes());
            }
            Message::Answer { nonce, is_heard } => {
                out.byte(7);
                out.bytes(&nonce.to_be_bytes());
                out.byte(u8::from(*is_heard));
            }
            Message::Notes(notes) => {
                out.byte(8);
                for (address, note) in notes {
                    out.address(*address);
                    out.bytes(&note.version.to_be_bytes());
                    out.name(note.owner.as_deref().unwrap_or_default());
                }
            }
        }
        out.0
    }

    /// `None` if it is not whole, or more than whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Message> {
        let mut from = Reader(bytes);
        let message = match from.u8()? {
            1 => Message::Beat(from.beat()?),
            2 => Message::Ping(Greeting {
                is_answer: from.flag()?,
                was_missed: from.flag()?,
                nonce: from.u32()?,
                digest: u64::from_be_bytes(from.array()?),
                notes: u64::from_be_bytes(from.array()?),
                own: from.record()?,
                yours: if from.0.is_empty() { None } else { Some(from.record()?) },
            }),
            3 => {
                let mut records = Vec::new();
                while !from.0.is_empty() {
                    records.push(from.record()?);
                }
                Message::Records(records)
            }
            4 => Message::Want,
            5 => Message::Verdict {
                record: from.record()?,
                by: from.name()?,
                silence: from.millis()?,
                inquiry: from.millis()?,
            },
            6 => Message::Ask {
                nonce: from.u32()?,
                about: from.name()?,
                generation: u64::from_be_bytes(from.array()?),
            },
            7 => Message::Answer { nonce: from.u32()?, is_heard: from.flag()? },
            8 => {
                let mut notes = Vec::new();
                while !from.0.is_empty() {
                    notes.push((from.address()?, from.note()?));
                }
                Message::Notes(notes)
            }
            _ => return None,
        };
        from.0.is_empty().then_some(message)
    }

    /// As many datagrams as these records need.
    pub(super) fn in_portions(records: impl IntoIterator<Item = Record>) -> Vec<Message> {
        /// A header and a tag come with each.
        const ROOM: usize = LIMITS.datagram - 64;
        let mut portions: Vec<Vec<Record>> = Vec::new();
        let mut room = 0;
        for record in records {
            let mut out = Writer(Vec::new());
            out.record(&record);
            match portions.last_mut().filter(|_| out.0.len() <= room) {
                Some(portion) => portion.push(record),
                None => {
                    room = ROOM;
                    portions.push(vec![record]);
                }
            }
            room -= out.0.len();
        }
        portions.into_iter().map(Message::Records).collect()
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn beat(&mut self, beat: &Beat) {
        let state = match beat.state {
            BeatState::AdminDown => 0,
            BeatState::Down => 1,
            BeatState::Init => 2,
            BeatState::Up => 3,
        };
        self.byte(1);
        self.byte(state | u8::from(beat.is_watched) << 7);
        self.bytes(&beat.mine.to_be_bytes());
        self.bytes(&beat.yours.to_be_bytes());
        self.bytes(&beat.sequence.to_be_bytes());
        self.ticks(beat.interval);
        self.ticks(beat.accepts);
        self.byte(beat.multiplier);
    }

    fn ticks(&mut self, time: Duration) {
        let ticks = u16::try_from(time.as_micros() / TICK.as_micros()).unwrap_or(u16::MAX);
        self.bytes(&ticks.to_be_bytes());
    }

    fn millis(&mut self, time: Duration) {
        let millis = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        self.bytes(&millis.to_be_bytes());
    }

    fn name(&mut self, name: &str) {
        // Longer ones are refused where they come in.
        let length = name.len().min(LIMITS.name);
        self.byte(length as u8);
        self.bytes(&name.as_bytes()[..length]);
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                self.byte(4);
                self.bytes(&address.octets());
            }
            IpAddr::V6(address) => {
                self.byte(16);
                self.bytes(&address.octets());
            }
        }
    }

    fn record(&mut self, record: &Record) {
        self.name(&record.name);
        self.address(record.address.ip());
        self.bytes(&record.address.port().to_be_bytes());
        self.bytes(&record.generation.to_be_bytes());
        self.bytes(&record.incarnation.to_be_bytes());
        let standing = match record.standing {
            Standing::Waiting => 0,
            Standing::Damped => 1,
            Standing::Alive => 2,
            Standing::Leaving => 3,
            Standing::Left => 4,
            Standing::Down => 5,
        };
        self.byte(standing);
        self.byte(record.failures);
        self.bytes(&record.key);
    }
}

/// What messages are made of.
impl Reader<'_> {
    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn ticks(&mut self) -> Option<Duration> {
        self.array().map(|bytes| TICK * u32::from(u16::from_be_bytes(bytes)))
    }

    fn millis(&mut self) -> Option<Duration> {
        self.u32().map(|millis| Duration::from_millis(millis.into()))
    }

    fn beat(&mut self) -> Option<Beat> {
        let first = self.u8()?;
        let state = match first & 0x7f {
            0 => BeatState::AdminDown,
            1 => BeatState::Down,
            2 => BeatState::Init,
            3 => BeatState::Up,
            _ => return None,
        };
        Some(Beat {
            state,
            is_watched: first & 0x80 != 0,
            mine: self.u32()?,
            yours: self.u32()?,
            sequence: self.array().map(u16::from_be_bytes)?,
            interval: self.ticks()?,
            accepts: self.ticks()?,
            multiplier: self.u8()?,
        })
    }

    fn name(&mut self) -> Option<Name> {
        let length = usize::from(self.u8()?);
        let name = std::str::from_utf8(self.take(length)?).ok()?;
        (!name.is_empty() && length <= LIMITS.name).then(|| name.into())
    }

    fn address(&mut self) -> Option<IpAddr> {
        match self.u8()? {
            4 => self.array::<4>().map(IpAddr::from),
            16 => self.array::<16>().map(IpAddr::from),
            _ => None,
        }
    }

    fn note(&mut self) -> Option<Note> {
        let version = u64::from_be_bytes(self.array()?);
        let owner = match self.0.first()? {
            0 => self.u8().map(|_| None)?,
            _ => Some(self.name()?),
        };
        Some(Note { version, owner })
    }

    fn record(&mut self) -> Option<Record> {
        let name = self.name()?;
        let address = self.address()?;
        let port = u16::from_be_bytes(self.array()?);
        Some(Record {
            name,
            address: SocketAddr::new(address, port),
            generation: u64::from_be_bytes(self.array()?),
            incarnation: self.u32()?,
            standing: match self.u8()? {
                0 => Standing::Waiting,
                1 => Standing::Damped,
                2 => Standing::Alive,
                3 => Standing::Leaving,
                4 => Standing::Left,
                5 => Standing::Down,
                _ => return None,
            },
            failures: self.u8()?,
            key: self.array()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let standing = prop::sample::select(vec![
            Standing::Waiting,
            Standing::Damped,
            Standing::Alive,
            Standing::Leaving,
            Standing::Left,
            Standing::Down,
        ]);
        let address =
            prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
        let rest = (any::<u16>(), any::<u64>(), any::<u32>(), standing, any::<u8>(), any::<[u8; 4]>());
        ("[a-z]{1,63}", address, rest).prop_map(
            |(name, address, (port, generation, incarnation, standing, failures, key))| Record {
                name: name.into(),
                address: SocketAddr::new(address, port),
                generation,
                incarnation,
                standing,
                failures,
                key,
            },
        )
    }

    fn message() -> impl Strategy<Value = Message> {
        let state =
            prop::sample::select(vec![BeatState::AdminDown, BeatState::Down, BeatState::Init, BeatState::Up]);
        let ticks = || any::<u16>().prop_map(|ticks| TICK * u32::from(ticks));
        let numbers = (any::<u32>(), any::<u32>(), any::<u16>(), any::<u8>());
        let beat = (state, any::<bool>(), numbers, ticks(), ticks()).prop_map(
            |(state, is_watched, (mine, yours, sequence, multiplier), interval, accepts)| {
                Message::Beat(Beat {
                    state,
                    is_watched,
                    mine,
                    yours,
                    sequence,
                    interval,
                    accepts,
                    multiplier,
                })
            },
        );
        let numbers = (any::<u32>(), any::<u64>(), any::<u64>());
        let flags = (any::<bool>(), any::<bool>());
        let greeting = (flags, numbers, record(), prop::option::of(record())).prop_map(
            |((is_answer, was_missed), (nonce, digest, notes), own, yours)| {
                Message::Ping(Greeting { is_answer, was_missed, nonce, digest, notes, own, yours })
            },
        );
        let note = (any::<[u8; 16]>(), any::<u64>(), prop::option::of("[a-z]{1,253}"));
        let note = note.prop_map(|(address, version, owner)| {
            (IpAddr::from(address), Note { version, owner: owner.map(Name::from) })
        });
        let verdict = (record(), "[a-z]{1,9}", any::<u32>(), any::<u32>()).prop_map(
            |(record, by, silence, inquiry)| {
                let [silence, inquiry] = [silence, inquiry].map(|ms| Duration::from_millis(ms.into()));
                Message::Verdict { record, by: by.into(), silence, inquiry }
            },
        );
        prop_oneof![
            beat,
            greeting,
            prop::collection::vec(record(), 0..8).prop_map(Message::Records),
            prop::collection::vec(note, 0..=LIMITS.notes_in_datagram).prop_map(Message::Notes),
            Just(Message::Want),
            verdict,
            (any::<u32>(), "[a-z]{1,9}").prop_map(|(nonce, about)| Message::Ask {
                nonce,
                about: about.into(),
                generation: u64::from(nonce) << 7
            }),
            (any::<u32>(), any::<bool>()).prop_map(|(nonce, is_heard)| Message::Answer { nonce, is_heard }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in message()) {
            let bytes = message.write();
            prop_assert!(bytes.len() <= LIMITS.datagram - 35);
            prop_assert_eq!(Message::read(&bytes), Some(message));
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::read(&bytes);
        }

        #[test]
        fn records_fit_into_datagrams(records in prop::collection::vec(record(), 0..200)) {
            let portions = Message::in_portions(records.clone());
            prop_assert!(portions.iter().all(|portion| portion.write().len() <= LIMITS.datagram - 35));
            let again: Vec<Record> = portions
                .into_iter()
                .flat_map(|portion| match portion {
                    Message::Records(records) => records,
                    _ => Vec::new(),
                })
                .collect();
            prop_assert_eq!(again, records);
        }
    }
}
