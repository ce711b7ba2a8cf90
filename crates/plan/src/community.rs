//! BGP communities as people write them: `A:B`, or `large:A:B:C`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::quote::quoted;

/// A standard (RFC 1997) or a large (RFC 8092) community.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Community {
    Legacy(u16, u16),
    Large(u32, u32, u32),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommunityError {
    /// Also what an alias that nobody has defined looks like.
    #[error("invalid community format: {0}")]
    Format(String),
    #[error(
        "invalid community value: invalid marker for large community, expected community to be of format \
         large:<uint32>:<uint32>:<uint32> but got {} instead", quoted(.0)
    )]
    Marker(String),
    #[error("invalid community value: invalid section {} of community {}, err: {}",
        quoted(.section), quoted(.community), quoted(.reason))]
    Section { section: String, community: String, reason: String },
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Community, CommunityError> {
        match text.split(':').collect::<Vec<_>>()[..] {
            [high, low] => Ok(Community::Legacy(section(high, text)?, section(low, text)?)),
            ["large", global, first, second] => {
                Ok(Community::Large(section(global, text)?, section(first, text)?, section(second, text)?))
            }
            [_, _, _, _] => Err(CommunityError::Marker(text.to_owned())),
            _ => Err(CommunityError::Format(text.to_owned())),
        }
    }
}

/// One decimal number of a community. Signs, spaces and hexadecimal are refused.
fn section<N: FromStr>(text: &str, community: &str) -> Result<N, CommunityError> {
    let problem = if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        "invalid syntax"
    } else {
        match text.parse() {
            Ok(number) => return Ok(number),
            Err(_) => "value out of range",
        }
    };
    Err(CommunityError::Section {
        section: text.to_owned(),
        community: community.to_owned(),
        reason: format!("strconv.ParseUint: parsing {}: {problem}", quoted(text)),
    })
}

/// As routers print it: a large community has no marker here.
impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Community::Legacy(high, low) => write!(f, "{high}:{low}"),
            Community::Large(global, first, second) => write!(f, "{global}:{first}:{second}"),
        }
    }
}

impl Community {
    /// A legacy community sorts among the large ones by its 32 bits.
    fn sort_key(&self) -> (u32, u32, u32) {
        match *self {
            Community::Legacy(high, low) => (u32::from(high) << 16 | u32::from(low), 0, 0),
            Community::Large(global, first, second) => (global, first, second),
        }
    }
}

impl Ord for Community {
    fn cmp(&self, other: &Community) -> Ordering {
        let is_large = |community: &Community| matches!(community, Community::Large(..));
        self.sort_key().cmp(&other.sort_key()).then_with(|| is_large(self).cmp(&is_large(other)))
    }
}

impl PartialOrd for Community {
    fn partial_cmp(&self, other: &Community) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_printed() {
        for (text, printed) in
            [("0:0", "0:0"), ("65535:65535", "65535:65535"), ("large:1:2:4294967295", "1:2:4294967295")]
        {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        for (text, error) in [
            ("1234", "invalid community format: 1234"),
            ("", "invalid community format: "),
            ("1:2:3", "invalid community format: 1:2:3"),
            ("1:2:3:4:5", "invalid community format: 1:2:3:4:5"),
            (
                "99999999:1",
                r#"invalid community value: invalid section "99999999" of community "99999999:1", err: "strconv.ParseUint: parsing \"99999999\": value out of range""#,
            ),
            (
                "11111:11aaaa",
                r#"invalid community value: invalid section "11aaaa" of community "11111:11aaaa", err: "strconv.ParseUint: parsing \"11aaaa\": invalid syntax""#,
            ),
            (
                "+1:2",
                r#"invalid community value: invalid section "+1" of community "+1:2", err: "strconv.ParseUint: parsing \"+1\": invalid syntax""#,
            ),
            (
                ":",
                r#"invalid community value: invalid section "" of community ":", err: "strconv.ParseUint: parsing \"\": invalid syntax""#,
            ),
            (
                "larg:12345:12345:12345",
                r#"invalid community value: invalid marker for large community, expected community to be of format large:<uint32>:<uint32>:<uint32> but got "larg:12345:12345:12345" instead"#,
            ),
        ] {
            assert_eq!(text.parse::<Community>().unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn legacy_communities_sort_among_the_large_ones_by_their_32_bits() {
        let community = |text: &str| text.parse::<Community>().unwrap();
        assert!(community("0:1234") < community("0:2345"));
        assert!(community("large:1234:0:0") < community("large:1234:0:1"));
        assert!(community("large:1235:0:0") > community("large:1234:1:0"));
        assert!(community("0:1234") > community("large:123:456:789"));
    }
}
