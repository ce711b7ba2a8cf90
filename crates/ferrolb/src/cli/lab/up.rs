//! `ferrolb lab up`: in this process, or in one that goes on when this has ended.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek};
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use tracing::level_filters::LevelFilter;

use crate::cli::ending;
use crate::lab::routers::Kind;
use crate::lab::{self, Family, Forwarder, Lab, Options, Orders};
use crate::logging;

#[derive(Debug, Args)]
pub(super) struct UpArgs {
    /// How many nodes
    #[arg(long, default_value = "3")]
    nodes: usize,
    /// Addresses of members and Services
    #[arg(long, value_enum, default_value = "ipv4")]
    ip_family: Family,
    /// The same as --ip-family dual
    #[arg(long, conflicts_with = "ip_family")]
    dual_stack: bool,
    /// Another segment, with a second interface of every node, the router and the client
    #[arg(long)]
    second_segment: bool,
    /// A router with every node as a neighbour, and a client behind it
    #[arg(long, value_enum, default_value = "none")]
    router: RouterKind,
    /// Who takes traffic from an address to its endpoints
    #[arg(long, value_enum, default_value = "nftables")]
    forwarder: Forwarder,
    /// No speakers
    #[arg(long)]
    no_speakers: bool,
    /// A further argument of every speaker; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    speaker_arg: Vec<String>,
    /// How much speakers say
    #[arg(long, default_value = "info",
        value_parser = PossibleValuesParser::new(["all", "debug", "info", "warn", "error", "none"]))]
    speaker_log_level: String,
    /// Keep objects in a file, not in memory
    #[arg(long)]
    disk: bool,
    /// Leave namespaces and files when the lab ends, to look at; the next `up` or `down` removes them
    #[arg(long)]
    keep: bool,
    /// Stay, and take the lab down with SIGINT or SIGTERM
    #[arg(long)]
    foreground: bool,
    /// In the background of another process, which waits for a line on standard output
    #[arg(long, hide = true, conflicts_with = "foreground")]
    detached: bool,
}

/// Those that forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RouterKind {
    Frr,
    Bird,
    None,
}

/// What the process in the background says when others can come.
const READY: &str = "ready";
/// Lines of its log that are shown where it fails.
const LAST_LINES: usize = 10;

pub(super) fn run(name: &str, args: &UpArgs) -> anyhow::Result<u8> {
    if args.foreground || args.detached {
        return stay(name, args);
    }
    Lab::can_run()?;
    if lab::running(name)?.is_some() {
        return Err(lab::Error::Running { name: name.to_owned() }.into());
    }
    let mut log = log_file(name)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        .spawn()
        .context("the process of the lab")?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.trim() != READY {
        let status = child.wait()?;
        // Not by its name, which is gone with the lab.
        let mut text = String::new();
        log.rewind()?;
        log.read_to_string(&mut text)?;
        let lines: Vec<_> = text.lines().rev().take(LAST_LINES).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        let said = lines.join("\n").trim_start_matches("error: ").to_owned();
        // It has told us why, and nobody else needs to read it.
        lab::clean(name)?;
        anyhow::bail!("{}", if said.is_empty() { format!("the lab ended at once: {status}") } else { said });
    }
    super::show::hints(name)?;
    Ok(0)
}

fn log_file(name: &str) -> anyhow::Result<File> {
    let folder = lab::path_of(name);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(lab::LOG);
    let opened = OpenOptions::new().create(true).read(true).write(true).truncate(true).open(&path);
    opened.with_context(|| path.display().to_string())
}

fn stay(name: &str, args: &UpArgs) -> anyhow::Result<u8> {
    logging::to_stderr(if args.detached { LevelFilter::INFO } else { LevelFilter::WARN });
    if args.detached {
        // A terminal that is closed is nothing to this process.
        rustix::process::setsid()?;
    }
    let orders = Orders::take(Lab::up(args.options(name))?)?;
    let end = orders.ender();
    std::thread::Builder::new().name("lab-signals".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            ending::told()?.await;
            std::io::Result::Ok(())
        })?;
        end();
        std::io::Result::Ok(())
    })?;
    if args.detached {
        println!("{READY}");
    } else {
        super::show::hints(name)?;
    }
    orders.run()?;
    Ok(0)
}

impl RouterKind {
    fn kind(self) -> Option<Kind> {
        match self {
            RouterKind::Frr => Some(Kind::Frr),
            RouterKind::Bird => Some(Kind::Bird),
            RouterKind::None => None,
        }
    }
}

impl UpArgs {
    fn options(&self, name: &str) -> Options {
        Options {
            nodes: self.nodes,
            family: if self.dual_stack { Family::Dual } else { self.ip_family },
            second_segment: self.second_segment,
            router: self.router.kind(),
            remotes: usize::from(self.router.kind().is_some()),
            forwarder: self.forwarder,
            has_speakers: !self.no_speakers,
            speaker_arguments: self.speaker_arg.clone(),
            speaker_log_level: self.speaker_log_level.clone(),
            is_on_disk: self.disk,
            keeps: self.keep,
            ..Options::new(name)
        }
    }
}
