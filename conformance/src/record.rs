//! Recorded answers: one file for each file of cases.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::case::{Case, CaseFile, Step};
use crate::normal::Normal;
use crate::yaml;

/// What the real server answered to the cases of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    cases: Vec<RecordedCase>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RecordedCase {
    name: String,
    answers: Vec<RecordedAnswer>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RecordedAnswer {
    step: String,
    answer: Normal,
}

impl Recording {
    pub fn read(directory: &Path, file: &CaseFile) -> anyhow::Result<Recording> {
        yaml::read(&path(directory, file))
    }

    pub fn write(&self, directory: &Path, file: &CaseFile) -> anyhow::Result<()> {
        let text = yaml::text(self)?;
        let read_back: Recording = yaml::parse(&text).with_context(|| format!("{} as written", file.name))?;
        anyhow::ensure!(read_back == *self, "{} does not read back as it was written", file.name);
        Ok(std::fs::write(path(directory, file), text)?)
    }

    pub fn add(&mut self, case: &Case, answers: Vec<Normal>) {
        let answers = case.steps.iter().zip(answers);
        let answers = answers.map(|(step, answer)| RecordedAnswer { step: step.title(), answer }).collect();
        self.cases.push(RecordedCase { name: case.name.clone(), answers });
    }

    /// Steps that could not be asked, for whoever records.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for case in &self.cases {
            for (index, recorded) in case.answers.iter().enumerate().filter(|(_, it)| it.answer.code == 0) {
                complaints.push(format!("{} step {}: {}", case.name, index + 1, recorded.answer.body));
            }
        }
        complaints
    }

    /// The answers to the steps of this case, as it stands in its file.
    pub fn of(&self, case: &Case) -> anyhow::Result<Vec<&Normal>> {
        let recorded = self.cases.iter().find(|it| it.name == case.name);
        let recorded = recorded.with_context(|| format!("{} was never recorded", case.name))?;
        let is_same =
            recorded.answers.iter().map(|it| it.step.as_str()).eq(case.steps.iter().map(Step::title));
        anyhow::ensure!(is_same, "{} was changed since it was recorded", case.name);
        Ok(recorded.answers.iter().map(|it| &it.answer).collect())
    }
}

fn path(directory: &Path, file: &CaseFile) -> std::path::PathBuf {
    directory.join(format!("{}.yaml", file.name))
}
