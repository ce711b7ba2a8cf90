//! Ethernet: the addresses of its stations and the header of its frames.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    pub const BROADCAST: MacAddress = MacAddress([0xff; 6]);
    pub const ZERO: MacAddress = MacAddress([0; 6]);

    /// Broadcast is one of them.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether a single station can have it.
    pub fn is_station(self) -> bool {
        !self.is_group() && self != MacAddress::ZERO
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
