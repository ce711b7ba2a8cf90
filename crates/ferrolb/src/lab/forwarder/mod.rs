//! From an address of a Service to its endpoints, as kube-proxy does it: rules in the namespace of each node, made from
//! Services and EndpointSlices, and replaced as a whole whenever they change.

mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, Client};
use tokio::sync::{Semaphore, mpsc, watch};

use super::namespace::Namespace;
use super::programs;
use crate::watch::{Change, Only, follow};
use rules::{Frontend, Slice};

pub(super) use rules::Rules;

const QUEUE: usize = 64;
/// Programs that write rules at once; there are as many nodes as people want, and few cores.
const WRITERS: usize = 2;

enum Seen {
    Service(Change<Frontend>),
    Slice(Change<Slice>),
}

/// Follows what the API server says. Goes on until it is dropped.
pub(super) async fn follow_rules(client: Client, rules: watch::Sender<Arc<Rules>>) {
    let (told, mut seen) = mpsc::channel(QUEUE);
    let any = Only::default;
    let services = Api::<Service>::all(client.clone());
    let services = follow(services, any(), |it| Frontend::read(&it), told.clone(), Seen::Service);
    let slices = Api::<EndpointSlice>::all(client);
    let slices = follow(slices, any(), |it| Slice::read(&it), told, Seen::Slice);
    let telling = async {
        let mut view = View::default();
        while let Some(first) = seen.recv().await {
            view.take(first);
            while let Ok(next) = seen.try_recv() {
                view.take(next);
            }
            if view.has_services && view.has_slices {
                rules.send_replace(Arc::new(view.rules.clone()));
            }
        }
    };
    tokio::join!(services, slices, telling);
}

#[derive(Default)]
struct View {
    rules: Rules,
    has_services: bool,
    has_slices: bool,
}

impl View {
    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Service(Change::Complete) => self.has_services = true,
            Seen::Slice(Change::Complete) => self.has_slices = true,
            Seen::Service(change) => note(&mut self.rules.frontends, change),
            Seen::Slice(change) => note(&mut self.rules.slices, change),
        }
    }
}

fn note<T>(known: &mut BTreeMap<crate::watch::Key, T>, change: Change<T>) {
    match change {
        Change::Is { key, value, .. } => {
            known.insert(key, value);
        }
        Change::Gone(key) => {
            known.remove(&key);
        }
        Change::Complete => {}
    }
}

/// Writes the rules of one node, the newest whenever there are any. A node that cannot reach the API server hears nothing
/// new, and keeps what it has.
pub(super) async fn write_rules(
    namespace: Arc<Namespace>,
    node: String,
    mut rules: watch::Receiver<Arc<Rules>>,
    mut hears: watch::Receiver<bool>,
    writers: Arc<Semaphore>,
) {
    let mut written = String::new();
    loop {
        let Ok(_) = hears.wait_for(|hears| *hears).await else { return };
        let script = rules.borrow_and_update().script(&node);
        if script != written {
            let Ok(permit) = Arc::clone(&writers).acquire_owned().await else { return };
            let (place, text) = (Arc::clone(&namespace), script.clone());
            let done = tokio::task::spawn_blocking(move || programs::nft(&place, &text)).await;
            drop(permit);
            match done {
                Ok(Ok(())) => written = script,
                Ok(Err(error)) => tracing::warn!("the rules of {node} could not be written: {error}"),
                Err(_) => return,
            }
        }
        if rules.changed().await.is_err() {
            return;
        }
    }
}

pub(super) fn writers() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(WRITERS))
}
