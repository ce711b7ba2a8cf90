//! `ferrolb plan`: what the product decides about a cluster, offline; with `--live`, what changes would do to one.

mod announcing;
mod difference;
mod live;
mod moves;
mod proposal;
mod table;
mod telling;

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;

use api::parse::{Problem, Role, View, parse};
use api::reservation::{self, CONFIG_MAP, Reserved};
use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use plan::allocate::{Decision, EventType, Options, Reservation, allocate_beside};
use plan::announce::Name;
use plan::range::parse_address;
use plan::snapshot::{Service, ServiceKey, ServiceType};
use serde::Serialize;

use super::manifests::Purpose;
use super::output::{Finding, counted, json, note_if_nothing};
use super::{FilesArgs, Format, exit, input, manifests, print, yaml};
use announcing::Announcing;

pub(super) const DEFAULT_NAMESPACE: &str = "metallb-system";

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// A file, a folder (its .yaml, .yml and .json files), or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", required_unless_present = "live", value_name = "FILE|DIR|-")]
    filename: Vec<String>,
    /// Read folders inside folders too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Read the cluster, and show what would become of it with the objects of -f created or replaced
    #[arg(long)]
    live: bool,
    /// With --live: objects to delete
    #[arg(long, value_name = "FILE|DIR|-", requires = "live")]
    delete_from: Vec<String>,
    /// With --live: how to reach the cluster; that of KUBECONFIG if not given
    #[arg(long, value_name = "FILE", requires = "live")]
    kubeconfig: Option<PathBuf>,
    /// How to print the plan
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// The namespace that FerroLB runs in and reads its resources from
    #[arg(long, default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Handle only Services of this load-balancer class, instead of those without one
    #[arg(long, value_name = "CLASS", default_value = "", hide_default_value = true)]
    lb_class: String,
    /// The nodes whose speakers are alive; all nodes if not given
    #[arg(long, value_name = "NODE,...", value_delimiter = ',')]
    speakers: Option<Vec<String>>,
    /// Announce from nodes with the label node.kubernetes.io/exclude-from-external-load-balancers too
    #[arg(long)]
    ignore_exclude_lb: bool,
    /// Show only what these nodes do
    #[arg(long, value_name = "NODE,...", value_delimiter = ',', conflicts_with = "live")]
    node: Vec<String>,
    /// Show only what these peers are told by BGP
    #[arg(long, value_name = "PEER,...", value_delimiter = ',', conflicts_with = "live")]
    peer: Vec<String>,
}

/// A plan without one of these is not the plan of the cluster.
const DECIDING_KINDS: [&str; 9] = [
    "BGPAdvertisement",
    "BGPPeer",
    "Community",
    "EndpointSlice",
    "IPAddressPool",
    "L2Advertisement",
    "Namespace",
    "Node",
    "Service",
];

#[derive(Debug, Serialize)]
struct PlanReport<'a> {
    assignments: Vec<Assignment>,
    /// By the name of the Service that is gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<Kept>,
    #[serde(flatten)]
    announcing: Announcing<'a>,
}

#[derive(Debug, Serialize)]
struct Assignment {
    service: String,
    /// Empty without an address.
    pool: String,
    ips: Vec<IpAddr>,
    /// The node that answers for the addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Name>,
    events: Vec<PlannedEvent>,
    /// Why there is no address; empty if there is.
    message: String,
    #[serde(skip)]
    wants_address: bool,
}

/// Addresses that nobody else gets, because a Service that is gone may come back.
#[derive(Debug, Serialize)]
struct Kept {
    service: String,
    pool: String,
    ips: Vec<IpAddr>,
    /// `null`: for ever.
    until: Option<String>,
}

#[derive(Debug, Serialize)]
struct PlannedEvent {
    #[serde(rename = "type")]
    event_type: &'static str,
    reason: String,
    message: String,
}

impl PlanArgs {
    fn files(&self) -> FilesArgs {
        self.files_of(&self.filename)
    }

    fn files_of(&self, filename: &[String]) -> FilesArgs {
        FilesArgs { filename: filename.to_vec(), recursive: self.recursive }
    }
}

pub(super) fn run(args: &PlanArgs) -> anyhow::Result<u8> {
    if args.live {
        return live::run(args);
    }
    let objects = input::read(&args.files())?;
    let mut manifests = manifests::read(objects, Purpose::Use)?;
    for finding in manifests.unreadable.iter().chain(&manifests.refused) {
        eprintln!("error: {finding}");
    }
    let kept = reserved(&manifests.objects.config_maps, &args.namespace);
    let objects = std::mem::take(&mut manifests.objects);
    let everything = View::everything(&args.namespace);
    let as_controller = View { role: Role::Controller, ..everything.clone() };
    let of_controller = parse(objects.clone(), &as_controller);
    for problem in &parse(objects.clone(), &everything).problems {
        eprintln!("error: {}", Finding::from(problem));
    }
    let options = allocation_options(&args.lb_class);
    let services = std::mem::take(&mut manifests.services);
    let (mut assignments, decided): (Vec<Assignment>, Vec<Service>) = match of_controller.problems.first() {
        None => {
            let reservations: Vec<Reservation> = kept.iter().map(|it| it.reservation.clone()).collect();
            let pools = &of_controller.config.pools;
            let (decisions, _) = allocate_beside(&options, pools, &services, &reservations);
            let each = decisions.into_iter().zip(&services);
            each.map(|(decision, service)| {
                let decided = decision.applied_to(service);
                (assignment(decision, service), decided)
            })
            .unzip()
        }
        Some(problem) => {
            let frozen = services.iter().map(|service| frozen(service, problem)).collect();
            (frozen, services.clone())
        }
    };
    note_if_nothing(manifests.count);
    note_cluster_ips(&services);
    let serving = manifests.serving();
    announcing::note_what_is_missing(&objects, &decided, &serving);
    let mut announcing = Announcing::of(args, &objects, &decided, &serving);
    for (assignment, owner) in assignments.iter_mut().zip(&announcing.owners) {
        assignment.owner.clone_from(owner);
    }
    announcing.keep(
        &named("node", &args.node, objects.nodes.iter().map(|it| &it.name)),
        &named("peer", &args.peer, objects.peers.iter().filter_map(|it| it.metadata.name.as_ref())),
    );
    let report = PlanReport { assignments, kept: kept_for_others(&kept, &services), announcing };
    match args.output {
        Format::Json => print(&json(&report)?)?,
        Format::Yaml => print(&yaml::text(&report)?)?,
        Format::Table => print(&table::text(&report, &of_controller.config.pools))?,
    }
    let left_out = manifests.unreadable.iter().chain(&manifests.refused);
    let is_whole =
        !left_out.into_iter().any(|finding| DECIDING_KINDS.contains(&finding.subject.kind.as_str()));
    Ok(if is_whole && of_controller.problems.is_empty() { 0 } else { exit::INVALID })
}

/// The names that a flag has, and a warning for those of which there is nothing.
fn named<'a>(flag: &str, wanted: &[String], known: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let known: BTreeSet<&String> = known.collect();
    let wanted: BTreeSet<String> = wanted.iter().filter(|name| !name.is_empty()).cloned().collect();
    for name in wanted.iter().filter(|name| !known.contains(name)) {
        eprintln!("warning: --{flag} {name}: there is none of this name in the input");
    }
    wanted
}

/// What the ConfigMap of reservations keeps by now.
fn reserved(config_maps: &[ConfigMap], namespace: &str) -> Vec<Reserved> {
    let is_ours = |it: &&ConfigMap| {
        it.metadata.name.as_deref() == Some(CONFIG_MAP)
            && it.metadata.namespace.as_deref().is_none_or(|its| its == namespace)
    };
    let (mut kept, errors) = config_maps.iter().find(is_ours).map(reservation::read).unwrap_or_default();
    for error in errors {
        eprintln!("error: {error}");
    }
    let now = Timestamp::now();
    kept.retain(|it| it.until.is_none_or(|until| until > now));
    kept
}

fn kept_for_others(kept: &[Reserved], services: &[Service]) -> Vec<Kept> {
    let there: HashSet<&ServiceKey> = services.iter().map(|service| &service.key).collect();
    let absent = kept.iter().filter(|it| !there.contains(&it.reservation.service));
    let row = |it: &Reserved| Kept {
        service: it.reservation.service.to_string(),
        pool: it.reservation.pool.clone(),
        ips: it.reservation.addresses.clone(),
        until: it.until.map(api::time_text),
    };
    absent.map(row).collect()
}

fn allocation_options(lb_class: &str) -> Options {
    Options { load_balancer_class: Some(lb_class.to_owned()).filter(|class| !class.is_empty()) }
}

/// A manifest that was never applied has no cluster IPs yet, and they decide the address family.
fn note_cluster_ips(services: &[Service]) {
    let has_none = |service: &&Service| {
        service.service_type == ServiceType::LoadBalancer
            && service.cluster_ips.is_empty()
            && service.ingress.is_empty()
    };
    let count = services.iter().filter(has_none).count();
    if count > 0 {
        let services = counted(count, "Service");
        eprintln!("note: {services} without cluster IPs, which a cluster fills in: they get no address here");
    }
}

fn assignment(decision: Decision, service: &Service) -> Assignment {
    let message = if decision.addresses.is_empty() { decision.message() } else { String::new() };
    let event = |event: plan::allocate::Event| PlannedEvent {
        event_type: match event.event_type {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        },
        reason: event.reason.to_owned(),
        message: event.message,
    };
    Assignment {
        service: decision.service.to_string(),
        pool: decision.pool.unwrap_or_default(),
        ips: decision.addresses,
        owner: None,
        events: decision.events.into_iter().map(event).collect(),
        message,
        wants_address: service.service_type == ServiceType::LoadBalancer,
    }
}

/// A configuration that is refused changes nothing: whoever has an address keeps it, and nobody gets one.
fn frozen(service: &Service, problem: &Problem) -> Assignment {
    let ips: Vec<IpAddr> =
        service.ingress.iter().filter_map(|entry| parse_address(entry.ip.as_deref()?)).collect();
    let annotation = service.annotations.get(plan::allocate::POOL_ANNOTATION);
    let pool = annotation.filter(|_| !ips.is_empty()).cloned().unwrap_or_default();
    let message = if ips.is_empty() { format!("configuration error: {problem}") } else { String::new() };
    let wants_address = service.service_type == ServiceType::LoadBalancer;
    Assignment {
        service: service.key.to_string(),
        pool,
        ips,
        owner: None,
        events: Vec::new(),
        message,
        wants_address,
    }
}
