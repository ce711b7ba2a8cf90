//! Two states of the Services of a cluster to what is different, in particular what somebody would lose.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

/// What one Service has, or would have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) service: String,
    /// Empty without an address.
    pub(super) pool: String,
    pub(super) ips: Vec<IpAddr>,
    /// It asks for an address and gets none.
    pub(super) is_refused: bool,
    /// Why it is as it is, where that is worth a word.
    pub(super) message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// By the name of the Service.
    pub(super) changes: Vec<Change>,
    /// How many Services keep what they have.
    pub(super) unchanged: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) service: String,
    pub(super) change: Kind,
    pub(super) now: Held,
    pub(super) then: Held,
    pub(super) message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Held {
    pub(super) pool: String,
    pub(super) ips: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// An address goes, and none comes for it.
    Loses,
    /// An address goes, and another one comes.
    Changes,
    /// An address comes.
    Gets,
    /// It is new, or was touched, and gets nothing.
    Waits,
}

impl Difference {
    /// Whether an address would go that somebody may rely on.
    pub(super) fn has_losses(&self) -> bool {
        self.changes.iter().any(|change| matches!(change.change, Kind::Loses | Kind::Changes))
    }
}

/// `is_touched` says which Services the proposal itself names: that they get nothing is news, that others still get
/// nothing is none.
pub(super) fn difference(
    now: Vec<Holding>,
    then: Vec<Holding>,
    is_touched: impl Fn(&str) -> bool,
) -> Difference {
    let mut pairs: BTreeMap<String, (Option<Holding>, Option<Holding>)> = BTreeMap::new();
    for holding in now {
        let pair = pairs.entry(holding.service.clone()).or_default();
        pair.0 = Some(holding);
    }
    for holding in then {
        let pair = pairs.entry(holding.service.clone()).or_default();
        pair.1 = Some(holding);
    }
    let mut difference = Difference::default();
    for (service, (now, then)) in pairs {
        let is_gone = then.is_none();
        let (now, then) = (now.unwrap_or_default(), then.unwrap_or_default());
        let Some(kind) = kind(&now, &then, is_touched(&service)) else {
            difference.unchanged += usize::from(!now.ips.is_empty());
            continue;
        };
        let message = if is_gone { "the Service is deleted".to_owned() } else { then.message };
        let held = |pool, ips| Held { pool, ips };
        let (now, then) = (held(now.pool, now.ips), held(then.pool, then.ips));
        difference.changes.push(Change { service, change: kind, now, then, message });
    }
    difference
}

/// The same addresses in another order are no change.
fn kind(now: &Holding, then: &Holding, is_touched: bool) -> Option<Kind> {
    let goes = now.ips.iter().any(|ip| !then.ips.contains(ip));
    let comes = then.ips.iter().any(|ip| !now.ips.contains(ip));
    match (goes, comes) {
        (true, true) => Some(Kind::Changes),
        (true, false) => Some(Kind::Loses),
        (false, true) => Some(Kind::Gets),
        (false, false) => (is_touched && then.is_refused).then_some(Kind::Waits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(service: &str, ips: &[&str]) -> Holding {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Holding { service: service.to_owned(), ips, is_refused: false, ..Holding::default() }
    }

    #[test]
    fn what_a_service_has_before_and_after_says_what_becomes_of_it() {
        let (none, one, other) = (&[][..], &["192.0.2.1"][..], &["192.0.2.2"][..]);
        let (both, reversed) = (&["192.0.2.1", "2001:db8::1"][..], &["2001:db8::1", "192.0.2.1"][..]);
        for (case, now, then, expected) in [
            ("nothing", none, none, None),
            ("the same", one, one, None),
            ("the same in another order", both, reversed, None),
            ("a first address", none, one, Some(Kind::Gets)),
            ("a second address", one, both, Some(Kind::Gets)),
            ("the last address", one, none, Some(Kind::Loses)),
            ("one of two", both, one, Some(Kind::Loses)),
            ("another one", one, other, Some(Kind::Changes)),
            ("another one instead of two", both, other, Some(Kind::Changes)),
        ] {
            let found = difference(vec![holding("a", now)], vec![holding("a", then)], |_| false);
            assert_eq!(found.changes.first().map(|change| change.change), expected, "{case}");
            let has_losses = matches!(expected, Some(Kind::Loses | Kind::Changes));
            assert_eq!(found.has_losses(), has_losses, "{case}");
            assert_eq!(found.unchanged, usize::from(expected.is_none() && !now.is_empty()), "{case}");
        }
    }

    #[test]
    fn services_come_and_go_and_are_sorted() {
        let now = vec![holding("gone", &["192.0.2.1"]), holding("never-had-one", &[])];
        let then = vec![holding("new", &["192.0.2.2"]), holding("came", &["192.0.2.1"])];
        let found = difference(now, then, |_| true);
        let short: Vec<(&str, Kind, &str)> =
            found.changes.iter().map(|it| (it.service.as_str(), it.change, it.message.as_str())).collect();
        let expected = [
            ("came", Kind::Gets, ""),
            ("gone", Kind::Loses, "the Service is deleted"),
            ("new", Kind::Gets, ""),
        ];
        assert_eq!(short, expected);
    }

    #[test]
    fn that_a_service_still_gets_nothing_is_news_only_if_it_is_touched() {
        let refused =
            |service: &str| Holding { is_refused: true, message: "why".to_owned(), ..holding(service, &[]) };
        let then = vec![refused("touched"), refused("other")];
        let found = difference(vec![holding("other", &[])], then, |service| service == "touched");
        let short: Vec<_> = found.changes.iter().map(|it| (it.service.as_str(), it.change)).collect();
        assert_eq!(short, [("touched", Kind::Waits)]);
        assert!(!found.has_losses());
    }
}
