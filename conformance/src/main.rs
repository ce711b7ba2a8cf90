//! Records the real server's answers, and shows how others differ from them.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::{Context, bail};
use conformance::ledger::Ledger;
use conformance::programs::{self, Real};
use conformance::suite::{self, Suite};
use conformance::world::Engine;
use conformance::{report, suite::directory};

const USAGE: &str = "usage: conformance COMMAND [BEGINNING]
  record   asks the real server and writes recorded/
  verify   asks the real server and compares with recorded/
  report   asks the embedded server and shows every difference from recorded/
  pending  asks the embedded server and writes pending.yaml anew
BEGINNING picks files of cases whose names begin so.";

#[tokio::main]
async fn main() -> ExitCode {
    run().await.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

async fn run() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let beginning = arguments.get(1).map(String::as_str).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("record") => record(beginning).await,
        Some("verify") => verify(beginning).await,
        Some("report") => show(beginning).await,
        Some("pending") => pending().await,
        _ => bail!("{USAGE}"),
    }
}

async fn real() -> anyhow::Result<Real> {
    let directory = programs::directory()
        .with_context(|| format!("{} names no directory with a kube-apiserver", programs::PLACE))?;
    Real::start(&directory).await
}

async fn record(beginning: &str) -> anyhow::Result<ExitCode> {
    let real = real().await?;
    for file in suite::files(beginning)? {
        let recording = suite::record(real.world(), &file).await;
        recording.write(&directory().join("recorded"), &file)?;
        for complaint in recording.complaints() {
            println!("{}: {complaint}", file.name);
        }
        eprintln!("recorded {}", file.name);
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify(beginning: &str) -> anyhow::Result<ExitCode> {
    let suite = Suite::read(beginning)?;
    let real = real().await?;
    let differing = suite.differing_real(real.world()).await?;
    print!("{}", report::steps_text(&differing));
    println!("{} of {} steps differ from what was recorded", differing.len(), suite.steps());
    Ok(if differing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn show(beginning: &str) -> anyhow::Result<ExitCode> {
    let suite = Suite::read(beginning)?;
    let differing = suite.differing_embedded(Engine::Memory).await?;
    print!("{}", report::steps_text(&differing));
    println!("{} of {} steps differ", differing.len(), suite.steps());
    Ok(ExitCode::SUCCESS)
}

async fn pending() -> anyhow::Result<ExitCode> {
    let suite = Suite::read("")?;
    let differing = suite.differing_embedded(Engine::Memory).await?;
    let pending = report::pending(&suite.ledger, &differing);
    println!("{} steps are pending", pending.values().map(Vec::len).sum::<usize>());
    Ledger::write_pending(&directory(), pending)?;
    Ok(ExitCode::SUCCESS)
}
