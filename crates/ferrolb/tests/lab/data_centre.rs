//! The network of a lab, and what can be broken of it.

use ferrolb::lab::{Cut, Family, Options};

use crate::site::{Site, at, eventually, message, options};

#[test]
fn members_reach_each_other_on_every_segment_and_the_api_server_by_management() {
    let Some(options) = options() else { return };
    let site = Site::up(Options {
        family: Family::Dual,
        second_segment: true,
        has_speakers: false,
        is_on_disk: true,
        ..options
    });
    for (from, to) in [
        ("client", "10.10.0.13"),
        ("client", "fd00:10:10::11"),
        ("router", "10.10.0.12"),
        ("node-1", "10.10.0.12"),
        ("3", "fd00:10:10::12"),
    ] {
        assert!(site.ask_udp(from, at(to, 7000)).is_some(), "{from} to {to}");
    }
    assert_eq!(site.ask_http("2", at("10.10.0.13", 80)).unwrap(), "node=node-3 client=10.10.0.12");
    // Nobody serves there, but the host answers, and that by the second segment alone.
    let seen = site.lab.capture("node-2", "eth1", "arp").unwrap();
    site.output("client", "ip", &["route", "get", "10.20.0.12"]);
    assert!(site.ask_udp("client", at("10.20.0.12", 7000)).is_none());
    assert!(seen.wait_for(|frame| frame.contains("who-has 10.20.0.12"), crate::site::DEADLINE).is_some());
    // A node and its API server, and the host and the same.
    let named = |output: &str| ["node-1", "node-2", "node-3"].iter().all(|name| output.contains(name));
    let reached = site.lab.inside("node-1", || std::net::TcpStream::connect("10.30.0.1:6443"));
    assert!(reached.is_ok(), "{reached:?}");
    let kubeconfig = std::fs::read_to_string(site.lab.kubeconfig()).unwrap();
    assert!(kubeconfig.contains("https://127.0.0.1:"));
    assert!(named(&site.get("/api/v1/nodes").to_string()));
    assert!(site.lab.kubeconfig().with_file_name("store.redb").exists());
}

#[test]
fn a_cut_member_is_cut_off_until_it_is_restored() {
    let Some(options) = options() else { return };
    let site = Site::up(Options { has_speakers: false, ..options });
    let reaches = |from: &str, to: &str| site.ask_udp(from, at(to, 7000)).is_some();
    let sees_carrier = || site.run("node-1", "cat", &["/sys/class/net/eth0/carrier"]).trim() == "1";
    assert!(reaches("client", "10.10.0.11") && sees_carrier());

    site.lab.cut("1", Cut::Cable).unwrap();
    assert!(!sees_carrier() && !reaches("client", "10.10.0.11") && reaches("client", "10.10.0.12"));
    site.lab.restore("1").unwrap();
    eventually("the cable is back", || reaches("client", "10.10.0.11"));

    site.lab.cut("1", Cut::Silent).unwrap();
    assert!(sees_carrier() && !reaches("client", "10.10.0.11") && !reaches("node-1", "10.10.0.12"));
    site.lab.restore("1").unwrap();
    eventually("frames are passed again", || reaches("client", "10.10.0.11"));

    let asks_api = || site.lab.inside("1", connect_to_api).is_ok();
    assert!(asks_api());
    site.lab.cut("1", Cut::Management).unwrap();
    assert!(!asks_api() && reaches("client", "10.10.0.11"));
    site.lab.restore("1").unwrap();
    eventually("the API server is back", asks_api);

    assert!(message(site.lab.cut("switch", Cut::Management)).contains("switch is not a node"));
    assert!(
        message(site.lab.cut("node-9", Cut::Cable))
            .starts_with("there is no member node-9 in the lab: node-1")
    );
}

fn connect_to_api() -> std::io::Result<()> {
    let api = "10.30.0.1:6443".parse().unwrap();
    std::net::TcpStream::connect_timeout(&api, std::time::Duration::from_millis(300)).map(drop)
}

#[test]
fn groups_of_a_partition_do_not_hear_each_other() {
    let Some(options) = options() else { return };
    let site = Site::up(Options { has_speakers: false, ..options });
    let reaches = |from: &str, to: &str| site.ask_udp(from, at(to, 7000)).is_some();
    let groups = |text: &[&[&str]]| -> Vec<Vec<String>> {
        text.iter().map(|group| group.iter().map(|name| (*name).to_owned()).collect()).collect()
    };
    site.lab.partition(&groups(&[&["1", "2"], &["3"]])).unwrap();
    assert!(reaches("1", "10.10.0.12") && !reaches("1", "10.10.0.13") && !reaches("3", "10.10.0.12"));
    assert!(reaches("client", "10.10.0.13") && reaches("client", "10.10.0.11"));
    site.lab.partition(&groups(&[&["1"], &["2", "client"]])).unwrap();
    assert!(
        !reaches("client", "10.10.0.11") && reaches("client", "10.10.0.12") && reaches("1", "10.10.0.13")
    );
    assert_eq!(site.lab.status().partition, groups(&[&["node-1"], &["client", "node-2"]]));
    site.lab.partition(&[]).unwrap();
    eventually("all hear all", || reaches("client", "10.10.0.11") && reaches("1", "10.10.0.12"));
}

#[test]
fn thirty_nodes_are_a_lab_too() {
    let Some(options) = options() else { return };
    let site = Site::up(Options { nodes: 30, has_speakers: false, ..options });
    assert!(site.ask_udp("client", at("10.10.0.40", 7000)).is_some_and(|answer| answer == "node-30 hello"));
    assert_eq!(site.get("/api/v1/nodes")["items"].as_array().unwrap().len(), 30);
}
