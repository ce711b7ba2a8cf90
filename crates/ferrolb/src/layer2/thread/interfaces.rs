//! How the thread follows the local interfaces.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use protocol::Machine;
use protocol::l2::{self, DropReason, Input};

use super::{LISTING, Thread};
use crate::layer2::links::{Known, Link, Links, Silence};
use crate::layer2::ports::Protocol;
use crate::netlink::Seen;

impl Thread {
    /// What the kernel said of changes.
    pub(super) fn take_changes(&mut self, now: Instant) {
        let mut gone = BTreeSet::new();
        let known = &mut self.known;
        match self.changes.read(&mut |message| gone.extend(known.learn(message))) {
            Ok(Seen::Everything) => self.follow_links(&gone, now),
            Ok(Seen::Overrun) => self.list(now),
            Err(error) => {
                tracing::debug!(%error, "changes of interfaces were not read");
                self.list(now);
            }
        }
    }

    /// The net below: whatever was missed is found here.
    pub(super) fn list(&mut self, now: Instant) {
        self.list_at = now + LISTING;
        match Known::list(&mut self.route) {
            Ok(known) => self.known = known,
            Err(error) => tracing::warn!(%error, "the interfaces cannot be listed"),
        }
        self.follow_links(&BTreeSet::new(), now);
        self.totals.count_drops(DropReason::ReceiveFull, self.ports.drops());
        if let Some(stations) = self.fellows.look_up(&mut self.route) {
            self.responder.handle(Input::Fellows(stations), now);
        }
    }

    /// Nothing is answered there, until it is looked at again.
    pub(super) fn forget(&mut self, index: u32, now: Instant) {
        self.ports.close(index, Protocol::Arp);
        self.ports.close(index, Protocol::Ndp);
        if self.shown.remove(&index).is_some() {
            self.responder.handle(Input::InterfaceGone(index), now);
        }
    }

    /// Brings sockets and machine to what is known. What has the number of something that is `gone` is something else.
    pub(super) fn follow_links(&mut self, gone: &BTreeSet<u32>, now: Instant) {
        let mut links = self.known.judge(&self.options.excluded);
        let answers = |link: &&Link| link.arp.is_ok() || link.ndp.is_ok();
        let wanted: BTreeSet<u32> = links.by_name.values().filter(answers).map(|link| link.index).collect();
        let lost = self.shown.keys().copied().filter(|index| gone.contains(index) || !wanted.contains(index));
        for index in lost.collect::<Vec<_>>() {
            self.forget(index, now);
        }
        self.responder.handle(Input::Own(self.known.stations()), now);
        for (name, link) in &mut links.by_name {
            self.follow_link(name, link, now);
        }
        self.publish(links);
    }

    fn follow_link(&mut self, name: &str, link: &mut Link, now: Instant) {
        let is_too_many = self.ports.count() >= l2::LIMITS.interfaces && !self.ports.is_open(link.index);
        for protocol in [Protocol::Arp, Protocol::Ndp] {
            let silence = if protocol == Protocol::Arp { &mut link.arp } else { &mut link.ndp };
            if silence.is_ok() && is_too_many {
                *silence = Err(Silence::TooMany);
            }
            if silence.is_err() {
                self.ports.close(link.index, protocol);
            } else if let Err(error) = self.ports.open(link.index, protocol) {
                *silence = Err(Silence::Failed(error.to_string()));
            }
        }
        let Some(station) = link.station.filter(|_| link.arp.is_ok() || link.ndp.is_ok()) else {
            return self.forget(link.index, now);
        };
        let interface = l2::Interface {
            index: link.index,
            name: name.to_owned(),
            station,
            link_local: self.known.link_local(link.index),
            running: self.known.has_carrier(link.index),
            arp: link.arp.is_ok(),
            ndp: link.ndp.is_ok(),
        };
        if self.shown.get(&link.index) != Some(&interface) {
            self.shown.insert(link.index, interface.clone());
            self.responder.handle(Input::Interface(interface), now);
        }
    }

    /// For those who watch, and failures once for those who read logs.
    fn publish(&mut self, links: Links) {
        if *self.published == links {
            return;
        }
        for (name, link) in &links.by_name {
            let before = self.published.by_name.get(name);
            log(name, "ARP", &link.arp, before.map(|it| &it.arp));
            log(name, "NDP", &link.ndp, before.map(|it| &it.ndp));
        }
        self.published = Arc::new(links);
        self.links.send_replace(Arc::clone(&self.published));
    }
}

fn log(interface: &str, protocol: &str, now: &Result<(), Silence>, before: Option<&Result<(), Silence>>) {
    if before == Some(now) {
        return;
    }
    match now {
        Ok(()) => tracing::info!(interface, "answering by {protocol}"),
        Err(Silence::Failed(error)) => {
            tracing::warn!(interface, error, "cannot answer by {protocol}; tried again");
        }
        Err(reason) => tracing::debug!(interface, %reason, "no answers by {protocol}"),
    }
}
