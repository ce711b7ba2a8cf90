//! What the kernel says of addresses on the loopback interface by itself: answers and questions by ARP on every
//! interface, whatever an advertisement says of interfaces. Here it is told not to.
//!
//! Neighbour discovery needs nothing: for an address of another interface the kernel neither answers nor asks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = "/proc/sys/net/ipv4/conf";
/// No interfaces, or where nobody asks.
const LEFT_ALONE: [&str; 3] = ["all", "default", "lo"];

/// An answer is given as before, except for an address whose scope is the host: only ours are.
const NOT_OF_HOST_SCOPE: u32 = 3;
/// The kernel asks in the name of an address of the interface that it asks on.
const OWN_OF_INTERFACE: u32 = 2;

/// Sees to every interface, also when there are new ones.
#[derive(Debug, Default)]
pub struct KernelArp {
    told_of: BTreeSet<PathBuf>,
}

impl KernelArp {
    /// What is set stays when nothing is announced any more: it concerns nothing else.
    pub fn keep_quiet(&mut self) {
        let Ok(folders) = fs::read_dir(FOLDER) else { return };
        for folder in folders.flatten() {
            let name = folder.file_name();
            if !LEFT_ALONE.iter().any(|other| name == *other) {
                self.set(&folder.path(), "arp_ignore", ignore);
                self.set(&folder.path(), "arp_announce", announce);
            }
        }
    }

    fn set(&mut self, folder: &Path, name: &str, wanted: fn(u32, u32) -> Option<u32>) {
        let read = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u32>().ok();
        let own_path = folder.join(name);
        let (Some(all), Some(own)) = (read(&Path::new(FOLDER).join("all").join(name)), read(&own_path))
        else {
            // The interface is gone.
            return;
        };
        let Some(value) = wanted(all, own) else { return };
        if let Err(error) = fs::write(&own_path, value.to_string())
            && own_path.exists()
            && self.told_of.insert(own_path.clone())
        {
            tracing::warn!(
                "the kernel may speak by ARP of addresses that are announced: {} should be {value}, and cannot be set: \
                 {error}",
                own_path.display()
            );
        }
    }
}

/// The higher of both counts, and any but 0 keeps an address of the loopback interface from being answered for.
fn ignore(all: u32, own: u32) -> Option<u32> {
    (all.max(own) == 0).then_some(NOT_OF_HOST_SCOPE)
}

fn announce(all: u32, own: u32) -> Option<u32> {
    (all.max(own) < OWN_OF_INTERFACE).then_some(OWN_OF_INTERFACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_strict_enough_is_left_as_it_is() {
        for (all, own, to_ignore, to_announce) in [
            (0, 0, Some(3), Some(2)),
            (1, 0, None, Some(2)),
            (0, 1, None, Some(2)),
            (2, 0, None, None),
            (0, 8, None, None),
        ] {
            assert_eq!((ignore(all, own), announce(all, own)), (to_ignore, to_announce), "{all} {own}");
        }
    }
}
