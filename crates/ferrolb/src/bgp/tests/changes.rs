//! What was not there, comes; what was there, goes; what was wrong is put right. Each counts at once, not when it would have
//! been tried again. Tests that need a network of their own need root.

use std::process::Command;
use std::thread;

use super::stranger::Scene;
use super::*;
use crate::sys;

/// Long after a test would have failed.
const SELDOM: Duration = Duration::from_secs(300);

/// Where nothing is but the loopback interface. It goes with the thread.
fn in_own_network(test: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can make network namespaces");
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return eprintln!("skipped: ip is missing, scripts/test installs it");
    }
    let thread = thread::spawn(|| {
        sys::enter_new_network().unwrap();
        ip("link set lo up");
        test();
    });
    if let Err(why) = thread.join() {
        std::panic::resume_unwind(why);
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_password_that_is_put_right_is_used_at_once() {
    let mut scene = Scene::new();
    let pair = &mut scene.pair;
    pair.of_active.settings.connect_retry = Some(SELDOM);
    pair.of_active.security = Security::Md5(Password("wrong".to_owned()));
    pair.of_passive.security = Security::Md5(Password("right".to_owned()));
    pair.set();
    eventually("it is tried", || phase(&pair.active) == Phase::Connect);
    pair.of_active.security = pair.of_passive.security.clone();
    let begin = Instant::now();
    pair.set();
    pair.wait_until_up();
    // An attempt is given up by itself after ten seconds.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn who_does_not_sign_is_not_heard_where_a_key_could_not_be_known() {
    in_own_network(|| {
        let mut pair = unnumbered();
        pair.of_passive.security = Security::Md5(Password("secret".to_owned()));
        plug();
        pair.set();
        eventually("it is refused", || {
            let error = view(&pair.active).state.last_error;
            error.is_some_and(|error| error.to_string().contains("Connection Rejected"))
        });
        assert_eq!(view(&pair.passive).state.received.opens, 0);
    });
}

#[test]
fn a_source_address_that_comes_later_is_used_at_once() {
    in_own_network(|| {
        ip("address add 192.0.2.2/32 dev lo");
        let mut pair = Pair::new();
        let (here, there): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let port = pair.of_active.port;
        let options = Options { node: "there".to_owned(), listen: vec![SocketAddr::new(there, port)] };
        pair.passive = start(options).unwrap();
        pair.of_active =
            Neighbour { endpoint: Endpoint::Address(there), source: Some(here), ..pair.of_active.clone() };
        pair.of_passive.endpoint = Endpoint::Address(here);
        pair.of_active.settings.connect_retry = Some(SELDOM);
        pair.set();
        eventually("it is said what is missing", || {
            view(&pair.active).problem().is_some_and(|why| why.contains("192.0.2.1"))
        });
        ip("address add 192.0.2.1/32 dev lo");
        pair.wait_until_up();
    });
}

/// Each is found on its end of a cable.
fn unnumbered() -> Pair {
    let mut pair = Pair::new();
    let listen = vec![SocketAddr::new("::".parse().unwrap(), pair.of_active.port)];
    pair.passive = start(Options { node: "there".to_owned(), listen }).unwrap();
    for (side, interface) in [(&mut pair.of_active, "left"), (&mut pair.of_passive, "right")] {
        side.endpoint = Endpoint::Interface(interface.to_owned());
        side.source = None;
        (side.settings.hold_secs, side.settings.keepalive_secs) = (3, 1);
        side.settings.families = [Family::IPV6_UNICAST].into();
    }
    pair
}

fn plug() {
    ip("link add left type veth peer name right");
    ip("link set left up");
    ip("link set right up");
}

#[test]
fn an_interface_that_goes_and_comes_back_has_its_neighbour_again() {
    in_own_network(|| {
        let pair = unnumbered();
        pair.set();
        eventually("it is said what is missing", || {
            view(&pair.active).problem().is_some_and(|why| why.contains("no interface left"))
        });
        for times in 1..3 {
            plug();
            eventually("there is a session", || view(&pair.active).state.established == times);
            pair.wait_until_up();
            ip("link del left");
            eventually("it is lost", || view(&pair.active).state.lost == times);
        }
    });
}

#[test]
fn a_name_is_given_to_another_and_comes_back() {
    let mut pair = Pair::new();
    pair.set();
    pair.wait_until_up();
    // Another name for the same neighbour: one goes and says so, the other begins.
    for name in ["renamed", "router", "renamed"] {
        pair.of_active.name = name.into();
        pair.active.set(vec![pair.of_active.clone()]);
        eventually("it is there under its new name", || {
            let views = pair.active.seen().peers(None, false).unwrap();
            views.len() == 1
                && &*views[0].neighbour.name == name
                && views[0].state.phase == Phase::Established
        });
    }
    // Gone and there again before anybody could have noticed.
    pair.active.set(Vec::new());
    pair.active.set(vec![pair.of_active.clone()]);
    eventually("it is there again", || {
        let views = pair.active.seen().peers(None, false).unwrap();
        views
            .first()
            .is_some_and(|view| view.state.phase == Phase::Established && view.state.established == 1)
    });
    pair.wait_until_up();
}

#[test]
fn an_end_does_not_wait_for_who_does_not_answer() {
    let mut scene = Scene::new();
    let (_deaf, _) = scene.add("deaf");
    let (reachable, _) = scene.add("silent");
    scene.set();
    scene.wait_until_up();
    let _silent = reachable.accept().unwrap();
    eventually("it is talked to", || view_of(&scene.pair.active, "silent").state.phase == Phase::OpenSent);
    let begin = Instant::now();
    let Scene { pair, .. } = scene;
    pair.active.end(Stop::GoingAway { text: "for good".to_owned() });
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    eventually("the others are told", || {
        view(&pair.passive).state.last_error.is_some_and(|error| error.to_string().contains("for good"))
    });
}
