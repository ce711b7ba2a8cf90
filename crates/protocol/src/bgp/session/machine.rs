//! What every input does.

use std::time::Instant;

use super::{Input, Output, Settings, State};

/// The session with one neighbour.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    state: State,
}

impl Session {
    /// Wants to be up at once. `seed` is for all that is random.
    pub fn new(settings: Settings, _seed: u64, now: Instant) -> Session {
        Session { settings, state: State::new(now) }
    }

    pub fn handle(&mut self, input: Input<'_>, _now: Instant) {
        if let Input::Settings(settings) = input {
            self.settings = *settings;
        }
    }

    pub fn handle_timeout(&mut self, _now: Instant) {}

    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    pub fn poll(&mut self) -> Option<Output> {
        None
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
