use super::all;

#[test]
fn there_is_one_manifest_for_each_kind() {
    let names: Vec<_> =
        all().iter().map(|crd| crd["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "bfdprofiles.metallb.io",
            "bgpadvertisements.metallb.io",
            "bgppeers.metallb.io",
            "communities.metallb.io",
            "configurationstates.metallb.io",
            "ipaddresspools.metallb.io",
            "l2advertisements.metallb.io",
            "servicebgpstatuses.metallb.io",
            "servicel2statuses.metallb.io",
            "bgpsessionstates.frrk8s.metallb.io",
            "frrconfigurations.frrk8s.metallb.io",
            "frrk8sconfigurations.frrk8s.metallb.io",
            "frrnodestates.frrk8s.metallb.io",
        ]
    );
}
