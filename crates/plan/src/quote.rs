//! Text in the double-quoted form that the messages of this field's tools use (`%q` of Go).

use std::fmt::Write;

/// `text` in double quotes, with everything unprintable escaped.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            _ if is_printable(character) => out.push(character),
            // Writing to a String cannot fail.
            '\0'..='\x7f' => drop(write!(out, "\\x{:02x}", u32::from(character))),
            '\u{80}'..='\u{ffff}' => drop(write!(out, "\\u{:04x}", u32::from(character))),
            _ => drop(write!(out, "\\U{:08x}", u32::from(character))),
        }
    }
    out.push('"');
    out
}

/// A list of texts, each quoted: `["a" "b"]`.
pub fn quoted_list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", quoted.join(" "))
}

fn is_printable(character: char) -> bool {
    // `escape_debug` of a string escapes what is unprintable; a leading letter keeps combining marks as they are.
    let mut probe = String::from("a");
    probe.push(character);
    character == '\'' || probe.escape_debug().nth(1) != Some('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_controls_are_escaped_and_the_rest_is_not() {
        for (text, expected) in [
            ("", r#""""#),
            ("10.0.0.0/24", r#""10.0.0.0/24""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("tab\tnl\nnul\0del\x7f", r#""tab\tnl\nnul\x00del\x7f""#),
            ("größe 東京 ' ", "\"größe 東京 ' \""),
            ("\u{a0}\u{200b}", "\"\\u00a0\\u200b\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(quoted_list(["1.2.3.4", "fd00::1"]), r#"["1.2.3.4" "fd00::1"]"#);
    }
}
