//! Networks that fall apart: who answers on which side, and who does when they come together again.

use std::net::{IpAddr, SocketAddr};

use ferrolb::lab::{Cut, Options};
use serde_json::{Value, json};

use crate::site::{Site, eventually, options, others, site_with_pool, stays};

fn site(options: Options) -> (Site, IpAddr, String) {
    let site = site_with_pool(options);
    let address = site.service("web", &json!({}))[0];
    let owner = site.owner("web");
    eventually("an answer", || site.ask_http("client", SocketAddr::new(address, 80)).is_some());
    (site, address, owner)
}

#[test]
fn a_node_that_was_cut_off_comes_back_as_the_only_one() {
    let Some(options) = options() else { return };
    let (site, address, owner) = site(options);
    for cut in [Cut::Silent, Cut::Cable] {
        site.lab.cut(&owner, cut).unwrap();
        eventually("another one answers", || {
            site.who_has(address).is_some_and(|node| others(&owner).contains(&node.as_str()))
        });
        site.lab.restore(&owner).unwrap();
        eventually("it answers alone", || site.all_who_have(address) == std::slice::from_ref(&owner));
        assert_eq!(site.who_has(address).as_ref(), Some(&owner), "and clients have learnt it");
    }
}

#[test]
fn behind_a_fence_nobody_takes_over_from_a_node_that_may_still_answer() {
    let Some(options) = options() else { return };
    let fence = ["--fence=lease", "--fence-duration=3s"].map(str::to_owned);
    let (site, address, owner) = site(Options { speaker_arguments: fence.into(), ..options });
    let lease = |node: &str| -> Value {
        let path = "/apis/coordination.k8s.io/v1/namespaces/metallb-system/leases";
        site.get(&format!("{path}/ferrolb-speaker-{node}"))["spec"].clone()
    };
    assert_eq!(lease(&owner)["holderIdentity"], owner.as_str());
    // The others do not hear it, and it renews its Lease all the same.
    site.lab.cut(&owner, Cut::Silent).unwrap();
    let log = || site.lab.speaker_log(others(&owner)[0]).unwrap();
    eventually("it is missed", || log().contains("its Lease has to be over"));
    let renewed = lease(&owner)["renewTime"].clone();
    eventually("it renews its Lease", || lease(&owner)["renewTime"] != renewed);
    stays("nobody else answers", || site.all_who_have(address).is_empty());
    assert_eq!(site.announcers("web"), std::slice::from_ref(&owner));
    site.lab.restore(&owner).unwrap();
    eventually("it answers again", || site.all_who_have(address) == std::slice::from_ref(&owner));
    // One that does not run does not renew.
    site.lab.kill_speaker(&owner).unwrap();
    let next = site.owner_among("web", &others(&owner));
    let by = lease(&owner)["holderIdentity"].as_str().unwrap_or_default().to_owned();
    assert!(by.starts_with("fenced by "), "{next}: {by}");
    site.lab.start_speaker(&owner).unwrap();
    site.owner_among("web", &[&owner]);
    assert_eq!(lease(&owner)["holderIdentity"], owner.as_str());
}
