//! The thread: waits for whatever comes first, hands it to the machine, and does what the machine says.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use protocol::l2::AddressCounters;
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::{mpsc, watch};

use super::{Change, Counters, Links, News, Options};

/// Calls that wait for the thread. It takes all of them each time it wakes up.
const COMMANDS: usize = 1024;

#[derive(Debug)]
pub(super) enum Command {
    Apply(Vec<(Change, Option<Arc<AddressCounters>>)>),
    News(mpsc::Sender<News>),
}

#[derive(Debug)]
pub(super) struct Running {
    commands: Option<SyncSender<Command>>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(super) fn tell(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // The other side is gone only if the thread panicked, which its end tells.
            let _ = commands.send(command);
            wake(&self.wake);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.commands = None;
        wake(&self.wake);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of layer 2 had panicked");
        }
    }
}

pub(super) fn start(
    options: Options,
    counters: Arc<Counters>,
    links: watch::Sender<Arc<Links>>,
) -> io::Result<Running> {
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (commands, incoming) = sync_channel(COMMANDS);
    let woken = Arc::clone(&wake);
    let thread = std::thread::Builder::new()
        .name("layer2".to_owned())
        .spawn(move || run(&options, &counters, &links, &incoming, &woken))?;
    Ok(Running { commands: Some(commands), wake, thread: Some(thread) })
}

fn run(
    _options: &Options,
    _counters: &Counters,
    _links: &watch::Sender<Arc<Links>>,
    incoming: &Receiver<Command>,
    _woken: &OwnedFd,
) {
    for command in incoming {
        tracing::debug!(?command, "layer 2");
    }
}

fn wake(wake: &OwnedFd) {
    // Full means that the thread has not yet noticed earlier ones, and will.
    let _ = rustix::io::write(wake, &1_u64.to_ne_bytes());
}
