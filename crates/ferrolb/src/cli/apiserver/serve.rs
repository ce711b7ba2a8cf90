//! The server from its start to its end.

use crate::cli::ending;
use crate::embedded::Embedded;
use crate::logging;

use super::ServeArgs;

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<u8> {
    logging::to_stderr(args.log_level());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // First, so that a signal during the start is not lost.
        let stop = ending::told()?;
        Embedded::open(&args.options()).await?.serve(stop).await;
        anyhow::Ok(())
    })?;
    // What is still going on in the background may hold the store, which closes its file when nobody does.
    drop(runtime);
    tracing::info!("ended");
    Ok(0)
}
