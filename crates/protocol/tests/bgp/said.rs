//! What an UPDATE says, whoever has read it.

use protocol::bgp::attribute::{Outgoing, SegmentKind};
use protocol::bgp::prefix::Path;
use protocol::bgp::update::{Form, Update};
use protocol::bgp::{Family, Message, frame};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) withdrawn: Vec<Path>,
    pub(crate) announced: Option<(Outgoing, Vec<Path>)>,
    pub(crate) end_of: Option<Family>,
}

/// As this crate reads it.
pub(crate) fn ours(bytes: &[u8], form: &Form) -> Said {
    match Message::read(frame(bytes, form.longest()).unwrap().unwrap(), form).unwrap() {
        Message::Update(update) => of(&update),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn of(update: &Update<'_>) -> Said {
    assert_eq!((update.flaws.as_slice(), update.disabled), (&[][..], None));
    assert!(update.announced.len() <= 1);
    let attributes = &update.attributes;
    let announced = update.announced.first().map(|announced| {
        let segments = attributes.as_path.as_deref().unwrap_or_default();
        assert!(segments.iter().all(|segment| segment.kind == SegmentKind::Sequence));
        let outgoing = Outgoing {
            origin: attributes.origin.unwrap(),
            as_path: segments.iter().flat_map(|segment| segment.numbers.clone()).collect(),
            next_hop: announced.next_hop,
            med: attributes.med,
            local_preference: attributes.local_preference,
            communities: attributes.communities.clone(),
            extended_communities: attributes.extended_communities.clone(),
            large_communities: attributes.large_communities.clone(),
            only_to_customer: attributes.only_to_customer,
        };
        (outgoing, announced.paths.iter().collect())
    });
    let withdrawn = update.withdrawn.iter().flat_map(|(_, paths)| paths.iter()).collect();
    Said { withdrawn, announced, end_of: update.end_of }
}

/// A path of two-octet numbers and, if it needs one, that of four octets beside it (RFC 6793, 4.2.3).
pub(crate) fn merged(path: Vec<u32>, wide: Option<Vec<u32>>) -> Vec<u32> {
    match wide {
        Some(wide) => {
            assert_eq!(wide.len(), path.len());
            wide
        }
        None => path,
    }
}
