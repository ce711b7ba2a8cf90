//! The one node that answers for the addresses of a Service, by the rules that every speaker follows alike.

use std::net::IpAddr;

use protocol::l2::Interfaces;

use super::cluster::{AdvertisedPool, Advertisement};
use super::{Alive, Announcement, Cluster, HEIRS, Layer2, Name, Nearest, Refusal};
use crate::allocate::declares_sharing;
use crate::elect::{Candidate, standing, succession};
use crate::placement::Spreadable;
use crate::snapshot::{Service, Serving};

/// One Service that has passed what is the same for every node.
pub(super) struct Election<'a> {
    cluster: &'a Cluster,
    pool: &'a AdvertisedPool,
    /// Those of its pool that are for this Service, whichever nodes they are for.
    advertisements: Vec<&'a Advertisement>,
    addresses: &'a [IpAddr],
    /// Its traffic stays on the node it comes to, so only nodes with an endpoint will do.
    local_traffic_only: bool,
    serving: &'a Serving,
    /// Who comes first whatever the others score.
    leaders: &'a [Name],
}

/// By the names of the nodes.
pub(super) type OfNodes = Vec<(Name, Result<Layer2, Refusal>)>;

impl<'a> Election<'a> {
    pub(super) fn of(
        cluster: &'a Cluster,
        service: &Service,
        serving: &'a Serving,
        addresses: &'a [IpAddr],
    ) -> Result<Election<'a>, Refusal> {
        let Some(pool) = cluster.pool_around(addresses) else {
            return Err(Refusal::NotInAnyPool { addresses: addresses.to_vec() });
        };
        if !serving.anywhere {
            return Err(Refusal::NoServingEndpoint);
        }
        let of_pool = cluster.advertisements_of(pool);
        let advertisements: Vec<_> = of_pool.filter(|it| it.matches(&service.labels)).collect();
        // Services that share an address must all be answered for by one node, which selectors could tear apart.
        let selective = advertisements.iter().find(|it| !it.config.service_selectors.is_empty());
        if let Some(selective) = selective.filter(|_| declares_sharing(service)) {
            let advertisement = selective.name.clone();
            return Err(Refusal::SharedAddressWithServiceSelector { advertisement });
        }
        let local_traffic_only = service.local_traffic_only;
        let leaders = cluster.leaders_of(addresses[0]);
        Ok(Election { cluster, pool, advertisements, addresses, local_traffic_only, serving, leaders })
    }

    /// As if nobody came first.
    pub(super) fn without_leaders(self) -> Election<'a> {
        Election { leaders: &[], ..self }
    }

    pub(super) fn on_node(&self, node: &str) -> Announcement {
        let (positions, candidates) = self.candidates();
        let position = self.cluster.position(node);
        let mine = position.and_then(|position| positions.binary_search(&position).ok());
        let standing = standing(self.first_address(), &candidates, HEIRS, mine);
        let first: Vec<Name> = standing.first.iter().map(|&at| self.name(positions[at]).clone()).collect();
        let interfaces = position.filter(|_| mine.is_some()).map(|position| self.interfaces(position));
        let layer2 = match (&interfaces, first.first()) {
            (Some(interfaces), _) if standing.before == 0 => Ok(self.layer2(interfaces)),
            (Some(_), Some(owner)) => {
                Err(Refusal::NotElected { owner: owner.clone(), rank: standing.before })
            }
            _ => Err(match position {
                Some(position) => self.refusal(position),
                None => self.refuse_stranger(node),
            }),
        };
        Announcement { addresses: self.addresses.to_vec(), layer2, first, interfaces }
    }

    /// The first few of the order of succession.
    pub(super) fn first(&self, few: usize) -> Vec<Name> {
        let (positions, candidates) = self.candidates();
        let first = standing(self.first_address(), &candidates, few, None).first;
        first.into_iter().map(|at| self.name(positions[at]).clone()).collect()
    }

    pub(super) fn spreadable(&self) -> Spreadable {
        let (positions, candidates) = self.candidates();
        let best = candidates.iter().map(|candidate| candidate.score).max();
        let among_best = positions.iter().zip(&candidates).filter(|(_, it)| Some(it.score) == best);
        let nodes = among_best.map(|(&position, _)| self.name(position).clone()).collect();
        Spreadable { pool: self.pool.name.clone(), nodes }
    }

    /// The order of succession, and what each node does.
    pub(super) fn everywhere(&self) -> (Vec<Name>, OfNodes) {
        let (positions, candidates) = self.candidates();
        let succession: Vec<usize> =
            succession(self.first_address(), &candidates).into_iter().map(|at| positions[at]).collect();
        let mut ranks = vec![0; self.cluster.participants().len()];
        for (rank, &position) in succession.iter().enumerate() {
            ranks[position] = rank;
        }
        let decide = |position: usize| {
            if !self.is_admitted(position) {
                return Err(self.refusal(position));
            }
            match (succession.first(), ranks[position]) {
                (Some(&owner), rank @ 1..) => {
                    Err(Refusal::NotElected { owner: self.name(owner).clone(), rank })
                }
                _ => Ok(self.layer2(&self.interfaces(position))),
            }
        };
        let layer2 = self.cluster.names().enumerate().map(|(at, name)| (name.clone(), decide(at))).collect();
        let succession = succession.into_iter().map(|position| self.name(position).clone()).collect();
        (succession, layer2)
    }

    /// Everybody who is admitted: positions, ascending, and what is known of each.
    fn candidates(&self) -> (Vec<usize>, Vec<Candidate<'_>>) {
        let all = 0..self.cluster.participants().len();
        let positions: Vec<usize> = all.filter(|&position| self.is_admitted(position)).collect();
        let leaders = self.leaders;
        let candidate = |&position: &usize| {
            let node = self.name(position);
            let at = leaders.iter().position(|leader| leader == node);
            let precedence = at.map_or(0, |at| leaders.len() - at);
            Candidate { node, precedence, score: self.score(position) }
        };
        let candidates = positions.iter().map(candidate).collect();
        (positions, candidates)
    }

    fn score(&self, position: usize) -> i64 {
        self.advertisements.iter().map(|it| it.weight(position)).sum()
    }

    fn is_admitted(&self, position: usize) -> bool {
        let participant = &self.cluster.participants()[position];
        participant.refusal.is_none() && self.is_advertised(position) && self.has_endpoint(&participant.name)
    }

    /// Why a node is no candidate, which it must not be.
    fn refusal(&self, position: usize) -> Refusal {
        let participant = &self.cluster.participants()[position];
        if !self.is_advertised(position) {
            let nearest = self.nearest(|advertisement| advertisement.allows(position));
            return Refusal::NoMatchingAdvertisement { nearest };
        }
        participant.refusal.clone().unwrap_or(Refusal::NoLocalEndpoint)
    }

    fn is_advertised(&self, position: usize) -> bool {
        self.advertisements.iter().any(|advertisement| advertisement.allows(position))
    }

    fn has_endpoint(&self, node: &str) -> bool {
        !self.local_traffic_only || self.serving.nodes.contains_key(node)
    }

    /// A node that nobody knows, and that is not alive.
    fn refuse_stranger(&self, node: &str) -> Refusal {
        let allows = |advertisement: &Advertisement| advertisement.config.nodes.contains(node);
        if !self.advertisements.iter().any(|advertisement| allows(advertisement)) {
            return Refusal::NoMatchingAdvertisement { nearest: self.nearest(allows) };
        }
        match self.cluster.alive() {
            Alive::Everyone => Refusal::UnknownNode,
            Alive::These(_) => Refusal::NotAlive,
        }
    }

    /// What comes closest to an advertisement for this Service and this node.
    fn nearest(&self, allows_node: impl Fn(&Advertisement) -> bool) -> Nearest {
        if let Some(advertisement) = self.advertisements.iter().min_by_key(|it| &it.name) {
            return Nearest::OfOtherNodes { advertisement: advertisement.name.clone() };
        }
        let of_pool = self.cluster.advertisements_of(self.pool);
        match of_pool.min_by_key(|it| (!allows_node(it), &it.name)) {
            Some(advertisement) => Nearest::OfOtherServices { advertisement: advertisement.name.clone() },
            None => Nearest::None { pool: self.pool.name.clone() },
        }
    }

    /// Where a node answers when it is its turn.
    fn interfaces(&self, position: usize) -> Interfaces {
        let here = self.advertisements.iter().filter(|advertisement| advertisement.allows(position));
        here.map(|advertisement| match &advertisement.config.interfaces {
            all if all.is_empty() => Interfaces::All,
            these => Interfaces::these(these.iter().cloned()),
        })
        .reduce(Interfaces::union)
        .unwrap_or(Interfaces::All)
    }

    fn layer2(&self, interfaces: &Interfaces) -> Layer2 {
        Layer2 { addresses: self.addresses.iter().map(|&address| (address, interfaces.clone())).collect() }
    }

    /// The only one that counts, so that all addresses of a Service have one owner.
    fn first_address(&self) -> IpAddr {
        self.addresses[0]
    }

    fn name(&self, position: usize) -> &Name {
        &self.cluster.participants()[position].name
    }
}
