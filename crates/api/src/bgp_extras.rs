//! What BGPAdvertisements and BGPPeers ask for by annotations, beyond what their specs can say. By default: nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plan::config::{PeerExtras, Role, RouteExtras, TcpAoAlgorithm};
use plan::range::parse_address;

use crate::metallb::BGPPeerSpec;

/// On a BGPAdvertisement: the MULTI_EXIT_DISC of its routes.
pub const MED: &str = "ferrolb.io/med";
/// How many more times our AS number is in their path.
pub const PREPEND: &str = "ferrolb.io/prepend";
/// Where packets are to be sent instead of to the node, an address for each family.
pub const NEXT_HOP: &str = "ferrolb.io/next-hop";
/// What each endpoint on the node counts for, in megabits a second.
pub const LINK_BANDWIDTH: &str = "ferrolb.io/link-bandwidth";
/// A node that is drained asks for other paths to be taken, instead of withdrawing at once.
pub const GRACEFUL_SHUTDOWN: &str = "ferrolb.io/graceful-shutdown";

/// On a BGPPeer: our role towards it.
pub const ROLE: &str = "ferrolb.io/role";
/// How many hops away it is at most.
pub const TTL_SECURITY: &str = "ferrolb.io/ttl-security";
/// How many routes it may tell.
pub const MAX_PREFIXES: &str = "ferrolb.io/max-prefixes";
/// The key of TCP-AO: `secret=NAME,id=0-255[,algorithm=…]`.
pub const TCP_AO: &str = "ferrolb.io/tcp-ao";
/// The peer connects, not we.
pub const PASSIVE: &str = "ferrolb.io/passive";
/// Whoever connects from the addresses that begin as its address does, in so many bits, is such a peer.
pub const PREFIX_LENGTH: &str = "ferrolb.io/peer-prefix-length";
/// How packets to it are marked.
pub const DSCP: &str = "ferrolb.io/dscp";

pub const OF_ADVERTISEMENTS: [&str; 5] = [MED, PREPEND, NEXT_HOP, LINK_BANDWIDTH, GRACEFUL_SHUTDOWN];
pub const OF_PEERS: [&str; 7] = [ROLE, TTL_SECURITY, MAX_PREFIXES, TCP_AO, PASSIVE, PREFIX_LENGTH, DSCP];

const PREFIX: &str = "ferrolb.io/";
const PREPENDED_MAX: u8 = 10;
const BANDWIDTH_MAX_MBPS: u32 = 1_000_000;
const DSCP_MAX: u8 = 63;

/// Why an annotation means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    #[error("annotation {annotation} is {text:?}, which is no number from {least} to {most}")]
    Number { annotation: &'static str, text: String, least: u32, most: u32 },
    #[error("annotation {annotation} is {text:?}, which is neither \"true\" nor \"false\"")]
    Flag { annotation: &'static str, text: String },
    #[error("annotation {NEXT_HOP} has {0:?}, which is no address of a host")]
    NextHop(String),
    #[error("annotation {NEXT_HOP} has two addresses of one family: {0:?}")]
    TwoNextHops(String),
    #[error("annotation {ROLE} is {0:?}, which is none of provider, customer, peer, rs-server and rs-client")]
    Role(String),
    #[error("annotation {PREFIX_LENGTH} is for peers with spec.peerAddress")]
    PrefixOfNothing,
    #[error("annotation {ROLE} is for peers of another AS")]
    InternalRole,
    #[error("annotation {TTL_SECURITY} allows one hop, and spec.ebgpMultiHop asks for more")]
    TtlSecurityOfMultiHop,
    #[error(
        "annotation {TCP_AO} is {0:?}, which is not like \"secret=NAME,id=1\" or \"secret=NAME,id=1,algorithm=hmac-sha-1-96\""
    )]
    TcpAo(String),
    #[error("annotation {TCP_AO} has algorithm {0:?}, which is none of hmac-sha-1-96 and aes-128-cmac-96")]
    TcpAoAlgorithm(String),
    #[error("annotation {TCP_AO} and a password exclude each other")]
    TcpAoAndPassword,
}

/// What a peer asks for, before its Secret was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedOfPeer {
    /// Without the key of TCP-AO.
    pub extras: PeerExtras,
    pub tcp_ao: Option<KeyReference>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReference {
    pub secret: String,
    pub key_id: u8,
    pub algorithm: TcpAoAlgorithm,
}

/// An annotation that means nothing asks for nothing, and is told.
pub fn of_advertisement(annotations: &BTreeMap<String, String>) -> (RouteExtras, Vec<AnnotationError>) {
    let mut reader = Reader::of(annotations);
    let (next_hop, next_hop_v6) = reader.next_hops();
    let extras = RouteExtras {
        med: reader.number(MED, 0, u32::MAX),
        prepended: reader.small(PREPEND, 0, PREPENDED_MAX).unwrap_or(0),
        next_hop,
        next_hop_v6,
        link_bandwidth_mbps: reader.number(LINK_BANDWIDTH, 1, BANDWIDTH_MAX_MBPS),
        graceful_shutdown: reader.flag(GRACEFUL_SHUTDOWN).unwrap_or(false),
    };
    (extras, reader.errors)
}

pub fn of_peer(
    annotations: &BTreeMap<String, String>,
    spec: &BGPPeerSpec,
) -> (WantedOfPeer, Vec<AnnotationError>) {
    let mut reader = Reader::of(annotations);
    let extras = PeerExtras {
        role: reader.role(spec),
        ttl_security_hops: reader.ttl_security(spec),
        max_prefixes: reader.number(MAX_PREFIXES, 1, u32::MAX),
        tcp_ao: None,
        is_passive: reader.flag(PASSIVE).unwrap_or(false),
        prefix_length: reader.prefix_length(spec),
        dscp: reader.small(DSCP, 0, DSCP_MAX),
    };
    let tcp_ao = reader.tcp_ao(spec);
    (WantedOfPeer { extras, tcp_ao }, reader.errors)
}

/// Annotations of our own that mean nothing on a kind of which `known` are read.
pub fn unknown<'a>(
    annotations: &'a BTreeMap<String, String>,
    known: &'static [&'static str],
) -> impl Iterator<Item = &'a String> {
    let ours = annotations.keys().filter(|key| key.starts_with(PREFIX));
    ours.filter(|key| !known.contains(&key.as_str()))
}

struct Reader<'a> {
    annotations: &'a BTreeMap<String, String>,
    errors: Vec<AnnotationError>,
}

impl<'a> Reader<'a> {
    fn of(annotations: &'a BTreeMap<String, String>) -> Reader<'a> {
        Reader { annotations, errors: Vec::new() }
    }

    fn text(&self, annotation: &str) -> Option<&'a str> {
        self.annotations.get(annotation).map(String::as_str)
    }

    fn refuse<T>(&mut self, error: AnnotationError) -> Option<T> {
        self.errors.push(error);
        None
    }

    fn number(&mut self, annotation: &'static str, least: u32, most: u32) -> Option<u32> {
        let text = self.text(annotation)?;
        let number = whole_number(text).filter(|number| (least..=most).contains(number));
        number.or_else(|| {
            self.refuse(AnnotationError::Number { annotation, text: text.to_owned(), least, most })
        })
    }

    fn small(&mut self, annotation: &'static str, least: u8, most: u8) -> Option<u8> {
        self.number(annotation, least.into(), most.into()).and_then(|number| number.try_into().ok())
    }

    fn flag(&mut self, annotation: &'static str) -> Option<bool> {
        match self.text(annotation)? {
            "true" => Some(true),
            "false" => Some(false),
            text => self.refuse(AnnotationError::Flag { annotation, text: text.to_owned() }),
        }
    }

    fn next_hops(&mut self) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        let (mut v4, mut v6) = (None, None);
        let Some(text) = self.text(NEXT_HOP) else { return (v4, v6) };
        for one in text.split(',').map(str::trim) {
            let is_second = match parse_address(one).filter(|&address| is_host(address)) {
                Some(IpAddr::V4(address)) => v4.replace(address).is_some(),
                Some(IpAddr::V6(address)) => v6.replace(address).is_some(),
                None => {
                    self.errors.push(AnnotationError::NextHop(one.to_owned()));
                    continue;
                }
            };
            if is_second {
                self.errors.push(AnnotationError::TwoNextHops(text.to_owned()));
            }
        }
        (v4, v6)
    }

    fn role(&mut self, spec: &BGPPeerSpec) -> Option<Role> {
        let role = match self.text(ROLE)? {
            "provider" => Role::Provider,
            "customer" => Role::Customer,
            "peer" => Role::Peer,
            "rs-server" => Role::RouteServer,
            "rs-client" => Role::RouteServerClient,
            other => return self.refuse(AnnotationError::Role(other.to_owned())),
        };
        let is_internal =
            spec.peer_asn == Some(spec.my_asn) || spec.dynamic_asn.as_deref() == Some("internal");
        if is_internal { self.refuse(AnnotationError::InternalRole) } else { Some(role) }
    }

    fn prefix_length(&mut self, spec: &BGPPeerSpec) -> Option<u8> {
        self.text(PREFIX_LENGTH)?;
        match spec.peer_address.as_deref().and_then(parse_address) {
            Some(IpAddr::V4(_)) => self.small(PREFIX_LENGTH, 0, 32),
            Some(IpAddr::V6(_)) => self.small(PREFIX_LENGTH, 0, 128),
            None => self.refuse(AnnotationError::PrefixOfNothing),
        }
    }

    fn ttl_security(&mut self, spec: &BGPPeerSpec) -> Option<u8> {
        let hops = match self.text(TTL_SECURITY)? {
            "true" => 1,
            "false" => return None,
            _ => self.small(TTL_SECURITY, 1, u8::MAX)?,
        };
        if hops == 1 && spec.ebgp_multi_hop == Some(true) {
            return self.refuse(AnnotationError::TtlSecurityOfMultiHop);
        }
        Some(hops)
    }

    fn tcp_ao(&mut self, spec: &BGPPeerSpec) -> Option<KeyReference> {
        let text = self.text(TCP_AO)?;
        let (mut secret, mut key_id, mut algorithm) = (None, None, None);
        for part in text.split(',') {
            let is_wrong = match part.split_once('=') {
                Some(("secret", name)) if !name.is_empty() => secret.replace(name).is_some(),
                Some(("id", id)) => match whole_number(id).and_then(|id| u8::try_from(id).ok()) {
                    Some(id) => key_id.replace(id).is_some(),
                    None => true,
                },
                Some(("algorithm", name)) => algorithm.replace(name).is_some(),
                _ => true,
            };
            if is_wrong {
                return self.refuse(AnnotationError::TcpAo(text.to_owned()));
            }
        }
        let algorithm = match algorithm {
            None | Some("hmac-sha-1-96") => TcpAoAlgorithm::HmacSha1,
            Some("aes-128-cmac-96") => TcpAoAlgorithm::Aes128Cmac,
            Some(other) => return self.refuse(AnnotationError::TcpAoAlgorithm(other.to_owned())),
        };
        let (Some(secret), Some(key_id)) = (secret, key_id) else {
            return self.refuse(AnnotationError::TcpAo(text.to_owned()));
        };
        let is_filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let by_secret = spec.password_secret.as_ref().is_some_and(|secret| is_filled(&secret.name));
        if is_filled(&spec.password) || by_secret {
            return self.refuse(AnnotationError::TcpAoAndPassword);
        }
        Some(KeyReference { secret: secret.to_owned(), key_id, algorithm })
    }
}

/// Without a sign or spaces.
fn whole_number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn is_host(address: IpAddr) -> bool {
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() && !is_broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn said(errors: &[AnnotationError]) -> String {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn an_advertisement_gets_what_it_asks_for() {
        let asked = annotations(&[
            (MED, "4294967295"),
            (PREPEND, "10"),
            (NEXT_HOP, "192.0.2.1, 2001:db8::1"),
            (LINK_BANDWIDTH, "100"),
            (GRACEFUL_SHUTDOWN, "true"),
        ]);
        let expected = RouteExtras {
            med: Some(u32::MAX),
            prepended: 10,
            next_hop: Some([192, 0, 2, 1].into()),
            next_hop_v6: Some("2001:db8::1".parse().unwrap()),
            link_bandwidth_mbps: Some(100),
            graceful_shutdown: true,
        };
        assert_eq!(of_advertisement(&asked), (expected, vec![]));
        assert_eq!(of_advertisement(&annotations(&[(ROLE, "peer")])), Default::default());
    }

    #[test]
    fn what_means_nothing_on_an_advertisement_is_told() {
        for (annotation, text, why) in [
            (MED, "-1", "is \"-1\", which is no number from 0 to 4294967295"),
            (MED, "4294967296", "is \"4294967296\", which is no number from 0 to 4294967295"),
            (MED, "", "is \"\", which is no number from 0 to 4294967295"),
            (PREPEND, "11", "is \"11\", which is no number from 0 to 10"),
            (PREPEND, "+1", "is \"+1\", which is no number from 0 to 10"),
            (LINK_BANDWIDTH, "0", "is \"0\", which is no number from 1 to 1000000"),
            (GRACEFUL_SHUTDOWN, "yes", "is \"yes\", which is neither \"true\" nor \"false\""),
            (NEXT_HOP, "192.0.2.1,", "has \"\", which is no address of a host"),
            (NEXT_HOP, "0.0.0.0", "has \"0.0.0.0\", which is no address of a host"),
            (NEXT_HOP, "ff02::1", "has \"ff02::1\", which is no address of a host"),
            (NEXT_HOP, "192.0.2.1,192.0.2.2", "has two addresses of one family: \"192.0.2.1,192.0.2.2\""),
        ] {
            let (_, errors) = of_advertisement(&annotations(&[(annotation, text)]));
            assert_eq!(said(&errors), format!("annotation {annotation} {why}"));
        }
    }

    #[test]
    fn a_peer_gets_what_it_asks_for() {
        let asked = annotations(&[
            (ROLE, "rs-client"),
            (TTL_SECURITY, "3"),
            (MAX_PREFIXES, "1000"),
            (TCP_AO, "secret=key,id=7,algorithm=aes-128-cmac-96"),
            (PASSIVE, "true"),
            (PREFIX_LENGTH, "24"),
            (DSCP, "48"),
        ]);
        let spec = BGPPeerSpec { peer_address: Some("192.0.2.0".to_owned()), ..BGPPeerSpec::default() };
        let (wanted, errors) = of_peer(&asked, &spec);
        assert_eq!(errors, []);
        let expected = PeerExtras {
            role: Some(Role::RouteServerClient),
            ttl_security_hops: Some(3),
            max_prefixes: Some(1000),
            tcp_ao: None,
            is_passive: true,
            prefix_length: Some(24),
            dscp: Some(48),
        };
        assert_eq!(wanted.extras, expected);
        let key = KeyReference { secret: "key".to_owned(), key_id: 7, algorithm: TcpAoAlgorithm::Aes128Cmac };
        assert_eq!(wanted.tcp_ao, Some(key));
        let hops = |text| of_peer(&annotations(&[(TTL_SECURITY, text)]), &BGPPeerSpec::default());
        assert_eq!(hops("true").0.extras.ttl_security_hops, Some(1));
        assert_eq!(hops("false"), Default::default());
    }

    #[test]
    fn what_means_nothing_on_a_peer_is_told() {
        let spec = BGPPeerSpec {
            my_asn: 64512,
            peer_asn: Some(64512),
            ebgp_multi_hop: Some(true),
            password: Some("x".to_owned()),
            ..BGPPeerSpec::default()
        };
        for (annotation, text, why) in [
            (ROLE, "boss", "is \"boss\", which is none of provider, customer, peer, rs-server and rs-client"),
            (ROLE, "peer", "is for peers of another AS"),
            (TTL_SECURITY, "0", "is \"0\", which is no number from 1 to 255"),
            (TTL_SECURITY, "true", "allows one hop, and spec.ebgpMultiHop asks for more"),
            (MAX_PREFIXES, "0", "is \"0\", which is no number from 1 to 4294967295"),
            (PASSIVE, "1", "is \"1\", which is neither \"true\" nor \"false\""),
            (PREFIX_LENGTH, "24", "is for peers with spec.peerAddress"),
            (DSCP, "64", "is \"64\", which is no number from 0 to 63"),
            (TCP_AO, "secret=key,id=1", "and a password exclude each other"),
            (
                TCP_AO,
                "secret=key,id=1,algorithm=md5",
                "has algorithm \"md5\", which is none of hmac-sha-1-96 and aes-128-cmac-96",
            ),
        ] {
            let (_, errors) = of_peer(&annotations(&[(annotation, text)]), &spec);
            assert_eq!(said(&errors), format!("annotation {annotation} {why}"));
        }
        for text in
            ["", "key", "secret=,id=1", "secret=key", "id=1", "secret=a,secret=b,id=1", "secret=a,id=256"]
        {
            let (_, errors) = of_peer(&annotations(&[(TCP_AO, text)]), &BGPPeerSpec::default());
            assert_eq!(errors, [AnnotationError::TcpAo(text.to_owned())], "{text}");
        }
    }

    #[test]
    fn only_our_own_annotations_can_be_unknown() {
        let annotations = annotations(&[(MED, "1"), (ROLE, "peer"), ("example.com/med", "1")]);
        assert_eq!(unknown(&annotations, &OF_ADVERTISEMENTS).collect::<Vec<_>>(), [ROLE]);
    }
}
