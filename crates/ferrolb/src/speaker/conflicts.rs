//! Addresses that another station has as well: when it is said, who falls silent, and when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::Session;
use crate::layer2::{self, Change, MacAddress};
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
    suspected: BTreeMap<(IpAddr, MacAddress), (Instant, layer2::News)>,
    /// The other node that has it too and comes first, and whether it is left to it.
    rivals: BTreeMap<IpAddr, (String, bool)>,
}

impl Conflicts {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let calm = self.going_on.iter().filter(|(address, _)| !self.is_left(address));
        let calm = calm.map(|(_, at)| *at + CALM_AFTER).min();
        let suspected = self.suspected.values().map(|(at, _)| *at).min();
        [calm, suspected].into_iter().flatten().min()
    }

    fn is_left(&self, address: &IpAddr) -> bool {
        self.rivals.get(address).is_some_and(|(_, is_left)| *is_left)
    }
}

impl Session<'_> {
    /// Something that happened on the wire.
    pub(super) fn heard(&mut self, news: layer2::News) {
        match news {
            layer2::News::Conflict { address, station, fellow: true, .. }
                if !self.conflicts.going_on.contains_key(&address) =>
            {
                let at = Instant::now() + LEARNT_AFTER;
                self.conflicts.suspected.entry((address, station)).or_insert((at, news));
            }
            layer2::News::ClaimRefused { address, fellow: true, .. } => self.leave_to_another(address, &news),
            layer2::News::Claimed { address } => self.take_back(address),
            news => self.is_conflict(&news),
        }
    }

    /// What has turned out to be one, and what is over.
    pub(super) fn see_to_conflicts(&mut self, now: Instant) {
        let is_due = |_: &(IpAddr, MacAddress), (at, _): &mut (Instant, layer2::News)| *at <= now;
        let due: Vec<_> = self.conflicts.suspected.extract_if(.., is_due).collect();
        for ((address, _), (_, news)) in due {
            if self.announcer.services_of(address).next().is_some() {
                self.is_conflict(&news);
            }
        }
        let rivals = &self.conflicts.rivals;
        let is_left = |address: &IpAddr| rivals.get(address).is_some_and(|(_, is_left)| *is_left);
        let is_over =
            |address: &IpAddr, at: &mut Instant| now.duration_since(*at) >= CALM_AFTER && !is_left(address);
        let over: Vec<_> = self.conflicts.going_on.extract_if(.., is_over).collect();
        for (address, _) in over {
            self.conflicts.rivals.remove(&address);
            self.tell_condition(address, None);
        }
    }

    /// Whatever follows from the decisions: nobody has to be given way for what is not announced any more.
    pub(super) fn forget_conflicts(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Withdraw { address } | Change::Yield { address, .. } = change {
                self.conflicts.suspected.retain(|(suspected, _), _| suspected != address);
                if self.conflicts.rivals.remove(address).is_some() {
                    self.statuses.set_left(*address, false);
                }
            }
        }
    }

    fn is_conflict(&mut self, news: &layer2::News) {
        let fellow = self.fellow_of(news);
        let Some(told) = told_of(news, &self.options.node, fellow.as_deref()) else { return };
        if let (layer2::News::Conflict { address, .. }, Some(fellow)) = (news, fellow) {
            self.settle(*address, fellow);
        }
        self.tell_conflict(told);
    }

    /// One of both falls silent, and the other one says once more that it answers: it may have been overheard. Neither
    /// knows why the other one announces, so both decide by nothing but their names.
    fn settle(&mut self, address: IpAddr, fellow: String) {
        if plan::elect::keeps(address, &self.options.node, &fellow) {
            let addresses = BTreeSet::from([address]);
            self.wire.apply(vec![Change::AnnounceAgain { addresses }]);
        } else {
            self.conflicts.rivals.entry(address).or_insert((fellow, false));
            self.wire.apply(vec![Change::GiveWay { address }]);
        }
    }

    /// The other one does answer, and this one does not any more.
    fn leave_to_another(&mut self, address: IpAddr, news: &layer2::News) {
        let answers = self.fellow_of(news);
        let Some((fellow, is_left)) = self.conflicts.rivals.get_mut(&address) else { return };
        let is_known = std::mem::replace(is_left, true);
        let answers = answers.unwrap_or_else(|| fellow.clone());
        if let Some(told) = told_of(news, &self.options.node, Some(&answers)).filter(|_| !is_known) {
            self.statuses.set_left(address, true);
            self.conflicts.going_on.remove(&address);
            self.tell_conflict(told);
        }
    }

    /// Nobody answered for it any more, and this node does again.
    fn take_back(&mut self, address: IpAddr) {
        if self.conflicts.rivals.remove(&address).is_some() {
            tracing::info!(%address, "announced again: the node that it was left to does not answer for it any more");
            self.conflicts.going_on.remove(&address);
            self.statuses.set_left(address, false);
            self.tell_condition(address, None);
        }
    }

    fn fellow_of(&self, news: &layer2::News) -> Option<String> {
        let (layer2::News::Conflict { fellow_address, .. }
        | layer2::News::ClaimRefused { fellow_address, .. }) = news
        else {
            return None;
        };
        let address = fellow_address.as_ref()?;
        let is_its = |(_, addresses): &(&String, &Vec<IpAddr>)| addresses.contains(address);
        self.node_addresses.iter().find(is_its).map(|(name, _)| name.clone())
    }

    fn tell_conflict(&mut self, (address, reason, message): (IpAddr, &'static str, String)) {
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
