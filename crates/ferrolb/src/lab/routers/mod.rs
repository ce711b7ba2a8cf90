//! Real routers in the namespaces of a lab: FRR, BIRD, GoBGP and ExaBGP, each told in one language what to do and asked in
//! one language what it sees.
//!
//! Here is what the four have in common. `description` is what they are told, `answers` is what they say, and a module for
//! each translates both.

mod answers;
mod bird;
mod description;
mod exabgp;
mod frr;
mod gobgp;
mod kernel;
mod text;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::namespace::Namespace;
use super::process::{Process, ProcessState, Starter};
use super::programs::Program;
use super::topology::Member;
use super::{Error, Lab, programs};

pub use answers::{Capability, KernelRoute, NeighbourState, Path, Way};
pub use description::{At, Attributes, Configuration, Families, Neighbour, Own, RemoteAsn};

/// Of the router that is made with the lab.
pub const ASN: u32 = 64_501;
const ROUTER_ID: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 10, 0, 1);

/// Which program a router is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Frr,
    Bird,
    #[value(name = "gobgp")]
    GoBgp,
    #[value(name = "exabgp")]
    ExaBgp,
}

/// A router that runs. It ends when this is dropped. Whatever is asked of it may wait, but never long.
#[derive(Debug)]
pub struct Router {
    place: Place,
    engine: Engine,
    configuration: Configuration,
    processes: Vec<Process>,
}

/// Where a router is: what all four need to start, and to be asked.
#[derive(Debug)]
struct Place {
    member: String,
    namespace: Arc<Namespace>,
    addresses: Vec<std::net::IpAddr>,
    /// Of this router alone.
    folder: PathBuf,
    starter: Starter,
}

#[derive(Debug)]
enum Engine {
    Frr(frr::Frr),
    Bird(bird::Bird),
    GoBgp(gobgp::GoBgp),
    ExaBgp(exabgp::ExaBgp),
}

impl Kind {
    /// Whether the programs are there.
    pub fn can_run(self) -> Result<(), Error> {
        self.programs().iter().try_for_each(|program| program.path().map(drop))
    }

    fn programs(self) -> &'static [Program] {
        match self {
            Kind::Frr => &[programs::ZEBRA, programs::BGPD, programs::SH],
            Kind::Bird => &[programs::BIRD],
            Kind::GoBgp => &[programs::GOBGPD, programs::GOBGP],
            Kind::ExaBgp => &[programs::EXABGP, programs::SH],
        }
    }
}

impl Lab {
    /// Starts a router in a member's namespace, which must have none yet, and waits until it can be asked.
    pub fn start_router(
        &self,
        member: &str,
        kind: Kind,
        configuration: Configuration,
    ) -> Result<Router, Error> {
        kind.can_run()?;
        let member = self.member(member)?;
        let place = self.place(member)?;
        let engine = match kind {
            Kind::Frr => Engine::Frr(frr::Frr::prepare(&place)?),
            Kind::Bird => Engine::Bird(bird::Bird::prepare(&place)),
            Kind::GoBgp => Engine::GoBgp(gobgp::GoBgp::prepare(&place)),
            Kind::ExaBgp => Engine::ExaBgp(exabgp::ExaBgp::prepare(&place)?),
        };
        let mut router = Router { place, engine, configuration, processes: Vec::new() };
        router.start()?;
        Ok(router)
    }

    /// Starts one in the first router's namespace that lasts as long as the lab. Every node is its neighbour, over each
    /// family that the lab has, whatever its number is, if only it is another one.
    pub(super) fn keep_router(&self, kind: Kind) -> Result<(), Error> {
        let addresses = self.topology.nodes().flat_map(Member::addresses);
        let neighbours = addresses.map(|address| Neighbour {
            has_graceful_restart: true,
            ..Neighbour::new(address, RemoteAsn::External)
        });
        let configuration = Configuration::new(ASN, ROUTER_ID, neighbours.collect());
        let router = self.start_router("router", kind, configuration)?;
        self.state().routers.insert(router.member().to_owned(), router);
        Ok(())
    }

    /// What the router that was made with the lab answers to a line in its own language.
    pub fn ask_router(&self, member: &str, line: &str) -> Result<String, Error> {
        let member = self.member(member)?;
        let state = self.state();
        let router = state.routers.get(&member.name);
        let none = || Error::Router { member: member.name.clone(), reason: "none was asked for".to_owned() };
        router.ok_or_else(none)?.ask(line)
    }

    fn place(&self, member: &Member) -> Result<Place, Error> {
        let folder = self.folder_path().join("routers").join(&member.name);
        let failed =
            |error: std::io::Error| Error::Folder { path: folder.clone(), reason: error.to_string() };
        // An earlier one there has left its files.
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::create_dir_all(&folder).map_err(failed)?;
        Ok(Place {
            member: member.name.clone(),
            namespace: Arc::clone(self.namespace(member)),
            addresses: member.addresses(),
            folder,
            starter: self.parts().starter.clone(),
        })
    }
}

impl Router {
    pub fn kind(&self) -> Kind {
        match &self.engine {
            Engine::Frr(_) => Kind::Frr,
            Engine::Bird(_) => Kind::Bird,
            Engine::GoBgp(_) => Kind::GoBgp,
            Engine::ExaBgp(_) => Kind::ExaBgp,
        }
    }

    pub fn member(&self) -> &str {
        &self.place.member
    }

    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// What it knows of its neighbours, by their addresses or, where there is none, interfaces.
    pub fn neighbours(&self) -> Result<BTreeMap<String, NeighbourState>, Error> {
        match &self.engine {
            Engine::Frr(frr) => frr.neighbours(&self.place),
            Engine::Bird(bird) => bird.neighbours(&self.place),
            Engine::GoBgp(gobgp) => gobgp.neighbours(&self.place),
            Engine::ExaBgp(exabgp) => exabgp.neighbours(&self.place),
        }
    }

    /// One of them; nothing is known of one that there is not.
    pub fn neighbour(&self, name: &str) -> Result<NeighbourState, Error> {
        Ok(self.neighbours()?.remove(name).unwrap_or_default())
    }

    /// All that it was told of just this prefix and has not refused.
    pub fn paths(&self, prefix: &str) -> Result<Vec<Path>, Error> {
        let mut paths = match &self.engine {
            Engine::Frr(frr) => frr.paths(&self.place, prefix),
            Engine::Bird(bird) => bird.paths(&self.place, prefix),
            Engine::GoBgp(gobgp) => gobgp.paths(&self.place, prefix),
            Engine::ExaBgp(exabgp) => exabgp.paths(&self.place, prefix),
        }?;
        paths.sort();
        Ok(paths)
    }

    /// What the kernel of its namespace does with a prefix.
    pub fn kernel_route(&self, prefix: &str) -> Result<Option<KernelRoute>, Error> {
        kernel::route(&self.place.namespace, prefix)
    }

    /// All routes that routing programs have put into the kernel, by prefix.
    pub fn kernel_routes(&self) -> Result<BTreeMap<String, KernelRoute>, Error> {
        kernel::routes(&self.place.namespace)
    }

    /// Closes the session with a neighbour, or all sessions; it may come again at once.
    pub fn clear(&self, neighbour: Option<&str>) -> Result<(), Error> {
        match &self.engine {
            Engine::Frr(frr) => frr.clear(&self.place, neighbour),
            Engine::Bird(bird) => bird.clear(&self.place, neighbour),
            Engine::GoBgp(gobgp) => gobgp.clear(&self.place, neighbour),
            Engine::ExaBgp(exabgp) => exabgp.clear(&self.place, neighbour),
        }
    }

    /// Asks a neighbour to tell everything anew (RFC 2918).
    pub fn refresh(&self, neighbour: &str) -> Result<(), Error> {
        match &self.engine {
            Engine::Frr(frr) => frr.refresh(&self.place, neighbour),
            Engine::Bird(bird) => bird.refresh(&self.place, neighbour),
            Engine::GoBgp(gobgp) => gobgp.refresh(&self.place, neighbour),
            Engine::ExaBgp(exabgp) => exabgp.refresh(&self.place, neighbour),
        }
    }

    /// Changes what it was told, without ending it. Sessions are disturbed as far as the program thinks that they must be.
    pub fn reconfigure(&mut self, configuration: Configuration) -> Result<(), Error> {
        configuration.checked(self.kind()).map_err(|reason| self.place.failed(&reason))?;
        match &self.engine {
            Engine::Frr(frr) => frr.reconfigure(&self.place, &self.configuration, &configuration),
            Engine::Bird(bird) => bird.reconfigure(&self.place, &configuration),
            Engine::GoBgp(gobgp) => gobgp.reconfigure(&self.place, &mut self.processes, &configuration),
            Engine::ExaBgp(exabgp) => exabgp.reconfigure(&self.place, &mut self.processes, &configuration),
        }?;
        self.configuration = configuration;
        Ok(())
    }

    /// What it answers to a line in its own language.
    pub fn ask(&self, line: &str) -> Result<String, Error> {
        match &self.engine {
            Engine::Frr(frr) => frr.ask(&self.place, line),
            Engine::Bird(bird) => bird.ask(&self.place, line),
            Engine::GoBgp(gobgp) => gobgp.ask(&self.place, line),
            Engine::ExaBgp(exabgp) => exabgp.ask(&self.place, line),
        }
    }

    /// As with `kill -9`: sessions end because the kernel closes their connections.
    pub fn kill(&mut self) {
        self.processes.iter_mut().for_each(Process::kill);
        self.processes.clear();
    }

    /// As with SIGTERM, and waits for its end.
    pub fn end(&mut self) {
        // The last that was started first: it may have something to say to the others.
        for process in self.processes.iter_mut().rev() {
            process.end();
        }
        self.processes.clear();
    }

    /// Starts it again where it was killed or has ended.
    pub fn start(&mut self) -> Result<(), Error> {
        if self.processes.iter_mut().any(|process| process.state() != ProcessState::Ended) {
            return Err(self.place.failed("it runs already"));
        }
        let configuration = &self.configuration;
        configuration.checked(self.kind()).map_err(|reason| self.place.failed(&reason))?;
        self.processes = match &self.engine {
            Engine::Frr(frr) => frr.start(&self.place, configuration),
            Engine::Bird(bird) => bird.start(&self.place, configuration),
            Engine::GoBgp(gobgp) => gobgp.start(&self.place, configuration),
            Engine::ExaBgp(exabgp) => exabgp.start(&self.place, configuration),
        }?;
        Ok(())
    }
}

impl Place {
    fn failed(&self, reason: &str) -> Error {
        Error::Router { member: self.member.clone(), reason: reason.to_owned() }
    }

    fn write(&self, file: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.folder.join(file);
        match std::fs::write(&path, content) {
            Ok(()) => Ok(path),
            Err(error) => Err(Error::Folder { path, reason: error.to_string() }),
        }
    }

    /// What it says goes into a file of that name.
    fn spawn(&self, program: Program, arguments: &[String]) -> Result<Process, Error> {
        let log = self.log(program.name);
        self.starter.start(self.namespace.name(), &log, &program.path()?, arguments)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// The end of what a program has said, for whoever wonders why it does not do what it should.
    fn last_words(&self, program: &str) -> String {
        let text = std::fs::read_to_string(self.log(program)).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(LAST_LINES).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// Waits until something answers; not for one that has ended.
    fn wait_for(
        &self,
        program: &str,
        process: &mut Process,
        answers: impl Fn() -> bool,
    ) -> Result<(), Error> {
        let until = std::time::Instant::now() + START_WAIT;
        while !answers() {
            if process.state() == ProcessState::Ended || std::time::Instant::now() > until {
                return Err(self.failed(&format!("{program} does not answer: {}", self.last_words(program))));
            }
            std::thread::sleep(CHECK);
        }
        Ok(())
    }
}

const START_WAIT: std::time::Duration = std::time::Duration::from_secs(10);
const CHECK: std::time::Duration = std::time::Duration::from_millis(5);
/// No program takes longer to answer one question.
const ANSWER_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
const LAST_LINES: usize = 5;
