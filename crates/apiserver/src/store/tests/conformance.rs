//! What every engine promises.

use super::*;
use crate::store::{Change, Write};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::timeout;

#[test]
fn an_entry_remembers_when_it_was_created_and_changed() {
    on_each(&LIMITS, |store| async move {
        assert_eq!(store.get("/a").await.unwrap(), None);
        assert_eq!(put(&*store, "/a", "one").await, 1);
        assert_eq!(put(&*store, "/b", "two").await, 2);
        assert_eq!(put(&*store, "/a", "three").await, 3);
        let entry = store.get("/a").await.unwrap().unwrap();
        assert_eq!((entry.create_revision, entry.mod_revision, &entry.value[..]), (1, 3, &b"three"[..]));
        assert_eq!(delete(&*store, "/a").await, 4);
        assert_eq!(store.get("/a").await.unwrap(), None);
        assert_eq!(put(&*store, "/a", "four").await, 5);
        assert_eq!(store.get("/a").await.unwrap().unwrap().create_revision, 5, "a new life");
    });
}

#[test]
fn a_commit_is_made_only_if_what_it_requires_is_true() {
    on_each(&LIMITS, |store| async move {
        expect(store.commit(Commit::put("/a", Require::Absent, "one")).await);
        for (case, require, key, found) in [
            ("exists", Require::Absent, "/a", Some(1)),
            ("another revision", Require::ModRevision(7), "/a", Some(1)),
            ("nothing there", Require::ModRevision(1), "/b", None),
        ] {
            for commit in [Commit::put(key, require, "two"), Commit::delete(key, require)] {
                let Err(StoreError::Conflict(conflict)) = store.commit(commit).await else {
                    panic!("{case}")
                };
                assert_eq!(conflict.found.map(|entry| entry.mod_revision), found, "{case}");
            }
        }
        expect(store.commit(Commit::put("/a", Require::ModRevision(1), "two")).await);
        expect(store.commit(Commit::delete("/a", Require::ModRevision(2))).await);
    });
}

#[test]
fn changes_are_made_together_or_not_at_all() {
    on_each(&LIMITS, |store| async move {
        put(&*store, "/a", "one").await;
        let change = |key: &str, require, write| Change { key: key.into(), require, write };
        let two = |require| Commit {
            changes: vec![
                change("/b", Require::Absent, Write::Put("new".into())),
                change("/a", require, Write::Delete),
                change("/c", Require::Absent, Write::Keep),
            ],
        };
        assert!(matches!(store.commit(two(Require::Absent)).await, Err(StoreError::Conflict(_))));
        assert_eq!(keys(&*store, RangeRequest::default()).await, ["/a"]);
        let made = expect(store.commit(two(Require::ModRevision(1))).await);
        assert_eq!(made.events.iter().map(|event| event.revision).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(made.revision, 3);
        assert_eq!(keys(&*store, RangeRequest::default()).await, ["/b"]);
    });
}

#[test]
fn what_changes_nothing_has_no_event_and_no_revision() {
    on_each(&LIMITS, |store| async move {
        put(&*store, "/a", "one").await;
        let made = expect(store.commit(Commit::delete("/b", Require::Nothing)).await);
        assert_eq!((made.revision, made.events.len()), (1, 0));
        let kept = Commit::one("/a", Require::ModRevision(1), Write::Keep);
        assert_eq!(expect(store.commit(kept).await).revision, 1);
        assert_eq!(expect(store.commit(Commit::default()).await).revision, 1);
    });
}

#[test]
fn a_list_in_pages_is_a_list_of_one_moment() {
    on_each(&LIMITS, |store| async move {
        for key in ["/p/a", "/p/b", "/p/c", "/p/d", "/q/a", "/p"] {
            put(&*store, key, "old").await;
        }
        let page = RangeRequest { prefix: "/p/", limit: Some(2), ..RangeRequest::default() };
        let first = store.range(page).await.unwrap();
        assert_eq!((first.entries.len(), first.remaining, first.revision), (2, 2, 6));
        delete(&*store, "/p/c").await;
        put(&*store, "/p/d", "new").await;
        put(&*store, "/p/bb", "new").await;
        let next = RangeRequest { after: Some("/p/b"), revision: Some(first.revision), ..page };
        let second = store.range(next).await.unwrap();
        assert_eq!((second.entries.len(), second.remaining, second.revision), (2, 0, 6));
        assert!(second.entries.iter().all(|entry| &entry.value[..] == b"old"));
        assert_eq!(
            keys(&*store, RangeRequest { limit: None, ..page }).await,
            ["/p/a", "/p/b", "/p/bb", "/p/d"]
        );
        let none = RangeRequest { limit: Some(0), ..page };
        assert_eq!(store.range(none).await.unwrap().remaining, 4);
    });
}

#[test]
fn a_revision_outside_the_history_is_refused_by_its_kind() {
    let limits = Limits { history_events: 3, ..LIMITS };
    on_each(&limits, |store| async move {
        for index in 0..10 {
            put(&*store, "/a", &index.to_string()).await;
        }
        let at = |revision| RangeRequest { revision: Some(revision), ..RangeRequest::default() };
        let at_oldest = store.range(at(7)).await.unwrap().entries;
        assert_eq!(&at_oldest[0].value[..], b"6");
        let expired = store.range(at(6)).await;
        assert!(matches!(expired, Err(StoreError::Expired { requested: 6, oldest: 7 })));
        assert!(matches!(store.range(at(11)).await, Err(StoreError::Future { requested: 11, newest: 10 })));
        assert!(is_expired(&store.watch("/", 6).await));
        assert!(store.watch("/", 7).await.is_ok());
        assert!(matches!(store.watch("/", 11).await, Err(StoreError::Future { .. })));
    });
}

#[test]
fn a_watcher_sees_the_past_and_the_present_with_what_was_there_before() {
    on_each(&LIMITS, |store| async move {
        put(&*store, "/a/x", "one").await;
        put(&*store, "/b/x", "other").await;
        let mut watch = store.watch("/a/", 0).await.unwrap();
        assert_eq!(watch.progress(), 0);
        let events = watch.next().await.unwrap();
        assert_eq!(events.len(), 1);
        assert!(events[0].previous.is_none() && events[0].current.is_some());
        assert_eq!(watch.progress(), 2, "nothing is left of what came before");
        put(&*store, "/a/x", "two").await;
        delete(&*store, "/a/x").await;
        assert_eq!(watch.progress(), 2, "the change that was not fetched comes after it");
        let events = watch.next().await.unwrap();
        let value = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.value.clone());
        let seen: Vec<_> =
            events.iter().map(|event| (value(&event.previous), value(&event.current))).collect();
        let text = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        assert_eq!(seen, [(text("one"), text("two")), (text("two"), None)]);
        assert!(timeout(Duration::from_millis(20), watch.next()).await.is_err(), "there is nothing more");
    });
}

#[test]
fn a_watcher_is_woken_by_its_own_prefix_only_and_stays_current_all_the_same() {
    let limits = Limits { history_events: 4, ..LIMITS };
    on_each(&limits, |store| async move {
        let mut quiet = store.watch("/quiet/", 0).await.unwrap();
        let mut whole = store.watch("", 0).await.unwrap();
        let mut one = store.watch("/busy/5", 0).await.unwrap();
        for index in 0..20 {
            put(&*store, &format!("/busy/{index}"), "x").await;
            assert_eq!(whole.next().await.unwrap().len(), 1);
        }
        assert!(quiet.fetch().unwrap().is_empty(), "it has missed nothing");
        assert_eq!(quiet.progress(), 20);
        assert!(is_expired(&one.fetch()), "it has missed an event");
        put(&*store, "/quiet/a", "x").await;
        assert_eq!(quiet.next().await.unwrap()[0].revision, 21);
    });
}

#[test]
fn a_slow_watcher_is_cut_off_and_the_others_are_not() {
    let limits = Limits { history_events: 10, ..LIMITS };
    on_each(&limits, |store| async move {
        let mut slow = store.watch("/", 0).await.unwrap();
        let mut fast = store.watch("/", 0).await.unwrap();
        let mut seen = 0;
        for index in 0..30 {
            put(&*store, &format!("/{index}"), "x").await;
            seen += fast.next().await.unwrap().len();
        }
        assert_eq!(seen, 30);
        assert!(is_expired(&slow.next().await));
        assert!(is_expired(&slow.next().await), "and stays so");
    });
}

#[test]
fn the_history_is_bounded_by_bytes_too() {
    let limits = Limits { history_bytes: 10_000, ..LIMITS };
    on_each(&limits, |store| async move {
        for index in 0..20 {
            put(&*store, &format!("/{index}"), &"x".repeat(1_000)).await;
        }
        assert!(is_expired(&store.watch("/", 10).await));
        assert!(store.watch("/", 17).await.is_ok());
        let mut watch = store.watch("/", 20).await.unwrap();
        put(&*store, "/large", &"x".repeat(100_000)).await;
        assert_eq!(watch.next().await.unwrap().len(), 1, "the newest event is always kept");
    });
}

#[test]
fn a_long_past_comes_in_batches() {
    on_each(&LIMITS, |store| async move {
        let count = LIMITS.watch_batch_events + 10;
        let mut commit = Commit::default();
        for index in 0..count {
            commit.changes.extend(Commit::put(format!("/{index}"), Require::Nothing, "x").changes);
        }
        expect(store.commit(commit).await);
        let mut watch = store.watch("/", 0).await.unwrap();
        let first = watch.next().await.unwrap();
        assert_eq!((first.len(), watch.progress()), (count - 10, count as u64 - 10));
        assert_eq!(watch.next().await.unwrap().len(), 10);
        assert_eq!(watch.progress(), count as u64);
    });
}

#[test]
fn what_is_too_large_is_refused() {
    on_each(&LIMITS, |store| async move {
        let large = |commit: Commit| async { store.commit(commit).await };
        let value = vec![0; LIMITS.value_bytes + 1];
        let key = "k".repeat(LIMITS.key_bytes + 1);
        let repeat = |count| Commit {
            changes: (0..count)
                .flat_map(|index| Commit::delete(format!("/{index}"), Require::Nothing).changes)
                .collect(),
        };
        let heavy = Commit {
            changes: (0..6)
                .flat_map(|index| {
                    Commit::put(index.to_string(), Require::Nothing, vec![0; LIMITS.value_bytes]).changes
                })
                .collect(),
        };
        for commit in [
            Commit::put("/a", Require::Nothing, value),
            Commit::put(key, Require::Nothing, "x"),
            repeat(LIMITS.commit_changes + 1),
            heavy,
        ] {
            assert!(matches!(large(commit).await, Err(StoreError::TooLarge { .. })));
        }
        let mut twice = Commit::put("/a", Require::Nothing, "x");
        twice.changes.extend(Commit::delete("/a", Require::Nothing).changes);
        assert!(matches!(large(twice).await, Err(StoreError::RepeatedKey(_))));
    });
}

#[test]
fn watches_are_limited_and_make_room_when_they_end() {
    let limits = Limits { watchers: 2, ..LIMITS };
    on_each(&limits, |store| async move {
        let first = store.watch("/a", 0).await.unwrap();
        let _second = store.watch("/a", 0).await.unwrap();
        assert!(matches!(store.watch("/b", 0).await, Err(StoreError::TooManyWatches { limit: 2 })));
        drop(first);
        assert!(store.watch("/b", 0).await.is_ok());
    });
}

#[test]
fn watchers_are_told_when_the_store_closes() {
    on_each(&LIMITS, |store| async move {
        let mut watch = store.watch("/", 0).await.unwrap();
        let waiting = tokio::spawn(async move { watch.next().await });
        drop(store);
        let told = timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
        assert!(matches!(told, Err(StoreError::Closed)));
    });
}

#[test]
fn an_event_is_made_ready_to_send_once() {
    on_each(&LIMITS, |store| async move {
        let (mut one, mut other) = (store.watch("/", 0).await.unwrap(), store.watch("/", 0).await.unwrap());
        put(&*store, "/a", "x").await;
        let first = one.next().await.unwrap()[0].form(1, |_| Bytes::from_static(b"made"));
        let second = other.next().await.unwrap()[0].form(1, |_| unreachable!("it is there"));
        assert_eq!(first.as_ptr(), second.as_ptr());
    });
}

#[test]
fn many_writers_of_one_key_each_win_once() {
    on_each(&LIMITS, |store| async move {
        put(&*store, "/counter", "0").await;
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let store = Arc::clone(&store);
            writers.spawn(async move {
                let mut won = 0;
                while won < 10 {
                    let entry = store.get("/counter").await.unwrap().unwrap();
                    let count: u32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                    let require = Require::ModRevision(entry.mod_revision);
                    let next = Commit::put("/counter", require, (count + 1).to_string());
                    won += u32::from(store.commit(next).await.is_ok());
                }
            });
        }
        writers.join_all().await;
        assert_eq!(&store.get("/counter").await.unwrap().unwrap().value[..], b"80");
    });
}
