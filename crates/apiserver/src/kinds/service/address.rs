//! Addresses and networks in fields that once accepted more than they should, and what is wrong with them.

use crate::schema::FieldError;
use std::net::{IpAddr, Ipv6Addr};

/// An address as it is read wherever it has been accepted before: numbers may begin with zeros.
pub(crate) fn parse_lenient(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| without_leading_zeros(text).parse().ok())
}

/// Whether a text is an IPv6 address, and not an IPv4 address in IPv6's clothes.
pub(crate) fn is_ipv6(text: &str) -> bool {
    parse_lenient(text).is_some_and(|address| address.to_canonical().is_ipv6())
}

/// What is wrong with an address that the object did not have before.
pub(crate) fn address_errors(field: &str, text: &str, known: &[String]) -> Vec<FieldError> {
    if known.iter().any(|known| known == text) {
        return Vec::new();
    }
    let detail = match (text.parse::<IpAddr>(), parse_lenient(text)) {
        (Ok(IpAddr::V6(address)), _) if address.to_ipv4_mapped().is_some() => {
            "must not be an IPv4-mapped IPv6 address"
        }
        (Ok(_), _) => return Vec::new(),
        (Err(_), Some(_)) => "must not have leading 0s",
        (Err(_), None) => "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
    };
    vec![FieldError::invalid_text(field, text, detail)]
}

/// What is wrong with an address that traffic is to be sent to.
pub(crate) fn special_address_errors(field: &str, text: &str) -> Vec<FieldError> {
    let Some(address) = parse_lenient(text).map(|address| address.to_canonical()) else {
        return vec![FieldError::invalid_text(field, text, "must be a valid IP address")];
    };
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(address) => (address.is_link_local(), matches!(address.octets(), [224, 0, 0, _])),
        IpAddr::V6(address) => (address.is_unicast_link_local(), address.segments()[0] & 0xff0f == 0xff02),
    };
    let unspecified = format!("may not be unspecified ({text})");
    let rules = [
        (address.is_unspecified(), unspecified.as_str()),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ];
    let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
    broken.map(|(_, detail)| FieldError::invalid_text(field, text, detail)).collect()
}

/// What is wrong with a network that the object did not have before.
pub(crate) fn network_errors(field: &str, text: &str, known: &[String]) -> Vec<FieldError> {
    if known.iter().any(|known| known == text) {
        return Vec::new();
    }
    let detail = match parse_network(text) {
        None => "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        Some(network) if network.has_leading_zeros => "must not have leading 0s in IP or prefix length",
        Some(network) if is_mapped(network.address) => "must not have an IPv4-mapped IPv6 address",
        Some(network) if network.has_host_bits() => "must not have bits set beyond the prefix length",
        Some(_) => return Vec::new(),
    };
    vec![FieldError::invalid_text(field, text, detail)]
}

struct ParsedNetwork {
    address: IpAddr,
    prefix: u32,
    has_leading_zeros: bool,
}

impl ParsedNetwork {
    fn has_host_bits(&self) -> bool {
        match self.address {
            IpAddr::V4(address) => u32::from(address).checked_shl(self.prefix).unwrap_or(0) != 0,
            IpAddr::V6(address) => u128::from(address).checked_shl(self.prefix).unwrap_or(0) != 0,
        }
    }
}

fn parse_network(text: &str) -> Option<ParsedNetwork> {
    let (address, prefix) = text.split_once('/')?;
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let parsed = parse_lenient(address)?;
    let bits = if parsed.is_ipv4() { 32 } else { 128 };
    let length = prefix.parse().ok().filter(|length| *length <= bits)?;
    let prefix_has_zeros = prefix.len() > 1 && prefix.starts_with('0');
    let has_leading_zeros = prefix_has_zeros || address.parse::<IpAddr>().is_err();
    Some(ParsedNetwork { address: parsed, prefix: length, has_leading_zeros })
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if Ipv6Addr::to_ipv4_mapped(&address).is_some())
}

/// The dotted part of an address, if there is one, is its end.
fn without_leading_zeros(text: &str) -> String {
    let dotted_at = text.rfind(':').map_or(0, |colon| colon + 1);
    let (head, dotted) = text.split_at(dotted_at);
    if !dotted.contains('.') {
        return text.to_owned();
    }
    let octets = dotted.split('.').map(|octet| match octet.trim_start_matches('0') {
        "" if !octet.is_empty() => "0",
        trimmed => trimmed,
    });
    format!("{head}{}", octets.collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(errors: &[FieldError]) -> String {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn an_address_is_accepted_or_the_rule_is_named() {
        for (text, expected) in [
            ("10.0.0.1", ""),
            ("FD00:0:0::1", ""),
            ("010.0.0.1", r#"f: Invalid value: "010.0.0.1": must not have leading 0s"#),
            (
                "::ffff:1.2.3.4",
                r#"f: Invalid value: "::ffff:1.2.3.4": must not be an IPv4-mapped IPv6 address"#,
            ),
            (
                "10.0.0",
                r#"f: Invalid value: "10.0.0": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
            ),
            ("", r#"f: Invalid value: "": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#),
        ] {
            assert_eq!(details(&address_errors("f", text, &[])), expected);
        }
        assert!(address_errors("f", "010.0.0.1", &["010.0.0.1".to_owned()]).is_empty());
    }

    #[test]
    fn a_network_is_accepted_or_the_rule_is_named() {
        for (text, expected) in [
            ("10.0.0.0/8", ""),
            ("0.0.0.0/0", ""),
            ("fd00::/64", ""),
            ("10.0.0.1/32", ""),
            (
                "10.0.0.1/8",
                r#"f: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length"#,
            ),
            (
                "10.0.0.0/08",
                r#"f: Invalid value: "10.0.0.0/08": must not have leading 0s in IP or prefix length"#,
            ),
            (
                "::ffff:1.2.3.4/128",
                r#"f: Invalid value: "::ffff:1.2.3.4/128": must not have an IPv4-mapped IPv6 address"#,
            ),
            (
                "10.0.0.0",
                r#"f: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"#,
            ),
            (
                "10.0.0.0/33",
                r#"f: Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"#,
            ),
        ] {
            assert_eq!(details(&network_errors("f", text, &[])), expected);
        }
    }
}
