//! The kinds of the API group `metallb.io`.

mod bfdprofile;
mod bgpadvertisement;
pub mod bgppeer;
mod community;
mod configurationstate;
mod ipaddresspool;
mod l2advertisement;
mod servicebgpstatus;
mod servicel2status;

pub use bfdprofile::{BFDProfile, BFDProfileSpec, BFDProfileStatus};
pub use bgpadvertisement::{BGPAdvertisement, BGPAdvertisementSpec, BGPAdvertisementStatus};
pub use bgppeer::v1beta2::{BGPPeer, BGPPeerSpec, BGPPeerStatus};
pub use community::{Community, CommunityAlias, CommunitySpec, CommunityStatus};
pub use configurationstate::{ConfigurationResult, ConfigurationState, ConfigurationStateStatus};
pub use ipaddresspool::{IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation};
pub use l2advertisement::{
    L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector,
};
pub use servicebgpstatus::{
    AdvertisingNode, AdvertisingPeer, ServiceBGPStatus, ServiceBGPStatusSpec, ServiceBGPStatusStatus,
};
pub use servicel2status::{InterfaceInfo, ServiceL2Status, ServiceL2StatusSpec, ServiceL2StatusStatus};

/// The name of the API group.
pub const GROUP: &str = "metallb.io";
