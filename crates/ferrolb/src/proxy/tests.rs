//! Over addresses of the loopback interface, one for each test, so that none is in the way of another.

use std::net::Ipv4Addr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// Of this test alone, with a port that is free.
fn frontend(test: u8, protocol: Protocol) -> Frontend {
    let address = IpAddr::from(Ipv4Addr::new(127, 77, std::process::id() as u8, test));
    let port = match protocol {
        Protocol::Tcp => std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port(),
        Protocol::Udp => std::net::UdpSocket::bind((address, 0)).unwrap().local_addr().unwrap().port(),
    };
    Frontend { address, protocol, port }
}

fn to(endpoints: &[SocketAddr]) -> Backends {
    Backends { endpoints: endpoints.to_vec(), sticks_to_client: false }
}

struct Forwarding {
    proxy: Proxy,
    frontend: Frontend,
}

impl Forwarding {
    fn new(frontend: Frontend, options: Options, endpoints: &[SocketAddr]) -> Forwarding {
        let mut proxy = Proxy::start(options).unwrap();
        proxy.set(&[(frontend, to(endpoints))].into());
        Forwarding { proxy, frontend }
    }

    fn set(&mut self, endpoints: &[SocketAddr]) {
        self.proxy.set(&[(self.frontend, to(endpoints))].into());
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.frontend.socket()).await.unwrap()
    }

    /// Whether a client is reset. It may be so fast that it does not even know that it was connected.
    async fn resets(&self) -> bool {
        match TcpStream::connect(self.frontend.socket()).await {
            Ok(mut client) => is_reset(&rest(&mut client).await),
            error => is_reset(&error),
        }
    }

    async fn drops(&self, reason: DropReason, count: u64) {
        let counters = self.proxy.counters();
        eventually(reason.name(), || counters.drops(reason) == count).await;
    }

    fn counted(&self) -> Option<Arc<OfFrontend>> {
        self.proxy.counters().frontends().first().map(|(_, it)| Arc::clone(it))
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        sleep(Duration::from_millis(2)).await;
    }
}

async fn endpoint() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An endpoint that takes nobody in.
async fn closed_endpoint() -> SocketAddr {
    endpoint().await.1
}

async fn accept(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.expect("somebody comes").unwrap().0
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("there is something to read").unwrap();
    bytes
}

async fn rest(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it ends").map(|_| bytes)
}

fn is_reset<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn each_side_may_end_first_and_hear_the_other_out() {
    let (listener, address) = endpoint().await;
    let forwarding = Forwarding::new(frontend(1, Protocol::Tcp), Options::default(), &[address]);
    for client_is_first in [true, false] {
        let mut client = forwarding.connect().await;
        let mut server = accept(&listener).await;
        let (first, second) =
            if client_is_first { (&mut client, &mut server) } else { (&mut server, &mut client) };
        first.write_all(b"question").await.unwrap();
        first.shutdown().await.unwrap();
        assert_eq!(rest(second).await.unwrap(), b"question");
        second.write_all(b"an answer").await.unwrap();
        second.shutdown().await.unwrap();
        assert_eq!(rest(first).await.unwrap(), b"an answer");
    }
    let counted = forwarding.counted().unwrap();
    eventually("it is closed", || counted.connections() == (2, 0)).await;
    assert_eq!(counted.bytes(), (17, 17));
    assert!(DropReason::ALL.iter().all(|reason| forwarding.proxy.counters().drops(*reason) == 0));
}

#[tokio::test]
async fn much_goes_through_both_ways_at_once_and_whole() {
    const LENGTH: usize = 8 << 20;
    let (listener, address) = endpoint().await;
    let forwarding = Forwarding::new(frontend(2, Protocol::Tcp), Options::default(), &[address]);
    let echo = tokio::spawn(async move {
        let mut server = accept(&listener).await;
        let (mut reader, mut writer) = server.split();
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
    });
    let sent: Vec<u8> = (0..LENGTH).map(|number| (number % 251) as u8).collect();
    let (mut reader, mut writer) = forwarding.connect().await.into_split();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    timeout(PATIENCE, reader.read_to_end(&mut received)).await.unwrap().unwrap();
    assert!(received == expected);
    writing.await.unwrap();
    echo.await.unwrap();
}

#[tokio::test]
async fn a_reset_is_passed_on_as_one() {
    let (listener, address) = endpoint().await;
    let forwarding = Forwarding::new(frontend(3, Protocol::Tcp), Options::default(), &[address]);
    let mut client = forwarding.connect().await;
    let server = accept(&listener).await;
    sockets::prepare(&server).unwrap();
    drop(server);
    assert!(is_reset(&rest(&mut client).await));

    let client = forwarding.connect().await;
    let mut server = accept(&listener).await;
    sockets::prepare(&client).unwrap();
    drop(client);
    assert!(is_reset(&rest(&mut server).await));
    forwarding.drops(DropReason::Reset, 2).await;
}

#[tokio::test]
async fn endpoints_take_turns_and_the_next_is_tried() {
    let (first, first_address) = endpoint().await;
    let (second, second_address) = endpoint().await;
    let closed = closed_endpoint().await;
    let endpoints = [first_address, closed, second_address];
    let mut forwarding = Forwarding::new(frontend(4, Protocol::Tcp), Options::default(), &endpoints);
    let mut served = [0, 0];
    for _ in 0..6 {
        let _client = forwarding.connect().await;
        tokio::select! {
            _ = first.accept() => served[0] += 1,
            _ = second.accept() => served[1] += 1,
        }
    }
    assert!(served[0] >= 2 && served[1] >= 2, "{served:?}");

    forwarding.set(&[closed]);
    assert!(forwarding.resets().await);
    forwarding.drops(DropReason::Unreachable, 1).await;
    forwarding.set(&[]);
    assert!(forwarding.resets().await);
    forwarding.drops(DropReason::NoEndpoint, 1).await;
}

#[tokio::test]
async fn connections_to_an_endpoint_that_goes_are_left_and_those_of_an_address_that_goes_are_reset() {
    let (listener, address) = endpoint().await;
    let (other_listener, other_address) = endpoint().await;
    let mut forwarding = Forwarding::new(frontend(5, Protocol::Tcp), Options::default(), &[address]);
    let mut client = forwarding.connect().await;
    let mut server = accept(&listener).await;
    forwarding.set(&[other_address]);
    let _other_client = forwarding.connect().await;
    let _other_server = accept(&other_listener).await;
    client.write_all(b"still").await.unwrap();
    assert_eq!(read(&mut server, 5).await, b"still");

    forwarding.proxy.set(&BTreeMap::new());
    forwarding.proxy.ended().await;
    assert!(is_reset(&rest(&mut client).await) && is_reset(&rest(&mut server).await));
    assert!(TcpStream::connect(forwarding.frontend.socket()).await.is_err());
    forwarding.drops(DropReason::Withdrawn, 2).await;
    assert!(forwarding.counted().is_none());
    // And it may come back at once.
    forwarding.set(&[address]);
    let _client = forwarding.connect().await;
    accept(&listener).await;
}

#[tokio::test]
async fn servers_are_told_who_the_client_is() {
    let (listener, address) = endpoint().await;
    let options = Options { tells_client: true, ..Options::default() };
    let forwarding = Forwarding::new(frontend(6, Protocol::Tcp), options, &[address]);
    let mut client = forwarding.connect().await;
    let mut server = accept(&listener).await;
    client.write_all(b"hello").await.unwrap();
    let mut expected = header::header(client.local_addr().unwrap(), forwarding.frontend.socket());
    expected.extend(b"hello");
    assert_eq!(read(&mut server, expected.len()).await, expected);
}

#[tokio::test]
async fn beyond_the_limit_nobody_is_taken_in() {
    let (listener, address) = endpoint().await;
    let options = Options { connections_of_frontend: 1, ..Options::default() };
    let forwarding = Forwarding::new(frontend(7, Protocol::Tcp), options, &[address]);
    let client = forwarding.connect().await;
    let server = accept(&listener).await;
    assert!(forwarding.resets().await);
    forwarding.drops(DropReason::Limit, 1).await;
    drop((client, server));
    let counted = forwarding.counted().unwrap();
    eventually("it is over", || counted.connections() == (1, 0)).await;
    let _client = forwarding.connect().await;
    accept(&listener).await;
}

#[tokio::test]
async fn what_nobody_uses_ends() {
    let (listener, address) = endpoint().await;
    let options = Options { idle_connection: Duration::from_millis(50), ..Options::default() };
    let forwarding = Forwarding::new(frontend(8, Protocol::Tcp), options, &[address]);
    let mut client = forwarding.connect().await;
    let mut server = accept(&listener).await;
    assert!(is_reset(&rest(&mut client).await) && is_reset(&rest(&mut server).await));
    forwarding.drops(DropReason::Idle, 1).await;
}

#[tokio::test]
async fn a_port_of_somebody_else_is_taken_when_it_is_free() {
    let (listener, address) = endpoint().await;
    let frontend = frontend(9, Protocol::Tcp);
    let somebody = TcpListener::bind(frontend.socket()).await.unwrap();
    let options = Options { listen_again: Duration::from_millis(5), ..Options::default() };
    let forwarding = Forwarding::new(frontend, options, &[address]);
    let counted = forwarding.counted().unwrap();
    assert!(!counted.is_listening());
    drop(somebody);
    eventually("it listens", || counted.is_listening()).await;
    let _client = forwarding.connect().await;
    accept(&listener).await;
}

#[tokio::test]
async fn metrics_tell_what_is_forwarded() {
    let (listener, address) = endpoint().await;
    let forwarding = Forwarding::new(frontend(13, Protocol::Tcp), Options::default(), &[address]);
    let mut client = forwarding.connect().await;
    let mut server = accept(&listener).await;
    client.write_all(b"hello").await.unwrap();
    read(&mut server, 5).await;
    let registry = prometheus::Registry::new();
    registry.register(Box::new(Metrics::new(forwarding.proxy.counters()))).unwrap();
    let Frontend { address, port, .. } = forwarding.frontend;
    let of = |name: &str, more: &str, value: u64| {
        format!("ferrolb_proxy_{name}{{{more}ip=\"{address}\",port=\"{port}\",protocol=\"tcp\"}} {value}")
    };
    for expected in [
        of("listening", "", 1),
        of("open", "", 1),
        of("connections_total", "", 1),
        of("bytes_total", "direction=\"received\",", 5),
        "ferrolb_proxy_dropped_total{reason=\"limit\"} 0".to_owned(),
    ] {
        let said = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        eventually(&expected, || said().lines().any(|line| line == expected)).await;
    }
}

async fn datagram(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) =
        timeout(PATIENCE, socket.recv_from(&mut buffer)).await.expect("a datagram comes").unwrap();
    (buffer[..length].to_vec(), from)
}

async fn local() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn datagrams_find_their_way_and_answers_come_from_the_frontend() {
    let (server, address) = local().await;
    let mut forwarding = Forwarding::new(frontend(10, Protocol::Udp), Options::default(), &[address]);
    let to = forwarding.frontend.socket();
    let ((one, _), (other, _)) = (local().await, local().await);
    one.send_to(b"one", to).await.unwrap();
    let (bytes, of_one) = datagram(&server).await;
    assert_eq!(bytes, b"one");
    other.send_to(b"other", to).await.unwrap();
    let (bytes, of_other) = datagram(&server).await;
    assert_eq!(bytes, b"other");
    assert_ne!(of_one, of_other);
    server.send_to(b"to other", of_other).await.unwrap();
    server.send_to(b"to one", of_one).await.unwrap();
    assert_eq!(datagram(&one).await, (b"to one".to_vec(), to));
    assert_eq!(datagram(&other).await, (b"to other".to_vec(), to));
    one.send_to(b"again", to).await.unwrap();
    assert_eq!(datagram(&server).await, (b"again".to_vec(), of_one), "it is the same session");
    let counted = forwarding.counted().unwrap();
    assert_eq!(counted.connections(), (2, 2));
    eventually("bytes are counted", || counted.bytes() == (13, 14)).await;

    // Sessions to an endpoint that is gone are over, and the next datagram begins another.
    let (second, second_address) = local().await;
    forwarding.set(&[second_address]);
    eventually("they are over", || counted.connections().1 == 0).await;
    one.send_to(b"more", to).await.unwrap();
    assert_eq!(datagram(&second).await.0, b"more");
    forwarding.proxy.set(&BTreeMap::new());
    forwarding.proxy.ended().await;
    assert!(UdpSocket::bind(to).await.is_ok());
}

#[tokio::test]
async fn sessions_are_bounded_and_end_when_nobody_uses_them() {
    let (server, address) = local().await;
    let options = Options { connections: 1, idle_session: Duration::from_millis(100), ..Options::default() };
    let forwarding = Forwarding::new(frontend(11, Protocol::Udp), options, &[address]);
    let to = forwarding.frontend.socket();
    let ((one, _), (other, _)) = (local().await, local().await);
    one.send_to(b"one", to).await.unwrap();
    datagram(&server).await;
    other.send_to(b"other", to).await.unwrap();
    forwarding.drops(DropReason::Limit, 1).await;
    let counted = forwarding.counted().unwrap();
    eventually("it is idle", || counted.connections() == (1, 0)).await;
    other.send_to(b"other", to).await.unwrap();
    assert_eq!(datagram(&server).await.0, b"other");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_left_for_another() {
    let (server, address) = local().await;
    let (_, closed) = local().await;
    let forwarding = Forwarding::new(frontend(12, Protocol::Udp), Options::default(), &[closed, address]);
    let client = local().await.0;
    let until = Instant::now() + PATIENCE;
    let mut buffer = [0; 16];
    while timeout(Duration::from_millis(10), server.recv_from(&mut buffer)).await.is_err() {
        assert!(Instant::now() < until, "it stays with one that is not there");
        client.send_to(b"hello", forwarding.frontend.socket()).await.unwrap();
    }
}
