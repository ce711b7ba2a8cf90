//! Bytes as text (RFC 4648, section 4), and back as strictly as Go reads it.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            (0..3).fold(0, |bits, index| bits << 8 | usize::from(chunk.get(index).copied().unwrap_or(0)));
        for index in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * index) & 63];
            encoded.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    encoded
}

/// The bytes, or where the text stops being base64. Line ends are passed over.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut digits = text.bytes().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    loop {
        let mut bits = 0_u32;
        let mut count = 0;
        while count < 4 {
            match digits.next() {
                None if count == 0 => return Ok(bytes),
                None => return Err(text.len() - count),
                Some((at, b'=')) => {
                    if count < 2 {
                        return Err(at);
                    }
                    if count == 2 {
                        match digits.next() {
                            Some((_, b'=')) => {}
                            Some((at, _)) => return Err(at),
                            None => return Err(text.len()),
                        }
                    }
                    if let Some((at, _)) = digits.next() {
                        return Err(at);
                    }
                    let [_, first, second, _] = (bits << (6 * (4 - count))).to_be_bytes();
                    bytes.push(first);
                    if count == 3 {
                        bytes.push(second);
                    }
                    return Ok(bytes);
                }
                Some((at, byte)) => {
                    bits = bits << 6 | u32::from(digit_of(byte).ok_or(at)?);
                    count += 1;
                }
            }
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
}

fn digit_of(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..bytes.len() {
            assert_eq!(decode(&encode(&bytes[..length])).as_deref(), Ok(&bytes[..length]));
        }
    }

    #[test]
    fn what_is_no_base64_says_where() {
        for (text, at) in [
            ("a", 0),
            ("YQ", 0),
            ("YQ=", 3),
            ("Y=Q=", 1),
            ("YQ==YQ==", 4),
            ("Y!==", 1),
            ("YWJj*", 4),
            ("YWJjYW", 4),
        ] {
            assert_eq!(decode(text), Err(at), "{text}");
        }
        assert_eq!(decode("YW\nJj\r\n").as_deref(), Ok(&b"abc"[..]));
    }
}
