//! The task of one frontend of UDP, and its sessions: one for each client that sends, with a socket of its own, so that
//! answers find back.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::coop::consume_budget;
use tokio::task::{AbortHandle, JoinSet};

use super::choice::choose;
use super::counters::{DropReason, OfFrontend, Open};
use super::idle::Activity;
use super::{Place, sockets};

/// No datagram is longer.
const LONGEST: usize = 1 << 16;
/// So many, and others have their turn.
const DATAGRAMS: usize = 64;

/// Until the frontend is withdrawn. Its sessions end with it.
pub(super) async fn serve(mut place: Place, first: io::Result<UdpSocket>) {
    let Some(socket) = place.socket(first, sockets::receive).await else { return };
    let mut table =
        Table { socket: Arc::new(socket), sessions: HashMap::new(), replies: JoinSet::new(), turn: 0 };
    loop {
        tokio::select! {
            changed = place.backends.changed() => match changed {
                Ok(()) => table.leave(&place.backends().endpoints),
                Err(_) => break,
            },
            _ = table.socket.readable() => table.receive(&place),
            Some(ended) = table.replies.join_next() => {
                // Nothing of one that was ended from here.
                if let Ok((client, number)) = ended {
                    table.forget(client, number);
                }
            }
        }
        consume_budget().await;
    }
    for _ in 0..table.sessions.len() {
        place.dropped(DropReason::Withdrawn);
    }
    table.replies.shutdown().await;
}

struct Table {
    socket: Arc<UdpSocket>,
    sessions: HashMap<SocketAddr, Session>,
    /// Each session's task, with its client and its number at the end.
    replies: JoinSet<(SocketAddr, usize)>,
    turn: usize,
}

struct Session {
    number: usize,
    endpoint: SocketAddr,
    socket: Arc<UdpSocket>,
    activity: Arc<Activity>,
    task: AbortHandle,
    _open: Open,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Table {
    /// What is there of clients, up to a bound.
    fn receive(&mut self, place: &Place) {
        let mut datagram = [0; LONGEST];
        for _ in 0..DATAGRAMS {
            match self.socket.try_recv_from(&mut datagram) {
                Ok((length, client)) => self.pass_on(place, client, &datagram[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // That an answer did not reach its client is no news.
                Err(_) => {}
            }
        }
    }

    fn pass_on(&mut self, place: &Place, client: SocketAddr, datagram: &[u8]) {
        if !self.sessions.contains_key(&client) {
            match self.begin(place, client) {
                Ok(session) => drop(self.sessions.insert(client, session)),
                Err(None) => return,
                Err(Some(reason)) => return place.dropped(reason),
            }
        }
        let Some(session) = self.sessions.get(&client) else { return };
        place.counters.received.fetch_add(datagram.len() as u64, Relaxed);
        session.activity.note();
        match sockets::send(&session.socket, datagram) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => place.dropped(DropReason::System),
            Err(_) => {
                // Also for one that was sent before. The client's next one goes to another endpoint.
                place.dropped(DropReason::Unreachable);
                self.end(client);
            }
        }
    }

    /// An error without a reason is counted already.
    fn begin(&mut self, place: &Place, client: SocketAddr) -> Result<Session, Option<DropReason>> {
        self.turn = self.turn.wrapping_add(1);
        let endpoints = choose(&place.backends.borrow(), client.ip(), self.turn);
        let endpoint = *endpoints.first().ok_or(Some(DropReason::NoEndpoint))?;
        let permits = place.permits().ok_or(None)?;
        let socket = sockets::towards(endpoint).map_err(|_| Some(DropReason::Unreachable))?;
        let socket = Arc::new(socket);
        let activity = Arc::new(Activity::new());
        let replies = Replies {
            client,
            to: Arc::clone(&self.socket),
            from: Arc::clone(&socket),
            activity: Arc::clone(&activity),
            counters: Arc::clone(&place.counters),
        };
        let (number, idle) = (self.turn, place.shared.options.idle_session);
        let task = self.replies.spawn(async move {
            replies.pass_on(idle).await;
            (client, number)
        });
        let open = place.counters.begins();
        Ok(Session { number, endpoint, socket, activity, task, _open: open, _permits: permits })
    }

    fn forget(&mut self, client: SocketAddr, number: usize) {
        if self.sessions.get(&client).is_some_and(|session| session.number == number) {
            self.sessions.remove(&client);
        }
    }

    fn end(&mut self, client: SocketAddr) {
        if let Some(session) = self.sessions.remove(&client) {
            session.task.abort();
        }
    }

    /// There is no end of a session that could be waited for, so one to an endpoint that is gone is over.
    fn leave(&mut self, endpoints: &[SocketAddr]) {
        self.sessions.retain(|_, session| {
            let stays = endpoints.contains(&session.endpoint);
            if !stays {
                session.task.abort();
            }
            stays
        });
    }
}

/// What comes back for one client.
struct Replies {
    client: SocketAddr,
    to: Arc<UdpSocket>,
    from: Arc<UdpSocket>,
    activity: Arc<Activity>,
    counters: Arc<OfFrontend>,
}

impl Replies {
    /// Until nothing was heard of either side for a while, or the endpoint is not there.
    async fn pass_on(&self, idle: Duration) {
        loop {
            tokio::select! {
                _ = self.from.readable() => if self.receive().is_err() { return },
                () = self.activity.idle(idle) => return,
            }
            consume_budget().await;
        }
    }

    fn receive(&self) -> io::Result<()> {
        let mut datagram = [0; LONGEST];
        for _ in 0..DATAGRAMS {
            let length = match self.from.try_recv(&mut datagram) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                received => received?,
            };
            self.activity.note();
            // As on any way: what there is no room for is lost.
            if sockets::send_to(&self.to, &datagram[..length], self.client).is_ok() {
                self.counters.sent.fetch_add(length as u64, Relaxed);
            }
        }
        Ok(())
    }
}
