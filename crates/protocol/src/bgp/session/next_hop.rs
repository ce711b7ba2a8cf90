//! Where this side's routes lead: to the node's own address on the link to the neighbour.

use std::net::IpAddr;

use super::Ends;
use crate::bgp::attribute::NextHop;
use crate::bgp::capability::Family;
use crate::bgp::rib_out::NextHops;
use crate::bgp::update::Form;

pub(super) fn next_hops(ends: &Ends, form: &Form) -> NextHops {
    let addresses = &ends.addresses;
    let ipv4 = addresses.ipv4.map(NextHop::V4);
    let ipv6 = addresses.ipv6.map(|global| NextHop::V6 { global, link_local: None });
    let takes_ipv6 = form.with_ipv6_next_hop.contains(&Family::IPV4_UNICAST);
    match ends.local.ip().to_canonical() {
        IpAddr::V4(local) => NextHops { ipv4: Some(NextHop::V4(local)), ipv6 },
        IpAddr::V6(local) if local.is_unicast_link_local() => {
            let alone = NextHop::V6 { global: local, link_local: None };
            let with_global = addresses.ipv6.map(|global| NextHop::V6 { global, link_local: Some(local) });
            NextHops {
                ipv4: if takes_ipv6 { Some(alone) } else { ipv4 },
                ipv6: Some(with_global.unwrap_or(alone)),
            }
        }
        IpAddr::V6(local) => {
            let local = NextHop::V6 { global: local, link_local: None };
            NextHops { ipv4: ipv4.or_else(|| takes_ipv6.then_some(local)), ipv6: Some(local) }
        }
    }
}

/// What would have to be otherwise for there to be one.
pub(super) fn why_none(family: Family) -> &'static str {
    match family {
        Family::IPV4_UNICAST => {
            "the interface has no IPv4 address, and a next hop of IPv6 (RFC 8950) is not agreed on"
        }
        _ => "the interface has no IPv6 address but a link-local one",
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::super::Addresses;
    use super::*;

    const GLOBAL: &str = "2001:db8::1";
    const LINK_LOCAL: &str = "fe80::1";

    fn v6(global: &str, link_local: Option<&str>) -> Option<NextHop> {
        let parse = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        Some(NextHop::V6 { global: parse(global), link_local: link_local.map(parse) })
    }

    #[test]
    fn a_route_leads_to_the_address_of_its_own_family() {
        let v4 = Some(NextHop::V4("192.0.2.1".parse().unwrap()));
        // Local end; IPv4 and IPv6 address of the interface; RFC 8950; next hops.
        for (local, ipv4, ipv6, takes_ipv6, expected_v4, expected_v6, what) in [
            ("192.0.2.1", None, None, false, v4, None, "IPv4 alone"),
            ("192.0.2.1", Some("192.0.2.9"), Some(GLOBAL), true, v4, v6(GLOBAL, None), "both over IPv4"),
            ("::ffff:192.0.2.1", None, None, false, v4, None, "IPv4 in a socket of IPv6"),
            (GLOBAL, None, Some("2001:db8::9"), false, None, v6(GLOBAL, None), "IPv6 alone"),
            (GLOBAL, Some("192.0.2.1"), None, true, v4, v6(GLOBAL, None), "both over IPv6"),
            (GLOBAL, None, None, true, v6(GLOBAL, None), v6(GLOBAL, None), "RFC 8950 over IPv6"),
            (LINK_LOCAL, None, None, true, v6(LINK_LOCAL, None), v6(LINK_LOCAL, None), "link-local alone"),
            (
                LINK_LOCAL,
                Some("192.0.2.1"),
                Some(GLOBAL),
                true,
                v6(LINK_LOCAL, None),
                v6(GLOBAL, Some(LINK_LOCAL)),
                "link-local and more",
            ),
            (LINK_LOCAL, Some("192.0.2.1"), None, false, v4, v6(LINK_LOCAL, None), "not agreed, but IPv4"),
            (LINK_LOCAL, None, None, false, None, v6(LINK_LOCAL, None), "not agreed"),
        ] {
            let local: IpAddr = local.parse().unwrap();
            let addresses = Addresses {
                ipv4: ipv4.map(|text: &str| text.parse().unwrap()),
                ipv6: ipv6.map(|text: &str| text.parse().unwrap()),
                link_local: None,
            };
            let ends = Ends { local: (local, 179).into(), remote: (local, 179).into(), addresses };
            let with_ipv6_next_hop = takes_ipv6.then_some(Family::IPV4_UNICAST).into_iter().collect();
            let found = next_hops(&ends, &Form { with_ipv6_next_hop, ..Form::default() });
            assert_eq!(found, NextHops { ipv4: expected_v4, ipv6: expected_v6 }, "{what}");
        }
    }
}
