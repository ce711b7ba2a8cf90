use plan::range::parse_address;
use proptest::prelude::*;

use crate::parse::addresses::{cidr, prefixes};

fn printed(text: &str) -> Result<String, String> {
    let printed =
        |prefixes: Vec<ipnet::IpNet>| prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    prefixes(text).map(printed).map_err(|error| error.to_string())
}

#[test]
fn an_address_entry_is_a_cidr_or_a_range() {
    for (text, expected) in [
        ("10.20.30.40/24", "10.20.30.0/24"),
        ("1.2.3.4/024", "1.2.3.0/24"),
        ("1.2.3.4/00", "0.0.0.0/0"),
        ("1.2.3.4/32", "1.2.3.4/32"),
        ("fd00::1/64", "fd00::/64"),
        ("FD00:0db8::/127", "fd00:db8::/127"),
        ("::/0", "::/0"),
        ("::ffff:1.2.3.0/120", "1.2.3.0/24"),
        ("40.0.0.150-40.0.0.200", "40.0.0.150/31 40.0.0.152/29 40.0.0.160/27 40.0.0.192/29 40.0.0.200/32"),
        ("1.2.3.4 - 1.2.3.4", "1.2.3.4/32"),
        ("\t1.2.3.4\n-\n1.2.3.5\t", "1.2.3.4/31"),
        ("::ffff:1.2.3.4-1.2.3.5", "1.2.3.4/31"),
        ("fd00::1-fd00::2", "fd00::1/128 fd00::2/128"),
        ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
        ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
    ] {
        assert_eq!(printed(text), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_is_not_an_address_entry_says_why() {
    for (text, expected) in [
        ("", r#"invalid CIDR """#),
        ("1.2.3.4", r#"invalid CIDR "1.2.3.4""#),
        (" 10.0.0.0/8", r#"invalid CIDR " 10.0.0.0/8""#),
        ("10.0.0.0/8 ", r#"invalid CIDR "10.0.0.0/8 ""#),
        ("100.200.300.400/24", r#"invalid CIDR "100.200.300.400/24""#),
        ("01.2.3.4/24", r#"invalid CIDR "01.2.3.4/24""#),
        ("1.2.3.4/33", r#"invalid CIDR "1.2.3.4/33""#),
        ("1.2.3.4/+4", r#"invalid CIDR "1.2.3.4/+4""#),
        ("1.2.3.4/", r#"invalid CIDR "1.2.3.4/""#),
        ("1.2.3.4/99999999999999999999", r#"invalid CIDR "1.2.3.4/99999999999999999999""#),
        ("fd00::/129", r#"invalid CIDR "fd00::/129""#),
        ("fe80::%eth0/64", r#"invalid CIDR "fe80::%eth0/64""#),
        ("-", r#"invalid IP range "-": invalid start IP """#),
        ("x-1.2.3.4", r#"invalid IP range "x-1.2.3.4": invalid start IP "x""#),
        (" x -1.2.3.4", r#"invalid IP range " x -1.2.3.4": invalid start IP " x ""#),
        ("1.2.3.4-1.2.3.400", r#"invalid IP range "1.2.3.4-1.2.3.400": invalid end IP "1.2.3.400""#),
        ("1.2.3.4-5-6", r#"invalid IP range "1.2.3.4-5-6": invalid end IP "5-6""#),
        (
            "1.2.3.9-1.2.3.4",
            r#"invalid IP range "1.2.3.9-1.2.3.4": start IP "1.2.3.9" is after the end IP "1.2.3.4""#,
        ),
        (
            "1.2.3.4-fd00::1",
            r#"invalid IP range "1.2.3.4-fd00::1": start and end IPs must be the same family"#,
        ),
        ("::1-10.9.0.1", r#"invalid IP range "::1-10.9.0.1": start and end IPs must be the same family"#),
    ] {
        assert_eq!(printed(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn an_address_has_no_zone_and_no_leading_zeros() {
    for text in ["fe80::1%eth0", "1.2.3.04", "1.2.3", "", " 1.2.3.4", "::12345"] {
        assert_eq!(parse_address(text), None, "{text}");
    }
    assert_eq!(parse_address("::ffff:1.2.3.4"), parse_address("1.2.3.4"));
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in "[0-9a-f.:/ \\-%]{0,40}|.{0,40}") {
        let _ = prefixes(&text);
        let _ = parse_address(&text);
    }

    #[test]
    fn a_cidr_is_itself_when_printed_and_read_again(bits in any::<u32>(), length in 0u8..=32) {
        let text = format!("{}/{length}", std::net::Ipv4Addr::from(bits));
        let prefix = cidr(&text).unwrap();
        prop_assert_eq!(cidr(&prefix.to_string()), Some(prefix));
        prop_assert_eq!(prefix.prefix_len(), length);
    }
}
