//! What a server takes from its clients, in one table: how much, how long, how many at once, and what a client is told
//! that asks for more. What texts, schemas and the store may hold is bounded where they are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Everything that could grow with a request or a connection is bounded here. Reaching a bound is answered and counted.
pub const LIMITS: Limits = Limits {
    body_bytes: 3 << 20,
    drained_bytes: 64 << 20,
    object_bytes: 3 << 19,
    url_bytes: 16 << 10,
    head_bytes: 64 << 10,
    list_page: 10_000,
    settled_objects: 1 << 18,
    body_chunk_bytes: 64 << 10,
    name_attempts: 8,
    write_attempts: 5,
    requests: 2_048,
    bodies_per_user: 32,
    watches_per_user: 2_000,
    light: Pool { seats: 64, seats_per_user: 24, waiting: 512, waiting_per_user: 128 },
    heavy: Pool { seats: 0, seats_per_user: 0, waiting: 128, waiting_per_user: 16 },
    waiting_time: Duration::from_secs(15),
    request_time: Duration::from_secs(60),
    body_time: Duration::from_secs(30),
    watch_time: Duration::from_secs(30 * 60),
    metric_series: 20_000,
    connections: 4_096,
    streams: 250,
    handshake_time: Duration::from_secs(10),
    idle_time: Duration::from_secs(90),
    ping_every: Duration::from_secs(30),
    ping_time: Duration::from_secs(15),
    closing_time: Duration::from_secs(10),
};

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Length of a request's body. 413.
    pub body_bytes: usize,
    /// What of a longer body is read and thrown away, because some clients do not look at the answer before all is sent.
    pub drained_bytes: usize,
    /// Length of a stored object. 500, in the words of a real server.
    pub object_bytes: usize,
    /// Length of path and query of a request. 414.
    pub url_bytes: usize,
    /// Length of a request's head, its path and query included. 431.
    pub head_bytes: usize,
    /// Objects read from the store at once; a longer list is read page by page, so nobody is told.
    pub list_page: usize,
    /// Objects of one version of a custom kind that are known to need no change; beyond it they are found out anew.
    pub settled_objects: usize,
    /// About how much of a long list is written at once; a client is sent it in pieces.
    pub body_chunk_bytes: usize,
    /// How often a generated name is tried before the last one is said to be taken. 409.
    pub name_attempts: usize,
    /// How often a write is tried again that others have overtaken. 409.
    pub write_attempts: usize,
    /// Requests at one time, watches aside, of users who are not trusted. 429 with Retry-After.
    pub requests: usize,
    /// Bodies that one user sends at one time. 429 with Retry-After.
    pub bodies_per_user: usize,
    /// Watches of one user at one time; the store bounds those of all. 429 with Retry-After.
    pub watches_per_user: usize,
    /// Requests for single objects and for short lists that are worked on. 429 with Retry-After when the queue is full.
    pub light: Pool,
    /// Requests that read whole collections. Without seats there is one less than the machine has processors, so that one
    /// is left for everything else. 429 with Retry-After when the queue is full.
    pub heavy: Pool,
    /// How long a request waits for a seat. 429 with Retry-After.
    pub waiting_time: Duration,
    /// From the head of a request to its answer, watches aside. 504.
    pub request_time: Duration,
    /// From the head of a request to the end of its body. 504.
    pub body_time: Duration,
    /// How long a watch lasts; then it ends, and the client comes again.
    pub watch_time: Duration,
    /// Kinds of request that are counted apart; further ones are counted together.
    pub metric_series: usize,
    /// Connections at one time; further ones wait in the queue of the operating system.
    pub connections: usize,
    /// Requests at one time on one HTTP/2 connection; the client waits with further ones.
    pub streams: u32,
    /// From a connection to the end of its TLS handshake; then it is closed.
    pub handshake_time: Duration,
    /// How long a connection may be without a request, or without the whole head of one; then it is closed.
    pub idle_time: Duration,
    /// How often an HTTP/2 client is asked whether it is still there.
    pub ping_every: Duration,
    /// How long it may take to answer; then the connection is closed.
    pub ping_time: Duration,
    /// How long requests may go on when the server ends; then their connections are closed.
    pub closing_time: Duration,
}

/// How many requests of a kind are worked on at one time, and how many wait, in all and of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    pub seats: usize,
    pub seats_per_user: usize,
    pub waiting: usize,
    pub waiting_per_user: usize,
}

impl Pool {
    /// With the seats that this machine has for requests of which one keeps a processor busy.
    pub(super) fn for_processors(self, processors: usize) -> Pool {
        let seats = processors.saturating_sub(1).max(1);
        Pool { seats, seats_per_user: seats.div_ceil(2), ..self }
    }
}

/// A limit that somebody has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    BodyBytes,
    BodyTime,
    BodiesPerUser,
    Connections,
    HandshakeTime,
    ObjectBytes,
    Requests,
    RequestTime,
    SeatsHeavy,
    SeatsLight,
    UrlBytes,
    WaitingTime,
    Watches,
    WatchesPerUser,
}

const NAMES: [&str; 14] = [
    "body_bytes",
    "body_time",
    "bodies_per_user",
    "connections",
    "handshake_time",
    "object_bytes",
    "requests",
    "request_time",
    "seats_heavy",
    "seats_light",
    "url_bytes",
    "waiting_time",
    "watches",
    "watches_per_user",
];

/// For the whole process, as metrics are.
static COUNTS: [AtomicU64; NAMES.len()] = [const { AtomicU64::new(0) }; NAMES.len()];

impl Reached {
    pub(crate) fn count(self) {
        COUNTS[self as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// How often each limit was reached since the process began.
pub(super) fn counts() -> impl Iterator<Item = (&'static str, u64)> {
    NAMES.iter().zip(&COUNTS).map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
}
