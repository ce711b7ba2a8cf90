//! What was forwarded and what was not, counted without locks where it happens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Frontend;

#[derive(Debug, Default)]
pub struct Counters {
    frontends: Mutex<BTreeMap<Frontend, Arc<OfFrontend>>>,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

/// Of one frontend, as long as it is there.
#[derive(Debug, Default)]
pub struct OfFrontend {
    is_listening: AtomicBool,
    connections: AtomicU64,
    open: AtomicU64,
    /// Bytes from clients, and to them.
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
}

/// Why a connection or a datagram was not forwarded, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// There are too many connections or sessions.
    Limit,
    NoEndpoint,
    /// None of the endpoints that were tried could be connected to.
    Unreachable,
    /// Nothing came for a long time.
    Idle,
    /// One of both ends reset the connection.
    Reset,
    /// The frontend is gone, because its address is.
    Withdrawn,
    /// The system had no room, or no file.
    System,
}

impl DropReason {
    pub const ALL: [DropReason; 7] = [
        DropReason::Limit,
        DropReason::NoEndpoint,
        DropReason::Unreachable,
        DropReason::Idle,
        DropReason::Reset,
        DropReason::Withdrawn,
        DropReason::System,
    ];

    pub fn name(self) -> &'static str {
        match self {
            DropReason::Limit => "limit",
            DropReason::NoEndpoint => "noEndpoint",
            DropReason::Unreachable => "unreachable",
            DropReason::Idle => "idle",
            DropReason::Reset => "reset",
            DropReason::Withdrawn => "withdrawn",
            DropReason::System => "system",
        }
    }
}

impl Counters {
    pub fn frontends(&self) -> Vec<(Frontend, Arc<OfFrontend>)> {
        self.locked().iter().map(|(frontend, it)| (*frontend, Arc::clone(it))).collect()
    }

    pub fn drops(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].load(Relaxed)
    }

    pub(super) fn of(&self, frontend: Frontend) -> Arc<OfFrontend> {
        let new = Arc::new(OfFrontend::default());
        self.locked().insert(frontend, Arc::clone(&new));
        new
    }

    /// Unless it is there anew meanwhile.
    pub(super) fn forget(&self, frontend: Frontend, ended: &Arc<OfFrontend>) {
        let mut frontends = self.locked();
        if frontends.get(&frontend).is_some_and(|it| Arc::ptr_eq(it, ended)) {
            frontends.remove(&frontend);
        }
    }

    pub(super) fn dropped(&self, reason: DropReason) {
        self.dropped[reason as usize].fetch_add(1, Relaxed);
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Frontend, Arc<OfFrontend>>> {
        self.frontends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfFrontend {
    /// Whether it has its address and port.
    pub fn is_listening(&self) -> bool {
        self.is_listening.load(Relaxed)
    }

    /// All connections and sessions that there were, and those that there are.
    pub fn connections(&self) -> (u64, u64) {
        (self.connections.load(Relaxed), self.open.load(Relaxed))
    }

    /// Bytes from clients, and to them.
    pub fn bytes(&self) -> (u64, u64) {
        (self.received.load(Relaxed), self.sent.load(Relaxed))
    }

    pub(super) fn listens(&self) {
        self.is_listening.store(true, Relaxed);
    }

    /// One more, until the value is dropped.
    pub(super) fn begins(self: &Arc<Self>) -> Open {
        self.connections.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        Open(Arc::clone(self))
    }
}

#[derive(Debug)]
pub(super) struct Open(Arc<OfFrontend>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
