//! Commands of kubectl, and what they print.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context, bail};
use regex::Regex;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::normal::{Normal, Normaliser};
use crate::world::{Directory, PATIENCE};
use crate::yaml;

/// One file below `kubectl/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandFile {
    #[serde(skip)]
    pub name: String,
    pub about: String,
    pub cases: Vec<CommandCase>,
}

/// Commands that share a namespace and a working directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandCase {
    /// Also the name of its namespace, so it is unique; it begins with `kubectl-`.
    pub name: String,
    /// The version that it is for, if not for every one.
    pub only: Option<String>,
    /// What lies in the working directory; `${group}` is a group of its own.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    pub steps: Vec<CommandStep>,
}

/// One command.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandStep {
    /// What stands behind `kubectl`, split at spaces outside of single quotes.
    pub run: Option<String>,
    pub input: Option<String>,
    /// Repeats the command until it prints this.
    pub until: Option<String>,
    /// The command goes on, under this name.
    pub background: Option<String>,
    /// Reads from the command of this name, then ends it.
    pub collect: Option<String>,
    /// It is not ended yet.
    #[serde(default)]
    pub goes_on: bool,
    /// How many lines are read.
    #[serde(default)]
    pub lines: usize,
    /// Only the lines that hold one of these are compared.
    #[serde(default)]
    pub show: Vec<String>,
    /// The order of the lines is random.
    #[serde(default)]
    pub unordered: bool,
}

/// A kubectl that talks to a server.
#[derive(Debug)]
pub struct Kubectl {
    pub program: PathBuf,
    /// `https://…`
    pub server: String,
    home: Directory,
}

struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).expect("a constant"));
    };
}

pattern!(REVISION, r#"("?resourceVersion"?: "|Resource Version: +)\d+"#);
pattern!(AGE, r"\b(\d+m)?\d+s\b|<invalid>");
pattern!(DATE, r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}");
pattern!(LOG, r"^[IWE]\d{4} \d{2}:\d{2}:\d{2}\.\d+ +\d+ [\w.]+:\d+\]");
pattern!(DIFFED, r"\S*/(LIVE|MERGED)-\d+(/\S+)?(\t.*)?");
pattern!(PORT, r"\b3[0-2]\d{3}/(TCP|UDP)");
pattern!(SPACES, r"(\S)[ \t]{2,}");

pub fn read_all(directory: &Path) -> anyhow::Result<Vec<CommandFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let mut file: CommandFile = yaml::read(&path)?;
        file.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        files.push(file);
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

impl Kubectl {
    pub fn new(program: PathBuf, server: &str) -> anyhow::Result<Kubectl> {
        let home = Directory::create("home")?;
        Ok(Kubectl { program, server: server.to_owned(), home })
    }

    /// The printed answers of one case, step by step.
    pub async fn case(&self, case: &CommandCase) -> anyhow::Result<Vec<Normal>> {
        let directory = Directory::create("work")?;
        let group = format!("{}.example.com", case.name);
        for (name, content) in &case.files {
            std::fs::write(directory.path().join(name), content.replace("${group}", &group))?;
        }
        let mut normaliser = Normaliser::new(format!("{case:?}"));
        let mut running = BTreeMap::new();
        self.once(
            &case.name,
            directory.path(),
            &["create", "namespace", &case.name, "--validate=false"],
            None,
        )
        .await?;
        let mut answers = Vec::new();
        for (index, step) in case.steps.iter().enumerate() {
            normaliser.begin(&(index + 1).to_string());
            let answer = self.step(case, directory.path(), step, &mut running).await;
            let (code, stdout, stderr) =
                answer.unwrap_or_else(|error| (-1, String::new(), format!("{error:#}")));
            let body = json!({"stdout": self.lines(&mut normaliser, step, &stdout), "stderr": self.lines(&mut normaliser, step, &stderr)});
            answers.push(Normal { code: u16::try_from(code).unwrap_or(u16::MAX), body, ..Normal::default() });
        }
        Ok(answers)
    }

    async fn step(
        &self,
        case: &CommandCase,
        directory: &Path,
        step: &CommandStep,
        running: &mut BTreeMap<String, Running>,
    ) -> anyhow::Result<(i32, String, String)> {
        if let Some(name) = &step.collect {
            let reached = running.get_mut(name).with_context(|| format!("{name} does not run"))?;
            let collected = collect(reached, step.lines).await?;
            if !step.goes_on {
                reached.child.kill().await?;
                running.remove(name);
            }
            return Ok(collected);
        }
        let group = format!("{}.example.com", case.name);
        let arguments =
            split(&step.run.clone().context("a step runs or collects")?.replace("${group}", &group));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if let Some(name) = &step.background {
            let mut child = self.command(&case.name, directory, &arguments).stderr(Stdio::null()).spawn()?;
            let lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
            running.insert(name.clone(), Running { child, lines });
            return Ok((0, String::new(), String::new()));
        }
        let deadline = Instant::now() + PATIENCE * 3;
        loop {
            let answer = self.once(&case.name, directory, &arguments, step.input.as_deref()).await?;
            let is_there = step.until.as_ref().is_none_or(|text| answer.1.contains(text.as_str()));
            if is_there || Instant::now() > deadline {
                return Ok(answer);
            }
            sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    async fn once(
        &self,
        namespace: &str,
        directory: &Path,
        arguments: &[&str],
        input: Option<&str>,
    ) -> anyhow::Result<(i32, String, String)> {
        let mut child = self.command(namespace, directory, arguments).spawn()?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        if let Some(input) = input {
            stdin.write_all(input.as_bytes()).await?;
        }
        drop(stdin);
        let output =
            timeout(PATIENCE * 3, child.wait_with_output()).await.context("kubectl does not end")??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr)))
    }

    fn command(&self, namespace: &str, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--server", &self.server, "--insecure-skip-tls-verify", "--token", "token-of-admin"]);
        command.args(["--namespace", namespace]).args(arguments);
        command
            .current_dir(directory)
            .env("HOME", self.home.path())
            .env("TZ", "UTC")
            .env_remove("KUBECONFIG");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// What was printed, without what differs from run to run.
    fn lines(&self, normaliser: &mut Normaliser, step: &CommandStep, text: &str) -> Vec<String> {
        let is_shown =
            |line: &&str| step.show.is_empty() || step.show.iter().any(|part| line.contains(part.as_str()));
        let lines = text.lines().filter(is_shown).map(|line| {
            let line = line.replace(&self.server, "<server>");
            let line = LOG.replace(&line, "<log>");
            let line = DIFFED.replace_all(&line, "<$1>$2");
            let line = DATE.replace_all(&line, "<date>");
            let line = REVISION.replace_all(&line, "$1<revision>");
            let line = normaliser.text(&line);
            let line = PORT.replace_all(&line, "<port>/$1");
            let line = AGE.replace_all(&line, "<age>");
            SPACES.replace_all(&line, "$1  ").trim_end().to_owned()
        });
        let mut lines: Vec<String> = lines.collect();
        if step.unordered {
            lines.sort();
        }
        lines
    }
}

async fn collect(running: &mut Running, count: usize) -> anyhow::Result<(i32, String, String)> {
    let mut text = String::new();
    for _ in 0..count {
        let line = timeout(PATIENCE, running.lines.next_line()).await;
        let Some(line) = line.with_context(|| format!("no further line after: {text}"))?? else {
            bail!("it ended after: {text}");
        };
        text.push_str(&line);
        text.push('\n');
    }
    Ok((0, text, String::new()))
}

fn split(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        if index % 2 == 0 {
            words.extend(part.split_whitespace().map(str::to_owned));
        } else {
            words.push(part.to_owned());
        }
    }
    words
}
