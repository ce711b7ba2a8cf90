//! Quantities of resources, `100m` and `64Mi`: read, and written the one way in which they are kept.

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// Digits beyond these do not matter: what is so large is cut to the largest number.
const DIGITS_MAX: usize = 28;
const LARGEST: i128 = i64::MAX as i128;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Binary,
    Decimal,
    Exponent,
}

/// A number of billionths and how it was written.
struct Quantity {
    nanos: i128,
    style: Style,
}

/// The same quantity in its canonical form.
pub fn canonical(text: &str) -> Result<String, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let Quantity { nanos, style } = parse(text)?;
    const ONE: i128 = 1_000_000_000;
    if nanos == 0 {
        return Ok("0".to_owned());
    }
    let is_small = nanos.abs() < 1024 * ONE || nanos % ONE != 0;
    if style == Style::Binary && !is_small {
        let mut number = nanos / ONE;
        let mut suffix = 0;
        while number % 1024 == 0 && suffix < BINARY.len() - 1 {
            number /= 1024;
            suffix += 1;
        }
        return Ok(format!("{number}{}", BINARY[suffix]));
    }
    let (mut number, mut power) = (nanos, -9_i32);
    while number % 1000 == 0 && power < 18 {
        number /= 1000;
        power += 3;
    }
    if style == Style::Exponent {
        let exponent = if power == 0 { String::new() } else { format!("e{power}") };
        return Ok(format!("{number}{exponent}"));
    }
    let suffix = DECIMAL.iter().find(|(_, of)| *of == power).map_or("", |(suffix, _)| suffix);
    Ok(format!("{number}{suffix}"))
}

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

fn parse(text: &str) -> Result<Quantity, QuantityError> {
    let (is_negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || whole.is_empty() && fraction.is_empty() {
        return Err(QuantityError::Format);
    }
    if !suffix.bytes().all(|byte| byte.is_ascii_digit() || b"eEinumkKMGTP+-".contains(&byte)) {
        return Err(QuantityError::Format);
    }
    let (style, factor) = suffix_of(suffix)?;
    let nanos = scaled(whole, fraction, factor);
    let nanos = nanos.min(LARGEST * 1_000_000_000);
    Ok(Quantity { nanos: if is_negative { -nanos } else { nanos }, style })
}

/// What a suffix multiplies with: a power of two, or of ten.
#[derive(Clone, Copy)]
enum Factor {
    Two(u32),
    Ten(i32),
}

fn suffix_of(suffix: &str) -> Result<(Style, Factor), QuantityError> {
    if let Some(at) = BINARY.iter().position(|known| *known == suffix).filter(|at| *at > 0) {
        return Ok((Style::Binary, Factor::Two(u32::try_from(at).unwrap_or(0) * 10)));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Ok((Style::Decimal, Factor::Ten(*power)));
    }
    let power = suffix.strip_prefix(['e', 'E']).and_then(|power| power.parse::<i32>().ok());
    power.map(|power| (Style::Exponent, Factor::Ten(power))).ok_or(QuantityError::Suffix)
}

/// The number in billionths; what is less than one of them is rounded up.
fn scaled(whole: &str, fraction: &str, factor: Factor) -> i128 {
    let whole = whole.trim_start_matches('0');
    if whole.len() > DIGITS_MAX {
        return i128::MAX;
    }
    let fraction = fraction.trim_end_matches('0');
    let kept = &fraction[..fraction.len().min(DIGITS_MAX - whole.len().min(DIGITS_MAX))];
    let mut number: i128 = format!("0{whole}{kept}").parse().unwrap_or(i128::MAX);
    let mut is_exact = kept.len() == fraction.len();
    let digits_after = i32::try_from(kept.len()).unwrap_or(0);
    let mut power = 9 - digits_after;
    match factor {
        Factor::Two(bits) => number = number.saturating_mul(1 << bits),
        Factor::Ten(ten) => power = power.saturating_add(ten),
    }
    if number == 0 {
        return 0;
    }
    for _ in 0..power.clamp(0, 64) {
        number = number.saturating_mul(10);
    }
    for _ in 0..power.saturating_neg().clamp(0, 64) {
        is_exact &= number % 10 == 0;
        number /= 10;
    }
    if is_exact { number } else { number.saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_kept_in_one_form() {
        for (text, expected) in [
            ("0", "0"),
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("0.1", "100m"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("10000", "10k"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1Ki", "1Ki"),
            ("1e3", "1e3"),
            ("12e2", "1200"),
            ("1E", "1E"),
            ("-1.5k", "-1500"),
            ("+2", "2"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.0000000001", "1n"),
            ("100n", "100n"),
            ("0.1Ki", "102400m"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "x", "1.2.3", ".", "1 ", "--1"] {
            assert_eq!(canonical(text), Err(QuantityError::Format), "{text}");
        }
        for text in ["1ki", "1KiB", "1mm", "1e", "1kk"] {
            assert!(canonical(text).is_err(), "{text}");
        }
    }
}
