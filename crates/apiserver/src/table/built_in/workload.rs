//! What runs pods.

use serde_json::{Value, json};

use super::super::age::{human_duration, seconds_of};
use super::{NONE, Row, labels, selector, selector_or_none, text_in, texts};

/// The names of containers, and their images.
fn containers(row: &Row<'_>, pointer: &str) -> [Value; 2] {
    let containers = row.list(pointer);
    ["name", "image"].map(|field| texts(containers, field).join(",").into())
}

const CONTAINERS: &str = "/spec/template/spec/containers";

pub(super) fn deployment(row: &Row<'_>) -> Vec<Value> {
    let ready = format!("{}/{}", row.number("/status/readyReplicas"), row.number("/spec/replicas"));
    let mut cells = vec![row.name().into(), ready.into()];
    cells.extend(
        ["updatedReplicas", "availableReplicas"].map(|it| row.number(&format!("/status/{it}")).into()),
    );
    cells.push(row.age().into());
    cells.extend(containers(row, CONTAINERS));
    cells.push(selector(row.at("/spec/selector")).into());
    cells
}

pub(super) fn replica_set(row: &Row<'_>) -> Vec<Value> {
    replicas(row, selector_or_none(row.at("/spec/selector")))
}

pub(super) fn replication_controller(row: &Row<'_>) -> Vec<Value> {
    replicas(row, labels(row.at("/spec/selector")))
}

fn replicas(row: &Row<'_>, selected: String) -> Vec<Value> {
    let mut cells = vec![row.name().into()];
    let numbers = ["/spec/replicas", "/status/replicas", "/status/readyReplicas"];
    cells.extend(numbers.map(|pointer| row.number(pointer).into()));
    cells.push(row.age().into());
    cells.extend(containers(row, CONTAINERS));
    cells.push(selected.into());
    cells
}

pub(super) fn stateful_set(row: &Row<'_>) -> Vec<Value> {
    let ready = format!("{}/{}", row.number("/status/readyReplicas"), row.number("/spec/replicas"));
    let mut cells = vec![row.name().into(), ready.into(), row.age().into()];
    cells.extend(containers(row, CONTAINERS));
    cells
}

pub(super) fn daemon_set(row: &Row<'_>) -> Vec<Value> {
    let mut cells = vec![row.name().into()];
    let numbers = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    cells.extend(numbers.map(|field| row.number(&format!("/status/{field}")).into()));
    cells.extend([labels(row.at("/spec/template/spec/nodeSelector")).into(), row.age().into()]);
    cells.extend(containers(row, CONTAINERS));
    cells.push(selector_or_none(row.at("/spec/selector")).into());
    cells
}

pub(super) fn pod_template(row: &Row<'_>) -> Vec<Value> {
    let mut cells = vec![row.name().into()];
    cells.extend(containers(row, "/template/spec/containers"));
    cells.push(labels(row.at("/template/metadata/labels")).into());
    cells
}

pub(super) fn job(row: &Row<'_>) -> Vec<Value> {
    let succeeded = row.number("/status/succeeded");
    let completions = match (row.at("/spec/completions").as_i64(), row.number("/spec/parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let end = seconds_of(row.text("/status/completionTime")).unwrap_or(row.now_secs);
    let duration = seconds_of(row.text("/status/startTime")).map(|start| human_duration(end - start));
    let mut cells = vec![row.name().into(), job_status(row).into(), completions.into()];
    cells.extend([duration.unwrap_or_default().into(), row.age().into()]);
    cells.extend(containers(row, CONTAINERS));
    cells.push(selector_or_none(row.at("/spec/selector")).into());
    cells
}

/// The condition that says most, in this order.
fn job_status(row: &Row<'_>) -> &'static str {
    let has = |wanted: &str| {
        let mut conditions = row.list("/status/conditions").iter();
        conditions.any(|it| it["type"] == wanted && it["status"] == "True")
    };
    match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if row.at("/metadata/deletionTimestamp").is_string() => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

pub(super) fn cron_job(row: &Row<'_>) -> Vec<Value> {
    let last = match row.text("/status/lastScheduleTime") {
        "" => NONE.to_owned(),
        time => row.age_of(time),
    };
    let suspend = match row.at("/spec/suspend").as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => UNSET,
    };
    let mut cells = vec![
        json!(row.name()),
        json!(row.text("/spec/schedule")),
        json!(row.at("/spec/timeZone").as_str().unwrap_or(NONE)),
        json!(suspend),
        json!(row.list("/status/active").len()),
        json!(last),
        json!(row.age()),
    ];
    cells.extend(containers(row, "/spec/jobTemplate/spec/template/spec/containers"));
    cells.push(selector_or_none(row.at("/spec/jobTemplate/spec/selector")).into());
    cells
}

pub(super) fn scale(row: &Row<'_>) -> Vec<Value> {
    let [desired, available] = ["/spec/replicas", "/status/replicas"].map(|it| row.number(it).into());
    vec![row.name().into(), desired, available, row.age().into()]
}

const UNSET: &str = super::UNSET;

pub(super) fn disruption_budget(row: &Row<'_>) -> Vec<Value> {
    let amount = |pointer: &str| match row.at(pointer) {
        Value::Null => "N/A".to_owned(),
        Value::String(share) => share.clone(),
        number => number.to_string(),
    };
    vec![
        json!(row.name()),
        json!(amount("/spec/minAvailable")),
        json!(amount("/spec/maxUnavailable")),
        json!(row.number("/status/disruptionsAllowed")),
        json!(row.age()),
    ]
}

pub(super) fn revision(row: &Row<'_>) -> Vec<Value> {
    let owner = row.list("/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true);
    let controller = owner.map_or_else(
        || NONE.to_owned(),
        |owner| {
            let kind = text_in(owner, "kind").to_lowercase();
            let name = text_in(owner, "name");
            match text_in(owner, "apiVersion").split_once('/') {
                Some((group, _)) => format!("{kind}.{group}/{name}"),
                None => format!("{kind}/{name}"),
            }
        },
    );
    vec![row.name().into(), controller.into(), row.number("/revision").into(), row.age().into()]
}
