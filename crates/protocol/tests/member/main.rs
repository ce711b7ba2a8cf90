//! Membership of many nodes in virtual time: everything that can go wrong between them, drawn from a seed.
//!
//! A seed that fails is printed with its history and the command that runs it again. To look for others:
//!
//! ```text
//! FERROLB_FIRST=1000000 FERROLB_SEEDS=100000 cargo test -p protocol --test member -- --nocapture anything
//! FERROLB_SEED=4711 FERROLB_NODES=7 cargo test -p protocol --test member -- --nocapture anything
//! ```
//!
//! With `FERROLB_GO_ON=1` every seed that fails is told in one line.

mod answering;
mod attacks;
mod bytes;
mod checks;
mod clock;
mod history;
mod network;
mod ownership;
mod plans;
mod random;
mod running;
mod scenario;
mod speaker;
mod traffic;
mod world;

use std::time::Duration;

use protocol::member::Detection;

use plans::Plan;
use running::{Seeds, figures, run, run_all};

#[test]
fn anything_may_happen_and_one_node_answers_in_the_end() {
    run_all("anything", Seeds::small(1000), |seed| plans::anything(seed, running::nodes()));
}

#[test]
fn a_silent_owner_is_followed_in_a_third_of_a_second() {
    let all = run_all("a_silent_owner", Seeds::small(150), |seed| {
        plans::one_failure(seed, running::nodes().unwrap_or(3 + seed as usize % 6), Detection::default())
    });
    let slowest = figures("fault to first frame", &all);
    assert!(slowest <= Duration::from_millis(350), "{slowest:?}");
}

#[test]
fn with_fast_beats_in_a_tenth_of_a_second() {
    let fast = Detection { interval: Duration::from_millis(10), multiplier: 3 };
    let all =
        run_all("fast_beats", Seeds::small(50), |seed| plans::one_failure(seed, 3 + seed as usize % 6, fast));
    let slowest = figures("fault to first frame, 10 ms", &all);
    assert!(slowest <= Duration::from_millis(120), "{slowest:?}");
}

#[test]
fn load_and_loss_move_nothing() {
    run_all("load", Seeds::small(12), |seed| {
        plans::load(seed, running::nodes().unwrap_or(3 + seed as usize % 5), Duration::from_secs(120))
    });
}

#[test]
fn one_broken_link_moves_nothing() {
    run_all("one_broken_link", Seeds::small(40), plans::one_broken_link);
}

#[test]
fn what_is_forged_or_replayed_moves_nothing() {
    run_all("forged", Seeds::small(40), plans::attacked);
}

#[test]
fn what_is_replayed_to_one_that_starts_moves_nothing() {
    run_all("one_that_starts", Seeds::small(40), plans::attacked_while_restarting);
}

#[test]
fn a_new_key_moves_nothing() {
    run_all("new_key", Seeds::small(20), plans::rotation);
}

#[test]
fn a_second_of_a_name_and_one_with_another_key_move_nothing() {
    run_all("second_of_a_name", Seeds::small(20), plans::impostors);
}

#[test]
fn a_hundred_nodes() {
    run_all("a_hundred", Seeds::few(2), |seed| plans::many(seed, running::nodes().unwrap_or(100), 1000));
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_nodes() {
    run_all("a_thousand", Seeds::few(1), |seed| plans::many(seed, running::nodes().unwrap_or(1000), 10_000));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..10 {
        let plan: Plan = plans::anything(seed, None);
        assert_eq!(run(&plan).history.digest(), run(&plan).history.digest(), "seed {seed}");
    }
}
