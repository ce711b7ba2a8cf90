//! Faults of all kinds, one after the other and two at once, by chance: after each of them every address is answered for by
//! exactly one node. `FERROLB_SEED` repeats a run, `FERROLB_FAULTS` makes it longer.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ferrolb::lab::Cut;
use protocol::random::Random;
use serde_json::json;

use crate::site::{NODES, Site, options, others, site_with_pool};

const FAULTS: usize = 4;
const ADDRESSES: usize = 2;
/// From the end of a fault until one node answers, and no other. Much more than it should take, for busy machines.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    End,
    Freeze,
    Cut(Cut),
    Apart,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_fails_every_address_ends_up_with_one_node() {
    let Some(options) = options() else { return };
    let seed = number("FERROLB_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.subsec_nanos().into())
    });
    eprintln!("FERROLB_SEED={seed}");
    let mut random = Random::new(seed);
    let site = site_with_pool(options);
    let names: Vec<String> = (0..ADDRESSES).map(|at| format!("web-{at}")).collect();
    let addresses: Vec<IpAddr> = names.iter().map(|name| site.service(name, &json!({}))[0]).collect();
    settled(&site, &addresses, &NODES);
    let faults = number("FERROLB_FAULTS").map_or(FAULTS, |count| count as usize);
    for round in 0..faults {
        let node = NODES[random.below(NODES.len())];
        let all = [
            Fault::Kill,
            Fault::End,
            Fault::Freeze,
            Fault::Cut(Cut::Silent),
            Fault::Cut(Cut::Cable),
            Fault::Cut(Cut::Management),
            Fault::Apart,
        ];
        let fault = all[random.below(all.len())];
        eprintln!("{round}: {fault:?} {node}");
        let rest = others(node);
        begin(&site, fault, node);
        // Some are over before anybody has noticed.
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_millis(random.below(400) as u64));
        } else {
            let expected = if matches!(fault, Fault::Cut(Cut::Management)) { &NODES[..] } else { &rest[..] };
            settled(&site, &addresses, expected);
        }
        end(&site, fault, node);
        settled(&site, &addresses, &NODES);
        let owners: Vec<Option<String>> = addresses.iter().map(|address| site.who_has(*address)).collect();
        for (address, owner) in addresses.iter().zip(&owners) {
            let to = SocketAddr::new(*address, 80);
            assert!(site.ask_http("client", to).is_some(), "{address} at {owner:?} gives no answer");
        }
    }
}

fn begin(site: &Site, fault: Fault, node: &str) {
    match fault {
        Fault::Kill => site.lab.kill_speaker(node).unwrap(),
        Fault::End => site.lab.end_speaker(node).unwrap(),
        Fault::Freeze => site.lab.freeze(node).unwrap(),
        Fault::Cut(cut) => site.lab.cut(node, cut).unwrap(),
        Fault::Apart => {
            let rest = others(node).into_iter().map(str::to_owned);
            let here = rest.chain(["client".to_owned()]).collect();
            site.lab.partition(&[vec![node.to_owned()], here]).unwrap();
        }
    }
}

fn end(site: &Site, fault: Fault, node: &str) {
    match fault {
        Fault::Kill | Fault::End => site.lab.start_speaker(node).unwrap(),
        Fault::Freeze => site.lab.resume(node).unwrap(),
        Fault::Cut(_) => site.lab.restore(node).unwrap(),
        Fault::Apart => site.lab.partition(&[]).unwrap(),
    }
}

/// Waits until each address has exactly one of these nodes, as seen by the client.
fn settled(site: &Site, addresses: &[IpAddr], nodes: &[&str]) {
    let until = Instant::now() + SETTLED_WITHIN;
    loop {
        let found: Vec<Vec<String>> = addresses.iter().map(|address| site.all_who_have(*address)).collect();
        let is_one = |owners: &Vec<String>| matches!(&owners[..], [owner] if nodes.contains(&owner.as_str()));
        if found.iter().all(is_one) {
            return;
        }
        assert!(
            Instant::now() < until,
            "{addresses:?} are answered for by {found:?}, and should be by one of {nodes:?} each"
        );
    }
}
