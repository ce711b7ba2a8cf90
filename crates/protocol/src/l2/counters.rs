//! What is counted, readable while the machine runs: whoever looks takes no lock that the machine waits for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is counted for one address. Whoever announces it keeps a handle, so the figures outlive the announcement.
#[derive(Debug, Default)]
pub struct AddressCounters {
    requests_received: AtomicU64,
    responses_sent: AtomicU64,
    gratuitous_sent: AtomicU64,
    conflicts: AtomicU64,
}

impl AddressCounters {
    /// ARP requests and neighbour solicitations that were for us to answer.
    pub fn requests_received(&self) -> u64 {
        self.requests_received.load(Relaxed)
    }

    pub fn responses_sent(&self) -> u64 {
        self.responses_sent.load(Relaxed)
    }

    /// Frames that nobody asked for: two in each round of ARP, one of neighbour discovery.
    pub fn gratuitous_sent(&self) -> u64 {
        self.gratuitous_sent.load(Relaxed)
    }

    /// Frames with which somebody else claimed the address.
    pub fn conflicts(&self) -> u64 {
        self.conflicts.load(Relaxed)
    }

    pub(super) fn count_answer(&self) {
        self.requests_received.fetch_add(1, Relaxed);
        self.responses_sent.fetch_add(1, Relaxed);
    }

    /// Also for a driver that announces a take-over by itself.
    pub fn count_gratuitous(&self, frames: u64) {
        self.gratuitous_sent.fetch_add(frames, Relaxed);
    }

    pub(super) fn count_conflict(&self) {
        self.conflicts.fetch_add(1, Relaxed);
    }
}

/// Why something that arrived, or was to be done, came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// Too short, no form of ARP or neighbour discovery that there is, a wrong checksum or hop limit.
    Malformed,
    /// Neither a request nor a claim of what is ours.
    NotARequest,
    /// To a station that is not this interface.
    NotForUs,
    /// The address is not announced here.
    AnnounceIp,
    /// The address is announced, on other interfaces.
    NotMatchInterface,
    /// Sent by this node itself.
    OwnFrame,
    /// From or to what no station can be.
    NoStation,
    /// More addresses or interfaces than there may be.
    Limit,
    /// News that nobody fetched in time.
    NewsFull,
    /// The kernel had no room for what arrived.
    ReceiveFull,
    /// The kernel did not take what was to be sent.
    SendFailed,
    /// Others may have taken over what this node would speak for.
    GateClosed,
}

impl DropReason {
    pub const ALL: [DropReason; 12] = [
        DropReason::Malformed,
        DropReason::NotARequest,
        DropReason::NotForUs,
        DropReason::AnnounceIp,
        DropReason::NotMatchInterface,
        DropReason::OwnFrame,
        DropReason::NoStation,
        DropReason::Limit,
        DropReason::NewsFull,
        DropReason::ReceiveFull,
        DropReason::SendFailed,
        DropReason::GateClosed,
    ];

    /// As a label of a metric.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::Malformed => "malformed",
            DropReason::NotARequest => "notARequest",
            DropReason::NotForUs => "notForUs",
            DropReason::AnnounceIp => "announceIP",
            DropReason::NotMatchInterface => "notMatchInterface",
            DropReason::OwnFrame => "ownFrame",
            DropReason::NoStation => "noStation",
            DropReason::Limit => "limit",
            DropReason::NewsFull => "newsFull",
            DropReason::ReceiveFull => "receiveFull",
            DropReason::SendFailed => "sendFailed",
            DropReason::GateClosed => "gateClosed",
        }
    }
}

/// What is counted for no single address.
#[derive(Debug, Default)]
pub struct Counters {
    drops: [AtomicU64; DropReason::ALL.len()],
}

impl Counters {
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize].load(Relaxed)
    }

    /// Also for the driver, which drops what never reaches the machine.
    pub fn count_drops(&self, reason: DropReason, count: u64) {
        self.drops[reason as usize].fetch_add(count, Relaxed);
    }
}
