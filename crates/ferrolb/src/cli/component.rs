//! What the programs of a cluster have in common: how they reach it, and what they serve beside their work.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use axum::Router;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::level_filters::LevelFilter;

use super::kubeconfig;
use crate::logging;
use crate::serving::{self, Identity, TlsOptions, admin};

const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Nothing if there is no such level, and that is said.
pub(super) fn level(name: &str) -> Option<LevelFilter> {
    let level = logging::level(name);
    if level.is_none() {
        eprintln!("error: --log-level {name:?} is none of all, debug, info, warn, error, none");
    }
    level
}

/// Nothing if the options contradict each other, and that is said.
pub(super) fn tls(suites: &str, curves: &str, minimum: &str) -> Option<TlsOptions> {
    TlsOptions::parse(suites, curves, minimum).inspect_err(|error| eprintln!("error: {error}")).ok()
}

/// What is given, or that of the service account.
pub(super) fn namespace(given: &str) -> anyhow::Result<String> {
    if !given.is_empty() {
        return Ok(given.to_owned());
    }
    std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE)
        .map(|text| text.trim().to_owned())
        .context("no --namespace, no METALLB_NAMESPACE, and no service account to tell it")
}

/// For the cluster of this file, or the usual one.
pub(super) async fn client(file: Option<&Path>, component: &str) -> anyhow::Result<Client> {
    let mut config = kubeconfig::config(file).await?;
    // Whoever writes decides when to try again.
    config.default_retry = false;
    // Fields are owned by what it begins with, which is what the component of MetalLB begins with.
    let agent = format!("{component}/{} (ferrolb)", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::try_from(agent)?));
    Ok(Client::try_from(config)?)
}

/// What is served beside the work of a component, and ends with it.
#[derive(Debug)]
pub(super) struct Servers {
    tasks: JoinSet<anyhow::Result<()>>,
    stopping: watch::Sender<()>,
}

impl Servers {
    pub(super) fn new() -> Servers {
        Servers { tasks: JoinSet::new(), stopping: watch::Sender::new(()) }
    }

    /// Comes to its end when the servers are to stop.
    pub(super) fn stop(&self) -> impl Future<Output = ()> + use<> {
        let mut stopped = self.stopping.subscribe();
        async move { while stopped.changed().await.is_ok() {} }
    }

    pub(super) fn spawn(&mut self, server: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.tasks.spawn(server);
    }

    pub(super) async fn serve_probes(
        &mut self,
        address: SocketAddr,
        flag: &str,
        router: Router,
    ) -> anyhow::Result<()> {
        let listener = listen(address, flag).await?;
        let stop = self.stop();
        self.spawn(async move {
            serving::serve_plain(listener, router, stop).await;
            Ok(())
        });
        Ok(())
    }

    /// For whoever runs this. Without it everything else works, so it is no failure if it cannot be.
    pub(super) fn serve_admin(&mut self, path: Option<&Path>, router: Router) {
        match admin::open_somewhere(path) {
            Ok((listener, place)) => {
                let stop = self.stop();
                self.spawn(async move {
                    serving::serve_local(listener, router, stop).await;
                    drop(place);
                    Ok(())
                });
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can ask for BGP sessions: there is no socket for it");
            }
        }
    }

    /// On all addresses. An empty directory: with a certificate that is made now.
    pub(super) async fn serve_metrics(
        &mut self,
        port: u16,
        directory: &str,
        router: Router,
        tls: TlsOptions,
    ) -> anyhow::Result<()> {
        let listener = listen((serving::everywhere(), port).into(), "--port").await?;
        let stop = self.stop();
        self.spawn(serve_metrics(directory.into(), listener, router, tls, stop));
        Ok(())
    }

    /// Works until the end of the work, or of a server, which is an error.
    pub(super) async fn beside(
        mut self,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        tokio::select! {
            ended = work => ended?,
            Some(ended) = self.tasks.join_next() => {
                ended??;
                anyhow::bail!("a server has ended by itself");
            }
        }
        let Servers { mut tasks, stopping } = self;
        drop(stopping);
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{flag}: {address}"))
}

async fn serve_metrics(
    directory: PathBuf,
    listener: TcpListener,
    router: Router,
    tls: TlsOptions,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    if directory.as_os_str().is_empty() {
        let identity = Identity::self_signed()?;
        return Ok(serving::serve_tls(listener, &tls, &identity, false, router, stop).await?);
    }
    let identity = Identity::from_directory(&directory)
        .with_context(|| format!("--metrics-cert-dir: {}", directory.display()))?;
    tokio::select! {
        served = serving::serve_tls(listener, &tls, &identity, false, router, stop) => Ok(served?),
        () = identity.follow_directory(&directory) => anyhow::bail!("nobody reads the certificates of metrics"),
    }
}
