//! The string formats that the API server checks; every other name in `format` is ignored, as there.

use super::node::Type;
use super::pattern::Pattern;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// A `format` that has an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    Int32,
    Int64,
    Float,
    Double,
    Text { name: String, kind: TextFormat },
}

/// A `format` of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextFormat {
    BsonObjectId,
    Byte,
    Cidr,
    CreditCard,
    Date,
    DateTime,
    Duration,
    Email,
    HexColor,
    Hostname,
    Ipv4,
    Ipv6,
    Isbn,
    Isbn10,
    Isbn13,
    LongName,
    Mac,
    Password,
    RgbColor,
    ShortName,
    Ssn,
    Uri,
    Uuid,
    Uuid3,
    Uuid4,
    Uuid5,
}

impl Format {
    /// The format by its name, or nothing when the name says nothing about values of these types.
    pub(super) fn of(name: &str, types: &[Type]) -> Option<Self> {
        match types {
            [Type::Integer] => match name {
                "int32" => Some(Self::Int32),
                "int64" => Some(Self::Int64),
                _ => None,
            },
            [Type::Number] => match name {
                "float" => Some(Self::Float),
                "double" => Some(Self::Double),
                _ => None,
            },
            [Type::Object | Type::Array | Type::Boolean] => None,
            _ => TextFormat::of(name).map(|kind| Self::Text { name: name.to_owned(), kind }),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float => "float",
            Self::Double => "double",
            Self::Text { name, .. } => name,
        }
    }

    pub(super) fn text(&self) -> Option<TextFormat> {
        match self {
            Self::Text { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}

impl TextFormat {
    fn of(name: &str) -> Option<Self> {
        Some(match name.replace('-', "").as_str() {
            "bsonobjectid" => Self::BsonObjectId,
            "byte" => Self::Byte,
            "cidr" => Self::Cidr,
            "creditcard" => Self::CreditCard,
            "date" => Self::Date,
            "datetime" => Self::DateTime,
            "duration" => Self::Duration,
            "email" => Self::Email,
            "hexcolor" => Self::HexColor,
            "hostname" => Self::Hostname,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "isbn" => Self::Isbn,
            "isbn10" => Self::Isbn10,
            "isbn13" => Self::Isbn13,
            "k8slongname" => Self::LongName,
            "k8sshortname" => Self::ShortName,
            "mac" => Self::Mac,
            "password" => Self::Password,
            "rgbcolor" => Self::RgbColor,
            "ssn" => Self::Ssn,
            "uri" => Self::Uri,
            "uuid" => Self::Uuid,
            "uuid3" => Self::Uuid3,
            "uuid4" => Self::Uuid4,
            "uuid5" => Self::Uuid5,
            _ => return None,
        })
    }

    pub(super) fn accepts(self, text: &str) -> bool {
        match self {
            Self::BsonObjectId => text.len() == 24 && is_hex(text),
            Self::Byte => matches(&BASE64, text),
            Self::Cidr => is_cidr(text),
            Self::CreditCard => is_credit_card(text),
            Self::Date => is_date(text),
            Self::DateTime => is_date_time(text),
            Self::Duration => parse_duration_nanos(text).is_some(),
            Self::Email => matches(&EMAIL, text),
            Self::HexColor => matches(&HEX_COLOR, text),
            Self::Hostname => is_hostname(text),
            Self::Ipv4 => is_ipv4(text),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Isbn => is_isbn10(text) || is_isbn13(text),
            Self::Isbn10 => is_isbn10(text),
            Self::Isbn13 => is_isbn13(text),
            Self::LongName => text.len() <= 253 && matches(&LONG_NAME, text),
            Self::ShortName => text.len() <= 63 && matches(&SHORT_NAME, text),
            Self::Mac => is_mac(text),
            Self::Password => true,
            Self::RgbColor => matches(&RGB_COLOR, text),
            Self::Ssn => text.len() == 11 && matches(&SSN, text),
            Self::Uri => super::uri::is_request_uri(text),
            Self::Uuid => is_uuid(text, None),
            Self::Uuid3 => is_uuid(text, Some('3')),
            Self::Uuid4 => is_uuid(text, Some('4')),
            Self::Uuid5 => is_uuid(text, Some('5')),
        }
    }
}

type Lazy = LazyLock<Option<Pattern>>;

static BASE64: Lazy = LazyLock::new(|| {
    Pattern::compile("^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$").ok()
});
static EMAIL: Lazy = LazyLock::new(|| {
    let address = r#"[-a-zA-Z0-9!#$%&'*+/=?^_`{|}~.]+@(?:[-a-zA-Z0-9!#$%&'*+/=?^_`{|}~.]+|\[[0-9.]+\])"#;
    Pattern::compile(&format!(r#"^\s*(?:{address}|[^<>@,]*<{address}>)\s*$"#)).ok()
});
static HEX_COLOR: Lazy = LazyLock::new(|| Pattern::compile("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$").ok());
static RGB_COLOR: Lazy = LazyLock::new(|| {
    let byte = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*";
    Pattern::compile(&format!(r"^rgb\({byte},{byte},{byte}\)$")).ok()
});
static SSN: Lazy = LazyLock::new(|| Pattern::compile(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$").ok());
static SHORT_NAME: Lazy = LazyLock::new(|| Pattern::compile("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").ok());
static LONG_NAME: Lazy = LazyLock::new(|| {
    Pattern::compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$").ok()
});
static CREDIT_CARD: Lazy = LazyLock::new(|| {
    let prefixes = [
        "4[0-9]{12}(?:[0-9]{3})?",
        "5[1-5][0-9]{14}",
        "6(?:011|5[0-9][0-9])[0-9]{12}",
        "3[47][0-9]{13}",
        "3(?:0[0-5]|[68][0-9])[0-9]{11}",
        "(?:2131|1800|35[0-9]{3})[0-9]{11}",
    ];
    Pattern::compile(&format!("^(?:{})$", prefixes.join("|"))).ok()
});

fn matches(pattern: &Lazy, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.matches(text))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Dotted quads may have leading zeros; an IPv6 address that ends in one passes too.
fn is_ipv4(text: &str) -> bool {
    text.contains('.') && (parse_quad(text).is_some() || text.parse::<Ipv6Addr>().is_ok())
}

fn parse_quad(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *octet = match part.trim_start_matches('0') {
            "" if !part.is_empty() => 0,
            digits => digits.parse().ok()?,
        };
    }
    parts.next().is_none().then(|| octets.into())
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let max = match (parse_quad(address), address.parse::<Ipv6Addr>()) {
        (Some(_), _) => 32,
        (None, Ok(_)) => 128,
        (None, Err(_)) => return false,
    };
    length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u32>().is_ok_and(|bits| bits <= max)
}

/// 6, 8 or 20 bytes: pairs joined by `:` or `-`, or groups of four digits joined by `.`.
fn is_mac(text: &str) -> bool {
    let (separator, digits) = match text.find([':', '-', '.']) {
        Some(2) if text.as_bytes()[2] != b'.' => (text.as_bytes()[2] as char, 2),
        Some(4) if text.as_bytes()[4] == b'.' => ('.', 4),
        _ => return false,
    };
    let groups: Vec<_> = text.split(separator).collect();
    groups.iter().all(|group| group.len() == digits && is_hex(group))
        && [6, 8, 20].contains(&(groups.len() * digits / 2))
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut digits = String::with_capacity(32);
    for c in text.chars() {
        let may_break = matches!(digits.len(), 8 | 12 | 16 | 20);
        match c {
            _ if c.is_ascii_hexdigit() => digits.push(c),
            '-' if may_break => {}
            _ => return false,
        }
    }
    let variant = digits.chars().nth(16).is_some_and(|c| matches!(c, '8' | '9' | 'a' | 'b' | 'A' | 'B'));
    digits.len() == 32
        && !text.contains("--")
        && version.is_none_or(|version| digits.chars().nth(12) == Some(version))
        && (variant || !matches!(version, Some('4' | '5')))
}

fn is_hostname(text: &str) -> bool {
    let labels: Vec<_> = text.split('.').collect();
    let symbol =
        |c: char| c.is_ascii_alphanumeric() || (!c.is_ascii() && !c.is_whitespace() && !c.is_control());
    let label_is_valid = |label: &&str| {
        let (first, last) = (label.chars().next(), label.chars().next_back());
        first.is_some_and(symbol)
            && last.is_some_and(symbol)
            && label.chars().all(|c| symbol(c) || c == '-')
            && label.len() <= 63
    };
    let top_is_valid =
        |top: &&str| labels.len() == 1 || top.chars().count() >= 2 && top.chars().all(char::is_alphabetic);
    text.len() <= 255 && labels.iter().all(label_is_valid) && labels.last().is_some_and(top_is_valid)
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| -> Option<u32> {
        let part = text.get(range)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let (Some(year), Some(month), Some(day)) = (digits(0..4), digits(5..7), digits(8..10)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last_day = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    (1..=last_day).contains(&day)
}

static TIME: Lazy = LazyLock::new(|| {
    Pattern::compile(r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$").ok()
});

fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else {
        return false;
    };
    is_date(date) && matches(&TIME, time)
}

/// A duration: `1h2m3.5s`, or words after whole numbers, `2 days`.
pub(super) fn parse_duration_nanos(text: &str) -> Option<i64> {
    parse_unit_duration(text).or_else(|| parse_word_duration(text))
}

/// A sign, then decimal numbers with `ns`, `us`, `ms`, `s`, `m` or `h`; a bare `0` needs no unit.
pub(super) fn parse_unit_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { i128::from(whole.parse::<i64>().ok()?) };
        total += whole * scale;
        let mut place = scale;
        for digit in fraction.bytes().take(18) {
            place /= 10;
            total += i128::from(digit - b'0') * place;
        }
        if total > 1 << 63 {
            return None;
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn parse_word_duration(text: &str) -> Option<i64> {
    const UNITS: [(&[&str], i64); 8] = [
        (&["ns", "nano"], 1),
        (&["us", "µs", "micro"], 1_000),
        (&["ms", "milli"], 1_000_000),
        (&["s", "sec"], 1_000_000_000),
        (&["m", "min"], 60_000_000_000),
        (&["h", "hr", "hour"], 3_600_000_000_000),
        (&["d", "day"], 86_400_000_000_000),
        (&["w", "wk", "week"], 604_800_000_000_000),
    ];
    let mut total = None;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = &rest[start..];
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let after = after.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        let word_end = after.find(|c: char| !c.is_ascii_alphabetic() && c != 'µ').unwrap_or(after.len());
        let (word, after) = after.split_at(word_end);
        rest = after;
        if word.is_empty() {
            continue;
        }
        let number: i64 = number.parse().ok()?;
        let word = word.to_lowercase();
        for (names, nanos) in UNITS {
            let long = names.last().is_some_and(|long| word.starts_with(long));
            if long || names.contains(&word.as_str()) {
                total = Some(number.wrapping_mul(nanos).wrapping_add(total.unwrap_or_default()));
            }
        }
    }
    total
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(position, digit)| {
            let value = u32::from(digit - b'0') << (position % 2);
            value / 10 + value % 10
        })
        .sum();
    matches(&CREDIT_CARD, &digits) && sum.is_multiple_of(10)
}

fn is_isbn10(text: &str) -> bool {
    let digits = isbn_digits(text);
    let value = |(position, digit): (usize, &u8)| match digit {
        b'0'..=b'9' => Some(u32::from(digit - b'0')),
        b'X' if position == 9 => Some(10),
        _ => None,
    };
    let values: Option<Vec<u32>> = digits.iter().enumerate().map(value).collect();
    values.is_some_and(|values| {
        values.len() == 10
            && values.iter().zip(1..).map(|(value, weight)| value * weight).sum::<u32>() % 11 == 0
    })
}

fn is_isbn13(text: &str) -> bool {
    let digits = isbn_digits(text);
    let weighted = |(position, digit): (usize, &u8)| u32::from(digit - b'0') * [1, 3][position % 2];
    digits.len() == 13
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().enumerate().map(weighted).sum::<u32>() % 10 == 0
}

fn isbn_digits(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| !matches!(byte, b'-' | b' ' | b'\t' | b'\n' | b'\r' | 0xc)).collect()
}
