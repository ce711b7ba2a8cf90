//! What a kind decides about the objects of its own that are stored: what is filled in, what is refused, and whom a
//! field belongs to. Only names of kinds and calls of [`kinds`] are here.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::Server;
use super::catalog::{Served, prefix_of};
use super::request::Asked;
use crate::admission;
use crate::apply::{FieldManager, FieldSet};
use crate::definition;
use crate::kinds::service::{Allocations, Reservation};
use crate::kinds::{self, configmap, endpointslice, lease, namespace, rbac, secret, service};
use crate::schema::{FieldError, metadata};
use crate::status::Refusal;
use crate::store::{RangeRequest, StoreError};

/// In what kinds differ although they are stored alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behaviour {
    /// An update of what is not there creates it.
    pub(super) creates_on_update: bool,
    /// Who replaces an object has to say which version it has seen.
    pub(super) needs_version: bool,
    /// Who deletes an object is answered with it.
    pub(super) is_shown_when_deleted: bool,
}

/// What one write took, and from where.
type Taken<'a> = (&'a Mutex<Allocations>, Reservation);

/// An object that is ready to be stored. What it has taken is given back if it is not.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) warnings: Vec<String>,
    taken: Option<Taken<'a>>,
}

impl Prepared<'_> {
    /// The object is stored.
    pub(super) fn keep(mut self) {
        if let Some((allocations, reservation)) = self.taken.take() {
            reservation.complete(&mut allocations.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if let Some((allocations, reservation)) = self.taken.take() {
            reservation.undo(&mut allocations.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Served {
    /// Group and plural of a built-in kind.
    fn built_in_name(&self) -> Option<(&str, &str)> {
        self.schema.is_none().then_some((&*self.resource.group, &*self.resource.plural))
    }

    /// Whether it is one of the two kinds of event.
    pub(super) fn is_event(&self) -> bool {
        matches!(self.built_in_name(), Some(("" | "events.k8s.io", "events")))
    }

    pub(super) fn is_job(&self) -> bool {
        self.built_in_name() == Some(("batch", "jobs"))
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        let name = self.built_in_name();
        let creates_on_update = matches!(
            name,
            Some(("" | "events.k8s.io", "services" | "endpoints" | "events" | "limitranges"))
                | Some(("coordination.k8s.io", "leases") | (rbac::GROUP, _))
        );
        let needs_version = match name {
            None => true,
            Some((group, plural)) => {
                matches!(
                    group,
                    "apiextensions.k8s.io"
                        | "admissionregistration.k8s.io"
                        | "coordination.k8s.io"
                        | "policy"
                ) || plural == "csidrivers"
            }
        };
        let is_shown_when_deleted = matches!(
            name,
            Some(("", "services" | "serviceaccounts" | "pods" | "podtemplates" | "resourcequotas"))
                | Some(("", "persistentvolumes" | "persistentvolumeclaims"))
        );
        Behaviour { creates_on_update, needs_version, is_shown_when_deleted }
    }

    /// Whether `metadata.generation` counts the changes of what was asked for.
    pub(super) fn has_generation(&self) -> bool {
        let Some((group, plural)) = self.built_in_name() else { return true };
        match group {
            "apps" => plural != "controllerrevisions",
            "batch" | "networking.k8s.io" | "policy" | "admissionregistration.k8s.io" => true,
            "apiextensions.k8s.io" | "scheduling.k8s.io" => true,
            "" => matches!(plural, "pods" | "podtemplates" | "replicationcontrollers"),
            _ => plural == "csidrivers",
        }
    }
}

impl Asked {
    /// Who owns which field, for this endpoint: what it puts back as it was, nobody comes to own through it.
    pub(super) fn field_owner(&self) -> FieldManager<'_> {
        let Served { types, api_version, resource, .. } = &*self.served;
        let subresource = self.subresource.as_deref().unwrap_or_default();
        let manager =
            FieldManager::new(types, self.served.versions(), api_version, &resource.kind, subresource);
        let status: &[&[&str]] = &[&["status"]];
        match (self.is_status(), self.served.built_in_name()) {
            (true, None) => manager.resetting(FieldSet::of(&[&["metadata"], &["spec"]]), true),
            (true, Some(("", "pods"))) => {
                let metadata: [&[&str]; 2] =
                    [&["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]];
                manager.resetting(FieldSet::of(&[&["spec"], metadata[0], metadata[1]]), false)
            }
            (true, Some(("apps", _))) => {
                manager.resetting(FieldSet::of(&[&["spec"], &["metadata", "labels"]]), false)
            }
            (true, Some(_)) => manager.resetting(FieldSet::of(&[&["spec"]]), false),
            (false, None) if self.served.has_status() => manager.resetting(FieldSet::of(status), true),
            (false, Some(_)) if self.served.has_status() => manager.resetting(FieldSet::of(status), false),
            (false, _) => manager,
        }
    }

    /// Fills in what a built-in kind says of fields that are left out.
    pub(super) fn default_built_in(&self, object: &mut Value) -> Result<(), Refusal> {
        match self.served.built_in_name() {
            Some(("", "services")) => {
                service::default(object).map_err(|refusal| self.refused(object, refusal))
            }
            Some((rbac::GROUP, _)) => {
                rbac::default(object);
                Ok(())
            }
            Some(("", "namespaces")) => {
                namespace::default(object);
                Ok(())
            }
            Some(("", "secrets")) => {
                secret::default(object);
                Ok(())
            }
            Some((_, plural)) if self.served.is_webhook_configuration() => {
                admission::validate::complete(object, plural.starts_with("mutating"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn require_named_version(&self, new: &Value, behaviour: &Behaviour) -> Result<(), Refusal> {
        let given = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !behaviour.needs_version || !matches!(given, "" | "0") {
            return Ok(());
        }
        let field = "metadata.resourceVersion";
        let error = FieldError::invalid_printed(field, "0", "must be specified for an update");
        Err(Refusal::invalid(&self.served.resource.plural, self.target(), &[error]))
    }

    /// A kind's refusal as the answer to a request.
    fn refused(&self, object: &Value, refusal: kinds::Refusal) -> Refusal {
        let resource = &self.served.resource;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match refusal {
            kinds::Refusal::Invalid(errors) => {
                let mut target = self.target_named(name);
                // An event is judged as one of the core group, whichever it is written through.
                if self.served.is_event() {
                    target.group = "";
                }
                Refusal::invalid(&resource.kind, target, &errors)
            }
            kinds::Refusal::Malformed(why) => {
                let (kind, version) = (&resource.kind, &resource.version);
                let message = format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}");
                Refusal::bad_request(message)
            }
            kinds::Refusal::Internal(why) => Refusal::internal(&why),
            kinds::Refusal::Unclassified(message) => Refusal::unclassified(message),
        }
    }

    /// What a kind that only has rules says of an object. Of a status nothing is said.
    fn kind_errors(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        match self.served.built_in_name() {
            Some((group, plural)) if !self.is_status() => kinds::errors(group, plural, object, old),
            _ => Vec::new(),
        }
    }

    /// Whether the kind judges an object that replaces another as if it were new, too. What is wrong with its metadata
    /// is found once more then.
    fn judges_as_new(&self) -> bool {
        let plural = match self.served.built_in_name() {
            Some(("", plural)) if self.subresource.is_none() => plural,
            _ => "",
        };
        matches!(plural, "configmaps" | "secrets" | "namespaces" | "endpoints" | "serviceaccounts" | "nodes")
    }

    /// Finalizers that a built-in kind does not take.
    fn strays(&self, object: &Value) -> Vec<FieldError> {
        let strays = metadata::validate_finalizers(object);
        if self.judges_as_new() { [strays.clone(), strays].concat() } else { strays }
    }

    /// What is odd about an object that is accepted.
    fn kind_warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        if self.served.is_definition() {
            return definition::warnings(object, old);
        }
        match self.served.built_in_name() {
            Some(("", "services")) => service::warnings(object, self.is_status()),
            Some(("admissionregistration.k8s.io", plural))
                if plural.starts_with("validatingadmissionpolic") && old.is_none() =>
            {
                vec!["this server keeps admission policies and does not evaluate them".to_owned()]
            }
            Some(("", "secrets")) => secret::warnings(object),
            Some(("discovery.k8s.io", "endpointslices")) if old.is_none() => endpointslice::warnings(object),
            _ => Vec::new(),
        }
    }

    fn judged(&self, object: &Value, errors: Vec<FieldError>) -> Result<(), Refusal> {
        if errors.is_empty() { Ok(()) } else { Err(self.refused(object, kinds::Refusal::Invalid(errors))) }
    }
}

impl Server {
    /// Completes an object that is to be created, and refuses one that breaks a rule.
    pub(super) fn prepare_new(&self, asked: &Asked, object: &mut Value) -> Result<Prepared<'_>, Refusal> {
        let keeps_status = asked.served.is_definition() || asked.keeps_status();
        if asked.served.has_status()
            && !keeps_status
            && let Some(object) = object.as_object_mut()
        {
            object.remove("status");
        }
        asked.begin_built_in(object);
        let (taken, outcome) = match asked.served.built_in_name() {
            Some(("", "services")) => self.with_allocations(object, |object, allocations| {
                service::prepare_create(object, allocations, &self.options.ranges)
            }),
            Some(("", "secrets")) => (None, secret::prepare_create(object)),
            Some(("", "configmaps")) => (None, configmap::validate(object, None)),
            Some(("", "namespaces")) => (None, namespace::prepare_create(object)),
            Some(("coordination.k8s.io", "leases")) => (None, lease::validate(object, None)),
            Some(("discovery.k8s.io", "endpointslices")) => (None, endpointslice::prepare_create(object)),
            _ => (None, Ok(())),
        };
        let prepared = Prepared { warnings: asked.kind_warnings(object, None), taken };
        let has_strays = asked.served.schema.is_none() && !asked.served.is_definition();
        let strays = if has_strays { metadata::validate_finalizers(object) } else { Vec::new() };
        outcome.map_err(|refusal| asked.refused(object, with(refusal, &strays)))?;
        let resource = &asked.served.resource;
        let mut errors = match asked.served.built_in_name() {
            None => {
                let mut errors = metadata::validate(object, resource.is_namespaced);
                errors.extend(asked.served.scale_errors(object));
                errors.extend(asked.served.schema.iter().flat_map(|schema| schema.validate(object, None)));
                errors
            }
            Some((rbac::GROUP, _)) => rbac::errors(object, None),
            Some(name) if has_rules_of_its_own(name) => Vec::new(),
            Some(_) => {
                let mut errors = metadata::validate(object, resource.is_namespaced);
                if asked.served.is_definition() {
                    errors.extend(asked.completed_definition(object, None));
                }
                if asked.served.is_webhook_configuration() {
                    errors.extend(admission::validate::validate(object, None));
                }
                errors
            }
        };
        errors.extend(asked.kind_errors(object, None));
        errors.extend(strays);
        asked.judged(object, errors)?;
        asked.served.types.normalise_stored(object);
        Ok(prepared)
    }

    /// Completes an object that is to replace another, and refuses one that breaks a rule.
    pub(super) fn prepare_changed(
        &self,
        asked: &Asked,
        object: &mut Value,
        old: &Value,
    ) -> Result<Prepared<'_>, Refusal> {
        asked.carry_built_in(object, old);
        let (taken, outcome) = match (asked.served.built_in_name(), asked.is_status()) {
            (Some(("", "services")), true) => (None, service::prepare_status_update(object, old)),
            (Some(("", "services")), false) => self.with_allocations(object, |object, allocations| {
                service::prepare_update(object, old, allocations, &self.options.ranges)
            }),
            (Some(("", "secrets")), _) => (None, secret::prepare_update(object, old)),
            (Some(("", "configmaps")), _) => (None, configmap::validate(object, Some(old))),
            (Some(("", "namespaces")), false) if asked.subresource.is_none() => {
                (None, namespace::prepare_update(object, old))
            }
            (Some(("coordination.k8s.io", "leases")), _) => (None, lease::validate(object, Some(old))),
            (Some(("discovery.k8s.io", "endpointslices")), _) => {
                (None, endpointslice::prepare_update(object, old))
            }
            _ => (None, Ok(())),
        };
        let mut prepared = Prepared { warnings: asked.kind_warnings(object, Some(old)), taken };
        let is_built_in = asked.served.schema.is_none() && !asked.served.is_definition();
        let mut errors = metadata::validate_replaced(object, old, asked.served.resource.is_namespaced);
        let strays = if is_built_in { asked.strays(object) } else { Vec::new() };
        outcome.map_err(|refusal| asked.refused(object, after(&errors, with(refusal, &strays))))?;
        match asked.served.built_in_name() {
            Some(name) if has_rules_of_its_own(name) && asked.subresource.is_none() => {}
            Some(("", "services")) => {}
            _ => {
                errors.extend(metadata::validate_update(object, old));
                if asked.judges_as_new() {
                    errors.extend(metadata::validate(object, asked.served.resource.is_namespaced));
                }
            }
        }
        errors.extend(strays);
        errors.extend(asked.kind_errors(object, Some(old)));
        if asked.served.is_definition() {
            errors.extend(asked.completed_definition(object, Some(old)));
        }
        if asked.served.is_webhook_configuration() {
            errors.extend(admission::validate::validate(object, Some(old)));
        }
        if asked.served.resource.group == rbac::GROUP {
            errors.extend(rbac::errors(object, Some(old)));
        }
        errors.extend(asked.served.scale_errors(object));
        if let Some(schema) = &asked.served.schema {
            let verdict = match asked.is_status() {
                true => schema.judge_status(object, old),
                false => schema.judge(object, Some(old)),
            };
            errors.extend(verdict.errors);
            prepared.warnings.extend(verdict.warnings);
        }
        asked.judged(object, errors).map_err(|mut refusal| {
            refusal.warnings = prepared.warnings.drain(..).collect();
            refusal
        })?;
        asked.served.types.normalise_stored(object);
        Ok(prepared)
    }

    /// Takes what the Services of the store hold.
    pub(super) async fn load_services(&self) -> Result<(), StoreError> {
        let prefix = prefix_of("", "services");
        let range = self.store.range(RangeRequest { prefix: &prefix, ..RangeRequest::default() }).await?;
        let mut allocations = self.allocations.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in &range.entries {
            service::occupy(&serde_json::from_slice(&entry.value).unwrap_or_default(), &mut allocations);
        }
        Ok(())
    }

    fn with_allocations(
        &self,
        object: &mut Value,
        prepare: impl FnOnce(&mut Value, &mut Allocations) -> Result<Reservation, kinds::Refusal>,
    ) -> (Option<Taken<'_>>, Result<(), kinds::Refusal>) {
        let mut allocations = self.allocations.lock().unwrap_or_else(PoisonError::into_inner);
        match prepare(object, &mut allocations) {
            Ok(reservation) => (Some((&self.allocations, reservation)), Ok(())),
            Err(refusal) => (None, Err(refusal)),
        }
    }

    /// What follows from an object having gone.
    pub(super) async fn gone(&self, served: &Served, object: &Value) -> Result<(), Refusal> {
        if served.built_in_name() == Some(("", "services")) {
            let mut allocations = self.allocations.lock().unwrap_or_else(PoisonError::into_inner);
            service::release(object, &mut allocations);
        }
        self.settle_if_terminating(served).await
    }
}

fn with(refusal: kinds::Refusal, more: &[FieldError]) -> kinds::Refusal {
    match refusal {
        kinds::Refusal::Invalid(mut errors) => {
            errors.extend_from_slice(more);
            kinds::Refusal::Invalid(errors)
        }
        other => other,
    }
}

fn after(more: &[FieldError], refusal: kinds::Refusal) -> kinds::Refusal {
    match refusal {
        kinds::Refusal::Invalid(errors) => kinds::Refusal::Invalid([more, &errors].concat()),
        other => other,
    }
}

/// Whether the kind's own rules look at the metadata too.
fn has_rules_of_its_own(name: (&str, &str)) -> bool {
    matches!(
        name,
        ("", "services" | "secrets" | "configmaps" | "namespaces" | "events")
            | ("events.k8s.io", "events")
            | ("coordination.k8s.io", "leases")
            | ("discovery.k8s.io", "endpointslices")
    )
}
