//! An HTTP request to what it asks of the server, or why it cannot be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, header};
use serde_json::Value;

use super::LIMITS;
use super::catalog::{Kinds, Served};
use crate::auth::Identity;
use crate::codec::{self, Answer, Expected, Media, Shape};
use crate::path::ResourcePath;
use crate::resource::Verb;
use crate::schema::text::quote;
use crate::selector::{FieldRequirement, FieldSelector, LabelSelector};
use crate::status::{Reason, Refusal, Target};
use crate::table::IncludeObject;
use crate::types::Types;

/// What is asked, and of which kind.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) served: Arc<Served>,
    pub(super) verb: Verb,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    pub(super) query: BTreeMap<String, String>,
    /// How the answer is wanted.
    pub(super) answer: Answer,
    pub(super) content_type: String,
    pub(super) user: Identity,
    /// What is unknown or there twice in the body, in words.
    pub(super) strict: Vec<String>,
    user_agent: String,
}

/// What becomes of fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

impl Asked {
    pub(super) fn of(parts: &Parts, path: &ResourcePath<'_>, kinds: &Kinds) -> Result<Asked, Refusal> {
        let key = (
            path.group_version.group.to_string(),
            path.group_version.version.to_string(),
            path.resource.to_string(),
        );
        let served = kinds.get(&key).ok_or_else(Refusal::no_such_resource)?;
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_ref().map(ToString::to_string);
        let mut query = query(parts);
        if let Some(name) = path.name.as_deref().filter(|_| path.is_watch) {
            let selector = FieldRequirement::equal("metadata.name", name);
            query.insert(
                "fieldSelector".to_owned(),
                FieldSelector { requirements: vec![selector] }.to_string(),
            );
        }
        let has_name = path.name.is_some() && !path.is_watch;
        let is_watch = path.is_watch
            || !has_name && query.get("watch").is_some_and(|value| !matches!(&**value, "false" | "0"));
        let verb = match (&parts.method, has_name) {
            (&Method::GET, true) => Verb::Get,
            (&Method::GET, false) if is_watch => Verb::Watch,
            (&Method::GET, false) => Verb::List,
            (&Method::POST, _) => Verb::Create,
            (&Method::PUT, true) => Verb::Update,
            (&Method::PATCH, true) => Verb::Patch,
            (&Method::DELETE, true) => Verb::Delete,
            (&Method::DELETE, false) => Verb::DeleteCollection,
            _ => return Err(not_allowed()),
        };
        let text_of = |name: header::HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let mut asked = Asked {
            served: Arc::clone(served),
            verb,
            namespace: owned(&path.namespace),
            name: owned(&path.name).filter(|_| !path.is_watch),
            subresource: owned(&path.subresource),
            query,
            answer: Answer::default(),
            content_type: text_of(header::CONTENT_TYPE),
            strict: Vec::new(),
            // Who asks inside the process may do everything.
            user: parts.extensions.get().cloned().unwrap_or_else(Identity::admin),
            user_agent: text_of(header::USER_AGENT),
        };
        asked.check()?;
        if verb == Verb::Patch {
            asked.check_patch_media()?;
        }
        asked.answer = asked.acceptable(&text_of(header::ACCEPT))?;
        Ok(asked)
    }

    /// In which form the client takes the answer.
    fn acceptable(&self, accept: &str) -> Result<Answer, Refusal> {
        let is_of_many = matches!(self.verb, Verb::List | Verb::Watch);
        if self.served.schema.is_none() && !codec::accepts_any_format(accept) {
            return Err(not_acceptable(no_format(is_of_many)));
        }
        Answer::of(accept).ok_or_else(|| Refusal {
            warnings: self.served.deprecation.iter().cloned().collect(),
            ..not_acceptable_media()
        })
    }

    fn check(&self) -> Result<(), Refusal> {
        let resource = &self.served.resource;
        let is_across_namespaces = matches!(self.verb, Verb::List | Verb::Watch) && self.name.is_none();
        if resource.is_namespaced && self.namespace.is_none() && self.name.is_none() && !is_across_namespaces
        {
            return Err(not_allowed());
        }
        if resource.is_namespaced && self.namespace.is_none() && !is_across_namespaces
            || !resource.is_namespaced && self.namespace.is_some()
        {
            return Err(Refusal::no_such_resource());
        }
        if self.verb == Verb::Create && self.name.is_some() && self.subresource.is_none() {
            return Err(not_allowed());
        }
        // Nothing is kept of a question, so it has no name to be found by.
        if resource.verbs == [Verb::Create] && self.name.is_some() {
            return Err(Refusal::no_such_resource());
        }
        let verbs = match &self.subresource {
            None => &resource.verbs,
            Some(name) => {
                let part = resource.subresources.iter().find(|part| part.name == *name);
                let missing = || match self.served.custom {
                    Some(_) => Refusal::not_found(self.target()),
                    None => Refusal::no_such_resource(),
                };
                &part.ok_or_else(missing)?.verbs
            }
        };
        match (verbs.contains(&self.verb), &self.served.custom) {
            (true, _) => Ok(()),
            (false, Some(_)) if self.verb == Verb::Create => {
                let kind = self.target_named("").qualified();
                let message = format!("create is not supported on resources of kind {kind:?}");
                let mut refusal = Refusal::new(405, Reason::MethodNotAllowed, message);
                refusal.details.insert("group".to_owned(), resource.group.as_str().into());
                refusal.details.insert("kind".to_owned(), resource.plural.as_str().into());
                Err(refusal)
            }
            (false, _) => Err(not_allowed()),
        }
    }

    /// YAML is not streamed.
    pub(super) fn check_stream(&self) -> Result<(), Refusal> {
        if !self.answer.is_yaml {
            return Ok(());
        }
        Err(not_acceptable(format!(
            "only the following media types are accepted: {};stream=watch, {};stream=watch",
            MEDIA[0], MEDIA[2]
        )))
    }

    /// Of a list there is no metadata of an object, and of an object none of a list. This is found when the answer is
    /// written, so what was asked for has been done.
    pub(super) fn check_shape(&self) -> Result<(), Refusal> {
        let include = self.parameter("includeObject").unwrap_or("Metadata");
        if matches!(self.answer.shape, Shape::Table(_)) && !matches!(include, "Metadata" | "Object" | "None")
        {
            return Err(Refusal::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be \
                 'Metadata', 'Object', 'None', or empty",
                quote(include)
            )));
        }
        let Shape::Metadata { of_list, .. } = self.answer.shape else { return Ok(()) };
        let (resource, is_list) = (&self.served.resource, self.verb == Verb::List);
        if is_list == of_list || self.verb == Verb::Watch {
            return Ok(());
        }
        if !is_list && self.served.schema.is_some() {
            return Err(Refusal::unclassified("content is not a list"));
        }
        let package = resource.group.split('.').next().filter(|name| !name.is_empty()).unwrap_or("core");
        let list = if is_list { "List" } else { "" };
        let object = match &self.served.schema {
            Some(_) => format!("*unstructured.Unstructured{list}"),
            None => format!("*{package}.{}{list}", resource.kind),
        };
        Err(not_acceptable(if is_list {
            format!("you requested PartialObjectMetadata, but the requested object is a list ({object})")
        } else {
            format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list ({object})"
            )
        }))
    }

    /// What the server asks of itself, in the name of one of its parts.
    pub(super) fn inside(
        served: &Arc<Served>,
        verb: Verb,
        namespace: Option<String>,
        name: Option<String>,
        part: &str,
    ) -> Asked {
        Asked {
            served: Arc::clone(served),
            verb,
            namespace,
            name,
            subresource: None,
            query: BTreeMap::new(),
            answer: Answer::default(),
            content_type: String::new(),
            user: Identity::admin(),
            strict: Vec::new(),
            user_agent: part.to_owned(),
        }
    }

    /// The same question about one object of the collection.
    pub(super) fn about(&self, namespace: Option<String>, name: Option<String>) -> Asked {
        Asked { namespace, name, ..self.clone() }
    }

    /// The same question about a body in which this is unknown or there twice.
    pub(super) fn with_strict(&self, strict: Vec<String>) -> Asked {
        Asked { strict, ..self.clone() }
    }

    /// How messages name the object that is asked for.
    pub(super) fn target(&self) -> Target<'_> {
        self.target_named(self.name.as_deref().unwrap_or_default())
    }

    pub(super) fn target_named<'a>(&'a self, name: &'a str) -> Target<'a> {
        Target { group: &self.served.resource.group, resource: &self.served.resource.plural, name }
    }

    pub(super) fn is_status(&self) -> bool {
        self.subresource.as_deref() == Some("status")
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Who the fields written by this request belong to.
    pub(super) fn field_manager(&self) -> String {
        let of_agent =
            || self.user_agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        self.parameter("fieldManager").unwrap_or_else(of_agent).to_owned()
    }

    pub(super) fn field_validation(&self) -> FieldValidation {
        match self.parameter("fieldValidation") {
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            _ => FieldValidation::Warn,
        }
    }

    pub(super) fn label_selector(&self) -> Result<LabelSelector, Refusal> {
        let text = self.parameter("labelSelector").unwrap_or_default();
        LabelSelector::parse(text).map_err(|error| Refusal::bad_request(error.to_string()))
    }

    /// Fields that the kind cannot be selected by may be in it.
    pub(super) fn field_selector_as_said(&self) -> Result<FieldSelector, Refusal> {
        let text = self.parameter("fieldSelector").unwrap_or_default();
        FieldSelector::parse(text).map_err(|error| Refusal::bad_request(error.to_string()))
    }

    pub(super) fn field_selector(&self) -> Result<FieldSelector, Refusal> {
        let selector = self.field_selector_as_said()?;
        let supported = super::filter::selectable_fields(&self.served);
        match selector.requirements.iter().find(|it| !supported.contains(&it.field.as_str())) {
            None => Ok(selector),
            Some(unknown) => Err(super::filter::unsupported(&self.served, &unknown.field)),
        }
    }

    /// Whether people read the answer: they say so, or their program is known to show it to them.
    pub(super) fn is_pretty(&self) -> bool {
        match self.parameter("pretty") {
            Some(value) => matches!(value, "1" | "t" | "T" | "true" | "True" | "TRUE"),
            None => ["curl", "Wget", "Mozilla/5.0"].iter().any(|agent| self.user_agent.starts_with(agent)),
        }
    }

    pub(super) fn include_object(&self) -> IncludeObject {
        match self.parameter("includeObject") {
            Some("None") => IncludeObject::None,
            Some("Object") => IncludeObject::Object,
            _ => IncludeObject::Metadata,
        }
    }
}

/// The parameters of a request. Of one that is given more than once the first value holds.
pub(super) fn query(parts: &Parts) -> BTreeMap<String, String> {
    let mut query = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        query.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    query
}

fn not_acceptable(message: String) -> Refusal {
    Refusal::new(406, Reason::NotAcceptable, message)
}

fn no_format(is_of_many: bool) -> String {
    let streams = format!(", {};stream=watch, {};stream=watch", MEDIA[0], MEDIA[2]);
    let streams = if is_of_many { streams.as_str() } else { "" };
    format!("406: Not Acceptable\n\nAvailable representations: {}{streams}", MEDIA.join(", "))
}

pub(super) fn not_acceptable_media() -> Refusal {
    not_acceptable(format!("only the following media types are accepted: {}", MEDIA.join(", ")))
}

pub(super) fn not_allowed() -> Refusal {
    let message = "the server does not allow this method on the requested resource";
    Refusal::new(405, Reason::MethodNotAllowed, message)
}

/// What a body is that has no type: 415.
pub(super) fn unsupported_media() -> Refusal {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        MEDIA.join(", ")
    );
    Refusal::new(415, Reason::UnsupportedMediaType, message)
}

const MEDIA: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

impl Asked {
    /// The object that is sent, and what is unknown or there twice in it.
    pub(super) async fn object(&mut self, body: Body) -> Result<Value, Refusal> {
        let is_built_in = self.served.schema.is_none();
        let media = self.media()?;
        let bytes = bytes(body).await?;
        let (api_version, kind) = self.kind_of_body();
        let types = Types::of_built_in(&api_version, &kind).filter(|_| is_built_in);
        let expected = Expected { api_version: &api_version, kind: &kind, types: types.as_ref() };
        let body = codec::decode(media, &bytes, expected);
        let body = body.map_err(|error| Refusal::bad_request(error.to_string()))?;
        self.strict = body.strict;
        Ok(body.value)
    }

    /// How the object in the body is written.
    pub(super) fn media(&self) -> Result<Media, Refusal> {
        let is_built_in = self.served.schema.is_none();
        let media = Media::of(&self.content_type).filter(|media| is_built_in || *media != Media::Protobuf);
        media.ok_or_else(unsupported_media)
    }

    /// What is read and written at the endpoint.
    fn kind_of_body(&self) -> (String, String) {
        let resource = &self.served.resource;
        match self.part_kind() {
            Some((group, version, kind)) => (format!("{group}/{version}"), kind),
            None => (resource.api_version(), resource.kind.clone()),
        }
    }

    /// Group, version and kind of what the subresource is, where that is no such object.
    pub(super) fn part_kind(&self) -> Option<(String, String, String)> {
        let name = self.subresource.as_deref();
        let part = self.served.resource.subresources.iter().find(|part| Some(&*part.name) == name);
        part?.kind.clone()
    }

    /// The patch that is sent: YAML only if it is one to apply.
    pub(super) async fn patch(&mut self, body: Body) -> Result<Value, Refusal> {
        let bytes = bytes(body).await?;
        if self.content_type.starts_with("application/apply-patch+yaml") {
            let config = codec::parse_yaml(&bytes).map_err(|error| {
                Refusal::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}"))
            })?;
            return require_map(config);
        }
        match codec::parse(&bytes) {
            Ok(parsed) => {
                self.strict = parsed.strict;
                Ok(parsed.value)
            }
            Err(error) if self.content_type.starts_with("application/strategic-merge-patch+json") => {
                Err(Refusal::bad_request(error.to_string()))
            }
            Err(error) => Err(Refusal::bad_request(format!("error decoding patch: {error}"))),
        }
    }
}

pub(super) async fn bytes(body: Body) -> Result<bytes::Bytes, Refusal> {
    axum::body::to_bytes(body, LIMITS.body_bytes).await.map_err(|_| {
        let message = format!("Request entity too large: limit is {}", LIMITS.body_bytes);
        Refusal::new(413, Reason::RequestEntityTooLarge, message)
    })
}

fn require_map(config: Value) -> Result<Value, Refusal> {
    let found = match &config {
        Value::Null | Value::Object(_) => return Ok(config),
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    };
    Err(Refusal::bad_request(format!(
        "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go \
         value of type map[string]interface {{}}"
    )))
}
