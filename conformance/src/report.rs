//! Judgement of a run: what nobody expected to differ, and what differs no longer.

use std::fmt::Write;

use crate::ledger::{Ledger, Pending};
use crate::suite::Differing;

/// What has to be told.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Differences that nobody knows of.
    pub unknown: Vec<Differing>,
    /// Entries of the ledger for which there is nothing to be said any more.
    pub stale: Vec<String>,
}

pub fn judge(ledger: &Ledger, differing: &[Differing], cases: &[String]) -> Judgement {
    let mut judgement = Judgement::default();
    let mut used = vec![false; ledger.reasoned.len()];
    let mut left = Vec::new();
    for step in differing {
        let mut rest = step.clone();
        rest.differences.retain(|difference| {
            let covering = ledger.reasoned.iter().position(|it| it.covers(&step.case, step.step, difference));
            covering.inspect(|&index| used[index] = true).is_none()
        });
        if !rest.differences.is_empty() {
            left.push(rest);
        }
    }
    for (reasoned, _) in ledger.reasoned.iter().zip(used).filter(|(_, used)| !used) {
        let place = reasoned.step.map_or_else(|| "all steps".to_owned(), |step| format!("step {step}"));
        let entry = format!("differences.yaml: {} {place} {}", reasoned.case, reasoned.pointer);
        judgement.stale.push(entry);
    }
    for (case, steps) in &ledger.pending {
        for step in steps {
            if !cases.contains(case) || !left.iter().any(|it| it.case == *case && it.step == *step) {
                judgement.stale.push(format!("pending.yaml: {case} step {step}"));
            }
        }
    }
    left.retain(|step| !ledger.is_pending(&step.case, step.step));
    judgement.unknown = left;
    judgement
}

/// What would have to be pending for these differences to be known.
pub fn pending(ledger: &Ledger, differing: &[Differing]) -> Pending {
    let without = Ledger { reasoned: ledger.reasoned.clone(), pending: Pending::new() };
    let mut pending = Pending::new();
    for step in judge(&without, differing, &[]).unknown {
        pending.entry(step.case).or_default().push(step.step);
    }
    pending
}

impl Judgement {
    pub fn is_fine(&self) -> bool {
        self.unknown.is_empty() && self.stale.is_empty()
    }

    pub fn text(&self) -> String {
        let mut text = steps_text(&self.unknown);
        for entry in &self.stale {
            let _ = writeln!(text, "no longer differs, so the entry has to go: {entry}");
        }
        text
    }
}

/// Case by case and step by step, for people.
pub fn steps_text(steps: &[Differing]) -> String {
    let mut text = String::new();
    for step in steps {
        let _ = writeln!(text, "{} / {} step {}: {}", step.file, step.case, step.step, step.title);
        for difference in &step.differences {
            let _ = writeln!(text, "    {difference}");
        }
    }
    text
}
