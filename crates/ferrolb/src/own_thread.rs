//! Threads that the work of others does not hold up: they wait for the kernel, and are told things through a channel that
//! wakes them up. What they do is theirs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;

/// Calls that wait for a thread. It takes all of them each time it wakes up.
const COMMANDS: usize = 1024;

/// What others tell a thread with.
#[derive(Debug)]
pub(crate) struct Teller<Command> {
    commands: SyncSender<Command>,
    wake: Arc<OwnedFd>,
}

/// The thread's end of it.
#[derive(Debug)]
pub(crate) struct Told<Command> {
    incoming: Receiver<Command>,
    woken: Arc<OwnedFd>,
    is_over: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(crate) enum Next<Command> {
    Command(Command),
    /// For now.
    Nothing,
    /// Nobody is left who wants anything of this thread.
    End,
}

/// A thread that runs. It ends with this, after what it was told before.
#[derive(Debug)]
pub(crate) struct Running<Command> {
    teller: Teller<Command>,
    name: &'static str,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Makes the parts of a thread here, where it is seen if that fails, and starts it.
pub(crate) fn start<Command: Send + 'static, Thread: Send + 'static>(
    name: &'static str,
    make: impl FnOnce(Told<Command>) -> io::Result<Thread>,
    run: impl FnOnce(Thread) + Send + 'static,
) -> io::Result<Running<Command>> {
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (commands, incoming) = sync_channel(COMMANDS);
    let is_over = Arc::new(AtomicBool::new(false));
    let told = Told { incoming, woken: Arc::clone(&wake), is_over: Arc::clone(&is_over) };
    let thread = make(told)?;
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(thread))?;
    Ok(Running { teller: Teller { commands, wake }, name, is_over, thread: Some(thread) })
}

/// Until something happens or the time is over.
pub(crate) fn wait(poll: &OwnedFd, time: Duration, events: &mut Vec<epoll::Event>) -> io::Result<()> {
    let timeout = Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    match epoll::wait(poll, rustix::buffer::spare_capacity(events), Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl<Command> Teller<Command> {
    /// Waits only while the thread is many calls behind.
    pub(crate) fn tell(&self, command: Command) {
        // The other side is gone only if the thread has ended, which is said where that happens.
        let _ = self.commands.send(command);
        self.wake();
    }

    fn wake(&self) {
        // Full means that the thread has not yet noticed earlier ones, and will.
        let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
    }
}

impl<Command> Clone for Teller<Command> {
    fn clone(&self) -> Teller<Command> {
        Teller { commands: self.commands.clone(), wake: Arc::clone(&self.wake) }
    }
}

impl<Command> Told<Command> {
    /// Readable when there is something.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }

    /// Before the first [`Told::next`] of a turn, so that nothing is missed.
    pub(crate) fn begin(&self) {
        let _ = rustix::io::read(&*self.woken, &mut [0; 8]);
    }

    pub(crate) fn next(&self) -> Next<Command> {
        // Looked at first: what was told before the end is there by then.
        let is_over = self.is_over.load(Ordering::Acquire);
        match self.incoming.try_recv() {
            Ok(command) => Next::Command(command),
            Err(TryRecvError::Empty) if !is_over => Next::Nothing,
            Err(_) => Next::End,
        }
    }
}

impl<Command> Running<Command> {
    pub(crate) fn teller(&self) -> Teller<Command> {
        self.teller.clone()
    }

    pub(crate) fn tell(&self, command: Command) {
        self.teller.tell(command);
    }
}

impl<Command> Drop for Running<Command> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        self.teller.wake();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(thread = self.name, "a thread had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_before_the_end_is_done() {
        let (done, results) = std::sync::mpsc::channel();
        let run = move |told: Told<u32>| loop {
            match told.next() {
                Next::Command(number) => done.send(number).unwrap(),
                Next::Nothing => std::thread::yield_now(),
                Next::End => return,
            }
        };
        let running = start("test", Ok, run).unwrap();
        let teller = running.teller();
        for number in 0..100 {
            teller.tell(number);
        }
        drop(running);
        assert_eq!(results.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
}
