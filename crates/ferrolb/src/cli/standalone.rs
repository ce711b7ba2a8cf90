//! `ferrolb standalone`: API server and controller in one process, for a machine without a cluster.

use anyhow::Context;
use clap::Args;

use super::apiserver::ServeArgs;
use super::component::Servers;
use super::ending;
use super::plan::DEFAULT_NAMESPACE;
use super::speaker::{Engines, OwnArgs};
use crate::bgp;
use crate::logging;
use crate::members;
use crate::serving::probes::{self, Check};
use crate::speaker;
use crate::standalone::{Options, SpeakerOptions, Standalone};

#[derive(Debug, Args)]
pub(super) struct StandaloneArgs {
    #[command(flatten)]
    server: ServeArgs,
    /// The namespace that FerroLB reads its resources from; made if there is none
    #[arg(long, default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Handle only Services of this load-balancer class, instead of those without one
    #[arg(long, value_name = "CLASS", default_value = "", hide_default_value = true)]
    lb_class: String,
    /// Answer for addresses on this host too, which needs the capability NET_RAW
    #[arg(long)]
    speaker: bool,
    /// With --speaker: the name of this host as a node; its host name if not given
    #[arg(long, requires = "speaker", default_value = "", hide_default_value = true)]
    node_name: String,
    /// With --speaker: serve probes, and what `ferrolb members` shows, on this port of 127.0.0.1; 0 serves none
    #[arg(long, requires = "speaker", default_value_t = 0)]
    health_probe_port: u16,
    #[command(flatten)]
    own: OwnArgs,
}

impl StandaloneArgs {
    fn load_balancer_class(&self) -> Option<String> {
        Some(self.lb_class.clone()).filter(|class| !class.is_empty())
    }

    fn of_speaker(&self) -> anyhow::Result<Option<SpeakerOptions>> {
        if !self.speaker {
            anyhow::ensure!(self.own.are_unsaid(), "what is said to a speaker needs --speaker");
            return Ok(None);
        }
        let node = match self.node_name.as_str() {
            "" => own_name()?,
            name => name.to_owned(),
        };
        let speaker = speaker::Options {
            load_balancer_class: self.load_balancer_class(),
            registers_node: true,
            ..self.own.options(&self.namespace, &node)?
        };
        let Engines { layer2, bgp } = self.own.engines(&node)?;
        Ok(Some(SpeakerOptions { speaker, layer2, bgp }))
    }
}

/// Of this host, in the letters that a Node may have.
fn own_name() -> anyhow::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("the name of this host")?;
    Ok(name.trim().to_lowercase())
}

pub(super) fn run(args: &StandaloneArgs) -> anyhow::Result<u8> {
    logging::to_stderr(args.server.log_level());
    let options = Options {
        server: args.server.options(),
        namespace: args.namespace.clone(),
        load_balancer_class: args.load_balancer_class(),
        speaker: args.of_speaker()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // First, so that a signal during the start is not lost.
        let stop = ending::told()?;
        let standalone = Standalone::open(&options).await?;
        let mut servers = Servers::new();
        if let Some(members) = standalone.members().filter(|_| args.health_probe_port > 0) {
            let address = ([127, 0, 0, 1], args.health_probe_port).into();
            let router = probes::router(vec![Check::met()]).merge(members::router(members));
            servers.serve_probes(address, "--health-probe-port", router).await?;
        }
        if let Some(sessions) = standalone.sessions() {
            servers.serve_admin(args.own.admin_socket(), bgp::router(sessions));
        }
        servers.beside(standalone.run(stop)).await
    })?;
    // What is still going on in the background may hold the store, which closes its file when nobody does.
    drop(runtime);
    tracing::info!("ended");
    Ok(0)
}
