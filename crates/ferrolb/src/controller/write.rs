//! One decision to one Service: a single PUT of its status, which fails if anybody else has changed it meanwhile.

use std::sync::Arc;

use http::StatusCode;
use kube::Client;
use plan::snapshot::ServiceKey;

use super::leader::Leadership;
use super::ledger::{Task, Written};
use super::service::{Seen, Whole};
use crate::call;
use crate::pace::Outcome;

pub(super) async fn write(client: Client, task: Task, leadership: Leadership) -> (Written, Outcome) {
    let path = path(&task.key);
    let body = task.seen.written(&task.write);
    // Some time may have passed since it was decided.
    if !leadership.holds() {
        return (Written::Failed, Outcome::ServiceTrouble);
    }
    let answer = match call::put(&client, &format!("{path}/status"), &body).await {
        Ok(object) => Ok(seen(object).map_or(Written::Gone, Written::Done)),
        Err(failure) if failure.is(StatusCode::CONFLICT) => {
            let read = call::get(&client, &path).await;
            read.map(|object| seen(object).map_or(Written::Gone, Written::Changed))
        }
        Err(failure) => Err(failure),
    };
    match answer {
        Ok(written) => (written, Outcome::Fine),
        Err(failure) if failure.is(StatusCode::NOT_FOUND) => (Written::Gone, Outcome::Fine),
        Err(failure) => {
            tracing::warn!(service = %task.key, error = %failure, "the status is not written yet");
            (Written::Failed, Outcome::from(&failure))
        }
    }
}

fn seen(object: Whole) -> Option<Arc<Seen>> {
    Seen::of(object).map(Arc::new)
}

fn path(key: &ServiceKey) -> String {
    format!("/api/v1/namespaces/{}/services/{}", key.namespace, key.name)
}
