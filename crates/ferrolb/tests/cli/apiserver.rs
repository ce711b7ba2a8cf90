//! `ferrolb apiserver` from its start to its end, and what can be done with its data in between.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::{Folder, ferrolb};

/// A server that says where it listens.
struct Server {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ferrolb"))
            .args(["apiserver", "--bind", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        Server { child, log }
    }

    /// Reads the log as far as a line that says this.
    fn wait_for(&mut self, text: &str) -> String {
        let mut log = String::new();
        while self.log.read_line(&mut log).expect("the log is text") > 0 {
            if log.contains(text) {
                return log;
            }
        }
        panic!("{text:?} is not in the log:\n{log}")
    }

    /// What is left of the log, and what it printed.
    fn terminate(mut self) -> (Option<i32>, String, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        let log = self.wait_for(" ended\n");
        let output = self.child.wait_with_output().expect("it ends");
        (output.status.code(), log, String::from_utf8(output.stdout).expect("output is text"))
    }
}

#[test]
fn it_serves_until_it_is_told_to_end_and_leaves_its_secrets_private() {
    let folder = Folder::new("apiserver");
    let data = format!("{}/data", folder.path());
    let mut server = Server::start(&["--data-dir", &data]);
    let log = server.wait_for("serving on https://127.0.0.1:");
    assert!(log.contains("admin.kubeconfig") && !log.contains("other machines"), "{log}");
    let kubeconfig = std::fs::read_to_string(format!("{data}/admin.kubeconfig")).expect("it was written");
    assert!(kubeconfig.contains("    server: https://127.0.0.1:"), "{kubeconfig}");
    for file in ["admin.kubeconfig", "tokens.csv", "store.redb", "pki/ca.key"] {
        let mode = std::fs::metadata(format!("{data}/{file}")).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let busy = ferrolb(&["apiserver", "check", "--data-dir", &data], "");
    assert_eq!(busy.code, 2);
    assert!(busy.stderr.contains("open in another process"), "{}", busy.stderr);
    let (code, log, stdout) = server.terminate();
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{log}");
    assert!(log.contains("SIGTERM"), "{log}");

    let checked = ferrolb(&["apiserver", "check", "--data-dir", &data, "-o", "json"], "");
    assert_eq!((checked.code, &checked.json()["problem_count"]), (0, &json!(0)), "{}", checked.stderr);
    let exported = ferrolb(&["apiserver", "export", "--data-dir", &data], "");
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let copy = format!("{}/copy", folder.path());
    let imported = ferrolb(&["apiserver", "import", "--data-dir", &copy], &exported.stdout);
    assert_eq!((imported.code, imported.stdout.as_str()), (0, ""), "{}", imported.stderr);
    assert_eq!(ferrolb(&["apiserver", "export", "--data-dir", &copy], "").stdout, exported.stdout);
    let again = ferrolb(&["apiserver", "import", "--data-dir", &copy], &exported.stdout);
    assert!(again.code == 2 && again.stderr.contains("exists already"), "{}", again.stderr);
}

#[test]
fn a_damaged_store_is_refused_and_the_way_out_is_named() {
    let folder = Folder::new("apiserver-damaged");
    let data = folder.path();
    std::fs::write(format!("{data}/store.redb"), "no store").expect("the folder is writable");
    for arguments in [&["apiserver", "--data-dir", &data][..], &["apiserver", "check", "--data-dir", &data]] {
        let run = ferrolb(arguments, "");
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(run.stderr.contains("not a FerroLB store") && run.stderr.contains("move"), "{}", run.stderr);
    }
    assert_eq!(std::fs::read(format!("{data}/store.redb")).expect("it is there"), b"no store");
}

#[test]
fn a_command_line_that_makes_no_server_is_explained() {
    for (arguments, text) in [
        (&["apiserver"][..], "--data-dir"),
        (&["apiserver", "--data-dir", "d", "--bind", "nowhere"], "--bind"),
        (
            &["apiserver", "--data-dir", "d", "--service-cluster-ip-range", "10.0.0.0/32"],
            "no room for Services",
        ),
        (&["apiserver", "--data-dir", "d", "--service-node-port-range", "5-1"], "no range of ports"),
    ] {
        let run = ferrolb(arguments, "");
        assert!(run.code == 2 && run.stderr.contains(text), "{arguments:?}: {}", run.stderr);
    }
}
