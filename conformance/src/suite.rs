//! Everything that is asked, everything that was recorded, and the comparison of both.

use std::path::PathBuf;

use futures_util::StreamExt;
use futures_util::stream;

use crate::case::{self, Case, CaseFile};
use crate::compare::{self, Difference};
use crate::ledger::Ledger;
use crate::normal::Normal;
use crate::record::Recording;
use crate::run;
use crate::world::{Engine, World};

/// How many cases are asked at once.
const AT_ONCE: usize = 4;

/// The suite as it is on disk.
#[derive(Debug)]
pub struct Suite {
    pub files: Vec<CaseFile>,
    pub recordings: Vec<Recording>,
    pub ledger: Ledger,
}

/// A step that was not answered as recorded.
#[derive(Debug, Clone)]
pub struct Differing {
    pub file: String,
    pub case: String,
    /// Counted from 1.
    pub step: usize,
    pub title: String,
    pub differences: Vec<Difference>,
}

/// The folder of this crate.
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of cases, those whose names begin so.
pub fn files(beginning: &str) -> anyhow::Result<Vec<CaseFile>> {
    let mut files = case::read_all(&directory().join("cases"))?;
    files.retain(|file| file.name.starts_with(beginning));
    Ok(files)
}

impl Suite {
    pub fn read(beginning: &str) -> anyhow::Result<Suite> {
        let files = files(beginning)?;
        let recorded = directory().join("recorded");
        let recordings =
            files.iter().map(|file| Recording::read(&recorded, &file.name)).collect::<Result<_, _>>()?;
        Ok(Suite { files, recordings, ledger: Ledger::read(&directory())?.without("kubectl-") })
    }

    pub fn steps(&self) -> usize {
        self.files.iter().flat_map(|file| &file.cases).map(|case| case.steps.len()).sum()
    }

    /// The names of all cases.
    pub fn cases(&self) -> Vec<String> {
        self.files.iter().flat_map(|file| &file.cases).map(|case| case.name.clone()).collect()
    }

    /// Asks an embedded server of its own for each case.
    pub async fn differing_embedded(&self, engine: Engine) -> anyhow::Result<Vec<Differing>> {
        self.differing(|file, case| async move {
            let world = World::embedded(engine).await?;
            Ok(run::case(&world, file, case).await)
        })
        .await
    }

    /// Asks one server for all cases.
    pub async fn differing_real(&self, world: &World) -> anyhow::Result<Vec<Differing>> {
        self.differing(|file, case| async move { Ok(run::case(world, file, case).await) }).await
    }

    async fn differing<'a, F>(
        &'a self,
        ask: impl Fn(&'a CaseFile, &'a Case) -> F,
    ) -> anyhow::Result<Vec<Differing>>
    where
        F: Future<Output = anyhow::Result<Vec<Normal>>>,
    {
        let mut cases = Vec::new();
        for (file, recording) in self.files.iter().zip(&self.recordings) {
            for case in &file.cases {
                let expected = recording.of(&case.name, &case.titles())?;
                let asked = ask(file, case);
                cases.push(async move {
                    Ok(differing_steps(&file.name, &case.name, &case.titles(), &expected, &asked.await?))
                });
            }
        }
        let found: Vec<anyhow::Result<Vec<Differing>>> =
            stream::iter(cases).buffered(AT_ONCE).collect().await;
        Ok(found.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// What one server answers to every case of a file.
pub async fn record(world: &World, file: &CaseFile) -> Recording {
    let asked = file.cases.iter().map(|case| async move { (case, run::case(world, file, case).await) });
    let answered: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let mut recording = Recording::default();
    for (case, answers) in answered {
        recording.add(&case.name, case.titles(), answers);
    }
    recording
}

/// Step by step, what was expected and what came.
pub(crate) fn differing_steps(
    file: &str,
    case: &str,
    titles: &[String],
    expected: &[&Normal],
    got: &[Normal],
) -> Vec<Differing> {
    let mut differing = Vec::new();
    for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
        let differences = compare::answers(expected, got);
        if !differences.is_empty() {
            let (file, case, title) = (file.to_owned(), case.to_owned(), titles[index].clone());
            differing.push(Differing { file, case, step: index + 1, title, differences });
        }
    }
    differing
}
