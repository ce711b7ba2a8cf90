//! `ferrolb lab`: a data centre in network namespaces, and what is done to it.

mod show;
mod up;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::Format;
use crate::lab::traffic::{self, Protocol, Questions};
use crate::lab::{self, Cut, Order};

#[derive(Debug, Args)]
pub(super) struct LabArgs {
    /// Which lab; several of different names can run at once
    #[arg(long, global = true, default_value = "lab")]
    name: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a lab and leave it running
    Up(Box<up::UpArgs>),
    /// Take a lab down, or remove what a killed one has left behind
    Down {
        /// All of them
        #[arg(long)]
        all: bool,
    },
    /// Show who there is and what is broken
    Status {
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
    /// Kill speakers, as with kill -9
    KillSpeaker {
        #[command(flatten)]
        nodes: Nodes,
        /// Tell them to end instead, and wait until they have
        #[arg(long)]
        gently: bool,
    },
    /// Start speakers again, and wait until they are ready
    StartSpeaker(Nodes),
    /// Stop speakers without ending them, as on a machine that hangs
    Freeze(Nodes),
    /// Let frozen speakers go on
    Resume(Nodes),
    /// Cut nodes off, or the router or the client
    Cut {
        #[command(flatten)]
        members: Nodes,
        /// How
        #[arg(long, value_enum, default_value = "cable")]
        how: Cut,
        /// The same as --how management
        #[arg(long, conflicts_with = "how")]
        management: bool,
    },
    /// Undo every cut of these
    Restore(Nodes),
    /// Let groups not hear each other: `partition 1,2 3,client`; without groups all hear all again
    Partition {
        /// Members with commas between them. Whoever is in no group hears all
        #[arg(value_name = "MEMBER,MEMBER...")]
        groups: Vec<String>,
    },
    /// Cordon nodes, have others take over their addresses, stop their backends
    Drain {
        #[command(flatten)]
        nodes: Nodes,
        /// The opposite
        #[arg(long)]
        undo: bool,
    },
    /// Stop or start what answers behind addresses on a node; its endpoints say so
    Backend {
        #[arg(value_name = "NODE")]
        node: String,
        #[arg(value_enum)]
        what: Switch,
    },
    /// Ask an address again and again, and tell how long nobody answered
    Traffic(TrafficArgs),
    /// Run a command as if on a member, with the KUBECONFIG of the lab
    Exec {
        #[arg(value_name = "MEMBER")]
        member: String,
        #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Ask the router of `--router` something in its own language: `ask router show bgp summary`
    Ask {
        #[arg(value_name = "ROUTER")]
        member: String,
        #[arg(value_name = "WORD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Show the frames of a member's interface with tcpdump
    Capture {
        #[arg(value_name = "MEMBER", default_value = "client")]
        member: String,
        #[arg(short, long, default_value = "eth0")]
        interface: String,
        /// Write them to a file instead
        #[arg(short, long, value_name = "FILE")]
        write: Option<PathBuf>,
        /// As tcpdump takes it; its options may be before it
        #[arg(value_name = "FILTER", trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
}

/// A node is named by its number too.
#[derive(Debug, Args)]
struct Nodes {
    #[arg(value_name = "NODE", required = true)]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    Start,
    Stop,
}

#[derive(Debug, Args)]
struct TrafficArgs {
    /// Whom to ask
    #[arg(value_name = "ADDRESS:PORT")]
    to: SocketAddr,
    /// What to ask
    #[arg(long, value_enum, default_value = "udp")]
    protocol: Protocol,
    /// Who asks
    #[arg(long, value_name = "MEMBER", default_value = "client")]
    from: String,
    /// From one question to the next
    #[arg(long, value_name = "MS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..))]
    every_ms: u64,
    /// After this a question counts as not answered
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
    patience_ms: u64,
    /// How long; if nothing is said until SIGINT or SIGTERM
    #[arg(long)]
    seconds: Option<u64>,
    /// How to print what came of it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) fn run(args: &LabArgs) -> anyhow::Result<u8> {
    let name = &args.name;
    let each = |nodes: &Nodes, order: &dyn Fn(String) -> Order| {
        nodes.names.iter().try_for_each(|node| lab::ask(name, &order(node.clone())).map(drop))
    };
    match &args.action {
        Action::Up(up) => return up::run(name, up),
        Action::Down { all } => down(name, *all)?,
        Action::Status { output } => return show::status(name, *output),
        Action::KillSpeaker { nodes, gently: true } => each(nodes, &|node| Order::EndSpeaker { node })?,
        Action::KillSpeaker { nodes, gently: false } => each(nodes, &|node| Order::KillSpeaker { node })?,
        Action::StartSpeaker(nodes) => each(nodes, &|node| Order::StartSpeaker { node })?,
        Action::Freeze(nodes) => each(nodes, &|node| Order::Freeze { node })?,
        Action::Resume(nodes) => each(nodes, &|node| Order::Resume { node })?,
        Action::Cut { members, how, management } => {
            let cut = if *management { Cut::Management } else { *how };
            each(members, &|member| Order::Cut { member, cut })?;
        }
        Action::Restore(members) => each(members, &|member| Order::Restore { member })?,
        Action::Partition { groups } => {
            let split = |group: &String| group.split(',').map(|member| member.trim().to_owned()).collect();
            lab::ask(name, &Order::Partition { groups: groups.iter().map(split).collect() })?;
        }
        Action::Drain { nodes, undo: false } => each(nodes, &|node| Order::Drain { node })?,
        Action::Drain { nodes, undo: true } => each(nodes, &|node| Order::Undrain { node })?,
        Action::Backend { node, what } => {
            let is_running = *what == Switch::Start;
            lab::ask(name, &Order::Backend { node: node.clone(), is_running })?;
        }
        Action::Ask { member, words } => {
            let order = Order::AskRouter { member: member.clone(), line: words.join(" ") };
            super::print(lab::ask(name, &order)?.as_str().unwrap_or_default())?;
        }
        Action::Traffic(args) => return run_traffic(name, args),
        Action::Exec { member, command } => return exec(name, member, command),
        Action::Capture { member, interface, write, filter } => {
            let mut command: Vec<_> = ["tcpdump", "-n", "-e", "-i", interface].map(str::to_owned).into();
            match write {
                Some(file) => command.extend(["-U".to_owned(), "-w".to_owned(), absolute(file)?]),
                None => command.push("-l".to_owned()),
            }
            lab::capture_program()?;
            command.extend(filter.iter().cloned());
            return exec(name, member, &command);
        }
    }
    Ok(0)
}

fn down(name: &str, all: bool) -> anyhow::Result<()> {
    let names =
        if all { lab::all()?.into_iter().map(|(name, _)| name).collect() } else { vec![name.to_owned()] };
    for name in &names {
        if lab::running(name)?.is_some() {
            lab::take_down(name)?;
            eprintln!("the lab {name} is down");
        } else if lab::clean(name)? {
            eprintln!("what was left of the lab {name} is removed");
        } else {
            eprintln!("there is no lab {name}");
        }
    }
    Ok(())
}

/// Becomes the command, so that signals and the exit code are its own.
fn exec(name: &str, member: &str, command: &[String]) -> anyhow::Result<u8> {
    let status = show::ask_status(name)?;
    let namespace = status.namespace_of(member)?;
    let (program, arguments) = command.split_first().context("no command")?;
    let mut command = lab::command_in(&namespace, Path::new(&status.kubeconfig_inside), program)?;
    Err(command.args(arguments).exec()).with_context(|| format!("{program} on {member}"))
}

fn run_traffic(name: &str, args: &TrafficArgs) -> anyhow::Result<u8> {
    let namespace = show::ask_status(name)?.namespace_of(&args.from)?;
    let questions = Questions {
        every: Duration::from_millis(args.every_ms),
        patience: Duration::from_millis(args.patience_ms),
        ..Questions::new(args.to, args.protocol)
    };
    if std::io::stderr().is_terminal() && args.seconds.is_none() {
        eprintln!("asking {}; Ctrl-C ends it", args.to);
    }
    let seconds = args.seconds.map(Duration::from_secs);
    let report = lab::inside(&namespace, move || {
        traffic::run(questions, async move {
            let told = super::ending::told();
            let limit = async move {
                match seconds {
                    Some(seconds) => tokio::time::sleep(seconds).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = limit => {}
                () = async { if let Ok(told) = told { told.await } else { std::future::pending().await } } => {}
            }
        })
    })?;
    show::report(&report, args.output)
}

fn absolute(file: &Path) -> anyhow::Result<String> {
    Ok(std::path::absolute(file)?.display().to_string())
}
