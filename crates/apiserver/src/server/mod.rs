//! The server: a request comes in, the catalog says what it is about, the store keeps it.
//!
//! [`Server::router`] is an ordinary service, so a client in the same process needs no socket.

mod access;
mod advertised;
mod behaviour;
mod built_in;
mod calling;
mod catalog;
mod cluster_objects;
mod collecting;
mod collector;
mod converting;
mod definitions;
mod deleting;
mod documents;
mod escalation;
mod expiry;
mod fairness;
mod filter;
mod gate;
mod health;
mod incoming;
mod limits;
mod list;
mod list_options;
mod metrics;
mod names;
mod namespaces;
mod objects;
mod options;
mod patched;
mod patching;
mod raw;
mod request;
mod respond;
mod reviews;
mod scale;
mod seats;
mod tokens;
mod traffic;
mod watching;
mod webhooks;
mod working;

#[cfg(test)]
mod access_tests;
#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod collector_tests;
#[cfg(test)]
mod definition_tests;
#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traffic_tests;
#[cfg(test)]
mod webhook_tests;
#[cfg(test)]
mod working_tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

use crate::auth::{KeyError, Security};
use crate::builtin;
use crate::kinds::service::{Allocations, Network, Ranges};
use crate::path::{self, Target};
use crate::resource::Verb;
use crate::status::{Reason, Refusal};
use crate::store::{Store, StoreError};
use access::Access;
use calling::Caller;
pub use calling::ResolveService;
use catalog::Catalog;
pub use catalog::Conversions;
pub(crate) use catalog::key_of;
use collector::Collector;
use documents::Documents;
pub use limits::{LIMITS, Limits, Pool, Reached};
use request::Asked;
use reviews::Question;
use traffic::Traffic;
use webhooks::Webhooks;

/// What the embedding program decides about a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// From where Services get their cluster IPs and node ports.
    pub ranges: Ranges,
    /// Who clients from the network are, and what they may do.
    pub security: Security,
    /// How objects of some custom kinds get from one version to another inside this process, by group and kind.
    pub conversions: Conversions,
    /// Where the Services are that webhooks run behind, if this process knows.
    pub services: Option<Arc<dyn ResolveService>>,
    /// Whether the server makes what a cluster always has: its namespaces and, in each, an account and the certificate
    /// that clients trust. A server for a single program needs none of it.
    pub has_cluster_objects: bool,
    /// Where clients of the cluster reach this server. With the objects of a cluster there is also the Service
    /// `kubernetes` then, which leads there unless it is a loopback address.
    pub advertised: Option<SocketAddr>,
    /// Whether what loses its owner or its namespace goes too. In a real cluster another program sees to that.
    pub collects_garbage: bool,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A server over a store.
#[derive(Debug)]
pub struct Server {
    store: Arc<dyn Store>,
    catalog: Catalog,
    documents: Documents,
    access: Access,
    traffic: Traffic,
    options: Options,
    /// What Services hold.
    allocations: Mutex<Allocations>,
    caller: Caller,
    webhooks: Webhooks,
    /// Held while definitions are brought up to date.
    settling: tokio::sync::Mutex<()>,
}

impl Default for Options {
    fn default() -> Options {
        let cluster_ips = Network::new(Ipv4Addr::new(10, 96, 0, 0).into(), 16);
        let ranges = Ranges { networks: cluster_ips.into_iter().collect(), node_ports: 30_000..=32_767 };
        let (conversions, services) = (Conversions::new(), None);
        Options {
            ranges,
            security: Security::default(),
            conversions,
            services,
            has_cluster_objects: false,
            advertised: None,
            collects_garbage: true,
        }
    }
}

impl Server {
    /// A server over what the store holds: the definitions in it are served.
    pub async fn open(store: Arc<dyn Store>) -> Result<Arc<Server>, ServerError> {
        Server::open_with(store, Options::default()).await
    }

    pub async fn open_with(store: Arc<dyn Store>, options: Options) -> Result<Arc<Server>, ServerError> {
        let access = Access::new(&options.security, &store).await?;
        let catalog = Catalog::new(options.conversions.clone());
        let services = options.services.clone();
        let caller = Caller { client: Arc::default(), store: Arc::clone(&store), services };
        let (settling, allocations) = (tokio::sync::Mutex::new(()), Mutex::default());
        let (webhooks, traffic, documents) = (Webhooks::default(), Traffic::default(), Documents::default());
        let server = Server {
            store,
            catalog,
            documents,
            access,
            traffic,
            options,
            allocations,
            caller,
            webhooks,
            settling,
        };
        server.make_namespaces().await?;
        server.load_definitions().await?;
        server.load_services().await?;
        let server = Arc::new(server);
        if server.options.collects_garbage {
            Collector::start(&server).await?;
        }
        server.make_roles().await;
        server.expire_events().await?;
        if server.options.has_cluster_objects {
            server.keep_cluster_objects().await?;
        }
        Ok(server)
    }

    /// For clients in the same process: whoever can call it may do everything and waits for nobody, as a trusted user
    /// from the network. The [`LIMITS`] of length, size and time hold, the store bounds the watches, and the requests
    /// are counted with all others. One that carries an [`Identity`](crate::auth::Identity) as an extension is made in
    /// that name.
    pub fn router(self: &Arc<Server>) -> Router {
        Router::new().fallback(gate::answer_inside).with_state(Arc::clone(self))
    }

    /// For clients from the network, who say who they are and are asked whether they may.
    pub fn secured(self: &Arc<Server>) -> Router {
        Router::new().fallback(gate::answer).with_state(Arc::clone(self))
    }

    async fn answer(&self, request: axum::extract::Request) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let kinds = self.catalog.snapshot();
        let found = match path::parse(parts.uri.path()) {
            Target::Resource(path) => match Asked::of(&parts, &path, &kinds) {
                Ok(asked) => {
                    let deprecation = asked.served.deprecation.clone();
                    let shape = asked.check_shape();
                    let answered = self.resource(asked, body).await;
                    answered.and_then(|response| shape.map(|()| response)).map_err(|mut refusal| {
                        refusal.warnings = deprecation.into_iter().chain(refusal.warnings).collect();
                        refusal
                    })
                }
                Err(refusal) => Err(refusal),
            },
            Target::Other if let Some(response) = self.about_itself(&parts).await => Ok(response),
            target => self.documents.answer(&target, &parts, &kinds),
        };
        found.or_else(|refusal| match refusal.is_no_such_resource() && !is_built_in(parts.uri.path()) {
            true => Ok(respond::no_such_page()),
            false => Err(refusal),
        })
    }

    async fn resource(&self, mut asked: Asked, body: Body) -> Result<Response, Refusal> {
        if matches!(asked.verb, Verb::Create | Verb::Update) {
            asked.media()?;
        }
        asked.check_options()?;
        match asked.verb {
            Verb::Get if asked.is_scale() => Ok(respond::object(&asked, &self.scale(&asked).await?)),
            Verb::Update if asked.is_scale() => {
                let scale = asked.object(body).await?;
                Ok(respond::written(&asked, &self.update_scale(&asked, &scale).await?))
            }
            Verb::Patch if asked.is_scale() => {
                let patch = asked.patch(body).await?;
                Ok(respond::written(&asked, &self.patch_scale(&asked, &patch).await?))
            }
            Verb::Get => self.answer_get(&asked).await,
            Verb::List => self.answer_list(&asked).await,
            Verb::Watch => self.watch(asked).await,
            Verb::Create if let Some(question) = Question::of(&asked) => {
                let review = asked.object(body).await?;
                Ok(respond::written(&asked, &self.review(&asked, question, review).await?))
            }
            Verb::Create if asked.is_for_token() => {
                let request = asked.object(body).await?;
                Ok(respond::written(&asked, &self.issue_token(&asked, request).await?))
            }
            Verb::Create => {
                let object = asked.object(body).await?;
                let written = self.create(&asked, object).await?;
                self.settle_if_definition(&asked).await?;
                Ok(respond::written(&asked, &written))
            }
            Verb::Update => {
                let object = asked.object(body).await?;
                let written = self.update(&asked, object).await?;
                self.settle_if_definition(&asked).await?;
                Ok(respond::written(&asked, &written))
            }
            Verb::Patch => {
                let patch = asked.patch(body).await;
                if patch.is_err() && !asked.is_apply() {
                    self.get(&asked).await?;
                }
                let written = self.patch(&asked, patch?).await?;
                self.settle_if_definition(&asked).await?;
                Ok(respond::written(&asked, &written))
            }
            Verb::Delete => {
                let options = asked.delete_options(body).await?;
                let deleted = self.delete(&asked, &options).await?;
                self.settle_if_definition(&asked).await?;
                Ok(respond::deleted(&asked, &deleted))
            }
            Verb::DeleteCollection => {
                let options = asked.delete_options(body).await?;
                let deleted = self.delete_collection(&asked, &options).await?;
                self.settle_if_definition(&asked).await?;
                Ok(respond::list(&asked, &deleted))
            }
        }
    }
}

/// Whether a path is in the core group or a built-in one. What is not there elsewhere is no API at all.
fn is_built_in(path: &str) -> bool {
    let mut segments = path.trim_matches('/').split('/');
    match segments.next() {
        Some("api") => true,
        Some("apis") => {
            segments.next().is_some_and(|group| builtin::all().iter().any(|it| it.group == group))
        }
        _ => false,
    }
}

fn timestamp_secs() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Now, as the API writes times.
fn timestamp() -> Value {
    let time = chrono::DateTime::from_timestamp(timestamp_secs(), 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        let text = error.to_string();
        match error {
            StoreError::Expired { requested, oldest } => {
                let message = format!("too old resource version: {requested} ({oldest})");
                Refusal::new(410, Reason::Expired, message)
            }
            StoreError::Future { requested, newest } => {
                let what = "Too large resource version";
                let message = format!("Timeout: {what}: {requested}, current: {newest}");
                let mut refusal = Refusal::new(504, Reason::Timeout, message);
                let causes = json!([{"reason": "ResourceVersionTooLarge", "message": what}]);
                refusal.details.insert("causes".to_owned(), causes);
                refusal.details.insert("retryAfterSeconds".to_owned(), 1.into());
                refusal
            }
            StoreError::TooLarge { .. } => Refusal::new(413, Reason::RequestEntityTooLarge, text),
            StoreError::TooManyWatches { .. } => {
                Reached::Watches.count();
                Refusal::new(429, Reason::TooManyRequests, text)
            }
            StoreError::NoSpace { .. } => Refusal::new(507, Reason::InternalError, text),
            _ => Refusal::new(500, Reason::InternalError, text),
        }
    }
}
