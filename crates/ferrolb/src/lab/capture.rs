//! What goes over an interface, as `tcpdump` prints it, for tests that wait for a frame or see that there is none.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Error;
use super::process::{Process, ProcessState, Starter};
use super::programs::TCPDUMP;

const START_WAIT: Duration = Duration::from_secs(5);
const CHECK: Duration = Duration::from_millis(5);

/// Files of one lab.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Ends when it is dropped.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    path: PathBuf,
}

impl Capture {
    /// When this returns, every later frame is seen.
    pub(super) fn start(
        starter: &Starter,
        namespace: &str,
        folder: &Path,
        interface: &str,
        filter: &str,
    ) -> Result<Capture, Error> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("capture-{number}.txt"));
        let arguments = ["--immediate-mode", "-l", "-n", "-e", "-tt", "-i", interface, filter];
        let arguments: Vec<_> =
            arguments.iter().filter(|it| !it.is_empty()).map(|it| (*it).to_owned()).collect();
        let process = starter.start(namespace, &path, &TCPDUMP.path()?, &arguments)?;
        let mut capture = Capture { process, path };
        let until = Instant::now() + START_WAIT;
        while !capture.text().contains("listening on") {
            if capture.process.state() != ProcessState::Running || Instant::now() > until {
                let reason = capture.text().trim().to_owned();
                return Err(Error::Program { program: TCPDUMP.name, place: namespace.to_owned(), reason });
            }
            std::thread::sleep(CHECK);
        }
        Ok(capture)
    }

    /// One for each frame so far.
    pub fn lines(&self) -> Vec<String> {
        let is_frame = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
        self.text().lines().filter(is_frame).map(str::to_owned).collect()
    }

    /// The first frame of this kind, now or until then.
    pub fn wait_for(&self, is_wanted: impl Fn(&str) -> bool, within: Duration) -> Option<String> {
        let until = Instant::now() + within;
        loop {
            let found = self.lines().into_iter().find(|line| is_wanted(line));
            if found.is_some() || Instant::now() > until {
                return found;
            }
            std::thread::sleep(CHECK);
        }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap_or_default()
    }
}
