//! Where one node is down there may be more: the network may have fallen apart, and whoever watched over the others may be on
//! the other side of it.
//!
//! After every verdict each node looks for the few that come before it in a ring of all, and that it does not watch anyway.
//! If they are gone it comes to those before them, so that in every part of the network somebody looks for everybody,
//! at a cost of a few datagrams for each node when only one is down.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Name;
use super::machine::Members;
use crate::random::mix_bytes;

/// So many are looked for at once.
const WIDTH: usize = 8;
/// Who does not answer is asked again after this time, and after twice of it others are asked.
const STEP: Duration = Duration::from_millis(25);
/// And so many steps later it begins anew.
const AGAIN: u32 = 11;
/// After the last verdict.
const LASTS: Duration = Duration::from_secs(1);
/// Verdicts that follow each other so soon have one cause.
const ONE_CAUSE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Alarm {
    /// Who was heard since then is there.
    since: Instant,
    until: Instant,
    pub(super) at: Instant,
    /// All, those that are looked for first at the front.
    ring: Vec<Name>,
    asked: BTreeMap<Name, u32>,
}

impl Members {
    pub(super) fn raise_alarm(&mut self, now: Instant) {
        // Whatever this verdict is about began before that, so who was heard later is on this side of it.
        let since = now.checked_sub(self.inquiry_time());
        match &mut self.alarm {
            Some(alarm) if now < alarm.since + ONE_CAUSE => {
                alarm.until = now + LASTS;
                alarm.since = since.map_or(alarm.since, |since| since.max(alarm.since));
            }
            _ => {
                let ring = self.ring();
                let asked = BTreeMap::new();
                self.alarm = Some(Alarm { since: now, until: now + LASTS, at: now, ring, asked });
            }
        }
    }

    /// The others, from the one before this node backwards.
    fn ring(&self) -> Vec<Name> {
        let place = |name: &Name| mix_bytes(0, name.bytes());
        let own = place(&self.options.name);
        let others = self.state.members.keys();
        let mut ring: Vec<(u64, &Name)> = others.map(|name| (own.wrapping_sub(place(name)), name)).collect();
        ring.sort_unstable();
        ring.into_iter().map(|(_, name)| name.clone()).collect()
    }

    pub(super) fn look_around(&mut self, now: Instant) {
        let Some(mut alarm) = self.alarm.take_if(|alarm| alarm.at <= now) else { return };
        if alarm.until <= now {
            return;
        }
        let is_up = |name: &&Name| self.state.members.get(*name).is_some_and(super::Member::is_up);
        let looked_for: Vec<Name> = alarm.ring.iter().filter(is_up).take(WIDTH).cloned().collect();
        for name in looked_for {
            let last_heard = self.state.members.get(&name).and_then(|member| member.last_heard);
            if self.hears(&name, now) || last_heard >= Some(alarm.since) {
                alarm.asked.remove(&name);
                continue;
            }
            let asked = alarm.asked.entry(name.clone()).or_default();
            *asked += 1;
            match *asked {
                1 | 2 => self.ping(&name, now),
                3 => {
                    let silence = last_heard.map_or(Duration::ZERO, |heard| now.duration_since(heard));
                    self.inquire(&name, silence, None, now);
                }
                // Somebody may have heard it shortly before it fell silent.
                AGAIN.. => *asked = 0,
                _ => {}
            }
        }
        alarm.at = now + STEP;
        self.alarm = Some(alarm);
    }
}
