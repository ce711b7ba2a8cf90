//! Datagrams sealed with the cluster's secret: nobody else can read them, make them, or send them a second time.
//!
//! `version (1) | key (4) | start (8) | counter (6) | sealed message | tag (16)`, sealed by ChaCha20-Poly1305 (RFC 8439) over
//! what stands before it. Each start of a speaker has a key of its own, derived (RFC 5869) from the secret and the random
//! number `start`, so its counter is a nonce that no other start can use again. A receiver remembers the counters that it
//! has seen of each start.

use std::collections::HashMap;
use std::time::Instant;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{digest, hkdf};

use super::{LIMITS, Name, TIMES};

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4 + 8 + 6;
const TAG: usize = 16;
const CONTEXT: &[u8] = b"ferrolb member 1";
/// Counters that are remembered one by one below the highest.
const WINDOW: u64 = 128;

/// What all speakers of a cluster know, and nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:02x?})", self.id())
    }
}

impl Key {
    pub fn new(secret: [u8; 32]) -> Key {
        Key(secret)
    }

    /// Tells keys apart and gives none away.
    pub fn id(&self) -> [u8; 4] {
        let mut hashed = digest::Context::new(&digest::SHA256);
        hashed.update(CONTEXT);
        hashed.update(&self.0);
        let hash = hashed.finish();
        let bytes = hash.as_ref();
        [bytes[0], bytes[1], bytes[2], bytes[3]]
    }

    fn of_start(&self, start: Start) -> LessSafeKey {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &start).extract(&self.0);
        let info = [CONTEXT];
        let derived = secret.expand(&info, &CHACHA20_POLY1305).expect("32 bytes is a length that there is");
        LessSafeKey::new(UnboundKey::from(derived))
    }
}

/// Which start of a speaker it is: a random number.
pub(super) type Start = [u8; 8];

/// Why a datagram is not for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    TooLong,
    Malformed,
    ForeignKey,
    Forged,
    Replayed,
    Own,
}

pub(super) struct Seal {
    start: Start,
    counter: u64,
    /// The newest first.
    keys: Vec<Held>,
    senders: HashMap<Start, Sender>,
}

struct Held {
    key: Key,
    id: [u8; 4],
    own: LessSafeKey,
    /// Given up then, because there is a newer one.
    until: Option<Instant>,
}

/// Which node, and which start of its speaker, as records tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: Name,
    pub(super) generation: u64,
}

struct Sender {
    identity: Option<Identity>,
    keys: Vec<([u8; 4], LessSafeKey)>,
    seen: Seen,
    last: Instant,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Seal {
    pub(super) fn new(key: Key, start: Start) -> Seal {
        let mut seal = Seal { start, counter: 0, keys: Vec::new(), senders: HashMap::new() };
        seal.hold(key);
        seal
    }

    fn hold(&mut self, key: Key) {
        let held = Held { id: key.id(), own: key.of_start(self.start), key, until: None };
        self.keys.insert(0, held);
    }

    /// A newer key. Says whether it is one.
    pub(super) fn rotate(&mut self, key: Key, now: Instant) -> bool {
        if self.keys[0].key == key {
            return false;
        }
        self.keys.retain(|held| held.key != key);
        for held in &mut self.keys {
            held.until.get_or_insert(now + TIMES.key_overlap);
        }
        self.hold(key);
        true
    }

    pub(super) fn newest(&self) -> [u8; 4] {
        self.keys[0].id
    }

    /// All that are good still.
    pub(super) fn held(&self) -> impl Iterator<Item = [u8; 4]> {
        self.keys.iter().map(|held| held.id)
    }

    /// Gives up what is over.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.keys.retain(|held| held.until.is_none_or(|until| now < until));
        let ids: Vec<[u8; 4]> = self.held().collect();
        for sender in self.senders.values_mut() {
            sender.keys.retain(|(id, _)| ids.contains(id));
        }
    }

    /// With the key of this id if there is one, or else the newest.
    pub(super) fn seal(&mut self, key: [u8; 4], message: &[u8]) -> Vec<u8> {
        self.counter += 1;
        let held = self.keys.iter().find(|held| held.id == key).unwrap_or(&self.keys[0]);
        let mut bytes = Vec::with_capacity(HEADER + message.len() + TAG);
        bytes.push(VERSION);
        bytes.extend_from_slice(&held.id);
        bytes.extend_from_slice(&self.start);
        bytes.extend_from_slice(&self.counter.to_be_bytes()[2..]);
        let nonce = nonce(&bytes[13..HEADER]);
        bytes.extend_from_slice(message);
        let (header, message) = bytes.split_at_mut(HEADER);
        let tag = held
            .own
            .seal_in_place_separate_tag(nonce, Aad::from(&*header), message)
            .expect("a message is shorter than the cipher can do");
        bytes.extend_from_slice(tag.as_ref());
        bytes
    }

    /// The message, and from which start of a speaker it is.
    pub(super) fn open(&mut self, bytes: &[u8], now: Instant) -> Result<(Start, Vec<u8>), Refused> {
        if bytes.len() > LIMITS.datagram {
            return Err(Refused::TooLong);
        }
        let Some((header, sealed)) = bytes.split_at_checked(HEADER) else { return Err(Refused::Malformed) };
        if header[0] != VERSION || sealed.len() < TAG {
            return Err(Refused::Malformed);
        }
        let id = [header[1], header[2], header[3], header[4]];
        let start: Start = header[5..13].try_into().map_err(|_| Refused::Malformed)?;
        if start == self.start {
            return Err(Refused::Own);
        }
        let Some(position) = self.keys.iter().position(|held| held.id == id) else {
            return Err(Refused::ForeignKey);
        };
        let counter = header[13..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let known = self.senders.get(&start);
        if known.as_ref().is_some_and(|sender| sender.seen.has(counter)) {
            return Err(Refused::Replayed);
        }
        let open = |key: &LessSafeKey| {
            let mut message = sealed.to_vec();
            let opened = key.open_in_place(nonce(&header[13..]), Aad::from(header), &mut message);
            let length = opened.map_err(|_| Refused::Forged)?.len();
            message.truncate(length);
            Ok(message)
        };
        let of_sender = known.as_ref().and_then(|it| it.keys.iter().find(|it| it.0 == id));
        // Kept only if it was good for something, so that strangers cannot fill the memory.
        let (message, fresh) = match of_sender {
            Some((_, key)) => (open(key)?, None),
            None => {
                let key = self.keys[position].key.of_start(start);
                (open(&key)?, Some(key))
            }
        };
        let sender = match self.senders.contains_key(&start) {
            true => self.senders.get_mut(&start),
            false => {
                self.make_room();
                let sender = self.senders.entry(start).or_insert_with(|| Sender {
                    identity: None,
                    keys: Vec::new(),
                    seen: Seen::default(),
                    last: now,
                });
                Some(sender)
            }
        };
        if let Some(sender) = sender {
            sender.keys.extend(fresh.map(|key| (id, key)));
            sender.seen.add(counter);
            sender.last = now;
        }
        Ok((start, message))
    }

    /// Who is behind a start, once it has said so.
    pub(super) fn identity(&self, start: Start) -> Option<&Identity> {
        self.senders.get(&start)?.identity.as_ref()
    }

    pub(super) fn is_of(&mut self, start: Start, name: &Name, generation: u64) {
        if let Some(sender) = self.senders.get_mut(&start) {
            sender.identity = Some(Identity { name: name.clone(), generation });
        }
    }

    /// Whoever was silent for longest is forgotten, should there ever be so many.
    fn make_room(&mut self) {
        if self.senders.len() >= LIMITS.senders {
            let oldest = self.senders.iter().min_by_key(|(_, sender)| sender.last).map(|(start, _)| *start);
            oldest.map(|start| self.senders.remove(&start));
        }
    }
}

fn nonce(counter: &[u8]) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - counter.len()..].copy_from_slice(counter);
    Nonce::assume_unique_for_key(nonce)
}

/// The counters that were seen: the highest, and those shortly below it.
#[derive(Debug, Default)]
struct Seen {
    highest: u64,
    /// Bit n: `highest - n`.
    below: u128,
}

impl Seen {
    fn has(&self, counter: u64) -> bool {
        match self.highest.checked_sub(counter) {
            None => false,
            Some(distance) if distance >= WINDOW => true,
            Some(distance) => self.below >> distance & 1 == 1,
        }
    }

    fn add(&mut self, counter: u64) {
        match counter.checked_sub(self.highest) {
            Some(ahead) => {
                self.below =
                    u32::try_from(ahead).ok().and_then(|it| self.below.checked_shl(it)).unwrap_or(0) | 1;
                self.highest = counter;
            }
            None => self.below |= 1 << (self.highest - counter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(key: u8, start: u8) -> Seal {
        Seal::new(Key::new([key; 32]), [start; 8])
    }

    #[test]
    fn only_who_has_the_key_reads_and_only_once() {
        let now = Instant::now();
        let (mut one, mut other, mut stranger) = (seal(1, 1), seal(1, 2), seal(9, 3));
        let sealed = one.seal(one.newest(), b"hello");
        assert_eq!(other.open(&sealed, now), Ok(([1; 8], b"hello".to_vec())));
        assert_eq!(other.open(&sealed, now), Err(Refused::Replayed));
        assert_eq!(stranger.open(&sealed, now), Err(Refused::ForeignKey));
        assert_eq!(one.open(&sealed, now), Err(Refused::Own));
        let second = one.seal(one.newest(), b"hello");
        assert_ne!(sealed[HEADER..], second[HEADER..]);
        for at in 0..second.len() {
            let mut forged = second.clone();
            forged[at] ^= 1;
            assert!(other.open(&forged, now).is_err(), "{at}");
            assert!(other.open(&second[..at], now).is_err(), "{at}");
        }
        assert_eq!(other.open(&second, now), Ok(([1; 8], b"hello".to_vec())));
        assert_eq!(other.open(&vec![1; LIMITS.datagram + 1], now), Err(Refused::TooLong));
    }

    #[test]
    fn a_new_key_and_the_one_before_are_good_for_a_while() {
        let now = Instant::now();
        let (mut one, mut other) = (seal(1, 1), seal(1, 2));
        let old = one.newest();
        assert!(one.rotate(Key::new([2; 32]), now));
        assert!(!one.rotate(Key::new([2; 32]), now));
        let with_new = one.seal(one.newest(), b"a");
        assert_eq!(other.open(&with_new, now), Err(Refused::ForeignKey));
        let with_old = one.seal(old, b"b");
        assert!(other.open(&with_old, now).is_ok());
        let from_old = other.seal(old, b"c");
        one.tidy(now + TIMES.key_overlap / 2);
        assert!(one.open(&from_old, now).is_ok());
        one.tidy(now + TIMES.key_overlap);
        let late = other.seal(old, b"d");
        assert_eq!(one.open(&late, now), Err(Refused::ForeignKey));
    }

    #[test]
    fn counters_are_taken_once_in_any_order() {
        let mut seen = Seen::default();
        for counter in [1, 3, 2, 200, 100, 73, 1000] {
            assert!(!seen.has(counter), "{counter}");
            seen.add(counter);
            assert!(seen.has(counter), "{counter}");
        }
        for (counter, is_seen) in [(999, false), (873, false), (872, true), (1001, false), (0, true)] {
            assert_eq!(seen.has(counter), is_seen, "{counter}");
        }
    }
}
