//! How many replicas there are to be: the same small object for every kind that can be scaled.
//!
//! A Scale is a view of another object. Writing it changes one field there; webhooks are asked about the view.

use chrono::Utc;
use serde_json::{Value, json};

use super::Server;
use super::catalog::Served;
use super::objects::{Found, Written};
use super::patched::in_go;
use super::request::Asked;
use crate::apply::{Conflict, FieldPath, Operation, Step};
use crate::patch;
use crate::schema::{FieldError, go_type};
use crate::status::{Refusal, Target};
use crate::types::Types;

const API_VERSION: &str = "autoscaling/v1";
/// Stands for a number that is not there, while a patch is applied.
const NOT_SET: i64 = i32::MIN as i64;

/// Where in an object its scale is, each a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScalePaths {
    spec: String,
    status: String,
    /// A text in custom resources; in built-in kinds a selector, or the labels that it selects.
    selector: Option<String>,
}

impl ScalePaths {
    /// As a definition says it, with paths such as `.spec.replicas`.
    pub(super) fn of_definition(scale: &Value) -> Option<ScalePaths> {
        let pointer = |field: &str| scale[field].as_str().map(|path| path.replace('.', "/"));
        let selector = pointer("labelSelectorPath").filter(|path| !path.is_empty());
        Some(ScalePaths {
            spec: pointer("specReplicasPath")?,
            status: pointer("statusReplicasPath")?,
            selector,
        })
    }

    pub(super) fn of_built_in() -> ScalePaths {
        let path = |text: &str| text.to_owned();
        ScalePaths {
            spec: path("/spec/replicas"),
            status: path("/status/replicas"),
            selector: Some(path("/spec/selector")),
        }
    }

    fn errors(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for pointer in [&self.spec, &self.status] {
            let field = pointer.replace('/', ".");
            match number_at(object, &field) {
                Err(detail) => errors.push(FieldError::invalid(field, &0.into(), &detail)),
                Ok(number) if number < 0 => {
                    let detail = "should be a non-negative integer";
                    errors.push(FieldError::invalid(field, &number.into(), detail));
                }
                Ok(number) if number > i64::from(i32::MAX) => {
                    let detail = format!("should be less than or equal to {}", i32::MAX);
                    errors.push(FieldError::invalid(field, &number.into(), &detail));
                }
                Ok(_) => {}
            }
        }
        errors
    }
}

/// The number that a path such as `.spec.replicas` leads to, none being 0; or what is in its place, or on the way.
fn number_at(object: &Value, path: &str) -> Result<i64, String> {
    let wrong = |path: &str, found: &Value, wanted: &str| {
        let (found, kind) = (in_go(found), go_type(found));
        Err(format!("{path} accessor error: {found} is of the type {kind}, expected {wanted}"))
    };
    let mut here = object;
    let ends = path.match_indices('.').map(|(start, _)| start).skip(1).chain([path.len()]);
    for (name, end) in path.split('.').skip(1).zip(ends) {
        match here {
            Value::Null => return Ok(0),
            Value::Object(fields) => match fields.get(name) {
                Some(field) => here = field,
                None => return Ok(0),
            },
            found => return wrong(&path[..end], found, "map[string]interface{}"),
        }
    }
    here.as_i64().map_or_else(|| wrong(path, here, "int64"), Ok)
}

/// Conflicts over an object, as those over the Scale that is a view of it.
pub(super) fn conflicts(conflicts: Vec<Conflict>) -> Vec<Conflict> {
    let path = FieldPath(["spec", "replicas"].map(|name| Step::Field(name.to_owned())).into());
    let told = conflicts.into_iter().map(|mut conflict| {
        if conflict.manager.operation == Operation::Update {
            conflict.manager.api_version = API_VERSION.to_owned();
        }
        Conflict { path: path.clone(), ..conflict }
    });
    told.collect()
}

impl Served {
    /// What is wrong with the numbers of replicas in a custom resource.
    pub(super) fn scale_errors(&self, object: &Value) -> Vec<FieldError> {
        match (&self.custom, &self.scale) {
            (Some(_), Some(scale)) => scale.errors(object),
            _ => Vec::new(),
        }
    }
}

impl Asked {
    pub(super) fn is_scale(&self) -> bool {
        self.subresource.as_deref() == Some("scale")
    }

    /// What webhooks are asked about: the object, or the Scale that is written.
    pub(super) fn viewed(&self, object: &Value) -> Value {
        match &self.served.scale {
            Some(paths) if self.is_scale() && !object.is_null() => scale_of(object, paths, &self.served),
            _ => object.clone(),
        }
    }

    /// What webhooks made of that.
    pub(super) fn take_over(&self, object: &mut Value, viewed: Value) {
        match &self.served.scale {
            Some(paths) if self.is_scale() => {
                set(object, &paths.spec, viewed["spec"]["replicas"].as_i64().unwrap_or_default().into());
            }
            _ => *object = viewed,
        }
    }

    fn scale_paths(&self) -> Result<&ScalePaths, Refusal> {
        self.served.scale.as_ref().ok_or_else(Refusal::no_such_resource)
    }
}

impl Server {
    pub(super) async fn scale(&self, asked: &Asked) -> Result<Value, Refusal> {
        let object = self.get(asked).await?;
        let paths = asked.scale_paths()?;
        if asked.served.custom.is_some() && object.pointer(&paths.spec).is_none() {
            let field = paths.spec.replace('/', ".");
            return Err(Refusal::internal(&format!("the spec replicas field {field:?} does not exist")));
        }
        Ok(scale_of(&object, paths, &asked.served))
    }

    /// Replaces the scale by that of a body, and answers with what it is then.
    pub(super) async fn update_scale(&self, asked: &Asked, scale: &Value) -> Result<Written, Refusal> {
        let object = self.get(asked).await?;
        self.rescale(asked, &object, scale).await
    }

    pub(super) async fn patch_scale(&self, asked: &Asked, patch: &Value) -> Result<Written, Refusal> {
        let object = self.get(asked).await?;
        let paths = asked.scale_paths()?;
        let media = asked.content_type.split(';').next().unwrap_or_default().trim();
        if media == "application/apply-patch+yaml" {
            let applied = self.patch(asked, whole_of(asked, paths, patch)?).await?;
            return Ok(shown(asked, paths, applied));
        }
        let mut old = scale_of(&object, paths, &asked.served);
        if asked.served.custom.is_some() && object.pointer(&paths.spec).is_none() {
            old["spec"]["replicas"] = NOT_SET.into();
        }
        let types = Types::of_built_in(API_VERSION, "Scale").unwrap_or_else(Types::of_unknown_kind);
        let patched = match media {
            "application/json-patch+json" => patch::json(&old, patch),
            "application/merge-patch+json" => patch::merge(&old, patch),
            "application/strategic-merge-patch+json" if asked.served.schema.is_none() => {
                patch::strategic(&old, patch, &types)
            }
            _ => return Err(asked.unsupported_patch()),
        };
        let scale = patched.map_err(|error| asked.refused_patch(&error))?;
        self.rescale(asked, &object, &scale).await
    }

    async fn rescale(&self, asked: &Asked, object: &Value, scale: &Value) -> Result<Written, Refusal> {
        let paths = asked.scale_paths()?;
        let (name, given) = (asked.target().name, scale["metadata"]["name"].as_str().unwrap_or_default());
        if !given.is_empty() && given != name {
            return Err(Refusal::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({name})"
            )));
        }
        let is_scale = scale["kind"].as_str().is_none_or(|kind| kind == "Scale")
            && scale["apiVersion"].as_str().is_none_or(|version| version == API_VERSION);
        if !is_scale {
            let message =
                "no kind is registered for the type v1.Scale in scheme \"pkg/runtime/scheme.go:111\"";
            return Err(Refusal::bad_request(message));
        }
        let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
        if replicas == NOT_SET {
            let field = paths.spec.replace('/', ".");
            return Err(Refusal::bad_request(format!("the spec replicas field {field:?} cannot be empty")));
        }
        if replicas < 0 && asked.served.custom.is_none() {
            let detail = "must be greater than or equal to 0";
            let error = FieldError::invalid("spec.replicas", &replicas.into(), detail);
            let target = Target { group: "autoscaling", resource: "scales", name };
            return Err(Refusal::invalid("Scale", target, &[error]));
        }
        if scale["metadata"]["uid"] != "" {
            asked.require_same(&scale["metadata"]["uid"], &object["metadata"]["uid"], "UID")?;
        }
        let mut new = object.clone();
        set(&mut new, &paths.spec, replicas.into());
        new["metadata"]["resourceVersion"] = match &scale["metadata"]["resourceVersion"] {
            Value::String(version) if !version.is_empty() => version.as_str().into(),
            _ => object["metadata"]["resourceVersion"].clone(),
        };
        let revision = object["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse().ok());
        let old = Found { object: object.clone(), revision: revision.unwrap_or_default() };
        asked.require_version(&new, &old).map_err(Refusal::from)?;
        // A scale does not speak of no replicas, so nobody comes to own that there are none.
        let mut said = new.clone();
        if replicas == 0 {
            remove(&mut said, &paths.spec);
        }
        let owned = asked.field_owner().update(Some(object), said, &asked.field_manager(), Utc::now());
        new["metadata"]["managedFields"] = owned["metadata"]["managedFields"].clone();
        let written = self.store_changed(asked, new, &old, Vec::new()).await.map_err(Refusal::from)?;
        Ok(shown(asked, paths, written))
    }
}

fn shown(asked: &Asked, paths: &ScalePaths, written: Written) -> Written {
    Written { object: scale_of(&written.object, paths, &asked.served), ..written }
}

/// A configuration of a Scale as one of the object that it is a view of.
fn whole_of(asked: &Asked, paths: &ScalePaths, config: &Value) -> Result<Value, Refusal> {
    let (api_version, kind) = (&config["apiVersion"], &config["kind"]);
    if api_version != API_VERSION || kind != "Scale" {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = format!("invalid object type: {}, Kind={}", text(api_version), text(kind));
        return Err(Refusal::bad_request(message));
    }
    let resource = &asked.served.resource;
    let mut whole =
        json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": config["metadata"]});
    if !config["spec"]["replicas"].is_null() {
        set(&mut whole, &paths.spec, config["spec"]["replicas"].clone());
    }
    Ok(whole)
}

/// Takes away what a pointer leads to.
fn remove(object: &mut Value, pointer: &str) {
    let Some((inner, name)) = pointer.rsplit_once('/') else { return };
    if let Some(fields) = object.pointer_mut(inner).and_then(Value::as_object_mut) {
        fields.shift_remove(name);
    }
}

/// Sets what a pointer leads to, with the objects on the way.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut here = object;
    for name in pointer.split('/').skip(1) {
        if !here.is_object() {
            *here = json!({});
        }
        here = &mut here[name];
    }
    *here = value;
}

fn scale_of(object: &Value, paths: &ScalePaths, served: &Served) -> Value {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !object["metadata"][field].is_null() {
            metadata[field] = object["metadata"][field].clone();
        }
    }
    let mut spec = json!({});
    if number(&paths.spec) != 0 {
        spec["replicas"] = number(&paths.spec).into();
    }
    let mut status = json!({"replicas": number(&paths.status)});
    let selector = paths.selector.as_ref().and_then(|pointer| object.pointer(pointer));
    let selector =
        selector.map(|selector| if served.custom.is_some() { text_of(selector) } else { printed(selector) });
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": API_VERSION, "metadata": metadata, "spec": spec, "status": status})
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A selector in one line, ordered by its keys.
fn printed(selector: &Value) -> String {
    let labels = if selector["matchLabels"].is_object() || selector["matchExpressions"].is_array() {
        &selector["matchLabels"]
    } else {
        selector
    };
    let equal = labels.as_object().into_iter().flatten();
    let mut parts: Vec<(String, String)> =
        equal.map(|(key, value)| (key.clone(), format!("{key}={}", text_of(value)))).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = text_of(&expression["key"]);
        let mut values: Vec<String> =
            expression["values"].as_array().into_iter().flatten().map(text_of).collect();
        values.sort();
        let values = values.join(",");
        let part = match text_of(&expression["operator"]).as_str() {
            "Exists" => key.clone(),
            "DoesNotExist" => format!("!{key}"),
            "NotIn" => format!("{key} notin ({values})"),
            _ => format!("{key} in ({values})"),
        };
        parts.push((key, part));
    }
    parts.sort();
    parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(",")
}
