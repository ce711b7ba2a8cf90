//! The folder of a lab: who runs it, what belongs to it, how it is asked.
//!
//! Whoever runs a lab holds a lock on a file in it, which ends with the process however that ends. So a folder whose
//! lock is free is what a killed run has left behind, and its record says what to remove.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::namespace::{self, Namespace};
use super::{Error, programs};

/// Namespaces do not outlive a restart of the machine, and neither does this.
const LABS: &str = "/run/ferrolb/labs";
const LOCK: &str = "lock";
const LOCK_WAIT: Duration = Duration::from_millis(300);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// What is known of a lab from outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    /// Who runs it.
    pub process: u32,
    /// All that it made, written before it is made.
    pub namespaces: Vec<String>,
}

/// A folder and the right to use it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the name for this process. What an ended run left behind is removed.
    pub(super) fn take(name: &str) -> Result<Folder, Error> {
        let path = path_of(name);
        apiserver::serve::files::make_private_directory(&path)
            .map_err(|error| Error::Folder { path: path.clone(), reason: error.to_string() })?;
        let lock = lock(name, &path)?;
        let folder = Folder { path, _lock: lock };
        if let Some(record) = read(&folder.path)? {
            tracing::info!("removing what is left of an earlier lab {name}");
            remove_namespaces(&record.namespaces)?;
        }
        folder.empty()?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&self, record: &Record) -> Result<(), Error> {
        let (path, new) = (self.path.join("lab.json"), self.path.join("lab.json.new"));
        let text = serde_json::to_vec(record).map_err(|error| of_folder(&path, &error.into()))?;
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path));
        written.map_err(|error| of_folder(&path, &error))
    }

    /// Gives the name back, with nothing left.
    pub(super) fn remove(self) -> Result<(), Error> {
        std::fs::remove_dir_all(&self.path).map_err(|error| of_folder(&self.path, &error))
    }

    /// All but the lock, and the log that may be written already.
    fn empty(&self) -> Result<(), Error> {
        let act = || {
            for entry in std::fs::read_dir(&self.path)? {
                let entry = entry?;
                if entry.file_name() == LOCK || entry.file_name() == LOG {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    std::fs::remove_dir_all(entry.path())?;
                } else {
                    std::fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        act().map_err(|error| of_folder(&self.path, &error))
    }
}

/// Where a lab that nobody looks at writes what it says.
pub const LOG: &str = "lab.log";

/// The folder of a lab, whether there is one or not.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(LABS).join(name)
}

/// The record of a lab that runs.
pub fn running(name: &str) -> Result<Option<Record>, Error> {
    super::options::check_name(name)?;
    let path = path_of(name);
    if !path.is_dir() || !is_locked(&path)? {
        return Ok(None);
    }
    read(&path)
}

/// Whether nobody runs a lab of that name, and nobody is about to remove the last of it.
pub(super) fn is_released(name: &str) -> Result<bool, Error> {
    let path = path_of(name);
    Ok(!path.is_dir() || (path.join(LOCK).exists() && !is_locked(&path)?))
}

/// The names of all labs, and whether each runs or is only left behind.
pub fn all() -> Result<Vec<(String, bool)>, Error> {
    let Ok(entries) = std::fs::read_dir(LABS) else { return Ok(Vec::new()) };
    let mut labs = Vec::new();
    for entry in entries.flatten() {
        if let Ok(name) = entry.file_name().into_string() {
            labs.push((name, is_locked(&entry.path())?));
        }
    }
    labs.sort();
    Ok(labs)
}

/// Removes what an ended run has left behind. Whether there was anything.
pub fn clean(name: &str) -> Result<bool, Error> {
    super::options::check_name(name)?;
    if !path_of(name).is_dir() {
        return Ok(false);
    }
    Folder::take(name)?.remove()?;
    Ok(true)
}

/// The namespaces, and the processes in them, which are nobody else's.
pub(super) fn remove_namespaces(names: &[String]) -> Result<(), Error> {
    let mut commands = String::new();
    for name in names.iter().filter(|name| namespace::exists(name)) {
        if let Ok(namespace) = Namespace::open(name) {
            let killed = namespace.kill_processes();
            killed.map_err(|error| of_folder(&namespace::path(name), &error))?;
        }
        commands.push_str(&format!("netns del {name}\n"));
    }
    if commands.is_empty() { Ok(()) } else { programs::ip_batch(None, &commands) }
}

fn read(folder: &Path) -> Result<Option<Record>, Error> {
    let path = folder.join("lab.json");
    match std::fs::read(&path) {
        Ok(bytes) => {
            let record = serde_json::from_slice(&bytes).map_err(|error| of_folder(&path, &error.into()))?;
            Ok(Some(record))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(of_folder(&path, &error)),
    }
}

/// Waits a moment: whoever asks whether a lab runs holds the lock for as long as that takes.
fn lock(name: &str, folder: &Path) -> Result<File, Error> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        let path = folder.join(LOCK);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|error| of_folder(folder, &error))?;
        let inode = |it: std::io::Result<Metadata>| it.map(|it| it.ino()).ok();
        match file.try_lock() {
            // Otherwise it is the lock of a folder that was removed meanwhile.
            Ok(()) if inode(file.metadata()) == inode(std::fs::metadata(&path)) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(of_folder(folder, &error)),
            _ if Instant::now() >= until => return Err(Error::Running { name: name.to_owned() }),
            _ => std::thread::sleep(LOCK_RETRY),
        }
    }
}

fn is_locked(folder: &Path) -> Result<bool, Error> {
    let file = match File::open(folder.join(LOCK)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(of_folder(folder, &error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(of_folder(folder, &error)),
    }
}

fn of_folder(path: &Path, error: &std::io::Error) -> Error {
    Error::Folder { path: path.to_owned(), reason: error.to_string() }
}
