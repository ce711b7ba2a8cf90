//! How much the other side has told: counted only where there is a bound, and so never more than that.

use std::collections::{BTreeMap, BTreeSet};

use crate::bgp::capability::Family;
use crate::bgp::prefix::Path;
use crate::bgp::update::Update;

#[derive(Debug)]
pub(super) struct Received {
    most: Option<u32>,
    known: BTreeMap<Family, BTreeSet<Path>>,
    /// Nothing of these is believed (RFC 7606, 2).
    disabled: BTreeSet<Family>,
}

/// There are more than there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany {
    pub(super) family: Family,
    pub(super) most: u32,
}

impl Received {
    pub(super) fn new(most: Option<u32>) -> Received {
        Received { most, known: BTreeMap::new(), disabled: BTreeSet::new() }
    }

    /// Says whether something was told before that was not counted.
    pub(super) fn set_most(&mut self, most: Option<u32>) -> Result<bool, TooMany> {
        let counts_now = self.most.is_none() && most.is_some();
        self.most = most;
        if most.is_none() {
            self.known.clear();
        }
        self.known.keys().try_for_each(|family| self.check(*family))?;
        Ok(counts_now)
    }

    pub(super) fn take(&mut self, update: &Update<'_>) -> Result<(), TooMany> {
        if let Some(family) = update.disabled {
            self.disabled.insert(family);
            self.known.remove(&family);
        }
        if self.most.is_none() {
            return Ok(());
        }
        for (family, paths) in &update.withdrawn {
            if let Some(known) = self.known.get_mut(family) {
                paths.iter().for_each(|path| {
                    known.remove(&path);
                });
            }
        }
        for announced in update.announced.iter().filter(|it| !self.disabled.contains(&it.family)) {
            for path in announced.paths.iter() {
                self.known.entry(announced.family).or_default().insert(path);
                self.check(announced.family)?;
            }
        }
        Ok(())
    }

    /// All of a family comes once more (RFC 7313, 4): what does not is gone.
    pub(super) fn begin(&mut self, family: Family) {
        self.known.remove(&family);
    }

    fn check(&self, family: Family) -> Result<(), TooMany> {
        let count = self.known.get(&family).map_or(0, BTreeSet::len);
        match self.most {
            Some(most) if count > most as usize => Err(TooMany { family, most }),
            _ => Ok(()),
        }
    }
}
