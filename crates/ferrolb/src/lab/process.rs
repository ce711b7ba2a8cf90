//! Programs that run in a member's namespace for as long as the lab does.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use super::Error;
use super::programs::{IP, SETPRIV};

/// After this a program that was told to end is killed.
const END_WAIT: Duration = Duration::from_secs(5);
const END_CHECK: Duration = Duration::from_millis(5);

/// Starts programs. Each ends when this does, however that happens: the kernel kills it with the thread that made it.
#[derive(Debug, Clone)]
pub(super) struct Starter {
    orders: mpsc::Sender<(Command, mpsc::Sender<std::io::Result<Child>>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessState {
    Running,
    /// Stopped by [`super::Lab::freeze`].
    Frozen,
    /// It ended by itself or was killed.
    Ended,
}

/// A program that was started. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    is_frozen: bool,
}

impl Starter {
    pub(super) fn new() -> std::io::Result<Starter> {
        let (orders, taken) = mpsc::channel::<(Command, mpsc::Sender<_>)>();
        thread::Builder::new().name("lab-starter".to_owned()).spawn(move || {
            for (mut command, answer) in taken {
                // Nobody waits for the answer of an order that was given up.
                let _ = answer.send(command.spawn());
            }
        })?;
        Ok(Starter { orders })
    }

    /// Starts a program in a namespace, with that namespace's `/sys`. What it says is appended to the log.
    pub(super) fn start(
        &self,
        namespace: &str,
        log: &Path,
        program: &Path,
        arguments: &[String],
    ) -> Result<Process, Error> {
        let failed = |error: std::io::Error| Error::Program {
            program: "ferrolb",
            place: namespace.to_owned(),
            reason: error.to_string(),
        };
        let file = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
        let mut command = Command::new(SETPRIV.path()?);
        command.args(["--pdeathsig", "KILL"]).arg(IP.path()?).args(["netns", "exec", namespace]);
        command.arg(program).args(arguments).stdin(Stdio::null());
        command.stdout(file.try_clone().map_err(failed)?).stderr(file);
        let (answer, answered) = mpsc::channel();
        let gone = || failed(std::io::Error::other("the lab ends"));
        self.orders.send((command, answer)).map_err(|_| gone())?;
        let child = answered.recv().map_err(|_| gone())?.map_err(failed)?;
        Ok(Process { child, is_frozen: false })
    }
}

impl Process {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn state(&mut self) -> ProcessState {
        match self.child.try_wait() {
            Ok(None) if self.is_frozen => ProcessState::Frozen,
            Ok(None) => ProcessState::Running,
            Ok(Some(_)) | Err(_) => ProcessState::Ended,
        }
    }

    /// As with `kill -9`. It is gone when this returns.
    pub(super) fn kill(&mut self) {
        // One that has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// As with SIGTERM; after a while as with `kill -9`. How long it took.
    pub(super) fn end(&mut self) -> Duration {
        let begun = Instant::now();
        self.signal(Signal::TERM);
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > END_WAIT {
                self.kill();
                break;
            }
            thread::sleep(END_CHECK);
        }
        begun.elapsed()
    }

    pub(super) fn freeze(&mut self) {
        self.signal(Signal::STOP);
        self.is_frozen = true;
    }

    pub(super) fn resume(&mut self) {
        self.signal(Signal::CONT);
        self.is_frozen = false;
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid {
                // It is our child and was not waited for, so the number is still its own.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
