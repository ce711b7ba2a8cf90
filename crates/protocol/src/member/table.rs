/// What this speaker knows, for status and metrics.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub own: Own,
    pub members: BTreeMap<Name, Member>,   // others
    pub counters: Counters,
}
impl State { pub fn candidates(&self) -> BTreeSet<Name> }   // this node included if it is one
pub struct Own { name, standing: Standing, generation, incarnation, failures: u8, waits_until: Option<Instant>, is_isolated: bool, is_relearning: bool, watchers: Vec<Watching> }   // watchers: who watches us
pub struct Member { record: Record, is_heard: bool /* false: this node alone does not hear it */, last_heard: Option<Instant>, since: Instant, watch: Option<Watching> /* we watch it */ }
pub struct Watching { name, is_up: bool, interval: Duration, multiplier: u8, received: u64, lost: u64 }
pub struct Counters { suspicions, cleared, verdicts, refuted, duplicates, slips, worst_slip: Duration, sent, received, dropped: by reason { foreign_key, forged, replayed, malformed, too_long, too_many }, ... }
