//! The command line as programs and people rely on it: shapes, exit codes, and which stream says what.

mod admit;
mod apiserver;
// What the tests of the controller do to a cluster, of which these here do less.
#[allow(dead_code)]
#[path = "../components/cluster.rs"]
mod cluster;
mod deploy;
#[allow(dead_code)]
#[path = "../components/nodes.rs"]
mod nodes;
mod plan;
mod plan_bgp;
mod plan_live;
mod plan_nodes;
mod program;
mod standalone;
mod validate;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// What a run of the binary came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

pub(crate) fn ferrolb(arguments: &[&str], stdin: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ferrolb"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut pipe = child.stdin.take().expect("standard input is a pipe");
    // A command that does not read its input closes the pipe, which is its right.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the binary ends");
    let text = |bytes| String::from_utf8(bytes).expect("output is text");
    Run { code: status.code().expect("no signal ended it"), stdout: text(stdout), stderr: text(stderr) }
}

pub(crate) fn sample_cluster() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cluster").display().to_string()
}

/// A folder of this test alone, gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ferrolb-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Folder(path)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_command_line_that_cannot_be_used_is_not_an_answer() {
    for arguments in [&[][..], &["validate"], &["plan", "-f", "-", "--bogus"], &["convert", "-f", "-"]] {
        let run = ferrolb(arguments, "");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(run.stderr.contains("Usage"), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in
        ["validate", "plan", "admit", "convert", "crds", "standalone", "apiserver", "lab", "completion"]
    {
        let run = ferrolb(&[command, "--help"], "");
        assert_eq!(run.code, 0);
        assert!(run.stdout.contains("Example"), "{command}: {}", run.stdout);
    }
    let version = ferrolb(&["version"], "");
    assert_eq!(version.stdout, concat!("ferrolb ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(ferrolb(&["completion", "bash"], "").stdout.contains("_ferrolb"));
}

#[test]
fn crds_are_printed_as_a_stream_or_written_as_files() {
    let printed = ferrolb(&["crds"], "");
    assert_eq!(printed.code, 0);
    let documents: Vec<&str> = printed.stdout.split("---\n").skip(1).collect();
    assert_eq!(documents.len(), 13);
    let folder = Folder::new("crds");
    assert_eq!(ferrolb(&["crds", "--output", &folder.path()], "").code, 0);
    let mut names: Vec<String> = std::fs::read_dir(&folder.0)
        .expect("the folder was made")
        .map(|entry| entry.expect("it is readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names[0], "bfdprofiles.metallb.io.yaml");
    assert_eq!(names.len(), documents.len());
}

#[test]
fn crds_are_valid_for_the_reader_of_resources_too() {
    let crds = ferrolb(&["crds"], "").stdout;
    let run = ferrolb(&["validate", "-f", "-"], &crds);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("13 objects of other kinds not looked at (CustomResourceDefinition)"));
}

#[test]
fn a_peer_is_converted_both_ways_and_other_kinds_come_out_as_they_went_in() {
    let peer = "apiVersion: metallb.io/v1beta1\nkind: BGPPeer\nmetadata: {name: a, labels: {x: z}}\n\
                spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, holdTime: 90s, nodeSelectors: [{}]}\n";
    let stored = ferrolb(&["convert", "-f", "-", "--to", "v1beta2", "-o", "json"], peer);
    assert_eq!(stored.code, 0, "{}", stored.stderr);
    let expected = json!({
        "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer", "metadata": {"name": "a", "labels": {"x": "z"}},
        "spec": {
            "myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1", "holdTime": "1m30s", "keepaliveTime": "0s",
            "nodeSelectors": [{}], "passwordSecret": {},
        },
    });
    assert_eq!(stored.json(), expected);

    let back = ferrolb(&["convert", "-f", "-", "--to", "v1beta1", "-o", "json"], &stored.stdout);
    assert_eq!(back.json()["spec"]["holdTime"], "1m30s");

    let mixed = format!("{peer}---\napiVersion: v1\nkind: Node\nmetadata: {{name: node-1}}\n");
    let both = ferrolb(&["convert", "-f", "-", "--to", "v1beta2", "-o", "json"], &mixed).json();
    assert_eq!(both["kind"], "List");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
    assert_eq!(both["items"][1], node);
    assert!(
        ferrolb(&["convert", "-f", "-", "--to", "v1beta2"], &mixed).stdout.contains("---\napiVersion: v1\n")
    );
}

#[test]
fn a_peer_that_cannot_be_converted_is_named_and_the_others_are_converted() {
    let peers = "apiVersion: metallb.io/v1beta1\nkind: BGPPeer\nmetadata: {name: bad}\nspec: {holdTime: 1d}\n---\n\
                 apiVersion: metallb.io/v1beta1\nkind: BGPPeer\nmetadata: {name: good}\nspec: {myASN: 1}\n";
    let run = ferrolb(&["convert", "-f", "-", "--to", "v1beta2", "-o", "json"], peers);
    assert_eq!(run.code, 1);
    assert_eq!(run.json()["metadata"]["name"], "good");
    assert_eq!(
        run.stderr,
        "error: <stdin>:1:1: BGPPeer \"bad\": spec.holdTime: time: unknown unit \"d\" in duration \"1d\"\n"
    );
}

#[test]
fn what_the_old_version_cannot_say_is_named() {
    let peer = "apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: a, namespace: lb}\n\
                spec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, vrf: red, disableMP: false, passwordSecret: {name: s}}\n";
    let run = ferrolb(&["convert", "-f", "-", "--to", "v1beta1"], peer);
    let expected = "warning: <stdin>:1:1: BGPPeer lb/a: left out, metallb.io/v1beta1 has no spec.vrf, spec.passwordSecret\n";
    assert_eq!((run.code, run.stderr.as_str()), (0, expected));
    let unchanged = ferrolb(&["convert", "-f", "-", "--to", "v1beta2"], peer);
    assert_eq!((unchanged.code, unchanged.stderr.as_str()), (0, ""));
}
