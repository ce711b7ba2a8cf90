//! The server on the network: TLS connections, HTTP/1.1 and HTTP/2 on them, and how they end.
//!
//! What a request is answered with is decided by the router. Nothing here looks into a request.

pub mod authority;
pub mod files;
mod kubeconfig;
mod tls;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

pub use authority::{Authority, Pair, ServerNames};
pub use files::FileError;
pub use kubeconfig::kubeconfig;
pub use tls::{Tls, TlsError};

/// Everything about connections that could grow or last is bounded here.
pub const LIMITS: Limits = Limits {
    connections: 4_096,
    handshake_time: Duration::from_secs(10),
    head_time: Duration::from_secs(90),
    head_bytes: 64 << 10,
    streams: 250,
    ping_every: Duration::from_secs(30),
    ping_time: Duration::from_secs(15),
    closing_time: Duration::from_secs(10),
};

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at one time; further ones wait in the queue of the operating system.
    pub connections: usize,
    /// From a connection to the end of its TLS handshake; then it is closed.
    pub handshake_time: Duration,
    /// How long a connection may be without a request, or without the whole head of one; then it is closed.
    pub head_time: Duration,
    /// Length of a request's head; a longer one is 431.
    pub head_bytes: usize,
    /// Requests at one time on one HTTP/2 connection; the client waits with further ones.
    pub streams: u32,
    /// How often an HTTP/2 client is asked whether it is still there.
    pub ping_every: Duration,
    /// How long it may take to answer; then the connection is closed.
    pub ping_time: Duration,
    /// How long requests may go on when the server ends; then their connections are closed.
    pub closing_time: Duration,
}

/// Serves until told to stop, then lets the requests that are there come to their end.
pub async fn serve(listener: TcpListener, tls: &Tls, router: Router, stop: impl Future<Output = ()>) {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(LIMITS.connections)));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let connection =
            Connection { acceptor: acceptor.clone(), tls: tls.clone(), router: router.clone(), place };
        tokio::spawn(connection.run(stream, graceful.watcher()));
    }
    drop(listener);
    if timeout(LIMITS.closing_time, graceful.shutdown()).await.is_err() {
        tracing::info!("some requests were still going on when the server ended");
    }
}

/// A client and a place for it; nothing if the client is gone already.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
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

struct Connection {
    acceptor: TlsAcceptor,
    tls: Tls,
    router: Router,
    place: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream, watcher: hyper_util::server::graceful::Watcher) {
        // A request is small, and an answer should not wait for more of it.
        let _ = stream.set_nodelay(true);
        let stream = match timeout(LIMITS.handshake_time, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!("TLS handshake: {error}"),
            Err(_) => return tracing::debug!("TLS handshake: it took too long"),
        };
        let certificate = self.tls.judge(stream.get_ref().1.peer_certificates());
        let service =
            self.router.map_request(move |mut request: axum::http::Request<hyper::body::Incoming>| {
                if let Some(certificate) = &certificate {
                    request.extensions_mut().insert(certificate.clone());
                }
                request
            });
        let builder = builder();
        let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        if let Err(error) = watcher.watch(serving).await {
            tracing::debug!("a connection ended: {error}");
        }
        drop(self.place);
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(LIMITS.head_time)
        .max_buf_size(LIMITS.head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(LIMITS.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(LIMITS.streams)
        .keep_alive_interval(LIMITS.ping_every)
        .keep_alive_timeout(LIMITS.ping_time);
    builder
}
