//! A few nodes on one wire, in virtual time. What many do over long times is in `tests/member`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::Machine;

const DELAY: Duration = Duration::from_micros(200);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

struct Net {
    start: Instant,
    now: Instant,
    nodes: BTreeMap<usize, Members>,
    /// When, to whom, from whom, what.
    wire: Vec<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    events: Vec<(Duration, usize, Event)>,
    /// Pairs that do not hear each other.
    cut: BTreeSet<(usize, usize)>,
    /// Machines that are not called.
    asleep: BTreeSet<usize>,
}

fn address(node: usize) -> SocketAddr {
    ([10, 0, (node / 250) as u8, (node % 250 + 1) as u8], 7946).into()
}

fn name(node: usize) -> Name {
    format!("node-{node}").into()
}

fn options(node: usize) -> Options {
    Options {
        name: name(node),
        address: address(node),
        generation: 1000,
        detection: Detection::default(),
        isolated: Isolated::Keep,
        key: Key::new([7; 32]),
        seed: 99 + node as u64,
    }
}

impl Net {
    fn of(count: usize) -> Net {
        let now = Instant::now();
        let mut net = Net {
            start: now,
            now,
            nodes: BTreeMap::new(),
            wire: Vec::new(),
            events: Vec::new(),
            cut: BTreeSet::new(),
            asleep: BTreeSet::new(),
        };
        for node in 0..count {
            net.add(options(node), count);
        }
        net.run(ms(3000));
        net.events.clear();
        net
    }

    fn add(&mut self, options: Options, count: usize) {
        let node = (0..count).find(|node| address(*node) == options.address).unwrap();
        let mut members = Members::new(options, self.now);
        members.handle(Input::Ready(true), self.now);
        members.handle(Input::Peers((0..count).map(address).collect()), self.now);
        self.nodes.insert(node, members);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes.get_mut(&node).and_then(Members::poll) {
            match output {
                Output::Send { to, bytes } => self.wire.push((self.now + DELAY, to, address(node), bytes)),
                Output::Event(event) => self.events.push((self.now - self.start, node, event)),
            }
        }
        if let Some(members) = self.nodes.get(&node) {
            let records = members.state.members.values().map(|member| &member.record);
            let all = records.chain([&members.state.own.record]);
            assert_eq!(members.digest(), all.fold(0, |digest, record| digest ^ table::hash(record)));
        }
    }

    fn tell(&mut self, node: usize, input: Input) {
        self.nodes.get_mut(&node).unwrap().handle(input, self.now);
        self.drain(node);
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let awake = self.nodes.iter().filter(|(node, _)| !self.asleep.contains(node));
            let timer =
                awake.filter_map(|(node, it)| it.deadline().map(|at| (at.max(self.now), *node))).min();
            let is_for_sleeper = |to: &SocketAddr| self.asleep.iter().any(|node| address(*node) == *to);
            let frame = self.wire.iter().enumerate().filter(|(_, it)| !is_for_sleeper(&it.1));
            let frame = frame.map(|(at, it)| (it.0.max(self.now), at)).min();
            match (timer, frame) {
                (timer, Some((at, position))) if at <= until && timer.is_none_or(|timer| at <= timer.0) => {
                    self.now = at;
                    let (_, to, from, bytes) = self.wire.remove(position);
                    self.deliver(to, from, &bytes);
                }
                (Some((at, node)), _) if at <= until => {
                    self.now = at;
                    self.nodes.get_mut(&node).unwrap().handle_timeout(at);
                    self.drain(node);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    fn deliver(&mut self, to: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        let find = |wanted| (0..100).find(|node| address(*node) == wanted);
        let (Some(to), Some(from_node)) = (find(to), find(from)) else { return };
        if self.cut.contains(&(to.min(from_node), to.max(from_node))) {
            return;
        }
        if let Some(members) = self.nodes.get_mut(&to) {
            members.receive(from, bytes, self.now);
            self.drain(to);
        }
    }

    fn candidates(&self, node: usize) -> Vec<usize> {
        let names = self.nodes[&node].state().candidates();
        (0..100).filter(|it| names.contains(&name(*it))).collect()
    }

    fn cut_off(&mut self, node: usize) {
        self.cut.extend((0..100).filter(|it| *it != node).map(|it| (it.min(node), it.max(node))));
    }

    /// When each node heard that another is down.
    fn told_down(&self, lost: usize) -> Vec<(usize, Duration)> {
        let is_it = |event: &Event| matches!(event, Event::Down { name: it, .. } if *it == name(lost));
        self.events.iter().filter(|(_, _, event)| is_it(event)).map(|(at, node, _)| (*node, *at)).collect()
    }

    fn has(&self, node: usize, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|(_, at, event)| *at == node && wanted(event))
    }
}

#[test]
fn nodes_that_start_find_each_other() {
    for count in [1, 2, 3, 7] {
        let net = Net::of(count);
        for node in 0..count {
            assert_eq!(net.candidates(node), (0..count).collect::<Vec<_>>(), "node {node} of {count}");
            assert!(net.nodes[&node].may_answer_until().is_some());
        }
    }
}

#[test]
fn a_node_that_is_not_ready_is_no_candidate() {
    let mut net = Net::of(3);
    net.tell(1, Input::Ready(false));
    net.run(ms(10));
    assert_eq!(net.candidates(0), [0, 2]);
    net.tell(1, Input::Ready(true));
    net.run(ms(10));
    assert_eq!(net.candidates(0), [0, 1, 2]);
}

#[test]
fn a_dead_node_is_down_within_a_quarter_of_a_second() {
    for count in [2, 3, 5, 20] {
        let mut net = Net::of(count);
        net.nodes.remove(&1);
        let before = net.now - net.start;
        net.run(ms(1000));
        let told = net.told_down(1);
        assert_eq!(told.iter().map(|(node, _)| *node).collect::<BTreeSet<_>>().len(), count - 1, "{told:?}");
        for (node, at) in told {
            assert!(at - before <= ms(260), "node {node} of {count} knew after {:?}", at - before);
        }
        for node in (0..count).filter(|node| *node != 1) {
            assert!(!net.candidates(node).contains(&1));
        }
    }
}

#[test]
fn nobody_is_suspected_in_peace() {
    let mut net = Net::of(5);
    net.run(Duration::from_secs(30));
    let odd = net.events.iter().filter(|(.., event)| !matches!(event, Event::Slipped { .. }));
    assert_eq!(odd.collect::<Vec<_>>(), [] as [&(Duration, usize, Event); 0]);
}

#[test]
fn one_broken_path_moves_nothing() {
    let mut net = Net::of(4);
    net.cut.insert((0, 1));
    net.run(Duration::from_secs(5));
    for node in 0..4 {
        assert_eq!(net.candidates(node), [0, 1, 2, 3], "{node}");
    }
    assert!(net.has(0, |event| matches!(event, Event::Cleared { .. })));
}

#[test]
fn a_node_that_is_cut_off_keeps_everything_and_is_one_of_them_again_at_once() {
    let mut net = Net::of(3);
    net.cut_off(0);
    net.run(ms(2000));
    assert_eq!(net.candidates(0), [0]);
    assert_eq!(net.candidates(1), [1, 2]);
    assert!(net.has(0, |event| *event == Event::Isolated(true)));
    net.cut.clear();
    net.events.clear();
    net.run(ms(600));
    for node in 0..3 {
        assert_eq!(net.candidates(node), [0, 1, 2], "{node}");
        assert!(net.has(node, |event| matches!(event, Event::Reunited { .. })), "{node}");
    }
}

#[test]
fn a_node_that_is_cut_off_yields_if_it_is_told_so() {
    let mut net = Net::of(0);
    for node in 0..3 {
        net.add(Options { isolated: Isolated::Yield, ..options(node) }, 3);
    }
    net.run(ms(3000));
    net.cut_off(0);
    net.run(ms(1000));
    assert_eq!(net.nodes[&0].may_answer_until(), None);
    assert_eq!(net.candidates(1), [1, 2]);
    assert!(net.nodes[&1].may_answer_until().is_some());
    net.cut.clear();
    net.run(ms(600));
    assert!(net.nodes[&0].may_answer_until().is_some());
    assert_eq!(net.candidates(0), [0, 1, 2]);
}

#[test]
fn two_halves_go_on_and_come_together_without_a_moment_of_nobody() {
    let mut net = Net::of(6);
    for one in [0, 1, 2] {
        for other in [3, 4, 5] {
            net.cut.insert((one, other));
        }
    }
    net.run(ms(2000));
    assert_eq!(net.candidates(1), [0, 1, 2]);
    assert_eq!(net.candidates(4), [3, 4, 5]);
    net.cut.clear();
    for _ in 0..200 {
        net.run(ms(10));
        for node in 0..6 {
            assert!(net.candidates(node).len() >= 3, "{:?}", net.candidates(node));
            assert!(net.nodes[&node].may_answer_until().is_some());
        }
    }
    for node in 0..6 {
        assert_eq!(net.candidates(node), [0, 1, 2, 3, 4, 5], "{node}");
    }
}

#[test]
fn who_wakes_up_is_silent_until_it_knows_what_became_of_it() {
    let mut net = Net::of(3);
    net.asleep.insert(2);
    let gate = net.nodes[&2].may_answer_until().unwrap();
    net.run(ms(1000));
    assert_eq!(net.candidates(0), [0, 1]);
    let down = net.told_down(2)[0].1;
    assert!(gate < net.start + down, "the gate closes before anybody takes over");
    net.asleep.clear();
    net.events.clear();
    net.nodes.get_mut(&2).unwrap().handle_timeout(net.now);
    assert_eq!(net.nodes[&2].may_answer_until(), None);
    net.drain(2);
    net.run(ms(300));
    assert!(net.has(2, |event| matches!(event, Event::Refuted { .. })));
    assert!(net.nodes[&2].may_answer_until().is_some());
    for node in 0..3 {
        assert_eq!(net.candidates(node), [0, 1, 2], "{node}");
    }
}

#[test]
fn who_wakes_up_answers_not_before_it_knows_who_came_meanwhile() {
    for has_lost_what_came in [false, true] {
        let mut net = Net::of(4);
        net.nodes.remove(&0);
        net.run(ms(1000));
        net.asleep.insert(1);
        net.run(ms(1000));
        net.add(Options { generation: 2000, seed: 4711, ..options(0) }, 4);
        net.run(ms(2000));
        assert_eq!(net.candidates(2), [0, 2, 3]);
        net.asleep.clear();
        if has_lost_what_came {
            net.wire.retain(|(_, to, _, _)| *to != address(1));
        }
        let woken = net.now;
        while net.nodes[&1].may_answer_until().is_none_or(|until| until <= net.now) {
            net.run(Duration::from_micros(100));
            assert!(net.now - woken < ms(150), "it takes part again");
        }
        assert_eq!(net.candidates(1), [0, 1, 2, 3], "{has_lost_what_came}");
    }
}

#[test]
fn a_watcher_that_slept_accuses_nobody() {
    let mut net = Net::of(3);
    net.asleep.extend([0, 1, 2]);
    net.run(Duration::from_secs(10));
    net.asleep.clear();
    net.run(Duration::from_secs(2));
    for node in 0..3 {
        assert_eq!(net.candidates(node), [0, 1, 2], "{node}");
        assert!(net.told_down(node).is_empty());
    }
}

#[test]
fn one_that_leaves_says_so_and_is_not_missed() {
    let mut net = Net::of(3);
    net.tell(0, Input::Leave(true));
    net.run(ms(5));
    assert_eq!(net.candidates(1), [1, 2]);
    assert!(net.has(1, |event| *event == Event::Leaving { name: name(0) }));
    assert!(net.nodes[&0].may_answer_until().is_some(), "it answers until somebody else does");
    net.tell(0, Input::Left);
    net.run(ms(30));
    assert_eq!(net.nodes[&0].may_answer_until(), None);
    net.nodes.remove(&0);
    net.run(Duration::from_secs(3));
    assert!(net.told_down(0).is_empty());
    assert_eq!(net.nodes[&1].state().members[&name(0)].record.standing, Standing::Left);
    net.add(Options { generation: 2000, seed: 2000, ..options(0) }, 3);
    net.run(ms(1500));
    assert_eq!(net.candidates(2), [0, 1, 2]);
}

#[test]
fn one_that_fails_again_and_again_waits_longer_each_time() {
    let mut net = Net::of(3);
    let mut waits = Vec::new();
    for start in 1..5 {
        net.nodes.remove(&0);
        net.run(ms(1000));
        net.add(Options { generation: 1000 + start, seed: 500 + start, ..options(0) }, 3);
        let before = net.now;
        while net.candidates(1) != [0, 1, 2] {
            net.run(ms(50));
            assert!(net.now - before < Duration::from_secs(60));
        }
        waits.push((net.now - before).as_secs());
    }
    net.run(TIMES.forgiveness * 5);
    assert_eq!(net.nodes[&0].state().own.record.failures, 0);
    assert_eq!(waits, [0, 2, 4, 8]);
}

#[test]
fn where_all_failed_too_often_nothing_moves_when_the_first_wait_is_over() {
    let mut net = Net::of(3);
    let standings = |net: &Net| -> Vec<Standing> {
        net.nodes.values().map(|members| members.state().own.record.standing).collect()
    };
    let mut generation = 1000;
    // The one with the longest wait is not the last.
    for node in [0, 1, 2].into_iter().cycle() {
        net.nodes.remove(&node);
        net.run(ms(400));
        generation += 1;
        net.add(Options { generation, seed: generation, ..options(node) }, 3);
        net.run(ms(400));
        if standings(&net) == [Standing::Damped; 3] {
            break;
        }
        assert!(generation < 1030);
    }
    let mut first_at = None;
    while standings(&net) != [Standing::Alive; 3] {
        net.run(ms(1));
        for node in 0..3 {
            assert_eq!(net.candidates(node), [0, 1, 2], "{node}");
            assert!(net.nodes[&node].may_answer_until().is_some(), "{node}");
        }
        if standings(&net).contains(&Standing::Alive) {
            let first_at = *first_at.get_or_insert(net.now);
            assert!(net.now < first_at + ms(5), "all with the first: {:?}", standings(&net));
        }
    }
    let failures: Vec<u8> = net.nodes.values().map(|members| members.state().own.record.failures).collect();
    assert!(failures.iter().all(|failures| *failures > 1), "it is not forgotten: {failures:?}");
    net.run(Duration::from_secs(3));
    assert_eq!(net.candidates(0), [0, 1, 2]);
    // And who fails again where others do not waits as before.
    net.nodes.remove(&0);
    net.run(ms(1000));
    net.add(Options { generation: 5000, seed: 5000, ..options(0) }, 3);
    net.run(Duration::from_secs(2));
    assert_eq!(net.candidates(1), [1, 2]);
}

#[test]
fn a_second_speaker_of_the_same_name_changes_nothing() {
    let mut net = Net::of(3);
    let second = Options { name: name(1), generation: 9000, ..options(3) };
    net.add(second, 4);
    net.run(Duration::from_secs(3));
    for node in 0..3 {
        assert_eq!(net.candidates(node), [0, 1, 2], "{node}");
        assert_eq!(
            net.nodes[&node].state().members.get(&name(1)).map(|it| it.record.address),
            (node != 1).then(|| address(1))
        );
    }
    assert_eq!(net.nodes[&3].may_answer_until(), None);
    assert!(net.nodes[&3].state().own.duplicate_of.is_some());
    // The first one is gone: its node may have a new address.
    net.nodes.remove(&1);
    net.run(Duration::from_secs(3));
    assert!(net.nodes[&3].may_answer_until().is_some());
    assert_eq!(net.nodes[&0].state().members[&name(1)].record.address, address(3));
}

#[test]
fn a_clock_that_went_back_between_two_starts_does_no_harm() {
    let mut net = Net::of(3);
    net.nodes.remove(&1);
    net.run(ms(1000));
    net.add(Options { generation: 5, seed: 5000, ..options(1) }, 3);
    net.run(Duration::from_secs(3));
    for node in 0..3 {
        assert_eq!(net.candidates(node), [0, 1, 2], "{node}");
    }
}

#[test]
fn keys_change_while_all_goes_on() {
    let mut net = Net::of(3);
    let new = Key::new([8; 32]);
    for node in 0..3 {
        net.tell(node, Input::Key(new.clone()));
        net.run(Duration::from_secs(20));
        for node in 0..3 {
            assert_eq!(net.candidates(node), [0, 1, 2], "{node}");
        }
    }
    net.run(TIMES.key_overlap * 2);
    for node in 0..3 {
        assert_eq!(net.candidates(node), [0, 1, 2], "{node}");
        assert!(net.told_down(node).is_empty());
        assert_eq!(net.nodes[&node].state().counters.dropped, Dropped::default());
    }
    let stranger = Options { key: Key::new([7; 32]), ..options(3) };
    net.add(stranger, 4);
    net.run(Duration::from_secs(2));
    assert_eq!(net.candidates(0), [0, 1, 2]);
    assert!(net.has(0, |event| *event == Event::ForeignKey { from: address(3) }));
}

#[test]
fn the_slower_of_two_is_what_is_agreed_on() {
    let mut net = Net::of(0);
    let slow = Detection { interval: ms(200), multiplier: 3 };
    net.add(options(0), 2);
    net.add(Options { detection: slow, ..options(1) }, 2);
    net.run(ms(3000));
    for node in 0..2 {
        let watchers = net.nodes.get_mut(&node).unwrap().show().own.watchers.clone();
        assert_eq!(watchers.iter().map(|it| (it.is_up, it.interval)).collect::<Vec<_>>(), [(true, ms(200))]);
    }
    let before = net.now - net.start;
    net.nodes.remove(&0);
    net.run(ms(2000));
    let (_, at) = net.told_down(0)[0];
    assert!(at - before > ms(500) && at - before < ms(710), "{:?}", at - before);
}

#[test]
fn notes_reach_everybody_also_who_comes_later() {
    let mut net = Net::of(3);
    for last in 0..20 {
        net.tell(0, Input::Note { address: [192, 0, 2, last].into(), owner: Some(name(0)) });
    }
    net.tell(1, Input::Note { address: [192, 0, 2, 5].into(), owner: Some(name(1)) });
    net.run(Duration::from_secs(1));
    net.tell(2, Input::Note { address: [192, 0, 2, 6].into(), owner: None });
    net.add(options(3), 4);
    net.run(Duration::from_secs(10));
    for node in 0..4 {
        let notes = &net.nodes[&node].state().notes;
        assert_eq!(notes.len(), 20, "{node}");
        assert_eq!(notes[&IpAddr::from([192, 0, 2, 6])].owner, None);
        assert_eq!(*notes, net.nodes[&0].state().notes, "{node}");
        assert!(net.has(node, |event| *event == Event::Notes));
    }
}
