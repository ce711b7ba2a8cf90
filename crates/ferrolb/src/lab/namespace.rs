//! Network namespaces by name, as `ip netns` keeps them.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const FOLDER: &str = "/run/netns";

/// A namespace that exists as long as this does, also when its name is gone.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    pub(super) fn open(name: &str) -> std::io::Result<Namespace> {
        Ok(Namespace { name: name.to_owned(), file: File::open(path(name))? })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// This thread is in the namespace from now on, and so are the threads and processes that it makes.
    pub(super) fn enter(&self) -> std::io::Result<()> {
        Ok(move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// Does something in the namespace, on a thread of its own. Sockets made there stay there.
    pub(super) fn run<T: Send>(&self, act: impl FnOnce() -> std::io::Result<T> + Send) -> std::io::Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter()?;
                act()
            });
            inside
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("the thread in the namespace panicked")))
        })
    }

    /// Ends whatever still runs in it. This process is not meant, also if threads of it are inside.
    pub(super) fn kill_processes(&self) -> std::io::Result<()> {
        let inode = self.file.metadata()?.ino();
        let own = std::process::id();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let is_inside = std::fs::metadata(entry.path().join("ns/net")).is_ok_and(|it| it.ino() == inode);
            let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid.filter(|_| is_inside && id != own) {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        Ok(())
    }
}

pub(super) fn exists(name: &str) -> bool {
    path(name).exists()
}

pub(super) fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}
