//! What whoever starts a server decides about it.

use std::net::{IpAddr, Ipv4Addr};

use crate::auth::Security;
use crate::kinds::service::{Network, Ranges};

/// The default is a server for clients in the same process.
#[derive(Debug)]
pub struct Options {
    /// From where Services get cluster IPs and node ports.
    pub ranges: Ranges,
    pub security: Security,
}

impl Default for Options {
    fn default() -> Options {
        let network = Network::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 0)), 12);
        let ranges = Ranges { networks: network.into_iter().collect(), node_ports: 30_000..=32_767 };
        Options { ranges, security: Security::default() }
    }
}
