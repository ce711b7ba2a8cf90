//! Pods: one word for what state all of their containers are in.

use serde_json::{Value, json};

use super::super::age::seconds_of;
use super::{NONE, Row, or, text_in};

pub(super) fn cells(row: &Row<'_>) -> Vec<Value> {
    let state = State::of(row);
    let mut restarts = state.restarts.to_string();
    if state.restarts != 0 && !state.last_restart.is_empty() {
        restarts = format!("{restarts} ({} ago)", row.age_of(state.last_restart));
    }
    let address = row.list("/status/podIPs").first().map_or("", |it| text_in(it, "ip"));
    vec![
        json!(row.name()),
        json!(format!("{}/{}", state.ready, state.total)),
        json!(state.reason),
        json!(restarts),
        json!(row.age()),
        json!(or(address, NONE)),
        json!(row.text_or("/spec/nodeName", NONE)),
        json!(row.text_or("/status/nominatedNodeName", NONE)),
        json!(readiness_gates(row)),
    ]
}

/// What a row says of a pod that has ended, so that a client may leave it out.
pub(super) fn conditions(pod: &Value) -> Option<Value> {
    let (reason, message) = match pod["status"]["phase"].as_str()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

fn readiness_gates(row: &Row<'_>) -> String {
    let gates = row.list("/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let is_open = |gate: &&Value| {
        let mut conditions = row.list("/status/conditions").iter();
        conditions.find(|it| it["type"] == gate["conditionType"]).is_some_and(|it| it["status"] == "True")
    };
    format!("{}/{}", gates.iter().filter(is_open).count(), gates.len())
}

struct State<'a> {
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: &'a str,
    reason: String,
}

impl<'a> State<'a> {
    fn of(row: &Row<'a>) -> State<'a> {
        let conditions = row.list("/status/conditions");
        let mut reason = row.text_or("/status/reason", row.text("/status/phase")).to_owned();
        if conditions.iter().any(|it| it["type"] == "PodScheduled" && it["reason"] == "SchedulingGated") {
            "SchedulingGated".clone_into(&mut reason);
        }
        let sidecars = row.list("/spec/initContainers").iter().filter(|it| restarts_always(it)).count();
        let total = row.list("/spec/containers").len() + sidecars;
        let mut state = State { ready: 0, total, restarts: 0, last_restart: "", reason };
        let is_initialized =
            conditions.iter().any(|it| it["type"] == "Initialized" && it["status"] == "True");
        if !state.initialize(row) || is_initialized {
            state.run(row);
        }
        if row.at("/metadata/deletionTimestamp").is_string() {
            if row.text("/status/reason") == "NodeLost" {
                "Unknown".clone_into(&mut state.reason);
            } else if !matches!(row.text("/status/phase"), "Succeeded" | "Failed") {
                "Terminating".clone_into(&mut state.reason);
            }
        }
        state
    }

    /// Looks at the containers that come first; whether one of them is what the pod waits for.
    fn initialize(&mut self, row: &Row<'a>) -> bool {
        let specs = row.list("/spec/initContainers");
        for (index, status) in row.list("/status/initContainerStatuses").iter().enumerate() {
            self.count_restarts(status);
            let spec = specs.iter().find(|spec| spec["name"] == status["name"]);
            let (terminated, waiting) = (&status["state"]["terminated"], &status["state"]["waiting"]);
            if terminated.is_object() && code(terminated, "exitCode") == 0 {
                continue;
            }
            if spec.is_some_and(restarts_always) && status["started"] == true {
                self.ready += usize::from(status["ready"] == true);
                continue;
            }
            self.reason = match (text_in(waiting, "reason"), terminated.is_object()) {
                (_, true) => format!("Init:{}", ended(terminated)),
                ("" | "PodInitializing", false) => format!("Init:{index}/{}", specs.len()),
                (reason, false) => format!("Init:{reason}"),
            };
            return true;
        }
        false
    }

    /// Looks at the containers that the pod is there for, the first of which has the last word.
    fn run(&mut self, row: &Row<'a>) {
        (self.restarts, self.last_restart) = (0, "");
        let specs = row.list("/spec/initContainers");
        for status in row.list("/status/initContainerStatuses") {
            if specs.iter().any(|spec| spec["name"] == status["name"] && restarts_always(spec)) {
                self.count_restarts(status);
            }
        }
        let (mut is_running, mut failure) = (false, None);
        for status in row.list("/status/containerStatuses").iter().rev() {
            self.count_restarts(status);
            let (terminated, waiting) = (&status["state"]["terminated"], &status["state"]["waiting"]);
            if !text_in(waiting, "reason").is_empty() {
                text_in(waiting, "reason").clone_into(&mut self.reason);
            } else if terminated.is_object() {
                self.reason = ended(terminated);
                if code(terminated, "exitCode") != 0 {
                    failure = Some(self.reason.clone());
                }
            } else if status["ready"] == true && status["state"]["running"].is_object() {
                is_running = true;
                self.ready += 1;
            }
        }
        let is_ready = |it: &Value| it["type"] == "Ready" && it["status"] == "True";
        if self.reason == "Completed" {
            self.reason = match failure {
                _ if is_running && row.list("/status/conditions").iter().any(is_ready) => {
                    "Running".to_owned()
                }
                Some(failure) => failure,
                None if is_running => "NotReady".to_owned(),
                None => "Completed".to_owned(),
            };
        }
    }

    fn count_restarts(&mut self, status: &'a Value) {
        self.restarts += code(status, "restartCount");
        let finished = text_in(&status["lastState"]["terminated"], "finishedAt");
        if seconds_of(finished) > seconds_of(self.last_restart) {
            self.last_restart = finished;
        }
    }
}

fn restarts_always(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn code(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap_or_default()
}

/// Why a container has ended, in a word.
fn ended(terminated: &Value) -> String {
    match (text_in(terminated, "reason"), code(terminated, "signal")) {
        ("", 0) => format!("ExitCode:{}", code(terminated, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
