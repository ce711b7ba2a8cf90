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

use crate::server::{LIMITS, Reached};
pub use authority::{Authority, Pair, ServerNames};
pub use files::FileError;
pub use kubeconfig::kubeconfig;
pub use tls::{Tls, TlsError};

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
            Err(_) => {
                Reached::HandshakeTime.count();
                return tracing::debug!("TLS handshake: it took too long");
            }
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
        .header_read_timeout(LIMITS.idle_time)
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
