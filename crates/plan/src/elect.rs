//! Who answers for an address: an order of succession that every node computes alike, without talking.
//!
//! Nothing here knows why somebody is a candidate, only what it weighs.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    pub node: &'a str,
    /// Summed weights of the preferences for this node; more is better.
    pub score: i64,
}

/// The position of the one who answers for this address; `None` only if there is no candidate.
pub fn elect(address: IpAddr, candidates: &[Candidate<'_>]) -> Option<usize> {
    let best = candidates.iter().map(|candidate| candidate.score).max()?;
    let lots = Lots::of(address);
    let among_best = (0..candidates.len()).filter(|&at| candidates[at].score == best);
    among_best.min_by_key(|&at| (lots.draw(candidates[at].node), candidates[at].node))
}

/// The positions of all candidates: who answers, then who takes over, and so on.
pub fn succession(address: IpAddr, candidates: &[Candidate<'_>]) -> Vec<usize> {
    let lots = Lots::of(address);
    let drawn =
        |at: usize| (Reverse(candidates[at].score), lots.draw(candidates[at].node), candidates[at].node);
    let mut order: Vec<_> = (0..candidates.len()).map(|at| (drawn(at), at)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

/// How many candidates come before this one.
pub fn rank(address: IpAddr, candidates: &[Candidate<'_>], at: usize) -> usize {
    let lots = Lots::of(address);
    let mine = candidates[at];
    let my_lot = (lots.draw(mine.node), mine.node);
    let is_before = |other: &&Candidate<'_>| {
        other.score > mine.score || other.score == mine.score && (lots.draw(other.node), other.node) < my_lot
    };
    candidates.iter().filter(is_before).count()
}

/// Decides among equal scores: the smallest SHA-256 of `<node>#<address>` wins.
struct Lots {
    suffix: String,
}

impl Lots {
    fn of(address: IpAddr) -> Lots {
        Lots { suffix: format!("#{}", address.to_canonical()) }
    }

    fn draw(&self, node: &str) -> [u8; 32] {
        Sha256::new().chain_update(node).chain_update(&self.suffix).finalize().into()
    }
}
