//! Times in `metadata`, as leniently and in the same words as the API server's decoder reads them.
//! Formats of a schema's own fields are stricter; they are in `format`.

use std::fmt::Write;

const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";

/// Why a text is no time; nothing if it is one.
pub(crate) fn error(text: &str) -> Option<String> {
    let problem = Reader { rest: text }.time().err()?;
    let text = quote(text);
    Some(match problem {
        Problem::Unlike { rest, element } => {
            let (layout, rest, element) = (quote(LAYOUT), quote(rest), quote(element));
            format!("parsing time {text} as {layout}: cannot parse {rest} as {element}")
        }
        Problem::OutOfRange(what) => format!("parsing time {text}: {what} out of range"),
        Problem::Extra(rest) => format!("parsing time {text}: extra text: {}", quote(rest)),
    })
}

enum Problem<'a> {
    /// What is left does not begin like this element of the layout.
    Unlike {
        rest: &'a str,
        element: &'static str,
    },
    OutOfRange(&'static str),
    Extra(&'a str),
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn time(&mut self) -> Result<(), Problem<'a>> {
        let year = self.digits(4..=4, "2006")?;
        self.literal("-")?;
        let month = self.digits(2..=2, "01")?;
        within(month, 1..=12, "month")?;
        self.literal("-")?;
        let day = self.digits(2..=2, "02")?;
        self.literal("T")?;
        // One digit will do for the hour, and for nothing else.
        within(self.digits(1..=2, "15")?, 0..=23, "hour")?;
        self.literal(":")?;
        within(self.digits(2..=2, "04")?, 0..=59, "minute")?;
        self.literal(":")?;
        within(self.digits(2..=2, "05")?, 0..=59, "second")?;
        self.fraction();
        self.offset()?;
        if !self.rest.is_empty() {
            return Err(Problem::Extra(self.rest));
        }
        within(day, 1..=days_in(year, month), "day")
    }

    fn digits(
        &mut self,
        width: std::ops::RangeInclusive<usize>,
        element: &'static str,
    ) -> Result<u32, Problem<'a>> {
        let count = self.rest.bytes().take(*width.end()).take_while(u8::is_ascii_digit).count();
        if count < *width.start() {
            return Err(Problem::Unlike { rest: self.rest, element });
        }
        Ok(self.take(count).parse().unwrap_or_default())
    }

    fn literal(&mut self, element: &'static str) -> Result<(), Problem<'a>> {
        match self.rest.strip_prefix(element) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(Problem::Unlike { rest: self.rest, element }),
        }
    }

    fn fraction(&mut self) {
        if let Some(fraction) = self.rest.strip_prefix(['.', ',']) {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                self.rest = &fraction[digits..];
            }
        }
    }

    /// Offsets may be a whole day, and minutes a whole hour.
    fn offset(&mut self) -> Result<(), Problem<'a>> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(());
        }
        let unlike = Problem::Unlike { rest: self.rest, element: "Z07:00" };
        let [sign, h1, h2, b':', m1, m2, ..] = self.rest.as_bytes() else {
            return Err(unlike);
        };
        if ![h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit) {
            return Err(unlike);
        }
        let two = |tens: &u8, ones: &u8| u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
        within(two(h1, h2), 0..=24, "time zone offset hour")?;
        within(two(m1, m2), 0..=60, "time zone offset minute")?;
        if !matches!(sign, b'+' | b'-') {
            return Err(unlike);
        }
        self.take("+00:00".len());
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }
}

fn within<'a>(
    number: u32,
    range: std::ops::RangeInclusive<u32>,
    what: &'static str,
) -> Result<(), Problem<'a>> {
    if range.contains(&number) { Ok(()) } else { Err(Problem::OutOfRange(what)) }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Unlike in other messages, whatever is not plain ASCII is printed byte by byte.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=0x7f => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "\\x{byte:02x}"); // writing to a String cannot fail
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_decoder_of_metadata_reads_them() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T3:04:05Z",
            "2026-01-02T03:04:05,5Z",
            "2026-01-02T03:04:05.1234567891234Z",
            "2026-01-02T03:04:05+24:00",
            "2026-01-02T03:04:05-01:60",
            "2024-02-29T03:04:05Z",
        ] {
            assert_eq!(error(text), None, "{text}");
        }
        for (text, rest, element) in [
            ("", "", "2006"),
            ("é\n\"", r#"\xc3\xa9\x0a\""#, "2006"),
            ("202-01-02T03:04:05Z", "202-01-02T03:04:05Z", "2006"),
            ("2026", "", "-"),
            ("2026-1-02T03:04:05Z", "1-02T03:04:05Z", "01"),
            ("2026-01-2T03:04:05Z", "2T03:04:05Z", "02"),
            ("2026-01-02", "", "T"),
            ("2026-01-02t03:04:05z", "t03:04:05z", "T"),
            ("2026-01-02T003:04:05Z", "3:04:05Z", ":"),
            ("2026-01-02T03:04:5Z", "5Z", "05"),
            ("2026-01-02T03:04:05", "", "Z07:00"),
            ("2026-01-02T03:04:05z", "z", "Z07:00"),
            ("2026-01-02T03:04:05.Z", ".Z", "Z07:00"),
            ("2026-01-02T03:04:05+0100", "+0100", "Z07:00"),
            ("2026-01-02T03:04:05\0", r"\x00", "Z07:00"),
        ] {
            let text_quoted = quote(text);
            let expected = format!(
                "parsing time {text_quoted} as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{rest}\" as \"{element}\""
            );
            assert_eq!(error(text), Some(expected));
        }
        for (text, what) in [
            ("2026-13-02T03:04:05Z", "month out of range"),
            ("2026-00-02T03:04:05Z", "month out of range"),
            ("2026-01-00T03:04:05Z", "day out of range"),
            ("2026-02-29T03:04:05Z", "day out of range"),
            ("2026-01-02T24:00:00Z", "hour out of range"),
            ("2026-01-02T03:60:00Z", "minute out of range"),
            ("2026-01-02T03:04:60Z", "second out of range"),
            ("2026-01-02T03:04:05+25:00", "time zone offset hour out of range"),
            ("2026-01-02T03:04:05Zx", "extra text: \"x\""),
        ] {
            assert_eq!(error(text), Some(format!("parsing time \"{text}\": {what}")));
        }
    }
}
