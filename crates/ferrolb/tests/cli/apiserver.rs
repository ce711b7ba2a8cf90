//! `ferrolb apiserver` from its start to its end, and what can be done with its data in between.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::program::Program;
use crate::{Folder, ferrolb};

fn start(arguments: &[&str]) -> Program {
    Program::start(&[&["apiserver", "--bind", "127.0.0.1:0"], arguments].concat())
}

#[test]
fn it_serves_until_it_is_told_to_end_and_leaves_its_secrets_private() {
    let folder = Folder::new("apiserver");
    let data = format!("{}/data", folder.path());
    let mut server = start(&["--data-dir", &data]);
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
