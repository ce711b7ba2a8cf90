//! The webhooks of admission and conversion, and the certificates that they are trusted by.
//!
//! What is allowed is decided by `api::admit`, what a peer becomes by `api::convert`. Here is what they have to know,
//! how they are asked, and who may believe the answer.

mod admission;
mod body;
mod certificates;
mod conversion;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::routing::{get, post};
use http::header;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::serving::{Identity, TlsOptions, serve_tls};
use certificates::Keeper;

/// How the webhooks are served.
#[derive(Debug, Clone)]
pub struct Options {
    /// The namespace that FerroLB runs in and reads its resources from.
    pub namespace: String,
    pub bind: SocketAddr,
    pub has_http2: bool,
    pub tls: TlsOptions,
    /// Whether certificates are made and renewed here. Otherwise they are read from a directory.
    pub rotates_certificates: bool,
    /// Where `tls.crt` and `tls.key` are, if not in the Secret.
    pub certificate_directory: PathBuf,
    /// The Service that API servers reach the webhooks by.
    pub service_name: String,
    /// The Secret that holds the certificates. It must be there; it may be empty.
    pub secret_name: String,
}

impl Options {
    /// As the manifests of MetalLB have it.
    pub fn new(namespace: &str) -> Options {
        Options {
            namespace: namespace.to_owned(),
            bind: SocketAddr::from(([0, 0, 0, 0], 9443)),
            has_http2: false,
            tls: TlsOptions::default(),
            rotates_certificates: true,
            certificate_directory: "/tmp/k8s-webhook-server/serving-certs".into(),
            service_name: "metallb-webhook-service".to_owned(),
            secret_name: "metallb-webhook-cert".to_owned(),
        }
    }
}

/// Webhooks that have a port and do not answer yet.
pub struct Webhook {
    client: Client,
    options: Options,
    listener: TcpListener,
    identity: Arc<Identity>,
    is_ready: watch::Sender<bool>,
}

impl Webhook {
    pub async fn bind(client: Client, options: Options) -> anyhow::Result<Webhook> {
        let listener = TcpListener::bind(options.bind).await;
        let listener = listener.with_context(|| format!("the webhook cannot listen on {}", options.bind))?;
        let (is_ready, _) = watch::channel(false);
        Ok(Webhook { client, options, listener, identity: Identity::empty(), is_ready })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Whether there is a certificate, without which nobody is answered.
    pub fn is_ready(&self) -> watch::Receiver<bool> {
        self.is_ready.subscribe()
    }

    /// Answers until told to stop. An error means that it could not begin.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Webhook { client, options, listener, identity, is_ready } = self;
        let router = router(client.clone(), &options.namespace);
        let tends = async {
            if options.rotates_certificates {
                Keeper::new(client, &options, Arc::clone(&identity)).keep().await;
            } else {
                identity.follow_directory(&options.certificate_directory).await;
            }
        };
        let serves = serve_tls(listener, &options.tls, &identity, options.has_http2, router, stop);
        tokio::select! {
            served = serves => Ok(served?),
            () = tends => anyhow::bail!("the certificates of the webhook are not looked after any more"),
            () = announces(&identity, &is_ready) => anyhow::bail!("nobody looks whether the webhook is ready"),
        }
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Says when there is a certificate.
async fn announces(identity: &Identity, is_ready: &watch::Sender<bool>) {
    identity.known().await;
    is_ready.send_replace(true);
    std::future::pending::<()>().await;
}

/// How long an API server waits for an answer, if it does not say otherwise.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// All paths that webhook configurations and definitions call.
pub fn router(client: Client, namespace: &str) -> Router {
    let judge = Arc::new(admission::Judge::new(client, namespace));
    let mut router = Router::new().route("/convert", post(conversion::answer)).route(
        "/healthz",
        get(|| async { ([(header::CONTENT_TYPE, "application/json")], r#"{"status": "ok"}"#) }),
    );
    for kind in api::admit::Kind::ALL {
        let answer = move |state, request| admission::answer(kind, state, request);
        router = router.route(kind.path(), post(answer));
    }
    router.with_state(judge)
}
