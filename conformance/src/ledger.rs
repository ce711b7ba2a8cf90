//! Differences that are known: those with a reason stay, those that are pending are to go.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::compare::Difference;
use crate::yaml;

/// What is known beforehand.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub reasoned: Vec<Reasoned>,
    pub pending: Pending,
}

/// A difference that stays, and why; it is told in docs/compatibility.md too.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasoned {
    /// Its name, or a beginning of names with `*` behind.
    pub case: String,
    /// Counted from 1; without it any step of the case.
    pub step: Option<usize>,
    /// Everything below this place, in which `*` stands for any one step down; without it the whole answer.
    #[serde(default)]
    pub pointer: String,
    pub reason: String,
}

/// Steps that are not answered as recorded yet, by case and counted from 1.
pub type Pending = BTreeMap<String, Vec<usize>>;

#[derive(Debug, Default, Serialize, Deserialize)]
struct PendingFile {
    pending: Pending,
}

#[derive(Debug, Deserialize)]
struct ReasonedFile {
    differences: Vec<Reasoned>,
}

impl Ledger {
    pub fn read(directory: &Path) -> anyhow::Result<Ledger> {
        let reasoned: ReasonedFile = yaml::read(&directory.join("differences.yaml"))?;
        let pending = directory.join("pending.yaml");
        // When nothing is pending any more the file goes.
        let pending: PendingFile =
            if pending.exists() { yaml::read(&pending)? } else { PendingFile::default() };
        Ok(Ledger { reasoned: reasoned.differences, pending: pending.pending })
    }

    /// What is known of cases whose names begin so.
    pub fn only(mut self, beginning: &str) -> Ledger {
        self.reasoned.retain(|it| it.case.starts_with(beginning));
        self.pending.retain(|case, _| case.starts_with(beginning));
        self
    }

    /// What is known of all other cases.
    pub fn without(mut self, beginning: &str) -> Ledger {
        self.reasoned.retain(|it| !it.case.starts_with(beginning));
        self.pending.retain(|case, _| !case.starts_with(beginning));
        self
    }

    pub fn write_pending(directory: &Path, pending: Pending) -> anyhow::Result<()> {
        let head = "# Steps that the embedded server does not answer as recorded yet, by case.\n\
                    # An entry whose answers have become equal fails the test: `scripts/conformance pending` writes this file anew.\n";
        let text = yaml::text(&PendingFile { pending })?;
        Ok(std::fs::write(directory.join("pending.yaml"), format!("{head}{text}"))?)
    }

    pub fn is_pending(&self, case: &str, step: usize) -> bool {
        self.pending.get(case).is_some_and(|steps| steps.contains(&step))
    }
}

impl Reasoned {
    pub fn covers(&self, case: &str, step: usize, difference: &Difference) -> bool {
        let is_case = match self.case.strip_suffix('*') {
            Some(beginning) => case.starts_with(beginning),
            None => case == self.case,
        };
        let mut told = difference.pointer.split('/');
        let is_below =
            self.pointer.split('/').all(|wanted| told.next().is_some_and(|it| wanted == "*" || wanted == it));
        is_case && self.step.is_none_or(|it| it == step) && is_below
    }
}
