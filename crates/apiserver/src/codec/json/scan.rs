//! The bytes of a JSON text, token by token, with the errors of Go's scanner.

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Syntax {
    #[error("unexpected end of JSON input")]
    End,
    #[error("invalid character {} {context}", quoted(*.byte))]
    Unexpected { byte: u8, context: &'static str },
}

/// A position in a text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

const IN_STRING: &str = "in string literal";
const IN_ESCAPE: &str = "in string escape code";
const IN_HEX: &str = "in \\u hexadecimal character escape";

impl<'a> Scanner<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte that is no space, without taking it.
    pub(super) fn peek(&mut self) -> Result<u8, Syntax> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied().ok_or(Syntax::End)
    }

    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    /// The end of the text, if that is where it is.
    pub(super) fn end(&mut self) -> Result<(), Syntax> {
        match self.peek() {
            Err(_) => Ok(()),
            Ok(byte) => Err(Syntax::Unexpected { byte, context: "after top-level value" }),
        }
    }

    /// What was scanned since `start`.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// One of two bytes that may follow here; whether it was the first.
    pub(super) fn either(&mut self, first: u8, second: u8, context: &'static str) -> Result<bool, Syntax> {
        let byte = self.peek()?;
        if byte != first && byte != second {
            return Err(Syntax::Unexpected { byte, context });
        }
        self.at += 1;
        Ok(byte == first)
    }

    pub(super) fn literal(&mut self, literal: &'static str) -> Result<(), Syntax> {
        for (index, expected) in literal.bytes().enumerate() {
            let byte = self.next()?;
            if byte != expected {
                return Err(Syntax::Unexpected { byte, context: literal_context(literal, index) });
            }
        }
        Ok(())
    }

    /// A number, as it is written.
    pub(super) fn number(&mut self) -> Result<&'a str, Syntax> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            byte => return Err(Syntax::Unexpected { byte, context: "in numeric literal" }),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(std::str::from_utf8(self.since(start)).unwrap_or_default())
    }

    fn digit(&mut self, context: &'static str) -> Result<(), Syntax> {
        match self.next()? {
            b'0'..=b'9' => Ok(()),
            byte => Err(Syntax::Unexpected { byte, context }),
        }
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    /// A string whose quotation mark comes next. What is no text in it becomes U+FFFD.
    pub(super) fn string(&mut self) -> Result<String, Syntax> {
        self.at += 1;
        let mut plain = self.at;
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => break,
                b'\\' => {
                    text.extend_from_slice(&self.bytes[plain..self.at - 1]);
                    self.escape(&mut text)?;
                    plain = self.at;
                }
                byte if byte < b' ' => return Err(Syntax::Unexpected { byte, context: IN_STRING }),
                _ => {}
            }
        }
        text.extend_from_slice(&self.bytes[plain..self.at - 1]);
        Ok(String::from_utf8(text).unwrap_or_else(|error| lossy(error.as_bytes())))
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Syntax> {
        let byte = self.next()?;
        text.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let unit = self.hex()?;
                let c = self.character(unit)?;
                text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(Syntax::Unexpected { byte, context: IN_ESCAPE }),
        });
        Ok(())
    }

    /// The character that begins with this unit of UTF-16. A half without its other half is U+FFFD.
    fn character(&mut self, unit: u32) -> Result<char, Syntax> {
        if !(0xd800..0xdc00).contains(&unit) || !self.bytes[self.at..].starts_with(b"\\u") {
            return Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        self.at += 2;
        let low = self.hex()?;
        if (0xdc00..0xe000).contains(&low) {
            let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = before;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, Syntax> {
        let mut number = 0;
        for _ in 0..4 {
            let byte = self.next()?;
            let digit = char::from(byte).to_digit(16);
            number = number << 4 | digit.ok_or(Syntax::Unexpected { byte, context: IN_HEX })?;
        }
        Ok(number)
    }

    fn next(&mut self) -> Result<u8, Syntax> {
        let byte = self.bytes.get(self.at).copied().ok_or(Syntax::End)?;
        self.at += 1;
        Ok(byte)
    }
}

/// Bytes as text, the way Go reads them: each byte that belongs to no character is one U+FFFD.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// A byte in single quotation marks, as Go prints the character of that number.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0x07 => r"'\a'".to_owned(),
        0x08 => r"'\b'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        0x0b => r"'\v'".to_owned(),
        0x0c => r"'\f'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

fn literal_context(literal: &str, index: usize) -> &'static str {
    match (literal, index) {
        ("true", 1) => "in literal true (expecting 'r')",
        ("true", 2) => "in literal true (expecting 'u')",
        ("true", _) => "in literal true (expecting 'e')",
        ("false", 1) => "in literal false (expecting 'a')",
        ("false", 2) => "in literal false (expecting 'l')",
        ("false", 3) => "in literal false (expecting 's')",
        ("false", _) => "in literal false (expecting 'e')",
        ("null", 1) => "in literal null (expecting 'u')",
        _ => "in literal null (expecting 'l')",
    }
}
