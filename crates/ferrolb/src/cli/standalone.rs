//! `ferrolb standalone`: API server and controller in one process, for a machine without a cluster.

use clap::Args;

use super::apiserver::ServeArgs;
use super::ending;
use super::plan::DEFAULT_NAMESPACE;
use crate::logging;
use crate::standalone::{self, Options};

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
}

pub(super) fn run(args: &StandaloneArgs) -> anyhow::Result<u8> {
    logging::to_stderr(args.server.log_level());
    let options = Options {
        server: args.server.options(),
        namespace: args.namespace.clone(),
        load_balancer_class: Some(args.lb_class.clone()).filter(|class| !class.is_empty()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // First, so that a signal during the start is not lost.
        let stop = ending::told()?;
        standalone::run(&options, stop).await
    })?;
    // What is still going on in the background may hold the store, which closes its file when nobody does.
    drop(runtime);
    tracing::info!("ended");
    Ok(0)
}
