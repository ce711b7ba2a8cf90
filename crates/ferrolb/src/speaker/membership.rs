//! What becomes of other speakers: who can answer, who is down, what layer 2 may say, and what is prepared for the next failure.

use std::time::{Duration, Instant};

use plan::announce::Alive;

use super::Session;
use crate::layer2::Change as WireChange;
use crate::members::{Candidates, News, Plan};
use crate::speaker::succession::Prepared;

/// A node that ends answers until others were heard to answer for all that was its own, and no longer than this. MetalLB's
/// manifests grant a Pod two seconds.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// What was told of members, and what was told to them.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// To be told to layer 2 as decided, and whether this node was away before.
    open: Option<(u64, bool)>,
    /// That decisions were made in last.
    current: u64,
    is_ready: bool,
    leaving: Option<Leaving>,
}

/// This node ends.
#[derive(Debug)]
struct Leaving {
    until: Instant,
    /// What it answers for is given to others, as everybody knows by now.
    is_told: bool,
}

impl Turns {
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.leaving.as_ref().map(|leaving| leaving.until)
    }
}

impl Session<'_> {
    pub(super) fn take_members(&mut self, news: News) {
        match news {
            News::Candidates(Candidates { alive, turn, was_away }) => {
                let was_away = was_away || self.turns.open.is_some_and(|(_, was_away)| was_away);
                self.turns.open = Some((turn, was_away));
                if let Some(leaving) = &mut self.turns.leaving {
                    leaving.is_told |= !has(&alive, &self.options.node);
                }
                if was_away {
                    self.announcer.was_away();
                }
                self.take_alive(alive);
            }
            News::Gone(gone) => self.announcer.took_over(gone.addresses),
            News::Reunited { .. } => self.wire.apply(vec![WireChange::Again]),
            News::Owners(owners) => self.announcer.set_owners(owners),
            News::Isolated(_) | News::Duplicate { .. } => {}
        }
    }

    /// After everything else that follows from what members have told.
    pub(super) fn close_turn(&mut self, prepared: Option<Prepared>) {
        let is_ready = self.announcer.could_answer();
        if self.turns.is_ready != is_ready {
            self.turns.is_ready = is_ready;
            self.membership.is_ready(is_ready);
        }
        if let Some((turn, was_away)) = self.turns.open.take() {
            self.turns.current = turn;
            let again = was_away.then_some(WireChange::Again);
            self.wire.apply([WireChange::Decided(turn)].into_iter().chain(again).collect());
        }
        if let Some(Prepared { after, heirs }) = prepared {
            self.membership.plan(Plan { turn: self.turns.current, after });
            self.membership.heirs(heirs);
        }
    }

    /// Begins to end: others take over before this node falls silent.
    pub(super) fn begin_to_leave(&mut self, now: Instant) {
        let is_watched = self.membership.is_watched();
        let until = if is_watched { now + LEAVE_WITHIN } else { now };
        self.turns.leaving = Some(Leaving { until, is_told: false });
        self.membership.leave(true);
    }

    pub(super) fn has_left(&self, now: Instant) -> bool {
        let Some(leaving) = &self.turns.leaving else { return false };
        leaving.until <= now || leaving.is_told && !self.announcer.is_yielding()
    }
}

fn has(alive: &Alive, node: &str) -> bool {
    match alive {
        Alive::Everyone => true,
        Alive::These(nodes) => nodes.contains(node),
    }
}
