//! `ferrolb controller`: the flags and variables that manifests pass, and what becomes of each.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use axum::Router;
use clap::{ArgAction, Args};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{ending, exit, go_flags};
use crate::controller::{Controller, Options};
use crate::logging;
use crate::serving::probes::{self, Check};
use crate::serving::{self, Identity, TlsOptions, metrics};
use crate::webhook::{self, Webhook};

#[derive(Debug, Args)]
pub(super) struct ControllerArgs {
    /// Serve metrics by HTTPS on this port of all addresses; 0 serves none
    #[arg(long, default_value_t = 9120)]
    port: u16,
    /// The namespace that it runs in and reads its resources from; that of its service account if not given
    #[arg(long, env = "METALLB_NAMESPACE", default_value = "", hide_default_value = true)]
    namespace: String,
    /// Make this Secret for speakers to find each other with
    #[arg(long, env = "METALLB_ML_SECRET_NAME", default_value = "", hide_default_value = true)]
    ml_secret_name: String,
    /// The controller's Deployment, which owns that Secret
    #[arg(long, env = "METALLB_DEPLOYMENT", default_value = "", hide_default_value = true)]
    deployment: String,
    /// all, debug, info, warn, error or none
    #[arg(long, default_value = "info")]
    log_level: String,
    /// Accepted, and of no effect
    #[arg(long, default_value = "", hide_default_value = true)]
    pprof_bind_address: String,
    /// Serve probes on this port of all addresses
    #[arg(long, default_value_t = 17472)]
    health_probe_port: u16,
    /// Leave the certificates of webhooks to somebody else
    #[arg(long, action = ArgAction::Set, value_parser = go_flags::switch, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false")]
    disable_cert_rotation: bool,
    /// Where the webhook's tls.crt and tls.key are, unless they are looked after here
    #[arg(long, default_value = "/tmp/k8s-webhook-server/serving-certs")]
    cert_dir: String,
    /// The Service that the webhook is reached by
    #[arg(long, default_value = "metallb-webhook-service")]
    cert_service_name: String,
    /// Handle only Services of this load-balancer class, instead of those without one
    #[arg(long, value_name = "CLASS", default_value = "", hide_default_value = true)]
    lb_class: String,
    /// enabled, disabled or onlywebhook
    #[arg(long, default_value = "enabled")]
    webhook_mode: String,
    /// The Secret with the certificates of webhooks
    #[arg(long, default_value = "metallb-webhook-cert")]
    webhook_secret: String,
    /// Its own Pod
    #[arg(long, env = "METALLB_POD_NAME", default_value = "", hide_default_value = true)]
    pod_name: String,
    /// Serve webhooks by HTTP/2 too
    #[arg(long, action = ArgAction::Set, value_parser = go_flags::switch, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false")]
    webhook_http2: bool,
    /// The oldest TLS that is spoken: VersionTLS12 or VersionTLS13
    #[arg(long, default_value = "", hide_default_value = true)]
    tls_min_version: String,
    /// Cipher suites of TLS 1.2, by name, with commas between them
    #[arg(long, default_value = "", hide_default_value = true)]
    tls_cipher_suites: String,
    /// Key exchange groups, by number, with commas between them
    #[arg(long, default_value = "", hide_default_value = true)]
    tls_curve_preferences: String,
    /// Where tls.crt and tls.key for metrics are; a certificate is made if not given
    #[arg(long, default_value = "", hide_default_value = true)]
    metrics_cert_dir: String,
}

const WEBHOOK_PORT: u16 = 9443;
const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

pub(super) fn run(args: &ControllerArgs) -> anyhow::Result<u8> {
    let Some(level) = logging::level(&args.log_level) else {
        eprintln!("error: --log-level {:?} is none of all, debug, info, warn, error, none", args.log_level);
        return Ok(exit::INVALID);
    };
    if !["enabled", "disabled", "onlywebhook"].contains(&args.webhook_mode.as_str()) {
        eprintln!("error: --webhook-mode {:?} is none of enabled, disabled, onlywebhook", args.webhook_mode);
        return Ok(exit::INVALID);
    }
    let (suites, curves) = (&args.tls_cipher_suites, &args.tls_curve_preferences);
    let tls = match TlsOptions::parse(suites, curves, &args.tls_min_version) {
        Ok(tls) => tls,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(exit::INVALID);
        }
    };
    logging::start(level);
    for notice in tls.notices() {
        tracing::warn!("{notice}");
    }
    let options = options(args)?;
    tell_what_is_different(args);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args, tls, options))?;
    Ok(0)
}

fn options(args: &ControllerArgs) -> anyhow::Result<Options> {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let namespace = match given(&args.namespace) {
        Some(namespace) => namespace,
        None => std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE)
            .map(|text| text.trim().to_owned())
            .context("no --namespace, no METALLB_NAMESPACE, and no service account to tell it")?,
    };
    Ok(Options {
        namespace,
        load_balancer_class: given(&args.lb_class),
        pod_name: given(&args.pod_name),
        memberlist_secret: given(&args.ml_secret_name),
        deployment: given(&args.deployment),
        decides: args.webhook_mode != "onlywebhook",
        is_alone: false,
    })
}

/// Whoever passes what has no effect here learns what replaces it.
fn tell_what_is_different(args: &ControllerArgs) {
    if !args.pprof_bind_address.is_empty() {
        tracing::warn!(
            "--pprof-bind-address has no effect: there are no Go profiles; use perf on the process"
        );
    }
    if let Ok(bgp_type) = std::env::var("METALLB_BGP_TYPE") {
        tracing::info!(
            bgp_type,
            "METALLB_BGP_TYPE has no effect: there is one BGP engine, for all configurations"
        );
    }
    if args.pod_name.is_empty() {
        tracing::warn!("no --pod-name and no METALLB_POD_NAME: the ConfigurationState will have no owner");
    }
}

async fn serve(args: &ControllerArgs, tls: TlsOptions, options: Options) -> anyhow::Result<()> {
    let stop = ending::told()?;
    let mut config = Config::infer().await.context("neither a kubeconfig nor a service account")?;
    // Whoever writes decides when to try again.
    config.default_retry = false;
    // Fields are owned by what it begins with, which is what the controller of MetalLB begins with.
    let agent = concat!("controller/", env!("CARGO_PKG_VERSION"), " (ferrolb)");
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    let client = Client::try_from(config)?;
    let webhook = webhook(args, &tls, &options.namespace, &client).await?;
    let controller = Controller::new(client.clone(), options);
    let progress = controller.progress();
    let ready = vec![Check { name: "readyz", is_met: progress.is_ready }];

    // All of them end when the channel says so, or is gone.
    let (stopping, stopped) = watch::channel(());
    let mut servers: JoinSet<anyhow::Result<()>> = JoinSet::new();
    if args.health_probe_port > 0 {
        let listener = listen(args.health_probe_port, "--health-probe-port").await?;
        let (router, stop) = (probes::router(ready), told(&stopped));
        servers.spawn(async move {
            serving::serve_plain(listener, router, stop).await;
            Ok(())
        });
    }
    if args.port > 0 {
        let listener = listen(args.port, "--port").await?;
        let router = metrics::router(progress.metrics.registry().clone(), client);
        servers.spawn(serve_metrics(
            args.metrics_cert_dir.clone().into(),
            listener,
            router,
            tls,
            told(&stopped),
        ));
    }
    if let Some(webhook) = webhook {
        servers.spawn(webhook.run(told(&stopped)));
    }
    drop(stopped);

    tokio::select! {
        ended = controller.run(stop) => ended?,
        Some(ended) = servers.join_next() => {
            ended??;
            anyhow::bail!("a server has ended by itself");
        }
    }
    drop(stopping);
    while let Some(ended) = servers.join_next().await {
        ended??;
    }
    Ok(())
}

/// Ends when the other end of the channel is gone.
fn told(stopped: &watch::Receiver<()>) -> impl Future<Output = ()> + use<> {
    let mut stopped = stopped.clone();
    async move { while stopped.changed().await.is_ok() {} }
}

async fn listen(port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((serving::everywhere(), port));
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

async fn webhook(
    args: &ControllerArgs,
    tls: &TlsOptions,
    namespace: &str,
    client: &Client,
) -> anyhow::Result<Option<Webhook>> {
    if args.webhook_mode == "disabled" {
        return Ok(None);
    }
    let options = webhook::Options {
        has_http2: args.webhook_http2,
        tls: tls.clone(),
        rotates_certificates: !args.disable_cert_rotation,
        certificate_directory: args.cert_dir.clone().into(),
        service_name: args.cert_service_name.clone(),
        secret_name: args.webhook_secret.clone(),
        bind: (serving::everywhere(), WEBHOOK_PORT).into(),
        ..webhook::Options::new(namespace)
    };
    Webhook::bind(client.clone(), options).await.map(Some)
}
