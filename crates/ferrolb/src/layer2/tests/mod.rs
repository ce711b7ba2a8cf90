//! What others see of it: other hosts, their kernels, and independent tools, in network namespaces.

mod answers;
mod interfaces;
mod net;
mod rivals;

use std::sync::mpsc::channel;

use super::thread::Command;
use super::{Change, Claim, Interfaces, Layer2};

/// Done by when it returns, other than [`Layer2::apply`].
fn apply(layer2: &Layer2, changes: Vec<Change>) {
    layer2.apply(changes);
    let (done, is_done) = channel();
    layer2.running.tell(Command::Settle(done));
    is_done.recv().unwrap();
}

fn announce(address: &str, interfaces: &[&str]) -> Change {
    let interfaces = match interfaces {
        [] => Interfaces::All,
        names => Interfaces::these(names.iter().map(|&name| name.to_owned())),
    };
    Change::Announce { address: address.parse().unwrap(), interfaces, claim: Claim::Fresh }
}

fn withdraw(address: &str) -> Change {
    Change::Withdraw { address: address.parse().unwrap() }
}
