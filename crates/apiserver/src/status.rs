//! Answers that are no object: what went wrong, in the words and numbers that clients know.

use serde_json::{Map, Value, json};

use crate::schema::text::quote;
use crate::schema::{FieldError, invalid_message};

/// Why a request is refused. Its JSON is a `Status` of the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub code: u16,
    pub reason: Reason,
    pub message: String,
    /// `details` of the Status; empty if there are none.
    pub details: Map<String, Value>,
    /// For `Warning` headers.
    pub warnings: Box<[String]>,
}

const NO_SUCH_RESOURCE: &str = "the server could not find the requested resource";

/// The `reason` of a Status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An empty text.
    None,
    AlreadyExists,
    BadRequest,
    Conflict,
    Expired,
    Forbidden,
    Gone,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    Timeout,
    TooManyRequests,
    Unauthorized,
    UnsupportedMediaType,
}

/// The resource that a refusal is about, as messages name it: `bgppeers.metallb.io "a"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    pub group: &'a str,
    /// The plural.
    pub resource: &'a str,
    pub name: &'a str,
}

impl Reason {
    const ALL: [Reason; 17] = [
        Reason::AlreadyExists,
        Reason::BadRequest,
        Reason::Conflict,
        Reason::Expired,
        Reason::Forbidden,
        Reason::Gone,
        Reason::InternalError,
        Reason::Invalid,
        Reason::MethodNotAllowed,
        Reason::NotAcceptable,
        Reason::NotFound,
        Reason::RequestEntityTooLarge,
        Reason::ServiceUnavailable,
        Reason::Timeout,
        Reason::TooManyRequests,
        Reason::Unauthorized,
        Reason::UnsupportedMediaType,
    ];

    /// The reason of somebody else's Status; one that is not known is none.
    pub fn of(text: &str) -> Reason {
        Reason::ALL.into_iter().find(|reason| reason.as_str() == text).unwrap_or(Reason::None)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Reason::None => "",
            Reason::AlreadyExists => "AlreadyExists",
            Reason::BadRequest => "BadRequest",
            Reason::Conflict => "Conflict",
            Reason::Expired => "Expired",
            Reason::Forbidden => "Forbidden",
            Reason::Gone => "Gone",
            Reason::InternalError => "InternalError",
            Reason::Invalid => "Invalid",
            Reason::MethodNotAllowed => "MethodNotAllowed",
            Reason::NotAcceptable => "NotAcceptable",
            Reason::NotFound => "NotFound",
            Reason::RequestEntityTooLarge => "RequestEntityTooLarge",
            Reason::ServiceUnavailable => "ServiceUnavailable",
            Reason::Timeout => "Timeout",
            Reason::TooManyRequests => "TooManyRequests",
            Reason::Unauthorized => "Unauthorized",
            Reason::UnsupportedMediaType => "UnsupportedMediaType",
        }
    }
}

impl Target<'_> {
    /// `resource.group`, without a point in the core group.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        for (field, text) in [("name", self.name), ("group", self.group), ("kind", self.resource)] {
            if !text.is_empty() {
                details.insert(field.to_owned(), text.into());
            }
        }
        details
    }
}

impl Refusal {
    pub fn new(code: u16, reason: Reason, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: Map::new(), warnings: Box::default() }
    }

    pub fn not_found(target: Target<'_>) -> Refusal {
        let message = format!("{} {} not found", target.qualified(), quote(target.name));
        Refusal { details: target.details(), ..Refusal::new(404, Reason::NotFound, message) }
    }

    /// A path that no resource has.
    pub fn no_such_resource() -> Refusal {
        Refusal::new(404, Reason::NotFound, NO_SUCH_RESOURCE)
    }

    pub(crate) fn is_no_such_resource(&self) -> bool {
        self.code == 404 && self.message == NO_SUCH_RESOURCE
    }

    pub fn already_exists(target: Target<'_>) -> Refusal {
        let message = format!("{} {} already exists", target.qualified(), quote(target.name));
        Refusal { details: target.details(), ..Refusal::new(409, Reason::AlreadyExists, message) }
    }

    pub fn conflict(target: Target<'_>, why: &str) -> Refusal {
        let message =
            format!("Operation cannot be fulfilled on {} {}: {why}", target.qualified(), quote(target.name));
        Refusal { details: target.details(), ..Refusal::new(409, Reason::Conflict, message) }
    }

    /// Something that this user may not do.
    pub fn forbidden(target: Target<'_>, why: &str) -> Refusal {
        let name = if target.name.is_empty() { String::new() } else { quote(target.name) + " " };
        let message = format!("{} {name}is forbidden: {why}", target.qualified());
        Refusal { details: target.details(), ..Refusal::new(403, Reason::Forbidden, message) }
    }

    pub fn unauthorized() -> Refusal {
        Refusal::new(401, Reason::Unauthorized, "Unauthorized")
    }

    /// Something that went wrong on this side.
    pub fn internal(error: &str) -> Refusal {
        let message = format!("Internal error occurred: {error}");
        let details = Map::from_iter([("causes".to_owned(), json!([{"message": error}]))]);
        Refusal { details, ..Refusal::new(500, Reason::InternalError, message) }
    }

    /// A mistake for which there is no better code: the API has it so.
    pub fn unclassified(message: impl Into<String>) -> Refusal {
        Refusal::new(500, Reason::None, message)
    }

    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, Reason::BadRequest, message)
    }

    /// An object that breaks rules, each with its field.
    pub fn invalid(kind: &str, target: Target<'_>, errors: &[FieldError]) -> Refusal {
        let mut different: Vec<FieldError> = Vec::with_capacity(errors.len());
        for error in errors {
            if !different.contains(error) {
                different.push(error.clone());
            }
        }
        let message = invalid_message(kind, target.group, target.name, &different);
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| json!({"reason": error.kind.reason(), "message": error.message, "field": error.field}))
            .collect();
        let mut details = Target { resource: kind, ..target }.details();
        if !causes.is_empty() {
            details.insert("causes".to_owned(), causes.into());
        }
        Refusal { details, ..Refusal::new(422, Reason::Invalid, message) }
    }

    pub fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
        });
        if self.reason != Reason::None {
            status["reason"] = self.reason.as_str().into();
        }
        // Some have details that say nothing.
        let has_details = matches!(
            self.reason,
            Reason::Forbidden
                | Reason::Invalid
                | Reason::MethodNotAllowed
                | Reason::NotFound
                | Reason::Timeout
        ) || matches!(self.reason, Reason::NotAcceptable | Reason::UnsupportedMediaType)
            && self.message.starts_with(&self.code.to_string());
        if !self.details.is_empty() || has_details {
            status["details"] = Value::Object(self.details.clone());
        }
        status["code"] = self.code.into();
        status
    }
}
