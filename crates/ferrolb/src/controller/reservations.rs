//! The ConfigMap of addresses that outlive their Services: read before anything is decided, written when something changes.

use std::collections::BTreeMap;
use std::time::Duration;

use api::reservation::{self, CONFIG_MAP, Reserved, key_of};
use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use plan::snapshot::ServiceKey;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::backoff::delay;
use crate::call::{self, Failure};

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// All that is kept, by the name of its Service.
pub(super) type Reservations = BTreeMap<ServiceKey, Reserved>;

/// What a ConfigMap says. Entries that nobody can read are left alone.
pub(super) fn read(config_map: &ConfigMap) -> Reservations {
    let (reserved, errors) = reservation::read(config_map);
    for error in errors {
        tracing::warn!("{error}");
    }
    reserved.into_iter().map(|it| (it.reservation.service.clone(), it)).collect()
}

/// Waits until it is known what is kept. Without permission to read it, nothing is.
pub(super) async fn first(client: &Client, namespace: &str) -> Reservations {
    for attempt in 1.. {
        match call::get::<ConfigMap>(client, &path(namespace)).await {
            Ok(config_map) => return read(&config_map),
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => break,
            Err(failure) if failure.is(StatusCode::FORBIDDEN) => {
                tracing::warn!(error = %failure, "addresses are not kept for Services that are gone");
                break;
            }
            Err(failure) => tracing::warn!(error = %failure, "ConfigMap {CONFIG_MAP} is not read yet"),
        }
        tokio::time::sleep(delay(attempt, RETRY_MIN, RETRY_MAX)).await;
    }
    Reservations::new()
}

/// Writes what is wanted until nobody wants anything any more. `None`: it is not known yet.
pub(super) async fn run(
    client: Client,
    namespace: String,
    mut wanted: watch::Receiver<Option<Reservations>>,
) {
    let mut failures = 0;
    loop {
        let now = wanted.borrow_and_update().clone();
        let outcome = match &now {
            Some(reservations) => write(&client, &namespace, reservations).await,
            None => Ok(()),
        };
        match outcome {
            Ok(()) => {
                failures = 0;
                if wanted.changed().await.is_err() {
                    return;
                }
            }
            Err(failure) => {
                failures += 1;
                tracing::warn!(error = %failure, "ConfigMap {CONFIG_MAP} is not written yet");
                tokio::time::sleep(delay(failures, RETRY_MIN, RETRY_MAX)).await;
            }
        }
    }
}

async fn write(client: &Client, namespace: &str, wanted: &Reservations) -> Result<(), Failure> {
    let wanted: BTreeMap<String, String> =
        wanted.iter().map(|(service, reserved)| (key_of(service), reserved.to_value())).collect();
    let is = match call::get::<ConfigMap>(client, &path(namespace)).await {
        Ok(config_map) => config_map.data.unwrap_or_default(),
        Err(failure) if failure.is(StatusCode::NOT_FOUND) => {
            if wanted.is_empty() {
                return Ok(());
            }
            let object = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": CONFIG_MAP, "namespace": namespace},
                "data": wanted,
            });
            let path = format!("/api/v1/namespaces/{namespace}/configmaps");
            return call::post::<Value>(client, &path, &object).await.map(drop);
        }
        Err(failure) => return Err(failure),
    };
    // Entries that cannot be read are somebody's mistake, and his to mend.
    let is_ours = |key: &String, value: &String| Reserved::from_entry(key, value).is_ok();
    let gone = is.iter().filter(|(key, value)| !wanted.contains_key(*key) && is_ours(key, value));
    let mut patch: BTreeMap<&String, Option<&String>> = gone.map(|(key, _)| (key, None)).collect();
    patch.extend(
        wanted
            .iter()
            .filter(|(key, value)| is.get(*key) != Some(value))
            .map(|(key, value)| (key, Some(value))),
    );
    if patch.is_empty() {
        return Ok(());
    }
    let body = json!({"data": patch});
    call::patch::<Value>(client, &path(namespace), call::MERGE_PATCH, &body).await.map(drop)
}

fn path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{CONFIG_MAP}")
}
