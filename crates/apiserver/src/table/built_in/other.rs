//! Kinds of which there is little to print, and events.

use serde_json::{Map, Value, json};

use super::{Row, or};

/// An object of which nothing is known but its name.
pub(super) fn plain(row: &Row<'_>) -> Vec<Value> {
    vec![row.name().into(), row.text("/metadata/creationTimestamp").into()]
}

pub(super) fn named(row: &Row<'_>) -> Vec<Value> {
    vec![row.name().into(), row.age().into()]
}

pub(super) fn config_map(row: &Row<'_>) -> Vec<Value> {
    let entries = ["/data", "/binaryData"].map(|field| row.at(field).as_object().map_or(0, Map::len));
    vec![row.name().into(), (entries[0] + entries[1]).into(), row.age().into()]
}

pub(super) fn secret(row: &Row<'_>) -> Vec<Value> {
    let entries = row.at("/data").as_object().map_or(0, Map::len);
    vec![row.name().into(), row.text("/type").into(), entries.into(), row.age().into()]
}

pub(super) fn namespace(row: &Row<'_>) -> Vec<Value> {
    vec![row.name().into(), row.text("/status/phase").into(), row.age().into()]
}

pub(super) fn lease(row: &Row<'_>) -> Vec<Value> {
    vec![row.name().into(), row.text("/spec/holderIdentity").into(), row.age().into()]
}

/// An event of either group, whose fields have two names.
pub(super) fn event(row: &Row<'_>) -> Vec<Value> {
    let either = |old: &str, new: &str| or(row.text(old), row.text(new)).to_owned();
    let first = either("/firstTimestamp", "/deprecatedFirstTimestamp");
    let first = row.age_of(or(&first, row.text("/eventTime")));
    let last = either("/lastTimestamp", "/deprecatedLastTimestamp");
    let mut last = if last.is_empty() { first.clone() } else { row.age_of(&last) };
    let mut count = row.number("/count").max(row.number("/deprecatedCount")).max(1);
    if row.at("/series").is_object() {
        last = row.since("/series/lastObservedTime");
        count = row.number("/series/count");
    }
    let kind = either("/involvedObject/kind", "/regarding/kind").to_lowercase();
    let name = either("/involvedObject/name", "/regarding/name");
    let target = if name.is_empty() { kind } else { format!("{kind}/{name}") };
    let component = either("/source/component", "/deprecatedSource/component");
    let reporter = either("/reportingComponent", "/reportingController");
    let host = either("/source/host", "/deprecatedSource/host");
    let instance = or(&host, row.text("/reportingInstance"));
    let component = or(&component, &reporter);
    let source = if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") };
    vec![
        json!(last),
        json!(row.text("/type")),
        json!(row.text("/reason")),
        json!(target),
        json!(either("/involvedObject/fieldPath", "/regarding/fieldPath")),
        json!(source),
        json!(either("/message", "/note").trim()),
        json!(first),
        json!(count),
        json!(row.name()),
    ]
}
