//! Random histories against a store that is nothing but a list of everything that ever happened.

use super::*;
use crate::store::Watch;
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEYS: [&str; 7] = ["/", "/a", "/a/", "/a/b", "/a/ß", "/b/a", "/b/a/a"];
const PREFIXES: [&str; 6] = ["", "/", "/a", "/a/", "/a/ß", "/b/a/a/a"];

#[derive(Debug, Clone)]
enum Step {
    Put(usize, u8),
    Delete(usize),
    /// Both or neither: a put that requires the key to be absent, and a deletion.
    Both(usize, usize),
    Watch(usize, u64),
    Fetch(usize),
    Read(usize, u64, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS.len();
    prop_oneof![
        6 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => key().prop_map(Step::Delete),
        2 => (key(), key()).prop_map(|(one, other)| Step::Both(one, other)),
        2 => (0..PREFIXES.len(), 0..30_u64).prop_map(|(prefix, back)| Step::Watch(prefix, back)),
        3 => any::<prop::sample::Index>().prop_map(|index| Step::Fetch(index.index(16))),
        3 => (0..PREFIXES.len(), 0..30_u64, 0..9_usize).prop_map(|(prefix, back, limit)| Step::Read(prefix, back, limit)),
    ]
}

/// Everything that ever happened: the state after every revision.
struct Model {
    states: Vec<BTreeMap<String, Entry>>,
    watches: Vec<(Watch, &'static str, u64)>,
    history: usize,
}

impl Model {
    fn revision(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn oldest(&self) -> u64 {
        self.revision().saturating_sub(self.history as u64)
    }

    fn now(&self) -> &BTreeMap<String, Entry> {
        self.states.last().unwrap()
    }

    fn put(&mut self, key: &str, value: u8) {
        let mod_revision = self.revision() + 1;
        let mut state = self.now().clone();
        let create_revision = state.get(key).map_or(mod_revision, |entry| entry.create_revision);
        let value = vec![value].into();
        let entry = Entry { key: key.into(), value, create_revision, mod_revision };
        state.insert(key.into(), entry);
        self.states.push(state);
    }

    fn delete(&mut self, key: &str) {
        let mut state = self.now().clone();
        if state.remove(key).is_some() {
            self.states.push(state);
        }
    }

    /// What a watcher must see: revision, key, entry before, entry after.
    fn events(&self, prefix: &str, since: u64) -> Vec<(u64, Option<Entry>, Option<Entry>)> {
        let mut events = Vec::new();
        for revision in since + 1..=self.revision() {
            let (before, after) = (&self.states[revision as usize - 1], &self.states[revision as usize]);
            for key in KEYS.iter().filter(|key| key.starts_with(prefix)) {
                let (before, after) = (before.get(*key), after.get(*key));
                if before != after {
                    events.push((revision, before.cloned(), after.cloned()));
                }
            }
        }
        events
    }

    async fn take(&mut self, store: &dyn Store, step: &Step) {
        match *step {
            Step::Put(key, value) => {
                expect(store.commit(Commit::put(KEYS[key], Require::Nothing, vec![value])).await);
                self.put(KEYS[key], value);
            }
            Step::Delete(key) => {
                delete(store, KEYS[key]).await;
                self.delete(KEYS[key]);
            }
            Step::Both(one, other) => self.both(store, KEYS[one], KEYS[other]).await,
            Step::Watch(prefix, back) => self.watch(store, PREFIXES[prefix], back).await,
            Step::Fetch(index) => {
                if !self.watches.is_empty() {
                    self.fetch(index % self.watches.len());
                }
            }
            Step::Read(prefix, back, limit) => self.read(store, PREFIXES[prefix], back, limit).await,
        }
    }

    async fn both(&mut self, store: &dyn Store, one: &str, other: &str) {
        let mut commit = Commit::put(one, Require::Absent, vec![1]);
        commit.changes.extend(Commit::delete(other, Require::Nothing).changes);
        let result = store.commit(commit).await;
        if one == other {
            assert!(matches!(result, Err(StoreError::RepeatedKey(_))));
        } else if let Some(there) = self.now().get(one) {
            let Err(StoreError::Conflict(conflict)) = result else { panic!("a conflict") };
            assert_eq!(conflict.found.as_ref(), Some(there));
        } else {
            self.put(one, 1);
            self.delete(other);
            assert_eq!(expect(result).revision, self.revision());
        }
    }

    async fn watch(&mut self, store: &dyn Store, prefix: &'static str, back: u64) {
        let since = self.revision().saturating_sub(back);
        match store.watch(prefix, since).await {
            Ok(watch) => self.watches.push((watch, prefix, since)),
            Err(_) => assert!(since < self.oldest()),
        }
    }

    fn fetch(&mut self, index: usize) {
        let (mut watch, prefix, since) = self.watches.swap_remove(index);
        let expected = self.events(prefix, since);
        let result = watch.fetch();
        let lost = expected.first().is_some_and(|(revision, ..)| *revision <= self.oldest());
        if lost {
            return assert!(is_expired(&result), "it must be told that it has missed something");
        }
        let seen: Vec<_> = result
            .unwrap()
            .iter()
            .map(|event| (event.revision, event.previous.clone(), event.current.clone()))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(watch.progress(), self.revision());
        self.watches.push((watch, prefix, self.revision()));
    }

    async fn read(&self, store: &dyn Store, prefix: &str, back: u64, limit: usize) {
        let revision = self.revision().saturating_sub(back);
        let request = RangeRequest {
            prefix,
            after: None,
            limit: (limit < 8).then_some(limit),
            revision: Some(revision),
        };
        let result = store.range(request).await;
        if revision < self.oldest() {
            return assert!(is_expired(&result));
        }
        let state = &self.states[revision as usize];
        let mut expected: Vec<_> =
            state.values().filter(|entry| entry.key.starts_with(prefix)).cloned().collect();
        let all = expected.len();
        expected.truncate(request.limit.unwrap_or(all));
        let range = result.unwrap();
        assert_eq!(range.remaining, all - expected.len());
        assert_eq!(range.entries, expected);
    }
}

async fn run(store: Arc<dyn Store>, history: usize, steps: &[Step]) -> Vec<Entry> {
    let mut model = Model { states: vec![BTreeMap::new()], watches: Vec::new(), history };
    for step in steps {
        model.take(&*store, step).await;
    }
    for index in (0..model.watches.len()).rev() {
        model.fetch(index);
    }
    let last: Vec<_> = model.now().values().cloned().collect();
    assert_eq!(everything(&*store).await, last);
    last
}

fn limits(history: usize) -> Limits {
    Limits { history_events: history, ..LIMITS }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_is_as_the_model(history in 0..40_usize, steps in prop::collection::vec(step(), 0..120)) {
        let store = Arc::new(MemoryStore::with_limits(&limits(history)));
        Runtime::new().unwrap().block_on(run(store, history, &steps));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn disk_is_as_the_model_and_remembers(history in 0..40_usize, steps in prop::collection::vec(step(), 0..60)) {
        let scratch = Scratch::new();
        let store = Arc::new(DiskStore::open_with_limits(&scratch.file(), &limits(history)).unwrap());
        let last = Runtime::new().unwrap().block_on(run(store, history, &steps));
        prop_assert_eq!(contents(&DiskStore::open(&scratch.file()).unwrap()), last);
    }
}

/// Watchers that join at any moment while others write see every event once and in order.
#[test]
fn watchers_that_join_under_load_miss_nothing_and_see_nothing_twice() {
    on_each(&LIMITS, |store| async move {
        const WRITES: u64 = 400;
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                for index in 0..WRITES / 8 {
                    put(&*store, &format!("/{writer}/{}", index % 5), "x").await;
                }
            });
        }
        for joins in 0..20 {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                tokio::time::sleep(std::time::Duration::from_micros(joins * 700)).await;
                let since = store.range(RangeRequest::default()).await.unwrap().revision;
                let mut watch = store.watch("/", since).await.unwrap();
                let mut last = since;
                while last < WRITES {
                    for event in watch.next().await.unwrap() {
                        assert_eq!(event.revision, last + 1);
                        last = event.revision;
                    }
                }
            });
        }
        tasks.join_all().await;
    });
}
