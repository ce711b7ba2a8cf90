//! What one neighbour was told, what it is to be told, and the fewest messages that lead from the one to the other.
//!
//! Nothing is kept of a route that was told and is to stay so: the neighbour knows what [`Routes`] says, but for the prefixes
//! that are due. A message is made when it is asked for, so nothing piles up before a neighbour that does not read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attribute::Outgoing;
use super::capability::Family;
use super::message::{RouteRefresh, write as message};
use super::prefix::Prefix;
use super::route::{Policy, Routes};
use super::update::write as update;

mod speaking;
mod table;
#[cfg(test)]
mod tests;

pub use speaking::{HeldBack, NextHops, Speaking};

use speaking::{Target, Words};
use table::{Phase, Table};

const FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];

/// The routes of one session, from its beginning.
#[derive(Debug)]
pub struct RibOut {
    speaking: Speaking,
    /// What the neighbour knows as soon as nothing is due. `None`: nobody has said yet.
    wanted: Option<Arc<Routes>>,
    /// Of each family that both have agreed to.
    tables: BTreeMap<Family, Table>,
    held_back: BTreeMap<(Family, HeldBack), usize>,
}

impl RibOut {
    /// To a neighbour that knows nothing yet.
    pub fn new(speaking: Speaking) -> RibOut {
        let agreed = FAMILIES.into_iter().filter(|family| speaking.form.families.contains(family));
        let tables = agreed.map(|family| (family, Table::default())).collect();
        RibOut { speaking, wanted: None, tables, held_back: BTreeMap::new() }
    }

    /// These, and no others.
    pub fn want(&mut self, routes: Arc<Routes>) {
        if self.wanted.as_ref().is_some_and(|wanted| Arc::ptr_eq(wanted, &routes)) {
            return;
        }
        let old = self.wanted.take().unwrap_or_default();
        let speaking = self.speaking.clone();
        let mut words = Words::new(&speaking);
        for (prefix, was, is) in differences(&old, &routes) {
            let was = was.map(|policy| words.of(prefix, policy));
            let is = is.map(|policy| words.of(prefix, policy));
            self.change(prefix, was, is);
        }
        self.wanted = Some(routes);
    }

    /// Under which other addresses this side can be reached now: what has named the old ones is told again.
    pub fn set_next_hops(&mut self, next_hops: NextHops) {
        let new = Speaking { next_hops, ..self.speaking.clone() };
        let old = std::mem::replace(&mut self.speaking, new.clone());
        if old.next_hops == next_hops {
            return;
        }
        let routes = self.wanted.clone().unwrap_or_default();
        let (mut old_words, mut words) = (Words::new(&old), Words::new(&new));
        for (prefix, policy) in routes.iter() {
            let (was, is) = (old_words.of(*prefix, policy), words.of(*prefix, policy));
            self.change(*prefix, Some(was), Some(is));
        }
    }

    /// The neighbour asks for all of a family once more. Requests that come while one waits are one with it.
    pub fn refresh(&mut self, family: Family) {
        if let Some(table) = self.tables.get_mut(&family) {
            table.is_asked_for = true;
        }
    }

    /// The next message. What is withdrawn comes first, of all families.
    pub fn poll(&mut self) -> Option<Vec<u8>> {
        self.wanted.as_ref()?;
        let form = &self.speaking.form;
        let mut tables = self.tables.iter_mut();
        let withdrawal = tables.find_map(|(family, table)| {
            let paths =
                table.take_withdrawn(update::withdrawal_room(*family, form), form.path_id(*family))?;
            Some(update::withdrawal(*family, &paths))
        });
        withdrawal.or_else(|| FAMILIES.into_iter().find_map(|family| self.poll_table(family)))
    }

    /// Whether [`poll`](Self::poll) has nothing to say.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_none() || self.tables.values().all(Table::is_idle)
    }

    /// What the neighbour knows by the messages that were polled, in no particular order.
    pub fn told(&self) -> impl Iterator<Item = (Prefix, Arc<Outgoing>)> {
        let mut words = Words::new(&self.speaking);
        let routes = self.wanted.as_deref().map(Routes::iter).into_iter().flatten();
        let unchanged = routes.filter_map(move |(prefix, policy)| {
            let outgoing = words.of(*prefix, policy).ok()?;
            let is_due = self.tables.get(&prefix.family())?.is_due(*prefix, Some(&outgoing));
            (!is_due).then_some((*prefix, outgoing))
        });
        unchanged.chain(self.tables.values().flat_map(Table::told_of_due))
    }

    /// How many prefixes of a family the neighbour knows.
    pub fn told_count(&self, family: Family) -> usize {
        self.tables.get(&family).map_or(0, |table| table.told_count)
    }

    /// What the neighbour knows of a prefix.
    pub fn outgoing(&self, prefix: Prefix) -> Option<Arc<Outgoing>> {
        let table = self.tables.get(&prefix.family())?;
        if let Some(told) = table.told_of(prefix) {
            return Some(told);
        }
        let outgoing = Words::new(&self.speaking).of(prefix, self.wanted.as_ref()?.get(prefix)?).ok()?;
        (!table.is_due(prefix, Some(&outgoing))).then_some(outgoing)
    }

    /// How many prefixes are wanted and not told, and why.
    pub fn held_back(&self) -> impl Iterator<Item = (Family, HeldBack, usize)> {
        self.held_back.iter().map(|((family, why), count)| (*family, *why, *count))
    }

    fn change(&mut self, prefix: Prefix, was: Option<Target>, is: Option<Target>) {
        let family = prefix.family();
        if let Some(Err(why)) = was
            && let Some(count) = self.held_back.get_mut(&(family, why))
        {
            *count -= 1;
            if *count == 0 {
                self.held_back.remove(&(family, why));
            }
        }
        if let Some(Err(why)) = is {
            *self.held_back.entry((family, why)).or_default() += 1;
        }
        if let Some(table) = self.tables.get_mut(&family) {
            table.change(prefix, was.and_then(Result::ok), is.and_then(Result::ok));
        }
    }

    fn poll_table(&mut self, family: Family) -> Option<Vec<u8>> {
        let has_marks = self.speaking.has_enhanced_refresh;
        let mark = |refresh| has_marks.then(|| message::route_refresh(refresh));
        loop {
            let table = self.tables.get(&family)?;
            if table.is_refresh_due() {
                self.begin_refresh(family);
                if let Some(begin) = mark(RouteRefresh::Begin(family)) {
                    return Some(begin);
                }
            }
            let form = &self.speaking.form;
            let table = self.tables.get_mut(&family)?;
            if let Some(outgoing) = table.next_announced() {
                let announcement = update::Announcement::new(family, &outgoing, form);
                let paths = table.take_announced(announcement.room(), form.path_id(family));
                return Some(announcement.message(&paths));
            }
            let end = match std::mem::replace(&mut table.phase, Phase::Told) {
                Phase::First => Some(update::end_of_rib(family)),
                Phase::Again => mark(RouteRefresh::End(family)),
                Phase::Told => None,
            };
            if end.is_some() || table.is_idle() {
                return end;
            }
        }
    }

    fn begin_refresh(&mut self, family: Family) {
        let told: Vec<_> = self.told().filter(|(prefix, _)| prefix.family() == family).collect();
        if let Some(table) = self.tables.get_mut(&family) {
            table.begin_refresh(told);
        }
    }
}

/// Of each prefix of which not the same is said in both, what is.
fn differences<'a>(
    old: &'a Routes,
    new: &'a Routes,
) -> impl Iterator<Item = (Prefix, Option<&'a Arc<Policy>>, Option<&'a Arc<Policy>>)> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    std::iter::from_fn(move || {
        loop {
            let (was, is) = match (old.peek(), new.peek()) {
                (Some(was), Some(is)) if was.0 == is.0 => (old.next(), new.next()),
                (Some(was), Some(is)) if was.0 < is.0 => (old.next(), None),
                (Some(_), None) => (old.next(), None),
                (_, Some(_)) => (None, new.next()),
                (None, None) => return None,
            };
            let (prefix, _) = was.or(is)?;
            let (was, is) = (was.map(|(_, policy)| policy), is.map(|(_, policy)| policy));
            let is_same = was.zip(is).is_some_and(|(was, is)| Arc::ptr_eq(was, is) || was == is);
            if !is_same {
                return Some((*prefix, was, is));
            }
        }
    })
}
