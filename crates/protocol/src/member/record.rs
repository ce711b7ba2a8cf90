//! What is known of a node, and which of two records of it is the later.

use std::net::SocketAddr;

use super::Name;

/// What one node said of itself last, or that it is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub name: Name,
    pub address: SocketAddr,
    /// Which start of the speaker it is.
    pub generation: u64,
    /// Which word of this start.
    pub incarnation: u32,
    pub standing: Standing,
    /// How often it was found to be down lately.
    pub failures: u8,
    /// The newest key that it has.
    pub key: [u8; 4],
}

/// In the order in which one takes the place of another within an incarnation: `Down` is the last word on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It runs, and cannot answer for addresses yet.
    Waiting,
    /// It could, and is to wait because it failed too often. Counts as long as there is nobody else, and waits no longer than
    /// the first of those that count.
    Damped,
    /// A candidate.
    Alive,
    /// It answers only until somebody else does.
    Leaving,
    /// It said that it ends.
    Left,
    /// Others say that it does not run.
    Down,
}

impl Standing {
    pub fn is_up(self) -> bool {
        !matches!(self, Standing::Left | Standing::Down)
    }
}

impl Record {
    /// What decides between two records of one node.
    pub fn order(&self) -> (u64, u32, Standing) {
        (self.generation, self.incarnation, self.standing)
    }

    pub fn is_later_than(&self, other: &Record) -> bool {
        self.order() > other.order()
    }

    /// That it is down, as others say.
    pub fn accused(&self) -> Record {
        Record { standing: Standing::Down, failures: self.failures.saturating_add(1), ..self.clone() }
    }
}
