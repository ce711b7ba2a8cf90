//! Forwards TCP and UDP to endpoints in user space, for hosts on which nothing else does.
//!
//! [`Proxy::set`] says what is forwarded and where to; what runs is made that. Everything runs on threads of its own, so
//! that much traffic holds up nothing else.
//!
//! * `choice`, `header` and `difference` are pure: which endpoint, the PROXY protocol, what is to be begun and ended.
//! * `tcp` with `stream`, and `udp`, are what runs for one frontend; `sockets` is what the system is asked for.

mod choice;
mod counters;
mod difference;
mod header;
mod idle;
mod metrics;
mod sockets;
mod stream;
mod tcp;
mod udp;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

pub use counters::{Counters, DropReason, OfFrontend};
pub(crate) use metrics::Metrics;

use difference::difference;

/// That forward, where there are as many processors.
const THREADS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// Where clients come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    pub address: IpAddr,
    pub protocol: Protocol,
    pub port: u16,
}

/// Where they end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backends {
    pub endpoints: Vec<SocketAddr>,
    /// Clients of one address end at one endpoint, as long as it is there.
    pub sticks_to_client: bool,
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Whether endpoints are told by the PROXY protocol, version 2, who the client of a connection is.
    pub tells_client: bool,
    /// Connections and sessions of UDP, of all frontends together.
    pub connections: usize,
    /// The same of one frontend.
    pub connections_of_frontend: usize,
    /// A connection on which nothing comes from either side for so long is ended.
    pub idle_connection: Duration,
    pub idle_session: Duration,
    /// For one attempt. There are up to [`choice::ATTEMPTS`].
    pub connect: Duration,
    /// An address and port that somebody else has is tried again after this.
    pub listen_again: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            tells_client: false,
            connections: 8_000,
            connections_of_frontend: 6_000,
            idle_connection: Duration::from_secs(3600),
            idle_session: Duration::from_secs(60),
            connect: Duration::from_secs(3),
            listen_again: Duration::from_secs(2),
        }
    }
}

/// What is forwarded, and goes on until this is dropped.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    frontends: BTreeMap<Frontend, Arc<Backends>>,
    running: BTreeMap<Frontend, Running>,
    /// Those that were withdrawn, and are about to be gone.
    ending: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// What all frontends share.
#[derive(Debug)]
struct Shared {
    options: Options,
    counters: Arc<Counters>,
    places: Arc<Semaphore>,
}

/// A frontend's task. It ends when the sender is gone.
#[derive(Debug)]
struct Running {
    backends: watch::Sender<Arc<Backends>>,
    task: JoinHandle<()>,
}

/// What the task of a frontend is given.
#[derive(Debug)]
struct Place {
    frontend: Frontend,
    backends: watch::Receiver<Arc<Backends>>,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    counters: Arc<OfFrontend>,
}

impl Proxy {
    pub fn start(options: Options) -> io::Result<Proxy> {
        let connections = sockets::possible_connections(options.connections);
        if connections < options.connections {
            tracing::warn!(
                "of {} connections at once, as many as this process may have open files for are forwarded: {connections}",
                options.connections
            );
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).thread_name("proxy").enable_all().build()?;
        let places = Arc::new(Semaphore::new(connections));
        Ok(Proxy {
            shared: Arc::new(Shared { options, counters: Arc::default(), places }),
            frontends: BTreeMap::new(),
            running: BTreeMap::new(),
            ending: Vec::new(),
            runtime: Some(runtime),
        })
    }

    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// From now on exactly these. New ones listen when this returns, if they can. Connections to an endpoint that is
    /// gone go on; those to a frontend that is gone are reset, and [`Proxy::ended`] waits for that.
    pub fn set(&mut self, desired: &BTreeMap<Frontend, Backends>) {
        let difference = difference(&self.frontends, desired);
        for frontend in difference.end {
            self.frontends.remove(&frontend);
            if let Some(Running { backends, task }) = self.running.remove(&frontend) {
                drop(backends);
                self.ending.push(task);
            }
        }
        for (frontend, backends) in difference.change {
            let backends = Arc::new(backends);
            self.frontends.insert(frontend, Arc::clone(&backends));
            if let Some(running) = self.running.get(&frontend) {
                running.backends.send_replace(backends);
            } else {
                self.begin(frontend, backends);
            }
        }
    }

    fn begin(&mut self, frontend: Frontend, backends: Arc<Backends>) {
        let Some(runtime) = &self.runtime else { return };
        // For the sockets, which belong to the runtime that waits for them.
        let _inside = runtime.enter();
        let (sender, receiver) = watch::channel(backends);
        let place = Place {
            frontend,
            backends: receiver,
            places: Arc::new(Semaphore::new(self.shared.options.connections_of_frontend)),
            counters: self.shared.counters.of(frontend),
            shared: Arc::clone(&self.shared),
        };
        let task = match frontend.protocol {
            Protocol::Tcp => {
                let listener = sockets::listen(frontend.socket());
                runtime.spawn(tcp::serve(place, listener))
            }
            Protocol::Udp => {
                let socket = sockets::receive(frontend.socket());
                runtime.spawn(udp::serve(place, socket))
            }
        };
        self.running.insert(frontend, Running { backends: sender, task });
    }

    /// Waits until nothing is left of frontends that were withdrawn. That takes no longer than closing their sockets.
    pub async fn ended(&mut self) {
        for task in std::mem::take(&mut self.ending) {
            if let Err(error) = task.await {
                tracing::error!("what forwarded for an address ended by itself: {error}");
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // This may be in a task of another runtime, where nothing may be waited for.
            runtime.shutdown_background();
        }
    }
}

impl Frontend {
    fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.socket(), self.protocol.name())
    }
}

impl Place {
    /// Tries until there is a socket. Nothing if the frontend is withdrawn before.
    async fn socket<S>(&mut self, first: io::Result<S>, make: fn(SocketAddr) -> io::Result<S>) -> Option<S> {
        let mut made = first;
        let mut is_said = false;
        loop {
            match made {
                Ok(socket) => {
                    self.counters.listens();
                    return Some(socket);
                }
                Err(error) if !is_said => {
                    tracing::warn!("{} is not forwarded yet, and is tried again: {error}", self.frontend);
                    is_said = true;
                }
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(self.shared.options.listen_again) => {}
                () = withdrawn(&mut self.backends) => return None,
            }
            made = make(self.frontend.socket());
        }
    }

    fn backends(&self) -> Arc<Backends> {
        Arc::clone(&self.backends.borrow())
    }

    fn dropped(&self, reason: DropReason) {
        self.shared.counters.dropped(reason);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.counters.forget(self.frontend, &self.counters);
    }
}

async fn withdrawn(backends: &mut watch::Receiver<Arc<Backends>>) {
    while backends.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests;
