//! The thread that owns the file. It takes the commits that wait, checks them one after the other, makes
//! all of them durable at once, and only then shows them to readers and tells their senders.

use super::file::{read_totals, start, stop, write_events};
use super::record::Totals;
use super::volume::{Failure, Volume};
use crate::store::cache::{Cache, stage};
use crate::store::{Commit, Committed, Entry, Event, LIMITS, StoreError};
use redb::Database;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// A commit, and who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) commit: Commit,
    pub(super) answer: oneshot::Sender<Result<Committed, StoreError>>,
}

pub(super) struct Writer {
    cache: Arc<Cache>,
    volume: Arc<Volume>,
    /// None while the disk has failed so that the database could not be opened again.
    database: Option<Database>,
    /// What the file holds.
    totals: Totals,
    /// A group that the file may hold or not.
    doubtful: Option<Group>,
    failed: Option<(Failure, Instant)>,
}

/// Commits that become durable together.
struct Group {
    totals: Totals,
    events: Vec<Arc<Event>>,
    /// The keys that the group has changed.
    changed: HashMap<Arc<str>, Option<Entry>>,
}

impl Writer {
    pub(super) fn new(cache: Arc<Cache>, volume: Arc<Volume>, database: Database, totals: Totals) -> Self {
        Self { cache, volume, database: Some(database), totals, doubtful: None, failed: None }
    }

    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut bytes = first.commit.size_bytes();
            let mut waiting = vec![first];
            while waiting.len() < LIMITS.group_commits
                && bytes < LIMITS.group_bytes
                && let Ok(next) = requests.try_recv()
            {
                bytes += next.commit.size_bytes();
                waiting.push(next);
            }
            self.serve(waiting);
        }
        self.database.take().into_iter().for_each(stop);
    }

    fn serve(&mut self, requests: Vec<Request>) {
        if let Err(error) = self.be_ready() {
            return refuse(requests.into_iter().map(|request| request.answer), &error);
        }
        let mut group = Group::new(self.totals);
        let staged: Vec<_> = requests
            .into_iter()
            .map(|request| (request.answer, group.stage(request.commit, &self.cache)))
            .collect();
        if !group.events.is_empty()
            && let Err(error) = self.persist(group)
        {
            return refuse(staged.into_iter().map(|(answer, _)| answer), &error);
        }
        for (answer, result) in staged {
            // Whoever no longer waits does not want to know.
            let _ = answer.send(result);
        }
    }

    /// Makes a group durable and then visible.
    fn persist(&mut self, group: Group) -> Result<(), StoreError> {
        let Some(database) = &self.database else { return Err(StoreError::Closed) };
        let Err(reason) = write_events(database, &group.events, &group.totals) else {
            self.accept(&group);
            return Ok(());
        };
        let failure = self.volume.take_failure().unwrap_or_else(|| Failure::because(reason));
        self.failed = Some((failure.clone(), Instant::now()));
        self.doubtful = Some(group);
        // After a failure redb refuses everything until it is opened again, and only that tells whether
        // the group is in the file.
        self.database.take().into_iter().for_each(stop);
        match self.reopen() {
            // The file has the group but may have it in the system's cache only, and no later
            // synchronisation need tell.
            Ok(true) if failure.synchronising => Err(failure.outcome_unknown()),
            Ok(true) => Ok(()),
            Ok(false) => Err(failure.nothing_changed()),
            Err(_) => Err(failure.outcome_unknown()),
        }
    }

    /// After a failure: waits out the pause, and opens the database again if it is not open.
    fn be_ready(&mut self) -> Result<(), StoreError> {
        if let Some((failure, at)) = &self.failed
            && at.elapsed() < Duration::from_millis(LIMITS.retry_pause_ms)
        {
            return Err(failure.nothing_changed());
        }
        if self.database.is_none()
            && let Err(failure) = self.reopen()
        {
            let error = failure.nothing_changed();
            self.failed = Some((failure, Instant::now()));
            return Err(error);
        }
        Ok(())
    }

    /// Opens the database again. Says whether the doubtful group was made, which then becomes visible.
    fn reopen(&mut self) -> Result<bool, Failure> {
        let noted = |reason| self.volume.take_failure().unwrap_or_else(|| Failure::because(reason));
        let database = start(&self.volume).map_err(noted)?;
        let found = match read_totals(&database) {
            Ok(found) => found,
            Err(reason) => {
                stop(database);
                return Err(noted(reason));
            }
        };
        let made = self.doubtful.as_ref().is_some_and(|group| group.totals == found);
        if !made && found != self.totals {
            stop(database);
            let reason = format!("the file went back to revision {}", found.revision);
            return Err(Failure::because(reason));
        }
        self.database = Some(database);
        match self.doubtful.take() {
            Some(group) if made => self.accept(&group),
            _ => {}
        }
        Ok(made)
    }

    fn accept(&mut self, group: &Group) {
        self.totals = group.totals;
        self.failed = None;
        self.volume.set_witness(group.totals.revision);
        self.cache.write().apply(&group.events);
    }
}

impl Group {
    fn new(totals: Totals) -> Self {
        Self { totals, events: Vec::new(), changed: HashMap::new() }
    }

    fn stage(&mut self, commit: Commit, cache: &Cache) -> Result<Committed, StoreError> {
        let state = cache.read();
        let lookup = |key: &str| match self.changed.get(key) {
            Some(entry) => entry.clone(),
            None => state.get(key),
        };
        let events = stage(commit, self.totals.revision, lookup)?;
        for event in &events {
            self.totals.revision = event.revision;
            event.previous.iter().for_each(|entry| self.totals.remove(entry));
            event.current.iter().for_each(|entry| self.totals.add(entry));
            self.changed.insert(Arc::clone(&event.key), event.current.clone());
            self.events.push(Arc::clone(event));
        }
        Ok(Committed { revision: self.totals.revision, events })
    }
}

impl Failure {
    fn nothing_changed(&self) -> StoreError {
        let reason = self.reason.clone();
        if self.no_space { StoreError::NoSpace { reason } } else { StoreError::Unwritable { reason } }
    }

    fn outcome_unknown(&self) -> StoreError {
        StoreError::Unknown { reason: self.reason.clone(), no_space: self.no_space }
    }

    fn because(reason: String) -> Self {
        Self { reason, no_space: false, synchronising: false }
    }
}

fn refuse(answers: impl Iterator<Item = oneshot::Sender<Result<Committed, StoreError>>>, error: &StoreError) {
    for answer in answers {
        let _ = answer.send(Err(error.clone()));
    }
}
