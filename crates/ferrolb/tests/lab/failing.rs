//! Nodes that fail, hang, and are taken out of service: who answers meanwhile, as seen from the network.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferrolb::lab::traffic::{Protocol, Questions};
use serde_json::{Value, json};

use crate::site::{DEADLINE, Site, eventually, options, others, site_with_pool as site};

/// Much more than it should take, for machines that have much else to do.
const SOON: Duration = Duration::from_secs(2);

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
    eventually("both others watch over it", || {
        let seen = members(&site, &owner);
        let sessions = seen["watchedBy"].as_array().cloned().unwrap_or_default();
        sessions.iter().filter(|it| it["isUp"] == true && it["received"].as_u64() > Some(0)).count() == 2
    });
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
    eventually("it is shown to be down", || of_owner(&members(&site, &next))["state"] == "down");
    let tokens = site.lab.kubeconfig().with_file_name("tokens.csv");
    let tokens = std::fs::read_to_string(tokens).unwrap();
    let header = format!("Authorization: Bearer {}", tokens.split(',').next().unwrap());
    let metrics = site.run(&next, "curl", &["-sk", "-H", &header, "https://127.0.0.1:9120/metrics"]);
    for series in [
        "ferrolb_member_detection_seconds_count 1",
        "ferrolb_member_takeover_seconds_count 1",
        r#"ferrolb_members{state="alive"} 2"#,
        r#"ferrolb_members{state="down"} 1"#,
        "ferrolb_member_isolated 0",
        "ferrolb_member_may_answer 1",
    ] {
        assert!(metrics.lines().any(|line| line == series), "{series}: {metrics}");
    }
    site.lab.start_speaker(&owner).unwrap();
    site.owner_among("web", &[&owner]);
    eventually("it is shown to be back", || of_owner(&members(&site, &next))["state"] == "alive");
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
    let address = site.service("web", &json!({}))[0].to_string();
    let first = site.owner("web");
    site.lab.kill_speaker(&first).unwrap();
    let second = site.owner_among("web", &others(&first));
    site.lab.freeze(&second).unwrap();
    let frozen = Instant::now();
    let left: Vec<_> = others(&first).into_iter().filter(|node| *node != second).collect();
    site.owner_among("web", &left);
    eprintln!("its successor is everywhere after {} ms", frozen.elapsed().as_millis());
    site.lab.start_speaker(&first).unwrap();
    site.owner_among("web", &[&first]);
    // What waits for the one that is stopped, which has it that the address is its own and does not know of the first.
    let own = station(&site, &second);
    let ask = || {
        let asked = site.output("client", "arping", &["-b", "-c", "2", "-w", "2", "-I", "eth0", &address]);
        String::from_utf8_lossy(&asked.stdout).to_lowercase()
    };
    assert!(!ask().contains(&own), "it is stopped");
    let seen = site.lab.capture("client", "eth0", "arp").unwrap();
    site.lab.resume(&second).unwrap();
    ask();
    eventually("it takes part again", || members(&site, &second)["own"]["state"] == "alive");
    ask();
    let lines = seen.lines();
    let old = lines.iter().find(|line| line.contains(&format!("{own} > ")) && line.contains(&address));
    assert_eq!(old, None, "{lines:#?}");
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
