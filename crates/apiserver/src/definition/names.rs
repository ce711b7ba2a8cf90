//! Who gets which names: within a group, a name belongs to the definition that had it first.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::status::{condition, is_established, set_condition};
use super::{approval, list, structural, text};
use crate::admission::client_config;

/// What became of a definition beside the others of its group.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The definition with its new status.
    pub definition: Value,
    /// Whether names were accepted or given back, so that others have to be looked at again.
    pub names_changed: bool,
}

struct Verdict {
    reason: &'static str,
    message: String,
}

/// The status of a definition, given the others of its group; nothing if it is as it should be.
pub fn settle(definition: &Value, others: &[&Value], now: &str) -> Option<Settled> {
    let mut settled = definition.clone();
    let wanted = &definition["spec"]["names"];
    if *wanted != definition["status"]["acceptedNames"] || condition(definition, "NamesAccepted").is_none() {
        name(&mut settled, others, now);
    }
    establish(&mut settled, now);
    let violations = list(&definition["spec"]["versions"]).iter().enumerate().flat_map(|(index, version)| {
        let place = format!("spec.versions[{index}].schema.openAPIV3Schema");
        structural::validate(&version["schema"]["openAPIV3Schema"], &place)
    });
    let violations: Vec<String> = violations.map(|error| error.to_string()).collect();
    match violations.as_slice() {
        [] => {}
        [single] => set_condition(&mut settled, "NonStructuralSchema", "True", "Violations", single, now),
        several => {
            let message = format!("[{}]", several.join(", "));
            set_condition(&mut settled, "NonStructuralSchema", "True", "Violations", &message, now);
        }
    }
    if violations.is_empty()
        && let Some(conditions) = settled["status"]["conditions"].as_array_mut()
    {
        conditions.retain(|condition| condition["type"] != "NonStructuralSchema");
    }
    if let Some((status, reason, message)) = approval::condition(definition) {
        set_condition(&mut settled, "KubernetesAPIApprovalPolicyConformant", status, reason, &message, now);
    }
    let names_changed = settled["status"]["acceptedNames"] != definition["status"]["acceptedNames"];
    (settled != *definition).then_some(Settled { definition: settled, names_changed })
}

/// Takes those of the names that are free.
fn name(definition: &mut Value, others: &[&Value], now: &str) {
    let wanted = definition["spec"]["names"].clone();
    let mut accepted = definition["status"]["acceptedNames"].clone();
    let taken = |fields: &[&str]| -> HashSet<String> {
        let accepted = others.iter().map(|other| &other["status"]["acceptedNames"]);
        accepted.flat_map(|names| fields.iter().flat_map(|field| texts(&names[*field]))).collect()
    };
    let resources = taken(&["plural", "singular", "shortNames"]);
    let kinds = taken(&["kind", "listKind"]);
    let mut verdict = None;
    let in_use = |name: &str| format!("{name:?} is already in use");
    for (field, taken, reason) in [
        ("plural", &resources, "PluralConflict"),
        ("singular", &resources, "SingularConflict"),
        ("shortNames", &resources, "ShortNamesConflict"),
        ("kind", &kinds, "KindConflict"),
        ("listKind", &kinds, "ListKindConflict"),
    ] {
        let had: Vec<String> = texts(&accepted[field]).collect();
        let conflicts: Vec<String> = texts(&wanted[field])
            .filter(|name| !had.contains(name) && taken.contains(name))
            .map(|name| in_use(&name))
            .collect();
        match conflicts.as_slice() {
            [] if wanted[field].is_null() => {
                if let Some(accepted) = accepted.as_object_mut() {
                    accepted.shift_remove(field);
                }
            }
            [] => accepted[field] = wanted[field].clone(),
            [single] => verdict = Some(Verdict { reason, message: single.clone() }),
            several => verdict = Some(Verdict { reason, message: format!("[{}]", several.join(", ")) }),
        }
    }
    match &wanted["categories"] {
        Value::Null => {}
        categories => accepted["categories"] = categories.clone(),
    }
    definition["status"]["acceptedNames"] = accepted;
    match verdict {
        None => set_condition(definition, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now),
        Some(Verdict { reason, message }) => {
            set_condition(definition, "NamesAccepted", "False", reason, &message, now);
        }
    }
    if condition(definition, "Established").is_none() {
        let message = "not all names are accepted";
        set_condition(definition, "Established", "False", "NotAccepted", message, now);
    }
}

/// A definition with all its names is served, and from then on stays so.
fn establish(definition: &mut Value, now: &str) {
    let is_named = condition(definition, "NamesAccepted").is_some_and(|named| named["status"] == "True");
    if !is_named || is_established(definition) {
        return;
    }
    let bundle = text(&definition["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"]);
    match client_config::bundle_problem(bundle) {
        Some(_) => {
            let message = "The conversion webhook CABundle is invalid";
            set_condition(definition, "Established", "False", "InvalidCABundle", message, now);
        }
        None => {
            let message = "the initial names have been accepted";
            set_condition(definition, "Established", "True", "InitialNamesAccepted", message, now);
        }
    }
}

fn texts(value: &Value) -> impl Iterator<Item = String> {
    let single = value.as_str().filter(|text| !text.is_empty()).into_iter();
    let several = list(value).iter().filter_map(Value::as_str);
    single.chain(several).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// The names of a definition that nobody has looked at.
pub(super) fn nobody() -> Value {
    json!({"kind": "", "plural": ""})
}
