//! How fast and how small BGP is: a speaker with its cluster, our engine alone beside other routers, many peers, and peers
//! that behave badly. Prints a line of JSON for each figure, and to standard error what happens.
//!
//! Usage, as root, in a network namespace of its own: `unshare --net bench_bgp PROGRAM [--only PART]...`, where PROGRAM is
//! `ferrolb`.

#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../support/figures.rs"]
mod figures;
#[path = "../support/process.rs"]
mod process;

mod bulk;
mod crowd;
mod ear;
mod engine;
mod speaker;
mod villain;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use ferrolb::lab::Lab;

#[derive(Debug, Parser)]
struct Arguments {
    /// The executable that is `ferrolb`
    program: PathBuf,
    /// How often each way of telling many routes is measured
    #[arg(long, default_value = "5")]
    trials: usize,
    /// Of the cluster
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    services: Vec<usize>,
    /// Not everything; may be repeated
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A speaker and its cluster: its start, changes, memory
    Speaker,
    /// Many routes at once: our engine, BIRD, FRR and GoBGP
    Bulk,
    /// 200 peers on one engine
    Peers,
    /// Peers that behave badly beside others
    Villains,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    Lab::can_run()?;
    let program = arguments.program.canonicalize().context("the program")?;
    // Each end of each session has an address of this network, all of which are this host's.
    for command in ["link set lo up", "address add 10.255.0.1/16 dev lo"] {
        let status = Command::new("ip").args(command.split(' ')).status()?;
        ensure!(status.success(), "ip {command}: {status}: is this a network namespace of its own?");
    }
    let does = |part: Part| arguments.only.is_empty() || arguments.only.contains(&part);
    if does(Part::Speaker) {
        speaker::run(&program, &arguments.services)?;
    }
    if does(Part::Bulk) {
        bulk::run(arguments.trials)?;
    }
    if does(Part::Peers) {
        crowd::many()?;
    }
    if does(Part::Villains) {
        crowd::villains()?;
    }
    Ok(())
}
