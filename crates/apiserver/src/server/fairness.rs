//! Who comes next, when more is asked than can be worked on: everybody who waits in turn, however much each one asks.
//!
//! A decision over values; it knows no request, no clock and no task.

use std::collections::{BTreeMap, VecDeque};

use super::limits::Pool;

/// A request that was given a number.
pub(super) type Ticket = u64;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Run,
    Wait,
    Refuse,
}

/// Seats, those who have one, and those who wait for one.
#[derive(Debug)]
pub(super) struct Queues {
    limits: Pool,
    /// Only those who have or want something.
    users: BTreeMap<String, User>,
    running: usize,
    waiting: usize,
    turns: u64,
}

#[derive(Debug, Default)]
struct User {
    running: usize,
    waiting: VecDeque<Ticket>,
    /// When this user was last given a seat, counted in seats given.
    last_turn: u64,
}

impl Queues {
    pub(super) fn new(limits: Pool) -> Queues {
        Queues { limits, users: BTreeMap::new(), running: 0, waiting: 0, turns: 0 }
    }

    pub(super) fn arrive(&mut self, name: &str, ticket: Ticket) -> Arrival {
        let user = self.users.entry(name.to_owned()).or_default();
        // Nobody passes somebody who waits, except where that one waits for a seat of its own.
        let is_free = self.running < self.limits.seats && user.running < self.limits.seats_per_user;
        if is_free && user.waiting.is_empty() {
            self.turns += 1;
            user.last_turn = self.turns;
            user.running += 1;
            self.running += 1;
            return Arrival::Run;
        }
        if self.waiting >= self.limits.waiting || user.waiting.len() >= self.limits.waiting_per_user {
            self.forget_if_idle(name);
            return Arrival::Refuse;
        }
        user.waiting.push_back(ticket);
        self.waiting += 1;
        Arrival::Wait
    }

    /// A request of this user is done. Says whose turn it is, and with which request.
    pub(super) fn leave(&mut self, name: &str) -> Option<(String, Ticket)> {
        if let Some(user) = self.users.get_mut(name).filter(|user| user.running > 0) {
            user.running -= 1;
            self.running -= 1;
        }
        let next = self.next();
        self.forget_if_idle(name);
        next
    }

    /// A request that waits is no longer wanted.
    pub(super) fn cancel(&mut self, name: &str, ticket: Ticket) {
        if let Some(user) = self.users.get_mut(name) {
            let before = user.waiting.len();
            user.waiting.retain(|waiting| *waiting != ticket);
            self.waiting -= before - user.waiting.len();
        }
        self.forget_if_idle(name);
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Of those who wait the one who has least, and of several the one whose last turn is longest ago.
    fn next(&mut self) -> Option<(String, Ticket)> {
        if self.running >= self.limits.seats {
            return None;
        }
        let may_have_more = self.limits.seats_per_user;
        let candidates =
            self.users.iter_mut().filter(|(_, it)| !it.waiting.is_empty() && it.running < may_have_more);
        let (name, user) = candidates.min_by_key(|(_, user)| (user.running, user.last_turn))?;
        let ticket = user.waiting.pop_front()?;
        self.turns += 1;
        user.last_turn = self.turns;
        user.running += 1;
        self.running += 1;
        self.waiting -= 1;
        Some((name.clone(), ticket))
    }

    fn forget_if_idle(&mut self, name: &str) {
        if self.users.get(name).is_some_and(|user| user.running == 0 && user.waiting.is_empty()) {
            self.users.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POOL: Pool = Pool { seats: 3, seats_per_user: 2, waiting: 6, waiting_per_user: 4 };

    #[test]
    fn one_user_leaves_room_for_others_and_waits_for_its_own() {
        let mut queues = Queues::new(POOL);
        let arrivals: Vec<Arrival> = (0..7).map(|ticket| queues.arrive("greedy", ticket)).collect();
        use Arrival::{Refuse, Run, Wait};
        assert_eq!(arrivals, [Run, Run, Wait, Wait, Wait, Wait, Refuse]);
        assert_eq!(queues.arrive("modest", 10), Run);
        assert_eq!(queues.arrive("modest", 11), Wait);
        // Whoever has less comes first, though it came last.
        assert_eq!(queues.leave("greedy"), Some(("greedy".to_owned(), 2)));
        assert_eq!(queues.leave("modest"), Some(("modest".to_owned(), 11)));
        assert_eq!((queues.running(), queues.waiting()), (3, 3));
    }

    #[test]
    fn those_who_have_as_much_take_turns() {
        let mut queues = Queues::new(Pool { seats: 1, seats_per_user: 1, waiting: 9, waiting_per_user: 9 });
        assert_eq!(queues.arrive("a", 0), Arrival::Run);
        for (user, ticket) in [("a", 1), ("a", 2), ("b", 3), ("b", 4), ("c", 5)] {
            assert_eq!(queues.arrive(user, ticket), Arrival::Wait);
        }
        let mut order = Vec::new();
        let mut running = "a".to_owned();
        while let Some((user, ticket)) = queues.leave(&running) {
            order.push(ticket);
            running = user;
        }
        assert_eq!(order, [3, 5, 1, 4, 2]);
        assert!(queues.users.is_empty());
    }

    #[test]
    fn who_gives_up_is_not_called() {
        let mut queues = Queues::new(Pool { seats: 1, seats_per_user: 1, waiting: 2, waiting_per_user: 2 });
        assert_eq!(queues.arrive("a", 0), Arrival::Run);
        assert_eq!(queues.arrive("b", 1), Arrival::Wait);
        queues.cancel("b", 1);
        queues.cancel("b", 1);
        assert_eq!((queues.leave("a"), queues.waiting(), queues.running()), (None, 0, 0));
        assert!(queues.users.is_empty());
    }

    proptest! {
        /// Whatever comes and goes: bounds hold, nobody waits for a free seat of its own, and nothing is lost.
        #[test]
        fn bounds_hold_and_nobody_is_forgotten(steps in prop::collection::vec((0..4_usize, 0..3_u8), 1..200)) {
            let names = ["a", "b", "c", "d"];
            let mut queues = Queues::new(POOL);
            let mut running: Vec<String> = Vec::new();
            let mut waiting: Vec<(String, Ticket)> = Vec::new();
            for (ticket, (user, step)) in steps.into_iter().enumerate() {
                let (name, ticket) = (names[user], ticket as Ticket);
                match step {
                    0 | 1 => match queues.arrive(name, ticket) {
                        Arrival::Run => running.push(name.to_owned()),
                        Arrival::Wait => waiting.push((name.to_owned(), ticket)),
                        Arrival::Refuse => {
                            let own = waiting.iter().filter(|(it, _)| it == name).count();
                            prop_assert!(waiting.len() == POOL.waiting || own == POOL.waiting_per_user);
                        }
                    },
                    _ if !running.is_empty() => {
                        let left = running.remove(ticket as usize % running.len());
                        if let Some(next) = queues.leave(&left) {
                            prop_assert!(waiting.contains(&next));
                            waiting.retain(|it| *it != next);
                            running.push(next.0);
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!((queues.running(), queues.waiting()), (running.len(), waiting.len()));
                prop_assert!(running.len() <= POOL.seats);
                for name in names {
                    let has = running.iter().filter(|it| *it == name).count();
                    let wants = waiting.iter().any(|(it, _)| it == name);
                    prop_assert!(has <= POOL.seats_per_user);
                    prop_assert!(!wants || has == POOL.seats_per_user || running.len() == POOL.seats);
                }
            }
            // All go home: everybody who waits is called.
            while let Some(left) = running.pop() {
                if let Some(next) = queues.leave(&left) {
                    waiting.retain(|it| *it != next);
                    running.push(next.0);
                }
            }
            prop_assert!(waiting.is_empty() && queues.users.is_empty());
        }
    }
}
