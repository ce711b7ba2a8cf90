//! The API server in this process, on the network: its data directory, its certificates, its users.
//!
//! Whoever has it in the same process reaches it through [`Embedded::client`], without a socket.

mod conversion;
mod network;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use apiserver::auth::{COMPONENTS, Identity, Mode, Security, Signer, StaticTokens};
use apiserver::kinds::service::Ranges;
use apiserver::serve::{self, Authority, ServerNames, Tls, files};
use apiserver::server::{self, Server};
use apiserver::store::{DiskStore, MemoryStore, Store};
use axum::Extension;
use kube::Client;
use tokio::net::TcpListener;

pub use network::{Networks, Ports};

/// What a server is told when it starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Objects, certificates, tokens, the admin's kubeconfig.
    pub data_dir: PathBuf,
    /// Port 0 takes a free one.
    pub bind: SocketAddr,
    /// Objects are gone with the process.
    pub is_in_memory: bool,
    pub authorization: Mode,
    /// Where Services get their cluster IPs and node ports from.
    pub service_networks: Networks,
    pub node_ports: Ports,
    /// Users with tokens; if nothing is said the file `tokens.csv`, made if there is none.
    pub token_file: Option<PathBuf>,
}

/// A server that is ready for clients.
#[derive(Debug)]
pub struct Embedded {
    server: Arc<Server>,
    tls: Tls,
    listener: TcpListener,
    address: SocketAddr,
    kubeconfig: PathBuf,
}

impl Options {
    pub fn new(data_dir: impl Into<PathBuf>, bind: SocketAddr) -> Options {
        Options {
            data_dir: data_dir.into(),
            bind,
            is_in_memory: false,
            authorization: Mode::default(),
            service_networks: Networks::default(),
            node_ports: Ports::default(),
            token_file: None,
        }
    }

    fn open_store(&self) -> anyhow::Result<Arc<dyn Store>> {
        if self.is_in_memory {
            return Ok(Arc::new(MemoryStore::new()));
        }
        let path = store_file(&self.data_dir);
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

    fn of_server(&self, authority: &Authority, address: SocketAddr) -> anyhow::Result<server::Options> {
        let security = Security {
            mode: self.authorization,
            static_tokens: self.static_tokens()?,
            signer: Some(Arc::new(self.signer()?)),
            authority: Some(authority.certificate().to_owned()),
            ..Security::default()
        };
        let ranges = Ranges {
            networks: self.service_networks.networks.clone(),
            node_ports: self.node_ports.0.clone(),
        };
        Ok(server::Options {
            ranges,
            security,
            has_cluster_objects: true,
            advertised: Some(SocketAddr::new(own_address(address.ip()), address.port())),
            conversions: conversion::conversions(),
            ..server::Options::default()
        })
    }

    /// The tokens of the file, which is made with one for FerroLB's own components if nobody named another.
    fn static_tokens(&self) -> anyhow::Result<StaticTokens> {
        let path = self.token_file.clone().unwrap_or_else(|| self.data_dir.join("tokens.csv"));
        if self.token_file.is_none() && !path.try_exists()? {
            let token = apiserver::auth::random_token()?;
            let line = format!("{token},system:component:local,component-local,\"{COMPONENTS}\"\n");
            files::write_private(&path, &line)?;
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        StaticTokens::parse(&text).with_context(|| path.display().to_string())
    }

    /// Signs the tokens of service accounts, so it must be the same after a restart.
    fn signer(&self) -> anyhow::Result<Signer> {
        let path = self.data_dir.join("pki").join("service-accounts.key");
        if !path.try_exists()? {
            let signer = Signer::generate()?;
            files::write_private(&path, signer.pem())?;
        }
        let pem = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Signer::from_pem(&pem).with_context(|| path.display().to_string())
    }

    fn write_kubeconfig(&self, address: SocketAddr, authority: &Authority) -> anyhow::Result<PathBuf> {
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
        let path = self.data_dir.join("admin.kubeconfig");
        files::write_private(&path, &text)?;
        Ok(path)
    }
}

impl Embedded {
    pub async fn open(options: &Options) -> anyhow::Result<Embedded> {
        files::make_private_directory(&options.data_dir)?;
        let store = options.open_store()?;
        let authority = Arc::new(Authority::open(&options.data_dir.join("pki"))?);
        let listener = TcpListener::bind(options.bind).await.with_context(|| options.bind.to_string())?;
        let address = listener.local_addr()?;
        let of_server = options.of_server(&authority, address)?;
        let own_addresses = options.service_networks.first_addresses.iter().copied();
        let names = ServerNames::usual(own_addresses.chain([options.bind.ip()]));
        let tls = Tls::new(Arc::clone(&authority), names)?;
        let server = Server::open_with(store, of_server).await?;
        let kubeconfig = options.write_kubeconfig(address, &authority)?;
        if !address.ip().is_loopback() {
            tracing::warn!("listening on {address}, which other machines may reach");
        }
        tracing::info!("serving on https://{address}; the admin's kubeconfig is {}", kubeconfig.display());
        Ok(Embedded { server, tls, listener, address, kubeconfig })
    }

    /// For a component in this process. The name is who the server sees.
    pub fn client(&self, component: &str) -> Client {
        let identity = Identity::new(&format!("system:component:{component}"), [COMPONENTS]).authenticated();
        Client::new(self.server.router().layer(Extension(identity)), "default")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The admin's.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Serves the network until told to stop.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        serve::serve(self.listener, &self.tls, self.server.secured(), stop).await;
    }
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

/// Where a server keeps its objects.
pub(crate) fn store_file(data_dir: &Path) -> PathBuf {
    data_dir.join("store.redb")
}
