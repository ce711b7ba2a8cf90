//! The kinds of the API group `frrk8s.metallb.io`.

mod bgpsessionstate;
mod evpn;
mod frrconfiguration;
mod frrk8sconfiguration;
mod frrnodestate;
mod neighbor;

pub use bgpsessionstate::{BGPSessionState, BGPSessionStateSpec, BGPSessionStateStatus};
pub use evpn::{AdvertisePrefixType, AdvertiseVNIs, Evpn, L2Vni, L3Vni};
pub use frrconfiguration::{
    BFDProfile, Bgp, FRRConfiguration, FRRConfigurationSpec, FRRConfigurationStatus, Import, RawConfig,
    Router,
};
pub use frrk8sconfiguration::{
    FRRK8sConfiguration, FRRK8sConfigurationSpec, FRRK8sConfigurationStatus, LogLevel,
};
pub use frrnodestate::{FRRNodeState, FRRNodeStateSpec, FRRNodeStateStatus};
pub use neighbor::{
    AddressFamily, Advertise, AllowMode, AllowedInPrefixes, AllowedOutPrefixes, CommunityPrefixes,
    LocalPrefPrefixes, Neighbor, NextHop, PrefixSelector, Receive,
};

/// The name of the API group.
pub const GROUP: &str = "frrk8s.metallb.io";
