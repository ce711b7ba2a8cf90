//! Who said what, when: printed when something is wrong.

use std::collections::VecDeque;
use std::fmt::{self, Display};

use super::clock::Time;
use super::random::mix;

/// Lines that are kept; older ones are forgotten.
const LINES: usize = 4000;

#[derive(Debug, Default)]
pub(crate) struct History {
    lines: VecDeque<(Time, String)>,
    digest: u64,
    is_brief: bool,
}

impl History {
    /// Brief: with a thousand nodes only faults and verdicts are worth a line.
    pub(crate) fn new(is_brief: bool) -> History {
        History { is_brief, ..History::default() }
    }

    pub(crate) fn tell(&mut self, at: Time, line: impl Display) {
        if self.lines.len() >= LINES {
            self.lines.pop_front();
        }
        let line = line.to_string();
        self.count(line.len() as u64);
        self.lines.push_back((at, line));
    }

    pub(crate) fn detail(&mut self, at: Time, line: impl Display) {
        if !self.is_brief {
            self.tell(at, line);
        }
    }

    pub(crate) fn is_brief(&self) -> bool {
        self.is_brief
    }

    /// Something that happened, without a line. Two runs that differ in anything differ in their digest.
    pub(crate) fn count(&mut self, what: u64) {
        self.digest = mix(self.digest ^ what);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn since(&self, since: Time) -> Recent<'_> {
        Recent(self, since)
    }
}

#[derive(Debug)]
pub(crate) struct Recent<'a>(&'a History, Time);

impl Display for Recent<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.0.lines.iter().filter(|(at, _)| *at >= self.1) {
            writeln!(out, "{:>12.6}  {line}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
