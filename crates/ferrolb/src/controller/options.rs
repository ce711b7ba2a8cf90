//! What a controller is told when it starts.

#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where it runs, and where its resources are.
    pub namespace: String,
    pub load_balancer_class: Option<String>,
    /// Its own Pod, if it runs in one.
    pub pod_name: Option<String>,
    /// The Secret to make for speakers.
    pub memberlist_secret: Option<String>,
    /// The owner of that Secret.
    pub deployment: Option<String>,
    /// Whether it gives addresses at all, and does not only serve webhooks.
    pub decides: bool,
    /// There can be no other controller, and no election is held.
    pub is_alone: bool,
}
