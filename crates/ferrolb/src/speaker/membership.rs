//! What becomes of other speakers: who can answer, who is down, what layer 2 may say, and what is prepared for the next failure.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use plan::announce::Alive;
use protocol::member::{Name, Verdict};

use super::Session;
use crate::events::{self, About};
use crate::layer2::Change as WireChange;
use crate::members::{Candidates, Gone, News, Plan};
use crate::speaker::announcer::{self, Turned};
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
    /// Somebody has said that this node is to announce nothing.
    is_drained: bool,
    /// What is announced is to be announced again, once it is decided what that is.
    again: bool,
    /// Nodes that are down, of which nothing was said yet.
    falls: Vec<Fall>,
}

/// A node that is down, and when this one had sent a first frame instead.
#[derive(Debug)]
struct Fall {
    node: Name,
    verdict: Verdict,
    first_frame_after: Option<Duration>,
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
            News::Gone(Gone { name, verdict, addresses, first_frame_after }) => {
                self.announcer.took_over(addresses);
                if let Some(verdict) = verdict {
                    self.turns.falls.push(Fall { node: name, verdict, first_frame_after });
                }
            }
            News::Reunited { .. } => self.turns.again = true,
            News::Duplicate { name, address } => {
                let message =
                    format!("the speaker at {address} says that it is on this node, as another one does");
                self.say_of_node(&name, "duplicateSpeaker", message);
            }
            News::Owners(owners) => self.announcer.set_owners(owners),
            News::Isolated(_) => {}
        }
    }

    /// After everything else that follows from what members have told.
    pub(super) fn close_turn(&mut self, prepared: Option<Prepared>) {
        let is_ready = self.announcer.could_answer();
        if self.turns.is_ready != is_ready {
            self.turns.is_ready = is_ready;
            self.membership.is_ready(is_ready);
        }
        let mut changes = Vec::new();
        if let Some((turn, was_away)) = self.turns.open.take() {
            self.turns.current = turn;
            self.turns.again |= was_away;
            changes.push(WireChange::Decided(turn));
        }
        if std::mem::take(&mut self.turns.again) {
            // Together with what opens the gate, so that nothing is answered before it is claimed.
            changes.push(WireChange::Again);
        }
        if !changes.is_empty() {
            self.wire.apply(changes);
        }
        if let Some(Prepared { after, heirs }) = prepared {
            self.membership.plan(Plan { turn: self.turns.current, after });
            self.membership.heirs(heirs);
        }
    }

    /// Has others take over before anybody sees by the API that this node is drained.
    pub(super) fn follow_drain(&mut self) {
        let nodes = &self.configuration.nodes.values;
        let is_own = |node: &&plan::snapshot::Node| node.name == self.options.node;
        let is_drained = nodes.values().find(is_own).is_some_and(|node| node.is_draining);
        if self.turns.is_drained != is_drained {
            self.turns.is_drained = is_drained;
            match is_drained {
                true => tracing::info!("this node is drained: others take over what it announces"),
                false => tracing::info!("this node is not drained any more"),
            }
            self.membership.leave(is_drained || self.turns.is_leaving());
        }
    }

    /// What has moved because a node is down, with the times that were measured.
    pub(super) fn tell_of_failures(&mut self, turned: &[Turned]) {
        // Not before what follows from it is decided.
        if self.turns.open.is_none() {
            return;
        }
        for Fall { node, verdict, first_frame_after } in std::mem::take(&mut self.turns.falls) {
            let (silence, inquiry) = (verdict.silence.as_millis(), verdict.inquiry.as_millis());
            let how =
                format!("nothing was heard of it for {silence} ms, and nobody else heard it in {inquiry} ms");
            let own = &self.options.node;
            if verdict.by.as_deref() == Some(own) {
                self.say_of_node(
                    &node,
                    "nodeDown",
                    format!("node {own:?} found that the speaker is down: {how}"),
                );
            }
            let frame = first_frame_after.map_or_else(String::new, |after| {
                let after = verdict.silence + verdict.inquiry + after;
                format!("; announced {} ms after it was last heard", after.as_millis())
            });
            let message =
                format!("taken over by node {own:?} because node {:?} is down: {how}{frame}", &*node);
            let of_node = self.statuses.of_others().filter(|object| object.announcer() == &*node);
            let were_there: BTreeSet<_> = of_node.map(|object| &object.service).collect();
            let moved = turned.iter().filter(|it| it.now.is_some() && were_there.contains(&it.service));
            let seen: Vec<_> = moved.filter_map(|it| self.announcer.seen(&it.service)).collect();
            for seen in seen {
                let message = message.clone();
                self.say(announcer::News { seen, is_warning: false, reason: "takenOver", message });
            }
        }
    }

    fn say_of_node(&self, node: &str, reason: &str, message: String) {
        let about = About {
            api_version: "v1",
            kind: "Node",
            namespace: String::new(),
            name: node.to_owned(),
            // As kubelets do, and as it is looked for.
            uid: node.to_owned(),
            resource_version: String::new(),
        };
        self.recorder.record(events::News { about, is_warning: true, reason: reason.to_owned(), message });
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
