//! Two machines come to an understanding, whatever happens between them.

use std::time::Duration;

use proptest::prelude::*;

use super::desk::{OURS, THEIRS, settings};
use super::virtual_link::Link;
use crate::bgp::session::{Input, LostBy, Phase, RemoteAs, Restart, Settings, Stop};

/// Two neighbours that want each other.
fn both(change: impl Fn(&mut Settings)) -> [Settings; 2] {
    let mut left = Settings { router_id: OURS, remote_as: RemoteAs::Number(64513), ..settings() };
    let mut right = Settings {
        router_id: THEIRS,
        local_as: 64513,
        router_as: 64513,
        remote_as: RemoteAs::Number(64512),
        ..settings()
    };
    change(&mut left);
    change(&mut right);
    [left, right]
}

/// After everything has been quiet for a while, both know all; and that within `bound`.
fn settle(link: &mut Link, bound: Duration) {
    let began = link.now;
    let mut settled_at = None;
    while settled_at.is_none_or(|at| link.now - at < Duration::from_secs(20)) {
        link.step();
        let (phases, told, wanted) = (link.phases(), link.told(), link.wanted());
        match link.is_settled() {
            true => settled_at = settled_at.or(Some(link.now)),
            // Once it is so it stays so.
            false => assert_eq!(settled_at, None, "{phases:?} {told:?} {wanted:?}"),
        }
        let waited = link.now - began;
        assert!(settled_at.is_some() || waited < bound, "after {waited:?} {phases:?} {told:?} {wanted:?}");
    }
    assert_eq!(link.told(), link.wanted());
}

#[derive(Debug, Clone)]
struct Case {
    hold: (u16, u16),
    connect_retry: Option<Duration>,
    is_internal: bool,
    is_one_passive: bool,
    restarts: bool,
    seed: u64,
    steps: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let hold = prop_oneof![Just((3, 1)), Just((90, 30)), Just((0, 0))];
    let connect_retry = prop_oneof![Just(None), Just(Some(Duration::from_secs(5)))];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (hold, connect_retry, flags, any::<u64>(), 0..600usize).prop_map(
        |(hold, connect_retry, (is_internal, is_one_passive, restarts), seed, steps)| Case {
            hold,
            connect_retry,
            is_internal,
            is_one_passive,
            restarts,
            seed,
            steps,
        },
    )
}

impl Case {
    fn link(&self) -> Link {
        let mut settings = both(|it| {
            (it.hold_secs, it.keepalive_secs) = self.hold;
            it.connect_retry = self.connect_retry;
            it.graceful_restart = self.restarts.then_some(Restart { secs: 120 });
            if self.is_internal {
                (it.local_as, it.router_as, it.remote_as) = (64512, 64512, RemoteAs::Internal);
            }
        });
        settings[1].is_passive = self.is_one_passive;
        Link::new(settings, self.seed)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn two_that_are_left_alone_soon_agree(case in cases()) {
        let mut link = case.link();
        for _ in 0..3 {
            link.change_routes();
        }
        // Even if both connect at the same moment.
        settle(&mut link, Duration::from_secs(10));
    }

    #[test]
    fn two_that_are_disturbed_agree_in_the_end(case in cases()) {
        let mut link = case.link();
        for step in 0..case.steps {
            link.step();
            match (case.seed >> (step % 48)) % 37 {
                0 => link.change_routes(),
                1 => link.disturb(case.hold.0 > 0),
                2 if step % 5 == 0 => link.poke(Input::Reset { text: String::new() }),
                3 if step % 5 == 0 => link.poke(Input::Lost { by: LostBy::Bfd }),
                4 if step % 5 == 0 => link.poke(Input::Stop(Stop::Restarting)),
                5 => link.poke(Input::Start),
                _ => {}
            }
        }
        for _ in 0..16 {
            link.poke(Input::Start);
        }
        // The longest waits: for an OPEN on what is cut, and then between attempts.
        settle(&mut link, Duration::from_secs(600));
    }
}

#[test]
fn a_link_that_is_cut_is_noticed_in_time_and_comes_back() {
    let mut link = Link::new(both(|it| (it.hold_secs, it.keepalive_secs) = (3, 1)), 11);
    link.change_routes();
    settle(&mut link, Duration::from_secs(10));
    for _ in 0..40 {
        link.disturb(true);
        link.step();
    }
    settle(&mut link, Duration::from_secs(120));
    assert_eq!(link.phases(), [Phase::Established; 2]);
}
