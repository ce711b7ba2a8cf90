//! Records the real server's answers, and shows how others differ from them.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::{Context, bail};
use conformance::commands::Commands;
use conformance::kubectl::Kubectl;
use conformance::ledger::Ledger;
use conformance::programs::{self, Real};
use conformance::suite::{self, Differing, Suite};
use conformance::world::{Directory, Engine, Served, token};
use conformance::{report, suite::directory};

const USAGE: &str = "usage: conformance COMMAND [BEGINNING]
  record   asks the real server and writes recorded/
  verify   asks the real server and compares with recorded/
  report   asks the embedded server and shows every difference from recorded/
  pending  asks the embedded server and writes pending.yaml anew
  with     runs a command with a KUBECONFIG that names a real server of its own
BEGINNING picks files of cases whose names begin so; `kubectl` picks the commands instead of the requests.";

const COMMANDS: &str = "kubectl";

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
        Some("with") => with(&arguments[1..]).await,
        _ => bail!("{USAGE}"),
    }
}

/// Runs a command whose KUBECONFIG names a real server on which nothing was done yet.
async fn with(command: &[String]) -> anyhow::Result<ExitCode> {
    let [program, arguments @ ..] = command else { bail!("{USAGE}") };
    let real = real().await?;
    let token = token("admin").context("the token of the admin")?;
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "real", "cluster": {"server": real.address(), "insecure-skip-tls-verify": true}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}],
        "current-context": "real",
    });
    let directory = Directory::create("kubeconfig")?;
    let path = directory.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig.to_string())?;
    let (program, arguments) = (program.to_owned(), arguments.to_vec());
    let run = move || std::process::Command::new(program).args(arguments).env("KUBECONFIG", path).status();
    let status = tokio::task::spawn_blocking(run).await??;
    Ok(ExitCode::from(u8::from(!status.success())))
}

async fn real() -> anyhow::Result<Real> {
    let directory = programs::directory()
        .with_context(|| format!("{} names no directory with a kube-apiserver", programs::PLACE))?;
    Real::start(&directory).await
}

async fn record(beginning: &str) -> anyhow::Result<ExitCode> {
    if beginning == COMMANDS {
        for (version, program) in programs::kubectls() {
            // Each version finds a server on which nothing was done yet.
            let real = real().await?;
            Commands::read(version)?.record(&Kubectl::new(program, real.address())?).await?;
            eprintln!("recorded kubectl {version}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let real = real().await?;
    for file in suite::files(beginning)? {
        let recording = suite::record(real.world(), &file).await;
        recording.write(&directory().join("recorded"), &file.name)?;
        for complaint in recording.complaints() {
            println!("{}: {complaint}", file.name);
        }
        eprintln!("recorded {}", file.name);
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify(beginning: &str) -> anyhow::Result<ExitCode> {
    let (mut differing, mut steps) = (Vec::new(), 0);
    if beginning == COMMANDS {
        for (version, program) in programs::kubectls() {
            let real = real().await?;
            let commands = Commands::read(version)?;
            differing.extend(commands.differing(&Kubectl::new(program, real.address())?).await?);
            steps += commands.steps();
        }
    } else {
        let (suite, real) = (Suite::read(beginning)?, real().await?);
        differing = suite.differing_real(real.world()).await?;
        steps = suite.steps();
    }
    print!("{}", report::steps_text(&differing));
    println!("{} of {steps} steps differ from what was recorded", differing.len());
    Ok(if differing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn show(beginning: &str) -> anyhow::Result<ExitCode> {
    let (differing, steps) = if beginning == COMMANDS {
        differing_commands().await?
    } else {
        let suite = Suite::read(beginning)?;
        (suite.differing_embedded(Engine::Memory).await?, suite.steps())
    };
    print!("{}", report::steps_text(&differing));
    println!("{} of {steps} steps differ", differing.len());
    Ok(ExitCode::SUCCESS)
}

async fn differing_commands() -> anyhow::Result<(Vec<Differing>, usize)> {
    let (mut differing, mut steps) = (Vec::new(), 0);
    for (version, program) in programs::kubectls() {
        let (served, commands) = (Served::start().await?, Commands::read(version)?);
        differing.extend(commands.differing(&Kubectl::new(program, &served.address)?).await?);
        steps += commands.steps();
    }
    Ok((differing, steps))
}

async fn pending() -> anyhow::Result<ExitCode> {
    let suite = Suite::read("")?;
    let differing = suite.differing_embedded(Engine::Memory).await?;
    let mut pending = report::pending(&suite.ledger, &differing);
    let known = Ledger::read(&directory())?.only("kubectl-");
    if programs::kubectls().is_empty() {
        eprintln!("kubectl was not built, so what is pending of it stays as it is");
        pending.extend(known.pending);
    } else {
        pending.extend(report::pending(&known, &differing_commands().await?.0));
    }
    println!("{} steps are pending", pending.values().map(Vec::len).sum::<usize>());
    Ledger::write_pending(&directory(), pending)?;
    Ok(ExitCode::SUCCESS)
}
