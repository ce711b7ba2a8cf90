//! The servers that are asked: embedded ones, one for each case, and a real one for all.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apiserver::auth::{Mode, Security, StaticTokens};
use apiserver::kinds::service::{Network, Ranges};
use apiserver::serve::{Authority, ServerNames, Tls, serve};
use apiserver::server::{Options, Server};
use apiserver::store::{DiskStore, MemoryStore, Store};
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the embedded server has not done by then, it never does.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Everyone who is known to the servers: token, name, uid, groups.
pub const TOKENS: &str = "token-of-admin,admin,1,\"system:masters\"\ntoken-of-nobody,nobody,2\n";

/// Where the second addresses of Services come from.
const FAMILY_SIX: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0);

/// A server and a way to it.
#[derive(Clone)]
pub struct World {
    client: Client,
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
    pub fn new(client: Client, patience: Duration) -> World {
        World { client, patience, _directory: None }
    }

    /// An empty embedded server in this process.
    pub async fn embedded(engine: Engine) -> anyhow::Result<World> {
        let (server, directory) = server(engine).await?;
        let client = Client::new(server.secured(), "default");
        Ok(World { client, patience: PATIENCE, _directory: directory })
    }

    /// No answer and no event takes longer, even on a busy machine.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// The token of who asks; an empty one means none.
pub fn token(who: &str) -> Option<&'static str> {
    match who {
        "admin" => Some("token-of-admin"),
        "nobody" => Some("token-of-nobody"),
        "anonymous" => Some(""),
        _ => None,
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").finish_non_exhaustive()
    }
}

async fn server(engine: Engine) -> anyhow::Result<(Arc<Server>, Option<Arc<Directory>>)> {
    let (store, directory): (Arc<dyn Store>, _) = match engine {
        Engine::Memory => (Arc::new(MemoryStore::new()), None),
        Engine::Disk => {
            let directory = Directory::create("store")?;
            (Arc::new(DiskStore::open(&directory.path().join("objects.redb"))?), Some(Arc::new(directory)))
        }
    };
    let networks =
        [Network::new(Ipv4Addr::new(10, 96, 0, 0).into(), 16), Network::new(FAMILY_SIX.into(), 112)];
    let ranges = Ranges { networks: networks.into_iter().flatten().collect(), node_ports: 30_000..=32_767 };
    let static_tokens = StaticTokens::parse(TOKENS)?;
    let security = Security { mode: Mode::Rbac, static_tokens, ..Security::default() };
    let server = Server::open_with(
        store,
        Options {
            ranges,
            security,
            has_cluster_objects: true,
            advertised: Some((Ipv4Addr::LOCALHOST, 6443).into()),
            collects_garbage: false,
            ..Options::default()
        },
    )
    .await?;
    Ok((server, directory))
}

/// An embedded server that other programs can talk to.
#[derive(Debug)]
pub struct Served {
    pub address: String,
    task: JoinHandle<()>,
    _directory: Directory,
}

impl Served {
    pub async fn start() -> anyhow::Result<Served> {
        let (server, _) = server(Engine::Memory).await?;
        let directory = Directory::create("certificates")?;
        let authority = Arc::new(Authority::open(directory.path())?);
        let tls = Tls::new(authority, ServerNames::usual([]))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = format!("https://{}", listener.local_addr()?);
        let router = server.secured();
        let task = tokio::spawn(async move { serve(listener, &tls, router, std::future::pending()).await });
        Ok(Served { address, task, _directory: directory })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
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
