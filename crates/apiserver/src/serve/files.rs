//! Small files that hold secrets: written whole or not at all, and readable by their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why a file of the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {reason}. Move the file away, and a new one is made", path.display())]
    Unusable { path: PathBuf, reason: String },
}

impl FileError {
    pub(crate) fn unusable(path: &Path, reason: impl std::fmt::Display) -> FileError {
        FileError::Unusable { path: path.into(), reason: format!("{reason}") }
    }
}

/// The content, if there is such a file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Io { path: path.into(), source }),
    }
}

/// Makes or replaces the file; whoever reads it sees the old content or the new one.
pub fn write_private(path: &Path, content: &str) -> Result<(), FileError> {
    let write = || {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let new = path.with_file_name(format!(".{name}.new"));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|source| FileError::Io { path: path.into(), source })
}

/// A directory for the owner alone. One that is there stays as it is.
pub fn make_private_directory(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| FileError::Io { path: path.into(), source })
}
