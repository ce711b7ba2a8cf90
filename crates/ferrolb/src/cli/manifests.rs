//! Objects to what they are: judged as an API server would judge them, then read as their types.

use std::collections::{BTreeMap, HashMap};

use api::convert::{self, ConvertError, Version};
use api::ingest;
use api::parse::Objects;
use apiserver::schema::metadata;
use k8s_openapi::api::core::v1;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use plan::snapshot::{Service, ServiceKey, Serving};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::input::{Object, Origin};
use super::kinds::{KnownKind, KnownKinds};
use super::output::{Finding, Subject};

/// All that was read, sorted by what it is.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    pub(super) objects: Objects,
    pub(super) services: Vec<Service>,
    /// Each EndpointSlice by namespace and name: whose it is, and where that can be served.
    slices: BTreeMap<(String, String), (ServiceKey, Serving)>,
    /// Values that are not of the type of their field: nobody gets as far as a rule.
    pub(super) unreadable: Vec<Finding>,
    /// Why an API server would refuse single objects.
    pub(super) refused: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// Where each resource stands.
    pub(super) origins: HashMap<Subject, Origin>,
    /// Whether there is a resource that is left out because it does not have the shape of its kind.
    pub(super) has_unreadable: bool,
    /// How many objects were looked at.
    pub(super) count: usize,
    /// How many objects there are of each kind that nobody here reads.
    pub(super) ignored: BTreeMap<String, usize>,
    service_indexes: HashMap<ServiceKey, usize>,
}

/// What the objects are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To see every problem: what an API server would refuse is read all the same.
    Judge {
        /// A field that nobody knows is an error, not a warning.
        strict: bool,
    },
    /// To use them: what an API server would refuse is not there.
    Use,
}

/// What an API server calls the field of an error that is about the whole object.
const NO_FIELD: &str = "<nil>";

/// The namespace of a Service that names none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// Judges and reads all objects, in their order.
pub(super) fn read(objects: Vec<Object>, purpose: Purpose) -> anyhow::Result<Manifests> {
    let kinds = KnownKinds::load()?;
    let mut manifests = Manifests::default();
    for object in objects {
        Reader { manifests: &mut manifests, kinds: &kinds, purpose }.read(object);
    }
    Ok(manifests)
}

struct Reader<'a> {
    manifests: &'a mut Manifests,
    kinds: &'a KnownKinds,
    purpose: Purpose,
}

impl Reader<'_> {
    fn read(&mut self, Object { origin, mut value }: Object) {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let known = self.kinds.get(&api_version, &kind);
        let is_core = KUBERNETES_KINDS.contains(&(api_version.as_str(), kind.as_str()));
        if known.is_none() && !is_core && !OUR_GROUPS.contains(&group) {
            *self.manifests.ignored.entry(kind).or_default() += 1;
            return;
        }
        self.manifests.count += 1;
        generate_name(&mut value, self.manifests.count);
        let subject = Subject::of(&value);
        if let Some(first) = self.manifests.origins.get(&subject) {
            self.warn(&subject, "metadata.name", format!("is defined twice, first at {first}"));
        } else {
            self.manifests.origins.insert(subject.clone(), origin);
        }
        match known {
            Some(known) => self.read_ours(&subject, value, known, &api_version),
            None if is_core => self.read_core(&subject, &value),
            None => self.refuse(
                &subject,
                "kind",
                format!("no matches for kind {kind:?} in version {api_version:?}"),
            ),
        }
    }

    fn read_ours(&mut self, subject: &Subject, mut value: Value, known: &KnownKind, api_version: &str) {
        if let Some(text) = &known.deprecation {
            self.warn(subject, "apiVersion", format!("{api_version} {}: {text}", subject.kind));
        }
        let refused_before = self.manifests.refused.len();
        self.judge(subject, &mut value, known);
        let is_refused = self.manifests.refused.len() > refused_before;
        if is_refused && self.purpose == Purpose::Use {
            return;
        }
        let outcome = match (subject.kind.as_str(), Version::from_api_version(api_version)) {
            ("BGPPeer", Some(Version::V1beta1)) => self.stored_version(&value),
            _ => Ok(value),
        };
        let objects = &mut self.manifests.objects;
        let outcome = outcome.and_then(|value| match subject.kind.as_str() {
            "IPAddressPool" => decode(&value).map(|it| objects.pools.push(it)),
            "L2Advertisement" => decode(&value).map(|it| objects.l2_advertisements.push(it)),
            "BGPAdvertisement" => decode(&value).map(|it| objects.bgp_advertisements.push(it)),
            "BGPPeer" => decode(&value).map(|it| objects.peers.push(it)),
            "BFDProfile" => decode(&value).map(|it| objects.bfd_profiles.push(it)),
            "Community" => decode(&value).map(|it| objects.communities.push(it)),
            // Of the other kinds nothing but the schema is checked.
            _ => Ok(()),
        });
        if let Err(unreadable) = outcome {
            self.manifests.has_unreadable = true;
            // The schema may have said already what is wrong with a value of the wrong type.
            if !is_refused {
                self.note_unreadable(subject, unreadable);
            }
        }
    }

    /// A peer as the API server stores it, whichever version it was written in.
    fn stored_version(&self, peer: &Value) -> Result<Value, Unreadable> {
        let mut converted = convert::bgp_peer(peer, Version::V1beta2).map_err(|error| match error {
            ConvertError::Unreadable { field, reason, .. } => Unreadable { field, reason },
            ConvertError::NotABgpPeer { .. } => {
                Unreadable { field: "apiVersion".to_owned(), reason: error.to_string() }
            }
        })?;
        if let Some(stored) = self.kinds.get(Version::V1beta2.api_version(), "BGPPeer") {
            stored.schema.default(&mut converted);
        }
        Ok(converted)
    }

    /// What an API server does with an object before it stores it.
    fn judge(&mut self, subject: &Subject, value: &mut Value, known: &KnownKind) {
        if let Some(error) = value.get("metadata").and_then(metadata::decode_error) {
            return self.refuse(subject, "metadata", error);
        }
        for warning in metadata::warnings(value, None) {
            self.warn(subject, "metadata", warning);
        }
        for unknown in known.schema.prune(value) {
            self.note_unknown(subject, unknown.0);
        }
        known.schema.default(value);
        if let Some(object) = value.as_object_mut() {
            object.remove("status"); // Who creates an object cannot give it one.
        }
        let mut errors = metadata::validate(value, known.is_namespaced);
        if subject.namespace.is_empty() && known.is_namespaced {
            // Whoever applies the object chooses the namespace.
            errors.retain(|error| error.field != "metadata.namespace");
        }
        errors.extend(known.schema.validate(value, None));
        for error in errors {
            let field = if error.field == NO_FIELD { "" } else { &error.field };
            self.refuse(subject, field, error.to_string());
        }
    }

    fn read_core(&mut self, subject: &Subject, value: &Value) {
        match subject.kind.as_str() {
            "Secret" => self.read_as(subject, value, |all, it| all.objects.secrets.push(it)),
            "ConfigMap" => self.read_as(subject, value, |all, it| all.objects.config_maps.push(it)),
            "Node" => self.read_as(subject, value, |all, it| all.objects.nodes.push(ingest::node(&it))),
            "Namespace" => {
                self.read_as(subject, value, |all, it| all.objects.namespaces.push(ingest::namespace(&it)));
            }
            "EndpointSlice" => {
                self.read_as(subject, value, |all, it: EndpointSlice| all.keep_slice(&it));
            }
            _ => self.read_as(subject, value, |all, it: v1::Service| all.keep_service(ingest::service(&it))),
        }
    }

    fn read_as<T: DeserializeOwned + Serialize>(
        &mut self,
        subject: &Subject,
        value: &Value,
        keep: impl FnOnce(&mut Manifests, T),
    ) {
        let mut unknown = Vec::new();
        match decode::<T>(value) {
            Ok(read) => {
                if self.purpose != Purpose::Use {
                    let understood = serde_json::to_value(&read).unwrap_or_default();
                    find_unknown(value, &understood, "", &mut unknown);
                }
                keep(self.manifests, read);
            }
            Err(unreadable) => {
                self.manifests.has_unreadable = true;
                self.note_unreadable(subject, unreadable);
            }
        }
        for field in unknown {
            self.note_unknown(subject, field);
        }
    }

    fn note_unknown(&mut self, subject: &Subject, field: String) {
        let message = format!("unknown field \"{field}\"");
        if self.purpose == (Purpose::Judge { strict: true }) {
            self.refuse(subject, field, message);
        } else {
            self.warn(subject, field, message);
        }
    }

    fn note_unreadable(&mut self, subject: &Subject, Unreadable { field, reason }: Unreadable) {
        self.manifests.unreadable.push(Finding { subject: subject.clone(), field, message: reason });
    }

    fn refuse(&mut self, subject: &Subject, field: impl Into<String>, message: String) {
        self.manifests.refused.push(Finding { subject: subject.clone(), field: field.into(), message });
    }

    fn warn(&mut self, subject: &Subject, field: impl Into<String>, message: String) {
        self.manifests.warnings.push(Finding { subject: subject.clone(), field: field.into(), message });
    }
}

/// An API server makes up the last five characters of a name; here, the number of the object will do.
fn generate_name(object: &mut Value, number: usize) {
    const PREFIX_BYTES_MAX: usize = 58;
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let is_named = match metadata.get("name") {
        None | Some(Value::Null) => false,
        Some(Value::String(name)) => !name.is_empty(),
        Some(_) => true,
    };
    if let Some(Value::String(prefix)) = metadata.get("generateName").filter(|_| !is_named)
        && !prefix.is_empty()
    {
        let prefix = &prefix[..prefix.floor_char_boundary(PREFIX_BYTES_MAX)];
        let name = format!("{prefix}{number:05}");
        metadata.insert("name".to_owned(), Value::String(name));
    }
}

pub(super) const OUR_GROUPS: [&str; 2] = [api::metallb::GROUP, api::frrk8s::GROUP];
const KUBERNETES_KINDS: [(&str, &str); 6] = [
    ("v1", "ConfigMap"),
    ("v1", "Namespace"),
    ("v1", "Node"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
];

impl Manifests {
    /// Where each Service can be served, by all its EndpointSlices together.
    pub(super) fn serving(&self) -> HashMap<ServiceKey, Serving> {
        let mut merged: HashMap<ServiceKey, Serving> = HashMap::new();
        for (service, part) in self.slices.values() {
            merged.entry(service.clone()).or_default().add(part);
        }
        merged
    }

    /// One that names no Service serves none, and one without a name of its own stands beside the others.
    fn keep_slice(&mut self, slice: &EndpointSlice) {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let metadata = &slice.metadata;
        let Some(name) = ingest::service_name(slice) else { return };
        let namespace = filled(&metadata.namespace).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let service = ServiceKey::new(&namespace, name);
        let id = (namespace, filled(&metadata.name).unwrap_or_else(|| format!("#{}", self.count)));
        self.slices.insert(id, (service, ingest::serving(slice)));
    }

    /// Of two Services with one name, the later one stands, as it would when both are applied in turn.
    fn keep_service(&mut self, mut service: Service) {
        if service.key.namespace.is_empty() {
            service.key.namespace = DEFAULT_NAMESPACE.into();
        }
        let next = self.services.len();
        match *self.service_indexes.entry(service.key.clone()).or_insert(next) {
            index if index == next => self.services.push(service),
            index => self.services[index] = service,
        }
    }
}

/// A value that is not of the type that its field has.
struct Unreadable {
    field: String,
    reason: String,
}

fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, Unreadable> {
    api::decode::from_value(value)
        .map_err(|error| Unreadable { field: error.field(), reason: error.reason() })
}

/// What was written and is not there any more once it was read as its type.
fn find_unknown(written: &Value, understood: &Value, path: &str, unknown: &mut Vec<String>) {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            for (key, value) in written.iter().filter(|(_, value)| !value.is_null()) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match understood.get(key) {
                    Some(understood) => find_unknown(value, understood, &path, unknown),
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(understood)) => {
            for (index, (written, understood)) in written.iter().zip(understood).enumerate() {
                find_unknown(written, understood, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}
