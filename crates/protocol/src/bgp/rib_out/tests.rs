use super::super::attribute::NextHop;
use super::super::update::Form;
use super::super::{Message, frame};
use super::*;

pub(super) fn speaking(is_external: bool) -> Speaking {
    Speaking {
        form: Form { is_external, has_four_octets: true, families: FAMILIES.into(), ..Form::default() },
        local_as: 64512,
        next_hops: NextHops {
            ipv4: Some(NextHop::V4([192, 0, 2, 1].into())),
            ipv6: Some(NextHop::V6 { global: "2001:db8::1".parse().unwrap(), link_local: None }),
        },
        role: None,
        has_enhanced_refresh: false,
    }
}

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
}

fn routes(all: &[(&str, u32)]) -> Arc<Routes> {
    let route =
        |(text, med): &(&str, u32)| (prefix(text), Arc::new(Policy { med: Some(*med), ..Policy::default() }));
    Arc::new(Routes::new(all.iter().map(route).collect()))
}

/// Each message as a line.
fn said(rib: &mut RibOut) -> Vec<String> {
    let form = rib.speaking.form.clone();
    std::iter::from_fn(|| rib.poll()).map(|bytes| line(&bytes, &form)).collect()
}

fn line(bytes: &[u8], form: &Form) -> String {
    let list = |paths: &super::super::prefix::Paths<'_>| {
        paths.iter().map(|path| path.prefix.to_string()).collect::<Vec<_>>().join(" ")
    };
    let of = |family: Family| if family == Family::IPV4_UNICAST { "ipv4" } else { "ipv6" };
    match Message::read(frame(bytes, form.longest()).unwrap().unwrap(), form).unwrap() {
        Message::RouteRefresh(Some(RouteRefresh::Begin(family))) => format!("begin {}", of(family)),
        Message::RouteRefresh(Some(RouteRefresh::End(family))) => format!("end {}", of(family)),
        Message::Update(update) => {
            assert_eq!(update.flaws, []);
            if let Some(family) = update.end_of {
                return format!("end of {}", of(family));
            }
            let gone = update.withdrawn.iter().map(|(_, paths)| format!("-{}", list(paths)));
            let come = update
                .announced
                .iter()
                .map(|it| format!("+{} {}", list(&it.paths), update.attributes.med.unwrap_or_default()));
            gone.chain(come).collect::<Vec<_>>().join(" ")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_first_table_ends_for_each_family_also_if_it_is_empty() {
    let mut rib = RibOut::new(speaking(true));
    assert!(rib.is_idle() && rib.poll().is_none());
    rib.want(routes(&[("192.0.2.8/32", 1), ("192.0.2.9/32", 1)]));
    assert!(!rib.is_idle());
    assert_eq!(said(&mut rib), ["+192.0.2.8/32 192.0.2.9/32 1", "end of ipv4", "end of ipv6"]);
    assert!(rib.is_idle());
    rib.want(routes(&[("192.0.2.8/32", 1), ("2001:db8::9/128", 1)]));
    assert_eq!(said(&mut rib), ["-192.0.2.9/32", "+2001:db8::9/128 1"]);
}

#[test]
fn what_is_undone_before_it_is_told_is_not_told() {
    let mut rib = RibOut::new(speaking(true));
    rib.want(routes(&[("192.0.2.8/32", 1)]));
    said(&mut rib);
    rib.want(routes(&[("192.0.2.8/32", 2), ("192.0.2.9/32", 2)]));
    rib.want(routes(&[("192.0.2.8/32", 1)]));
    assert!(rib.is_idle());
    rib.want(Arc::default());
    rib.want(routes(&[("192.0.2.8/32", 1)]));
    assert_eq!(said(&mut rib), [""; 0]);
}

#[test]
fn a_refresh_tells_all_of_a_family_once_more() {
    let with_marks = Speaking { has_enhanced_refresh: true, ..speaking(true) };
    let mut rib = RibOut::new(with_marks);
    rib.want(routes(&[("192.0.2.8/32", 1), ("192.0.2.9/32", 2), ("2001:db8::9/128", 1)]));
    let first = rib.poll().map(|bytes| line(&bytes, &rib.speaking.form));
    assert_eq!(first.as_deref(), Some("+192.0.2.8/32 1"));
    // Not before the end of what is being told (RFC 7313, 4), and two at once are one.
    rib.refresh(Family::IPV4_UNICAST);
    rib.refresh(Family::IPV4_UNICAST);
    let again = ["begin ipv4", "+192.0.2.8/32 1", "+192.0.2.9/32 2", "end ipv4"];
    let rest =
        [&["+192.0.2.9/32 2", "end of ipv4"][..], &again, &["+2001:db8::9/128 1", "end of ipv6"]].concat();
    assert_eq!(said(&mut rib), rest);
    assert_eq!(rib.told_count(Family::IPV4_UNICAST), 2);

    rib.refresh(Family::IPV4_UNICAST);
    assert_eq!(rib.poll().map(|bytes| line(&bytes, &rib.speaking.form)).as_deref(), Some("begin ipv4"));
    // What changes and changes back meanwhile is told all the same, and one that comes meanwhile asks for another time.
    rib.want(routes(&[("192.0.2.8/32", 3), ("2001:db8::9/128", 1)]));
    rib.want(routes(&[("192.0.2.8/32", 1), ("192.0.2.9/32", 2), ("2001:db8::9/128", 1)]));
    rib.refresh(Family::IPV4_UNICAST);
    assert_eq!(said(&mut rib), [&again[1..], &again[..]].concat());
    assert!(rib.is_idle());
}

#[test]
fn a_refresh_without_marks_is_only_the_routes() {
    let mut rib = RibOut::new(speaking(true));
    rib.want(routes(&[("192.0.2.8/32", 1)]));
    said(&mut rib);
    for family in FAMILIES {
        rib.refresh(family);
    }
    rib.refresh(Family { afi: 25, safi: 70 });
    assert_eq!(said(&mut rib), ["+192.0.2.8/32 1"]);
}

#[test]
fn what_cannot_be_told_waits_and_says_why() {
    let nowhere = Speaking { next_hops: NextHops::default(), ..speaking(true) };
    let next_hops = speaking(true).next_hops;
    let mut rib = RibOut::new(nowhere);
    let long = Arc::new(Policy { communities: (0..1100).collect(), ..Policy::default() });
    let mut all: Vec<_> = routes(&[("192.0.2.8/32", 1), ("2001:db8::9/128", 1)]).iter().cloned().collect();
    all.push((prefix("192.0.2.9/32"), long));
    rib.want(Arc::new(Routes::new(all)));
    let why = |rib: &RibOut| {
        rib.held_back()
            .map(|(family, why, count)| format!("{} {count}: {why}", family.afi))
            .collect::<Vec<_>>()
    };
    let no_next_hop = "there is no next hop for this family";
    assert_eq!(why(&rib), [format!("1 2: {no_next_hop}"), format!("2 1: {no_next_hop}")]);
    assert_eq!(said(&mut rib), ["end of ipv4", "end of ipv6"]);
    rib.set_next_hops(NextHops { ipv6: None, ..next_hops });
    let too_long = "1 1: its communities do not fit into one message".to_owned();
    assert_eq!(why(&rib), [too_long.clone(), format!("2 1: {no_next_hop}")]);
    assert_eq!(said(&mut rib), ["+192.0.2.8/32 1"]);
    rib.set_next_hops(next_hops);
    assert_eq!(said(&mut rib), ["+2001:db8::9/128 1"]);
    rib.set_next_hops(NextHops { ipv4: None, ..next_hops });
    assert_eq!(said(&mut rib), ["-192.0.2.8/32"]);
    rib.want(Arc::default());
    assert_eq!((why(&rib), said(&mut rib)), (vec![], vec!["-2001:db8::9/128".to_owned()]));
}

#[test]
fn what_makes_no_difference_to_this_neighbour_is_not_told() {
    let with = |policy: Policy| Arc::new(Routes::new(vec![(prefix("192.0.2.8/32"), Arc::new(policy))]));
    let preferred = |value| with(Policy { local_preference: value, ..Policy::default() });
    for (is_external, count) in [(true, 0), (false, 1)] {
        let mut rib = RibOut::new(speaking(is_external));
        rib.want(preferred(None));
        said(&mut rib);
        // Another value of the same, and one that only internal neighbours hear.
        rib.want(preferred(None));
        rib.want(preferred(Some(100)));
        assert_eq!(said(&mut rib).len(), 0);
        rib.want(preferred(Some(200)));
        assert_eq!(said(&mut rib).len(), count, "{is_external}");
    }
}
