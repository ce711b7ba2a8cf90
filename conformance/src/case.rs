//! What is asked: files of cases, each a list of steps.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::yaml;

/// One file below `cases/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// For people: what the cases have in common.
    pub about: String,
    /// Texts that `${name}` stands for, in every case of the file.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Values for which a string `@name` stands as a whole.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
    /// What every case starts with; it must succeed, and what it answers is not compared.
    #[serde(default)]
    pub given: Vec<Step>,
    pub cases: Vec<Case>,
}

/// Steps that share a server, a namespace and what they saved.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Also the name of its namespace, so it is unique.
    pub name: String,
    #[serde(default)]
    pub given: Vec<Step>,
    pub steps: Vec<Step>,
}

/// One request with its answer, or the reading of a stream that an earlier step opened.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `METHOD /path?query`.
    #[serde(rename = "do")]
    pub request: Option<String>,
    /// What the body holds, as JSON.
    pub body: Option<Value>,
    /// The body as it is.
    pub text: Option<String>,
    /// The body as it is, for bodies that are no text.
    pub base64: Option<String>,
    /// The body's media type: `json` (which it is if nothing is said), `merge`, `strategic`, `patch`, `apply`, or in full.
    #[serde(rename = "type")]
    pub media: Option<String>,
    /// Who asks: `admin`, who may do everything, `nobody`, who has no rights, or a saved variable that is a token.
    #[serde(rename = "as")]
    pub who: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Variables to where their values stand in the answer.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// The only parts of the answer that are compared.
    #[serde(default)]
    pub show: Vec<String>,
    /// Asks again until the answer is like this.
    pub until: Option<Until>,
    /// The answer is a stream, and this is its name.
    pub watch: Option<String>,
    /// Reads from the stream of this name.
    pub events: Option<String>,
    /// How many events are read.
    pub count: Option<usize>,
    /// Reads up to the bookmark that ends the initial events.
    #[serde(default)]
    pub to_bookmark: bool,
    /// Reads until the server ends the stream.
    #[serde(default)]
    pub to_end: bool,
    /// The order in which the real server answers is random: lists are compared as sets.
    #[serde(default)]
    pub unordered: bool,
}

/// When a step that waits has its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Until {
    pub code: Option<u16>,
    /// A pointer, see [`crate::case::Step::show`]; without `equals`, something must be there.
    pub pointer: Option<String>,
    pub equals: Option<Value>,
}

/// Every file of cases, in the order of their names.
pub fn read_all(directory: &Path) -> anyhow::Result<Vec<CaseFile>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            paths.push(path);
        }
    }
    paths.sort();
    let files = paths.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut seen = BTreeMap::new();
    for file in &files {
        for case in &file.cases {
            if let Some(other) = seen.insert(&case.name, &file.name) {
                bail!("the case {} is in {other} and in {}", case.name, file.name);
            }
        }
    }
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<CaseFile> {
    let mut file: CaseFile = yaml::read(path)?;
    file.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for case in &file.cases {
        for (index, step) in file.given.iter().chain(&case.given).chain(&case.steps).enumerate() {
            if step.request.is_some() == step.events.is_some() {
                bail!("{}: step {index} of {} needs one of `do` and `events`", path.display(), case.name);
            }
        }
    }
    Ok(file)
}

impl Case {
    pub fn titles(&self) -> Vec<String> {
        self.steps.iter().map(Step::title).collect()
    }
}

impl Step {
    /// How people find the step.
    pub fn title(&self) -> String {
        match (&self.request, &self.events) {
            (Some(request), _) => request.clone(),
            (None, Some(stream)) => format!("events of {stream}"),
            (None, None) => String::new(),
        }
    }
}
