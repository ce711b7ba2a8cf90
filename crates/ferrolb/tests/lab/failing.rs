//! Nodes that fail, hang, and are taken out of service: who answers meanwhile, as seen from the network.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferrolb::lab::Options;
use ferrolb::lab::traffic::{Protocol, Questions};
use serde_json::{Value, json};

use crate::site::{DEADLINE, Site, eventually, options};

/// Much more than it should take, for machines that have much else to do.
const SOON: Duration = Duration::from_secs(2);

fn site(options: Options) -> Site {
    let site = Site::up(options);
    site.pool("pool", &["10.10.100.0/24"]);
    site.advertisement("all", &json!({}));
    site
}

fn others(owner: &str) -> Vec<&'static str> {
    ["node-1", "node-2", "node-3"].into_iter().filter(|node| *node != owner).collect()
}

fn station(site: &Site, node: &str) -> String {
    site.lab.member(node).unwrap().interfaces[0].mac.clone()
}

/// What the speaker of a node knows of members.
fn members(site: &Site, node: &str) -> Value {
    let program = env!("CARGO_BIN_EXE_ferrolb");
    serde_json::from_str(&site.run(node, program, &["members", "-o", "json"])).unwrap()
}

/// Reasons and messages of all events of this kind of object.
fn events_of(site: &Site, kind: &str) -> Vec<(String, String, String)> {
    let all = site.get("/api/v1/namespaces/default/events");
    let items = all["items"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = items.iter().filter(|it| it["involvedObject"]["kind"] == kind);
    of.map(|it| (text(&it["involvedObject"]["name"]), text(&it["reason"]), text(&it["message"]))).collect()
}

fn time_of(line: &str) -> f64 {
    line.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or_default()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn a_speaker_that_dies_is_replaced_at_once_and_it_is_told_how_long_it_took() {
    let Some(options) = options() else { return };
    let site = site(options);
    let address = site.service("web", &json!({}))[0];
    let owner = site.owner("web");
    let seen = site.lab.capture("client", "eth0", "arp").unwrap();
    let killed_at = now();
    site.lab.kill_speaker(&owner).unwrap();
    let claim = format!("tell {address}");
    let is_claim = |line: &str| {
        time_of(line) > killed_at
            && line.contains(&claim)
            && others(&owner).iter().any(|node| line.contains(&station(&site, node)))
    };
    let line = seen.wait_for(is_claim, DEADLINE).expect("somebody takes it over");
    let took = time_of(&line) - killed_at;
    eprintln!("the first frame came {:.0} ms after the speaker was killed", took * 1000.0);
    assert!(took < SOON.as_secs_f64(), "{took} s: {line}");
    let next = site.owner_among("web", &others(&owner));
    eventually("the Service is told", || {
        let events = site.events("web", "takenOver");
        let begin = format!("taken over by node {next:?} because node {owner:?} is down");
        events.iter().any(|it| it.starts_with(&begin) && it.contains("; announced "))
    });
    eventually("the Node is told", || {
        let events = events_of(&site, "Node");
        events.iter().any(|(name, reason, _)| *name == owner && reason == "nodeDown")
    });
    let of_owner = |seen: &Value| {
        let members = seen["members"].as_array().cloned().unwrap_or_default();
        members.into_iter().find(|it| it["node"] == *owner).unwrap_or_default()
    };
    assert_eq!(of_owner(&members(&site, &next))["state"], "down");
    site.lab.start_speaker(&owner).unwrap();
    site.owner_among("web", &[&owner]);
    assert_eq!(of_owner(&members(&site, &next))["state"], "alive");
}

#[test]
fn a_node_whose_address_comes_back_is_heard_again() {
    let Some(options) = options() else { return };
    let site = site(options);
    site.service("web", &json!({}));
    let owner = site.owner("web");
    let shown = site.run(&owner, "ip", &["-o", "-4", "addr", "show", "dev", "eth0"]);
    let address = shown.split_whitespace().nth(3).unwrap().to_owned();
    site.run(&owner, "ip", &["addr", "del", &address, "dev", "eth0"]);
    let next = others(&owner)[0];
    let state = || {
        let seen = members(&site, next);
        let known = seen["members"].as_array().unwrap().iter().find(|it| it["node"] == *owner).cloned();
        known.unwrap_or_default()["state"].clone()
    };
    eventually("it is missed", || state() == "down");
    site.run(&owner, "ip", &["addr", "add", &address, "dev", "eth0"]);
    eventually("it is heard", || state() == "alive");
    site.owner_among("web", &[&owner]);
}

#[test]
fn a_process_that_was_stopped_says_nothing_old_when_it_goes_on() {
    let Some(options) = options() else { return };
    let site = site(options);
    let address = site.service("web", &json!({}))[0];
    let owner = site.owner("web");
    let own = station(&site, &owner);
    site.lab.freeze(&owner).unwrap();
    let frozen = Instant::now();
    site.owner_among("web", &others(&owner));
    eprintln!("its successor is everywhere after {} ms", frozen.elapsed().as_millis());
    // Questions that wait for the one that is stopped.
    let text = address.to_string();
    let asked = site.output("client", "arping", &["-b", "-c", "3", "-w", "3", "-I", "eth0", &text]);
    assert!(!String::from_utf8_lossy(&asked.stdout).to_lowercase().contains(&own), "it is stopped");
    let seen = site.lab.capture("client", "eth0", "arp").unwrap();
    site.lab.resume(&owner).unwrap();
    // It is the first in the order, and has the address back: by saying so, not by an answer to what was asked before.
    let is_own = |line: &str| line.contains(&format!("{own} > ")) && line.contains(&text);
    let first = seen.wait_for(is_own, DEADLINE).expect("it comes back");
    assert!(first.contains(&format!("tell {text}")), "{first}");
    site.owner_among("web", &[&owner]);
    let tokens = site.lab.kubeconfig().with_file_name("tokens.csv");
    let tokens = std::fs::read_to_string(tokens).unwrap();
    let header = format!("Authorization: Bearer {}", tokens.split(',').next().unwrap());
    let metrics = site.run(&owner, "curl", &["-sk", "-H", &header, "https://127.0.0.1:9120/metrics"]);
    let dropped =
        metrics.lines().find(|line| line.starts_with(r#"ferrolb_layer2_dropped_total{reason="gateClosed"}"#));
    assert!(dropped.is_some_and(|line| !line.ends_with(" 0")), "the answers were kept back: {dropped:?}");
}

#[test]
fn nobody_notices_when_a_node_is_drained_or_its_speaker_ends() {
    let Some(options) = options() else { return };
    let site = site(options);
    // One datagram each: a connection has more than one, and which backend the next one gets is not for a speaker to say.
    let ports = json!([{"port": 80, "protocol": "UDP"}]);
    let address = site.service("web", &json!({"ports": ports}))[0];
    let owner = site.owner("web");
    let to = SocketAddr::new(address, 80);
    eventually("an answer", || site.ask_udp("client", to).is_some());
    let traffic = site.lab.traffic("client", Questions::new(to, Protocol::Udp)).unwrap();
    let program = env!("CARGO_BIN_EXE_ferrolb");
    let kubeconfig = site.lab.kubeconfig().display().to_string();
    let drain = |arguments: &[&str]| {
        let output = std::process::Command::new(program)
            .args(["drain", &owner, "--kubeconfig", &kubeconfig])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    drain(&[]);
    let next = site.owner_among("web", &others(&owner));
    drain(&["--undo"]);
    site.owner_among("web", &[&owner]);
    site.lab.end_speaker(&owner).unwrap();
    site.owner_among("web", &[&next]);
    site.lab.start_speaker(&owner).unwrap();
    site.owner_among("web", &[&owner]);
    let report = traffic.finish().unwrap();
    assert_eq!(report.answered, report.asked, "{report:?}");
}
