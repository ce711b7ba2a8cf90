//! `ferrolb apiserver`: a Kubernetes API server on this machine, and what is done with its data while it is stopped.

mod serve;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;

use apiserver::auth::Mode;
use clap::{Args, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

use super::Format;
use crate::embedded::{Networks, Options, Ports, store_file};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ApiserverArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    serve: Option<ServeArgs>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read and verify all of a store that is not in use
    Check {
        #[command(flatten)]
        store: StoreArgs,
        /// How to print what was found
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
    /// Print a store as lines of JSON; of a damaged one what can be read
    Export {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Make a store from an export on standard input
    Import {
        #[command(flatten)]
        store: StoreArgs,
        /// Take an export of a damaged store too, in which entries are missing
        #[arg(long)]
        incomplete: bool,
    },
}

#[derive(Debug, Args)]
struct StoreArgs {
    /// The folder of the server's data
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// What every server on this machine is told, whatever else its program does.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The folder of the server's data: objects, certificates, tokens, admin.kubeconfig
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6443")]
    bind: SocketAddr,
    /// Keep objects in memory only; they are gone with the process
    #[arg(long)]
    memory: bool,
    /// Who may do what
    #[arg(long, value_enum, default_value = "components")]
    authorization: Authorization,
    /// Where Services get their cluster IPs from: a network, or one of each family with a comma between them
    #[arg(long, value_name = "NETWORK", default_value = "10.96.0.0/16")]
    service_cluster_ip_range: Networks,
    /// Where Services get their node ports from
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-32767")]
    service_node_port_range: Ports,
    /// Users with tokens, a line of `token,user,uid,"group,group"` each; tokens.csv in the data folder if not given
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How much to say on standard error
    #[arg(long, value_enum, default_value = "info")]
    log: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Authorization {
    /// The admin and FerroLB's own components may do everything, others nothing
    Components,
    /// As roles and their bindings say
    Rbac,
    /// Everybody may do everything, for tests
    AlwaysAllow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

pub(super) fn run(args: &ApiserverArgs) -> anyhow::Result<u8> {
    match (&args.action, &args.serve) {
        (Some(Action::Check { store, output }), _) => store::check(&store_file(&store.data_dir), *output),
        (Some(Action::Export { store }), _) => store::export(&store_file(&store.data_dir)),
        (Some(Action::Import { store, incomplete }), _) => store::import(&store.data_dir, *incomplete),
        (None, Some(args)) => serve::run(args),
        (None, None) => anyhow::bail!("--data-dir is missing"),
    }
}

impl ServeArgs {
    pub(super) fn options(&self) -> Options {
        Options {
            data_dir: self.data_dir.clone(),
            bind: self.bind,
            is_in_memory: self.memory,
            authorization: match self.authorization {
                Authorization::Components => Mode::ComponentsOnly,
                Authorization::Rbac => Mode::Rbac,
                Authorization::AlwaysAllow => Mode::AlwaysAllow,
            },
            service_networks: self.service_cluster_ip_range.clone(),
            node_ports: self.service_node_port_range.clone(),
            token_file: self.token_file.clone(),
        }
    }

    pub(super) fn log_level(&self) -> LevelFilter {
        match self.log {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        }
    }
}
