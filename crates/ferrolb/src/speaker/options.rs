//! What a speaker is told when it starts.

use crate::members::Members;
use crate::proxy;

#[derive(Debug, Clone)]
pub struct Options {
    /// Where it runs, and where its resources are.
    pub namespace: String,
    pub node: String,
    /// Its own Pod, if it runs in one.
    pub pod_name: Option<String>,
    pub load_balancer_class: Option<String>,
    pub ignore_exclude_label: bool,
    /// Secrets of peers are somebody else's to read.
    pub secret_passthrough: bool,
    pub members: Members,
    pub status_layout: StatusLayout,
    /// Make a Node of its own name if there is none, for hosts that no kubelet registers.
    pub registers_node: bool,
    pub on_host: OnHost,
}

/// What this host does with the addresses that it announces, where nothing else on it does.
#[derive(Debug, Clone, Default)]
pub struct OnHost {
    /// Has them on its loopback interface.
    pub binds_addresses: bool,
    /// Forwards what comes to them.
    pub proxy: Option<proxy::Options>,
}

/// Which object tells who announces a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusLayout {
    /// One of each announcing node, in FerroLB's namespace.
    #[default]
    Metallb,
    /// One for each Service, beside it.
    Service,
}

impl Options {
    pub fn new(namespace: impl Into<String>, node: impl Into<String>) -> Options {
        Options {
            namespace: namespace.into(),
            node: node.into(),
            pod_name: None,
            load_balancer_class: None,
            ignore_exclude_label: false,
            secret_passthrough: false,
            members: Members::default(),
            status_layout: StatusLayout::default(),
            registers_node: false,
            on_host: OnHost::default(),
        }
    }
}
