//! Where the owners of Services want addresses to be answered for, beyond what follows from the nodes: what they can ask
//! for, and which nodes come first because of it.

mod spread;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::announce::{Leaders, Name};
pub use spread::{Spreadable, bound};

/// What one Service, or one advertisement, asks for. Nothing where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wishes {
    pub keep: Option<Keep>,
    /// The node that is to have it. An advertisement cannot ask for one.
    pub move_to: Option<Name>,
    /// Whether no node is to have many more addresses than others.
    pub balanced: Option<bool>,
}

/// How long an owner keeps an address when a node that comes before it is back. More is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Keep {
    #[default]
    No,
    For(Duration),
    Forever,
}

/// What is asked for an address, which is the first one of some Services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    pub keep: Keep,
    pub move_to: Option<Name>,
    pub balanced: bool,
}

impl Wishes {
    pub fn is_nothing(&self) -> bool {
        *self == Wishes::default()
    }

    /// What a Service says itself counts; of advertisements, the strongest.
    pub fn within<'a>(&self, advertisements: impl Iterator<Item = &'a Wishes>) -> Placement {
        let (mut keep, mut balanced) = (None, false);
        for wishes in advertisements {
            keep = keep.max(wishes.keep);
            balanced |= wishes.balanced.unwrap_or_default();
        }
        Placement {
            keep: self.keep.or(keep).unwrap_or_default(),
            move_to: self.move_to.clone(),
            balanced: self.balanced.unwrap_or(balanced),
        }
    }
}

impl Placement {
    pub fn is_nothing(&self) -> bool {
        *self == Placement::default()
    }

    /// All Services of an address have one owner: the strongest word counts, and of nodes that of the first Service by name.
    pub fn and(self, later: Placement) -> Placement {
        Placement {
            keep: self.keep.max(later.keep),
            move_to: self.move_to.or(later.move_to),
            balanced: self.balanced | later.balanced,
        }
    }

    pub fn keeps(&self) -> bool {
        self.keep != Keep::No
    }
}

/// Who comes first. `spreadable` has those addresses that are balanced; `owner_of` is the owner of record: who had the
/// address last, as everybody knows.
pub fn leaders(
    placements: &BTreeMap<IpAddr, Placement>,
    spreadable: &BTreeMap<IpAddr, Spreadable>,
    owner_of: impl Fn(IpAddr) -> Option<Name>,
) -> Leaders {
    let of_address = |(&address, placement): (&IpAddr, &Placement)| {
        let owner = placement.keeps().then(|| owner_of(address)).flatten();
        let first: Vec<Name> = placement.move_to.iter().cloned().chain(owner).collect();
        (!first.is_empty()).then_some((address, first))
    };
    let mut leaders: Leaders = placements.iter().filter_map(of_address).collect();
    for (address, owners) in spread::spread(spreadable, &leaders) {
        let chosen = placements.get(&address).and_then(|placement| placement.move_to.clone());
        leaders.insert(address, chosen.into_iter().chain(owners).collect());
    }
    leaders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(keep: Option<Keep>) -> Wishes {
        Wishes { keep, ..Wishes::default() }
    }

    const MINUTE: Keep = Keep::For(Duration::from_secs(60));
    const HOUR: Keep = Keep::For(Duration::from_secs(3600));

    #[test]
    fn a_service_has_the_last_word_and_the_strongest_advertisement_the_first() {
        for (own, advertisements, expected) in [
            (None, vec![], Keep::No),
            (None, vec![None, Some(MINUTE), Some(HOUR)], HOUR),
            (None, vec![Some(Keep::Forever), Some(HOUR)], Keep::Forever),
            (Some(Keep::No), vec![Some(Keep::Forever)], Keep::No),
            (Some(MINUTE), vec![Some(Keep::Forever)], MINUTE),
        ] {
            let advertisements: Vec<Wishes> = advertisements.into_iter().map(wishes).collect();
            assert_eq!(
                wishes(own).within(advertisements.iter()).keep,
                expected,
                "{own:?} {advertisements:?}"
            );
        }
    }

    #[test]
    fn who_was_chosen_comes_before_who_had_it() {
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let placement =
            |keep, node: Option<&str>| Placement { keep, move_to: node.map(Into::into), balanced: false };
        let placements = BTreeMap::from([
            (address(1), placement(Keep::Forever, None)),
            (address(2), placement(MINUTE, Some("b"))),
            (address(3), placement(Keep::No, Some("b"))),
            (address(4), placement(Keep::No, None).and(placement(MINUTE, Some("c")))),
            (address(5), placement(Keep::No, Some("b")).and(placement(Keep::No, Some("c")))),
        ]);
        let led = leaders(&placements, &BTreeMap::new(), |_| Some("a".into()));
        let names: Vec<(u8, String)> = led
            .iter()
            .map(|(address, first)| (address.to_string().as_bytes()[8] - b'0', first.join(" ")))
            .collect();
        let expected = [(1, "a"), (2, "b a"), (3, "b"), (4, "c a"), (5, "b")];
        assert_eq!(names, expected.map(|(last, first)| (last, first.to_owned())));
        assert_eq!(leaders(&placements, &BTreeMap::new(), |_| None).len(), 4, "nobody had it yet");
    }
}
