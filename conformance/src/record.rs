//! Recorded answers: one file for each file of cases.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

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
    /// Of the file of cases with this name.
    pub fn read(directory: &Path, file: &str) -> anyhow::Result<Recording> {
        yaml::read(&path(directory, file))
    }

    pub fn write(&self, directory: &Path, file: &str) -> anyhow::Result<()> {
        let text = yaml::text(self)?;
        let read_back: Recording = yaml::parse(&text).with_context(|| format!("{file} as written"))?;
        anyhow::ensure!(read_back == *self, "{file} does not read back as it was written");
        Ok(std::fs::write(path(directory, file), text)?)
    }

    pub fn add(&mut self, case: &str, titles: Vec<String>, answers: Vec<Normal>) {
        let answers = titles.into_iter().zip(answers);
        let answers = answers.map(|(step, answer)| RecordedAnswer { step, answer }).collect();
        self.cases.push(RecordedCase { name: case.to_owned(), answers });
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

    /// The answers to the steps of this case, if it still has these.
    pub fn of(&self, case: &str, titles: &[String]) -> anyhow::Result<Vec<&Normal>> {
        let recorded = self.cases.iter().find(|it| it.name == case);
        let recorded = recorded.with_context(|| format!("{case} was never recorded"))?;
        let is_same = recorded.answers.iter().map(|it| &it.step).eq(titles);
        anyhow::ensure!(is_same, "{case} was changed since it was recorded");
        Ok(recorded.answers.iter().map(|it| &it.answer).collect())
    }
}

fn path(directory: &Path, file: &str) -> std::path::PathBuf {
    directory.join(format!("{file}.yaml"))
}
