//! Go's duration text (`1m30s`), the form in which the API carries timers.
//!
//! Both directions are Go's, to the letter: users see the error texts, and a value read and written
//! again must come out the way every other client writes it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// A signed span of time in nanoseconds, at most about 292 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// Why a text is not a duration, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    #[error("time: missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    #[error("time: unknown unit {} in duration {}", quote(.unit), quote(.text))]
    UnknownUnit { unit: String, text: String },
}

impl GoDuration {
    pub const ZERO: Self = Self(0);

    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub const fn from_secs(secs: u32) -> Self {
        Self(secs as i64 * SECOND as i64)
    }

    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds, truncated towards zero.
    pub const fn as_secs(self) -> i64 {
        self.0 / SECOND as i64
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let term;
            (term, rest) = parse_term(rest, text)?;
            total = total.checked_add(term).filter(|&sum| sum <= 1 << 63).ok_or_else(invalid)?;
        }
        if negative {
            // The magnitude may be 2^63, which only the negative side can hold.
            return Ok(Self((total as i64).wrapping_neg()));
        }
        i64::try_from(total).map(Self).map_err(|_| invalid())
    }
}

/// One number with its unit from the front of `rest`: its nanoseconds, and what is left.
fn parse_term<'a>(rest: &'a str, text: &str) -> Result<(u64, &'a str), DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (whole, after_whole) = split_digits(rest);
    let (fraction, after_number) = match after_whole.strip_prefix('.') {
        Some(after_point) => split_digits(after_point),
        None => ("", after_whole),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let count = whole_number(whole).ok_or_else(invalid)?;

    let unit_length = after_number
        .bytes()
        .position(|byte| byte == b'.' || byte.is_ascii_digit())
        .unwrap_or(after_number.len());
    let (unit_name, left) = after_number.split_at(unit_length);
    if unit_name.is_empty() {
        return Err(DurationError::MissingUnit(text.to_owned()));
    }
    let unit = unit_nanos(unit_name)
        .ok_or_else(|| DurationError::UnknownUnit { unit: unit_name.to_owned(), text: text.to_owned() })?;

    let nanos = count.checked_mul(unit).filter(|&nanos| nanos <= 1 << 63).ok_or_else(invalid)?;
    let nanos = nanos + fraction_nanos(fraction, unit);
    if nanos > 1 << 63 {
        return Err(invalid());
    }
    Ok((nanos, left))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

fn whole_number(digits: &str) -> Option<u64> {
    if digits.is_empty() {
        return Some(0);
    }
    // Leading zeros are fine, so the text may be longer than any u64; parse() copes.
    digits.parse::<u64>().ok().filter(|&number| number <= 1 << 63)
}

/// Digits that no longer fit are dropped, and the product goes through a float: Go loses the same bits.
fn fraction_nanos(digits: &str, unit: u64) -> u64 {
    let (mut number, mut scale, mut overflow) = (0_u64, 1.0_f64, false);
    for digit in digits.bytes().map(|byte| u64::from(byte - b'0')) {
        if overflow {
            continue;
        }
        if number > ((1 << 63) - 1) / 10 || number * 10 + digit > 1 << 63 {
            overflow = true;
            continue;
        }
        number = number * 10 + digit;
        scale *= 10.0;
    }
    if number == 0 { 0 } else { (number as f64 * (unit as f64 / scale)) as u64 }
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND, // the micro sign and the Greek letter
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// Control characters and everything outside ASCII are quoted byte by byte, as `\x..`.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            ' '..='\x7f' => quoted.push(character),
            _ => {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    quoted.push_str(&format!("\\x{byte:02x}"));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        if nanos == 0 {
            return formatter.pad("0s");
        }
        let text = if nanos < MICROSECOND {
            format!("{sign}{nanos}ns")
        } else if nanos < MILLISECOND {
            format!("{sign}{}\u{b5}s", decimal(nanos, MICROSECOND))
        } else if nanos < SECOND {
            format!("{sign}{}ms", decimal(nanos, MILLISECOND))
        } else {
            let seconds = decimal(nanos % MINUTE, SECOND);
            match (nanos / HOUR, nanos % HOUR / MINUTE) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        };
        formatter.pad(&text)
    }
}

/// `nanos` in `unit`s, with as many decimals as it takes and no trailing zero.
fn decimal(nanos: u64, unit: u64) -> String {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests;
