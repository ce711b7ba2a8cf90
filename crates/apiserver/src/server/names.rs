//! Names and numbers that nobody chose.

/// Characters of generated names: no vowels, so no words, and nothing that looks like something else.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// With the suffix, a label's 63.
const PREFIX_BYTES: usize = 58;

fn random_bytes<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness names may repeat, and then creating is refused as any name that is taken.
        bytes.fill(0);
    }
    bytes
}

/// A version 4 UUID (RFC 9562, 5.4).
pub(super) fn uid() -> String {
    let mut bytes: [u8; 16] = random_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A name that begins as `generateName` says.
pub(super) fn generated(prefix: &str) -> String {
    let mut end = prefix.len().min(PREFIX_BYTES);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let suffix =
        random_bytes::<SUFFIX_LENGTH>().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    prefix[..end].chars().chain(suffix).collect()
}
