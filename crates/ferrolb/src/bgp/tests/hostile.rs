//! Neighbours that do all they can to be in the way, and a session beside them that must not notice.

use std::io::Write;
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope};

use protocol::bgp::attribute::{NextHop, Origin, Outgoing};
use protocol::bgp::capability::Family;
use protocol::bgp::prefix::Path;
use protocol::bgp::update::{Form, write::announce};
use protocol::bgp::{RouteRefresh, write};
use rustix::event::epoll;
use socket2::{SockRef, Socket};

use super::stranger::{Scene, Stranger, THEIR_AS, WORDY, wordy_routes};
use super::*;
use crate::bgp::connection::Connection;

/// Longer than a session lives that hears nothing.
const TROUBLE: Duration = Duration::from_secs(5);
/// Of a route to the good neighbour, on a machine that is busy.
const AT_MOST: Duration = Duration::from_secs(1);
/// What may wait to be written to one neighbour.
const PENDING_BYTES: usize = 300 << 10;
const ROUTES: u32 = 200_000;

type Trouble = fn(&TcpListener, &AtomicBool);

/// Whatever goes wrong, it ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Connections one after the other, until it is over.
fn each(listener: &TcpListener, is_over: &AtomicBool, mut talk: impl FnMut(Stranger)) {
    listener.set_nonblocking(true).unwrap();
    while !is_over.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                talk(Stranger::new(stream));
            }
            Err(_) => thread::sleep(CHECK),
        }
    }
}

fn many_routes() -> Vec<u8> {
    let outgoing = Outgoing {
        origin: Origin::Igp,
        as_path: vec![THEIR_AS],
        next_hop: NextHop::V4(Ipv4Addr::new(127, 0, 6, 1)),
        med: None,
        local_preference: None,
        communities: Vec::new(),
        extended_communities: Vec::new(),
        large_communities: Vec::new(),
        only_to_customer: None,
    };
    let form = Form { is_external: true, has_four_octets: true, ..Form::default() };
    let paths = routes(ROUTES).unwrap();
    let paths: Vec<_> = paths.iter().map(|(prefix, _)| Path { id: None, prefix: *prefix }).collect();
    announce(Family::IPV4_UNICAST, &outgoing, &paths, &form).concat()
}

fn resets(listener: &TcpListener, is_over: &AtomicBool) {
    each(listener, is_over, |mut stranger| {
        stranger.greet();
        SockRef::from(&stranger.stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
}

fn hangs_up(listener: &TcpListener, is_over: &AtomicBool) {
    each(listener, is_over, drop);
}

fn tells_all_it_knows(listener: &TcpListener, is_over: &AtomicBool) {
    let all = many_routes();
    each(listener, is_over, |mut stranger| {
        stranger.greet();
        while !is_over.load(Ordering::Relaxed) && stranger.say(&all) {}
    });
}

/// Also after it was told to be quiet.
fn talks_nonsense(listener: &TcpListener, is_over: &AtomicBool) {
    let nonsense = vec![0xa5; 1 << 20];
    each(
        listener,
        is_over,
        |mut stranger| {
            while !is_over.load(Ordering::Relaxed) && stranger.say(&nonsense) {}
        },
    );
}

fn wants_all_again(listener: &TcpListener, is_over: &AtomicBool) {
    let wishes = write::route_refresh(RouteRefresh::Request(Family::IPV4_UNICAST)).repeat(100);
    each(listener, is_over, |mut stranger| {
        stranger.greet();
        let mut ears = stranger.stream.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || std::io::copy(&mut ears, &mut std::io::sink()));
            while !is_over.load(Ordering::Relaxed) && stranger.say(&wishes) {
                thread::sleep(CHECK);
            }
            let _ = stranger.stream.shutdown(std::net::Shutdown::Both);
        });
    });
}

/// It is there, and what it is told stays where it is.
fn never_reads(listener: &TcpListener, is_over: &AtomicBool) {
    SockRef::from(listener).set_recv_buffer_size(4096).unwrap();
    each(listener, is_over, |mut stranger| {
        stranger.greet();
        while !is_over.load(Ordering::Relaxed) && stranger.say(&write::keep_alive()) {
            thread::sleep(Duration::from_millis(200));
        }
    });
}

fn never_speaks(listener: &TcpListener, is_over: &AtomicBool) {
    each(listener, is_over, |stranger| {
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep(CHECK);
        }
        drop(stranger);
    });
}

/// Connects, over and over.
fn crowd<'scope>(scope: &'scope Scope<'scope, '_>, to: SocketAddr, is_over: &'scope AtomicBool) {
    scope.spawn(move || {
        let mut crowd = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            crowd.extend(TcpStream::connect(to));
            if crowd.len() > 200 {
                crowd.clear();
            }
        }
    });
}

#[test]
fn nobody_is_in_the_way_of_others() {
    let troubles: [(&str, Trouble); 8] = [
        ("never-speaks", never_speaks),
        ("never-reads", never_reads),
        ("resets", resets),
        ("hangs-up", hangs_up),
        ("tells-all", tells_all_it_knows),
        ("tells-too-much", tells_all_it_knows),
        ("nonsense", talks_nonsense),
        ("wants-all-again", wants_all_again),
    ];
    let mut scene = Scene::new();
    scene.pair.of_active.routes = routes(1);
    scene.set();
    scene.wait_until_up();
    let listeners = troubles.map(|(name, _)| {
        let (listener, neighbour) = scene.add(name);
        neighbour.settings.connect_retry = Some(Duration::from_millis(50));
        match name {
            "never-reads" => neighbour.routes = wordy_routes(),
            "wants-all-again" => neighbour.routes = routes(ROUTES),
            "tells-too-much" => neighbour.settings.max_prefixes = Some(1000),
            _ => {}
        }
        listener
    });
    let to = SocketAddr::new(scene.pair.of_active.source.unwrap(), scene.pair.of_active.port);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ends = Ends(&is_over);
        for ((_, trouble), listener) in troubles.iter().zip(&listeners) {
            let is_over = &is_over;
            scope.spawn(move || trouble(listener, is_over));
        }
        crowd(scope, to, &is_over);
        scene.set();
        let begin = Instant::now();
        let (mut slowest, mut pending) = (Duration::ZERO, 0);
        while begin.elapsed() < TROUBLE {
            slowest = slowest.max(scene.time_of_change());
            for view in scene.pair.active.seen().peers(None, false).unwrap() {
                pending = pending.max(view.state.pending_bytes);
            }
        }
        scene.assert_undisturbed();
        assert!(slowest < AT_MOST, "{slowest:?}");
        assert!(pending < PENDING_BYTES, "{pending}");
        let unread = view_of(&scene.pair.active, "never-reads").state;
        assert!(unread.pending_bytes > 0 && unread.told < WORDY as usize, "{unread:?}");
        let told = view_of(&scene.pair.active, "tells-all").state.received.updates;
        assert!(told > 100, "{told}");
        assert!(view_of(&scene.pair.active, "tells-too-much").problem().unwrap().contains("1000 prefixes"));
    });
}

#[test]
fn of_what_comes_at_the_end_only_some_is_thrown_away_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted: Socket = listener.accept().unwrap().0.into();
    accepted.set_nonblocking(true).unwrap();
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut ending = Connection::accepted(accepted, 1, &poll).unwrap();
    other.write_all(&[0; 100]).unwrap();
    eventually("it has come", || {
        ending.socket.peek(&mut [MaybeUninit::uninit(); 100]).is_ok_and(|it| it == 100)
    });
    let now = Instant::now();
    ending.end(now);
    assert!(!ending.has_ended(now, &mut [0]));
    assert!(ending.read(&mut [0; 100]).unwrap().is_some_and(|rest| rest.len() > 50));
}

/// How many connections from there a listening side still holds.
fn held(local: SocketAddr, remote: &str) -> usize {
    let hex = |address: &str| {
        let octets = address.parse::<Ipv4Addr>().unwrap().octets();
        format!("{:08X}", u32::from_ne_bytes(octets))
    };
    let local = format!("{}:{:04X}", hex(&local.ip().to_string()), local.port());
    let remote = hex(remote);
    let all = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_held = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        // Without an inode it is only the kernel's, and with the tenth state it listens.
        fields[1] == local && fields[2].starts_with(&remote) && fields[9] != "0" && fields[3] != "0A"
    };
    all.lines().skip(1).filter(is_held).count()
}

#[test]
fn of_one_that_connects_over_and_over_only_some_are_waited_for() {
    const FROM: &str = "127.0.6.2";
    let mut scene = Scene::new();
    scene.pair.of_active.routes = routes(1);
    let (_listener, neighbour) = scene.add("again");
    neighbour.endpoint = Endpoint::Address(FROM.parse().unwrap());
    neighbour.settings.is_passive = true;
    scene.set();
    scene.wait_until_up();
    let to = SocketAddr::new(scene.pair.of_active.source.unwrap(), scene.pair.of_active.port);
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut stranger = connect(FROM.parse().unwrap(), to);
        stranger.hear();
        all.push(stranger);
    }
    let held = held(to, FROM);
    assert!((1..=12).contains(&held), "{held}");
    scene.time_of_change();
    scene.assert_undisturbed();
}

#[test]
fn who_connects_first_hears_who_this_is() {
    let mut scene = Scene::new();
    // It is asked where nobody answers, and comes by itself meanwhile.
    let (listener, neighbour) = scene.add("first");
    let (own, from) = (neighbour.source.unwrap(), listener.local_addr().unwrap().ip());
    let silent = Socket::from(listener);
    let key = Security::Md5(Password("other".to_owned()));
    if socket::secure(&silent, own, None, &key).is_err() {
        return eprintln!("skipped: this kernel does not sign segments");
    }
    scene.set();
    eventually("it is tried", || view_of(&scene.pair.active, "first").state.phase == Phase::Connect);
    let mut stranger = connect(from, SocketAddr::new(own, scene.pair.of_active.port));
    let (_, open) = stranger.hear().unwrap();
    assert_eq!(IpAddr::from([open[5], open[6], open[7], open[8]]), own);
}

fn connect(from: IpAddr, to: SocketAddr) -> Stranger {
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    Stranger::new(socket.into())
}
