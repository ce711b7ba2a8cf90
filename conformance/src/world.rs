//! The servers that are asked: embedded ones, one for each case, and a real one for all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apiserver::server::Server;
use apiserver::store::{DiskStore, MemoryStore, Store};
use kube::Client;

/// What the embedded server has not done by then, it never does.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server and a way to it.
#[derive(Clone)]
pub struct World {
    client: Client,
    /// Who asks, and with which token; an empty one means none.
    tokens: BTreeMap<String, String>,
    patience: Duration,
    _directory: Option<Arc<Directory>>,
}

/// Where the objects of an embedded server are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Memory,
    Disk,
}

impl World {
    pub fn new(client: Client, tokens: BTreeMap<String, String>, patience: Duration) -> World {
        World { client, tokens, patience, _directory: None }
    }

    /// An empty embedded server in this process.
    pub async fn embedded(engine: Engine) -> anyhow::Result<World> {
        let (store, directory): (Arc<dyn Store>, _) = match engine {
            Engine::Memory => (Arc::new(MemoryStore::new()), None),
            Engine::Disk => {
                let directory = Directory::create("store")?;
                (
                    Arc::new(DiskStore::open(&directory.path().join("objects.redb"))?),
                    Some(Arc::new(directory)),
                )
            }
        };
        let client = Client::new(Server::open(store).await?.router(), "default");
        // Who is inside the process is trusted, so the administrator needs no token.
        let tokens = [("admin", ""), ("nobody", "token-of-nobody"), ("anonymous", "")];
        let tokens = tokens.map(|(who, token)| (who.to_owned(), token.to_owned()));
        Ok(World { client, tokens: tokens.into(), patience: PATIENCE, _directory: directory })
    }

    /// No answer and no event takes longer, even on a busy machine.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn token(&self, who: &str) -> Option<&str> {
        self.tokens.get(who).map(String::as_str)
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").finish_non_exhaustive()
    }
}

/// A directory of its own, gone when nobody needs it any more.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    pub fn create(what: &str) -> std::io::Result<Directory> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("conformance-{}-{what}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Directory(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing else can be done about it here.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
