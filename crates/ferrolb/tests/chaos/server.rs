//! The server as a process of its own, ended in the way that leaves it no time.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

pub(crate) struct Server {
    child: Child,
    /// Reads the log to its end, so that the server never waits for a reader.
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts it, and waits until it serves.
    pub(crate) fn start(data: &str) -> Server {
        let child = Command::new(env!("CARGO_BIN_EXE_ferrolb"))
            .args(["apiserver", "--bind", "127.0.0.1:0", "--data-dir", data])
            // Few addresses, so that those given back are soon given again.
            .args(["--service-cluster-ip-range", "10.96.0.0/26"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut server = Server { child, log: None };
        let mut lines = BufReader::new(server.child.stderr.take().expect("standard error is a pipe")).lines();
        let mut log = String::new();
        for line in lines.by_ref() {
            log += &line.expect("the log is text");
            log.push('\n');
            if log.contains("serving on https://") {
                let rest = move || log + &lines.map_while(Result::ok).collect::<String>();
                server.log = Some(std::thread::spawn(rest));
                return server;
            }
        }
        panic!("it does not start:\n{log}")
    }

    /// SIGKILL. What it had logged is looked at.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it has ended");
        let log = self.log.take().expect("it is killed once").join().expect("the log was read");
        assert!(!log.contains("panic"), "{log}");
    }
}

impl Drop for Server {
    /// Nothing is left of a test that has failed. After a kill there is nothing left to do.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
