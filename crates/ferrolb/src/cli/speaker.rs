//! `ferrolb speaker`: the flags, variables and files that manifests pass, and what becomes of each.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use api::duration::GoDuration;
use clap::{ArgAction, Args, FromArgMatches, ValueEnum};

use super::component::{self, Servers};
use super::speaker_files::{self as files, EXCLUDED};
use super::speaker_members::{self, MemberArgs};
use super::{ending, exit, go_flags};
use crate::bgp;
use crate::layer2;
use crate::logging;
use crate::members;
use crate::proxy;
use crate::serving::probes::{self, Check};
use crate::serving::{TlsOptions, metrics};
use crate::speaker::{Members, OnHost, Options, Speaker, StatusLayout};
use crate::sys;

/// There is one on every node: what only the start or a rush needs is not kept for longer.
const FORGET_EVERY: Duration = Duration::from_secs(5);

const BGP_PORT: u16 = 179;

/// Threads of a speaker, which do not run yet.
#[derive(Debug, Clone)]
pub(super) struct Engines {
    pub(super) layer2: layer2::Options,
    pub(super) bgp: bgp::Options,
}

#[derive(Debug, Args)]
pub(super) struct SpeakerArgs {
    /// The node that it runs on
    #[arg(long, env = "METALLB_NODE_NAME", default_value = "", hide_default_value = true)]
    node_name: String,
    /// Its own Pod
    #[arg(long, env = "METALLB_POD_NAME", default_value = "", hide_default_value = true)]
    pod_name: String,
    /// The namespace that it runs in and reads its resources from; that of its service account if not given
    #[arg(long, env = "METALLB_NAMESPACE", default_value = "", hide_default_value = true)]
    namespace: String,
    /// Accepted, and of no effect
    #[arg(long, env = "METALLB_HOST", default_value = "", hide_default_value = true)]
    host: String,
    /// Serve metrics by HTTPS on this port of all addresses; 0 serves none
    #[arg(long, default_value_t = 9120)]
    port: u16,
    /// Serve probes on this port of 127.0.0.1; 0 serves none
    #[arg(long, default_value_t = 17472)]
    health_probe_port: u16,
    /// Accepted, and of no effect
    #[arg(long, default_value = "", hide_default_value = true)]
    pprof_bind_address: String,
    /// all, debug, info, warn, error or none
    #[arg(long, default_value = "info")]
    log_level: String,
    /// Handle only Services of this load-balancer class, instead of those without one
    #[arg(long, value_name = "CLASS", default_value = "", hide_default_value = true)]
    lb_class: String,
    /// Announce from nodes with the label node.kubernetes.io/exclude-from-external-load-balancers too
    #[arg(long, action = ArgAction::Set, value_parser = go_flags::switch, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false")]
    ignore_exclude_lb: bool,
    /// Accepted, and of no effect: there is nothing to wait for
    #[arg(
        long,
        value_name = "MILLISECONDS",
        env = "METALLB_BGP_DEBOUNCE_TIMEOUT",
        default_value = "3000",
        hide_default_value = true
    )]
    bgp_debounce_timeout: String,
    /// Accepted, and of no effect: nothing is handed to another program
    #[arg(long, env = "FRRK8S_NAMESPACE", default_value = "", hide_default_value = true)]
    frrk8s_namespace: String,
    /// Do not read the Secrets of peers
    #[arg(long, action = ArgAction::Set, value_parser = go_flags::switch, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false")]
    frrk8s_secret_passthrough: bool,
    /// The oldest TLS that is spoken: VersionTLS12 or VersionTLS13
    #[arg(long, default_value = "VersionTLS13")]
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
    /// How to reach the cluster; that of KUBECONFIG or of the service account if not given
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    own: OwnArgs,
}

/// What FerroLB's speaker can be told beyond that of MetalLB, in a cluster and without one.
#[derive(Debug, PartialEq, Eq, Args)]
pub(super) struct OwnArgs {
    /// The nodes whose speakers are alive, with commas between them, where there are no Pods to tell
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    speakers: Vec<String>,
    #[command(flatten)]
    members: MemberArgs,
    /// How often an address is announced again without a cause, about; 0 is never
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    garp_refresh: String,
    /// Ask on the wire whether somebody has an address before it is announced for the first time
    #[arg(long)]
    probe_before_claim: bool,
    /// Where it is told who announces a Service: metallb, in FerroLB's namespace; service, beside the Service
    #[arg(long, value_enum, default_value = "metallb")]
    status_layout: Layout,
    /// Let BGP peers connect here too: addresses, with a port if it is not 179; otherwise this side connects, always
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    bgp_listen: Vec<String>,
    /// Where `ferrolb bgp` asks, if not in /run/ferrolb, or /dev/shm/ferrolb where that cannot be written to
    #[arg(long, value_name = "FILE")]
    admin_socket: Option<PathBuf>,
    /// Make a Node of the own name if there is none, on hosts that no kubelet registers
    #[arg(long)]
    register_node: bool,
    /// The file that says which interfaces are left alone
    #[arg(long, value_name = "FILE", default_value = EXCLUDED)]
    exclude_interfaces_file: PathBuf,
    /// Have announced addresses on the loopback interface while they are announced; needs the capability NET_ADMIN
    #[arg(long)]
    bind_addresses: bool,
    /// Forward TCP and UDP of announced addresses to endpoints, on hosts without kube-proxy; --bind-addresses with it
    #[arg(long)]
    proxy: bool,
    /// With --proxy: tell endpoints of TCP who the client is, by the PROXY protocol, version 2
    #[arg(long, requires = "proxy")]
    proxy_protocol: bool,
    /// With --proxy: connections and sessions of UDP at once, of which one port of an address has three quarters at most
    #[arg(long, requires = "proxy", value_name = "NUMBER",
        default_value_t = proxy::Options::default().connections as u32,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    proxy_connections: u32,
    /// With --proxy: a connection on which nothing comes for so long is ended
    #[arg(long, requires = "proxy", value_name = "DURATION", default_value = "1h")]
    proxy_idle_timeout: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layout {
    Metallb,
    Service,
}

impl OwnArgs {
    /// Whether nothing was said.
    pub(super) fn are_unsaid(&self) -> bool {
        let nothing = OwnArgs::augment_args(clap::Command::new("speaker")).get_matches_from(["speaker"]);
        OwnArgs::from_arg_matches(&nothing).is_ok_and(|unsaid| unsaid == *self)
    }

    /// What is the same for every speaker, in a cluster and without one.
    pub(super) fn options(&self, namespace: &str, node: &str) -> anyhow::Result<Options> {
        Ok(Options {
            on_host: self.on_host()?,
            status_layout: match self.status_layout {
                Layout::Metallb => StatusLayout::Metallb,
                Layout::Service => StatusLayout::Service,
            },
            registers_node: self.register_node,
            members: match (self.speakers.as_slice(), self.members.members()?) {
                ([], members) => members,
                (speakers, _) => Members::These(speakers.iter().cloned().collect::<BTreeSet<_>>()),
            },
            ..Options::new(namespace, node)
        })
    }

    /// Whether this host is to do something with addresses that it announces.
    pub(super) fn is_about_host(&self) -> bool {
        self.bind_addresses || self.proxy
    }

    fn on_host(&self) -> anyhow::Result<OnHost> {
        let idle = duration("--proxy-idle-timeout", &self.proxy_idle_timeout)?;
        anyhow::ensure!(!idle.is_zero(), "--proxy-idle-timeout is 0, so that nothing could be forwarded");
        let connections = usize::try_from(self.proxy_connections)?;
        let proxy = proxy::Options {
            tells_client: self.proxy_protocol,
            connections,
            // One frontend with too many leaves something for the others.
            connections_of_frontend: (connections - connections / 4).max(1),
            idle_connection: idle,
            ..proxy::Options::default()
        };
        Ok(OnHost { binds_addresses: self.is_about_host(), proxy: self.proxy.then_some(proxy) })
    }

    /// What runs beside the decisions.
    pub(super) fn engines(&self, node: &str) -> anyhow::Result<Engines> {
        let listen = self.bgp_listen.iter().map(|text| bgp_address(text)).collect::<Result<_, _>>()?;
        Ok(Engines { layer2: self.of_wire()?, bgp: bgp::Options { node: node.to_owned(), listen } })
    }

    pub(super) fn admin_socket(&self) -> Option<&Path> {
        self.admin_socket.as_deref()
    }

    fn of_wire(&self) -> anyhow::Result<layer2::Options> {
        let refresh = duration("--garp-refresh", &self.garp_refresh)?;
        Ok(layer2::Options {
            excluded: files::excluded(&self.exclude_interfaces_file)?,
            refresh: Some(refresh).filter(|refresh| !refresh.is_zero()),
            probe_before_claim: self.probe_before_claim,
        })
    }
}

/// Of which the port may be left out.
fn bgp_address(text: &str) -> anyhow::Result<SocketAddr> {
    let bare = text.parse().map(|address: IpAddr| SocketAddr::new(address, BGP_PORT));
    bare.or_else(|_| text.parse()).with_context(|| format!("--bgp-listen {text:?} is no address"))
}

pub(super) fn duration(flag: &str, text: &str) -> anyhow::Result<Duration> {
    let duration: GoDuration = text.parse().with_context(|| flag.to_owned())?;
    let nanos = u64::try_from(duration.as_nanos()).with_context(|| format!("{flag} is negative"))?;
    Ok(Duration::from_nanos(nanos))
}

pub(super) fn run(args: &SpeakerArgs) -> anyhow::Result<u8> {
    let Some(level) = component::level(&args.log_level) else { return Ok(exit::INVALID) };
    let (suites, curves) = (&args.tls_cipher_suites, &args.tls_curve_preferences);
    let Some(tls) = component::tls(suites, curves, &args.tls_min_version) else { return Ok(exit::INVALID) };
    logging::start(level);
    for notice in tls.notices() {
        tracing::warn!("{notice}");
    }
    // As upstream's: whatever keeps it from beginning ends it with 1.
    let started = begin(args, tls);
    if let Err(error) = &started {
        tracing::error!("{error:#}");
        eprintln!("error: {error:#}");
    }
    Ok(if started.is_ok() { 0 } else { exit::INVALID })
}

fn begin(args: &SpeakerArgs, tls: TlsOptions) -> anyhow::Result<()> {
    check(args)?;
    let options = options(args)?;
    let engines = args.own.engines(&args.node_name)?;
    tell_what_is_different(args);
    speaker_members::tell(&options.members);
    // What must not wait has threads of its own; everything else is little, and one thread needs less memory than two.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args, tls, options, engines))
}

/// What upstream does not begin with.
fn check(args: &SpeakerArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        !args.node_name.is_empty(),
        "neither --node-name nor METALLB_NODE_NAME says which node this is"
    );
    let debounce: Option<u64> = args.bgp_debounce_timeout.parse().ok().filter(|ms| *ms > 0);
    anyhow::ensure!(
        debounce.is_some(),
        "--bgp-debounce-timeout {:?} is no positive number of milliseconds",
        args.bgp_debounce_timeout
    );
    let bgp_type = std::env::var("METALLB_BGP_TYPE").ok();
    let is_known = bgp_type.as_deref().is_none_or(|it| ["native", "frr", "frr-k8s"].contains(&it));
    anyhow::ensure!(is_known, "METALLB_BGP_TYPE {bgp_type:?} is none of native, frr, frr-k8s");
    if args.frrk8s_secret_passthrough {
        let is_possible = bgp_type.as_deref() == Some("frr-k8s") && !args.frrk8s_namespace.is_empty();
        anyhow::ensure!(
            is_possible,
            "--frrk8s-secret-passthrough needs METALLB_BGP_TYPE=frr-k8s and --frrk8s-namespace"
        );
    }
    Ok(())
}

fn options(args: &SpeakerArgs) -> anyhow::Result<Options> {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let namespace = component::namespace(&args.namespace)?;
    let options = args.own.options(&namespace, &args.node_name)?;
    Ok(Options {
        pod_name: given(&args.pod_name),
        load_balancer_class: given(&args.lb_class),
        ignore_exclude_label: args.ignore_exclude_lb,
        secret_passthrough: args.frrk8s_secret_passthrough,
        ..options
    })
}

/// Whoever passes what has no effect here learns what replaces it.
fn tell_what_is_different(args: &SpeakerArgs) {
    if !args.pprof_bind_address.is_empty() {
        tracing::warn!(
            "--pprof-bind-address has no effect: there are no Go profiles; use perf on the process"
        );
    }
    if !args.host.is_empty() {
        tracing::warn!("--host and METALLB_HOST have no effect");
    }
    for name in ["FRR_CONFIG_FILE", "FRR_RELOADER_PID_FILE", "FRR_LOGGING_LEVEL"] {
        if std::env::var_os(name).is_some() {
            tracing::warn!("{name} has no effect: there is no FRR here");
        }
    }
    if let Ok(bgp_type) = std::env::var("METALLB_BGP_TYPE") {
        tracing::info!(
            bgp_type,
            "METALLB_BGP_TYPE has no effect: there is one engine for all configurations"
        );
    }
    if !args.frrk8s_namespace.is_empty() {
        tracing::info!("--frrk8s-namespace has no effect: nothing is handed to another program");
    }
    if args.bgp_debounce_timeout != "3000" {
        tracing::info!("--bgp-debounce-timeout has no effect: there is nothing to wait for");
    }
}

async fn serve(
    args: &SpeakerArgs,
    tls: TlsOptions,
    options: Options,
    engines: Engines,
) -> anyhow::Result<()> {
    let stop = ending::told()?;
    let client = component::client(args.kubeconfig.as_deref(), "speaker").await?;
    let wire = Box::new(layer2::start(engines.layer2)?);
    let routers = Box::new(bgp::start(engines.bgp)?);
    let speaker = Speaker::new(client.clone(), options, wire, routers);
    tokio::spawn(async {
        loop {
            tokio::time::sleep(FORGET_EVERY).await;
            if let Err(error) = sys::forget() {
                tracing::debug!(%error, "what is not needed any more stays in memory");
            }
        }
    });
    let mut servers = Servers::new();
    if args.health_probe_port > 0 {
        let address = ([127, 0, 0, 1], args.health_probe_port).into();
        // As upstream's: whatever the cluster does, this process is all right.
        servers
            .serve_probes(
                address,
                "--health-probe-port",
                probes::router(vec![Check::met()]).merge(members::router(speaker.members())),
            )
            .await?;
    }
    servers.serve_admin(args.own.admin_socket(), bgp::router(speaker.sessions()));
    if args.port > 0 {
        let router = metrics::router(speaker.metrics().registry().clone(), client);
        servers.serve_metrics(args.port, &args.metrics_cert_dir, router, tls).await?;
    }
    servers.beside(speaker.run(stop)).await
}
