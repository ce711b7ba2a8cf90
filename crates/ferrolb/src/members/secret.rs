//! The secret of the cluster: a file that may be replaced while the speaker runs.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::member::Key;
use sha2::{Digest, Sha256};

/// In the folder that is given, as a Secret is mounted.
pub(crate) const FILE: &str = "secretkey";
/// A kubelet takes a minute to bring a new one, so this is soon.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const KEY_BYTES: usize = 32;

/// What is in the file. Nothing if there is no folder: then anybody can know the key.
pub(super) fn read(folder: Option<&Path>) -> io::Result<Vec<u8>> {
    folder.map_or_else(|| Ok(Vec::new()), |folder| std::fs::read(folder.join(FILE)))
}

/// As upstream derives it: the first bytes of the secret, filled up with those of SHA-256 of nothing.
pub(super) fn key(secret: &[u8]) -> Key {
    let mut material = [0; KEY_BYTES];
    let filled = secret.iter().copied().chain(Sha256::digest([]));
    material.iter_mut().zip(filled).for_each(|(byte, filled)| *byte = filled);
    Key::new(material)
}

/// Tells each new secret. One that cannot be read, or is empty though the former was not, leaves the former in use.
pub(super) async fn follow(folder: PathBuf, first: Vec<u8>, tell: impl Fn(Key)) {
    let mut in_use = first;
    let mut said = None;
    let mut timer = tokio::time::interval(LOOK_EVERY);
    loop {
        timer.tick().await;
        let found = match read(Some(&folder)) {
            Ok(found) if found.is_empty() && !in_use.is_empty() => Err("it is empty".to_owned()),
            Ok(found) => Ok(found),
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(found) => {
                said = None;
                if found != in_use {
                    tracing::info!("the secret of members is another one; the former stays good for a while");
                    tell(key(&found));
                    in_use = found;
                }
            }
            Err(error) if said.as_ref() != Some(&error) => {
                let path = folder.join(FILE);
                tracing::warn!("the former secret of members stays in use: {}: {error}", path.display());
                said = Some(error);
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// SHA-256 of nothing.
    const NOTHING: [u8; 32] = [
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ];

    #[test]
    fn a_key_is_the_beginning_of_secret_and_hash_of_nothing() {
        let long: Vec<u8> = (0..40).collect();
        let mut short = [0; 32];
        short[..22].copy_from_slice(&[b'a'; 22]);
        short[22..].copy_from_slice(&NOTHING[..10]);
        for (secret, material) in
            [(&b""[..], NOTHING), (&[b'a'; 22][..], short), (&long[..], long[..32].try_into().unwrap())]
        {
            assert_eq!(key(secret), Key::new(material), "{secret:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_secret_is_told_and_a_missing_one_is_not() {
        let folder = std::env::temp_dir().join(format!("ferrolb-secret-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(FILE);
        std::fs::write(&path, "first").unwrap();
        let told: Mutex<Vec<Key>> = Mutex::default();
        let following = follow(folder.clone(), b"first".to_vec(), |key| told.lock().unwrap().push(key));
        let changes = async {
            let pause = LOOK_EVERY + Duration::from_millis(1);
            tokio::time::sleep(pause).await;
            assert_eq!(*told.lock().unwrap(), []);
            for (content, expected) in [
                (Some("second"), vec![key(b"second")]),
                (Some(""), vec![key(b"second")]),
                (None, vec![key(b"second")]),
                (Some("third"), vec![key(b"second"), key(b"third")]),
            ] {
                match content {
                    Some(content) => std::fs::write(&path, content).unwrap(),
                    None => std::fs::remove_file(&path).unwrap(),
                }
                tokio::time::sleep(pause).await;
                assert_eq!(*told.lock().unwrap(), expected, "{content:?}");
            }
        };
        tokio::select! {
            () = following => {}
            () = changes => {}
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
