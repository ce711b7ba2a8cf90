//! `ferrolb drain`: nothing is announced from a node any more, and nobody notices.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::{component, exit, print, speaker};
use crate::drain;

/// Services that are named where it does not come to an end.
const NAMED: usize = 10;

#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    /// Let it announce again
    #[arg(long)]
    undo: bool,
    /// How long to wait until nothing is announced from it
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    timeout: String,
    /// How to reach the cluster; that of KUBECONFIG or of the service account if not given
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

pub(super) fn run(args: &DrainArgs) -> anyhow::Result<u8> {
    let patience = speaker::duration("--timeout", &args.timeout)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(ask(args, patience))
}

async fn ask(args: &DrainArgs, patience: Duration) -> anyhow::Result<u8> {
    let node = &args.node;
    let client = component::client(args.kubeconfig.as_deref(), "drain").await?;
    drain::set(&client, node, !args.undo).await.with_context(|| format!("the Node {node}"))?;
    if args.undo {
        print(&format!("{node} announces again what it is elected for\n"))?;
        return Ok(0);
    }
    let mut last = usize::MAX;
    let left = drain::wait(&client, node, patience, |left| {
        if left.len() != last {
            last = left.len();
            eprintln!("{last} Services are still announced from {node}");
        }
    });
    let left = left.await.context("who announces what")?;
    if left.is_empty() {
        print(&format!("nothing is announced from {node} any more\n"))?;
        return Ok(0);
    }
    let named = left.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if left.len() > NAMED { ", ..." } else { "" };
    eprintln!("after {} still announced from {node}: {named}{more}", args.timeout);
    Ok(exit::INVALID)
}
