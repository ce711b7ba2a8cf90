use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

#[test]
fn the_loopback_interface_is_listed_with_its_address() {
    let mut route = Route::open().unwrap();
    let mut links = BTreeMap::new();
    route
        .list(Listing::Links, &mut |message| {
            let (link, is_there) = Link::read(message).unwrap();
            assert!(is_there);
            links.insert(link.name.clone(), link);
        })
        .unwrap();
    let lo = &links["lo"];
    assert!(lo.has(flags::LOOPBACK) && !lo.is_ethernet && !lo.has_master, "{lo:?}");
    let mut addresses = Vec::new();
    route.list(Listing::Addresses, &mut |message| addresses.extend(Address::read(message))).unwrap();
    let local: IpAddr = "127.0.0.1".parse().unwrap();
    let of_lo = addresses.iter().find(|(it, _)| it.address == local && it.interface == lo.index);
    assert!(of_lo.is_some_and(|(it, is_there)| it.prefix == 8 && it.is_usable && *is_there), "{addresses:?}");
    let mut neighbours = Vec::new();
    route.list(Listing::Neighbours, &mut |message| neighbours.extend(Neighbour::read(message))).unwrap();
}

#[test]
fn what_is_refused_is_an_error() {
    let mut route = Route::open().unwrap();
    let nowhere = Address {
        interface: u32::MAX >> 1,
        address: "192.0.2.7".parse().unwrap(),
        prefix: 32,
        is_usable: true,
        protocol: 4,
    };
    let error = route.order(nowhere.remove()).unwrap_err();
    assert!(error.raw_os_error().is_some(), "{error}");
}

#[test]
fn what_is_written_is_read() {
    for address in ["192.0.2.7", "2001:db8::7"] {
        let written = Address {
            interface: 77,
            address: address.parse().unwrap(),
            prefix: 32,
            is_usable: true,
            protocol: 4,
        };
        let mut request = written.add();
        let message = message::messages(request.bytes(9)).next().unwrap();
        assert_eq!((message.kind, message.sequence), (libc::RTM_NEWADDR, 9));
        assert_eq!(Address::read(&message), Some((written, true)));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 16..32_u16, length in 0..210_u32) {
        let mut bytes = bytes;
        if let Some(start) = bytes.first_chunk_mut::<6>() {
            start[..4].copy_from_slice(&length.to_ne_bytes());
            start[4..].copy_from_slice(&kind.to_ne_bytes());
        }
        let mut count = 0;
        for message in message::messages(&bytes) {
            count += 1;
            let _ = (Link::read(&message), Address::read(&message), Neighbour::read(&message));
            let _ = (message.end().is_some(), message.was_interrupted());
        }
        prop_assert!(count <= bytes.len() / 16);
    }
}
