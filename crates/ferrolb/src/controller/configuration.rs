//! The resources that pools are read from, and what was last made of them.

use std::collections::BTreeMap;

use api::metallb::{Community, IPAddressPool};
use api::parse::{Objects, Problem, Role, View, parse};
use plan::config::Pool;
use plan::snapshot::Namespace;

use crate::watch::{Change, Key};

#[derive(Debug)]
pub(super) struct Configuration {
    view: View,
    pub(super) pools: Known<IPAddressPool>,
    pub(super) communities: Known<Community>,
    pub(super) namespaces: Known<Namespace>,
    has_changed: bool,
    in_use: Option<BTreeMap<String, Pool>>,
}

/// What is to be done about a change.
#[derive(Debug)]
pub(super) enum Read {
    /// Another configuration than before.
    New(BTreeMap<String, Pool>),
    /// The one that is in use.
    Same,
    /// What was in use before stays in use. The first problem decides.
    Refused(Vec<Problem>),
}

impl Configuration {
    pub(super) fn new(namespace: &str) -> Configuration {
        let role = Role::Controller;
        Configuration {
            view: View { role, namespace: namespace.to_owned(), secret_passthrough: false },
            pools: Known::default(),
            communities: Known::default(),
            namespaces: Known::default(),
            has_changed: true,
            in_use: None,
        }
    }

    pub(super) fn note(&mut self, has_changed: bool) {
        self.has_changed |= has_changed;
    }

    /// What an earlier session used, until something better is read.
    pub(super) fn go_on_with(&mut self, pools: BTreeMap<String, Pool>) {
        self.in_use = Some(pools);
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.in_use.is_some()
    }

    fn is_complete(&self) -> bool {
        self.pools.is_complete && self.communities.is_complete && self.namespaces.is_complete
    }

    /// Nothing while it is incomplete, or if nothing has changed since the last time.
    pub(super) fn read(&mut self) -> Option<Read> {
        if !self.is_complete() || !std::mem::take(&mut self.has_changed) {
            return None;
        }
        let objects = Objects {
            pools: self.pools.values.values().cloned().collect(),
            communities: self.communities.values.values().cloned().collect(),
            namespaces: self.namespaces.values.values().cloned().collect(),
            ..Objects::default()
        };
        let parsed = parse(objects, &self.view);
        for remark in &parsed.warnings {
            tracing::debug!("{remark}");
        }
        Some(match parsed.accepted() {
            Err(problems) => Read::Refused(problems),
            Ok(config) if self.in_use.as_ref() == Some(&config.pools) => Read::Same,
            Ok(config) => {
                self.in_use = Some(config.pools.clone());
                Read::New(config.pools)
            }
        })
    }
}

/// The objects of one kind.
#[derive(Debug)]
pub(super) struct Known<T> {
    pub(super) values: BTreeMap<Key, T>,
    is_complete: bool,
}

impl<T> Default for Known<T> {
    fn default() -> Known<T> {
        Known { values: BTreeMap::new(), is_complete: false }
    }
}

impl<T> Known<T> {
    /// Whether something is different now, as far as `read` tells.
    pub(super) fn take<R: PartialEq>(&mut self, change: Change<T>, read: impl Fn(&T) -> R) -> bool {
        match change {
            Change::Is { key, value, .. } => {
                let before = self.values.get(&key).map(&read);
                let is_different = before != Some(read(&value));
                self.values.insert(key, value);
                is_different
            }
            Change::Gone(key) => self.values.remove(&key).is_some(),
            Change::Complete => !std::mem::replace(&mut self.is_complete, true),
        }
    }
}
