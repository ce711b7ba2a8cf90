//! The one shape of every protocol machine.

use std::time::Instant;

/// A protocol endpoint that is driven from outside.
///
/// Its driver is the same short loop for all of them: wait for input until [`deadline`](Machine::deadline),
/// feed it, drain [`poll`](Machine::poll), publish [`state`](Machine::state). Deadlines belong to the machine,
/// so there are no timer outputs and no timer tasks; connections are ids to it, so which of two colliding ones
/// survives is decided in here; and what is random comes from a seeded generator that its maker passes in, so
/// that every run can be repeated.
pub trait Machine {
    /// Bytes, connections that opened or closed, configuration, commands of the operator.
    type Input;
    /// Bytes to send, connections to open or close, events to tell.
    type Output;
    /// For status, metrics and the dashboard.
    type State;

    /// Takes one input. Nothing fails: what cannot be used is dropped with a reason that is counted.
    fn handle(&mut self, input: Self::Input, now: Instant);

    /// To be called at or after [`deadline`](Machine::deadline). A call too early does nothing.
    fn handle_timeout(&mut self, now: Instant);

    /// When `handle_timeout` wants to be called next. May change after either call above.
    fn deadline(&self) -> Option<Instant>;

    /// The next output, until there is none. To be drained after every other call.
    fn poll(&mut self) -> Option<Self::Output>;

    fn state(&self) -> &Self::State;
}

/// Calls `handle_timeout` for every deadline up to `until`, each at its own time, and collects the outputs.
///
/// This is how tests let time pass.
pub fn advance<M: Machine>(machine: &mut M, until: Instant) -> Vec<M::Output> {
    let mut outputs: Vec<M::Output> = std::iter::from_fn(|| machine.poll()).collect();
    while let Some(deadline) = machine.deadline().filter(|&deadline| deadline <= until) {
        machine.handle_timeout(deadline);
        outputs.extend(std::iter::from_fn(|| machine.poll()));
        if machine.deadline() == Some(deadline) {
            // A machine that asks for the same moment again would stop time.
            break;
        }
    }
    outputs
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);

    /// Says how often it was told something, every period.
    struct Counter {
        told: u32,
        next: Instant,
        outputs: VecDeque<u32>,
    }

    impl Machine for Counter {
        type Input = ();
        type Output = u32;
        type State = u32;

        fn handle(&mut self, (): (), _now: Instant) {
            self.told += 1;
        }

        fn handle_timeout(&mut self, now: Instant) {
            if self.next <= now {
                self.outputs.push_back(self.told);
                self.next += PERIOD;
            }
        }

        fn deadline(&self) -> Option<Instant> {
            Some(self.next)
        }

        fn poll(&mut self) -> Option<u32> {
            self.outputs.pop_front()
        }

        fn state(&self) -> &u32 {
            &self.told
        }
    }

    #[test]
    fn time_passes_from_deadline_to_deadline() {
        let start = Instant::now();
        let mut counter = Counter { told: 0, next: start + PERIOD, outputs: VecDeque::new() };
        assert_eq!(advance(&mut counter, start + PERIOD * 2), [0, 0]);
        counter.handle((), start + PERIOD * 2);
        assert_eq!(advance(&mut counter, start + PERIOD * 2), [0; 0]);
        assert_eq!(advance(&mut counter, start + PERIOD * 3), [1]);
        assert_eq!(*counter.state(), 1);
    }
}
