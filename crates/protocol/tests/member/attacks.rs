//! Somebody on the network who has no key, and has heard what others said.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::random::Random;
use super::speaker::address_of;
use super::world::{Happening, World};

/// How many datagrams an attacker remembers.
pub(crate) const OVERHEARD: usize = 2000;

#[derive(Debug, Clone)]
pub(crate) struct Attack {
    pub(crate) kind: Kind,
    pub(crate) datagrams: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As it was, from where it came, to whom it was sent.
    Replayed,
    /// As it was, from anywhere to anybody.
    Misdirected,
    Truncated,
    Flipped,
    Lengthened,
    Garbage,
}

pub(crate) const KINDS: [Kind; 6] =
    [Kind::Replayed, Kind::Misdirected, Kind::Truncated, Kind::Flipped, Kind::Lengthened, Kind::Garbage];

impl World {
    pub(crate) fn attack(&mut self, attack: &Attack) {
        for _ in 0..attack.datagrams {
            if self.overheard.is_empty() {
                return;
            }
            let (from, to, bytes) = self.overheard[self.random.below(self.overheard.len())].clone();
            let bytes = spoiled(attack.kind, &bytes, &mut self.random);
            let (from, to) = match attack.kind {
                Kind::Misdirected | Kind::Garbage => (self.anywhere(), self.anywhere()),
                _ => (from, to),
            };
            let at = self.now + self.random.between(Duration::ZERO, Duration::from_millis(100));
            self.at(at, Happening::Arrival { to, from, bytes });
        }
    }

    fn anywhere(&mut self) -> SocketAddr {
        let who = self.random.below(self.speakers.len() + 1);
        self.speakers.get(who).map_or_else(|| address_of(9999), |speaker| speaker.address)
    }
}

fn spoiled(kind: Kind, bytes: &Rc<[u8]>, random: &mut Random) -> Rc<[u8]> {
    let mut bytes = bytes.to_vec();
    match kind {
        Kind::Replayed | Kind::Misdirected => {}
        Kind::Truncated => bytes.truncate(random.below(bytes.len())),
        Kind::Flipped => {
            let place = random.below(bytes.len());
            bytes[place] ^= 1 << random.below(8);
        }
        Kind::Lengthened => bytes.resize(bytes.len() + 1 + random.below(3000), 0),
        Kind::Garbage => bytes.fill_with(|| random.draw().to_le_bytes()[0]),
    }
    bytes.into()
}
