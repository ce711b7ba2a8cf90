//! What is measured of membership. What stands for a state is made when it is asked for.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use protocol::member::Verdict;
use tokio::sync::watch;

use super::view::{self, STANDINGS, View};
use crate::component_metrics::register;

/// Around what is promised: a third of a second, and a tenth with the fastest timers.
const FAILOVER: [f64; 14] = [0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1.0, 2.5, 10.0];
const LATENESS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];
/// The clock that the thread sleeps by has whole milliseconds.
const PUNCTUAL: Duration = Duration::from_millis(1);

/// What the thread measures.
#[derive(Debug)]
pub(super) struct Figures {
    detection: Histogram,
    takeover: Histogram,
    slip: Histogram,
    not_sent: IntCounter,
}

impl Figures {
    pub(super) fn register(registry: &Registry) -> Figures {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(registry, Histogram::with_opts(options))
        };
        Figures {
            detection: histogram(
                "ferrolb_member_detection_seconds",
                "From the last that was heard of a node until it was found to be down.",
                &FAILOVER,
            ),
            takeover: histogram(
                "ferrolb_member_takeover_seconds",
                "From the last that was heard of a node until the first frame with which this node took its addresses over.",
                &FAILOVER,
            ),
            slip: histogram(
                "ferrolb_member_slip_seconds",
                "How much later than it should the thread that watches over members was awake.",
                &LATENESS,
            ),
            not_sent: register(
                registry,
                IntCounter::new(
                    "ferrolb_member_send_errors_total",
                    "Datagrams to members that the kernel did not take.",
                ),
            ),
        }
    }

    /// It woke up, at the time it should or later.
    pub(super) fn woke(&self, late: Duration) {
        self.slip.observe(late.saturating_sub(PUNCTUAL).as_secs_f64());
    }

    pub(super) fn not_sent(&self) {
        self.not_sent.inc();
    }

    pub(super) fn went_down(&self, verdict: &Verdict, first_frame_after: Option<Duration>) {
        let found_after = verdict.silence + verdict.inquiry;
        self.detection.observe(found_after.as_secs_f64());
        if let Some(first_frame_after) = first_frame_after {
            self.takeover.observe((found_after + first_frame_after).as_secs_f64());
        }
    }
}

/// What there is now.
#[derive(Debug)]
pub(super) struct Membership {
    view: watch::Receiver<Arc<View>>,
    /// By which a registry tells it from other collectors.
    of_members: IntGaugeVec,
}

impl Membership {
    pub(super) fn new(view: watch::Receiver<Arc<View>>) -> Membership {
        Membership { view, of_members: members_by_state() }
    }
}

impl Collector for Membership {
    fn desc(&self) -> Vec<&Desc> {
        self.of_members.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let view = Arc::clone(&self.view.borrow());
        let mut families = of_members(&view);
        families.extend(of_watches(&view));
        families.extend(of_counters(&view));
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

fn members_by_state() -> IntGaugeVec {
    let options = Opts::new("ferrolb_members", "Speakers that are known, this one among them, by state.");
    IntGaugeVec::new(options, &["state"]).expect("the name of a metric is well-formed")
}

fn of_members(view: &View) -> Vec<MetricFamily> {
    let gauge = members_by_state();
    for standing in STANDINGS {
        gauge.with_label_values(&[view::name(standing)]).set(0);
    }
    let members = view.state.members.values();
    let all = members.map(|member| (member.record.standing, member.is_heard));
    let own = (view.state.own.record.standing, true);
    for (standing, is_heard) in all.chain([own]) {
        // This node alone does not hear it.
        let name = if is_heard || !standing.is_up() { view::name(standing) } else { "unheard" };
        gauge.with_label_values(&[name]).inc();
    }
    gauge.collect()
}

fn of_watches(view: &View) -> Vec<MetricFamily> {
    let options =
        Opts::new("ferrolb_member_loss_ratio", "Beats of a watched node that did not come, of all.");
    let gauge = GaugeVec::new(options, &["node"]).expect("the name of a metric is well-formed");
    for watching in view.state.members.values().filter_map(|member| member.watching.as_ref()) {
        gauge.with_label_values(&[&*watching.name]).set(view::loss(watching));
    }
    gauge.collect()
}

fn of_counters(view: &View) -> Vec<MetricFamily> {
    let counters = &view.state.counters;
    let single = [
        ("ferrolb_member_suspicions_total", "Watched nodes that fell silent.", counters.suspicions),
        (
            "ferrolb_member_suspicions_cleared_total",
            "Silent nodes that somebody else still heard.",
            counters.cleared,
        ),
        ("ferrolb_member_verdicts_total", "Nodes that this one found to be down.", counters.verdicts),
        ("ferrolb_member_refuted_total", "How often this node said that it is not down.", counters.refuted),
        ("ferrolb_member_slips_total", "How often this node was not awake in time.", counters.slips),
        (
            "ferrolb_member_other_secret_total",
            "Datagrams sealed with a secret that this node does not have.",
            counters.dropped.foreign_key,
        ),
        ("ferrolb_member_sent_total", "Datagrams to members.", counters.sent),
        ("ferrolb_member_received_total", "Datagrams from members.", counters.received),
    ];
    let mut families = Vec::new();
    for (name, help, count) in single {
        let counter = IntCounter::new(name, help).expect("the name of a metric is well-formed");
        counter.inc_by(count);
        families.extend(counter.collect());
    }
    let options = Opts::new("ferrolb_member_dropped_total", "Datagrams that were not used, by reason.");
    let dropped = IntCounterVec::new(options, &["reason"]).expect("the name of a metric is well-formed");
    for (reason, count) in view::dropped(counters) {
        dropped.with_label_values(&[reason]).inc_by(count);
    }
    families.extend(dropped.collect());
    let own = &view.state.own;
    for (name, help, is_so) in [
        (
            "ferrolb_member_isolated",
            "1 while this node hears no other, though there are some.",
            own.is_isolated,
        ),
        ("ferrolb_member_may_answer", "1 while this node may answer for addresses.", view.may_answer),
    ] {
        let gauge = IntGauge::new(name, help).expect("the name of a metric is well-formed");
        gauge.set(is_so.into());
        families.extend(gauge.collect());
    }
    families
}
