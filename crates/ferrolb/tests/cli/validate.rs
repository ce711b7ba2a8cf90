use serde_json::{Value, json};

use crate::{Folder, ferrolb, sample_cluster};

fn judge(extra: &[&str], resources: &str) -> (i32, Value) {
    let mut arguments = vec!["validate", "-f", "-", "-o", "json"];
    arguments.extend(extra);
    let run = ferrolb(&arguments, resources);
    (run.code, run.json())
}

fn messages(report: &Value, list: &str) -> Vec<String> {
    let messages = report[list].as_array().expect("a list").iter();
    messages.map(|finding| finding["message"].as_str().expect("a text").to_owned()).collect()
}

const PEER: &str =
    "apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: p, namespace: metallb-system}\n";
const POOL: &str = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: pool, namespace: metallb-system}\n";

#[test]
fn the_report_has_one_shape() {
    let (code, report) = judge(&[], &format!("{PEER}spec: {{myASN: 1, peerAddress: x}}\n"));
    assert_eq!(code, 1);
    let finding = |field: &str, message: &str| json!({"kind": "BGPPeer", "namespace": "metallb-system", "name": "p", "field": field, "message": message});
    assert_eq!(
        report,
        json!({
            "valid": false,
            "errors": [
                finding("spec.peerASN", "parsing peer p missing peer ASN and dynamicASN"),
                finding("spec.peerAddress", "parsing peer p invalid BGPPeer address \"x\""),
            ],
            "warnings": [],
        })
    );
    let (code, report) =
        judge(&[], &format!("{PEER}spec: {{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}}\n"));
    assert_eq!((code, report), (0, json!({"valid": true, "errors": [], "warnings": []})));
    assert_eq!(judge(&[], ""), (0, json!({"valid": true, "errors": [], "warnings": []})));
}

#[test]
fn the_schema_speaks_first_and_the_parser_follows() {
    let (code, report) =
        judge(&[], &format!("{PEER}spec: {{myASN: 1, peerASN: 2, peerPort: 70000, routerID: x}}\n"));
    assert_eq!(code, 1);
    let found = messages(&report, "errors");
    assert_eq!(
        found[0],
        "spec.peerPort: Invalid value: 70000: spec.peerPort in body should be less than or equal to 16384"
    );
    assert_eq!(report["errors"][0]["field"], "spec.peerPort");

    let connect_time =
        format!("{PEER}spec: {{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, connectTime: 500ms}}\n");
    let found = messages(&judge(&[], &connect_time).1, "errors");
    assert!(
        found.iter().any(|text| text.ends_with("connect time should contain a whole number of seconds")),
        "{found:?}"
    );
}

#[test]
fn what_cannot_be_read_as_its_type_is_said_once() {
    let (code, report) =
        judge(&[], &format!("{PEER}spec: {{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 1d}}\n"));
    assert_eq!(code, 1);
    assert_eq!(messages(&report, "errors"), ["time: unknown unit \"d\" in duration \"1d\""]);
    assert_eq!(report["errors"][0]["field"], "spec.holdTime");

    let (_, report) = judge(&[], &format!("{POOL}spec: {{addresses: 10.0.0.0/24}}\n"));
    assert_eq!(
        messages(&report, "errors"),
        [
            "spec.addresses: Invalid value: \"string\": spec.addresses in body must be of type array: \"string\""
        ]
    );
}

#[test]
fn json_and_yaml_are_judged_alike() {
    let pool = |length: &str| {
        format!(
            r#"{{"apiVersion": "metallb.io/v1beta1", "kind": "BGPAdvertisement",
                "metadata": {{"name": "a", "namespace": "metallb-system"}}, "spec": {{"aggregationLength": {length}}}}}"#
        )
    };
    for length in ["32", "32.0", "3.2e1"] {
        assert_eq!(judge(&[], &pool(length)).0, 0, "{length}");
    }
    let (code, report) = judge(&[], &pool("-0"));
    assert_eq!(code, 1);
    assert_eq!(
        messages(&report, "errors")[0],
        "spec.aggregationLength: Invalid value: 0: spec.aggregationLength in body should be greater than or equal to 1"
    );
}

#[test]
fn metadata_that_the_api_server_completes_is_fine() {
    let pool = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {generateName: a-, namespace: metallb-system, \
                generation: -1, finalizers: [x]}\nspec: {addresses: [10.0.0.0/24]}\n";
    let (code, report) = judge(&[], pool);
    assert_eq!((code, messages(&report, "errors")), (0, vec![]));
    assert_eq!(
        messages(&report, "warnings")[0],
        "metadata.finalizers: \"x\": prefer a domain-qualified finalizer name to avoid accidental conflicts with other \
          finalizer writers"
    );
    let two = format!("{pool}---\n{}", pool.replace("10.0.0.0/24", "10.0.0.0/8"));
    assert_eq!(
        messages(&judge(&[], &two).1, "errors"),
        ["CIDR \"10.0.0.0/8\" in pool \"a-00002\" overlaps with already defined CIDR \"10.0.0.0/24\""]
    );
    let (_, report) = judge(&[], &pool.replace("generateName: a-, ", ""));
    assert_eq!(
        messages(&report, "errors")[0],
        "metadata.name: Required value: name or generateName is required"
    );
}

#[test]
fn a_status_is_not_for_users_to_give() {
    let pool =
        format!("{POOL}spec: {{addresses: [10.0.0.0/24]}}\nstatus: {{assignedIPv4: many, color: red}}\n");
    let (code, report) = judge(&[], &pool);
    assert_eq!((code, messages(&report, "errors")), (0, vec![]));
    assert_eq!(messages(&report, "warnings")[0], "unknown field \"status.color\"");
    assert_eq!(messages(&judge(&["--strict"], &pool).1, "errors"), ["unknown field \"status.color\""]);
}

#[test]
fn an_unknown_field_is_a_warning_or_with_strict_an_error() {
    let resources = format!(
        "{POOL}spec: {{addresses: [10.0.0.0/24], color: red}}\n---\napiVersion: v1\nkind: Service\n\
                             metadata: {{name: s}}\nspec: {{ports: [{{port: 80, prot: x}}]}}\n"
    );
    let (code, report) = judge(&[], &resources);
    assert_eq!(code, 0);
    assert_eq!(
        messages(&report, "warnings")[..2],
        ["unknown field \"spec.color\"", "unknown field \"spec.ports[0].prot\""]
    );
    let (code, report) = judge(&["--strict"], &resources);
    assert_eq!(code, 1);
    assert_eq!(
        messages(&report, "errors"),
        ["unknown field \"spec.color\"", "unknown field \"spec.ports[0].prot\""]
    );
}

#[test]
fn an_old_version_is_judged_as_the_new_one_with_a_warning() {
    let old = "apiVersion: metallb.io/v1beta1\nkind: BGPPeer\nmetadata: {name: p}\nspec: {myASN: 1, peerASN: 1, \
               peerAddress: 10.0.0.1, ebgpMultiHop: true}\n";
    let (code, report) = judge(&[], old);
    assert_eq!(code, 1);
    assert_eq!(
        messages(&report, "errors"),
        ["parsing peer p invalid ebgp-multihop parameter set for an ibgp peer"]
    );
    assert_eq!(
        messages(&report, "warnings"),
        ["metallb.io/v1beta1 BGPPeer: v1beta1 is deprecated, please use v1beta2"]
    );
}

#[test]
fn a_role_sees_what_concerns_it() {
    let cluster = format!(
        "{PEER}spec: {{myASN: 1, peerASN: 2, peerAddress: x, nodeSelectors: [{{matchLabels: {{rack: a}}}}]}}\n---\n\
         apiVersion: v1\nkind: Node\nmetadata: {{name: n1, labels: {{rack: a}}}}\n---\n\
         apiVersion: v1\nkind: Node\nmetadata: {{name: n2}}\n"
    );
    for (arguments, code) in [
        (&[][..], 1),
        (&["--node", "n1"], 1),
        (&["--node", "n2"], 0),
        (&["--role", "speaker", "--node", "n2"], 0),
        (&["--role", "controller"], 0),
    ] {
        assert_eq!(judge(arguments, &cluster).0, code, "{arguments:?}");
    }
    for arguments in
        [&["--node", "n3"][..], &["--role", "speaker"], &["--role", "controller", "--node", "n1"]]
    {
        let mut all = vec!["validate", "-f", "-"];
        all.extend(arguments);
        let run = ferrolb(&all, &cluster);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn the_namespace_can_be_another_one() {
    let pool = POOL.replace("metallb-system", "network") + "spec: {addresses: [10.0.0.0/24]}\n";
    let (code, report) = judge(&[], &pool);
    assert_eq!(code, 1);
    assert_eq!(messages(&report, "errors"), ["resource must be created in metallb-system namespace"]);
    assert_eq!(judge(&["--namespace", "network"], &pool).0, 0);
}

#[test]
fn a_resource_that_stands_twice_and_a_version_that_is_none_are_named() {
    let twice = format!(
        "{PEER}spec: {{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}}\n---\n\
                         {PEER}spec: {{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}}\n"
    );
    let (_, report) = judge(&[], &twice);
    assert_eq!(messages(&report, "warnings"), ["is defined twice, first at <stdin>:1:1"]);
    let (code, report) = judge(&[], &PEER.replace("v1beta2", "v7"));
    assert_eq!(code, 1);
    assert_eq!(messages(&report, "errors"), ["no matches for kind \"BGPPeer\" in version \"metallb.io/v7\""]);
}

#[test]
fn input_that_cannot_be_used_has_a_file_a_line_and_a_column() {
    let folder = Folder::new("unusable");
    let file = |name: &str, text: &str| {
        let path = folder.0.join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        path.display().to_string()
    };
    for (name, text, place) in [
        ("truncated.yaml", "a:\n  b: \"x\n", "3:1"),
        ("twice.yaml", "apiVersion: v1\nkind: Node\nkind: Node\n", "3:1"),
        ("scalar.yaml", "just text\n", "1:1"),
        ("kindless.yaml", "# a comment\napiVersion: v1\n", "2:1"),
        ("odd.yaml", "apiVersion: v1\nkind: 7\n", "1:1"),
    ] {
        let path = file(name, text);
        let run = ferrolb(&["validate", "-f", &path], "");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{name}");
        assert!(run.stderr.starts_with(&format!("error: {path}:{place}: ")), "{name}: {}", run.stderr);
    }
    assert_eq!(ferrolb(&["validate", "-f", "no-such-file.yaml"], "").code, 2);
    let empty = Folder::new("empty");
    assert_eq!(ferrolb(&["validate", "-f", &empty.path()], "").code, 2);
}

#[test]
fn a_folder_is_its_files_by_name_and_not_the_folders_in_it_unless_asked() {
    let folder = Folder::new("folder");
    let inner = folder.0.join("inner");
    std::fs::create_dir(&inner).expect("the folder is writable");
    let write = |path: std::path::PathBuf, name: &str, address: &str| {
        let text = POOL.replace("name: pool", &format!("name: {name}"))
            + &format!("spec: {{addresses: [{address}]}}\n");
        std::fs::write(path, text).expect("the folder is writable");
    };
    write(folder.0.join("a.yaml"), "a", "10.0.0.0/24");
    write(folder.0.join("b.json.txt"), "b", "nonsense");
    write(inner.join("c.yml"), "c", "nonsense");
    assert_eq!(ferrolb(&["validate", "-f", &folder.path()], "").code, 0);
    assert_eq!(ferrolb(&["validate", "-R", "-f", &folder.path()], "").code, 1);
}

#[test]
fn lists_are_unpacked_and_their_items_may_leave_out_their_type() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPoolList", "items": [
            {"metadata": {"name": "p", "namespace": "metallb-system"}, "spec": {"addresses": ["x"]}},
        ]},
    ]});
    let (code, report) = judge(&[], &list.to_string());
    assert_eq!(code, 1);
    assert_eq!(
        messages(&report, "errors"),
        [r#"parsing address pool p: invalid CIDR "x" in pool "p": invalid CIDR "x""#]
    );
}

#[test]
fn people_get_the_resource_the_field_and_the_place() {
    let run = ferrolb(&["validate", "-f", &sample_cluster()], "");
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    assert!(run.stdout.contains("error: BGPPeer metallb-system/router-2 spec.bfdProfile"), "{}", run.stdout);
    assert!(run.stdout.contains("network.yaml:"), "{}", run.stdout);
    assert!(run.stdout.ends_with("invalid: 2 errors and 0 warnings in 17 resources\n"), "{}", run.stdout);
    assert!(!run.stdout.contains('\x1b'), "no colour where there is no terminal");
}

#[test]
fn a_broken_item_of_a_list_is_counted_out() {
    let run = ferrolb(
        &["validate", "-f", "-"],
        r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1"}]}"#,
    );
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (2, "error: <stdin>:1:1: items[0] of this List has no kind\n")
    );
}

#[test]
fn people_are_told_the_resource_even_if_it_has_no_name_and_no_field_is_to_blame() {
    let text = |resource: &str| ferrolb(&["validate", "-f", "-"], resource).stdout;
    let nameless =
        text("apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nspec: {addresses: [10.0.0.0/8]}\n");
    assert!(
        nameless.starts_with("error: IPAddressPool (without a name) metadata.name  (<stdin>:1:1)\n"),
        "{nameless}"
    );
    let unchecked = text(&format!("{PEER}spec: {{myASN: x}}\n"));
    assert!(
        unchecked.contains("\nerror: BGPPeer metallb-system/p  (<stdin>:1:1)\n         <nil>: "),
        "{unchecked}"
    );
}
