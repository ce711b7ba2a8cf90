//! The commands of every version of kubectl, as recorded from a real server and as they go elsewhere.

use std::path::PathBuf;

use futures_util::StreamExt;
use futures_util::stream;

use crate::kubectl::{self, CommandCase, CommandFile, CommandStep, Kubectl};
use crate::ledger::Ledger;
use crate::normal::Normal;
use crate::record::Recording;
use crate::suite::{Differing, differing_steps, directory};

/// How many cases run at once.
const AT_ONCE: usize = 2;

/// The commands for one version.
#[derive(Debug)]
pub struct Commands {
    version: &'static str,
    files: Vec<CommandFile>,
    pub ledger: Ledger,
}

impl Commands {
    pub fn read(version: &'static str) -> anyhow::Result<Commands> {
        let mut files = kubectl::read_all(&directory().join("kubectl"))?;
        for file in &mut files {
            file.cases.retain(|case| case.only.as_deref().is_none_or(|only| only == version));
        }
        let mut ledger = Ledger::read(&directory())?.only("kubectl-");
        ledger.reasoned.retain(|it| it.case.ends_with(version) || it.case.ends_with('*'));
        ledger.pending.retain(|case, _| case.ends_with(version));
        Ok(Commands { version, files, ledger })
    }

    pub fn steps(&self) -> usize {
        self.files.iter().flat_map(|file| &file.cases).map(|case| case.steps.len()).sum()
    }

    /// As the ledger names them.
    pub fn cases(&self) -> Vec<String> {
        self.files.iter().flat_map(|file| &file.cases).map(|case| self.named(case)).collect()
    }

    /// Writes down what is printed against this server.
    pub async fn record(&self, kubectl: &Kubectl) -> anyhow::Result<()> {
        std::fs::create_dir_all(self.recorded())?;
        for file in &self.files {
            let mut recording = Recording::default();
            for (case, answers) in answers(kubectl, file).await {
                recording.add(&case.name, titles(case), answers?);
            }
            recording.write(&self.recorded(), &file.name)?;
        }
        Ok(())
    }

    /// What is printed otherwise than recorded.
    pub async fn differing(&self, kubectl: &Kubectl) -> anyhow::Result<Vec<Differing>> {
        let mut differing = Vec::new();
        for file in &self.files {
            let recording = Recording::read(&self.recorded(), &file.name)?;
            for (case, answers) in answers(kubectl, file).await {
                let (titles, answers) = (titles(case), answers?);
                let expected = recording.of(&case.name, &titles)?;
                differing.extend(differing_steps(
                    &file.name,
                    &self.named(case),
                    &titles,
                    &expected,
                    &answers,
                ));
            }
        }
        Ok(differing)
    }

    fn recorded(&self) -> PathBuf {
        directory().join(format!("recorded/kubectl-{}", self.version))
    }

    fn named(&self, case: &CommandCase) -> String {
        format!("{}@{}", case.name, self.version)
    }
}

type Answers<'a> = Vec<(&'a CommandCase, anyhow::Result<Vec<Normal>>)>;

async fn answers<'a>(kubectl: &Kubectl, file: &'a CommandFile) -> Answers<'a> {
    let cases = file.cases.iter().map(|case| async move { (case, kubectl.case(case).await) });
    stream::iter(cases).buffered(AT_ONCE).collect().await
}

fn titles(case: &CommandCase) -> Vec<String> {
    let title = |step: &CommandStep| match (&step.run, &step.collect) {
        (Some(run), _) => format!("kubectl {run}"),
        (None, collected) => format!("output of {}", collected.as_deref().unwrap_or_default()),
    };
    case.steps.iter().map(title).collect()
}
