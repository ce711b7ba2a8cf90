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
