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
    /// Whether it comes before others whatever they score; more is better. Zero for nearly all.
    pub precedence: usize,
    /// Summed weights of the preferences for this node; more is better.
    pub score: i64,
}

/// How an election ended, as far as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The positions of the first few candidates: who answers, then who takes over, and so on.
    pub first: Vec<usize>,
    /// How many candidates come before the one that was asked about.
    pub before: usize,
}

/// The first `few` of the order, and where candidate `mine` is in it, without sorting the rest.
pub fn standing(address: IpAddr, candidates: &[Candidate<'_>], few: usize, mine: Option<usize>) -> Standing {
    let lots = Lots::of(address);
    let mine = mine.map(|at| place(&lots, &candidates[at]));
    let mut first = Vec::with_capacity(few + 1);
    let mut before = 0;
    for (at, candidate) in candidates.iter().enumerate() {
        let worth = candidate.worth();
        let last = first.last().filter(|_| first.len() >= few);
        let may_be_first = few > 0 && last.is_none_or(|(last, _): &(Place<'_>, usize)| worth <= last.0);
        let may_be_before = mine.is_some_and(|mine| worth <= mine.0);
        if !may_be_first && !may_be_before {
            continue;
        }
        let place = place(&lots, candidate);
        before += usize::from(mine.is_some_and(|mine| place < mine));
        if may_be_first {
            let at_place = first.partition_point(|(other, _)| *other < place);
            first.insert(at_place, (place, at));
            first.truncate(few);
        }
    }
    Standing { first: first.into_iter().map(|(_, at)| at).collect(), before }
}

/// The positions of all candidates, in order.
pub fn succession(address: IpAddr, candidates: &[Candidate<'_>]) -> Vec<usize> {
    let lots = Lots::of(address);
    let mut order: Vec<_> =
        candidates.iter().enumerate().map(|(at, candidate)| (place(&lots, candidate), at)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

/// Which of two speakers keeps an address that both answer for. They got there because they see different things, so
/// nothing that anybody has seen counts: both come to the same answer whatever else they disagree about.
pub fn keeps(address: IpAddr, node: &str, other: &str) -> bool {
    let lots = Lots::of(address);
    (lots.draw(node), node) <= (lots.draw(other), other)
}

/// What counts before the lot. Less comes first.
type Worth = (Reverse<usize>, Reverse<i64>);

/// Where a candidate is in the order.
type Place<'a> = (Worth, Lot, &'a str);

fn place<'a>(lots: &Lots, candidate: &Candidate<'a>) -> Place<'a> {
    (candidate.worth(), lots.draw(candidate.node), candidate.node)
}

impl Candidate<'_> {
    fn worth(&self) -> Worth {
        (Reverse(self.precedence), Reverse(self.score))
    }
}

/// Which comes first among equals, as a number: smaller is better.
pub(crate) fn lot(address: IpAddr, nodes: &[impl AsRef<str>]) -> Vec<u64> {
    let lots = Lots::of(address);
    let number = |lot: Lot| u64::from(lot[0]) << 32 | u64::from(lot[1]);
    nodes.iter().map(|node| number(lots.draw(node.as_ref()))).collect()
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
