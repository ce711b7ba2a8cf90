//! How long nobody answers for an address when a node fails, moves away or comes back, in a lab with real clocks. Prints a
//! line of JSON for each figure, and to standard error what happens.
//!
//! Usage, as root: `bench_failover PROGRAM [--trials N] [--load-minutes M] [--only PART]...`, where PROGRAM is `ferrolb`.

mod ears;
mod faults;
#[path = "../support/figures.rs"]
mod figures;
mod load;
mod planned;
mod returns;
mod rival;
mod scene;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use ferrolb::lab::{Forwarder, Lab};

use scene::Plot;

#[derive(Debug, Parser)]
struct Arguments {
    /// The executable that is `ferrolb`
    program: PathBuf,
    /// Of each kind of fault
    #[arg(long, default_value = "100")]
    trials: usize,
    /// For each of the two loads
    #[arg(long, default_value = "10")]
    load_minutes: f64,
    /// Not everything; may be repeated
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Nodes that fail, with the timers that nobody has changed
    Faults,
    /// The same with the fastest timers
    Fast,
    /// The same with keepalived
    Keepalived,
    /// Moves without a failure
    Planned,
    /// A node with 1,000 addresses
    Crowd,
    /// Cut links that are restored
    Heal,
    /// Frozen owners that wake up
    Wake,
    /// More to do than there are processors for
    Load,
}

const SERVICES: usize = 16;
const CROWD: usize = 1000;
const LIMIT: f64 = 300.0;
const FAST_LIMIT: f64 = 100.0;

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some(load::BUSY) {
        load::be_busy();
    }
    let arguments = Arguments::parse();
    Lab::can_run()?;
    let program = arguments.program.canonicalize().context("the program")?;
    let does = |part: Part| arguments.only.is_empty() || arguments.only.contains(&part);
    let trials = arguments.trials;
    // What takes long, or cannot differ so much.
    let few = trials.div_ceil(5);
    let plot = Plot::new(program, SERVICES);
    let mut ours = None;
    if does(Part::Faults) {
        ours = Some(faults::run(&plot, "default", trials, LIMIT)?);
    }
    if does(Part::Fast) {
        let speaker_arguments = vec!["--failure-detection".to_owned(), "10ms".to_owned()];
        faults::run(&Plot { speaker_arguments, ..plot.clone() }, "10ms", trials, FAST_LIMIT)?;
    }
    if does(Part::Keepalived) {
        if rival::is_there() {
            rival::run(&plot, few, ours.as_ref())?;
        } else {
            eprintln!("skipped: keepalived is not installed");
        }
    }
    if does(Part::Planned) {
        planned::run(&plot, few)?;
    }
    if does(Part::Crowd) {
        faults::crowd(&Plot { forwarder: Forwarder::None, ..plot.clone() }, CROWD)?;
    }
    if does(Part::Heal) {
        returns::heals(&plot, few)?;
    }
    if does(Part::Wake) {
        returns::wakes(&plot, few)?;
    }
    if does(Part::Load) {
        load::run(&plot, Duration::from_secs_f64(60.0 * arguments.load_minutes))?;
    }
    Ok(())
}
