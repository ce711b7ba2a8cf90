//! On which interfaces an address is answered for.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Each address has them several times, so they are shared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interfaces {
    All,
    /// By name. May be empty, or name what does not exist.
    These(Arc<BTreeSet<String>>),
}

impl Interfaces {
    pub fn these(names: impl IntoIterator<Item = String>) -> Interfaces {
        Interfaces::These(Arc::new(names.into_iter().collect()))
    }

    pub fn contain(&self, name: &str) -> bool {
        match self {
            Interfaces::All => true,
            Interfaces::These(names) => names.contains(name),
        }
    }

    pub fn union(self, other: Interfaces) -> Interfaces {
        match (self, other) {
            (Interfaces::These(mut these), Interfaces::These(those)) => {
                Arc::make_mut(&mut these).extend(those.iter().cloned());
                Interfaces::These(these)
            }
            _ => Interfaces::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn these(names: &[&str]) -> Interfaces {
        Interfaces::these(names.iter().map(|&name| name.to_owned()))
    }

    #[test]
    fn a_union_holds_what_either_holds() {
        for (left, right, union) in [
            (these(&["eth0"]), these(&["eth1"]), these(&["eth0", "eth1"])),
            (these(&[]), these(&["eth1"]), these(&["eth1"])),
            (Interfaces::All, these(&["eth0"]), Interfaces::All),
            (these(&["eth0"]), Interfaces::All, Interfaces::All),
        ] {
            for name in ["eth0", "eth1", "eth2"] {
                assert_eq!(union.contain(name), left.contain(name) || right.contain(name), "{name}");
            }
            assert_eq!(left.union(right), union);
        }
    }
}
