//! The socket by which whoever runs a program talks to it: nobody else can open it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Where it is, unless something else is said: the first that can be made. In a container with nothing to write to there is
/// shared memory still.
pub const PATHS: [&str; 2] = ["/run/ferrolb/speaker.sock", "/dev/shm/ferrolb/speaker.sock"];
/// What says something else.
pub const VARIABLE: &str = "FERROLB_ADMIN_SOCKET";

/// The socket's file, which goes with it.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// At this place, or the first of the usual ones that can be had.
pub fn open_somewhere(given: Option<&Path>) -> io::Result<(UnixListener, Place)> {
    if let Some(path) = given {
        return open(path);
    }
    let [first, second] = PATHS.map(Path::new);
    open(first).or_else(|error| open(second).map_err(|_| error))
}

/// Takes the place of one that nobody listens to any more.
fn open(path: &Path) -> io::Result<(UnixListener, Place)> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
    }
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    // It gets its name when nobody else can open it any more.
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    let _ = fs::remove_file(&unfinished);
    let listener = UnixListener::bind(&unfinished)?;
    let place = Place(unfinished);
    fs::set_permissions(&place.0, Permissions::from_mode(0o600))?;
    fs::rename(&place.0, path)?;
    std::mem::forget(place);
    Ok((listener, Place(path.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_for_its_owner_alone_and_replaces_what_is_left_behind() {
        let folder = std::env::temp_dir().join(format!("ferrolb-admin-{}", std::process::id()));
        let path = folder.join("a.sock");
        let (first, place) = open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // As after a crash: the file stays, and nobody listens.
        drop(first);
        std::mem::forget(place);
        let (_second, place) = open(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        drop(place);
        assert!(!path.exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
