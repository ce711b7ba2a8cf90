//! A neighbour that believes what it is told, and checks that it is told in the right order.

use std::collections::{BTreeMap, BTreeSet};

use protocol::bgp::attribute::{NextHop, Origin, Outgoing};
use protocol::bgp::prefix::Prefix;
use protocol::bgp::update::Form;
use protocol::bgp::{Family, Message, RouteRefresh, frame};

use crate::said::ours;
use crate::{netgauze, rustbgpd};

#[derive(Debug, Default)]
pub(crate) struct Neighbour {
    pub(crate) knows: BTreeMap<Prefix, Outgoing>,
    /// Families of which it was told that this is all.
    pub(crate) ended: BTreeSet<Family>,
    /// What it has not heard again since a refresh has begun.
    stale: BTreeMap<Family, BTreeSet<Prefix>>,
    /// Since anything was changed.
    pub(crate) has_announced: bool,
    /// It has asked for what it knows, and there are no marks to say which message answers that.
    pub(crate) may_hear_twice: bool,
}

impl Neighbour {
    /// All three decoders have to agree on what it hears.
    pub(crate) fn hear(&mut self, bytes: &[u8], form: &Form) {
        assert!(bytes.len() <= form.longest());
        match Message::read(frame(bytes, form.longest()).unwrap().unwrap(), form).unwrap() {
            Message::Update(_) => {}
            Message::RouteRefresh(Some(RouteRefresh::Begin(family))) => {
                assert!(self.ended.contains(&family), "a refresh before the end of the first table");
                let stale = self.knows.keys().filter(|prefix| prefix.family() == family);
                let earlier = self.stale.insert(family, stale.copied().collect());
                assert!(earlier.is_none(), "a refresh within a refresh");
                return;
            }
            Message::RouteRefresh(Some(RouteRefresh::End(family))) => {
                let stale = self.stale.remove(&family).expect("a refresh has begun");
                assert_eq!(stale, BTreeSet::new(), "not all was told again");
                return;
            }
            other => panic!("{other:?}"),
        }
        let said = ours(bytes, form);
        assert_eq!(rustbgpd::update(bytes, form), said);
        assert_eq!(netgauze::update(bytes, form), said);
        for path in said.withdrawn {
            assert!(form.families.contains(&path.prefix.family()));
            self.knows.remove(&path.prefix).expect("only what was told is withdrawn");
            if let Some(stale) = self.stale.get_mut(&path.prefix.family()) {
                stale.remove(&path.prefix);
            }
            assert!(!self.has_announced, "withdrawals come first");
        }
        if let Some((outgoing, paths)) = said.announced {
            self.has_announced = true;
            for path in paths {
                let family = path.prefix.family();
                assert!(form.families.contains(&family));
                let was_stale = self.stale.get_mut(&family).is_some_and(|stale| stale.remove(&path.prefix));
                let known = self.knows.insert(path.prefix, outgoing.clone());
                assert!(
                    was_stale || known.as_ref() != Some(&outgoing) || self.may_hear_twice,
                    "told twice: {path:?}"
                );
            }
        }
        if let Some(family) = said.end_of {
            assert!(form.families.contains(&family) && self.ended.insert(family), "it ends once");
        }
    }
}

/// Attributes with nothing in them.
pub(crate) fn plain(next_hop: NextHop) -> Outgoing {
    Outgoing {
        origin: Origin::Igp,
        as_path: Vec::new(),
        next_hop,
        med: None,
        local_preference: None,
        communities: Vec::new(),
        extended_communities: Vec::new(),
        large_communities: Vec::new(),
        only_to_customer: None,
    }
}
