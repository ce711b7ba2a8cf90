//! The other end of sessions: hears what a router is told, and when. It says nothing of its own.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use protocol::bgp::capability::Family;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::update::{Form, Update};
use protocol::bgp::{Capability, MESSAGE_BYTES, Message, Open, frame, write};

pub(crate) const PORT: u16 = 179;
pub(crate) const ASN: u32 = 64_600;
const HOLD_SECS: u16 = 90;
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How long it does not notice that it is to end.
const TURN: Duration = Duration::from_millis(100);
const ACCEPT_TURN: Duration = Duration::from_millis(1);
/// Nothing that is measured takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Ends when it is dropped, and its session with it.
pub(crate) struct Ear {
    heard: Arc<(Mutex<Heard>, Condvar)>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What was heard in the session that there is.
#[derive(Default)]
pub(crate) struct Heard {
    /// When the other side was told that it has come about.
    established: Option<Instant>,
    /// Whether it was announced last, and when that or its end was heard.
    routes: HashMap<Prefix, (bool, Instant)>,
    announced: usize,
    last: Option<Instant>,
    /// Of all sessions.
    pub(crate) sessions: usize,
}

impl Ear {
    pub(crate) fn open(address: Ipv4Addr) -> std::io::Result<Ear> {
        Ear::hear(TcpListener::bind(SocketAddr::new(address.into(), PORT))?)
    }

    /// The listener may be in another namespace.
    pub(crate) fn hear(listener: TcpListener) -> std::io::Result<Ear> {
        listener.set_nonblocking(true)?;
        let (heard, is_over) = (Arc::<(Mutex<Heard>, Condvar)>::default(), Arc::new(AtomicBool::new(false)));
        let (told, ends) = (Arc::clone(&heard), Arc::clone(&is_over));
        let thread = std::thread::Builder::new().name("ear".to_owned()).spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => {
                        // However it ends: the next one is as good.
                        let _ = session(&mut stream, &told, &ends);
                        lock(&told).end();
                        told.1.notify_all();
                    }
                    Err(_) => std::thread::sleep(ACCEPT_TURN),
                }
            }
        })?;
        Ok(Ear { heard, is_over, thread: Some(thread) })
    }

    /// Waits until this can be said of what was heard.
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        mut said: impl FnMut(&Heard) -> Option<T>,
    ) -> anyhow::Result<T> {
        let until = Instant::now() + DEADLINE;
        let mut heard = lock(&self.heard);
        loop {
            if let Some(answer) = said(&heard) {
                return Ok(answer);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("not within {} s: {what}; {} are announced", DEADLINE.as_secs(), heard.announced);
            }
            heard = self.heard.1.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// When the session came about, and when the last of so many routes was heard.
    pub(crate) fn all(&self, count: usize) -> anyhow::Result<(Instant, Instant)> {
        self.wait_for(&format!("{count} routes are heard"), |heard| {
            (heard.announced == count).then_some(heard.established.zip(heard.last)).flatten()
        })
    }

    /// When it was heard that a prefix is announced, or is not any more.
    pub(crate) fn turned(&self, prefix: Prefix, is_announced: bool) -> anyhow::Result<Instant> {
        self.wait_for(&format!("{prefix} comes or goes"), |heard| {
            let (now, at) = heard.routes.get(&prefix)?;
            (*now == is_announced).then_some(*at)
        })
    }

    pub(crate) fn sessions(&self) -> usize {
        lock(&self.heard).sessions
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Heard {
    /// There is no session.
    pub(crate) fn is_silent(&self) -> bool {
        self.established.is_none()
    }

    fn end(&mut self) {
        *self = Heard { sessions: self.sessions, ..Heard::default() };
    }

    fn take(&mut self, update: &Update<'_>, now: Instant) {
        for prefix in update.withdrawn.iter().flat_map(|(_, paths)| paths.iter()) {
            self.turn(prefix.prefix, false, now);
        }
        for path in update.announced.iter().flat_map(|announced| announced.paths.iter()) {
            self.turn(path.prefix, true, now);
        }
    }

    fn turn(&mut self, prefix: Prefix, is_announced: bool, now: Instant) {
        let before = self.routes.insert(prefix, (is_announced, now)).is_some_and(|(was, _)| was);
        self.announced = self.announced + usize::from(is_announced) - usize::from(before);
        self.last = Some(now);
    }
}

fn lock(heard: &Arc<(Mutex<Heard>, Condvar)>) -> MutexGuard<'_, Heard> {
    heard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn session(
    stream: &mut TcpStream,
    heard: &Arc<(Mutex<Heard>, Condvar)>,
    is_over: &AtomicBool,
) -> anyhow::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TURN))?;
    let address = stream.local_addr()?;
    stream.write_all(&write::open(&greeting(address)))?;
    let (mut buffer, mut filled) = (vec![0; 1 << 18], 0);
    let (mut form, mut said) = (Form::default(), Instant::now());
    while !is_over.load(Ordering::Relaxed) {
        if said.elapsed() > KEEPALIVE {
            stream.write_all(&write::keep_alive())?;
            said = Instant::now();
        }
        filled += match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        let mut heard_now = lock(heard);
        let mut done = 0;
        let wrong = |what| anyhow!("{what:?}");
        while let Some(next) = frame(&buffer[done..filled], MESSAGE_BYTES).map_err(wrong)? {
            done += next.bytes;
            match Message::read(next, &form).map_err(wrong)? {
                Message::Open(open) => {
                    form = agreed(&open);
                    stream.write_all(&write::keep_alive())?;
                    heard_now.established = Some(Instant::now());
                    heard_now.sessions += 1;
                }
                Message::Update(update) => heard_now.take(&update, now),
                Message::Notification(why) => bail!("{why:?}"),
                Message::KeepAlive | Message::RouteRefresh(_) => {}
            }
        }
        drop(heard_now);
        heard.1.notify_all();
        buffer.copy_within(done..filled, 0);
        filled -= done;
    }
    Ok(())
}

/// What it says of itself.
pub(crate) fn greeting(own: SocketAddr) -> Open {
    let SocketAddr::V4(own) = own else { unreachable!("ears have addresses of IPv4") };
    Open {
        autonomous_system: ASN,
        hold_secs: HOLD_SECS,
        router_id: *own.ip(),
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::RouteRefresh,
            Capability::FourOctetAs(ASN),
        ],
    }
}

fn agreed(open: &Open) -> Form {
    Form {
        is_external: true,
        has_four_octets: open.has_four_octets(),
        families: [Family::IPV4_UNICAST].into(),
        ..Form::default()
    }
}
