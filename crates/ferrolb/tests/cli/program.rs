//! The binary as a program that goes on until it is told to end, and clients of what it serves.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::cluster::Cluster;

pub(crate) struct Program {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Program {
        Program::start_with(arguments, &[])
    }

    pub(crate) fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Program {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ferrolb"))
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        Program { child, log }
    }

    /// Reads the log as far as a line that says this.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let mut log = String::new();
        while self.log.read_line(&mut log).expect("the log is text") > 0 {
            if log.contains(text) {
                return log;
            }
        }
        panic!("{text:?} is not in the log:\n{log}")
    }

    /// What is left of the log, and what it printed.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        let mut log = String::new();
        while self.log.read_line(&mut log).expect("the log is text") > 0 {}
        let mut printed = String::new();
        if let Some(stdout) = self.child.stdout.take() {
            printed = std::io::read_to_string(stdout).expect("output is text");
        }
        (self.child.wait().expect("it ends").code(), log, printed)
    }

    /// As when the power fails.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let printed = self.child.stdout.take().and_then(|stdout| std::io::read_to_string(stdout).ok());
            let mut log = String::new();
            let _ = self.log.read_to_string(&mut log);
            eprintln!("it said:\n{log}{}", printed.unwrap_or_default());
        }
    }
}

/// The cluster of a kubeconfig.
pub(crate) async fn cluster(kubeconfig: &str) -> Cluster {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig is there");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("it names a cluster");
    let client = Client::try_from(config).expect("it says how to reach it");
    // The server is in another process.
    Cluster { client, router: axum::Router::new() }
}
