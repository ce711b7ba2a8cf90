//! What this process serves on the network: probes, metrics and webhooks, and the certificates and TLS options of them.
//!
//! Connections are those of `apiserver::serve`; nothing here accepts one by itself.

pub mod admin;
pub mod identity;
pub mod metrics;
pub mod probes;
mod reviews;
pub mod tls;

#[cfg(test)]
pub(crate) mod test_client;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use apiserver::serve::{Bounds, Transport, serve_on};
use axum::Router;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use tokio::net::{TcpListener, UnixListener};

pub use identity::{Identity, IdentityError};
pub use tls::{TlsError, TlsOptions};

/// Whoever calls, calls seldom: an API server, a scraper, a kubelet.
const BOUNDS: Bounds = Bounds {
    connections: 256,
    handshake_time: Duration::from_secs(10),
    // Longer than clients keep a connection that they do not use, so that they are the ones to close it.
    idle_time: Duration::from_secs(120),
    head_bytes: 64 << 10,
    closing_time: Duration::from_secs(5),
    has_http2: false,
};

/// All addresses of this machine: those of both families, where it has both.
pub fn everywhere() -> IpAddr {
    let both = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let has_both = std::net::TcpListener::bind((both, 0)).is_ok();
    if has_both { both } else { Ipv4Addr::UNSPECIFIED.into() }
}

/// Serves without encryption until told to stop.
pub async fn serve_plain(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    serve_on(listener, Transport::Plain, BOUNDS, router, stop).await;
}

/// Serves whoever may open the socket, until told to stop.
pub async fn serve_local(listener: UnixListener, router: Router, stop: impl Future<Output = ()>) {
    serve_on(listener, Transport::Plain, BOUNDS, router, stop).await;
}

/// Serves over TLS until told to stop.
pub async fn serve_tls(
    listener: TcpListener,
    options: &TlsOptions,
    identity: &Arc<Identity>,
    has_http2: bool,
    router: Router,
    stop: impl Future<Output = ()>,
) -> Result<(), TlsError> {
    let transport = Transport::Tls(options.server_config(identity.clone(), has_http2)?);
    serve_on(listener, transport, Bounds { has_http2, ..BOUNDS }, router, stop).await;
    Ok(())
}

/// A text that says what is wrong, as clients know it.
pub(crate) fn refusal(code: StatusCode, text: &str) -> Response {
    let mut response = (code, format!("{text}\n")).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
