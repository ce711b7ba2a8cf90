//! What becomes of other speakers: who can answer, who is down, and what layer 2 may say.

use super::Session;
use crate::layer2::Change as WireChange;
use crate::members::{Candidates, News};

/// What was told of members, and what was told to them.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// To be told to layer 2 as decided, and whether this node was away before.
    open: Option<(u64, bool)>,
    is_ready: bool,
}

impl Session<'_> {
    pub(super) fn take_members(&mut self, news: News) {
        match news {
            News::Candidates(Candidates { alive, turn, was_away }) => {
                let was_away = was_away || self.turns.open.is_some_and(|(_, was_away)| was_away);
                self.turns.open = Some((turn, was_away));
                self.take_alive(alive);
            }
            News::Reunited { .. } => self.wire.apply(vec![WireChange::Again]),
            News::Gone(_) | News::Isolated(_) | News::Duplicate { .. } => {}
        }
    }

    /// After everything else that follows from what members have told.
    pub(super) fn close_turn(&mut self) {
        let is_ready = self.announcer.could_answer();
        if self.turns.is_ready != is_ready {
            self.turns.is_ready = is_ready;
            self.membership.is_ready(is_ready);
        }
        if let Some((turn, was_away)) = self.turns.open.take() {
            let again = was_away.then_some(WireChange::Again);
            self.wire.apply([WireChange::Decided(turn)].into_iter().chain(again).collect());
        }
    }
}
