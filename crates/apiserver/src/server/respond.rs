//! What a request is answered with.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::catalog::Served;
use super::deleting::Deleted;
use super::list::List;
use super::objects::Written;
use super::request::Asked;
use super::timestamp_secs;
use crate::codec::{self, Answer, Shape};
use crate::status::Refusal;
use crate::table;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";

/// A refusal, for a client that accepts this.
pub(super) fn refusal(refusal: &Refusal, accept: &str) -> Response {
    let (body, code, warnings) = (refusal.to_json(), refusal.code, &refusal.warnings);
    let wants_yaml = Answer::of(accept) == Some(Answer { shape: Shape::Object, is_yaml: true });
    let mut response = match codec::to_yaml(&body) {
        Ok(text) if wants_yaml => respond(Body::from(text), code, YAML, warnings),
        _ => json(&body, code, warnings),
    };
    if refusal.code == 429 || refusal.details.contains_key("retryAfterSeconds") {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// For a path that is none of the API's.
pub(super) fn no_such_page() -> Response {
    let mut response = respond(Body::from("404 page not found\n"), 404, "text/plain; charset=utf-8", &[]);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What a client accepts.
pub(super) fn accepted(headers: &HeaderMap) -> String {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.unwrap_or_default().to_owned()
}

pub(super) fn object(asked: &Asked, object: &Value) -> Response {
    answer(asked, &shown(asked, object), 200, &deprecation(asked))
}

pub(super) fn written(asked: &Asked, written: &Written) -> Response {
    let mut warnings = deprecation(asked);
    warnings.extend(written.warnings.iter().cloned());
    let code = if written.is_new { 201 } else { 200 };
    answer(asked, &shown(asked, &written.object), code, &warnings)
}

/// The object while something holds it, and of the kinds that say so; else that it is gone.
pub(super) fn deleted(asked: &Asked, deleted: &Deleted) -> Response {
    let (resource, metadata) = (&asked.served.resource, &deleted.object["metadata"]);
    let mut warnings = deprecation(asked);
    warnings.extend(deleted.warnings.iter().cloned());
    let code = if deleted.is_accepted { 202 } else { 200 };
    if !deleted.is_gone || asked.served.behaviour().is_shown_when_deleted {
        return answer(asked, &shown(asked, &deleted.object), code, &warnings);
    }
    let mut details = json!({"name": metadata["name"], "kind": resource.plural, "uid": metadata["uid"]});
    if !resource.group.is_empty() {
        details["group"] = resource.group.as_str().into();
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    answer(asked, &status, code, &warnings)
}

pub(super) fn list(asked: &Asked, list: &List) -> Response {
    let resource = &asked.served.resource;
    let body = match asked.answer.shape {
        Shape::Object => {
            let (mut metadata, mut items) = (list.metadata.clone(), list.items.clone());
            complete_list_metadata(&asked.served, &mut metadata);
            if asked.served.custom.is_none() {
                items.iter_mut().for_each(strip_kind);
            }
            json!({
                "kind": resource.list_kind(), "apiVersion": resource.api_version(),
                "metadata": metadata, "items": items,
            })
        }
        Shape::Table(version) => table_of(asked, &list.items, &list.metadata, version),
        Shape::Metadata { version, .. } => {
            let items: Vec<Value> = list.items.iter().map(|object| metadata_of(object, version)).collect();
            json!({
                "kind": "PartialObjectMetadataList", "apiVersion": version,
                "metadata": list.metadata, "items": items,
            })
        }
    };
    answer(asked, &body, 200, &deprecation(asked))
}

/// Lists of custom resources say that they go on even if they do not.
pub(super) fn complete_list_metadata(served: &Served, metadata: &mut Value) {
    if served.custom.is_some() && metadata["continue"].is_null() {
        metadata["continue"] = "".into();
    }
}

/// A list of a built-in kind says once what its objects are.
pub(super) fn strip_kind(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove("kind");
        fields.shift_remove("apiVersion");
    }
}

/// Whether whole objects are asked for as plain JSON.
pub(super) fn is_plain(asked: &Asked) -> bool {
    asked.answer.shape == Shape::Object && !asked.answer.is_yaml && !asked.is_pretty()
}

/// An answer that is plain JSON already.
pub(super) fn text(asked: &Asked, body: Body) -> Response {
    respond(body, 200, JSON, &deprecation(asked))
}

/// The object, or what of it was asked for.
pub(super) fn shown(asked: &Asked, object: &Value) -> Value {
    match asked.answer.shape {
        Shape::Object => object.clone(),
        Shape::Table(version) => {
            // What was not stored has no version.
            let revision = object["metadata"].get("resourceVersion").filter(|revision| !revision.is_null());
            let metadata = revision.map_or_else(|| json!({}), |it| json!({"resourceVersion": it}));
            table_of(asked, std::slice::from_ref(object), &metadata, version)
        }
        Shape::Metadata { version, .. } => metadata_of(object, version),
    }
}

fn table_of(asked: &Asked, objects: &[Value], metadata: &Value, version: &str) -> Value {
    let (served, include, now) = (&asked.served, asked.include_object(), timestamp_secs());
    let mut table = match served.schema {
        Some(_) => table::render(&served.columns, objects, metadata, include, now),
        None if asked.is_scale() => {
            table::built_in::render(&table::built_in::SCALE, objects, metadata, include, now)
        }
        None => {
            let view = table::built_in::view_of(&served.resource.group, &served.resource.plural);
            table::built_in::render(view, objects, metadata, include, now)
        }
    };
    table["apiVersion"] = version.into();
    for row in table["rows"].as_array_mut().into_iter().flatten() {
        if row["object"]["kind"] == "PartialObjectMetadata" {
            row["object"]["apiVersion"] = version.into();
        }
    }
    table
}

fn metadata_of(object: &Value, version: &str) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": object["metadata"]})
}

pub(super) fn stream(warnings: &[String], body: Body) -> Response {
    respond(body, 200, JSON, warnings)
}

pub(super) fn deprecation(asked: &Asked) -> Vec<String> {
    asked.served.deprecation.iter().cloned().collect()
}

/// The body in the format that was asked for.
fn answer(asked: &Asked, body: &Value, code: u16, warnings: &[String]) -> Response {
    if asked.answer.is_yaml
        && let Ok(text) = codec::to_yaml(body)
    {
        return respond(Body::from(text), code, YAML, warnings);
    }
    if asked.is_pretty()
        && let Ok(text) = serde_json::to_string_pretty(body)
    {
        return respond(Body::from(text), code, JSON, warnings);
    }
    json(body, code, warnings)
}

pub(super) fn json(body: &Value, code: u16, warnings: &[String]) -> Response {
    respond(Body::from(body.to_string() + "\n"), code, JSON, warnings)
}

/// Of the warnings of an answer, together; a client's space for headers is bounded.
const WARNING_CHARACTERS: usize = 4096;

pub(super) fn respond(body: Body, code: u16, media: &str, warnings: &[String]) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Ok(media) = media.parse() {
        headers.insert(header::CONTENT_TYPE, media);
    }
    let mut left = WARNING_CHARACTERS;
    for (index, warning) in warnings.iter().enumerate() {
        if warnings[..index].contains(warning) {
            continue;
        }
        let length = warning.chars().count();
        if length > left {
            break;
        }
        left -= length;
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = format!("299 - \"{text}\"").parse() {
            headers.append(header::WARNING, value);
        }
    }
    response
}
