//! One TCP connection: how far it has come, what of a message has arrived, and its timers.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::agree::{Agreed, longest_received};
use super::received::Received;
use super::refresh::Refreshes;
use super::state::Phase;
use super::{ConnectionId, Ends};
use crate::bgp::RibOut;
use crate::bgp::open::Open;
use crate::bgp::update::Form;

/// RFC 4271, 8.2.2: while nothing is agreed on.
const LARGE_HOLD: Duration = Duration::from_secs(240);
/// RFC 9687, 4.4: at least this long, and twice the hold time.
const SEND_HOLD: Duration = Duration::from_secs(480);

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) stage: Stage,
    /// The beginning of a message.
    unread: Vec<u8>,
    /// Bytes that were sent and have not left yet.
    pub(super) pending: usize,
    pub(super) hold_at: Option<Instant>,
    pub(super) keepalive_at: Option<Instant>,
    /// Nothing leaves any more, if nothing has by then.
    pub(super) stuck_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum Stage {
    Connecting { since: Instant, until: Instant },
    OpenSent(Box<Talk>),
    OpenConfirm(Box<Talk>, Box<Agreement>),
    Established(Box<Talk>, Box<Agreement>, Box<Up>),
}

#[derive(Debug)]
pub(super) struct Talk {
    pub(super) ends: Ends,
    pub(super) ours: Open,
}

#[derive(Debug)]
pub(super) struct Agreement {
    pub(super) theirs: Open,
    pub(super) agreed: Agreed,
}

#[derive(Debug)]
pub(super) struct Up {
    pub(super) since: Instant,
    pub(super) rib: RibOut,
    pub(super) received: Received,
    pub(super) refreshes: Refreshes,
}

impl Connection {
    pub(super) fn connecting(id: ConnectionId, now: Instant, bound: Duration) -> Connection {
        Connection::new(id, Stage::Connecting { since: now, until: now + bound })
    }

    /// Which has been answered with an OPEN.
    pub(super) fn open_sent(id: ConnectionId, ends: Ends, ours: Open, now: Instant) -> Connection {
        let mut connection = Connection::new(id, Stage::OpenSent(Box::new(Talk { ends, ours })));
        connection.hold_at = Some(now + LARGE_HOLD);
        connection
    }

    fn new(id: ConnectionId, stage: Stage) -> Connection {
        Connection {
            id,
            stage,
            unread: Vec::new(),
            pending: 0,
            hold_at: None,
            keepalive_at: None,
            stuck_at: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Connecting { .. } => Phase::Connect,
            Stage::OpenSent(_) => Phase::OpenSent,
            Stage::OpenConfirm(..) => Phase::OpenConfirm,
            Stage::Established(..) => Phase::Established,
        }
    }

    pub(super) fn talk(&self) -> Option<&Talk> {
        match &self.stage {
            Stage::Connecting { .. } => None,
            Stage::OpenSent(talk) | Stage::OpenConfirm(talk, _) | Stage::Established(talk, ..) => Some(talk),
        }
    }

    pub(super) fn talk_mut(&mut self) -> Option<&mut Talk> {
        match &mut self.stage {
            Stage::Connecting { .. } => None,
            Stage::OpenSent(talk) | Stage::OpenConfirm(talk, _) | Stage::Established(talk, ..) => Some(talk),
        }
    }

    pub(super) fn agreement(&self) -> Option<&Agreement> {
        match &self.stage {
            Stage::OpenConfirm(_, agreement) | Stage::Established(_, agreement, _) => Some(agreement),
            _ => None,
        }
    }

    pub(super) fn up(&self) -> Option<&Up> {
        match &self.stage {
            Stage::Established(.., up) => Some(up),
            _ => None,
        }
    }

    pub(super) fn up_mut(&mut self) -> Option<&mut Up> {
        match &mut self.stage {
            Stage::Established(.., up) => Some(up),
            _ => None,
        }
    }

    pub(super) fn form(&self) -> Option<&Form> {
        self.agreement().map(|agreement| &agreement.agreed.form)
    }

    /// What has arrived so far.
    pub(super) fn take_stream<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.unread.is_empty() {
            return bytes.into();
        }
        let mut stream = std::mem::take(&mut self.unread);
        stream.extend_from_slice(bytes);
        stream.into()
    }

    /// What of it is no whole message yet.
    pub(super) fn keep(&mut self, stream: Cow<'_, [u8]>, done: usize) {
        self.unread = match stream {
            Cow::Borrowed(bytes) => bytes[done..].to_vec(),
            Cow::Owned(mut bytes) => {
                bytes.drain(..done);
                bytes
            }
        };
    }

    pub(super) fn longest(&self) -> usize {
        self.talk().map_or(crate::bgp::MESSAGE_BYTES, |talk| longest_received(&talk.ours))
    }

    /// The other side is there.
    pub(super) fn heard(&mut self, now: Instant) {
        let secs = self.agreement().map_or(0, |agreement| agreement.agreed.hold_secs);
        let hold = match (secs, self.phase()) {
            (0, Phase::Established) => None,
            // Not even then is a KEEPALIVE that begins the session waited for without end.
            (0, _) => Some(LARGE_HOLD),
            (secs, _) => Some(Duration::from_secs(secs.into())),
        };
        self.hold_at = hold.map(|hold| now + hold);
    }

    pub(super) fn sent(&mut self, bytes: usize, now: Instant) {
        if self.pending == 0 {
            self.stuck_at = Some(now + self.send_hold());
        }
        self.pending += bytes;
    }

    pub(super) fn written(&mut self, bytes: usize, now: Instant) {
        self.pending = self.pending.saturating_sub(bytes);
        self.stuck_at = (self.pending > 0).then(|| now + self.send_hold());
    }

    fn send_hold(&self) -> Duration {
        let hold_secs = self.agreement().map_or(0, |agreement| agreement.agreed.hold_secs);
        SEND_HOLD.max(Duration::from_secs(hold_secs.into()) * 2)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let until = match self.stage {
            Stage::Connecting { until, .. } => Some(until),
            _ => None,
        };
        let refresh = self.up().and_then(|up| up.refreshes.deadline());
        [until, self.hold_at, self.keepalive_at, self.stuck_at, refresh].into_iter().flatten().min()
    }
}
