//! A peer that behaves badly, over and over, as fast as it can.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::bgp::attribute::{NextHop, Origin, Outgoing};
use protocol::bgp::capability::Family;
use protocol::bgp::prefix::{Path, Prefix};
use protocol::bgp::update::{Form, write as update};
use protocol::bgp::{Message, frame, write};
use socket2::{Domain, Protocol, Socket, Type};

use super::ear::{ASN, PORT, greeting};

const MILLION: u32 = 1_000_000;
const TURN: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// Has a session, and never reads what it is told.
    Deaf,
    /// Closes as soon as there is a session.
    Resets,
    /// Tells a million routes, takes them back by closing, and again.
    Million,
    /// Sends what is no message once there is a session.
    Garbage,
    /// Sends that, and nothing else.
    Noise,
}

impl Manner {
    pub(crate) const ALL: [Manner; 5] =
        [Manner::Deaf, Manner::Resets, Manner::Million, Manner::Garbage, Manner::Noise];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Manner::Deaf => "deaf",
            Manner::Resets => "resets",
            Manner::Million => "million",
            Manner::Garbage => "garbage",
            Manner::Noise => "noise",
        }
    }
}

/// Ends when it is dropped.
pub(crate) struct Villain {
    is_over: Arc<AtomicBool>,
    sessions: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Villain {
    pub(crate) fn start(manner: Manner, own: Ipv4Addr, victim: Ipv4Addr) -> Villain {
        let (is_over, sessions) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ends, count) = (Arc::clone(&is_over), Arc::clone(&sessions));
        let thread = std::thread::spawn(move || {
            let deed = Deed {
                manner,
                ends: &ends,
                count: &count,
                million: if matches!(manner, Manner::Million) { million(own) } else { Vec::new() },
            };
            while !ends.load(Ordering::Relaxed) {
                // It is to be refused, closed and so on.
                let _ = connect(own, victim).and_then(|mut stream| deed.commit(&mut stream));
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Villain { is_over, sessions, thread: Some(thread) }
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }
}

impl Drop for Villain {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Deed<'a> {
    manner: Manner,
    ends: &'a AtomicBool,
    count: &'a AtomicUsize,
    million: Vec<Vec<u8>>,
}

impl Deed<'_> {
    fn commit(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let garbage: Vec<u8> =
            (0..1_u32 << 16).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        if matches!(self.manner, Manner::Noise) {
            return stream.write_all(&garbage);
        }
        stream.write_all(&write::open(&greeting(stream.local_addr()?)))?;
        stream.write_all(&write::keep_alive())?;
        self.has_session(stream)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        match self.manner {
            Manner::Deaf => {
                while !self.ends.load(Ordering::Relaxed) {
                    std::thread::sleep(TURN);
                }
            }
            Manner::Million => {
                for message in self.million.iter().take_while(|_| !self.ends.load(Ordering::Relaxed)) {
                    stream.write_all(message)?;
                }
            }
            Manner::Garbage => stream.write_all(&garbage)?,
            Manner::Resets | Manner::Noise => {}
        }
        Ok(())
    }

    /// Waits for OPEN and KEEPALIVE.
    fn has_session(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut stream_bytes = Vec::new();
        let mut buffer = [0; 4096];
        let (mut done, mut is_open) = (0, false);
        while !self.ends.load(Ordering::Relaxed) {
            match stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => stream_bytes.extend_from_slice(&buffer[..bytes]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
            while let Ok(Some(next)) = frame(&stream_bytes[done..], protocol::bgp::MESSAGE_BYTES) {
                done += next.bytes;
                match Message::read(next, &Form::default()) {
                    Ok(Message::Open(_)) => is_open = true,
                    Ok(Message::KeepAlive) if is_open => return Ok(()),
                    _ => return Err(ErrorKind::ConnectionRefused.into()),
                }
            }
        }
        Err(ErrorKind::Interrupted.into())
    }
}

fn connect(own: Ipv4Addr, victim: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(own.into(), 0).into())?;
    socket.connect(&SocketAddr::new(victim.into(), PORT).into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TURN))?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    Ok(stream)
}

fn million(own: Ipv4Addr) -> Vec<Vec<u8>> {
    let attributes = Outgoing {
        origin: Origin::Igp,
        as_path: vec![ASN],
        next_hop: NextHop::V4(own),
        med: None,
        local_preference: None,
        communities: Vec::new(),
        extended_communities: Vec::new(),
        large_communities: Vec::new(),
        only_to_customer: None,
    };
    let form = Form { is_external: true, has_four_octets: true, ..Form::default() };
    let first = Ipv4Addr::new(20, 0, 0, 0).to_bits();
    let path = |number| {
        let prefix = Prefix::new(Ipv4Addr::from_bits(first + number).into(), 32);
        prefix.map(|prefix| Path { id: None, prefix })
    };
    let paths: Vec<Path> = (0..MILLION).filter_map(path).collect();
    update::announce(Family::IPV4_UNICAST, &attributes, &paths, &form)
}
