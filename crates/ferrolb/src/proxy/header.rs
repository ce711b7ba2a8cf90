//! Who the client of a connection is, as the PROXY protocol, version 2, tells it to the server before anything else.

use std::net::{IpAddr, SocketAddr};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, for a connection of somebody else.
const PROXIED: u8 = 0x21;
const TCP_OVER_V4: u8 = 0x11;
const TCP_OVER_V6: u8 = 0x21;

/// Of a connection that came from `client` to `frontend`.
pub(super) fn header(client: SocketAddr, frontend: SocketAddr) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(36);
    let family = match (client.ip(), frontend.ip()) {
        (IpAddr::V4(client), IpAddr::V4(frontend)) => {
            addresses.extend(client.octets());
            addresses.extend(frontend.octets());
            TCP_OVER_V4
        }
        (client, frontend) => {
            addresses.extend(as_v6(client));
            addresses.extend(as_v6(frontend));
            TCP_OVER_V6
        }
    };
    addresses.extend(client.port().to_be_bytes());
    addresses.extend(frontend.port().to_be_bytes());
    let mut header = Vec::with_capacity(16 + addresses.len());
    header.extend(SIGNATURE);
    header.extend([PROXIED, family, 0, addresses.len() as u8]);
    header.extend(addresses);
    header
}

fn as_v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_specified() {
        let before = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
        let v6 = |first: u8, last: u8| [0xfd, first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        for (client, frontend, expected) in [
            (
                "192.0.2.1:4660",
                "198.51.100.7:80",
                [&[0x21, 0x11, 0, 12][..], &[192, 0, 2, 1, 198, 51, 100, 7], &[0x12, 0x34, 0, 80]].concat(),
            ),
            (
                "[fd01::2]:4660",
                "[fd03::4]:443",
                [&[0x21, 0x21, 0, 36][..], &v6(1, 2), &v6(3, 4), &[0x12, 0x34, 1, 0xbb]].concat(),
            ),
        ] {
            let header = header(client.parse().unwrap(), frontend.parse().unwrap());
            assert_eq!(header, [&before[..], &expected].concat(), "{client}");
        }
    }
}
