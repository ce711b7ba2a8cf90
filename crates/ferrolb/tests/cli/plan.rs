use std::fmt::Write;

use serde_json::{Value, json};

use crate::{ferrolb, sample_cluster};

const POOL: &str = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: p, namespace: metallb-system}\n\
                    spec: {addresses: [192.0.2.0/31]}\n";

fn service(name: &str, extra_spec: &str, status: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{{port: 80}}]{extra_spec}}}\n{status}"
    )
}

fn held(address: &str) -> String {
    format!("status: {{loadBalancer: {{ingress: [{{ip: {address}}}]}}}}\n")
}

fn planned(extra: &[&str], cluster: &str) -> (i32, Value, String) {
    let mut arguments = vec!["plan", "-f", "-", "-o", "json"];
    arguments.extend(extra);
    let run = ferrolb(&arguments, cluster);
    (run.code, run.json(), run.stderr)
}

fn addresses(plan: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let assignments = plan["assignments"].as_array().expect("a list").iter();
    assignments
        .map(|it| (text(&it["service"]), it["ips"].as_array().expect("a list").iter().map(text).collect()))
        .collect()
}

#[test]
fn the_plan_has_one_shape() {
    let cluster = [POOL, &service("a", "", ""), &service("b", "", ""), &service("c", "", "")].concat();
    let (code, plan, stderr) = planned(&[], &cluster);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let assigned = |service: &str, ip: &str| {
        let message = format!("Assigned IP [\"{ip}\"]");
        json!({
            "service": service, "pool": "p", "ips": [ip],
            "events": [{"type": "Normal", "reason": "IPAllocated", "message": message}], "message": "",
        })
    };
    let failure = "Failed to allocate IP for \"default/c\": no available IPs";
    assert_eq!(
        plan,
        json!({
            "assignments": [
                assigned("default/a", "192.0.2.0"),
                assigned("default/b", "192.0.2.1"),
                {
                    "service": "default/c", "pool": "", "ips": [],
                    "events": [{"type": "Warning", "reason": "AllocationFailed", "message": failure}],
                    "message": failure,
                },
            ],
            "nodes": {},
        })
    );
}

#[test]
fn a_held_address_stays_whatever_stands_before_it() {
    let cluster = [POOL, &service("new", "", ""), &service("old", "", &held("192.0.2.0"))].concat();
    let (_, plan, _) = planned(&[], &cluster);
    let expected = [("default/new", "192.0.2.1"), ("default/old", "192.0.2.0")];
    assert_eq!(addresses(&plan), expected.map(|(name, ip)| (name.to_owned(), vec![ip.to_owned()])));
    assert_eq!(plan["assignments"][1]["events"], json!([]));
}

#[test]
fn the_class_decides_who_is_handled() {
    let cluster =
        [POOL, &service("a", "", ""), &service("b", ", loadBalancerClass: example.com/lb", "")].concat();
    let holders = |extra: &[&str]| {
        let (_, plan, _) = planned(extra, &cluster);
        let holders = addresses(&plan).into_iter().filter(|(_, ips)| !ips.is_empty());
        holders.map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(holders(&[]), ["default/a"]);
    assert_eq!(holders(&["--lb-class", "example.com/lb"]), ["default/b"]);
}

#[test]
fn a_broken_pool_freezes_the_cluster_and_loses_nothing() {
    let broken = POOL.replace("name: p,", "name: broken,").replace("192.0.2.0/31", "nonsense");
    let cluster =
        [POOL, "---\n", &broken, &service("new", "", ""), &service("old", "", &held("192.0.2.1"))].concat();
    let (code, plan, stderr) = planned(&[], &cluster);
    assert_eq!(code, 1);
    let expected =
        [("default/new".to_owned(), vec![]), ("default/old".to_owned(), vec!["192.0.2.1".to_owned()])];
    assert_eq!(addresses(&plan), expected);
    let text =
        r#"parsing address pool broken: invalid CIDR "nonsense" in pool "broken": invalid CIDR "nonsense""#;
    assert_eq!(plan["assignments"][0]["message"], format!("configuration error: {text}"));
    assert!(stderr.contains("IPAddressPool metallb-system/broken spec.addresses[0]"), "{stderr}");
}

#[test]
fn a_broken_peer_is_reported_and_stops_no_allocation() {
    let peer = "---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: b, namespace: metallb-system}\n\
                spec: {myASN: 1, peerASN: 2, peerAddress: x}\n";
    let (code, plan, stderr) = planned(&[], &[POOL, peer, &service("a", "", "")].concat());
    assert_eq!(code, 0);
    assert_eq!(addresses(&plan)[0].1, ["192.0.2.0"]);
    assert!(stderr.contains("BGPPeer metallb-system/b spec.peerAddress"), "{stderr}");
}

#[test]
fn of_two_services_with_one_name_the_later_stands() {
    let cluster = [POOL, &service("a", "", ""), &service("a", ", loadBalancerIP: 192.0.2.1", "")].concat();
    let (_, plan, _) = planned(&[], &cluster);
    assert_eq!(addresses(&plan), [("default/a".to_owned(), vec!["192.0.2.1".to_owned()])]);
}

#[test]
fn people_see_first_what_has_no_address() {
    let run = ferrolb(&["plan", "-f", &sample_cluster()], "");
    assert_eq!(run.code, 0);
    let first_lines: Vec<&str> = run.stdout.lines().take(3).map(str::trim).collect();
    assert_eq!(first_lines[0], "1 Service without an address");
    assert!(first_lines[2].starts_with("default/impossible"), "{}", run.stdout);
    assert!(run.stdout.contains("pool databases\n"), "{}", run.stdout);
    assert!(
        run.stderr.contains("error: BGPPeer metallb-system/router-2 spec.keepaliveTime"),
        "{}",
        run.stderr
    );
}

#[test]
fn ten_thousand_services_are_no_trouble() {
    let mut cluster = POOL.replace("192.0.2.0/31", "10.0.0.0/16");
    for index in 0..10_000 {
        write!(cluster, "{}", service(&format!("s{index}"), "", "")).expect("a String takes any text");
    }
    let (code, plan, _) = planned(&[], &cluster);
    assert_eq!(code, 0);
    let addresses = addresses(&plan);
    assert_eq!(addresses.last().expect("there are services").1, ["10.0.39.15"]);
}

#[test]
fn where_there_is_nothing_to_plan_the_table_says_so() {
    let run = ferrolb(&["plan", "-f", "-"], "");
    assert_eq!((run.code, run.stdout.as_str()), (0, "no pool and no Service of type LoadBalancer\n"));
}

#[test]
fn what_is_kept_for_a_service_that_is_gone_is_shown_and_given_to_nobody_else() {
    let entry = r#"{"addresses":["192.0.2.0"],"pool":"p","retain":"forever"}"#;
    let over = r#"{"addresses":["192.0.2.1"],"pool":"p","retain":"1h","until":"2020-01-01T00:00:00Z"}"#;
    let ledger = format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ferrolb-reservations, namespace: metallb-system}}\n\
         data: {{default.gone: '{entry}', default.over: '{over}'}}\n"
    );
    let cluster = [POOL, &service("a", "", ""), &service("b", "", ""), &ledger].concat();
    let (_, plan, _) = planned(&[], &cluster);
    let given = [("default/a".to_owned(), vec!["192.0.2.1".to_owned()]), ("default/b".to_owned(), vec![])];
    assert_eq!(addresses(&plan), given);
    let kept = json!([{"service": "default/gone", "pool": "p", "ips": ["192.0.2.0"], "until": null}]);
    assert_eq!(plan["kept"], kept);
    let table = ferrolb(&["plan", "-f", "-"], &cluster).stdout;
    assert!(table.contains("kept for Services that are gone"), "{table}");
}
