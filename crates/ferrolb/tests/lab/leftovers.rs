//! Names, several labs at once, the command line, and what a killed run leaves behind.

use std::process::{Command, Output};

use ferrolb::lab::{self, Lab, Options};

use crate::site::{Site, at, eventually, message, options};

fn namespaces_of(name: &str) -> usize {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let prefix = format!("{name}-");
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
}

fn ferrolb(name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrolb"));
    command.args(["lab", "--name", name]).args(arguments).output().unwrap()
}

/// Takes a lab of the command line down, also where the test fails.
struct Remove(String);

impl Drop for Remove {
    fn drop(&mut self) {
        ferrolb(&self.0, &["down"]);
    }
}

#[test]
fn labs_of_two_names_do_not_see_each_other_and_leave_nothing() {
    let (Some(first), Some(second)) = (options(), options()) else { return };
    let names = [first.name.clone(), second.name.clone()];
    let small = |options| Options { nodes: 1, has_speakers: false, ..options };
    let taken = message(Lab::up(small(Options { name: "No".to_owned(), ..first.clone() })));
    assert!(taken.contains("cannot be the name of a lab"), "{taken}");
    let first = Site::up(small(first));
    let again = message(Lab::up(Options::new(&names[0])));
    assert_eq!(again, format!("the lab {} is running already", names[0]));
    let second = Site::up(small(second));
    // The same addresses, and still each its own.
    first.lab.set_backend("1", false).unwrap();
    assert!(first.ask_udp("client", at("10.10.0.11", 7000)).is_none());
    assert!(second.ask_udp("client", at("10.10.0.11", 7000)).is_some());
    assert_eq!((namespaces_of(&names[0]), namespaces_of(&names[1])), (5, 5));
    first.lab.down().unwrap();
    assert_eq!((namespaces_of(&names[0]), namespaces_of(&names[1])), (0, 5));
    drop(second);
    assert_eq!(namespaces_of(&names[1]), 0);
    assert!(names.iter().all(|name| !lab::path_of(name).exists()));
}

#[test]
fn a_killed_lab_is_cleaned_up_by_the_next_one_and_by_down() {
    let Some(options) = options() else { return };
    let name = options.name;
    let _remove = Remove(name.clone());
    let up = || {
        let output = ferrolb(&name, &["up", "--nodes", "2", "--no-speakers"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lab::running(&name).unwrap().unwrap().process
    };
    let kill = |process: u32| {
        let killed = Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
        assert!(killed.success());
        eventually("it is gone", || lab::running(&name).unwrap().is_none());
        assert_eq!(namespaces_of(&name), 6);
    };
    kill(up());
    let process = up();
    assert_eq!(namespaces_of(&name), 6);
    let answer = ferrolb(&name, &["exec", "2", "cat", "/sys/class/net/eth0/address"]);
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "02:10:10:00:00:12");
    let failed = ferrolb(&name, &["exec", "client", "sh", "-c", "exit 7"]);
    assert_eq!(failed.status.code(), Some(7));
    assert!(ferrolb(&name, &["cut", "2", "--management"]).status.success());
    let status = ferrolb(&name, &["status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["members"][1]["cuts"], serde_json::json!(["management"]));
    assert!(ferrolb(&name, &["restore", "2"]).status.success());
    let asked = ferrolb(&name, &["traffic", "10.10.0.11:7000", "--seconds", "1", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert!(report["nodes"]["node-1"].as_u64().unwrap() > 20, "{report}");
    kill(process);
    let down = ferrolb(&name, &["down"]);
    assert!(down.status.success());
    assert_eq!(namespaces_of(&name), 0);
    assert!(!lab::path_of(&name).exists());
    assert_eq!(ferrolb(&name, &["status"]).status.code(), Some(2));
}
