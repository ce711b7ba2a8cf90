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

/// Who is a candidate, by the numbers of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct View(Vec<u64>);

impl View {
    pub(crate) fn has(&self, number: u16) -> bool {
        self.0.get(usize::from(number) / 64).is_some_and(|bits| bits >> (number % 64) & 1 == 1)
    }

    fn with(mut self, number: u16, is_in: bool) -> View {
        let (place, bit) = (usize::from(number) / 64, 1 << (number % 64));
        if self.0.len() <= place {
            self.0.resize(place + 1, 0);
        }
        self.0[place] = if is_in { self.0[place] | bit } else { self.0[place] & !bit };
        self
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = u16> {
        (0..u16::try_from(self.0.len() * 64).expect("few nodes")).filter(|number| self.has(*number))
    }

    pub(crate) fn without(&self, other: &View) -> impl Iterator<Item = u16> {
        self.numbers().filter(|number| !other.has(*number))
    }
}

/// Rendezvous hashing: every name has a place in the order of every address, whoever else there is.
#[derive(Debug)]
pub(crate) struct Election {
    names: Vec<Name>,
    first: Vec<Vec<u16>>,
    remembered: HashMap<View, Owners>,
}

impl Election {
    pub(crate) fn new(names: &[Name], addresses: usize) -> Election {
        let first = (0..addresses).map(|address| first_of(address, names.len())).collect();
        Election { names: names.to_vec(), first, remembered: HashMap::new() }
    }

    /// `None` for a name that nobody has.
    pub(crate) fn number(&self, name: &Name) -> Option<u16> {
        let number: u16 = name.strip_prefix("node-")?.parse().ok()?;
        (self.names.get(usize::from(number))? == name).then_some(number)
    }

    /// Or the name that nobody has.
    pub(crate) fn view(&self, candidates: &BTreeSet<Name>) -> Result<View, Name> {
        candidates.iter().try_fold(View::default(), |view, name| match self.number(name) {
            Some(number) => Ok(view.with(number, true)),
            None => Err(name.clone()),
        })
    }

    pub(crate) fn owners(&mut self, view: &View) -> Owners {
        if let Some(owners) = self.remembered.get(view) {
            return Rc::clone(owners);
        }
        let owners: Owners =
            Rc::new((0..self.first.len()).map(|address| self.owner(address, view)).collect());
        if self.remembered.len() >= VIEWS_REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(view.clone(), Rc::clone(&owners));
        owners
    }

    /// Who would take over most of what `own` has, the heir of most first.
    pub(crate) fn heirs(&self, own: u16, owners: &Owners, view: &View, number: usize) -> Vec<Name> {
        let others = view.clone().with(own, false);
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        for address in (0..owners.len()).filter(|address| owners[*address] == Some(own)) {
            if let Some(heir) = self.owner(address, &others) {
                *counts.entry(heir).or_default() += 1;
            }
        }
        let mut heirs: Vec<(u16, usize)> = counts.into_iter().collect();
        heirs.sort_by_key(|(heir, count)| (Reverse(*count), *heir));
        heirs.into_iter().take(number).map(|(heir, _)| self.names[usize::from(heir)].clone()).collect()
    }

    fn owner(&self, address: usize, view: &View) -> Option<u16> {
        let at_hand = self.first[address].iter().copied().find(|number| view.has(*number));
        at_hand.or_else(|| view.numbers().min_by_key(|number| place(address, *number)))
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
