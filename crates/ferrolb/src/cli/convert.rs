//! `ferrolb convert`: BGPPeers in the version that somebody needs.

use api::convert::{Version, bgp_peer};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::output::Subject;
use super::{FilesArgs, exit, input, output, print, yaml};

#[derive(Debug, Args)]
pub(super) struct ConvertArgs {
    #[command(flatten)]
    files: FilesArgs,
    /// The version to convert to
    #[arg(long, value_enum)]
    to: Target,
    /// How to print the result
    #[arg(short, long, value_enum, default_value = "yaml")]
    output: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    V1beta1,
    V1beta2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoding {
    Yaml,
    Json,
}

/// Resources of other kinds have one version and come out as they went in.
pub(super) fn run(args: &ConvertArgs) -> anyhow::Result<u8> {
    let to = match args.to {
        Target::V1beta1 => Version::V1beta1,
        Target::V1beta2 => Version::V1beta2,
    };
    let mut converted = Vec::new();
    let mut code = 0;
    for object in input::read(&args.files)? {
        let is_peer = object.value["kind"] == "BGPPeer";
        match if is_peer { bgp_peer(&object.value, to) } else { Ok(object.value.clone()) } {
            Ok(value) => {
                let fields = left_out(&object.value, &value);
                if !fields.is_empty() {
                    let (origin, subject) = (object.origin, Subject::of(&object.value));
                    eprintln!("warning: {origin}: {subject}: left out, {to} has no {}", fields.join(", "));
                }
                converted.push(value);
            }
            Err(error) => {
                eprintln!("error: {}: {error}", object.origin);
                code = exit::INVALID;
            }
        }
    }
    match args.output {
        Encoding::Yaml => print(&yaml::stream(&converted)?)?,
        Encoding::Json => print(&output::json(&one_document(converted))?)?,
    }
    Ok(code)
}

/// The fields that say something and have no place in the other version.
fn left_out(before: &Value, after: &Value) -> Vec<String> {
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    };
    let fields = before["spec"].as_object().into_iter().flatten();
    let lost = fields.filter(|(name, value)| !says_nothing(value) && after["spec"].get(name).is_none());
    lost.map(|(name, _)| format!("spec.{name}")).collect()
}

fn one_document(mut objects: Vec<Value>) -> Value {
    if objects.len() == 1 {
        return objects.remove(0);
    }
    json!({"apiVersion": "v1", "kind": "List", "items": objects})
}
