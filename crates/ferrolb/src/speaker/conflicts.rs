//! Addresses that another station has as well: when it is said, and when it is over.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::Session;
use crate::layer2;
use crate::speaker::announcer::News;
use crate::speaker::metrics::told_of;

/// A conflict of which nothing was heard for so long is over.
const CALM_AFTER: Duration = Duration::from_secs(60);
/// Another speaker may be the next to announce, of which this one is about to learn: after this it should have.
const LEARNT_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Conflicts {
    /// When each was last heard of.
    going_on: BTreeMap<IpAddr, Instant>,
    /// With other speakers, and from when on it is one if the address is still announced.
    suspected: BTreeMap<IpAddr, (Instant, layer2::News)>,
}

impl Conflicts {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let calm = self.going_on.values().min().map(|at| *at + CALM_AFTER);
        let suspected = self.suspected.values().map(|(at, _)| *at).min();
        [calm, suspected].into_iter().flatten().min()
    }
}

impl Session<'_> {
    /// Something that happened on the wire.
    pub(super) fn heard(&mut self, news: layer2::News) {
        match news {
            layer2::News::Conflict { address, fellow: true, .. }
                if !self.conflicts.going_on.contains_key(&address) =>
            {
                let at = Instant::now() + LEARNT_AFTER;
                self.conflicts.suspected.entry(address).or_insert((at, news));
            }
            news => self.is_conflict(&news),
        }
    }

    /// What has turned out to be one, and what is over.
    pub(super) fn see_to_conflicts(&mut self, now: Instant) {
        let is_due = |_: &IpAddr, (at, _): &mut (Instant, layer2::News)| *at <= now;
        let due: Vec<_> = self.conflicts.suspected.extract_if(.., is_due).collect();
        for (address, (_, news)) in due {
            if self.announcer.services_of(address).next().is_some() {
                self.is_conflict(&news);
            }
        }
        let is_over = |_: &IpAddr, at: &mut Instant| now.duration_since(*at) >= CALM_AFTER;
        let over: Vec<_> = self.conflicts.going_on.extract_if(.., is_over).collect();
        for (address, _) in over {
            self.tell_condition(address, None);
        }
    }

    fn is_conflict(&mut self, news: &layer2::News) {
        let Some((address, reason, message)) = told_of(news, &self.options.node) else { return };
        tracing::warn!("{message}");
        if self.conflicts.going_on.insert(address, Instant::now()).is_none() {
            // In whole seconds, because that is how it is read back, and it is compared with what is read.
            let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
            let condition = Condition {
                type_: "AddressConflict".to_owned(),
                status: "True".to_owned(),
                reason: reason[..1].to_uppercase() + &reason[1..],
                message: message.clone(),
                last_transition_time: Time(now),
                observed_generation: None,
            };
            self.tell_condition(address, Some(condition));
        }
        for seen in self.announcer.about(address) {
            self.say(News { seen, is_warning: true, reason, message: message.clone() });
        }
    }

    fn tell_condition(&mut self, address: IpAddr, condition: Option<Condition>) {
        self.statuses.set_conflict(address, condition);
        for service in self.announcer.services_of(address) {
            self.statuses.want(service.clone(), self.announcer.doing(service));
        }
    }
}
