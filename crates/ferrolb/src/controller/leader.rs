//! Who of several controllers decides: whoever holds the Lease. Without permission for Leases there is only one.
//!
//! The holder believes in itself for less time than others wait before they take over, and counts from before it asked.
//! So one that was paused finds that its time is over before it writes anything.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use crate::call::{self, Failure};

/// Others wait so long without a sign of the holder.
const DURATION: Duration = Duration::from_secs(15);
/// The holder believes in itself so long without an answer.
const BELIEF: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);
/// How often others look.
const LOOK: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Election {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Nobody else has it.
    pub(super) identity: String,
    /// How the identities of processes in this Pod begin. There is only one of them at a time.
    pub(super) pod: Option<String>,
}

/// The right to write.
#[derive(Debug, Clone)]
pub(super) struct Leadership {
    /// Nothing if there is no election.
    until: Option<Arc<Mutex<Instant>>>,
}

impl Leadership {
    /// For one that nobody else can take the place of.
    pub(super) fn unopposed() -> Leadership {
        Leadership { until: None }
    }

    /// To be asked right before a write.
    pub(super) fn holds(&self) -> bool {
        let until = self.until.as_ref().map(|until| *until.lock().unwrap_or_else(PoisonError::into_inner));
        until.is_none_or(|until| Instant::now() < until)
    }

    fn extend(&self, until: Instant) {
        if let Some(mine) = &self.until {
            *mine.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
    }
}

impl Election {
    /// Waits until this is the one that decides.
    pub(super) async fn win(&self) -> Leadership {
        let mut watched: Option<(LeaseSpec, Instant)> = None;
        let mut is_waiting = false;
        loop {
            let asked = Instant::now();
            match self.attempt(&mut watched).await {
                Ok(true) => {
                    tracing::info!(identity = self.identity, "this controller decides from now on");
                    return Leadership { until: Some(Arc::new(Mutex::new(asked + BELIEF))) };
                }
                Ok(false) => {
                    if !std::mem::replace(&mut is_waiting, true) {
                        let holder = watched.as_ref().and_then(|(spec, _)| spec.holder_identity.clone());
                        tracing::info!(holder = holder.unwrap_or_default(), "another controller decides");
                    }
                }
                Err(failure) if failure.is(StatusCode::FORBIDDEN) => {
                    tracing::warn!(error = %failure, "no election without permission for Leases: run one controller only");
                    return Leadership::unopposed();
                }
                Err(failure) => tracing::warn!(error = %failure, "the Lease is not reached yet"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Renews until somebody else decides, or nobody knows who does.
    pub(super) async fn keep(&self, leadership: &Leadership) {
        if leadership.until.is_none() {
            return std::future::pending().await;
        }
        let mut wait = RENEW;
        // As the last renewal left it.
        let mut lease = None;
        loop {
            tokio::time::sleep(wait).await;
            let asked = Instant::now();
            match self.renew(&mut lease).await {
                Ok(true) => {
                    leadership.extend(asked + BELIEF);
                    wait = RENEW;
                }
                Ok(false) => {
                    tracing::warn!("another controller has taken over");
                    return;
                }
                Err(failure) => {
                    tracing::warn!(error = %failure, "the Lease is not renewed yet");
                    wait = RETRY;
                }
            }
            if !leadership.holds() {
                tracing::warn!("the Lease could not be renewed in time, and another controller may decide");
                return;
            }
        }
    }

    /// Gives the right back, so that the next one need not wait.
    pub(super) async fn release(&self, leadership: &Leadership) {
        if leadership.until.is_none() || !leadership.holds() {
            return;
        }
        leadership.extend(Instant::now());
        let Ok(lease) = self.read().await else { return };
        let spec = lease.spec.unwrap_or_default();
        if spec.holder_identity.as_deref() == Some(&self.identity) {
            let free = LeaseSpec { holder_identity: None, lease_duration_seconds: Some(1), ..spec };
            let _ = self.write(lease.metadata, free).await;
        }
    }

    /// Takes the Lease if nobody holds it. `watched` is how it was when it last changed, and when that was seen.
    async fn attempt(&self, watched: &mut Option<(LeaseSpec, Instant)>) -> Result<bool, Failure> {
        let lease = match self.read().await {
            Ok(lease) => lease,
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return self.create().await,
            Err(failure) => return Err(failure),
        };
        let spec = lease.spec.unwrap_or_default();
        let seen_at = match watched {
            Some((known, at)) if *known == spec => *at,
            _ => {
                let now = Instant::now();
                *watched = Some((spec.clone(), now));
                now
            }
        };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let secs = spec.lease_duration_seconds.and_then(|secs| u64::try_from(secs).ok());
        let is_over = seen_at.elapsed() >= secs.map_or(DURATION, Duration::from_secs);
        let is_dead = self.pod.as_ref().is_some_and(|pod| holder.starts_with(pod));
        if !holder.is_empty() && holder != self.identity && !is_over && !is_dead {
            return Ok(false);
        }
        let transitions = spec.lease_transitions.unwrap_or_default() + i32::from(holder != self.identity);
        let mine = LeaseSpec { lease_transitions: Some(transitions), acquire_time: now(), ..self.spec() };
        self.write(lease.metadata, mine).await
    }

    async fn renew(&self, known: &mut Option<Lease>) -> Result<bool, Failure> {
        let lease = match known.take() {
            Some(lease) => lease,
            None => match self.read().await {
                Ok(lease) => lease,
                Err(failure) if failure.is(StatusCode::NOT_FOUND) => return self.create().await,
                Err(failure) => return Err(failure),
            },
        };
        let spec = lease.spec.unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(false);
        }
        // If it was edited or deleted meanwhile, the next look tells.
        let renewed = LeaseSpec { renew_time: now(), ..spec };
        *known = Some(self.put(lease.metadata, renewed).await?);
        Ok(true)
    }

    async fn create(&self) -> Result<bool, Failure> {
        let spec = LeaseSpec { acquire_time: now(), lease_transitions: Some(0), ..self.spec() };
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        });
        won(call::post::<Value>(&self.client, &self.leases(), &lease).await)
    }

    /// `false`: somebody else was faster.
    async fn write(&self, metadata: ObjectMeta, spec: LeaseSpec) -> Result<bool, Failure> {
        won(self.put(metadata, spec).await)
    }

    async fn put(&self, metadata: ObjectMeta, spec: LeaseSpec) -> Result<Lease, Failure> {
        let lease = Lease { metadata, spec: Some(spec) };
        let lease = serde_json::to_value(lease).unwrap_or(Value::Null);
        call::put(&self.client, &self.path(), &lease).await
    }

    async fn read(&self) -> Result<Lease, Failure> {
        call::get(&self.client, &self.path()).await
    }

    fn spec(&self) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: now(),
            ..LeaseSpec::default()
        }
    }

    fn leases(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.leases(), self.name)
    }
}

fn won<T>(answer: Result<T, Failure>) -> Result<bool, Failure> {
    match answer {
        Ok(_) => Ok(true),
        Err(failure) if failure.is(StatusCode::CONFLICT) => Ok(false),
        Err(failure) => Err(failure),
    }
}

fn now() -> Option<MicroTime> {
    Some(MicroTime(Timestamp::now()))
}
