//! What neighbours are to be told: prefixes, and what is said of each, whichever session it goes over.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::prefix::Prefix;

/// What is said of a prefix besides what follows from the session: path, next hop and origin.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Policy {
    /// Told to internal peers only, who are told 100 if there is none.
    pub local_preference: Option<u32>,
    /// Ascending, as the other communities.
    pub communities: Vec<u32>,
    pub large_communities: Vec<[u32; 3]>,
    pub extended_communities: Vec<[u8; 8]>,
    pub med: Option<u32>,
    /// How many more times than once this side's AS number is in the path that external peers are told.
    pub prepended: u8,
    /// In place of this node's own addresses.
    pub next_hop: Option<Ipv4Addr>,
    pub next_hop_v6: Option<Ipv6Addr>,
}

/// All that a neighbour is to be told. Prefixes with equal policies mostly share one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Ascending by prefix, each once.
    routes: Vec<(Prefix, Arc<Policy>)>,
}

impl Routes {
    /// Of a prefix that comes twice the last one counts.
    pub fn new(mut routes: Vec<(Prefix, Arc<Policy>)>) -> Routes {
        routes.sort_by_key(|(prefix, _)| *prefix);
        routes.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        Routes { routes }
    }

    pub fn get(&self, prefix: Prefix) -> Option<&Arc<Policy>> {
        let at = self.routes.binary_search_by_key(&prefix, |(prefix, _)| *prefix).ok()?;
        Some(&self.routes[at].1)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Prefix, Arc<Policy>)> {
        self.routes.iter()
    }

    pub fn len(&self) -> usize {
        self.routes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_counts() {
        let prefix = |last| Prefix::new([192, 0, 2, last].into(), 32).unwrap();
        let policy = |med| Arc::new(Policy { med: Some(med), ..Policy::default() });
        let routes =
            Routes::new(vec![(prefix(2), policy(1)), (prefix(1), policy(2)), (prefix(2), policy(3))]);
        let found: Vec<_> = routes.iter().map(|(prefix, policy)| (prefix.to_string(), policy.med)).collect();
        assert_eq!(found, [("192.0.2.1/32".to_owned(), Some(2)), ("192.0.2.2/32".to_owned(), Some(3))]);
        assert_eq!(routes.get(prefix(2)).and_then(|policy| policy.med), Some(3));
        assert!(routes.get(prefix(3)).is_none());
    }
}
