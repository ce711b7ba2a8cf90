//! Calls to webhooks: JSON by POST over HTTPS, and what went wrong in the words of a kube-apiserver.
//!
//! Connections are kept for the next call to the same place that trusts the same certificates.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Everything that could grow with webhooks is bounded here.
pub const LIMITS: Limits =
    Limits { answer_bytes: 16 << 20, idle_connections: 4, places: 64, connect_time: Duration::from_secs(30) };

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Length of a webhook's answer; a longer one is an error.
    pub answer_bytes: usize,
    /// Connections kept to one place.
    pub idle_connections: usize,
    /// Places that connections are kept to; with one more, all are forgotten.
    pub places: usize,
    /// How long it may take to connect.
    pub connect_time: Duration,
}

/// Where a webhook is, and whom to believe that it is the one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// As messages name it, with a query if there is one.
    pub url: String,
    /// The name or address that is connected to.
    pub host: String,
    pub port: u16,
    /// The name that the certificate must be for.
    pub server_name: String,
    /// Path and query.
    pub path: String,
    /// Certificates in PEM.
    pub roots: Arc<[u8]>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing came back.
    #[error("Post {url:?}: {reason}")]
    Failed { url: String, reason: String },
    /// The answer is that of no webhook.
    #[error("{0}")]
    Refused(String),
}

/// A client for all webhooks.
#[derive(Default)]
pub struct Client {
    idle: Mutex<HashMap<Place, Vec<SendRequest<Body>>>>,
}

/// What a connection can be used again for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    host: String,
    port: u16,
    server_name: String,
    roots: Arc<[u8]>,
}

/// What came back.
struct Received {
    code: StatusCode,
    /// Whether the body is there to be read by people.
    is_text: bool,
    body: Bytes,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// The body of the answer, if it is one of success.
    pub async fn post(&self, endpoint: &Endpoint, body: Bytes, time: Duration) -> Result<Bytes, CallError> {
        let failed = |reason: String| CallError::Failed { url: endpoint.url.clone(), reason };
        let answer = timeout(time, self.exchange(endpoint, body)).await;
        let answer = answer.map_err(|_| failed("context deadline exceeded".to_owned()))?.map_err(failed)?;
        if answer.code.is_success() { Ok(answer.body) } else { Err(CallError::Refused(refusal(&answer))) }
    }

    async fn exchange(&self, endpoint: &Endpoint, body: Bytes) -> Result<Received, String> {
        let place = Place {
            host: endpoint.host.clone(),
            port: endpoint.port,
            server_name: endpoint.server_name.clone(),
            roots: Arc::clone(&endpoint.roots),
        };
        // A connection that was kept may have been closed at the other end, which is no reason to fail.
        while let Some(mut kept) = self.kept(&place) {
            if kept.ready().await.is_ok()
                && let Ok(answer) = self.send(&mut kept, endpoint, body.clone()).await
            {
                self.keep(place, kept);
                return Ok(answer);
            }
        }
        let mut fresh = connect(&place).await?;
        let answer = self.send(&mut fresh, endpoint, body).await?;
        self.keep(place, fresh);
        Ok(answer)
    }

    async fn send(
        &self,
        connection: &mut SendRequest<Body>,
        endpoint: &Endpoint,
        body: Bytes,
    ) -> Result<Received, String> {
        let host = match endpoint.port {
            443 => endpoint.server_name.clone(),
            port => format!("{}:{port}", bracketed(&endpoint.server_name)),
        };
        let request = Request::post(&endpoint.path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, concat!("kube-apiserver-admission/", env!("CARGO_PKG_VERSION")))
            .body(Body::from(body))
            .map_err(|error| error.to_string())?;
        let response = connection.send_request(request).await.map_err(|error| explain(&error))?;
        let code = response.status();
        let media = response.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
        let is_text = media.is_none_or(|media| media.starts_with("text/"));
        let body = axum::body::to_bytes(Body::new(response.into_body()), LIMITS.answer_bytes).await;
        Ok(Received { code, is_text, body: body.map_err(|_| "http: request body too large".to_owned())? })
    }

    fn kept(&self, place: &Place) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(place)?;
        let connection = connections.pop();
        if connections.is_empty() {
            idle.remove(place);
        }
        connection
    }

    fn keep(&self, place: Place, connection: SendRequest<Body>) {
        if connection.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= LIMITS.places && !idle.contains_key(&place) {
            idle.clear();
        }
        let connections = idle.entry(place).or_default();
        if connections.len() < LIMITS.idle_connections {
            connections.push(connection);
        }
    }
}

async fn connect(place: &Place) -> Result<SendRequest<Body>, String> {
    let tls = TlsConnector::from(Arc::new(trusting(&place.roots)?));
    let name = ServerName::try_from(place.server_name.clone())
        .map_err(|_| format!("tls: invalid server name {:?}", place.server_name))?;
    let socket = timeout(LIMITS.connect_time, TcpStream::connect((place.host.as_str(), place.port))).await;
    let socket = socket.map_err(|_| format!("dial tcp {}: i/o timeout", address(place)))?;
    let socket = socket.map_err(|error| unreachable(place, &error))?;
    let stream = tls.connect(name, socket).await.map_err(|error| mistrust(place, &error))?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error))?;
    // It ends with the last sender.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

fn trusting(roots: &[u8]) -> Result<ClientConfig, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(roots).flatten() {
        store.add(certificate).map_err(|error| format!("unable to load root certificates: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn address(place: &Place) -> String {
    format!("{}:{}", bracketed(&place.host), place.port)
}

fn unreachable(place: &Place, error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let is_address = place.host.parse::<IpAddr>().is_ok();
    let why = match error.kind() {
        ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        ErrorKind::TimedOut => "connect: connection timed out".to_owned(),
        _ if !is_address => return format!("dial tcp: lookup {}: no such host", place.host),
        _ => error.to_string(),
    };
    format!("dial tcp {}: {why}", address(place))
}

/// Why the other end is not believed to be the webhook.
fn mistrust(place: &Place, error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(problem)) = inner else {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
            _ => inner.map_or_else(|| error.to_string(), |inner| format!("tls: {inner}")),
        };
    };
    let why = match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate has expired or is not yet valid: certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate has expired or is not yet valid: certificate is not yet valid".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> =
                presented.iter().filter_map(|name| name.split_once("(\"")?.1.strip_suffix("\")")).collect();
            format!("certificate is valid for {}, not {}", names.join(", "), place.server_name)
        }
        other => format!("{other:?}"),
    };
    format!("tls: failed to verify certificate: x509: {why}")
}

fn explain(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return "EOF".to_owned();
    }
    error.to_string()
}

/// What an answer that is none of success says, in the words of a client of the API.
fn refusal(answer: &Received) -> String {
    let text = String::from_utf8_lossy(&answer.body).trim().to_owned();
    let text = if answer.is_text { text } else { "unknown".to_owned() };
    let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if status["kind"] == "Status"
        && let Some(message) = status["message"].as_str()
    {
        return message.to_owned();
    }
    let known = match answer.code.as_u16() {
        400 => "the server rejected our request for an unknown reason",
        401 => "the server has asked for the client to provide credentials",
        403 => return format!("forbidden: {text}"),
        404 => "the server could not find the requested resource",
        405 => "the server does not allow this method on the requested resource",
        409 => "the server reported a conflict",
        415 => "the server was unable to understand the content type of the request",
        422 => "the server rejected our request due to an error in our request",
        429 => "the server has received too many requests and has asked us to try again later",
        503 => "the server is currently unable to handle the request",
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
        }
        500.. => {
            return format!("an error on the server ({text:?}) has prevented the request from succeeding");
        }
        code => {
            return format!(
                "the server responded with the status code {code} but did not return more details"
            );
        }
    };
    known.to_owned()
}
