//! The server on the network: TLS connections, HTTP/1.1 and HTTP/2 on them, and how they end.
//!
//! What a request is answered with is decided by the router. Nothing here looks into a request.

pub mod authority;
mod connection;
pub mod files;
mod kubeconfig;
mod tls;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::server::{LIMITS, Reached};
pub use authority::{Authority, Pair, ServerNames};
use connection::Connection;
pub use files::FileError;
pub use kubeconfig::kubeconfig;
pub use tls::{Tls, TlsError};

/// What is between a client and the router.
#[derive(Debug, Clone)]
pub enum Transport {
    Plain,
    Tls(Arc<ServerConfig>),
    /// Clients may identify themselves by certificates.
    Identified(Tls),
}

/// Where clients connect to.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    /// Never encrypted.
    Unix(UnixListener),
}

/// What connections may cost.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// At one time; further ones wait in the queue of the operating system.
    pub connections: usize,
    /// From a connection to the end of its TLS handshake; then it is closed.
    pub handshake_time: Duration,
    /// How long a connection may be without a request, or without the whole head of one; then it is closed.
    pub idle_time: Duration,
    /// Length of a request's head. 431.
    pub head_bytes: usize,
    /// How long requests may go on when the server ends; then their connections are closed.
    pub closing_time: Duration,
    /// Whether HTTP/2 is spoken besides HTTP/1.1.
    pub has_http2: bool,
}

impl Default for Bounds {
    /// Those of an API server.
    fn default() -> Bounds {
        Bounds {
            connections: LIMITS.connections,
            handshake_time: LIMITS.handshake_time,
            idle_time: LIMITS.idle_time,
            head_bytes: LIMITS.head_bytes,
            closing_time: LIMITS.closing_time,
            has_http2: true,
        }
    }
}

/// Serves an API until told to stop.
pub async fn serve(listener: TcpListener, tls: &Tls, router: Router, stop: impl Future<Output = ()>) {
    serve_on(listener, Transport::Identified(tls.clone()), Bounds::default(), router, stop).await;
}

/// Serves until told to stop. Then watches end, and the requests that are there come to their end.
pub async fn serve_on(
    listener: impl Into<Listener>,
    transport: Transport,
    bounds: Bounds,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let listener = listener.into();
    let places = Arc::new(Semaphore::new(bounds.connections));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let (transport, router, stopped) = (transport.clone(), router.clone(), stopped.clone());
        tokio::spawn(Connection { transport, bounds, router, stopped, place }.run(stream));
    }
    drop(listener);
    stopping.send_replace(true);
    let all = u32::try_from(bounds.connections).unwrap_or(u32::MAX);
    if timeout(bounds.closing_time, places.acquire_many(all)).await.is_err() {
        tracing::info!("some requests were still going on when the server ended");
    }
}

/// A client and a place for it; nothing if the client is gone already.
async fn accept(listener: &Listener, places: &Arc<Semaphore>) -> Option<(Stream, OwnedSemaphorePermit)> {
    if places.available_permits() == 0 {
        Reached::Connections.count();
    }
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(stream) => Some((stream, place)),
        Err(error) => {
            tracing::warn!("a connection was not accepted: {error}");
            // Too many open files, for one, do not become fewer by trying at once.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Stream> {
        Ok(match self {
            Listener::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
            Listener::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        })
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Listener {
        Listener::Unix(listener)
    }
}
