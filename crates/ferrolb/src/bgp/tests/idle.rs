//! Whatever state others leave their connections in, the thread sleeps.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use protocol::bgp::write;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;

use super::stranger::{Scene, Stranger, open, wordy_routes};
use super::*;

/// How long it is watched, and how much of that it may work: a thread that does not sleep would work all the time.
const WATCHED: Duration = Duration::from_secs(2);
const TICKS_AT_MOST: u64 = 40;
/// Of the process that runs out of descriptors.
const INNER: &str = "bgp::tests::idle::who_cannot_be_accepted_waits";

/// One at a time, to tell whose thread is whose.
static STARTING: Mutex<()> = Mutex::new(());

fn threads() -> BTreeSet<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_bgp = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "bgp")
    };
    tasks.filter(is_bgp).map(|task| task.file_name().into_string().unwrap()).collect()
}

/// An engine and its thread. Others may start theirs at the same time, so it is tried until it is clear.
fn start_known(options: &Options) -> (Bgp, String) {
    let _alone = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for _ in 0..50 {
        let before = threads();
        let engine = start(options.clone()).unwrap();
        engine.seen().peers(None, false).unwrap();
        let new: Vec<_> = threads().difference(&before).cloned().collect();
        if let [thread] = new.as_slice() {
            return (engine, thread.clone());
        }
    }
    panic!("too many threads begin");
}

/// Hundredths of a second that a thread has worked.
fn ticks(thread: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let numbers: Vec<u64> = fields.split(' ').skip(11).take(2).map(|it| it.parse().unwrap()).collect();
    numbers.iter().sum()
}

fn assert_sleeps(thread: &str) {
    let before = ticks(thread);
    thread::sleep(WATCHED);
    let worked = ticks(thread) - before;
    assert!(worked <= TICKS_AT_MOST, "{worked} ticks");
}

#[test]
fn connections_that_are_left_alone_cost_nothing() {
    let mut scene = Scene::new();
    let (here, port) = (scene.pair.of_active.source.unwrap(), scene.pair.of_active.port);
    // The other one ends before, so that this one can listen there.
    scene.pair.active = start(Options { node: "here".to_owned(), listen: Vec::new() }).unwrap();
    let to = SocketAddr::new(here, port);
    let (engine, thread) = start_known(&Options { node: "here".to_owned(), listen: vec![to] });
    scene.pair.active = engine;
    let names = ["silent", "half-closed", "half-closed-late", "refused", "unread"];
    let listeners = names.map(|name| {
        let (listener, neighbour) = scene.add(name);
        if name == "unread" {
            SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
            neighbour.routes = wordy_routes();
        }
        listener
    });
    scene.set();
    scene.wait_until_up();
    let accept = |at: usize| Stranger::new(listeners[at].accept().unwrap().0);
    let silent = accept(0);
    let half_closed = accept(1);
    half_closed.stream.shutdown(Shutdown::Write).unwrap();
    let mut half_closed_late = accept(2);
    half_closed_late.greet();
    half_closed_late.stream.shutdown(Shutdown::Write).unwrap();
    let mut refused = accept(3);
    refused.say(&write::keep_alive());
    let mut unread = accept(4);
    unread.say(&write::open(&open()));
    unread.say(&write::keep_alive());
    eventually("its buffers are full", || view_of(&scene.pair.active, "unread").state.pending_bytes > 0);
    let nobodies: Vec<_> = (0..100).map(|_| TcpStream::connect(to).unwrap()).collect();
    for nobody in &nobodies[..50] {
        let _ = nobody.shutdown(Shutdown::Write);
    }
    assert_sleeps(&thread);
    drop((silent, half_closed, half_closed_late, refused, unread, nobodies));
    scene.assert_undisturbed();
}

#[test]
fn without_a_descriptor_left_it_sleeps_too() {
    let test = std::env::current_exe().unwrap();
    let output = Command::new(test).args([INNER, "--exact", "--ignored", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "in a process of its own, which without_a_descriptor_left_it_sleeps_too starts"]
fn who_cannot_be_accepted_waits() {
    let (here, _, port) = addresses();
    let to = SocketAddr::new(here, port);
    let engine = start(Options { node: "here".to_owned(), listen: vec![to] }).unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..limit }).unwrap();
    let mut all: Vec<fs::File> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
    all.pop();
    let mut stranger = Stranger::new(TcpStream::connect(to).unwrap());
    let before = cpu_time();
    thread::sleep(WATCHED);
    let worked = cpu_time() - before;
    assert!(worked < WATCHED / 4, "{worked:?}");
    stranger.stream.set_nonblocking(true).unwrap();
    assert!(stranger.stream.peek(&mut [0]).is_err(), "it waits");
    stranger.stream.set_nonblocking(false).unwrap();
    drop(all);
    assert_eq!(stranger.hear_notification(), Some((6, 5)), "as soon as there are some again");
    drop(engine);
}

/// Of the whole process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
