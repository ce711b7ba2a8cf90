//! Runs many seeds on all cores, and tells of one that fails all that is needed to understand it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::plans::Plan;
use super::world::{Figures, World, first_start};

/// What is shown of the time before something went wrong.
const SHOWN: Duration = Duration::from_secs(8);
const LINES_SHOWN: usize = 400;

/// Which seeds are run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds {
    first: u64,
    number: u64,
    /// No further one is begun after that.
    budget: Duration,
}

impl Seeds {
    pub(crate) fn small(number: u64) -> Seeds {
        Seeds::told(number, true)
    }

    /// Long ones.
    pub(crate) fn few(number: u64) -> Seeds {
        Seeds::told(number, false)
    }

    fn told(number: u64, is_small: bool) -> Seeds {
        if let Some(seed) = variable("FERROLB_SEED") {
            return Seeds { first: seed, number: 1, budget: Duration::MAX };
        }
        let more = variable("FERROLB_SEEDS").filter(|_| is_small);
        let budget = if more.is_some() { Duration::MAX } else { Duration::from_secs(40) };
        Seeds { first: variable("FERROLB_FIRST").unwrap_or(1), number: more.unwrap_or(number), budget }
    }
}

pub(crate) fn nodes() -> Option<usize> {
    variable("FERROLB_NODES").and_then(|nodes| usize::try_from(nodes).ok())
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}

pub(crate) fn run(plan: &Plan) -> World {
    let mut world = World::new(plan.setup.clone());
    world.is_overheard = plan.is_overheard;
    first_start(&mut world);
    world.schedule(&plan.faults);
    world.run(plan.until);
    world
}

/// Panics with the history of one that fails.
pub(crate) fn run_all(name: &str, seeds: Seeds, plan: impl Fn(u64) -> Plan + Sync) -> Vec<Figures> {
    let (next, all, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(None));
    let began = Instant::now();
    let goes_on = variable("FERROLB_GO_ON").is_some();
    let work = || {
        while began.elapsed() < seeds.budget && failed.lock().expect("no panic").is_none() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seeds.number {
                break;
            }
            let seed = seeds.first + number;
            let world = run(&plan(seed));
            if let Some(violation) = &world.violation {
                if goes_on {
                    println!(
                        "seed {seed}: {:?} after {:?}: {}",
                        violation.invariant, violation.at, violation.text
                    );
                } else {
                    failed.lock().expect("no panic").get_or_insert(seed);
                }
            }
            all.lock().expect("no panic").push(world.figures);
        }
    };
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(usize::try_from(seeds.number).unwrap_or(1));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    if let Some(seed) = failed.into_inner().expect("no panic") {
        tell(name, seed, plan(seed));
    }
    let all = all.into_inner().expect("no panic");
    let sum = |of: fn(&Figures) -> usize| all.iter().map(of).sum::<usize>();
    let longest_double = all.iter().map(|figures| figures.longest_double).max().unwrap_or_default();
    println!(
        "{name}: {} seeds in {:.1} s; {} suspicions, {} verdicts, {} refuted, {} addresses moved; \
         two answered for at most {longest_double:?}",
        all.len(),
        began.elapsed().as_secs_f64(),
        sum(|figures| figures.suspicions),
        sum(|figures| figures.downs),
        sum(|figures| figures.refuted),
        sum(|figures| figures.moves),
    );
    all
}

fn tell(name: &str, seed: u64, plan: Plan) -> ! {
    let plan = shortened(plan);
    let world = run(&plan);
    let Some(violation) = &world.violation else {
        panic!("seed {seed} failed, and not again: the machine is not a function of its input");
    };
    let recent = world.history.since(violation.at.saturating_sub(SHOWN)).to_string();
    let lines: Vec<&str> = recent.lines().collect();
    let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
    println!("what is needed of the faults of seed {seed}, with {:?}:", plan.setup);
    for (at, fault) in &plan.faults {
        println!("{:>12.6}  {fault:?}", at.as_secs_f64());
    }
    println!("\nthe history before it went wrong:\n{shown}\n\nin the end:\n{}", world.views());
    let nodes = nodes().map_or_else(String::new, |nodes| format!("FERROLB_NODES={nodes} "));
    panic!(
        "{:?} violated after {:?}: {}\nto see it again: FERROLB_SEED={seed} {nodes}cargo test -p protocol --test member -- --nocapture {name}",
        violation.invariant, violation.at, violation.text
    );
}

/// Leaves out faults that are not needed for the same thing to go wrong.
fn shortened(mut plan: Plan) -> Plan {
    let invariant = |plan: &Plan| run(plan).violation.map(|violation| violation.invariant);
    let wanted = invariant(&plan);
    let began = Instant::now();
    let mut place = plan.faults.len();
    while place > 0 && began.elapsed() < Duration::from_secs(60) {
        place -= 1;
        let mut shorter = plan.clone();
        shorter.faults.remove(place);
        if invariant(&shorter) == wanted {
            plan = shorter;
        }
    }
    plan
}

/// Prints them, and says how long the slowest took.
pub(crate) fn figures(what: &str, all: &[Figures]) -> Duration {
    let mut takeovers: Vec<Duration> =
        all.iter().flat_map(|figures| figures.takeovers.iter().copied()).collect();
    takeovers.sort();
    let Some(slowest) = takeovers.last() else { return Duration::ZERO };
    let at = |percent: usize| takeovers[(takeovers.len() - 1) * percent / 100];
    println!(
        "{what}: {} addresses, median {:?}, 99 % within {:?}, slowest {slowest:?}",
        takeovers.len(),
        at(50),
        at(99)
    );
    *slowest
}
