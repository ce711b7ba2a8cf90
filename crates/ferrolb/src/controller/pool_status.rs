//! The counters of pools in their statuses: what was counted last, at most twice a second for each pool.

use std::collections::BTreeMap;
use std::time::Duration;

use api::metallb::{IPAddressPool, IPAddressPoolStatus};
use http::StatusCode;
use kube::{Client, ResourceExt};
use plan::allocate::Counters;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::backoff::sleep_until;
use crate::call::{self, Failure};

/// Between two writes of one pool, also when the first has failed.
const BETWEEN_WRITES: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) enum PoolNews {
    Is(Box<IPAddressPool>),
    Gone(String),
}

#[derive(Debug, Default)]
struct Entry {
    /// As last seen; a write needs its version.
    pool: Option<Box<IPAddressPool>>,
    counters: Counters,
    /// No write before this.
    not_before: Option<Instant>,
}

/// Runs until nobody sends news any more. Pools that are not counted have no addresses.
pub(super) async fn run(
    client: Client,
    namespace: String,
    mut news: mpsc::UnboundedReceiver<PoolNews>,
    mut counted: watch::Receiver<BTreeMap<String, Counters>>,
) {
    let mut pools: BTreeMap<String, Entry> = BTreeMap::new();
    // Before anything is counted, what the statuses say is all that is known.
    let mut is_counted = false;
    loop {
        {
            let counters = counted.borrow_and_update();
            // It may have come while something else was seen to, and is not told as a change any more.
            is_counted |= counters.has_changed();
            for (name, entry) in &mut pools {
                entry.counters = counters.get(name).copied().unwrap_or_default();
            }
        }
        let wake = next_write(&pools).filter(|_| is_counted);
        tokio::select! {
            news = news.recv() => match news {
                Some(news) => learn(&mut pools, news),
                None => return,
            },
            changed = counted.changed() => match changed {
                Ok(()) => is_counted = true,
                Err(_) => return,
            },
            () = sleep_until(wake), if wake.is_some() => {
                let now = Instant::now();
                for (name, entry) in pools.iter_mut().filter(|(_, entry)| entry.is_due(now)) {
                    entry.write(&client, &namespace, name).await;
                }
            }
        }
    }
}

fn learn(pools: &mut BTreeMap<String, Entry>, news: PoolNews) {
    match news {
        PoolNews::Is(pool) => {
            let name = pool.name_any();
            pools.entry(name).or_default().pool = Some(pool);
        }
        PoolNews::Gone(name) => {
            pools.remove(&name);
        }
    }
}

fn next_write(pools: &BTreeMap<String, Entry>) -> Option<Instant> {
    let differing = pools.values().filter(|entry| entry.differs());
    differing.map(|entry| entry.not_before.unwrap_or_else(Instant::now)).min()
}

impl Entry {
    fn differs(&self) -> bool {
        self.pool
            .as_ref()
            .is_some_and(|pool| pool.status.clone().unwrap_or_default() != status(&self.counters))
    }

    fn is_due(&self, now: Instant) -> bool {
        self.differs() && self.not_before.is_none_or(|at| at <= now)
    }

    async fn write(&mut self, client: &Client, namespace: &str, name: &str) {
        self.not_before = Some(Instant::now() + BETWEEN_WRITES);
        let Some(pool) = &self.pool else { return };
        match put(client, namespace, name, pool, &self.counters).await {
            Ok(written) => self.pool = Some(Box::new(written)),
            // The watch tells what it has become.
            Err(failure) if failure.is(StatusCode::CONFLICT) || failure.is(StatusCode::NOT_FOUND) => {}
            Err(failure) => {
                self.not_before = Some(Instant::now() + BETWEEN_WRITES * 10);
                tracing::warn!(pool = name, error = %failure, "the status of a pool is not written yet");
            }
        }
    }
}

async fn put(
    client: &Client,
    namespace: &str,
    name: &str,
    pool: &IPAddressPool,
    counters: &Counters,
) -> Result<IPAddressPool, Failure> {
    let mut pool = pool.clone();
    pool.metadata.managed_fields = None;
    pool.status = Some(status(counters));
    let body = serde_json::to_value(&pool).unwrap_or(Value::Null);
    let path = format!("/apis/metallb.io/v1beta1/namespaces/{namespace}/ipaddresspools/{name}/status");
    call::put(client, &path, &body).await
}

fn status(counters: &Counters) -> IPAddressPoolStatus {
    IPAddressPoolStatus {
        assigned_ipv4: counters.assigned_v4,
        assigned_ipv6: counters.assigned_v6,
        available_ipv4: counters.available_v4,
        available_ipv6: counters.available_v6,
    }
}
