//! What answers behind an address: on each node a small HTTP server and echo servers for TCP and UDP, which name themselves.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::namespace::Namespace;

pub const HTTP_PORTS: [u16; 2] = [80, 8080];
pub const TCP_ECHO_PORT: u16 = 7000;
pub const UDP_ECHO_PORTS: [u16; 3] = [80, 8080, 7000];

/// Connections of one node at once; more of them wait.
const CONNECTIONS: usize = 1024;
/// A client that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
const BREATH: Duration = Duration::from_millis(10);
const REQUEST_BYTES: usize = 16 << 10;
const DATAGRAM_BYTES: usize = 2 << 10;

/// The servers of one node. They end with this.
#[derive(Debug)]
pub(super) struct Backend {
    servers: JoinSet<()>,
}

struct Sockets {
    http: Vec<std::net::TcpListener>,
    echo: Vec<std::net::TcpListener>,
    datagrams: Vec<std::net::UdpSocket>,
}

impl Backend {
    pub(super) fn start(
        runtime: &Handle,
        namespace: &Namespace,
        node: &str,
        addresses: &[IpAddr],
    ) -> io::Result<Backend> {
        let sockets = namespace.run(|| Sockets::open(addresses))?;
        let _guard = runtime.enter();
        let name: Arc<str> = node.into();
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let mut servers = JoinSet::new();
        for listener in sockets.http {
            let listener = TcpListener::from_std(listener)?;
            servers
                .spawn_on(serve(listener, Arc::clone(&name), Arc::clone(&connections), Kind::Http), runtime);
        }
        for listener in sockets.echo {
            let listener = TcpListener::from_std(listener)?;
            servers
                .spawn_on(serve(listener, Arc::clone(&name), Arc::clone(&connections), Kind::Echo), runtime);
        }
        for socket in sockets.datagrams {
            servers.spawn_on(echo_datagrams(UdpSocket::from_std(socket)?, Arc::clone(&name)), runtime);
        }
        Ok(Backend { servers })
    }

    /// When this returns, its ports are free.
    pub(super) async fn end(mut self) {
        self.servers.shutdown().await;
    }
}

impl Sockets {
    /// On the addresses of the node alone, so that an address of a Service that ends up on it by mistake is noticed.
    fn open(addresses: &[IpAddr]) -> io::Result<Sockets> {
        let at = |ports: &'static [u16]| {
            addresses.iter().flat_map(|ip| ports.iter().map(|port| SocketAddr::new(*ip, *port)))
        };
        let listen = |address| {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let bind = |address| {
            let socket = std::net::UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Sockets {
            http: at(&HTTP_PORTS).map(listen).collect::<io::Result<_>>()?,
            echo: at(&[TCP_ECHO_PORT]).map(listen).collect::<io::Result<_>>()?,
            datagrams: at(&UDP_ECHO_PORTS).map(bind).collect::<io::Result<_>>()?,
        })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Echo,
}

async fn serve(listener: TcpListener, node: Arc<str>, connections: Arc<Semaphore>, kind: Kind) {
    // So that they end with the server, as they do where a process ends.
    let mut running = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, client)) = listener.accept().await else {
            // There are too many files open, perhaps for a while.
            tokio::time::sleep(BREATH).await;
            continue;
        };
        while running.try_join_next().is_some() {}
        let node = Arc::clone(&node);
        running.spawn(async move {
            // A client that goes away in between is no news.
            let _ = match kind {
                Kind::Http => answer(stream, client, &node).await,
                Kind::Echo => echo(stream, &node).await,
            };
            drop(permit);
        });
    }
}

/// One request, one answer: who answers, and whom it sees.
async fn answer(mut stream: TcpStream, client: SocketAddr, node: &str) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES {
        if timeout(SILENCE, stream.read_buf(&mut request)).await?? == 0 {
            return Ok(());
        }
    }
    let body = format!("node={node} client={}\n", client.ip());
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Its name on a line, then whatever is said to it.
async fn echo(mut stream: TcpStream, node: &str) -> io::Result<()> {
    stream.write_all(format!("{node}\n").as_bytes()).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let length = timeout(SILENCE, stream.read(&mut buffer)).await??;
        if length == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..length]).await?;
    }
}

/// Its name, a space, and what was said.
async fn echo_datagrams(socket: UdpSocket, node: Arc<str>) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let mut answer = Vec::with_capacity(DATAGRAM_BYTES + node.len() + 1);
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        answer.clear();
        answer.extend_from_slice(node.as_bytes());
        answer.push(b' ');
        answer.extend_from_slice(&buffer[..length]);
        // As with every datagram, the client asks again where it hears nothing.
        let _ = socket.send_to(&answer, client).await;
    }
}
