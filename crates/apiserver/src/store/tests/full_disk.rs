//! Disks that are full or broken, and become good again while the store is open.

use super::*;
use crate::store::check;
use std::process::Command;
use std::time::Duration;

async fn pause() {
    tokio::time::sleep(Duration::from_millis(LIMITS.retry_pause_ms + 20)).await;
}

fn large(index: usize) -> Commit {
    Commit::put(format!("/large/{index:04}"), Require::Nothing, vec![index as u8; 100_000])
}

/// Writes until the disk is full; the number of commits that were acknowledged.
async fn fill(store: &DiskStore) -> usize {
    for index in 0..10_000 {
        match store.commit(large(index)).await {
            Ok(_) => {}
            Err(StoreError::NoSpace { .. }) => return index,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk is never full");
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let scratch = Scratch::new();
    let store = DiskStore::open(&scratch.file()).unwrap();
    Runtime::new().unwrap().block_on(async {
        put(&store, "/a", "one").await;
        let mut watch = store.watch("/", 1).await.unwrap();
        store.limit_room(store.file_bytes() + 1_000_000);
        let made = fill(&store).await;
        let before = everything(&store).await;
        assert_eq!(before.len(), made + 1);
        let refused = store.commit(large(9_999)).await;
        assert!(matches!(refused, Err(StoreError::NoSpace { .. })), "at once, within the pause");
        assert_eq!(everything(&store).await, before);
        let mut seen = 0;
        while seen < made {
            seen += watch.next().await.unwrap().len();
        }
        assert!(watch.fetch().unwrap().is_empty(), "no event for what was refused");
        store.limit_room(u64::MAX);
        pause().await;
        expect(store.commit(large(9_999)).await);
        assert_eq!(watch.next().await.unwrap()[0].revision, before.len() as u64 + 1);
        assert_eq!(everything(&store).await.len(), before.len() + 1);
    });
    let last = contents(&store);
    drop(store);
    assert_eq!(contents(&DiskStore::open(&scratch.file()).unwrap()), last);
}

#[test]
fn a_broken_disk_leaves_no_half_of_anything() {
    let scratch = Scratch::new();
    let store = DiskStore::open(&scratch.file()).unwrap();
    Runtime::new().unwrap().block_on(async {
        put(&store, "/a", "one").await;
        store.break_disk(true);
        let first = store.commit(Commit::put("/a", Require::Nothing, "two")).await;
        assert!(
            matches!(first, Err(StoreError::Unknown { .. } | StoreError::Unwritable { .. })),
            "{first:?}"
        );
        pause().await;
        let second = store.commit(Commit::put("/a", Require::Nothing, "three")).await;
        assert!(matches!(second, Err(StoreError::Unwritable { .. })), "{second:?}");
        assert_eq!(&store.get("/a").await.unwrap().unwrap().value[..], b"one");
        store.break_disk(false);
        pause().await;
        assert_eq!(put(&store, "/a", "four").await, 2);
    });
    drop(store);
    let store = DiskStore::open(&scratch.file()).unwrap();
    assert_eq!(&contents(&store)[0].value[..], b"four");
}

/// Fails at every single operation of a commit in turn: what the store then says is what the file holds.
#[test]
fn a_disk_that_fails_at_any_moment_keeps_the_file_and_the_memory_alike() {
    let scratch = Scratch::new();
    let store = DiskStore::open(&scratch.file()).unwrap();
    let (mut refused, mut unknown) = (0, 0);
    Runtime::new().unwrap().block_on(async {
        let mut value = "none".to_owned();
        put(&store, "/a", &value).await;
        for operations in 0.. {
            pause().await;
            let next = format!("{operations}").repeat(1_000);
            store.fail_after(operations);
            let result = store.commit(Commit::put("/a", Require::Nothing, next.clone())).await;
            let failed = store.has_failed();
            let found = store.get("/a").await.unwrap().unwrap().value;
            match result {
                Ok(_) => value = next,
                Err(StoreError::Unknown { .. }) => {
                    unknown += 1;
                    value = if found == next { next } else { value };
                }
                Err(_) => refused += 1,
            }
            assert_eq!(found, value, "after {operations} operations");
            if !failed {
                break;
            }
        }
    });
    assert!(refused > 3 && unknown > 0, "{refused} refused, {unknown} unknown");
    let last = contents(&store);
    drop(store);
    assert_eq!(contents(&DiskStore::open(&scratch.file()).unwrap()), last);
}

/// A real file system that is full, where the test may mount one.
#[test]
fn a_full_file_system_becomes_writable_again_when_there_is_room() {
    let scratch = Scratch::new();
    let Some(mounted) = Mounted::new(&scratch) else {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    };
    let ballast = mounted.0.join("ballast");
    std::fs::write(&ballast, vec![1; 2_000_000]).unwrap();
    let path = mounted.0.join("store");
    let store = DiskStore::open(&path).unwrap();
    Runtime::new().unwrap().block_on(async {
        let made = fill(&store).await;
        let before = everything(&store).await;
        assert_eq!(before.len(), made);
        for _ in 0..3 {
            pause().await;
            assert!(matches!(store.commit(large(9_999)).await, Err(StoreError::NoSpace { .. })));
        }
        // A store on a full disk can be closed, opened and read.
        drop(store);
        assert_eq!(check(&path).unwrap().problem_count, 0);
        let store = DiskStore::open(&path).unwrap();
        assert_eq!(everything(&store).await, before);
        assert!(matches!(store.commit(large(9_999)).await, Err(StoreError::NoSpace { .. })));
        std::fs::remove_file(&ballast).unwrap();
        pause().await;
        expect(store.commit(large(9_999)).await);
        assert_eq!(everything(&store).await.len(), made + 1);
    });
    assert_eq!(check(&path).unwrap().problem_count, 0);
}

struct Mounted(PathBuf);

impl Mounted {
    fn new(scratch: &Scratch) -> Option<Self> {
        let path = scratch.0.join("small");
        std::fs::create_dir(&path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&path).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
