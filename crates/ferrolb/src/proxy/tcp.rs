//! The task of one frontend of TCP, and its connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::choice::choose;
use super::counters::{DropReason, OfFrontend, Open};
use super::header::header;
use super::{Place, Shared, sockets, stream};

/// Before it is tried again whether there is a file for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Until the frontend is withdrawn. Then its connections are reset.
pub(super) async fn serve(mut place: Place, first: io::Result<TcpListener>) {
    let Some(listener) = place.socket(first, sockets::listen).await else { return };
    let mut connections = JoinSet::new();
    let mut turn = 0_usize;
    loop {
        tokio::select! {
            changed = place.backends.changed() => if changed.is_err() { break },
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    turn = turn.wrapping_add(1);
                    if let Some(connection) = place.admit(stream, client, turn) {
                        connections.spawn(connection.forward());
                    }
                }
                Err(error) => {
                    tracing::debug!("{}: a connection cannot be taken in: {error}", place.frontend);
                    place.dropped(DropReason::System);
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    // Whoever comes now is refused by the system.
    drop(listener);
    while connections.try_join_next().is_some() {}
    for _ in 0..connections.len() {
        place.dropped(DropReason::Withdrawn);
    }
    connections.shutdown().await;
}

struct Connection {
    stream: TcpStream,
    client: SocketAddr,
    frontend: SocketAddr,
    endpoints: Vec<SocketAddr>,
    shared: Arc<Shared>,
    counters: Arc<OfFrontend>,
    _open: Open,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Place {
    /// Nothing if there are too many. Then it is reset.
    fn admit(&self, stream: TcpStream, client: SocketAddr, turn: usize) -> Option<Connection> {
        if sockets::prepare(&stream).is_err() {
            self.dropped(DropReason::Reset);
            return None;
        }
        let permits = self.permits()?;
        Some(Connection {
            endpoints: choose(&self.backends.borrow(), client.ip(), turn),
            stream,
            client,
            frontend: self.frontend.socket(),
            shared: Arc::clone(&self.shared),
            counters: Arc::clone(&self.counters),
            _open: self.counters.begins(),
            _permits: permits,
        })
    }

    /// For one more connection or session.
    pub(super) fn permits(&self) -> Option<[OwnedSemaphorePermit; 2]> {
        let of = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let permits = of(&self.places).zip(of(&self.shared.places));
        if permits.is_none() {
            self.dropped(DropReason::Limit);
        }
        permits.map(Into::into)
    }
}

impl Connection {
    async fn forward(self) {
        if let Err(reason) = self.join().await {
            self.shared.counters.dropped(reason);
        }
    }

    async fn join(&self) -> Result<(), DropReason> {
        let options = &self.shared.options;
        let mut endpoint = self.connect().await?;
        if options.tells_client {
            let header = header(self.client, self.frontend);
            endpoint.write_all(&header).await.map_err(|_| DropReason::Reset)?;
        }
        stream::join(&self.stream, &endpoint, &self.counters, options.idle_connection).await?;
        sockets::ends_well(&self.stream);
        sockets::ends_well(&endpoint);
        Ok(())
    }

    /// To the first that can be connected to.
    async fn connect(&self) -> Result<TcpStream, DropReason> {
        for endpoint in &self.endpoints {
            match timeout(self.shared.options.connect, TcpStream::connect(endpoint)).await {
                Ok(Ok(stream)) => {
                    sockets::prepare(&stream).map_err(|_| DropReason::Reset)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => tracing::debug!("{endpoint} cannot be connected to: {error}"),
                Err(_) => tracing::debug!("{endpoint} does not answer"),
            }
        }
        Err(if self.endpoints.is_empty() { DropReason::NoEndpoint } else { DropReason::Unreachable })
    }
}
