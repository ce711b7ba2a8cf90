//! What a Service asks for, read from its annotations and its spec.
//!
//! Nothing here knows a pool or what anybody holds.

use std::fmt;
use std::net::IpAddr;

use super::error::{FamilyError, RequestError, text};
use crate::range::parse_address;
use crate::selector::Labels;
use crate::snapshot::{IpFamily, Service, ServiceKey, ServicePort};

/// Written to a Service: the pool that its addresses come from.
pub const POOL_ANNOTATION: &str = "metallb.io/ip-allocated-from-pool";

/// Names what a Service shares its addresses under.
pub(super) const SHARING_ANNOTATION: &str = "metallb.io/allow-shared-ip";

/// An annotation that is read, under its current and its deprecated key.
struct Annotation {
    key: &'static str,
    deprecated_key: &'static str,
}

const DEPRECATED_PREFIX: &str = "metallb.universe.tf";
const ADDRESS_POOL: Annotation =
    Annotation { key: "metallb.io/address-pool", deprecated_key: "metallb.universe.tf/address-pool" };
const ADDRESSES: Annotation =
    Annotation { key: "metallb.io/loadBalancerIPs", deprecated_key: "metallb.universe.tf/loadBalancerIPs" };
const SHARING: Annotation =
    Annotation { key: SHARING_ANNOTATION, deprecated_key: "metallb.universe.tf/allow-shared-ip" };

impl Annotation {
    /// The current key wins if it is present at all, even with an empty value.
    fn of<'a>(&self, service: &'a Service) -> &'a str {
        let under = |key: &str| service.annotations.get(key);
        under(self.key).or_else(|| under(self.deprecated_key)).map_or("", String::as_str)
    }
}

/// All that `declares_sharing` looks at.
pub(crate) const SHARING_ANNOTATIONS: [&str; 2] = [SHARING.key, SHARING.deprecated_key];

/// Whether a Service declares that it shares its addresses, be it without a key to share them under.
pub(crate) fn declares_sharing(service: &Service) -> bool {
    SHARING_ANNOTATIONS.iter().any(|&key| service.annotations.contains_key(key))
}

/// The keys that a user should rename, in name order. The prefix is compared without its slash.
pub(super) fn deprecated_annotations(service: &Service) -> impl Iterator<Item = &String> {
    service.annotations.keys().filter(|key| key.starts_with(DEPRECATED_PREFIX))
}

/// What the rules of assignment look at in a Service.
#[derive(Debug, Clone)]
pub(super) struct Tenant<'a> {
    pub(super) key: &'a ServiceKey,
    pub(super) labels: &'a Labels,
    pub(super) ports: &'a [ServicePort],
    pub(super) sharing: SharingKey,
    /// Empty: any pool.
    pub(super) wanted_pool: &'a str,
}

impl<'a> Tenant<'a> {
    pub(super) fn of(service: &'a Service) -> Tenant<'a> {
        Tenant {
            key: &service.key,
            labels: &service.labels,
            ports: &service.ports,
            sharing: SharingKey::of(service),
            wanted_pool: ADDRESS_POOL.of(service),
        }
    }

    pub(super) fn accepts_pool(&self, name: &str) -> bool {
        self.wanted_pool.is_empty() || self.wanted_pool == name
    }
}

/// Two Services may use one address if both have the same of these and it names something to share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct SharingKey {
    /// Empty: not shareable.
    shared_name: String,
    /// The selector, if traffic must stay on the nodes of these pods; else empty.
    backend: String,
}

impl SharingKey {
    fn of(service: &Service) -> SharingKey {
        let mut backend = String::new();
        if service.local_traffic_only {
            let pairs: Vec<String> =
                service.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            backend = pairs.join(",");
        }
        SharingKey { shared_name: SHARING.of(service).to_owned(), backend }
    }

    pub(super) fn is_shareable(&self) -> bool {
        !self.shared_name.is_empty()
    }

    pub(super) fn is_compatible_with(&self, other: &SharingKey) -> bool {
        self.is_shareable() && self == other
    }
}

/// The address families of a Service: one, or one address of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    V4,
    V6,
    Dual,
}

impl Families {
    /// `None` is an address that could not be read.
    pub(super) fn of(addresses: &[Option<IpAddr>]) -> Result<Families, FamilyError> {
        Families::of_parsed(addresses, || texts(addresses))
    }

    fn of_texts(texts: &[String]) -> Result<Families, FamilyError> {
        let addresses: Vec<Option<IpAddr>> = texts.iter().map(|text| parse_address(text)).collect();
        Families::of_parsed(&addresses, || texts.to_vec())
    }

    fn of_parsed(
        addresses: &[Option<IpAddr>],
        texts: impl FnOnce() -> Vec<String>,
    ) -> Result<Families, FamilyError> {
        match *addresses {
            [Some(single)] => Ok(IpFamily::of(single).into()),
            [Some(first), Some(second)] if IpFamily::of(first) == IpFamily::of(second) => {
                Err(FamilyError::Same(texts()))
            }
            [Some(_), Some(_)] => Ok(Families::Dual),
            [_] | [_, _] => Err(FamilyError::Invalid(texts())),
            _ => Err(FamilyError::Length(texts())),
        }
    }

    /// The families of the Service itself, which its cluster IPs decide.
    pub(super) fn of_service(service: &Service) -> Result<Families, FamilyError> {
        if service.cluster_ips.is_empty() {
            return Families::of_texts(std::slice::from_ref(&service.cluster_ip));
        }
        Families::of_texts(&service.cluster_ips)
    }
}

impl From<IpFamily> for Families {
    fn from(family: IpFamily) -> Families {
        match family {
            IpFamily::V4 => Families::V4,
            IpFamily::V6 => Families::V6,
        }
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Families::V4 => "ipv4",
            Families::V6 => "ipv6",
            Families::Dual => "dual",
        })
    }
}

/// The addresses a Service asks for by name, and their families. `None`: it does not.
pub(super) fn requested(service: &Service) -> Result<Option<(Vec<IpAddr>, Families)>, RequestError> {
    let listed = ADDRESSES.of(service);
    let single = &service.load_balancer_ip;
    let addresses = match (listed.is_empty(), single.is_empty()) {
        (true, true) => return Ok(None),
        (false, false) => return Err(RequestError::Both),
        (true, false) => vec![parse_address(single).ok_or_else(|| RequestError::Spec(single.clone()))?],
        (false, true) => listed
            .split(',')
            .map(|text| parse_address(text.trim()).ok_or_else(|| RequestError::Annotation(listed.to_owned())))
            .collect::<Result<_, _>>()?,
    };
    let families = Families::of(&addresses.iter().copied().map(Some).collect::<Vec<_>>())?;
    Ok(Some((addresses, families)))
}

/// The addresses in the status, in order. `None` is an entry that is no address.
pub(super) fn recorded(service: &Service) -> Vec<Option<IpAddr>> {
    service.ingress.iter().filter_map(|entry| entry.ip.as_deref()).map(parse_address).collect()
}

/// Addresses as messages print them.
pub(super) fn texts(addresses: &[Option<IpAddr>]) -> Vec<String> {
    addresses.iter().map(text).collect()
}

/// The key under which a Service shares its addresses; empty if it does not.
pub fn sharing_of(service: &Service) -> &str {
    SHARING.of(service)
}
