//! The resources that pools are read from, and what was last made of them.

use std::collections::BTreeMap;

use api::metallb::{Community, IPAddressPool};
use api::parse::{Objects, Problem, Role, View, parse};
use plan::config::Pool;
use plan::snapshot::Namespace;

use crate::watch::Known;

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
        self.pools.is_complete() && self.communities.is_complete() && self.namespaces.is_complete()
    }

    /// Nothing while it is incomplete, or if nothing has changed since the last time.
    pub(super) fn read(&mut self) -> Option<Read> {
        if !self.is_complete() || !std::mem::take(&mut self.has_changed) {
            return None;
        }
        let objects = Objects {
            pools: self.pools.cloned(),
            communities: self.communities.cloned(),
            namespaces: self.namespaces.cloned(),
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
