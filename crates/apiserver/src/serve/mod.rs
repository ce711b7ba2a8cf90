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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::server::{LIMITS, Reached};
pub use authority::{Authority, Pair, ServerNames};
use connection::Connection;
pub use files::FileError;
pub use kubeconfig::kubeconfig;
pub use tls::{Tls, TlsError};

/// Serves until told to stop. Then watches end, and the requests that are there come to their end.
pub async fn serve(listener: TcpListener, tls: &Tls, router: Router, stop: impl Future<Output = ()>) {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let places = Arc::new(Semaphore::new(LIMITS.connections));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let (acceptor, tls) = (acceptor.clone(), tls.clone());
        let (router, stopped) = (router.clone(), stopped.clone());
        tokio::spawn(Connection { acceptor, tls, router, stopped, place }.run(stream));
    }
    drop(listener);
    stopping.send_replace(true);
    let all = u32::try_from(LIMITS.connections).unwrap_or(u32::MAX);
    if timeout(LIMITS.closing_time, places.acquire_many(all)).await.is_err() {
        tracing::info!("some requests were still going on when the server ended");
    }
}

/// A client and a place for it; nothing if the client is gone already.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    if places.available_permits() == 0 {
        Reached::Connections.count();
    }
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!("a connection was not accepted: {error}");
            // Too many open files, for one, do not become fewer by trying at once.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
