//! How a lab comes into being: everything that can be asked of the system at once is asked at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::watch;

use super::backend::Backend;
use super::control_plane::ControlPlane;
use super::folder::{Folder, Record};
use super::forwarder::{self, Rules};
use super::namespace::{self, Namespace};
use super::options::{Forwarder, Options};
use super::process::Starter;
use super::slices::{self, Node};
use super::topology::{Member, Role, Topology};
use super::{Error, Lab, Parts, State, programs};

const LINK_WAIT: Duration = Duration::from_secs(5);
const LINK_CHECK: Duration = Duration::from_millis(2);

pub(super) fn can_run() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    for program in [programs::IP, programs::NFT, programs::SETPRIV] {
        program.path()?;
    }
    Ok(())
}

pub(super) fn up(options: Options) -> Result<Lab, Error> {
    options.checked()?;
    can_run()?;
    let folder = Folder::take(&options.name)?;
    let topology = Topology::new(&options);
    let names: Vec<_> = topology.members.iter().map(|member| member.namespace.clone()).collect();
    if let Some(name) = names.iter().find(|name| namespace::exists(name)) {
        return Err(Error::Occupied { name: name.clone() });
    }
    let record = Record { name: options.name.clone(), process: std::process::id(), namespaces: names };
    folder.write(&record)?;
    // From here on whatever was made goes when this does.
    let mut lab = Lab { options, topology, namespaces: BTreeMap::new(), parts: None, folder: Some(folder) };
    lab.build_network()?;
    lab.parts = Some(lab.start_parts()?);
    if let Some(kind) = lab.options.router {
        lab.keep_router(kind)?;
    }
    if lab.options.has_speakers {
        lab.start_all_speakers()?;
    }
    Ok(lab)
}

impl Lab {
    fn build_network(&mut self) -> Result<(), Error> {
        programs::ip_batch(None, &self.topology.namespace_commands())?;
        for member in &self.topology.members {
            let namespace = open(member)?;
            let settings = member.settings();
            let written = namespace.run(|| settings.iter().try_for_each(|(name, value)| set(name, value)));
            written.map_err(|error| part("the settings of a namespace", &error))?;
            self.namespaces.insert(member.name.clone(), Arc::new(namespace));
        }
        programs::ip_batch(None, &self.topology.cable_commands())?;
        // Switches first, so that no link comes up without them.
        let is_switch = |member: &&Member| matches!(member.role, Role::Switch | Role::Control);
        let (switches, others): (Vec<_>, Vec<_>) = self.topology.members.iter().partition(is_switch);
        for member in switches.into_iter().chain(others) {
            programs::ip_batch(Some(self.namespace(member)), &self.topology.commands_in(member))?;
        }
        self.topology.members.iter().try_for_each(|member| self.wait_for_links(member))
    }

    /// The kernel looks at links in its own time. A question that is lost before it has is asked again after a second.
    fn wait_for_links(&self, member: &Member) -> Result<(), Error> {
        let until = Instant::now() + LINK_WAIT;
        loop {
            let output = programs::IP.run(Some(self.namespace(member)), &["-o", "-d", "link"], "")?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let Some(line) = text.lines().find(|line| !is_in_use(line)) else { return Ok(()) };
            if Instant::now() > until {
                let reason = format!("a link of {} does not come up: {line}", member.name);
                return Err(Error::Part { what: "the network", reason });
            }
            std::thread::sleep(LINK_CHECK);
        }
    }

    fn start_parts(&self) -> Result<Parts, Error> {
        let starter = Starter::new().map_err(|error| part("a thread", &error))?;
        let control = &self.namespaces["control"];
        let started = ControlPlane::start(control, &self.topology, self.folder_path(), &self.options);
        let control = started
            .map_err(|error| Error::Part { what: "the control plane", reason: format!("{error:#}") })?;
        let mut running = BTreeMap::new();
        let mut endpoints = BTreeMap::new();
        for member in self.topology.nodes() {
            let addresses = member.addresses();
            let namespace = self.namespace(member);
            let backend = Backend::start(control.runtime(), namespace, &member.name, &addresses);
            running.insert(member.name.clone(), backend.map_err(|error| part("a backend", &error))?);
            endpoints.insert(member.name.clone(), Node { addresses, is_running: true });
        }
        let (backends, known) = watch::channel(endpoints);
        control.runtime().spawn(slices::keep(control.client(), known));
        let hears = self.topology.nodes().map(|member| (member.name.clone(), watch::Sender::new(true)));
        let hears: BTreeMap<_, _> = hears.collect();
        if self.options.forwarder == Forwarder::Nftables {
            self.start_forwarders(control.runtime(), control.client(), &hears);
        }
        let state = Mutex::new(State { running, ..State::default() });
        let running = watch::Sender::default();
        Ok(Parts { state, backends, running, hears, starter, control })
    }

    fn start_forwarders(
        &self,
        runtime: &tokio::runtime::Handle,
        client: Client,
        hears: &BTreeMap<String, watch::Sender<bool>>,
    ) {
        let (told, rules) = watch::channel(Arc::new(Rules::default()));
        runtime.spawn(forwarder::follow_rules(client, told));
        let writers = forwarder::writers();
        for member in self.topology.nodes() {
            runtime.spawn(forwarder::write_rules(
                Arc::clone(self.namespace(member)),
                member.name.clone(),
                rules.clone(),
                hears[&member.name].subscribe(),
                Arc::clone(&writers),
            ));
        }
    }
}

/// One line of what `ip` says of links.
fn is_in_use(line: &str) -> bool {
    // What every namespace has by itself is of no interest.
    let is_ours = line.contains(" veth ") || line.contains(" bridge ");
    let is_forwarding = !line.contains("bridge_slave") || line.contains("bridge_slave state forwarding");
    !is_ours || (line.contains(" state UP ") && is_forwarding)
}

fn open(member: &Member) -> Result<Namespace, Error> {
    let opened = Namespace::open(&member.namespace);
    opened.map_err(|error| Error::Folder {
        path: namespace::path(&member.namespace),
        reason: error.to_string(),
    })
}

/// A kernel without IPv6 has no settings of it, and needs none.
fn set(name: &str, value: &str) -> std::io::Result<()> {
    match std::fs::write(format!("/proc/sys/net/{name}"), value) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && name.starts_with("ipv6/") => Ok(()),
        other => other.map_err(|error| std::io::Error::new(error.kind(), format!("{name}: {error}"))),
    }
}

fn part(what: &'static str, error: &std::io::Error) -> Error {
    Error::Part { what, reason: error.to_string() }
}
