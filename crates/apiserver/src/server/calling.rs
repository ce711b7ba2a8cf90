//! Where webhooks are: an address from a configuration, or a Service to be looked up.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::catalog::key_of;
use crate::client::{CallError, Client, Endpoint};
use crate::store::Store;

/// Where Services are that webhooks run behind. A program that embeds a server and runs the webhooks itself hands
/// one over; what it does not know is looked up in the store.
pub trait ResolveService: fmt::Debug + Send + Sync {
    fn resolve(&self, namespace: &str, name: &str, port: u16) -> Option<SocketAddr>;
}

/// What it takes to call a webhook.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) client: Arc<Client>,
    pub(super) store: Arc<dyn Store>,
    pub(super) services: Option<Arc<dyn ResolveService>>,
}

impl Caller {
    /// Asks a webhook of which a `clientConfig` says where it is.
    pub(super) async fn call(
        &self,
        client: &Value,
        roots: &Arc<[u8]>,
        question: &Value,
        time: Duration,
    ) -> Result<Bytes, CallError> {
        let endpoint = match client["url"].as_str() {
            Some(url) => by_url(url, roots, time)?,
            None => self.by_service(&client["service"], roots, time).await?,
        };
        self.client.post(&endpoint, question.to_string().into(), time).await
    }

    async fn by_service(
        &self,
        service: &Value,
        roots: &Arc<[u8]>,
        time: Duration,
    ) -> Result<Endpoint, CallError> {
        let text = |field: &str| service[field].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        let server_name = format!("{name}.{namespace}.svc");
        let path = with_timeout(text("path"), time);
        let url = format!("https://{server_name}:{port}{path}");
        let failed = |reason: String| CallError::Failed { url: url.clone(), reason };
        let resolved = self.services.as_ref().and_then(|it| it.resolve(namespace, name, port));
        let (host, port) = match resolved {
            Some(address) => (address.ip().to_string(), address.port()),
            None => {
                let stored = self.store.get(&key_of("", "services", namespace, name)).await;
                let stored = stored.map_err(|error| failed(error.to_string()))?;
                let stored = stored.ok_or_else(|| failed(format!("service {name:?} not found")))?;
                let stored: Value = serde_json::from_slice(&stored.value).unwrap_or_default();
                (address_of(&stored, name, port).map_err(failed)?, port)
            }
        };
        Ok(Endpoint { url, host, port, server_name, path, roots: Arc::clone(roots) })
    }
}

fn address_of(service: &Value, name: &str, port: u16) -> Result<String, String> {
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !ports.iter().any(|it| it["port"].as_u64() == Some(port.into())) {
        return Err(format!("no service port {port} found for service {name:?}"));
    }
    match service["spec"]["clusterIP"].as_str() {
        Some(address) if !matches!(address, "" | "None") => Ok(address.to_owned()),
        _ => {
            let kind = service["spec"]["type"].as_str().unwrap_or("ClusterIP");
            Err(format!("unsupported service type {kind:?}"))
        }
    }
}

fn by_url(url: &str, roots: &Arc<[u8]>, time: Duration) -> Result<Endpoint, CallError> {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let path = with_timeout(path, time);
    let full = format!("https://{authority}{path}");
    let (host, port) = match authority.rsplit_once(':') {
        // A colon inside brackets is one of an IPv6 address.
        Some((host, port)) if !port.contains(']') => {
            let invalid =
                |_| CallError::Failed { url: full.clone(), reason: format!("invalid port {port:?}") };
            (host, port.parse().map_err(invalid)?)
        }
        _ => (authority, 443),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let server_name = host.clone();
    Ok(Endpoint { url: full, host, port, server_name, path, roots: Arc::clone(roots) })
}

/// The path as it is called: the webhook is told how long anybody will wait.
fn with_timeout(path: &str, time: Duration) -> String {
    let path = if path.is_empty() { "/" } else { path };
    format!("{path}?timeout={}s", time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_called() {
        for (url, expected) in [
            ("https://h", ("h", 443, "/?timeout=5s", "https://h/?timeout=5s")),
            ("https://h:8443/a/b", ("h", 8443, "/a/b?timeout=5s", "https://h:8443/a/b?timeout=5s")),
            ("https://[::1]:1/", ("::1", 1, "/?timeout=5s", "https://[::1]:1/?timeout=5s")),
            ("https://[::1]/x", ("::1", 443, "/x?timeout=5s", "https://[::1]/x?timeout=5s")),
        ] {
            let found = by_url(url, &Vec::new().into(), Duration::from_secs(5)).expect("it is an address");
            assert_eq!((&*found.host, found.port, &*found.path, &*found.url), expected, "{url}");
        }
    }
}
