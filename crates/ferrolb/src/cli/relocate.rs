//! `ferrolb move`: a Service is answered for by another node, because somebody says so.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use kube::Client;
use plan::snapshot::ServiceKey;

use super::{component, exit, print, speaker};
use crate::relocate::{self, RelocateError};

#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    /// The Service; in namespace default if none is named
    #[arg(value_name = "NAMESPACE/NAME")]
    service: String,
    /// The node that is to answer for it, as long as it can
    #[arg(long, value_name = "NODE", required_unless_present = "release", conflicts_with = "release")]
    to: Option<String>,
    /// Let it be answered for wherever it would be by itself
    #[arg(long)]
    release: bool,
    /// How long to wait until the node does
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    timeout: String,
    /// How to reach the cluster; that of KUBECONFIG or of the service account if not given
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

pub(super) fn run(args: &MoveArgs) -> anyhow::Result<u8> {
    let patience = speaker::duration("--timeout", &args.timeout)?;
    let (namespace, name) = args.service.split_once('/').unwrap_or(("default", &args.service));
    ensure!(
        !namespace.is_empty() && !name.is_empty() && !name.contains('/'),
        "{} is not NAMESPACE/NAME",
        args.service
    );
    let service = ServiceKey::new(namespace, name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = component::client(args.kubeconfig.as_deref(), "move").await?;
        match relocate(&client, &service, args.to.as_deref(), patience).await {
            Ok((said, code)) => {
                print(&format!("{said}\n"))?;
                Ok(code)
            }
            Err(error @ (RelocateError::NoService(_) | RelocateError::NoNode(_))) => {
                eprintln!("error: {error}");
                Ok(exit::INVALID)
            }
            Err(error) => Err(error.into()),
        }
    })
}

async fn relocate(
    client: &Client,
    service: &ServiceKey,
    to: Option<&str>,
    patience: Duration,
) -> Result<(String, u8), RelocateError> {
    let before = relocate::announcers(client, service).await?;
    let begin = Instant::now();
    relocate::ask(client, service, to).await?;
    let Some(node) = to else {
        return Ok((format!("{service} is answered for wherever it would be by itself"), 0));
    };
    let now = relocate::wait(client, service, node, patience).await?;
    if now == [node] && before == now {
        return Ok((format!("{service} is on {node}, as before"), 0));
    }
    if now == [node] {
        let took = begin.elapsed().as_secs_f64();
        return Ok((format!("{service} moved from {} to {node} in {took:.2} s", named(&before)), 0));
    }
    let said = format!(
        "{service} is on {}: {node} is no candidate, and gets it as soon as it is. `ferrolb plan --live` says why, and \
         `ferrolb move {service} --release` takes the wish back",
        named(&now)
    );
    Ok((said, exit::INVALID))
}

fn named(nodes: &[String]) -> String {
    if nodes.is_empty() { "no node".to_owned() } else { nodes.join(", ") }
}
