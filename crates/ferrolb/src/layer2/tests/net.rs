//! Hosts and switches for tests: network namespaces without names, each held by a thread, so that nothing is left
//! behind however a test ends.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use protocol::l2::MacAddress;
use rustix::thread::gettid;

use crate::layer2::wire::{self, Wire};
use crate::layer2::{Excluded, Layer2, Options, start};
use crate::sys;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace.
pub(super) struct Host {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    id: i32,
}

/// Whether tests with namespaces can run here. If not it is said why.
pub(super) fn is_possible(programs: &[&str]) -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can make network namespaces");
        return false;
    }
    let is_there = |program: &&&str| {
        let path = std::env::var("PATH").unwrap_or_default();
        path.split(':').any(|folder| fs::exists(format!("{folder}/{program}")).unwrap_or(false))
    };
    if let Some(missing) = ["ip"].iter().chain(programs).find(|program| !is_there(program)) {
        eprintln!("skipped: {missing} is missing, scripts/test installs it");
        return false;
    }
    true
}

impl Host {
    pub(super) fn new() -> Host {
        let (jobs, todo) = channel::<Job>();
        let (ready, is_ready) = channel();
        let thread = std::thread::spawn(move || {
            sys::enter_new_network().unwrap();
            ready.send(gettid().as_raw_nonzero().get()).unwrap();
            todo.into_iter().for_each(|job| job());
        });
        let host = Host { jobs: Some(jobs), thread: Some(thread), id: is_ready.recv().unwrap() };
        host.set("net/ipv6/conf/default/accept_dad", "0");
        host.ip("link set lo up");
        host
    }

    /// By which `ip link set netns` knows it.
    pub(super) fn id(&self) -> i32 {
        self.id
    }

    /// Does something on this host.
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let job: Job = Box::new(move || drop(done.send(job())));
        self.jobs.as_ref().unwrap().send(job).unwrap();
        result.recv().expect("what was done on a host panicked")
    }

    /// What a program says, and whether it was content.
    pub(super) fn output(&self, line: &str) -> Output {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        self.run(move || Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap())
    }

    pub(super) fn says(&self, line: &str) -> String {
        String::from_utf8_lossy(&self.output(line).stdout).into_owned()
    }

    pub(super) fn ip(&self, line: &str) {
        let output = self.output(&format!("ip {line}"));
        assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(super) fn set(&self, name: &'static str, value: &'static str) {
        self.run(move || fs::write(format!("/proc/sys/{name}"), value).unwrap());
    }

    /// Who answers for an address: asked by arping or ndisc6, twice if need be on a busy machine.
    pub(super) fn ask(&self, interface: &str, address: &str) -> Option<MacAddress> {
        let said = if address.contains(':') {
            self.says(&format!("ndisc6 -q -m -r 2 -w 500 {address} {interface}"))
        } else {
            self.says(&format!("arping -f -w 2 -I {interface} {address}"))
        };
        station_in(&said)
    }

    /// Waits for an answer of that station: a busy machine may need more than two attempts.
    pub(super) fn finds(&self, address: &str, station: MacAddress) {
        eventually(&format!("{station} answers for {address}"), || {
            self.ask("eth0", address) == Some(station)
        });
    }

    /// What the kernel's neighbour table has.
    pub(super) fn neighbour(&self, address: &str) -> Option<MacAddress> {
        station_in(&self.says(&format!("ip neighbour show {address}")))
    }

    pub(super) fn station(&self, interface: &str) -> MacAddress {
        let said = self.says(&format!("ip -o link show {interface}"));
        station_in(said.split("link/ether").nth(1).unwrap_or_default()).unwrap()
    }

    pub(super) fn start(&self, change: impl FnOnce(&mut Options)) -> Layer2 {
        let mut options =
            Options { excluded: Excluded::parse(&["^lo$".to_owned()]).unwrap(), ..Options::default() };
        change(&mut options);
        self.run(move || start(options).unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Its panic, if there was one, is known to whoever waited for the result.
            let _ = thread.join();
        }
    }
}

/// An interface of a host, as a wire.
pub(super) fn wire_of(host: &Host, interface: &'static str) -> Wire {
    host.run(move || Wire::open(interface, wire::ALL_TYPES).unwrap())
}

/// A segment: a bridge that forwards everything.
pub(super) struct Switch {
    host: Host,
}

impl Switch {
    pub(super) fn new() -> Switch {
        let host = Host::new();
        host.set("net/ipv6/conf/default/disable_ipv6", "1");
        host.ip("link add br0 type bridge mcast_snooping 0");
        host.ip("link set br0 up");
        Switch { host }
    }

    /// One that forwards frames to a group only to those who reported that they listen.
    pub(super) fn that_listens() -> Switch {
        let host = Host::new();
        host.ip(
            "link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_query_response_interval 100",
        );
        host.ip("link set br0 up");
        Switch { host }
    }

    pub(super) fn says(&self, line: &str) -> String {
        self.host.says(line)
    }

    /// A host with one interface here, eth0.
    pub(super) fn new_host(&self) -> Host {
        let host = Host::new();
        self.connect(&host, "eth0");
        self.up(&host, "eth0");
        host
    }

    /// One that is not up yet.
    pub(super) fn connect(&self, host: &Host, interface: &str) {
        let port = port(host, interface);
        self.host.ip(&format!("link add {port} type veth peer name {interface} netns {}", host.id));
        self.host.ip(&format!("link set {port} master br0 up"));
    }

    /// And wait until frames go through, which is when the kernel gets around to it.
    pub(super) fn up(&self, host: &Host, interface: &str) {
        host.ip(&format!("link set {interface} up"));
        let show = format!("ip -d link show {}", port(host, interface));
        eventually("the switch forwards", || self.host.says(&show).contains("state forwarding"));
    }
}

fn port(host: &Host, interface: &str) -> String {
    format!("{interface}-{}", host.id % 100_000)
}

/// Waits until something is so.
pub(super) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The first one in a text, as `[02:...]`, `lladdr 02:...` or alone. Not every program writes leading zeros.
fn station_in(text: &str) -> Option<MacAddress> {
    let words = text.split(|it: char| !(it.is_ascii_hexdigit() || it == ':'));
    words.filter_map(station_of).next()
}

fn station_of(word: &str) -> Option<MacAddress> {
    let parts: Vec<u8> =
        word.split(':').map(|part| u8::from_str_radix(part, 16)).collect::<Result<_, _>>().ok()?;
    parts.try_into().ok().map(MacAddress)
}
