//! A process that is killed at any moment: what it was told is made is there, and all else is whole.
//! `FERROLB_CRASH_ROUNDS` says how often, for more than the few rounds of an ordinary run.

use super::*;
use crate::store::{Change, Write};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS_VARIABLE: &str = "FERROLB_CRASH_ROUNDS";
const FILE_VARIABLE: &str = "FERROLB_CRASH_FILE";
const WRITERS: usize = 8;
const KEYS: u64 = 40;

#[test]
fn a_killed_process_has_lost_nothing_that_it_acknowledged() {
    let rounds = std::env::var(ROUNDS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let started = Instant::now();
    let scratch = Scratch::new();
    let mut acknowledged = BTreeMap::new();
    for round in 0..rounds.unwrap_or(15_u64) {
        if rounds.is_none() && started.elapsed() > Duration::from_secs(20) {
            break;
        }
        // The first moments, in which the file is made, are as good to be killed in as the later ones.
        let milliseconds = if round % 3 == 0 { round % 40 } else { 30 + (round * 7_919) % 400 };
        acknowledge(&scratch.file(), Duration::from_millis(milliseconds), &mut acknowledged);
        compare(&scratch.file(), &acknowledged, round);
    }
    assert!(!acknowledged.is_empty(), "no round got as far as a commit");
}

/// Runs a writer, kills it after a while and notes what it was told is made: per pair of keys the
/// number of the last commit.
fn acknowledge(path: &Path, wait: Duration, acknowledged: &mut BTreeMap<String, u64>) {
    let mut child = spawn(path);
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = output.lines();
    if wait > Duration::from_millis(25) {
        // Under load: not before the writer has begun to write.
        let begun = lines.by_ref().map_while(Result::ok).find(|line| line.ends_with("begins"));
        assert!(begun.is_some(), "the writer has not begun: {:?}", child.wait());
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(wait);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        for line in lines.map_while(Result::ok) {
            // A line counts if it is whole: it ends with the number of its commit, twice.
            let mut words = line.split(' ');
            if let (Some("ack"), Some(key), Some(number), Some(again)) =
                (words.next(), words.next(), words.next(), words.next())
                && number == again
            {
                let number = number.parse().unwrap();
                let last = acknowledged.entry(key.into()).or_insert(number);
                *last = number.max(*last);
            }
        }
    });
}

fn compare(path: &Path, acknowledged: &BTreeMap<String, u64>, round: u64) {
    let store = DiskStore::open(path).unwrap_or_else(|error| panic!("round {round}: {error}"));
    let entries = contents(&store);
    let found: BTreeMap<&str, u64> = entries
        .iter()
        .map(|entry| {
            let number = u64::from_le_bytes(*entry.value.first_chunk().unwrap());
            assert!(entry.value[8..].iter().all(|&byte| byte == number as u8), "round {round}: torn");
            (&*entry.key, number)
        })
        .collect();
    for (key, number) in acknowledged {
        let (left, right) = (format!("/left/{key}"), format!("/right/{key}"));
        let at_left = found.get(&*left).copied();
        assert!(at_left >= Some(*number), "round {round}: {key} is at {at_left:?}, not {number}");
        assert_eq!(at_left, found.get(&*right).copied(), "round {round}: half of a commit");
    }
    for (key, number) in &found {
        let other = key.replace("/left/", "/right/");
        assert_eq!(found.get(&*other), Some(number), "round {round}: half of a commit");
    }
}

fn spawn(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "store::tests::crash::writer"])
        .env(FILE_VARIABLE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The process that is killed; a test that passes at once unless the test above started it.
#[test]
fn writer() {
    let Some(path) = std::env::var_os(FILE_VARIABLE) else { return };
    let store = Arc::new(DiskStore::open(Path::new(&path)).unwrap());
    Runtime::new().unwrap().block_on(async {
        println!("\nbegins");
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write_forever(Arc::clone(&store), writer));
        }
        writers.join_all().await;
    });
}

async fn write_forever(store: Arc<DiskStore>, writer: usize) {
    let first = store.opened().revision;
    for number in first.. {
        let key = format!("{writer}-{}", number % KEYS);
        let mut value = number.to_le_bytes().to_vec();
        value.resize(8 + (number as usize * 37) % 3_000, number as u8);
        let change = |side: &str| Change {
            key: format!("/{side}/{key}").into(),
            require: Require::Nothing,
            write: Write::Put(value.clone().into()),
        };
        expect(store.commit(Commit { changes: vec![change("left"), change("right")] }).await);
        println!("ack {key} {number} {number}");
    }
}
