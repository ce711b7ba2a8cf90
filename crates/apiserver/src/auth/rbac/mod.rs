//! Roles and bindings: who may do what, as objects in the store say it.
//!
//! They are kept in an index, which follows the store. Whoever wrote a binding and got an answer can use it at once.

mod bootstrap;
mod escalation;
mod index;
mod rule;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::Value;

use super::attributes::Attributes;
use super::authorize::Decision;
use super::identity::Identity;
pub use crate::kinds::rbac::GROUP;
use crate::store::{Entry, RangeRequest, Store, StoreError, Watch};
pub use bootstrap::objects as bootstrap_objects;
pub use escalation::{missing_from, missing_text};
pub use index::Index;
pub use rule::Rule;

const PREFIX: &str = "/objects/rbac.authorization.k8s.io/";

/// The index of a store.
#[derive(Debug)]
pub struct Roles {
    store: Arc<dyn Store>,
    index: RwLock<Index>,
    watch: Mutex<Watch>,
}

impl Roles {
    pub async fn open(store: Arc<dyn Store>) -> Result<Roles, StoreError> {
        let (index, watch) = load(&*store).await?;
        Ok(Roles { store, index: RwLock::new(index), watch: Mutex::new(watch) })
    }

    pub async fn decide(&self, user: &Identity, wanted: &Attributes) -> Decision {
        if let Err(error) = self.catch_up().await {
            return Decision::no_opinion(format!("RBAC: {error}"));
        }
        self.read(|index| index.decide(user, wanted))
    }

    /// Reads the index as it is now.
    pub async fn look<T>(&self, look: impl FnOnce(&Index) -> T) -> Result<T, StoreError> {
        self.catch_up().await?;
        Ok(self.read(look))
    }

    fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in what happened since the last time, which is mostly nothing.
    async fn catch_up(&self) -> Result<(), StoreError> {
        loop {
            {
                let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
                match watch.fetch() {
                    Ok(events) if events.is_empty() => return Ok(()),
                    Ok(events) => {
                        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
                        for event in events {
                            set(&mut index, &event.key, event.current.as_ref());
                        }
                        continue;
                    }
                    Err(StoreError::Closed) => return Err(StoreError::Closed),
                    // Nobody asked for so long that the history has passed us.
                    Err(_) => {}
                }
            }
            let (index, watch) = load(&*self.store).await?;
            *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = watch;
            *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        }
    }
}

async fn load(store: &dyn Store) -> Result<(Index, Watch), StoreError> {
    let range = store.range(RangeRequest { prefix: PREFIX, ..RangeRequest::default() }).await?;
    let mut index = Index::default();
    for entry in &range.entries {
        set(&mut index, &entry.key, Some(entry));
    }
    Ok((index, store.watch(PREFIX, range.revision).await?))
}

fn set(index: &mut Index, key: &str, entry: Option<&Entry>) {
    let mut parts = key.strip_prefix(PREFIX).unwrap_or_default().splitn(3, '/');
    let (Some(plural), Some(namespace), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let object: Option<Value> = entry.and_then(|entry| serde_json::from_slice(&entry.value).ok());
    index.set(plural, namespace, name, object.as_ref());
}
