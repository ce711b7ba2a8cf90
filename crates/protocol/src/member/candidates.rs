//! Who is a candidate: all that are alive, or, where there are none, those that failed too often.
//!
//! If the first of these is alive again all are, at once. It would be given every address otherwise, and would have to give most
//! of them back when the waits of the others are over.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Name;
use super::machine::Members;
use super::record::Standing;

/// Who fails often, and is not needed any more, answers so long until those are heard that are better.
const YIELDS_FOR: Duration = Duration::from_secs(1);
/// All whose wait ends with that of the first have said so after this time.
const RISE_WITHIN: Duration = Duration::from_secs(1);

impl Members {
    pub(super) fn count_member(&mut self, name: &Name) {
        self.count_member_that(name, false);
    }

    /// `has_risen`: it was there, and says that it is a candidate now.
    pub(super) fn count_member_that(&mut self, name: &Name, has_risen: bool) {
        let member = self.state.members.get(name).filter(|member| member.is_up());
        let standing = member.map(|member| member.record.standing);
        self.count(name, standing, has_risen);
        self.watchers_are_stale = true;
    }

    pub(super) fn count_own(&mut self, has_risen: bool) {
        let own = &self.state.own;
        let standing = (!(own.is_isolated && own.yields)).then_some(own.record.standing);
        let name = self.options.name.clone();
        self.count(&name, standing, has_risen);
    }

    /// Keeps the candidates up to date.
    fn count(&mut self, name: &Name, standing: Option<Standing>, has_risen: bool) {
        let had_alive = !self.state.alive.is_empty();
        let is_alive = standing == Some(Standing::Alive);
        let is_any = is_alive || standing == Some(Standing::Damped);
        let set = |set: &mut BTreeSet<Name>, is_in: bool| {
            if is_in { set.insert(name.clone()) } else { set.remove(name) }
        };
        let alive_changed = set(&mut self.state.alive, is_alive);
        let any_changed = set(&mut self.state.with_damped, is_any);
        self.candidates_changed |= if self.state.counts_damped { any_changed } else { alive_changed };
        if self.state.alive.is_empty() {
            self.damped_count_until = None;
            self.count_damped(true);
        } else if !had_alive && has_risen {
            self.rise_with_the_first();
        } else if !had_alive {
            self.count_damped(false);
        }
    }

    fn count_damped(&mut self, counts: bool) {
        if std::mem::replace(&mut self.state.counts_damped, counts) == counts {
            return;
        }
        self.candidates_changed |= self.state.alive != self.state.with_damped;
        if !counts && self.state.own.record.standing == Standing::Damped {
            self.yields_until = Some(self.now + YIELDS_FOR);
        }
    }

    /// All that there were had failed too often, and served all the same. They do not hand everything to the first whose wait
    /// is over: theirs is over as well, and until they have said so they count.
    fn rise_with_the_first(&mut self) {
        self.damped_count_until = Some(self.now + RISE_WITHIN);
        if !self.state.own.is_isolated && !self.was_asleep {
            self.state.own.damped_until = None;
        }
    }

    pub(super) fn see_to_damped(&mut self, now: Instant) {
        if self.damped_count_until.is_some_and(|until| until <= now) {
            self.damped_count_until = None;
            self.count_damped(false);
        }
    }
}
