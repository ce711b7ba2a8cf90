//! Asks what a case asks, and makes the answers comparable.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use http::Request;
use kube::client::Body;
use serde_json::{Value, json};

use crate::case::{Case, CaseFile, Step, Until};
use crate::normal::{Normal, Normaliser};
use crate::pointer;
use crate::template::Names;
use crate::transport::{self, Answer, Lines};
use crate::world::{World, token};

/// The answers of one case, step by step. A step that could not be asked has code 0 and says why.
pub async fn case(world: &World, file: &CaseFile, case: &Case) -> Vec<Normal> {
    let mut run = Run::new(world, file, case);
    let mut answers = Vec::new();
    let refused = run.given(file, case).await.err().map(|error| format!("given: {error:#}"));
    for (index, step) in case.steps.iter().enumerate() {
        run.normaliser.begin(&(index + 1).to_string());
        let answer = match &refused {
            Some(reason) => Err(anyhow::anyhow!("{reason}")),
            None => run.step(step).await,
        };
        answers.push(answer.unwrap_or_else(|error| Normal::unasked(&format!("{error:#}"))));
    }
    answers
}

impl Normal {
    fn unasked(reason: &str) -> Normal {
        Normal { body: reason.into(), ..Normal::default() }
    }
}

struct Run<'a> {
    world: &'a World,
    names: Names,
    streams: BTreeMap<String, Lines>,
    normaliser: Normaliser,
}

impl<'a> Run<'a> {
    fn new(world: &'a World, file: &CaseFile, case: &Case) -> Run<'a> {
        let mut names = Names { texts: BTreeMap::new(), values: file.values.clone() };
        names.texts.insert("ns".to_owned(), case.name.clone());
        names.texts.insert("group".to_owned(), format!("{}.example.com", case.name));
        for _ in 0..2 {
            // A variable may be made of others.
            for (name, text) in &file.variables {
                if let Ok(text) = names.text(text) {
                    names.texts.insert(name.clone(), text);
                }
            }
        }
        let normaliser = Normaliser::new(format!("{file:?}"));
        Run { world, names, streams: BTreeMap::new(), normaliser }
    }

    async fn given(&mut self, file: &CaseFile, case: &Case) -> anyhow::Result<()> {
        if format!("{:?}{:?}{:?}{:?}", file.variables, file.given, case.given, case.steps).contains("${ns}") {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.name}});
            let request = "POST /api/v1/namespaces".to_owned();
            let step = Step { request: Some(request), body: Some(body), ..Step::default() };
            self.must(&step).await?;
        }
        for (index, step) in file.given.iter().chain(&case.given).enumerate() {
            self.normaliser.begin(&format!("given {}", index + 1));
            self.must(step).await.with_context(|| step.title())?;
        }
        Ok(())
    }

    async fn must(&mut self, step: &Step) -> anyhow::Result<()> {
        let answer = self.step(step).await?;
        if answer.code >= 300 && step.until.is_none() {
            bail!("{}: {}", answer.code, answer.body);
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> anyhow::Result<Normal> {
        if let Some(name) = &step.events {
            return self.events(step, name).await;
        }
        if let Some(name) = &step.watch {
            let (answer, lines) = transport::stream(self.world, self.request(step)?).await?;
            if let Some(lines) = lines {
                self.streams.insert(name.clone(), lines);
            }
            return Ok(self.normaliser.answer(&answer));
        }
        let answer = match &step.until {
            None => transport::send(self.world, self.request(step)?).await?,
            Some(until) => self.asked_until(step, until).await?,
        };
        self.save(step, &answer)?;
        let generated = step.body.as_ref().and_then(|body| pointer::find(body, "/metadata/generateName"));
        if let Some(prefix) = generated.and_then(Value::as_str) {
            self.normaliser.generates(prefix);
        }
        let mut normal = self.normaliser.answer(&answer);
        if step.unordered {
            sort_lists(&mut normal.body);
        }
        Ok(shown(step, normal))
    }

    async fn asked_until(&self, step: &Step, until: &Until) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + self.world.patience();
        loop {
            let answer = transport::send(self.world, self.request(step)?).await?;
            if is_met(until, &answer) {
                return Ok(answer);
            }
            if Instant::now() > deadline {
                bail!("never came: {} {}", answer.code, String::from_utf8_lossy(&answer.body));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn request(&self, step: &Step) -> anyhow::Result<Request<Body>> {
        let text = self.names.text(step.request.as_deref().unwrap_or_default())?;
        let (method, path) = text.split_once(' ').context("a request is `METHOD /path`")?;
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "conformance");
        let body = self.body(step)?;
        if let Some(media) = media(step, body.is_some()) {
            request = request.header("content-type", media);
        }
        let is_named = |name: &str| step.headers.keys().any(|it| it.eq_ignore_ascii_case(name));
        if !is_named("accept") {
            request = request.header("accept", "application/json");
        }
        if !is_named("authorization") {
            let who = step.who.as_deref().unwrap_or("admin");
            let token = token(who).or_else(|| self.names.texts.get(who).map(String::as_str));
            let token = token.with_context(|| format!("nobody is called {who}"))?;
            if !token.is_empty() {
                request = request.header("authorization", format!("Bearer {token}"));
            }
        }
        for (name, value) in &step.headers {
            let value = self.names.text(value)?;
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        Ok(request.body(Body::from(body.unwrap_or_default()))?)
    }

    fn body(&self, step: &Step) -> anyhow::Result<Option<Vec<u8>>> {
        if let Some(body) = &step.body {
            return Ok(Some(self.names.value(body)?.to_string().into_bytes()));
        }
        if let Some(text) = &step.text {
            return Ok(Some(self.names.text(text)?.into_bytes()));
        }
        step.base64.as_deref().map(from_base64).transpose()
    }

    fn save(&mut self, step: &Step, answer: &Answer) -> anyhow::Result<()> {
        for (name, place) in &step.save {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            // What is missing is noticed by the step that needs it.
            match pointer::find(&body, place) {
                Some(Value::String(text)) => self.names.texts.insert(name.clone(), text.clone()),
                Some(Value::Null) | None => self.names.texts.remove(name),
                Some(other) => self.names.texts.insert(name.clone(), other.to_string()),
            };
        }
        Ok(())
    }

    async fn events(&mut self, step: &Step, name: &str) -> anyhow::Result<Normal> {
        let lines = self.streams.get_mut(name).with_context(|| format!("no stream {name} was opened"))?;
        let mut events = Vec::new();
        let wanted = step.count.unwrap_or(usize::MAX);
        while events.len() < wanted {
            let Some(event) = lines.next().await.with_context(|| format!("after {} events", events.len()))?
            else {
                events.push("<end>".into());
                break;
            };
            if event["type"] == "BOOKMARK" {
                let ends = &event["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"];
                // How often the others come is the server's own affair.
                if *ends != "true" {
                    continue;
                }
                events.push(self.normaliser.event(&event));
                if step.to_bookmark {
                    break;
                }
                continue;
            }
            events.push(self.normaliser.event(&event));
        }
        let mut normal = Normal { code: 200, ..Normal::default() };
        normal.body = events.into();
        if step.unordered {
            sort_lists(&mut normal.body);
        }
        Ok(normal)
    }
}

fn is_met(until: &Until, answer: &Answer) -> bool {
    let has_code = until.code.map_or(answer.code < 300, |code| code == answer.code);
    let Some(place) = &until.pointer else { return has_code };
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let found = pointer::find(&body, place);
    has_code && until.equals.as_ref().map_or(found.is_some(), |wanted| found == Some(wanted))
}

fn media(step: &Step, has_body: bool) -> Option<String> {
    if step.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
        return None;
    }
    let media = match step.media.as_deref() {
        None if !has_body => return None,
        None | Some("json") => "application/json",
        Some("merge") => "application/merge-patch+json",
        Some("strategic") => "application/strategic-merge-patch+json",
        Some("patch") => "application/json-patch+json",
        Some("apply") => "application/apply-patch+yaml",
        Some(media) => media,
    };
    Some(media.to_owned())
}

fn shown(step: &Step, mut normal: Normal) -> Normal {
    // An error is always compared as a whole.
    if step.show.is_empty() || normal.code >= 300 {
        return normal;
    }
    let parts = step
        .show
        .iter()
        .map(|place| (place.clone(), pointer::find(&normal.body, place).cloned().unwrap_or(Value::Null)));
    normal.body = Value::Object(parts.collect());
    normal
}

fn sort_lists(body: &mut Value) {
    let items = if body.is_array() { Some(body) } else { body.get_mut("items") };
    if let Some(Value::Array(items)) = items {
        items.sort_by_key(ToString::to_string);
    }
}

fn from_base64(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => bail!("not base64: {text}"),
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Ok(bytes)
}
