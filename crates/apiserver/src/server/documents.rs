//! What the server says of its own API: discovery and OpenAPI.
//!
//! The larger documents are made when somebody first asks for them, and kept until something else is served.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, header};
use axum::response::Response;
use ring::digest::{SHA512, digest};

use super::catalog::Kinds;
use super::request::{not_acceptable_media, not_allowed};
use super::respond::{self, respond};
use super::timestamp_secs;
use crate::codec::{self, Shape};
use crate::discovery;
use crate::openapi::{Described, v2, v3};
use crate::path::Target;
use crate::resource::ResourceType;
use crate::status::Refusal;

const JSON: &str = "application/json";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// Clients write the name of the format in one way and read it in the other.
const ENCODED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const YEAR_SECS: i64 = 365 * 24 * 3600;

/// Paths of their own, beside the groups and the resources in them.
const PATHS: [&str; 16] = [
    "/.well-known/openid-configuration",
    "/healthz",
    "/healthz/etcd",
    "/healthz/log",
    "/healthz/ping",
    "/livez",
    "/livez/etcd",
    "/livez/log",
    "/livez/ping",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
];

/// What was made for the kinds that were served last.
#[derive(Debug, Default)]
pub(super) struct Documents(Mutex<Option<Arc<Kept>>>);

#[derive(Debug)]
struct Kept {
    kinds: Arc<Kinds>,
    core: OnceLock<Document>,
    groups: OnceLock<Document>,
    version_two: OnceLock<Document>,
    version_two_encoded: OnceLock<Document>,
    version_three: OnceLock<BTreeMap<String, Document>>,
}

/// A document, and the tag by which a client that has it knows that it is the same.
#[derive(Debug, Clone)]
struct Document {
    bytes: Bytes,
    hash: String,
}

impl Document {
    fn of(bytes: Vec<u8>) -> Document {
        let digest = digest(&SHA512, &bytes);
        let hash = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        Document { bytes: bytes.into(), hash }
    }

    fn tag(&self) -> String {
        format!("\"{}\"", self.hash)
    }

    /// The document, or that the client has it already.
    fn answer(&self, parts: &Parts, media: &str, caching: &str) -> Response {
        let known = text_of(parts, header::IF_NONE_MATCH);
        let is_known = known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == self.tag());
        let mut response = match is_known {
            true => respond(Body::empty(), 304, media, &[]),
            false => respond(Body::from(self.bytes.clone()), 200, media, &[]),
        };
        set(&mut response, header::ETAG, &self.tag());
        set(&mut response, header::CACHE_CONTROL, caching);
        set(&mut response, header::VARY, "Accept");
        response
    }
}

impl Documents {
    fn of(&self, kinds: &Arc<Kinds>) -> Arc<Kept> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(same) if Arc::ptr_eq(&same.kinds, kinds) => Arc::clone(same),
            _ => Arc::clone(kept.insert(Arc::new(Kept::new(kinds)))),
        }
    }

    /// What is served, or a path that is none.
    pub(super) fn answer(
        &self,
        target: &Target<'_>,
        parts: &Parts,
        kinds: &Arc<Kinds>,
    ) -> Result<Response, Refusal> {
        if let Target::Other | Target::Resource(_) = target {
            return self.other(parts, kinds);
        }
        let resources = resources(kinds);
        let host = text_of(parts, header::HOST);
        let found = match target {
            Target::CoreVersions => {
                Some(discovery::core_versions(if host.is_empty() { "localhost" } else { host }))
            }
            Target::Groups => Some(discovery::groups(&resources)),
            Target::Group(name) => discovery::group(name, &resources),
            Target::Resources(it) => discovery::resources(&it.group, &it.version, &resources),
            Target::Other | Target::Resource(_) => None,
        };
        let body = found.ok_or_else(Refusal::no_such_resource)?;
        if parts.method != Method::GET {
            return Err(not_allowed());
        }
        match wanted(text_of(parts, header::ACCEPT), target).ok_or_else(not_acceptable_media)? {
            Wanted::Aggregated => {
                let kept = self.of(kinds);
                let is_core = *target == Target::CoreVersions;
                Ok(kept.aggregated(is_core).answer(parts, AGGREGATED, "public"))
            }
            Wanted::Yaml if let Ok(text) = codec::to_yaml(&body) => {
                Ok(respond(Body::from(text), 200, "application/yaml", &[]))
            }
            Wanted::Yaml | Wanted::Json => Ok(respond::json(&body, 200, &[])),
        }
    }

    /// What is served beside resources and their discovery.
    fn other(&self, parts: &Parts, kinds: &Arc<Kinds>) -> Result<Response, Refusal> {
        let path = parts.uri.path();
        let kept = self.of(kinds);
        match path {
            "" | "/" => Ok(respond::json(&discovery::paths(&resources(kinds), &PATHS), 200, &[])),
            "/openapi/v2" => Ok(kept.answer_version_two(parts)),
            "/openapi/v3" | "/openapi/v3/" => {
                let hashes = kept.version_three().iter().map(|(path, it)| (path.as_str(), it.hash.as_str()));
                let body = Body::from(v3::index(hashes).to_string());
                Ok(respond(body, 200, "text/plain; charset=utf-8", &[]))
            }
            _ => match path.strip_prefix("/openapi/v3/") {
                None => Err(Refusal::no_such_resource()),
                Some(name) => Ok(match kept.version_three().get(name) {
                    Some(document) => version_three_answer(document, parts),
                    None => bare(404),
                }),
            },
        }
    }
}

impl Kept {
    fn new(kinds: &Arc<Kinds>) -> Kept {
        Kept {
            kinds: Arc::clone(kinds),
            core: OnceLock::new(),
            groups: OnceLock::new(),
            version_two: OnceLock::new(),
            version_two_encoded: OnceLock::new(),
            version_three: OnceLock::new(),
        }
    }

    fn aggregated(&self, is_core: bool) -> &Document {
        let place = if is_core { &self.core } else { &self.groups };
        place.get_or_init(|| {
            let list = discovery::aggregated(is_core, &resources(&self.kinds), "apidiscovery.k8s.io/v2");
            Document::of(list.to_string().into_bytes())
        })
    }

    fn version_three(&self) -> &BTreeMap<String, Document> {
        self.version_three.get_or_init(|| {
            let documents = v3::documents(&described(&self.kinds)).into_iter();
            documents.map(|(path, it)| (path, Document::of(it.to_string().into_bytes()))).collect()
        })
    }

    fn answer_version_two(&self, parts: &Parts) -> Response {
        let accept = text_of(parts, header::ACCEPT);
        let media = accept.split(',').map(|clause| clause.split(';').next().unwrap_or_default().trim());
        let mut formats = media.filter_map(|media| match media {
            ENCODED | v2::CONTENT_TYPE => Some(true),
            "" | JSON | "application/*" | "*/*" => Some(false),
            _ => None,
        });
        let document = || v2::document(&described(&self.kinds));
        match formats.next() {
            None => bare(406),
            Some(true) => {
                let encoded = self.version_two_encoded.get_or_init(|| Document::of(v2::encode(&document())));
                encoded.answer(parts, v2::CONTENT_TYPE, "no-cache, private")
            }
            Some(false) => {
                let plain =
                    self.version_two.get_or_init(|| Document::of(document().to_string().into_bytes()));
                plain.answer(parts, JSON, "no-cache, private")
            }
        }
    }
}

/// A document that is asked for by its content stays what it is; by another content, it has moved.
fn version_three_answer(document: &Document, parts: &Parts) -> Response {
    let query = parts.uri.query().unwrap_or_default();
    let hash = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "hash");
    match hash {
        None => document.answer(parts, JSON, "no-cache, private"),
        Some((_, hash)) if hash == document.hash => {
            let mut response = document.answer(parts, JSON, "public, immutable");
            let later = chrono::DateTime::from_timestamp(timestamp_secs() + YEAR_SECS, 0).unwrap_or_default();
            let later = later.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            set(&mut response, header::EXPIRES, &later);
            response
        }
        Some(_) => {
            let mut response = bare(301);
            let address = format!("{}?hash={}", parts.uri.path(), document.hash);
            set(&mut response, header::LOCATION, &address);
            set(&mut response, header::ETAG, &document.tag());
            response
        }
    }
}

enum Wanted {
    Json,
    Yaml,
    /// Everything at once.
    Aggregated,
}

/// The first that is accepted and can be given.
fn wanted(accept: &str, target: &Target<'_>) -> Option<Wanted> {
    let is_root = matches!(target, Target::CoreVersions | Target::Groups);
    accept.split(',').find_map(|clause| {
        let parameters: Vec<&str> = clause.split(';').map(str::trim).collect();
        let has = |parameter: &str| parameters.contains(&parameter);
        if is_root && AGGREGATED.split(';').all(has) {
            return Some(Wanted::Aggregated);
        }
        let answer = codec::Answer::of(clause).filter(|answer| answer.shape == Shape::Object)?;
        Some(if answer.is_yaml { Wanted::Yaml } else { Wanted::Json })
    })
}

fn resources(kinds: &Kinds) -> Vec<ResourceType> {
    kinds.values().map(|served| served.resource.clone()).collect()
}

fn described(kinds: &Kinds) -> Vec<Described<'_>> {
    kinds.values().map(|it| Described { resource: &it.resource, schema: it.described.as_ref() }).collect()
}

/// An answer that is nothing but its code.
fn bare(code: u16) -> Response {
    let mut response = respond(Body::empty(), code, JSON, &[]);
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

fn text_of(parts: &Parts, name: HeaderName) -> &str {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        response.headers_mut().insert(name, value);
    }
}
