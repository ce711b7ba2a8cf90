//! `ferrolb controller`: the flags and variables that manifests pass, and what becomes of each.

use clap::{ArgAction, Args};
use kube::Client;

use super::component::{self, Servers};
use super::{ending, exit, go_flags};
use crate::controller::{Controller, Options};
use crate::logging;
use crate::serving::probes::{self, Check};
use crate::serving::{self, TlsOptions, metrics};
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

pub(super) fn run(args: &ControllerArgs) -> anyhow::Result<u8> {
    let Some(level) = component::level(&args.log_level) else { return Ok(exit::INVALID) };
    if !["enabled", "disabled", "onlywebhook"].contains(&args.webhook_mode.as_str()) {
        eprintln!("error: --webhook-mode {:?} is none of enabled, disabled, onlywebhook", args.webhook_mode);
        return Ok(exit::INVALID);
    }
    let (suites, curves) = (&args.tls_cipher_suites, &args.tls_curve_preferences);
    let Some(tls) = component::tls(suites, curves, &args.tls_min_version) else { return Ok(exit::INVALID) };
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
    let namespace = component::namespace(&args.namespace)?;
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
    let client = component::client(None, "controller").await?;
    let webhook = webhook(args, &tls, &options.namespace, &client).await?;
    let controller = Controller::new(client.clone(), options);
    let progress = controller.progress();
    let ready = vec![Check { name: "readyz", is_met: progress.is_ready }];

    let mut servers = Servers::new();
    if args.health_probe_port > 0 {
        let address = (serving::everywhere(), args.health_probe_port).into();
        servers.serve_probes(address, "--health-probe-port", probes::router(ready)).await?;
    }
    if args.port > 0 {
        let router = metrics::router(progress.metrics.registry().clone(), client);
        servers.serve_metrics(args.port, &args.metrics_cert_dir, router, tls).await?;
    }
    if let Some(webhook) = webhook {
        let stop = servers.stop();
        servers.spawn(webhook.run(stop));
    }
    servers.beside(controller.run(stop)).await
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
