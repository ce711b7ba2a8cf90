//! A server is killed at random moments under mixed load, and each client holds what is there afterwards against its
//! own record: nothing acknowledged is missing, nothing else is half there.
//!
//! `FERROLB_CHAOS_ROUNDS` says how often it is killed, `FERROLB_CHAOS_SEED` repeats the choices of an earlier run.

mod api;
mod random;
mod server;
mod watcher;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use api::{Api, revision};
use random::Random;
use server::Server;
use watcher::Watcher;
use writer::{COUNTER, Shared, Writer, count};

/// Of a run that nobody asked to be longer.
const ROUNDS: u64 = 12;
const TIME: Duration = Duration::from_secs(25);
const WRITERS: u64 = 5;

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_any_kill_and_nothing_is_half_there() {
    let seed = from_environment("FERROLB_CHAOS_SEED").unwrap_or_else(Random::seed);
    let wanted_rounds = from_environment("FERROLB_CHAOS_ROUNDS");
    println!("FERROLB_CHAOS_SEED={seed}");
    let folder = std::env::temp_dir().join(format!("ferrolb-chaos-{}", std::process::id()));
    let data = folder.display().to_string();
    let (shared, mut random, began) = (Arc::new(Shared::default()), Random::new(seed), Instant::now());
    let mut writers: Vec<Writer> = (0..WRITERS).map(|number| Writer::new(number, seed, &shared)).collect();
    let mut watcher = Watcher::default();
    let mut counted = 0;
    let mut round = 0;
    loop {
        let server = Server::start(&data);
        let api = Api::new(&data).await;
        if round == 0 {
            let counter = json!({"metadata": {"name": "chaos-counter"}, "data": {"count": "0"}});
            let path = COUNTER.trim_end_matches("/chaos-counter");
            let (code, made) =
                api.ask(Method::POST, path, "application/json", Some(&counter)).await.expect("it answers");
            assert_eq!(code, 201, "{made}");
        }
        check(&api, &shared, &mut writers, &mut counted, &mut watcher).await;
        let is_enough = match wanted_rounds {
            Some(rounds) => round >= rounds,
            None => round >= ROUNDS || round > 1 && began.elapsed() > TIME,
        };
        if is_enough {
            server.kill();
            break;
        }
        let working: Vec<_> = writers.drain(..).map(|writer| tokio::spawn(writer.run(api.clone()))).collect();
        let watching = tokio::spawn(watcher.run(api));
        // The moment is to be anyone, so nothing is waited for.
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
        server.kill();
        for writer in working {
            writers.push(writer.await.expect("no answer was wrong"));
        }
        watcher = watching.await.expect("no event was wrong");
        round += 1;
    }
    let acknowledged = shared.acknowledged.lock().expect("no panic").clone();
    println!(
        "killed {round} times; acknowledged {acknowledged:?}, {counted} increments; \
         watch resumed {}, expired {}",
        watcher.resumed, watcher.expired
    );
    // A run of few changes proves less than it should, but not that anything is wrong.
    let kinds = ["create", "update", "merge", "strategic", "apply", "delete"];
    let is_long = acknowledged.values().sum::<u64>() >= 400;
    assert!(!acknowledged.is_empty() && (!is_long || kinds.iter().all(|it| acknowledged.contains_key(it))));
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_ferrolb"))
        .args(["apiserver", "check", "--data-dir", &data])
        .output()
        .expect("the binary runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let _ = std::fs::remove_dir_all(&folder);
}

/// Holds what is there against what everybody knows.
async fn check(api: &Api, shared: &Shared, writers: &mut [Writer], counted: &mut u64, watcher: &mut Watcher) {
    let (maps, services) = (list(api, "configmaps").await, list(api, "services").await);
    let newest = shared.newest.load(Ordering::Acquire);
    assert!(revision(&maps) >= newest, "told {newest} before, {} is the newest now", revision(&maps));
    let (maps_by_name, services_by_name) = (by_name(&maps, "ConfigMap"), by_name(&services, "Service"));
    for owned in writers.iter_mut().flat_map(|writer| &mut writer.owned) {
        let there = if owned.is_service { &services_by_name } else { &maps_by_name };
        owned.check(there.get(&owned.name));
    }

    let (mut holders, mut ports) = (BTreeMap::new(), BTreeSet::new());
    for (name, service) in &services_by_name {
        let address = service["spec"]["clusterIP"].as_str().expect("it has one").to_owned();
        let other = holders.insert(address, name.clone());
        assert_eq!(other, None, "it has the address of {service}");
        let port = service["spec"]["ports"][0]["nodePort"].as_u64();
        assert!(port.is_none_or(|port| ports.insert(port)), "another has the port of {service}");
    }
    *shared.holders.lock().expect("no panic") = holders;

    let is = count(&maps_by_name["chaos-counter"]);
    let acknowledged = *counted + shared.increments_acknowledged.swap(0, Ordering::Relaxed);
    let possible = acknowledged + shared.increments_unanswered.swap(0, Ordering::Relaxed);
    assert!((acknowledged..=possible).contains(&is), "{is} is not in {acknowledged}..={possible}");
    *counted = is;
    watcher.catch_up(api, &maps).await;
}

async fn list(api: &Api, plural: &str) -> Value {
    let path = format!("/api/v1/namespaces/default/{plural}");
    let (code, list) = api.get(&path).await.expect("the server is there");
    assert_eq!(code, 200, "{list}");
    list
}

/// The objects of a list as each would be answered alone.
fn by_name(list: &Value, kind: &str) -> BTreeMap<String, Value> {
    let items = list["items"].as_array().expect("it is a list").iter().cloned();
    let whole = items.map(|mut item| {
        (item["apiVersion"], item["kind"]) = ("v1".into(), kind.into());
        (item["metadata"]["name"].as_str().expect("it has a name").to_owned(), item)
    });
    whole.collect()
}
