//! The server from its start to its end.

use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use apiserver::auth::{COMPONENTS, Mode, Security, Signer, StaticTokens};
use apiserver::kinds::service::Ranges;
use apiserver::serve::{self, Authority, ServerNames, Tls, files};
use apiserver::server::{Options, Server};
use apiserver::store::{DiskStore, MemoryStore, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::conversion;
use super::{Authorization, LogLevel, ServeArgs, store_file};

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<u8> {
    log_to_stderr(args.log);
    files::make_private_directory(&args.data_dir)?;
    let store = open_store(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args, store))?;
    // What is still going on in the background may hold the store, which closes its file when nobody does.
    drop(runtime);
    tracing::info!("ended");
    Ok(0)
}

/// What the libraries below say is left out: it is much, and nobody has looked at whether there are secrets in it.
fn log_to_stderr(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let ours = Targets::new().with_target("apiserver", level).with_target("ferrolb", level);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}

fn open_store(args: &ServeArgs) -> anyhow::Result<Arc<dyn Store>> {
    if args.memory {
        return Ok(Arc::new(MemoryStore::new()));
    }
    let path = store_file(&args.data_dir);
    let store = DiskStore::open(&path)?;
    // There are Secrets in it.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let opened = store.opened();
    if opened.repaired {
        tracing::warn!("{}: the list of free space was wrong and was made anew", path.display());
    }
    tracing::info!("{}: {} entries at revision {}", path.display(), opened.entries, opened.revision);
    Ok(Arc::new(store))
}

async fn serve(args: &ServeArgs, store: Arc<dyn Store>) -> anyhow::Result<()> {
    // First, so that a signal during the start is not lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let authority = Arc::new(Authority::open(&args.data_dir.join("pki"))?);
    let listener = TcpListener::bind(args.bind).await.with_context(|| args.bind.to_string())?;
    let address = listener.local_addr()?;
    let options = options(args, &authority, address)?;
    let names = ServerNames::usual(
        args.service_cluster_ip_range.first_addresses.iter().copied().chain([args.bind.ip()]),
    );
    let tls = Tls::new(Arc::clone(&authority), names)?;
    let server = Server::open_with(store, options).await?;
    write_kubeconfig(&args.data_dir, address, &authority)?;
    if !address.ip().is_loopback() {
        tracing::warn!("listening on {address}, which other machines may reach");
    }
    let kubeconfig = args.data_dir.join("admin.kubeconfig");
    tracing::info!("serving on https://{address}; the admin's kubeconfig is {}", kubeconfig.display());
    let stop = async {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!("ending because of {name}");
    };
    serve::serve(listener, &tls, server.secured(), stop).await;
    Ok(())
}

fn options(args: &ServeArgs, authority: &Authority, address: SocketAddr) -> anyhow::Result<Options> {
    let security = Security {
        mode: match args.authorization {
            Authorization::Components => Mode::ComponentsOnly,
            Authorization::Rbac => Mode::Rbac,
            Authorization::AlwaysAllow => Mode::AlwaysAllow,
        },
        static_tokens: static_tokens(args)?,
        signer: Some(Arc::new(signer(&args.data_dir)?)),
        authority: Some(authority.certificate().to_owned()),
        ..Security::default()
    };
    let ranges = Ranges {
        networks: args.service_cluster_ip_range.networks.clone(),
        node_ports: args.service_node_port_range.0.clone(),
    };
    Ok(Options {
        ranges,
        security,
        has_cluster_objects: true,
        advertised: Some(SocketAddr::new(own_address(address.ip()), address.port())),
        conversions: conversion::conversions(),
        ..Options::default()
    })
}

/// Where others reach a server that listens everywhere: the address from which this machine would send to them. Nothing
/// is sent to find out.
fn own_address(ip: IpAddr) -> IpAddr {
    // Of the networks that are in documentation only, so it is as far away as anything.
    let far: IpAddr = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => [192, 0, 2, 1].into(),
        IpAddr::V6(ip) if ip.is_unspecified() => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
        ip => return ip,
    };
    let socket = UdpSocket::bind((ip, 0));
    let own = socket.and_then(|socket| socket.connect((far, 9)).and_then(|()| socket.local_addr()));
    own.map_or(ip, |own| own.ip())
}

/// The tokens of the file, which is made with one for FerroLB's own components if nobody named another.
fn static_tokens(args: &ServeArgs) -> anyhow::Result<StaticTokens> {
    let path = args.token_file.clone().unwrap_or_else(|| args.data_dir.join("tokens.csv"));
    if args.token_file.is_none() && !path.try_exists()? {
        let token = apiserver::auth::random_token()?;
        let line = format!("{token},system:component:local,component-local,\"{COMPONENTS}\"\n");
        files::write_private(&path, &line)?;
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    StaticTokens::parse(&text).with_context(|| path.display().to_string())
}

/// Signs the tokens of service accounts, so it must be the same after a restart.
fn signer(data_dir: &Path) -> anyhow::Result<Signer> {
    let path = data_dir.join("pki").join("service-accounts.key");
    if !path.try_exists()? {
        let signer = Signer::generate()?;
        files::write_private(&path, signer.pem())?;
    }
    let pem = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Signer::from_pem(&pem).with_context(|| path.display().to_string())
}

fn write_kubeconfig(data_dir: &Path, address: SocketAddr, authority: &Authority) -> anyhow::Result<()> {
    // A server that listens everywhere is reached by this machine's own address.
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let server = format!("https://{}", SocketAddr::new(ip, address.port()));
    let text = serve::kubeconfig(
        "ferrolb",
        &server,
        authority.certificate(),
        "kubernetes-admin",
        &authority.admin()?,
    );
    Ok(files::write_private(&data_dir.join("admin.kubeconfig"), &text)?)
}
