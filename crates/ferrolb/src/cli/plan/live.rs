//! `ferrolb plan --live`: what changes would do to the Services of a cluster, before anybody makes them.

use std::collections::HashSet;
use std::net::IpAddr;

use anyhow::Context;
use api::parse::{Problem, Role, View, parse};
use api::reservation::Retain;
use http::StatusCode;
use kube::Client;
use plan::allocate::{POOL_ANNOTATION, Reservation, allocate_beside};
use plan::announce::Name;
use plan::range::parse_address;
use plan::snapshot::{Service, ServiceType};
use serde::Serialize;

use super::announcing::Announcing;
use super::difference::{Change, Difference, Holding, Kind, difference};
use super::moves::{Move, moves};
use super::proposal::World;
use super::{PlanArgs, allocation_options, reserved};
use crate::call;
use crate::cli::component;
use crate::cli::input::{self, Object, Origin};
use crate::cli::manifests::{self, Manifests, Purpose};
use crate::cli::output::{Finding, Paint, Subject, counted, json, table};
use crate::cli::{Format, exit, print, yaml};

const ONLY_RESERVATIONS: &str = "fieldSelector=metadata.name%3Dferrolb-reservations";

#[derive(Debug, Serialize)]
pub(super) struct LiveReport {
    #[serde(flatten)]
    difference: Difference,
    /// By the name of the Service: where another node would answer for it, or no node, or the first one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) moves: Vec<Move>,
    /// What an API server or the controller would refuse, and why.
    rejected: Vec<Finding>,
    /// Whether the controller would refuse the configuration as a whole, and change nothing.
    refused: bool,
}

/// One kind of the cluster.
struct Source {
    api_version: &'static str,
    kind: &'static str,
    path: String,
    /// No plan without it. Of the others it is only said what is wrong with them.
    is_required: bool,
}

pub(super) fn run(args: &PlanArgs) -> anyhow::Result<u8> {
    let changes = input::read(&args.files())?;
    let deletions = input::read(&args.files_of(&args.delete_from))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(async {
        let client = component::client(args.kubeconfig.as_deref(), "plan").await?;
        read_cluster(&client, &args.namespace).await
    })?;
    let (report, notes) = compare(args, found, changes, deletions)?;
    for note in notes {
        eprintln!("note: {note}");
    }
    match args.output {
        Format::Json => print(&json(&report)?)?,
        Format::Yaml => print(&yaml::text(&report)?)?,
        Format::Table => print(&text(&report))?,
    }
    Ok(match report {
        LiveReport { refused: true, .. } => exit::INVALID,
        LiveReport { rejected, .. } if !rejected.is_empty() => exit::INVALID,
        LiveReport { difference, .. } if difference.has_losses() => exit::LOSS,
        _ => 0,
    })
}

fn sources(namespace: &str) -> Vec<Source> {
    let core = |kind, path: &str, is_required| Source {
        api_version: "v1",
        kind,
        path: format!("/api/v1/{path}"),
        is_required,
    };
    let ours = |version: &'static str, kind, plural: &str, is_required| Source {
        api_version: version,
        kind,
        path: format!("/apis/{version}/namespaces/{namespace}/{plural}"),
        is_required,
    };
    vec![
        core("Namespace", "namespaces", true),
        core("Node", "nodes", false),
        ours("metallb.io/v1beta1", "IPAddressPool", "ipaddresspools", true),
        ours("metallb.io/v1beta1", "Community", "communities", true),
        ours("metallb.io/v1beta1", "L2Advertisement", "l2advertisements", false),
        ours("metallb.io/v1beta1", "BGPAdvertisement", "bgpadvertisements", false),
        ours("metallb.io/v1beta1", "BFDProfile", "bfdprofiles", false),
        ours("metallb.io/v1beta2", "BGPPeer", "bgppeers", false),
        core("ConfigMap", &format!("namespaces/{namespace}/configmaps?{ONLY_RESERVATIONS}"), false),
        core("Service", "services", true),
        Source {
            api_version: "discovery.k8s.io/v1",
            kind: "EndpointSlice",
            path: "/apis/discovery.k8s.io/v1/endpointslices".to_owned(),
            is_required: false,
        },
    ]
}

async fn read_cluster(client: &Client, namespace: &str) -> anyhow::Result<Vec<Object>> {
    let mut objects = Vec::new();
    for source in sources(namespace) {
        match list(client, &source, &mut objects).await {
            Ok(()) => {}
            Err(failure)
                if !source.is_required
                    && (failure.is(StatusCode::FORBIDDEN) || failure.is(StatusCode::NOT_FOUND)) =>
            {
                eprintln!(
                    "note: what concerns kind {} is not judged, as it cannot be read: {failure}",
                    source.kind
                );
            }
            Err(failure) => {
                return Err(failure).with_context(|| format!("reading kind {}", source.kind));
            }
        }
    }
    Ok(objects)
}

async fn list(client: &Client, source: &Source, objects: &mut Vec<Object>) -> Result<(), call::Failure> {
    for mut value in call::list(client, &source.path).await? {
        value["apiVersion"] = source.api_version.into();
        value["kind"] = source.kind.into();
        objects.push(Object { origin: Origin::cluster(), value });
    }
    Ok(())
}

/// What would be different, and what else is worth a word.
pub(super) fn compare(
    args: &PlanArgs,
    found: Vec<Object>,
    changes: Vec<Object>,
    deletions: Vec<Object>,
) -> anyhow::Result<(LiveReport, Vec<String>)> {
    let mut notes = Vec::new();
    let mut world = World::new(&args.namespace, found);
    let before = manifests::read(world.objects(), Purpose::Use)?;
    // What an API server refuses changes nothing of what is there.
    let judged = manifests::read(changes.clone(), Purpose::Use)?;
    let mut rejected: Vec<Finding> = judged.unreadable.into_iter().chain(judged.refused).collect();
    let bad: HashSet<_> = rejected.iter().map(|it| it.subject.clone()).collect();
    let changes: Vec<Object> =
        changes.into_iter().filter(|it| !bad.contains(&Subject::of(&it.value))).collect();
    let made_up = world.apply(changes);
    if made_up > 0 {
        let services = counted(made_up, "Service");
        notes.push(format!("{services} without cluster IPs: taken to get those that this cluster gives"));
    }
    for id in world.delete(deletions) {
        notes.push(format!("{} {}/{} is not there to be deleted", id.1, id.2, id.3));
    }
    let after = manifests::read(world.objects(), Purpose::Use)?;

    let view = View { secret_passthrough: true, ..View::everything(&args.namespace) };
    let known: HashSet<String> = problems(&before, &view).iter().map(ToString::to_string).collect();
    let new = problems(&after, &view);
    rejected.extend(new.iter().filter(|it| !known.contains(&it.to_string())).map(Finding::from));

    let of_controller = parse(after.objects.clone(), &View { role: Role::Controller, ..view });
    let refusal = of_controller.problems.first();
    let (then, decided): (Vec<Holding>, Vec<Service>) = match refusal {
        Some(problem) => {
            (after.services.iter().map(|service| frozen(service, problem)).collect(), after.services.clone())
        }
        None => {
            let options = allocation_options(&args.lb_class);
            let kept = reserved(&after.objects.config_maps, &args.namespace);
            let mut reservations: Vec<Reservation> = kept.into_iter().map(|it| it.reservation).collect();
            reservations.extend(kept_from_now(&before.services, &after.services));
            let pools = &of_controller.config.pools;
            let (decisions, _) = allocate_beside(&options, pools, &after.services, &reservations);
            let each = decisions.iter().zip(&after.services);
            each.map(|(decision, service)| {
                let written = decision.applied_to(service);
                let message = decision.refusal.as_ref().map(|_| decision.message());
                (holding(&written, message.unwrap_or_default()), written)
            })
            .unzip()
        }
    };
    if let Some(problem) = refusal.filter(|problem| known.contains(&problem.to_string())) {
        notes.push(format!("the configuration is refused already: {problem}"));
    }
    let now = before.services.iter().map(|service| holding(service, String::new())).collect();
    let touched: HashSet<String> =
        world.touched.iter().filter(|id| id.1 == "Service").map(|id| format!("{}/{}", id.2, id.3)).collect();
    let difference = difference(now, then, |service| touched.contains(service));
    let moves = moves(
        &Announcing::of(args, &before.objects, &before.services, &before.serving()),
        &Announcing::of(args, &after.objects, &decided, &after.serving()),
    );
    Ok((LiveReport { difference, moves, rejected, refused: refusal.is_some() }, notes))
}

/// What would be kept for Services that the changes delete.
fn kept_from_now(before: &[Service], after: &[Service]) -> Vec<Reservation> {
    let there: HashSet<_> = after.iter().map(|service| &service.key).collect();
    let gone = before.iter().filter(|service| !there.contains(&service.key));
    gone.filter_map(|service| Retain::of(service)?.ok().and_then(|_| Reservation::of_status(service)))
        .collect()
}

fn problems(manifests: &Manifests, view: &View) -> Vec<Problem> {
    parse(manifests.objects.clone(), view).problems
}

/// A configuration that is refused changes nothing.
fn frozen(service: &Service, problem: &Problem) -> Holding {
    let is_waiting = service.ingress.is_empty();
    holding(service, if is_waiting { format!("configuration error: {problem}") } else { String::new() })
}

/// What the status of a Service says.
fn holding(service: &Service, message: String) -> Holding {
    let ips: Vec<IpAddr> =
        service.ingress.iter().filter_map(|entry| parse_address(entry.ip.as_deref()?)).collect();
    let pool = service.annotations.get(POOL_ANNOTATION).filter(|_| !ips.is_empty());
    Holding {
        service: service.key.to_string(),
        pool: pool.cloned().unwrap_or_default(),
        is_refused: ips.is_empty() && service.service_type == ServiceType::LoadBalancer,
        ips,
        message,
    }
}

fn text(report: &LiveReport) -> String {
    let paint = Paint::for_stdout();
    let mut text = String::new();
    let LiveReport { difference: Difference { changes, unchanged }, moves, rejected, refused } = report;
    if !rejected.is_empty() {
        text.push_str(&paint.red(&format!("{} would be rejected", counted(rejected.len(), "resource"))));
        text.push('\n');
        let row = |it: &Finding| [it.subject.to_string(), it.field.clone(), it.message.replace('\n', "; ")];
        text.push_str(&table(["RESOURCE", "FIELD", "WHY"], rejected.iter().map(row)));
        text.push('\n');
    }
    if *refused {
        text.push_str(&paint.red("the configuration would be refused: nothing would change"));
        text.push_str("\n\n");
    }
    for (kind, heading) in [
        (Kind::Loses, paint.red("would lose an address")),
        (Kind::Changes, paint.red("would change an address")),
        (Kind::Waits, paint.yellow("would get none")),
        (Kind::Gets, paint.green("would get an address")),
    ] {
        let of_kind: Vec<&Change> = changes.iter().filter(|change| change.change == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        text.push_str(&format!("{} {heading}\n", counted(of_kind.len(), "Service")));
        let ips = |ips: &[IpAddr]| ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        let row = |it: &&Change| {
            [it.service.clone(), ips(&it.now.ips), ips(&it.then.ips), it.message.replace('\n', "; ")]
        };
        text.push_str(&table(["SERVICE", "NOW", "THEN", "WHY"], of_kind.iter().map(row)));
        text.push('\n');
    }
    if !moves.is_empty() {
        text.push_str(&format!(
            "{} {}\n",
            counted(moves.len(), "Service"),
            paint.yellow("would move to another node")
        ));
        let node = |node: &Option<Name>| node.as_deref().unwrap_or("-").to_owned();
        let row = |it: &Move| [it.service.clone(), node(&it.now), node(&it.then), it.message.clone()];
        text.push_str(&table(["SERVICE", "NOW", "THEN", "WHY"], moves.iter().map(row)));
        text.push('\n');
    }
    let keep = if *unchanged == 1 { "keeps what it has" } else { "keep what they have" };
    text.push_str(&format!("{} {keep}\n", counted(*unchanged, "Service")));
    text
}
