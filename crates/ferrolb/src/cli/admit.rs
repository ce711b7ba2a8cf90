//! `ferrolb admit`: what the admission webhook answers to a review, without a cluster.

use std::path::Path;

use anyhow::{Context, bail};
use api::admit::{List, Review, Verdict, World, judge};
use clap::Args;
use serde_json::Value;

use super::input::Object;
use super::output::{Paint, json, note_if_nothing};
use super::{FilesArgs, Format, exit, input, print, yaml};

#[derive(Debug, Args)]
pub(super) struct AdmitArgs {
    #[command(flatten)]
    files: FilesArgs,
    /// The AdmissionReview to answer, in JSON or YAML; - for standard input
    #[arg(long, value_name = "FILE|-")]
    review: String,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// The namespace that FerroLB runs in and reads its resources from
    #[arg(long, default_value = super::plan::DEFAULT_NAMESPACE)]
    namespace: String,
}

pub(super) fn run(args: &AdmitArgs) -> anyhow::Result<u8> {
    if args.review == "-" && args.files.filename.iter().any(|name| name == "-") {
        bail!("standard input can be the review or existing objects, not both");
    }
    let review = review(&args.review)?;
    let world = world(input::read(&args.files)?, &args.namespace);
    note_if_nothing(world.lists.values().map(Vec::len).sum());
    let verdict = judge(&review.question, &world);
    let answer = review.answer(&verdict);
    match args.output {
        Format::Json => print(&json(&answer)?)?,
        Format::Yaml => print(&yaml::text(&answer)?)?,
        Format::Table => print(&text(&verdict))?,
    }
    Ok(if verdict.allowed { 0 } else { exit::INVALID })
}

fn review(name: &str) -> anyhow::Result<Review> {
    if name != "-" && Path::new(name).is_dir() {
        bail!("--review {name}: a folder");
    }
    let file = FilesArgs { filename: vec![name.to_owned()], recursive: false };
    let mut found = input::read(&file)?;
    let (Some(Object { origin, value }), true) = (found.pop(), found.is_empty()) else {
        bail!("--review {name}: there must be one AdmissionReview in it");
    };
    Review::read(value).with_context(|| origin.to_string())
}

/// Objects in the order in which an API server lists them.
fn world(objects: Vec<Object>, namespace: &str) -> World {
    let mut values: Vec<Value> = objects.into_iter().map(|object| object.value).collect();
    let text = |value: &Value, field: &str| value["metadata"][field].as_str().unwrap_or_default().to_owned();
    values.sort_by_cached_key(|value| (text(value, "namespace"), text(value, "name")));
    let mut world = World::new(namespace);
    for value in values.into_iter().filter(|value| List::of(value).is_some()) {
        world.add(value);
    }
    world
}

fn text(verdict: &Verdict) -> String {
    let paint = Paint::for_stdout();
    let mut text = String::new();
    for warning in &verdict.warnings {
        text.push_str(&format!("{}: {warning}\n", paint.yellow("warning")));
    }
    text.push_str(&match (verdict.allowed, verdict.code) {
        (true, _) => format!("{}\n", paint.green("allowed")),
        (false, 400) => format!("{}: {}\n", paint.red("cannot be read"), verdict.message),
        (false, _) => format!("{}: {}\n", paint.red("denied"), verdict.message),
    });
    text
}
