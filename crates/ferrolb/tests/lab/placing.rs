//! Addresses that stay where they are, and addresses that go where somebody wants them.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use ferrolb::lab::Options;
use serde_json::{Value, json};

use crate::site::{
    Site, eventually, options, others, resource_path, service_path, site_with_pool as site, stays,
};

const STICKY: &str = "ferrolb.io/sticky";
const BACK: &str = "ferrolb.io/failback-delay";

/// A Service with annotations that has its address at a node.
fn annotated(site: &Site, name: &str, annotations: &Value) -> String {
    site.waiting_service(name, &json!({"name": name, "annotations": annotations}), &json!({}));
    site.owner(name)
}

fn ferrolb(site: &Site, arguments: &[&str]) -> Output {
    command(site, arguments).output().unwrap()
}

fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrolb"));
    command.args(arguments).arg("--kubeconfig").arg(site.lab.kubeconfig());
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn an_address_that_is_sticky_stays_when_its_first_node_is_back_and_when_all_start_anew() {
    let Some(options) = options() else { return };
    let site = site(options);
    let first = annotated(&site, "web", &json!({STICKY: "true"}));
    site.lab.kill_speaker(&first).unwrap();
    let second = site.owner_among("web", &others(&first));
    site.lab.start_speaker(&first).unwrap();
    stays("the second node has it", || site.announcers("web") == std::slice::from_ref(&second));
    assert_eq!(site.owner("web"), second);

    let nodes = ["node-1", "node-2", "node-3"];
    nodes.iter().for_each(|node| site.lab.kill_speaker(node).unwrap());
    // The one that has it starts last.
    others(&second).iter().for_each(|node| site.lab.start_speaker(node).unwrap());
    site.lab.start_speaker(&second).unwrap();
    eventually("it answers", || site.owner("web") == second);
    stays("and goes on to", || site.announcers("web") == std::slice::from_ref(&second));

    // Nobody else does it then, so it goes where it belongs.
    site.patch(&service_path("web"), &json!({"metadata": {"annotations": {STICKY: null}}}));
    site.owner_among("web", &[&first]);
}

#[test]
fn an_address_goes_back_after_a_while() {
    let Some(options) = options() else { return };
    let site = site(options);
    let first = annotated(&site, "web", &json!({BACK: "4s"}));
    site.lab.kill_speaker(&first).unwrap();
    let second = site.owner_among("web", &others(&first));
    let begin = Instant::now();
    site.lab.start_speaker(&first).unwrap();
    eventually("it goes back", || site.announcers("web") == std::slice::from_ref(&first));
    assert!(begin.elapsed() > Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_ne!(site.owner("web"), second);
}

#[test]
fn a_service_moves_where_it_is_wanted_and_its_clients_do_not_notice() {
    let Some(options) = options() else { return };
    let site = site(options);
    let natural = annotated(&site, "web", &json!({}));
    let wanted = others(&natural)[0];
    let to = SocketAddr::new(site.addresses("web")[0], 80);
    eventually("an answer", || site.ask_http("client", to).is_some());
    let mut moving = command(&site, &["move", "default/web", "--to", wanted]);
    let moving = std::thread::spawn(move || moving.output().unwrap());
    let mut broken = 0;
    while !moving.is_finished() {
        broken += usize::from(site.ask_http("client", to).is_none());
    }
    assert!(
        broken <= 1,
        "{broken}: only that which is open at that moment, as its state is with the other node"
    );
    let moved = moving.join().unwrap();
    for _ in 0..20 {
        assert!(site.ask_http("client", to).is_some(), "also right after it");
    }
    assert!(moved.status.success(), "{}", said(&moved));
    assert!(said(&moved).contains(&format!("moved from {natural} to {wanted}")), "{}", said(&moved));
    site.owner_among("web", &[wanted]);
    let again = ferrolb(&site, &["move", "web", "--to", wanted]);
    assert!(said(&again).contains("as before"), "{}", said(&again));

    // As long as it is there.
    site.lab.kill_speaker(wanted).unwrap();
    site.owner_among("web", &[&natural]);
    site.lab.start_speaker(wanted).unwrap();
    site.owner_among("web", &[wanted]);

    assert!(ferrolb(&site, &["move", "default/web", "--release"]).status.success());
    site.owner_among("web", &[&natural]);

    for (arguments, message) in [
        (["move", "default/absent", "--to", wanted], "there is no Service default/absent"),
        (["move", "default/web", "--to", "absent"], "there is no Node absent"),
    ] {
        let output = ferrolb(&site, &arguments);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(message), "{}", said(&output));
    }
}

#[test]
fn no_node_has_many_more_addresses_than_others() {
    let Some(options) = options() else { return };
    let site = site(options);
    let path = resource_path("L2Advertisement", "all");
    site.patch(&path, &json!({"metadata": {"annotations": {"ferrolb.io/spread": "balanced"}}}));
    let names: Vec<String> = (0..12).map(|number| format!("web-{number}")).collect();
    for name in &names {
        site.waiting_service(name, &json!({"name": name}), &json!({}));
    }
    let most = || {
        let all: Vec<Vec<String>> = names.iter().map(|name| site.announcers(name)).collect();
        let is_whole = all.iter().all(|announcers| announcers.len() == 1);
        let count =
            |node: &str| all.iter().filter(|announcers| announcers.contains(&node.to_owned())).count();
        is_whole.then(|| ["node-1", "node-2", "node-3"].map(count).into_iter().max().unwrap_or_default())
    };
    eventually("each has one node, and no node many more", || most().is_some_and(|most| most <= 5));
    site.lab.kill_speaker("node-1").unwrap();
    eventually("so it is for those that are left", || {
        names.iter().all(|name| site.announcers(name) != ["node-1"]) && most().is_some_and(|most| most <= 8)
    });
    for name in &names {
        site.owner_among(name, &["node-2", "node-3"]);
    }
}

#[test]
fn an_annotation_that_means_nothing_is_told() {
    let Some(options) = options() else { return };
    let site = site(Options { nodes: 1, ..options });
    annotated(&site, "web", &json!({STICKY: "yes"}));
    let text = r#"annotation ferrolb.io/sticky is "yes", which is neither "true" nor "false""#;
    eventually("the event", || site.events("web", "placementIgnored").contains(&text.to_owned()));
}
