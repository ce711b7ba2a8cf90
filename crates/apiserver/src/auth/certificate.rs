//! What a certificate says of its holder. Reads the few fields that are needed and verifies nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::NaiveDateTime;

/// The fields of an X.509 certificate that this server looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    pub common_name: String,
    pub organizations: Vec<String>,
    /// Seconds since 1970.
    pub not_after_secs: i64,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0a];
const SUBJECT_ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];

/// Reads a certificate in DER; `None` if it is not one.
pub fn read(der: &[u8]) -> Option<Fields> {
    let mut outer = Reader(der).inside(SEQUENCE)?;
    let mut body = outer.inside(SEQUENCE)?;
    let (tag, _) = body.next()?;
    if tag == VERSION {
        body.next()?; // the serial number
    }
    body.next()?; // the algorithm of the signature
    body.next()?; // the issuer
    let mut validity = body.inside(SEQUENCE)?;
    validity.next()?; // not before
    let not_after_secs = time(validity.next()?)?;
    let mut fields = Fields { not_after_secs, ..Fields::default() };
    fields.read_subject(body.inside(SEQUENCE)?)?;
    body.next()?; // the public key
    while let Some((tag, content)) = body.next() {
        if tag == EXTENSIONS {
            fields.read_extensions(Reader(content).inside(SEQUENCE)?)?;
        }
    }
    Some(fields)
}

impl Fields {
    fn read_subject(&mut self, mut subject: Reader<'_>) -> Option<()> {
        while !subject.0.is_empty() {
            let mut set = subject.inside(SET)?;
            while !set.0.is_empty() {
                let mut attribute = set.inside(SEQUENCE)?;
                let (_, kind) = attribute.next().filter(|(tag, _)| *tag == OBJECT_IDENTIFIER)?;
                let (_, value) = attribute.next()?;
                let value = std::str::from_utf8(value).ok()?.to_owned();
                if kind == COMMON_NAME {
                    self.common_name = value;
                } else if kind == ORGANIZATION {
                    self.organizations.push(value);
                }
            }
        }
        Some(())
    }

    fn read_extensions(&mut self, mut extensions: Reader<'_>) -> Option<()> {
        while !extensions.0.is_empty() {
            let mut extension = extensions.inside(SEQUENCE)?;
            let (_, kind) = extension.next()?;
            if kind != SUBJECT_ALTERNATIVE_NAMES {
                continue;
            }
            let (mut tag, mut value) = extension.next()?;
            if tag != OCTET_STRING {
                (tag, value) = extension.next()?; // behind whether it is critical
            }
            if tag != OCTET_STRING {
                return None;
            }
            let mut names = Reader(value).inside(SEQUENCE)?;
            while let Some((tag, name)) = names.next() {
                match tag {
                    DNS_NAME => self.dns_names.push(std::str::from_utf8(name).ok()?.to_owned()),
                    IP_ADDRESS => self.addresses.push(address(name)?),
                    _ => {}
                }
            }
        }
        Some(())
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into())
}

/// RFC 5280 4.1.2.5: a year of two digits is from 1950 to 2049.
fn time((tag, content): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let text = match tag {
        GENERALIZED_TIME => text.to_owned(),
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        _ => return None,
    };
    Some(NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%S").ok()?.and_utc().timestamp())
}

/// What is left of DER that is read element by element.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element, which must have this tag.
    fn inside(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| Reader(content))
    }

    /// Tag and content of the next element.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let (digits, after) =
                rest.split_at_checked(usize::from(first & 0x7f)).filter(|(it, _)| it.len() <= 4)?;
            length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            rest = after;
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}
