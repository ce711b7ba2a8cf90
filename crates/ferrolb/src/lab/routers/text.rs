//! Small things that several routers say in the same way.

use serde_json::Value;

/// Names of communities that stand in place of their numbers (RFC 1997 and what came after it), in lower case and without
/// dashes.
const WELL_KNOWN: [(&str, &str); 9] = [
    ("gracefulshutdown", "65535:0"),
    ("gshut", "65535:0"),
    ("acceptown", "65535:1"),
    ("llgrstale", "65535:6"),
    ("nollgr", "65535:7"),
    ("blackhole", "65535:666"),
    ("noexport", "65535:65281"),
    ("noadvertise", "65535:65282"),
    ("localas", "65535:65283"),
];

/// As two numbers, whatever a router calls it.
pub(super) fn community(given: &str) -> String {
    let plain = given.to_lowercase().replace(['-', '_'], "");
    let known = WELL_KNOWN.iter().find(|(name, _)| *name == plain);
    known.map_or_else(|| given.to_owned(), |(_, numbers)| (*numbers).to_owned())
}

pub(super) fn u32_of(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| number.try_into().ok())
}

pub(super) fn parse<T: std::str::FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.parse().ok()
}

/// Elements of a list, or none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_numbers() {
        for (given, expected) in
            [("1:2", "1:2"), ("noExport", "65535:65281"), ("no-export", "65535:65281"), ("gshut", "65535:0")]
        {
            assert_eq!(community(given), expected);
        }
    }
}
