//! BGP peers, one by one. What two of them may not do together is in `peer_pairs`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use plan::config::{BfdProfile, Peer, PeerEndpoint, PeerExtras, RemoteAsn, TcpAo, Timers};
use plan::range::parse_address;

use super::selectors::{compile_list, duplicate_selectors};
use super::{Findings, Objects, PeerError, Rule, Subject, View, Warning, filled, secrets};
use crate::bgp_extras::{self, KeyReference};
use crate::duration::GoDuration;
use crate::metallb::BGPPeerSpec;

const DEFAULT_PORT: u16 = 179;

pub(super) fn parse(
    objects: &Objects,
    bfd_profiles: &BTreeMap<String, BfdProfile>,
    view: &View,
    findings: &mut Findings,
) -> BTreeMap<String, Peer> {
    let mut peers = BTreeMap::new();
    for resource in &objects.peers {
        let subject = Subject::of("BGPPeer", &resource.metadata);
        let problems_before = findings.problems.len();
        let peer = {
            let annotations = resource.metadata.annotations.as_ref();
            PeerReader { subject: &subject, spec: &resource.spec, annotations, findings }.read(objects, view)
        };
        if let Some(profile) = filled(resource.spec.bfd_profile.as_ref())
            && !bfd_profiles.contains_key(profile)
            && !is_refused_profile(objects, profile)
        {
            let rule = Rule::UnknownBfdProfile { peer: subject.name.clone(), profile: profile.to_owned() };
            findings.refuse(&subject, "spec.bfdProfile", rule);
        }
        let Some(peer) = peer.filter(|_| findings.problems.len() == problems_before) else { continue };
        if peers.contains_key(&peer.name) {
            findings.refuse(&subject, "metadata.name", Rule::DuplicatePeer(peer.name));
            continue;
        }
        peers.insert(peer.name.clone(), peer);
    }
    peers
}

/// A profile that is there but broken was reported as such; that nobody can refer to it is no news.
fn is_refused_profile(objects: &Objects, name: &str) -> bool {
    objects.bfd_profiles.iter().any(|profile| profile.metadata.name.as_deref() == Some(name))
}

struct PeerReader<'a> {
    subject: &'a Subject,
    spec: &'a BGPPeerSpec,
    annotations: Option<&'a BTreeMap<String, String>>,
    findings: &'a mut Findings,
}

impl<'a> PeerReader<'a> {
    /// The checks stand in the order in which their messages take precedence.
    fn read(mut self, objects: &Objects, view: &View) -> Option<Peer> {
        let BGPPeerSpec { my_asn, ebgp_multi_hop, .. } = *self.spec;
        if my_asn == 0 {
            self.refuse("spec.myASN", PeerError::MissingLocalAsn);
        }
        let remote_asn = self.remote_asn();
        if self.spec.peer_asn == Some(my_asn) && my_asn != 0 && ebgp_multi_hop == Some(true) {
            self.refuse("spec.ebgpMultiHop", PeerError::MultiHopIbgp);
        }
        let address_text = self.address_text();
        let timers = self.timers();
        let endpoint = self.endpoint(address_text);
        let router_id =
            self.optional_address(self.spec.router_id.as_ref(), "spec.routerID", PeerError::RouterId);
        if router_id.is_some_and(|id| id.is_ipv6()) {
            let text = self.spec.router_id.clone().unwrap_or_default();
            self.findings.remark(self.subject, "spec.routerID", Warning::Ipv6RouterId(text));
        }
        let source_address = self.optional_address(
            self.spec.source_address.as_ref(),
            "spec.sourceAddress",
            PeerError::SourceAddress,
        );
        let node_selectors = self.node_selectors();
        let password = secrets::password(self.subject, self.spec, objects, view, self.findings);
        let extras = self.extras(objects, view);
        if self.spec.disable_mp == Some(true) {
            self.findings.remark(self.subject, "spec.disableMP", Warning::DisableMp);
        }
        Some(Peer {
            name: self.subject.name.clone(),
            my_asn,
            remote_asn: remote_asn?,
            local_asn: self.spec.local_asn,
            endpoint: endpoint?,
            port: self.spec.peer_port.filter(|&port| port != 0).unwrap_or(DEFAULT_PORT),
            source_address,
            timers,
            connect_time: self.spec.connect_time.map(length),
            router_id,
            node_selectors: node_selectors?,
            password: password?,
            bfd_profile: filled(self.spec.bfd_profile.as_ref()).map(str::to_owned),
            graceful_restart: self.spec.enable_graceful_restart == Some(true),
            ebgp_multi_hop: ebgp_multi_hop == Some(true),
            vrf: self.spec.vrf.clone().unwrap_or_default(),
            dual_stack: self.spec.dual_stack_address_family == Some(true),
            extras,
        })
    }

    fn extras(&mut self, objects: &Objects, view: &View) -> PeerExtras {
        let Some(annotations) = self.annotations else { return PeerExtras::default() };
        let (wanted, errors) = bgp_extras::of_peer(annotations, self.spec);
        for error in errors {
            self.refuse("metadata.annotations", PeerError::Annotation(error));
        }
        let mut extras = wanted.extras;
        if let Some(KeyReference { secret, key_id, algorithm }) = wanted.tcp_ao {
            match secrets::tcp_ao_key(self.subject, &secret, objects, view) {
                Ok(key) => extras.tcp_ao = Some(TcpAo { key, key_id, algorithm }),
                Err(error) => self.refuse("metadata.annotations", PeerError::TcpAoSecret { error }),
            }
        }
        for unknown in bgp_extras::unknown(annotations, &bgp_extras::OF_PEERS) {
            let warning = Warning::UnknownAnnotation(unknown.clone());
            self.findings.remark(self.subject, "metadata.annotations", warning);
        }
        extras
    }

    fn refuse(&mut self, field: impl Into<String>, error: impl Into<PeerError>) {
        let rule = Rule::Peer { peer: self.subject.name.clone(), error: error.into() };
        self.findings.refuse(self.subject, field, rule);
    }

    fn remote_asn(&mut self) -> Option<RemoteAsn> {
        let number = self.spec.peer_asn.filter(|&number| number != 0);
        let dynamic = filled(self.spec.dynamic_asn.as_ref());
        match (number, dynamic) {
            (None, None) => self.refuse("spec.peerASN", PeerError::MissingPeerAsn),
            (Some(_), Some(_)) => self.refuse("spec.dynamicASN", PeerError::BothPeerAsns),
            _ => {}
        }
        match dynamic {
            None => number.map(RemoteAsn::Number),
            Some("internal") => Some(RemoteAsn::Internal),
            Some("external") => Some(RemoteAsn::External),
            Some(other) => {
                self.refuse("spec.dynamicASN", PeerError::DynamicAsn(other.to_owned()));
                None
            }
        }
    }

    /// The address as written, once it is known that there is exactly one way to reach the peer.
    fn address_text(&mut self) -> Option<&'a str> {
        let address = filled(self.spec.peer_address.as_ref());
        match (address, filled(self.spec.interface.as_ref())) {
            (None, None) => self.refuse("spec.peerAddress", PeerError::NoEndpoint),
            (Some(_), Some(_)) => self.refuse("spec.interface", PeerError::BothEndpoints),
            _ => {}
        }
        address
    }

    fn endpoint(&mut self, address_text: Option<&'a str>) -> Option<PeerEndpoint> {
        let Some(text) = address_text else {
            return filled(self.spec.interface.as_ref()).map(|it| PeerEndpoint::Interface(it.to_owned()));
        };
        let address = parse_address(text);
        if address.is_none() {
            self.refuse("spec.peerAddress", PeerError::Address(text.to_owned()));
        }
        address.map(PeerEndpoint::Address)
    }

    fn optional_address(
        &mut self,
        text: Option<&String>,
        field: &str,
        error: fn(String) -> PeerError,
    ) -> Option<IpAddr> {
        let text = filled(text)?;
        let address = parse_address(text);
        if address.is_none() {
            self.refuse(field, error(text.to_owned()));
        }
        address
    }

    /// A missing one of the two follows from the other; both missing is not the same as both zero.
    fn timers(&mut self) -> Option<Timers> {
        let BGPPeerSpec { hold_time, keepalive_time, .. } = *self.spec;
        let nanos = |duration: GoDuration| i128::from(duration.as_nanos());
        let (hold, keepalive) = match (hold_time.map(nanos), keepalive_time.map(nanos)) {
            (None, None) => return None,
            (Some(hold), None) => (hold, hold / 3),
            (None, Some(keepalive)) => (keepalive * 3, keepalive),
            (Some(hold), Some(keepalive)) => (hold, keepalive),
        };
        let text = |nanos: i128| saturated(nanos).to_string();
        const SECOND: i128 = 1_000_000_000;
        if hold < 0 || (SECOND..3 * SECOND).contains(&hold) {
            self.refuse("spec.holdTime", PeerError::HoldTime(text(hold)));
        } else if keepalive < 0 || keepalive > hold {
            let error = PeerError::KeepaliveTime { keepalive: text(keepalive), hold: text(hold) };
            self.refuse("spec.keepaliveTime", error);
        }
        Some(Timers { hold: length(saturated(hold)), keepalive: length(saturated(keepalive)) })
    }

    fn node_selectors(&mut self) -> Option<Vec<plan::Selector>> {
        let selectors = &self.spec.node_selectors;
        for twice in duplicate_selectors("nodeSelectors", selectors) {
            self.refuse("spec.nodeSelectors", twice);
        }
        let peer = self.subject.name.clone();
        compile_list(selectors, "spec.nodeSelectors", |field, error, _| {
            // Comparing peers with each other may have come upon it already.
            if !self.findings.has_problem_at(self.subject, &field) {
                self.refuse(field, PeerError::NodeSelector { peer: peer.clone(), error });
            }
        })
    }
}

fn saturated(nanos: i128) -> GoDuration {
    let bound = if nanos < 0 { i64::MIN } else { i64::MAX };
    GoDuration::from_nanos(i64::try_from(nanos).unwrap_or(bound))
}

/// A negative duration never passes the rules, so nothing is lost by calling it zero.
fn length(duration: GoDuration) -> Duration {
    Duration::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(0))
}
