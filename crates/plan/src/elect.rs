//! Who answers for an address: an order of succession that every node computes alike, without talking.
//!
//! Nothing here knows why somebody is a candidate, only what it weighs.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::net::IpAddr;

use sha2::block_api::compress256;
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

/// A hash as its eight words, which compare as its bytes do.
type Lot = [u32; 8];

impl Lots {
    fn of(address: IpAddr) -> Lots {
        Lots { suffix: format!("#{}", address.to_canonical()) }
    }

    fn draw(&self, node: &str) -> Lot {
        let (node, suffix) = (node.as_bytes(), self.suffix.as_bytes());
        match one_block(node, suffix) {
            Some(block) => {
                let mut state = INITIAL;
                compress256(&mut state, &[block]);
                state
            }
            None => {
                let hash: [u8; 32] = Sha256::new().chain_update(node).chain_update(suffix).finalize().into();
                std::array::from_fn(|at| {
                    u32::from_be_bytes([hash[4 * at], hash[4 * at + 1], hash[4 * at + 2], hash[4 * at + 3]])
                })
            }
        }
    }
}

/// What SHA-256 starts from (FIPS 180-4, 5.3.3).
const INITIAL: Lot =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A message that fits into one block, padded (FIPS 180-4, 5.1.1). Nearly all do, and a million of them are
/// hashed when a node comes or goes, so they go past the machinery for longer ones.
fn one_block(node: &[u8], suffix: &[u8]) -> Option<[u8; 64]> {
    const LENGTH_AT: usize = 56;
    let length = node.len() + suffix.len();
    if length >= LENGTH_AT {
        return None;
    }
    let mut block = [0; 64];
    block[..node.len()].copy_from_slice(node);
    block[node.len()..length].copy_from_slice(suffix);
    block[length] = 0x80;
    block[LENGTH_AT..].copy_from_slice(&(8 * length as u64).to_be_bytes());
    Some(block)
}
