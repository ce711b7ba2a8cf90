//! The command line: what can be asked, and how each question exits.

mod admit;
mod apiserver;
mod ask;
mod bgp;
mod component;
mod controller;
mod convert;
pub mod documents;
mod drain;
mod ending;
mod go_flags;
mod input;
mod kinds;
mod kubeconfig;
mod lab;
mod manifests;
mod members;
mod output;
mod plan;
mod relocate;
mod speaker;
mod speaker_files;
mod speaker_members;
mod standalone;
mod validate;
mod yaml;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Exit codes, the same for every command.
mod exit {
    /// The answer is "no": invalid resources, or some that cannot be converted.
    pub(super) const INVALID: u8 = 1;
    /// The answer is "yes", and a Service would lose an address.
    pub(super) const LOSS: u8 = 3;
    /// There is no answer: the input or the command line cannot be used.
    pub(super) const UNUSABLE: u8 = 2;
}

#[derive(Debug, Parser)]
#[command(
    name = "ferrolb",
    version,
    about = "Addresses for Kubernetes Services of type LoadBalancer on bare metal",
    long_about = "FerroLB gives Kubernetes Services of type LoadBalancer real addresses on bare metal.\n\n\
                  It reads the resources of MetalLB (metallb.io) and of frr-k8s (frrk8s.metallb.io) as they are.",
    after_help = "Exit codes: 0 yes, 1 no (invalid resources), 2 the input cannot be used, 3 an address would be lost.\n\
                  Data goes to standard output, everything else to standard error."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check resources offline and list every problem
    #[command(after_help = "Examples:\n  \
        ferrolb validate -f manifests/                  everything in a folder\n  \
        ferrolb validate -f pools.yaml -f peers.yaml    several files, judged together\n  \
        ferrolb validate -f cluster.yaml --node node-1  as the speaker of node-1 sees it\n  \
        ferrolb validate -f cluster.yaml -o json | jq -r '.errors[0].message'\n  \
        kubectl get ipaddresspools,l2advertisements,bgpadvertisements,bgppeers,bfdprofiles,communities,nodes,namespaces \\\n    \
        -A -o yaml | ferrolb validate -f - --secret-passthrough\n\n\
        Give it all that belongs together: a peer whose BFDProfile or Secret is not in the input is an error.\n\
        Exit codes: 0 valid, 1 invalid, 2 the input cannot be used.")]
    Validate(validate::ValidateArgs),
    /// Show which address each Service gets, offline, or what changes would do to a cluster
    #[command(after_help = "Examples:\n  \
        ferrolb plan -f cluster.yaml\n  \
        ferrolb plan -f cluster.yaml -o json | jq '.assignments[] | select(.ips == [])'\n  \
        kubectl get ipaddresspools,communities,l2advertisements,services,endpointslices,nodes,namespaces -A -o yaml | ferrolb plan -f -\n  \
        ferrolb plan --live -f changes.yaml           what these changes would do to the cluster of KUBECONFIG\n  \
        ferrolb plan --live --delete-from old.yaml    what it would do to delete these\n\n\
        Services that have a status hold the addresses it names; the others are served in document order.\n\
        Each needs spec.clusterIPs, which an API server fills in: they decide the address family.\n\
        Exit codes: 0 planned, 1 the controller would refuse the configuration, 2 the input cannot be used, \
        3 (--live) a Service would lose an address.")]
    Plan(plan::PlanArgs),
    /// Answer an AdmissionReview as the webhook would, offline
    #[command(after_help = "Examples:\n  \
        ferrolb admit -f cluster.yaml --review review.json\n  \
        ferrolb admit -f cluster.yaml --review - -o json < review.json | jq .response\n  \
        kubectl get ipaddresspools,l2advertisements,bgpadvertisements,bgppeers,communities,nodes -A -o yaml \\\n    \
        | ferrolb admit -f - --review review.json\n\n\
        Exit codes: 0 allowed, 1 denied, 2 the input cannot be used.")]
    Admit(admit::AdmitArgs),
    /// Convert BGPPeers between API versions
    #[command(after_help = "Examples:\n  \
        ferrolb convert -f peers.yaml --to v1beta2\n  \
        ferrolb convert -f - --to v1beta1 -o json < peer.yaml")]
    Convert(convert::ConvertArgs),
    /// Print the CustomResourceDefinitions of every kind
    #[command(after_help = "Examples:\n  \
        ferrolb crds | kubectl apply --server-side -f -\n  \
        ferrolb crds --output deploy/crds     one file for each")]
    Crds(CrdsArgs),
    /// Give Services of a cluster their addresses
    #[command(
        after_help = "Run as the Pod of a Deployment: `deploy/` has the manifests, and those of MetalLB do as well.\n\
        Elsewhere it takes the cluster of KUBECONFIG. SIGTERM and SIGINT end it.\n\
        Exit codes: 0 ended, 1 a flag has no such value, 2 it could not begin."
    )]
    Controller(Box<controller::ControllerArgs>),
    /// Answer for the addresses that this node is elected for, by ARP and neighbour discovery
    #[command(
        after_help = "Run as a Pod of a DaemonSet, on the host's network, with the capability NET_RAW: `deploy/` has the \
        manifests, and those of MetalLB do as well.\n\
        On a host without a cluster:\n  \
        ferrolb speaker --kubeconfig FILE --node-name $(hostname) --namespace metallb-system --register-node\n\n\
        SIGTERM and SIGINT end it. Exit codes: 0 ended, 1 a flag has no such value or it could not begin."
    )]
    Speaker(Box<speaker::SpeakerArgs>),
    /// Have another node answer for the addresses of a Service
    #[command(
        name = "move",
        after_help = "Examples:\n  \
        ferrolb move default/web --to node-2\n  \
        ferrolb move default/web --release      wherever it would be by itself\n\n\
        The new node answers before the old one falls silent. The Service gets the annotation ferrolb.io/move-to, which\n\
        counts as long as it is there and the node could answer.\n\
        Exit codes: 0 moved, 1 there is no such Service or node, or it could not answer in time, 2 the cluster cannot be asked."
    )]
    Move(relocate::MoveArgs),
    /// Give addresses without a cluster: an API server and the controller in this process
    #[command(after_help = "Examples:\n  \
        ferrolb standalone --data-dir /var/lib/ferrolb\n  \
        kubectl --kubeconfig /var/lib/ferrolb/admin.kubeconfig get services -A\n  \
        ferrolb standalone --data-dir d --bind 127.0.0.1:0 --service-cluster-ip-range 10.96.0.0/16,fd00:10:96::/112\n\n\
        Objects, certificates and the admin's kubeconfig are in the folder; `ferrolb apiserver` looks after it too.\n\
        SIGTERM and SIGINT end it. Exit codes: 0 ended, 2 it could not begin.")]
    Standalone(Box<standalone::StandaloneArgs>),
    /// Run a Kubernetes API server on this machine, or look after its data
    #[command(after_help = "Examples:\n  \
        ferrolb apiserver --data-dir /var/lib/ferrolb\n  \
        kubectl --kubeconfig /var/lib/ferrolb/admin.kubeconfig get namespaces\n  \
        ferrolb apiserver --data-dir d --memory --bind 127.0.0.1:0    for a test\n  \
        ferrolb apiserver check --data-dir /var/lib/ferrolb\n  \
        ferrolb apiserver export --data-dir /var/lib/ferrolb > backup.jsonl\n  \
        ferrolb apiserver import --data-dir new < backup.jsonl\n\n\
        SIGTERM and SIGINT end it. Exit codes: 0 ended or in order, 1 the store is damaged, 2 it cannot be used.")]
    Apiserver(apiserver::ApiserverArgs),
    /// A data centre in network namespaces, to try things in
    #[command(after_help = "Examples (as root):\n  \
        ferrolb lab up --nodes 3 --dual-stack\n  \
        export KUBECONFIG=/run/ferrolb/labs/lab/control/host.kubeconfig\n  \
        kubectl apply -f examples/lab/web.yaml && kubectl get services\n  \
        ferrolb lab exec client curl -s http://10.10.100.1\n  \
        ferrolb lab traffic 10.10.100.1:80 --protocol http --seconds 10\n  \
        ferrolb lab kill-speaker 2\n  \
        ferrolb lab down\n\n\
        Exit codes: 0 done, 2 it could not be done; exec and capture end as their command does.")]
    Lab(lab::LabArgs),
    /// Show which speakers the one of this machine knows, and who watches over whom
    #[command(after_help = "Examples:\n  \
        ferrolb members\n  \
        ferrolb members -o json | jq '.members[] | select(.state == \"down\")'\n  \
        kubectl exec -n metallb-system speaker-x2v9q -- /ferrolb members\n  \
        ferrolb lab exec 1 ferrolb members\n\n\
        Exit codes: 0 shown, 2 no speaker answers.")]
    Members(members::MembersArgs),
    /// Show the BGP sessions of the speaker of this machine, and what its peers were told
    #[command(after_help = "Examples:\n  \
        ferrolb bgp peers\n  \
        ferrolb bgp peers tor-1           one of them, with its capabilities, timers and counters\n  \
        ferrolb bgp routes -o json\n  \
        ferrolb bgp reset tor-1\n  \
        kubectl exec -n metallb-system speaker-x2v9q -- /ferrolb bgp peers\n\n\
        Exit codes: 0 shown, 1 there is no such peer, 2 no speaker answers.")]
    Bgp(bgp::BgpArgs),
    /// Have other nodes take over all that a node announces, without a gap, and wait until they have
    #[command(after_help = "Examples:\n  \
        ferrolb drain node-1          before it is rebooted\n  \
        ferrolb drain node-1 --undo   afterwards\n\n\
        It sets the annotation ferrolb.io/drain of the Node. Pods stay where they are: `kubectl drain` is for those.\n\
        Exit codes: 0 done, 1 something is still announced from it, 2 it could not be asked for.")]
    Drain(drain::DrainArgs),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  source <(ferrolb completion bash)")]
    Completion {
        /// The shell to complete in
        shell: Shell,
    },
}

/// Where resources are read from.
#[derive(Debug, Args)]
struct FilesArgs {
    /// A file, a folder (its .yaml, .yml and .json files), or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE|DIR|-")]
    filename: Vec<String>,
    /// Read folders inside folders too
    #[arg(short = 'R', long)]
    recursive: bool,
}

#[derive(Debug, Args)]
struct CrdsArgs {
    /// Write one file for each kind into this folder instead
    #[arg(long, value_name = "DIR")]
    output: Option<std::path::PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For programs, and for people who would read JSON otherwise
    Yaml,
}

/// Runs the command that was given and says how it went.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse_from(go_flags::understood(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; anything else is a command line that cannot be used.
            let code = if error.use_stderr() { exit::UNUSABLE } else { 0 };
            // Where the message cannot be printed there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let answer = match cli.command {
        Command::Validate(args) => validate::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Admit(args) => admit::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Crds(args) => crds(&args),
        Command::Controller(args) => controller::run(&args),
        Command::Speaker(args) => speaker::run(&args),
        Command::Move(args) => relocate::run(&args),
        Command::Standalone(args) => standalone::run(&args),
        Command::Apiserver(args) => apiserver::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Members(args) => members::run(&args),
        Command::Bgp(args) => bgp::run(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Version => print(&format!("ferrolb {}\n", env!("CARGO_PKG_VERSION"))).map(|()| 0),
        Command::Completion { shell } => completion(shell),
    };
    match answer {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit::UNUSABLE)
        }
    }
}

/// Data, and nothing but data, goes to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Whoever reads our output may have seen enough of it.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.downcast_ref::<std::io::Error>();
    io_error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn completion(shell: Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ferrolb", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(0)
}

fn crds(args: &CrdsArgs) -> anyhow::Result<u8> {
    let manifests = api::crds::all();
    let Some(folder) = &args.output else {
        print(&yaml::stream(&manifests)?)?;
        return Ok(0);
    };
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for manifest in &manifests {
        let name = manifest.pointer("/metadata/name").and_then(|name| name.as_str()).unwrap_or_default();
        let path = folder.join(format!("{name}.yaml"));
        let text = yaml::stream(std::slice::from_ref(manifest))?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        eprintln!("wrote {}", path.display());
    }
    Ok(0)
}
