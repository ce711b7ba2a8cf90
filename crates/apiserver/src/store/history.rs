//! The latest events, without a gap between their revisions, as many as the limits allow.

use super::Event;
use std::collections::VecDeque;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct History {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

impl History {
    pub(super) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, max_events, max_bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.cost_bytes();
        self.events.push_back(event);
    }

    /// The oldest event if there is one too many. The newest stays whatever its size, so that a watcher
    /// that keeps up always finds it.
    pub(super) fn pop_excess(&mut self) -> Option<Arc<Event>> {
        let excess =
            self.events.len() > self.max_events || (self.bytes > self.max_bytes && self.events.len() > 1);
        let event = excess.then(|| self.events.pop_front()).flatten()?;
        self.bytes -= event.cost_bytes();
        Some(event)
    }

    /// The events behind the first `skip` ones.
    pub(super) fn after(&self, skip: usize) -> impl Iterator<Item = &Arc<Event>> {
        self.events.range(skip.min(self.events.len())..)
    }
}
