//! Every frame of ARP that crosses the segment, with the time at which the kernel of the switch saw it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use ferrolb::lab::{Lab, capture_program};
use ferrolb::layer2::MacAddress;
use protocol::l2::arp::{Operation, Packet};

/// Of `tcpdump -w` with nanoseconds, on a machine with this order of bytes.
const MAGIC: u32 = 0xa1b2_3c4d;
const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;
const ETHERNET: usize = 14;
const LONGEST: usize = 2048;

/// Since 1970, as the kernel and this process both tell it.
pub(crate) type Moment = Duration;

pub(crate) fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) at: Moment,
    pub(crate) packet: Packet,
}

impl Frame {
    /// Unasked: its sender has the address.
    pub(crate) fn is_claim(&self) -> bool {
        self.packet.sender == self.packet.target && !self.packet.sender.is_unspecified()
    }

    pub(crate) fn is_answer(&self) -> bool {
        self.packet.operation == Operation::Reply && !self.is_claim()
    }

    pub(crate) fn from(&self) -> MacAddress {
        self.packet.sender_station
    }
}

/// Listens until it is dropped.
pub(crate) struct Ears {
    child: Child,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    frames: Vec<Frame>,
    /// Who said so last.
    owners: BTreeMap<Ipv4Addr, MacAddress>,
}

impl Ears {
    /// When this returns, every later frame is heard.
    pub(crate) fn open(lab: &Lab) -> anyhow::Result<Ears> {
        let program = capture_program()?;
        let program = program.to_str().context("the path of tcpdump")?;
        let mut command = lab.command("switch", program)?;
        command.args(["-i", "data", "-n", "-U", "--immediate-mode", "-s", "96", "-B", "8192"]);
        command.args(["--time-stamp-precision", "nano", "-Z", "root", "-w", "-", "arp"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("running tcpdump")?;
        let mut output = child.stdout.take().context("what tcpdump says")?;
        let heard = Arc::new(Heard::default());
        let ears = Ears { child, heard: Arc::clone(&heard) };
        let mut header = [0; FILE_HEADER];
        output.read_exact(&mut header).context("tcpdump did not begin")?;
        ensure!(header[..4] == MAGIC.to_ne_bytes(), "tcpdump writes something else");
        std::thread::Builder::new().name("ears".to_owned()).spawn(move || heard.listen(output))?;
        Ok(ears)
    }

    /// To ask later for what came after this.
    pub(crate) fn mark(&self) -> usize {
        self.heard.state().frames.len()
    }

    pub(crate) fn since(&self, mark: usize) -> Vec<Frame> {
        self.heard.state().frames.get(mark..).unwrap_or_default().to_vec()
    }

    /// Who claimed each address last.
    pub(crate) fn owners(&self) -> BTreeMap<Ipv4Addr, MacAddress> {
        self.heard.state().owners.clone()
    }

    /// The first frame for each address, since the mark, of which something is so. Less if not all come in time.
    pub(crate) fn first_of_each(
        &self,
        addresses: &BTreeSet<Ipv4Addr>,
        mark: usize,
        within: Duration,
        is_it: impl Fn(&Frame) -> bool,
    ) -> BTreeMap<Ipv4Addr, Frame> {
        let until = Instant::now() + within;
        let mut found = BTreeMap::new();
        let mut next = mark;
        let mut state = self.heard.state();
        loop {
            for frame in state.frames.get(next..).unwrap_or_default() {
                if addresses.contains(&frame.packet.sender) && is_it(frame) {
                    found.entry(frame.packet.sender).or_insert(*frame);
                }
            }
            next = state.frames.len();
            let left = until.saturating_duration_since(Instant::now());
            if found.len() == addresses.len() || left.is_zero() {
                return found;
            }
            let waited = self.heard.more.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        // It may have ended with the lab.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Heard {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, mut output: ChildStdout) {
        while let Ok(frame) = read_frame(&mut output) {
            let Some(frame) = frame else { continue };
            let mut state = self.state();
            if frame.is_claim() {
                state.owners.insert(frame.packet.sender, frame.from());
            }
            state.frames.push(frame);
            self.more.notify_all();
        }
    }
}

/// Nothing if it is no ARP for IPv4.
fn read_frame(output: &mut ChildStdout) -> io::Result<Option<Frame>> {
    let mut header = [0; FRAME_HEADER];
    output.read_exact(&mut header)?;
    let field = |index: usize| {
        let bytes = header[index * 4..].first_chunk().copied().unwrap_or_default();
        u32::from_ne_bytes(bytes)
    };
    let length = field(2) as usize;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    output.read_exact(&mut bytes)?;
    let at = Duration::new(u64::from(field(0)), field(1));
    Ok(bytes.get(ETHERNET..).and_then(Packet::parse).map(|packet| Frame { at, packet }))
}
