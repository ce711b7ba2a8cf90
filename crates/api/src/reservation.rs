//! Addresses that outlive their Service, as users ask for them and as they are kept: an annotation on the Service, and
//! an entry for each Service in one ConfigMap that anybody can read and delete from.

use std::net::IpAddr;
use std::str::FromStr;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use plan::allocate::Reservation;
use plan::snapshot::{Service, ServiceKey, ServicePort};
use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;

/// On a Service: for how long its addresses are kept for its name after it is gone.
pub const RETAIN: &str = "ferrolb.io/retain";
/// The ConfigMap, in FerroLB's own namespace.
pub const CONFIG_MAP: &str = "ferrolb-reservations";
const FOREVER: &str = "forever";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    For(GoDuration),
    Forever,
}

/// A reservation, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    pub reservation: Reservation,
    pub retain: Retain,
    /// Nothing while its Service is there, or if it is kept for ever.
    pub until: Option<Timestamp>,
}

/// Why an annotation, or an entry, means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReservationError {
    #[error("annotation {RETAIN} is {0:?}, which is neither a duration nor \"{FOREVER}\"")]
    Retain(String),
    #[error("entry {0:?} of ConfigMap {CONFIG_MAP} is not called NAMESPACE.NAME")]
    Key(String),
    #[error("entry {key:?} of ConfigMap {CONFIG_MAP}: {reason}")]
    Value { key: String, reason: String },
}

impl Retain {
    /// Nothing if the Service does not ask for it.
    pub fn of(service: &Service) -> Option<Result<Retain, ReservationError>> {
        service.annotations.get(RETAIN).map(|text| text.parse())
    }

    /// When a Service is gone at this moment: until when its addresses are kept.
    pub fn until(self, gone: Timestamp) -> Option<Timestamp> {
        match self {
            Retain::Forever => None,
            Retain::For(duration) => {
                Timestamp::from_second(gone.as_second().saturating_add(duration.as_secs())).ok()
            }
        }
    }
}

impl FromStr for Retain {
    type Err = ReservationError;

    fn from_str(text: &str) -> Result<Retain, ReservationError> {
        let duration = || text.parse::<GoDuration>().ok().filter(|it| *it > GoDuration::ZERO);
        let retain = if text == FOREVER { Some(Retain::Forever) } else { duration().map(Retain::For) };
        retain.ok_or_else(|| ReservationError::Retain(text.to_owned()))
    }
}

impl std::fmt::Display for Retain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Retain::For(duration) => duration.fmt(f),
            Retain::Forever => f.write_str(FOREVER),
        }
    }
}

/// What an entry says, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    addresses: Vec<IpAddr>,
    pool: String,
    retain: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sharing: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
}

/// Neither names of namespaces nor of Services have dots in them.
pub fn key_of(service: &ServiceKey) -> String {
    format!("{}.{}", service.namespace, service.name)
}

impl Reserved {
    pub fn to_value(&self) -> String {
        let reservation = &self.reservation;
        let entry = Entry {
            addresses: reservation.addresses.clone(),
            pool: reservation.pool.clone(),
            retain: self.retain.to_string(),
            until: self.until.map(crate::time_text),
            sharing: reservation.sharing.clone(),
            // Ports say nothing where nothing is shared.
            ports: match reservation.sharing.is_empty() {
                true => Vec::new(),
                false => reservation.ports.iter().map(ToString::to_string).collect(),
            },
        };
        serde_json::to_string(&entry).unwrap_or_default()
    }

    pub fn from_entry(key: &str, value: &str) -> Result<Reserved, ReservationError> {
        let (namespace, name) = key.split_once('.').ok_or_else(|| ReservationError::Key(key.to_owned()))?;
        let bad = |reason: String| ReservationError::Value { key: key.to_owned(), reason };
        let entry: Entry = crate::decode::from_text(value).map_err(|error| bad(error.to_string()))?;
        let port = |text: &String| {
            let (protocol, port) = text.split_once('/')?;
            Some(ServicePort { protocol: protocol.to_owned(), port: port.parse().ok()? })
        };
        let ports =
            entry.ports.iter().map(|text| port(text).ok_or_else(|| bad(format!("{text:?} is no port"))));
        Ok(Reserved {
            reservation: Reservation {
                service: ServiceKey::new(namespace, name),
                addresses: entry.addresses,
                pool: entry.pool,
                sharing: entry.sharing,
                ports: ports.collect::<Result<_, _>>()?,
            },
            retain: entry.retain.parse()?,
            until: entry
                .until
                .map(|text| text.parse().map_err(|_| bad(format!("{text:?} is no time"))))
                .transpose()?,
        })
    }
}

/// What the ConfigMap says, and what is wrong with the entries that nobody can read.
pub fn read(config_map: &ConfigMap) -> (Vec<Reserved>, Vec<ReservationError>) {
    let (mut reserved, mut errors) = (Vec::new(), Vec::new());
    for (key, value) in config_map.data.iter().flatten() {
        match Reserved::from_entry(key, value) {
            Ok(entry) => reserved.push(entry),
            Err(error) => errors.push(error),
        }
    }
    (reserved, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(retain: &str, sharing: &str) -> Reserved {
        Reserved {
            reservation: Reservation {
                service: ServiceKey::new("default", "web"),
                addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
                pool: "pool".to_owned(),
                sharing: sharing.to_owned(),
                ports: match sharing {
                    "" => vec![],
                    _ => vec![ServicePort { protocol: "TCP".to_owned(), port: 80 }],
                },
            },
            retain: retain.parse().unwrap(),
            until: Some("2026-11-21T10:00:00Z".parse().unwrap()),
        }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        for reserved in [reserved("72h", ""), reserved("forever", "key")] {
            let key = key_of(&reserved.reservation.service);
            assert_eq!(key, "default.web");
            assert_eq!(Reserved::from_entry(&key, &reserved.to_value()), Ok(reserved));
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, reason) in [
            ("soon", r#"annotation ferrolb.io/retain is "soon", which is neither a duration nor "forever""#),
            ("-1h", r#"annotation ferrolb.io/retain is "-1h", which is neither a duration nor "forever""#),
        ] {
            assert_eq!(text.parse::<Retain>().unwrap_err().to_string(), reason);
        }
        let problem = Reserved::from_entry("web", "{}").unwrap_err().to_string();
        assert_eq!(problem, r#"entry "web" of ConfigMap ferrolb-reservations is not called NAMESPACE.NAME"#);
        let problem = Reserved::from_entry("default.web", r#"{"addresses": ["x"]}"#).unwrap_err().to_string();
        assert!(
            problem.starts_with(r#"entry "default.web" of ConfigMap ferrolb-reservations: "#),
            "{problem}"
        );
    }
}
