//! What is to be done so that what runs becomes what is wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Backends, Frontend};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// First, so that an address and port is free for whoever comes after.
    pub(super) end: Vec<Frontend>,
    /// New ones too.
    pub(super) change: Vec<(Frontend, Backends)>,
}

pub(super) fn difference(
    running: &BTreeMap<Frontend, Arc<Backends>>,
    desired: &BTreeMap<Frontend, Backends>,
) -> Difference {
    let end = running.keys().filter(|frontend| !desired.contains_key(frontend)).copied().collect();
    let is_other = |(frontend, backends): &(&Frontend, &Backends)| {
        running.get(frontend).is_none_or(|running| **running != **backends)
    };
    let change = desired.iter().filter(is_other).map(|(frontend, backends)| (*frontend, backends.clone()));
    Difference { end, change: change.collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Protocol;
    use super::*;

    fn some() -> impl Strategy<Value = BTreeMap<Frontend, Backends>> {
        let frontend = (0..3_u8, any::<bool>(), 1..4_u16).prop_map(|(last, is_tcp, port)| Frontend {
            address: [192, 0, 2, last].into(),
            protocol: if is_tcp { Protocol::Tcp } else { Protocol::Udp },
            port,
        });
        let backends =
            (proptest::collection::vec(1..4_u16, 0..3), any::<bool>()).prop_map(|(ports, sticks)| {
                let endpoints = ports.into_iter().map(|port| ([10, 0, 0, 1], port).into()).collect();
                Backends { endpoints, sticks_to_client: sticks }
            });
        proptest::collection::btree_map(frontend, backends, 0..8)
    }

    proptest! {
        #[test]
        fn applied_it_makes_one_the_other_and_touches_nothing_else(before in some(), after in some()) {
            let mut running: BTreeMap<_, _> = before.iter().map(|(key, it)| (*key, Arc::new(it.clone()))).collect();
            let done = difference(&running, &after);
            for frontend in &done.end {
                prop_assert!(running.remove(frontend).is_some());
            }
            for (frontend, backends) in &done.change {
                prop_assert_ne!(before.get(frontend), Some(backends));
                running.insert(*frontend, Arc::new(backends.clone()));
            }
            let now: BTreeMap<_, _> = running.iter().map(|(key, it)| (*key, (**it).clone())).collect();
            prop_assert_eq!(now, after);
            prop_assert_eq!(difference(&running, &running.iter().map(|(key, it)| (*key, (**it).clone())).collect()),
                Difference::default());
        }
    }
}
