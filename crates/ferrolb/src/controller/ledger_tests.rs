//! The ledger alone: what it is told, what it decides, and what happens in between.

use serde_json::{Value, json};

use super::*;
use crate::controller::service::Whole;

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("default", name)
}

fn service(name: &str, version: u64, addresses: &[&str]) -> Value {
    let ingress: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip, "ipMode": "VIP"})).collect();
    let mut annotations = json!({});
    if !addresses.is_empty() {
        annotations["metallb.io/ip-allocated-from-pool"] = "pool".into();
    }
    json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "resourceVersion": version.to_string(),
            "annotations": annotations,
        },
        "spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "clusterIP": "10.0.0.1", "ports": [{"port": 80}]},
        "status": {"loadBalancer": {"ingress": ingress}},
    })
}

fn seen(object: Value) -> Seen {
    let whole: Whole = serde_json::from_value(object).unwrap();
    Seen::of(whole).unwrap()
}

fn pools(addresses: &str) -> BTreeMap<String, Pool> {
    let pool = api::metallb::IPAddressPool::new(
        "pool",
        api::metallb::IPAddressPoolSpec { addresses: vec![addresses.to_owned()], ..Default::default() },
    );
    let objects = api::parse::Objects { pools: vec![pool], ..Default::default() };
    let parsed = api::parse::parse(objects, &api::parse::View::everything("n"));
    parsed.config.pools
}

fn ledger(addresses: &str) -> Ledger {
    let mut ledger = Ledger::new(Options::default());
    ledger.set_pools(pools(addresses));
    ledger
}

/// What is begun to be written, as names and addresses.
fn written(ledger: &mut Ledger) -> Vec<(Task, String)> {
    let tasks = std::iter::from_fn(|| ledger.next());
    let text = |task: Task| {
        let addresses: Vec<String> = task.write.ingress.iter().map(ToString::to_string).collect();
        let text = format!("{} {}", task.key.name, addresses.join(","));
        (task, text)
    };
    tasks.map(text).collect()
}

fn texts(written: &[(Task, String)]) -> Vec<&str> {
    written.iter().map(|(_, text)| text.as_str()).collect()
}

#[test]
fn who_holds_an_address_comes_before_who_wants_one() {
    let mut ledger = Ledger::new(Options::default());
    ledger.observe(&key("a"), seen(service("a", 1, &[])), true);
    ledger.observe(&key("z"), seen(service("z", 2, &["192.0.2.0"])), true);
    assert!(ledger.decide().is_empty(), "nothing without pools");
    assert!(ledger.next().is_none());
    ledger.set_pools(pools("192.0.2.0/31"));
    ledger.decide();
    assert_eq!(texts(&written(&mut ledger)), ["a 192.0.2.1"]);
}

#[test]
fn an_address_stays_while_it_is_written_whatever_is_seen_meanwhile() {
    let mut ledger = ledger("192.0.2.0/30");
    ledger.observe(&key("a"), seen(service("a", 1, &[])), false);
    ledger.observe(&key("b"), seen(service("b", 2, &[])), false);
    assert!(ledger.decide().is_empty(), "what is not written yet is not said");
    let tasks = written(&mut ledger);
    assert_eq!(texts(&tasks), ["a 192.0.2.0", "b 192.0.2.1"]);

    // The first address becomes free, and b is seen once more as it was, with a label.
    ledger.forget(&key("a"));
    let mut labelled = service("b", 3, &[]);
    labelled["metadata"]["labels"] = json!({"new": "label"});
    ledger.observe(&key("b"), seen(labelled.clone()), false);
    ledger.decide();
    assert_eq!(texts(&written(&mut ledger)), Vec::<&str>::new(), "one write at a time");

    let fresh = Arc::new(seen(labelled));
    assert!(ledger.written(&tasks[1].0, Written::Changed(fresh)).is_none());
    ledger.decide();
    let again = written(&mut ledger);
    assert_eq!(texts(&again), ["b 192.0.2.1"], "the same address, on the newer Service");
    assert_eq!(again[0].0.seen.version, Some(3));
    let said = ledger.written(&again[0].0, Written::Done(Arc::new(seen(service("b", 4, &["192.0.2.1"])))));
    let said: Vec<String> = said.unwrap().events.into_iter().map(|event| event.message).collect();
    assert_eq!(said, [r#"Assigned IP ["192.0.2.1"]"#]);
    ledger.decide();
    assert!(ledger.next().is_none());
}

#[test]
fn events_that_come_late_or_twice_change_nothing() {
    let mut ledger = ledger("192.0.2.0/30");
    ledger.observe(&key("a"), seen(service("a", 1, &[])), false);
    ledger.decide();
    let tasks = written(&mut ledger);
    ledger.written(&tasks[0].0, Written::Done(Arc::new(seen(service("a", 5, &["192.0.2.0"])))));
    for version in [1, 3, 5] {
        ledger.observe(&key("a"), seen(service("a", version, &[])), false);
        ledger.observe(&key("a"), seen(service("a", version, &[])), true);
    }
    ledger.decide();
    assert!(ledger.next().is_none());
    assert_eq!(ledger.counters()["pool"].assigned_v4, 1);
    // A list that is older, after another list: the history was set back.
    ledger.listed();
    ledger.observe(&key("a"), seen(service("a", 2, &[])), true);
    ledger.decide();
    assert_eq!(texts(&written(&mut ledger)), ["a 192.0.2.0"]);
}

#[test]
fn another_service_of_the_same_name_is_another_service() {
    let mut ledger = ledger("192.0.2.0/31");
    ledger.observe(&key("a"), seen(service("a", 1, &[])), false);
    ledger.decide();
    let tasks = written(&mut ledger);
    let mut other = service("a", 4, &[]);
    other["metadata"]["uid"] = "other".into();
    ledger.observe(&key("a"), seen(other), false);
    assert!(ledger.written(&tasks[0].0, Written::Gone).is_none());
    ledger.decide();
    let again = written(&mut ledger);
    assert_eq!(texts(&again), ["a 192.0.2.0"]);
    assert_eq!(again[0].0.seen.uid, "other");
}

#[test]
fn who_waits_is_told_once_and_gets_what_becomes_free() {
    let mut ledger = ledger("192.0.2.0/32");
    ledger.observe(&key("a"), seen(service("a", 1, &["192.0.2.0"])), false);
    ledger.observe(&key("b"), seen(service("b", 2, &[])), false);
    ledger.observe(&key("c"), seen(service("c", 3, &[])), false);
    let said = ledger.decide();
    assert_eq!(said.len(), 2, "{said:?}");
    ledger.forget(&key("a"));
    assert!(ledger.decide().is_empty(), "c is told nothing that it was not told before");
    assert_eq!(texts(&written(&mut ledger)), ["b 192.0.2.0"]);
}

#[test]
fn a_write_that_failed_is_made_again_when_it_may() {
    let mut ledger = ledger("192.0.2.0/30");
    ledger.observe(&key("a"), seen(service("a", 1, &[])), false);
    ledger.decide();
    let tasks = written(&mut ledger);
    ledger.written(&tasks[0].0, Written::Failed);
    ledger.decide();
    assert!(ledger.next().is_none(), "not before it may");
    ledger.resume(&key("a"));
    ledger.decide();
    assert_eq!(texts(&written(&mut ledger)), ["a 192.0.2.0"]);
}

#[test]
fn pools_that_go_while_it_is_written_take_the_address_along() {
    let mut ledger = ledger("192.0.2.0/30");
    ledger.observe(&key("a"), seen(service("a", 1, &[])), false);
    ledger.decide();
    let tasks = written(&mut ledger);
    ledger.set_pools(pools("198.51.100.0/30"));
    ledger.written(&tasks[0].0, Written::Done(Arc::new(seen(service("a", 2, &["192.0.2.0"])))));
    ledger.decide();
    assert_eq!(texts(&written(&mut ledger)), ["a 198.51.100.0"]);
}
