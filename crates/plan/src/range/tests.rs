use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_range_becomes_the_fewest_aligned_prefixes() {
    for (start, end, expected) in [
        (
            "40.0.0.150",
            "40.0.0.200",
            &["40.0.0.150/31", "40.0.0.152/29", "40.0.0.160/27", "40.0.0.192/29", "40.0.0.200/32"][..],
        ),
        ("1.2.3.4", "1.2.3.4", &["1.2.3.4/32"]),
        ("0.0.0.0", "255.255.255.255", &["0.0.0.0/0"]),
        ("0.0.0.1", "0.0.0.3", &["0.0.0.1/32", "0.0.0.2/31"]),
        ("255.255.255.254", "255.255.255.255", &["255.255.255.254/31"]),
        ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["::/0"]),
        ("::", "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["::/1"]),
        ("fd00::ffff", "fd00::1:1", &["fd00::ffff/128", "fd00::1:0/127"]),
        ("1.2.3.5", "1.2.3.4", &[]),
        ("1.2.3.4", "fd00::", &[]),
        ("::1", "10.9.0.1", &[]),
    ] {
        assert_eq!(prefixes_between(ip(start), ip(end)), nets(expected), "{start}-{end}");
    }
}

#[test]
fn capacity_counts_usable_addresses_and_saturates() {
    const MAX: i64 = i64::MAX;
    for (prefixes, avoid, (total, v4, v6)) in [
        (&["1.2.3.0/24"][..], false, (256, 256, 0)),
        (&["1.2.3.0/24", "2.3.4.128/25"], false, (384, 384, 0)),
        (&["1.2.3.0/24", "2.3.4.128/25"], true, (381, 381, 0)),
        (&["1.2.3.0/24", "2.3.4.128/25", "1000::/64"], true, (MAX, 381, MAX)),
        (&["1.2.3.0/31", "1000::/127"], true, (3, 1, 2)),
        (&["1.2.3.0/32"], true, (0, 0, 0)),
        (&["1.2.3.255/32"], true, (0, 0, 0)),
        (&["0.0.0.0/32"], true, (0, 0, 0)),
        (&["1.2.3.64/26"], true, (64, 64, 0)),
        (&["1.2.0.0/23"], true, (508, 508, 0)),
        (&["0.0.0.0/0"], false, (1 << 32, 1 << 32, 0)),
        (&["0.0.0.0/0"], true, (254 << 24, 254 << 24, 0)),
        (&["fd00::/67"], false, (1 << 61, 0, 1 << 61)),
        (&["fd00::/66"], false, (MAX, 0, MAX)),
        (&["fd00::/67", "fd01::/67", "fd02::/67", "fd03::/67"], false, (MAX, 0, MAX)),
        (&["fd00::/64", "fd01::/64", "1.2.3.0/31"], false, (MAX, 2, MAX)),
        (&["::/0", "::/0"], false, (MAX, 0, MAX)),
        (&[], false, (0, 0, 0)),
    ] {
        let capacity = Capacity::of(&nets(prefixes), avoid);
        assert_eq!(capacity, Capacity { total, v4, v6 }, "{prefixes:?} avoiding buggy: {avoid}");
    }
}

#[test]
fn the_whole_address_space_is_numbered_without_overflow() {
    let v6 = AddressSpace::new(&nets(&["::/0"]), IpFamily::V6, true);
    assert_eq!(v6.last_ordinal(), Some(u128::MAX));
    let last = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    assert_eq!((v6.address(u128::MAX), v6.ordinal(last)), (Some(last), Some(u128::MAX)));

    let v4 = AddressSpace::new(&nets(&["0.0.0.0/0"]), IpFamily::V4, false);
    assert_eq!(v4.last_ordinal(), Some(u128::from(u32::MAX)));
    assert_eq!(v4.address(1 << 32), None);
    let avoiding = AddressSpace::new(&nets(&["0.0.0.0/0"]), IpFamily::V4, true);
    assert_eq!(avoiding.address(avoiding.last_ordinal().unwrap()), Some(ip("255.255.255.254")));
}

#[test]
fn numbers_follow_the_order_of_the_pool_and_skip_what_is_not_usable() {
    let prefixes =
        nets(&["10.0.1.254/31", "fd00::/127", "10.0.0.0/23", "10.0.1.0/24", "9.0.0.0/32", "9.1.0.0/31"]);
    let space = AddressSpace::new(&prefixes, IpFamily::V4, true);
    // The first is inside 10.0.0.0/23, which therefore takes the lead.
    for (ordinal, address) in [
        (0, Some("10.0.0.1")),
        (253, Some("10.0.0.254")),
        (254, Some("10.0.1.1")),
        (507, Some("10.0.1.254")),
        (508, Some("9.1.0.1")),
        (509, None),
    ] {
        assert_eq!(space.address(ordinal), address.map(ip), "{ordinal}");
        if let Some(address) = address {
            assert_eq!(space.ordinal(ip(address)), Some(ordinal), "{address}");
        }
    }
    for outside in
        ["10.0.0.0", "10.0.0.255", "10.0.1.0", "9.0.0.0", "9.1.0.0", "8.0.0.1", "11.0.0.1", "fd00::"]
    {
        assert!(!space.contains(ip(outside)), "{outside}");
    }
    assert_eq!(AddressSpace::new(&prefixes, IpFamily::V6, true).last_ordinal(), Some(1));
    assert_eq!(AddressSpace::new(&[], IpFamily::V6, true).last_ordinal(), None);
}

proptest! {
    #[test]
    fn prefixes_cover_their_range_without_gap_or_overlap(a: u128, b: u128, bits in 0_u32..128) {
        let (a, b) = (a >> bits, b >> bits);
        let (low, high) = (a.min(b), a.max(b));
        let prefixes = prefixes_between(address(low, IpFamily::V6), address(high, IpFamily::V6));
        let mut next = Some(low);
        for prefix in &prefixes {
            prop_assert_eq!(Some(number(prefix.network())), next);
            prop_assert_eq!(prefix.network(), prefix.addr());
            next = number(prefix.broadcast()).checked_add(1);
        }
        prop_assert_eq!(next, high.checked_add(1));
        prop_assert_eq!(IpNet::aggregate(&prefixes).len(), prefixes.len(), "no two of them could be one");
    }

    #[test]
    fn every_usable_address_has_its_own_number(
        starts in proptest::collection::vec((0_u32..2048, 20_u8..=32), 0..6),
        avoid: bool,
    ) {
        let prefixes: Vec<IpNet> = starts.iter()
            .map(|&(start, length)| IpNet::new(Ipv4Addr::from_bits(start).into(), length).unwrap().trunc())
            .collect();
        let space = AddressSpace::new(&prefixes, IpFamily::V4, avoid);
        let mut seen = 0;
        for candidate in (0..4096_u32 + 2048).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))) {
            let usable = prefixes.iter().any(|prefix| prefix.contains(&candidate))
                && !(avoid && is_buggy(number(candidate)));
            prop_assert_eq!(space.contains(candidate), usable, "{}", candidate);
            if let Some(ordinal) = space.ordinal(candidate) {
                prop_assert_eq!(space.address(ordinal), Some(candidate));
                seen += 1;
            }
        }
        prop_assert_eq!(space.last_ordinal().map_or(0, |last| last + 1), seen);
    }
}
