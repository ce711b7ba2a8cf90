//! A small stand-in for the election: who owns which address, if these are the candidates.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use protocol::member::Name;

use super::random::mix;

/// The owner of each address, by the number of its name.
pub(crate) type Owners = Rc<Vec<Option<u16>>>;

/// So many of each address's order are kept at hand; with thousands of candidates gone, the others are looked at one by one.
const AT_HAND: usize = 12;
const VIEWS_REMEMBERED: usize = 64;

/// Rendezvous hashing: every name has a place in the order of every address, whoever else there is.
#[derive(Debug)]
pub(crate) struct Election {
    names: Vec<Name>,
    numbers: HashMap<Name, u16>,
    first: Vec<Vec<u16>>,
    remembered: HashMap<Vec<u64>, Owners>,
}

impl Election {
    pub(crate) fn new(names: &[Name], addresses: usize) -> Election {
        let numbers = names.iter().zip(0..).map(|(name, number)| (name.clone(), number)).collect();
        let first = (0..addresses).map(|address| first_of(address, names.len())).collect();
        Election { names: names.to_vec(), numbers, first, remembered: HashMap::new() }
    }

    pub(crate) fn name(&self, number: u16) -> &Name {
        &self.names[usize::from(number)]
    }

    pub(crate) fn number(&self, name: &Name) -> u16 {
        self.numbers[name]
    }

    pub(crate) fn knows(&self, name: &Name) -> bool {
        self.numbers.contains_key(name)
    }

    pub(crate) fn owners(&mut self, candidates: &BTreeSet<Name>) -> Owners {
        let mut bits = vec![0_u64; self.names.len().div_ceil(64)];
        for name in candidates {
            let number = usize::from(self.numbers[name]);
            bits[number / 64] |= 1 << (number % 64);
        }
        if let Some(owners) = self.remembered.get(&bits) {
            return Rc::clone(owners);
        }
        let owners =
            Rc::new((0..self.first.len()).map(|address| self.order(address, &bits).next()).collect());
        if self.remembered.len() >= VIEWS_REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(bits, Rc::clone(&owners));
        owners
    }

    /// Who would take over most of what `own` has, the heir of most first.
    pub(crate) fn heirs(&mut self, own: &Name, candidates: &BTreeSet<Name>, number: usize) -> Vec<Name> {
        let mut others = candidates.clone();
        others.remove(own);
        if others.is_empty() {
            return Vec::new();
        }
        let owned = self.owners(candidates);
        let inherited = self.owners(&others);
        let own = self.numbers[own];
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        for (owner, heir) in owned.iter().zip(inherited.iter()) {
            if *owner == Some(own) {
                *counts.entry(heir.expect("there are others")).or_default() += 1;
            }
        }
        let mut heirs: Vec<(u16, usize)> = counts.into_iter().collect();
        heirs.sort_by_key(|(heir, count)| (Reverse(*count), *heir));
        heirs.into_iter().take(number).map(|(heir, _)| self.name(heir).clone()).collect()
    }

    fn order<'a>(&'a self, address: usize, candidates: &'a [u64]) -> impl Iterator<Item = u16> + 'a {
        let is_candidate = |number: &u16| candidates[usize::from(*number) / 64] & (1 << (number % 64)) != 0;
        let at_hand = self.first[address].iter().copied().filter(is_candidate);
        let rest = move || {
            let all = (0..u16::try_from(self.names.len()).expect("few nodes")).filter(is_candidate);
            all.min_by_key(|number| place(address, *number))
        };
        at_hand.chain(std::iter::once_with(rest).flatten())
    }
}

fn first_of(address: usize, nodes: usize) -> Vec<u16> {
    let mut numbers: Vec<u16> = (0..u16::try_from(nodes).expect("few nodes")).collect();
    if numbers.len() > AT_HAND {
        numbers.select_nth_unstable_by_key(AT_HAND, |number| place(address, *number));
        numbers.truncate(AT_HAND);
    }
    numbers.sort_by_key(|number| place(address, *number));
    numbers
}

fn place(address: usize, number: u16) -> u64 {
    mix((address as u64) << 16 | u64::from(number))
}
