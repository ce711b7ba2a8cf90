//! How ownership changes with a write: who keeps, who gains, who loses, and what is a conflict.

use super::check::{self, Duplicates};
use super::compare::{Comparison, compare};
use super::managed::{ManagerId, Managers, Owned};
use super::set::{FieldPath, FieldSet};
use super::typed::Problems;
use super::{Versions, merge, path, reconcile};
use crate::types::Types;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A field that someone else owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it.
    pub manager: ManagerId,
    /// Which field.
    pub path: FieldPath,
}

/// Why ownership cannot be worked out.
#[derive(Debug)]
pub(crate) enum Failure {
    Conflicts(Vec<Conflict>),
    Internal(String),
}

/// One write to one kind.
pub(crate) struct Updater<'a> {
    pub(crate) versions: &'a dyn Versions,
    /// The version of the request.
    pub(crate) api_version: &'a str,
    pub(crate) types: &'a Types,
    /// Fields that this kind of write cannot change.
    pub(crate) reset: &'a FieldSet,
    /// Whether they are left out of what managers of other versions own, too.
    pub(crate) reset_all_versions: bool,
}

/// An object in some version, and that version's type.
type InVersion<'v> = Option<(Cow<'v, Value>, &'v Types)>;

impl Updater<'_> {
    /// Nothing if the version is no longer served.
    fn convert<'v>(&'v self, object: &'v Value, from: &str, to: &str) -> InVersion<'v> {
        if to == self.api_version && from == to {
            return Some((Cow::Borrowed(object), self.types));
        }
        let types = if to == self.api_version { self.types } else { self.versions.types(to)? };
        if from == to {
            return Some((Cow::Borrowed(object), types));
        }
        Some((Cow::Owned(self.versions.convert(object, to)?), types))
    }

    fn is_reset_in(&self, api_version: &str) -> bool {
        api_version == self.api_version || self.reset_all_versions
    }

    /// After a write that is no apply: `manager` owns what it changed, others no longer do.
    pub(crate) fn update(
        &self,
        live: &Value,
        new: &Value,
        mut managers: Managers,
        manager: &ManagerId,
    ) -> Result<Managers, Failure> {
        self.reconcile(live, &mut managers);
        let changed = self.take_from_others(live, new, &mut managers, manager, true)?;
        let owned = managers.get(manager).map(|owned| &owned.set).cloned().unwrap_or_default();
        let set = owned.difference(&changed.removed).union(&changed.modified).union(&changed.added);
        let set = set.recursive_difference(self.reset);
        managers.remove(manager);
        if !set.is_empty() {
            let owned = Owned { set, api_version: self.api_version.to_owned(), applied: false };
            managers.insert(manager.clone(), owned);
        }
        Ok(managers)
    }

    /// The object with a configuration applied, or nothing if that changes no value; and who owns what then.
    pub(crate) fn apply(
        &self,
        live: &Value,
        config: &Value,
        mut managers: Managers,
        manager: &ManagerId,
        force: bool,
    ) -> Result<(Option<Value>, Managers), Failure> {
        self.reconcile(live, &mut managers);
        let typed = self.types.root();
        let merged = merge::merge(typed, live, config)
            .map_err(|problems| Failure::Internal(format!("failed to merge config: {problems}")))?;
        let set = check::field_set(typed, config)
            .map_err(|problems| Failure::Internal(format!("failed to get field set: {problems}")))?;
        let set = set.recursive_difference(self.reset);
        let now = Owned { set, api_version: self.api_version.to_owned(), applied: true };
        let last = managers.insert(manager.clone(), now);
        let mut new = self.prune(&merged, &managers, last)?;
        if !self.types.built_in {
            merge::empty_for_null(typed, &merged, &mut new);
            merge::null_where_given(config, &mut new);
        }
        self.take_from_others(live, &new, &mut managers, manager, force)?;
        let changed = !path::equal(live, &new);
        Ok((changed.then_some(new), managers))
    }

    /// Others lose what changed. Without force, an owner of a changed value is a conflict.
    fn take_from_others(
        &self,
        old: &Value,
        new: &Value,
        managers: &mut Managers,
        workflow: &ManagerId,
        force: bool,
    ) -> Result<Comparison, Failure> {
        let mut comparisons: BTreeMap<String, Option<Comparison>> = BTreeMap::new();
        let mine = self.compare_in(old, new, self.api_version)?.unwrap_or_default();
        comparisons.insert(self.api_version.to_owned(), Some(mine.clone()));
        let mut conflicts = Vec::new();
        let mut remaining = Managers::new();
        for (id, owned) in managers.iter() {
            if id == workflow {
                remaining.insert(id.clone(), owned.clone());
                continue;
            }
            if !comparisons.contains_key(&owned.api_version) {
                let found = self.compare_in(old, new, &owned.api_version)?;
                comparisons.insert(owned.api_version.clone(), found);
            }
            let Some(Some(changed)) = comparisons.get(&owned.api_version) else { continue };
            let lost = owned.set.intersection(&changed.modified.union(&changed.added));
            conflicts.extend(lost.paths().into_iter().map(|path| Conflict { manager: id.clone(), path }));
            let set = owned.set.difference(&lost).difference(&changed.removed);
            remaining.insert(id.clone(), Owned { set, ..owned.clone() });
        }
        if !force && !conflicts.is_empty() {
            return Err(Failure::Conflicts(conflicts));
        }
        remaining.retain(|_, owned| !owned.set.is_empty());
        *managers = remaining;
        Ok(mine)
    }

    fn compare_in(&self, old: &Value, new: &Value, version: &str) -> Result<Option<Comparison>, Failure> {
        let (Some((old, types)), Some((new, _))) =
            (self.convert(old, self.api_version, version), self.convert(new, self.api_version, version))
        else {
            return Ok(None);
        };
        let found = compare(types.root(), &old, &new)
            .map_err(|problems| Failure::Internal(format!("failed to compare objects: {problems}")))?;
        Ok(Some(if self.is_reset_in(version) { found.without(self.reset) } else { found }))
    }

    /// Takes out what the manager applied before and does not apply now, unless someone else owns it.
    fn prune(&self, merged: &Value, managers: &Managers, last: Option<Owned>) -> Result<Value, Failure> {
        let Some(last) = last.filter(|last| !last.set.is_empty()) else { return Ok(merged.clone()) };
        let version = last.api_version.as_str();
        let Some((in_last, types)) = self.convert(merged, self.api_version, version) else {
            return Ok(merged.clone());
        };
        let typed = types.root();
        let pruned = merge::remove(typed, &in_last, &last.set.with_declared_parents(typed));
        let pruned = self.add_back_owned(&in_last, pruned, version, managers)?;
        let pruned = add_back_dangling(types, &in_last, &pruned, &last.set)?;
        Ok(match self.convert(&pruned, version, self.api_version) {
            Some((pruned, _)) => pruned.into_owned(),
            None => pruned,
        })
    }

    fn add_back_owned(
        &self,
        merged: &Value,
        pruned: Value,
        pruned_version: &str,
        managers: &Managers,
    ) -> Result<Value, Failure> {
        let mut owned: BTreeMap<&str, FieldSet> = BTreeMap::new();
        for manager in managers.values() {
            let set = owned.entry(&manager.api_version).or_default();
            *set = set.union(&manager.set);
        }
        let first = owned.remove_entry(pruned_version);
        let mut merged = (Cow::Borrowed(merged), pruned_version);
        let mut pruned = (pruned, pruned_version);
        for (version, owned) in first.into_iter().chain(owned) {
            let Some((in_version, types)) = self.convert(&merged.0, merged.1, version) else { continue };
            let Some((pruned_in_version, _)) = self.convert(&pruned.0, pruned.1, version) else { continue };
            let typed = types.root();
            let left = fields_of(types, &pruned_in_version)?.with_declared_parents(typed);
            let keep = left.union(&owned.with_declared_parents(typed));
            let drop = fields_of(types, &in_version)?.with_declared_parents(typed).difference(&keep);
            pruned = (merge::remove(typed, &in_version, &drop), version);
            merged = (Cow::Owned(in_version.into_owned()), version);
        }
        Ok(match self.convert(&pruned.0, pruned.1, pruned_version) {
            Some((in_version, _)) => in_version.into_owned(),
            None => pruned.0,
        })
    }

    fn reconcile(&self, live: &Value, managers: &mut Managers) {
        managers.retain(|_, owned| {
            let Some((_, types)) = self.convert(live, self.api_version, &owned.api_version) else {
                return false;
            };
            owned.set = reconcile::reconcile(types.root(), &owned.set);
            true
        });
    }
}

/// Only what the manager owned before can go.
fn add_back_dangling(
    types: &Types,
    merged: &Value,
    pruned: &Value,
    last: &FieldSet,
) -> Result<Value, Failure> {
    let typed = types.root();
    let left = fields_of(types, pruned)?.with_declared_parents(typed);
    let all = fields_of(types, merged)?.with_declared_parents(typed);
    let gone = all.difference(&left).intersection(&last.with_declared_parents(typed));
    Ok(merge::remove(typed, merged, &gone))
}

fn fields_of(types: &Types, object: &Value) -> Result<FieldSet, Failure> {
    check::field_set(types.root(), object).map_err(|problems| not_pruned(&problems))
}

fn not_pruned(problems: &Problems) -> Failure {
    Failure::Internal(format!("failed to prune fields: failed to create field set: {problems}"))
}

/// Whether an object is of its type.
pub(crate) fn check_live(types: &Types, object: &Value) -> Result<(), String> {
    check::check(types.root(), object, Duplicates::Allowed).map_err(|problems| problems.to_string())
}

/// Whether a configuration is of its type.
pub(crate) fn check_config(types: &Types, config: &Value) -> Result<(), String> {
    check::check(types.root(), config, Duplicates::Refused).map_err(|problems| problems.to_string())
}
