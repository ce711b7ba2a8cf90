//! An embedded API server in a process of its own, and Services in it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::process::Process;

pub(crate) const NAMESPACE: &str = "metallb-system";
pub(crate) const NODE: &str = "node-a";
pub(crate) const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const ENDPOINTS: usize = 3;

/// When this returns, Services get addresses.
pub(crate) fn start_server(binary: &Path, folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(binary);
    command.args(["standalone", "--memory", "--bind", "127.0.0.1:0", "--namespace", NAMESPACE]);
    command.args(["--service-cluster-ip-range", "10.96.0.0/12", "--data-dir"]);
    let mut server = Process::start(command.arg(folder).stderr(Stdio::piped()))?;
    let mut lines = BufReader::new(server.0.stderr.take().context("a pipe")?).lines();
    let is_up = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Services get addresses now"));
    ensure!(is_up, "the server has ended");
    std::thread::spawn(move || lines.for_each(drop));
    Ok(server)
}

/// Says nothing but what goes wrong, and has no part in what `excluded` matches.
pub(crate) fn start_speaker(binary: &Path, folder: &Path, excluded: &[&str]) -> anyhow::Result<Process> {
    let file = folder.join("excluded.yaml");
    std::fs::write(&file, json!({"announcedInterfacesToExclude": excluded}).to_string())?;
    let mut command = Command::new(binary);
    command.args(["speaker", "--namespace", NAMESPACE, "--node-name", NODE, "--port=0", "--log-level=warn"]);
    command.args(["--health-probe-port=0", "--kubeconfig"]).arg(folder.join("admin.kubeconfig"));
    command.arg("--exclude-interfaces-file").arg(file);
    Process::start(&mut command)
}

pub(crate) struct Cluster {
    pub(crate) client: Client,
}

impl Cluster {
    /// Of the server that has its files there, with a node and a pool.
    pub(crate) async fn open(folder: &Path, pool: &str) -> anyhow::Result<Cluster> {
        let kubeconfig = Kubeconfig::read_from(folder.join("admin.kubeconfig"))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let cluster = Cluster { client: Client::try_from(config)? };
        let labels = json!({"kubernetes.io/hostname": NODE});
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}});
        cluster.post("/api/v1/nodes", node).await?;
        cluster.configure("v1beta1", "IPAddressPool", "pool", json!({"addresses": [pool]})).await?;
        Ok(cluster)
    }

    pub(crate) async fn configure(
        &self,
        version: &str,
        kind: &str,
        name: &str,
        spec: Value,
    ) -> anyhow::Result<()> {
        let plural = kind.to_lowercase() + "s";
        let path = format!("/apis/metallb.io/{version}/namespaces/{NAMESPACE}/{plural}");
        let version = format!("metallb.io/{version}");
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
        self.post(&path, object).await
    }

    /// A Service that can be served.
    pub(crate) async fn serve(&self, number: usize) -> anyhow::Result<()> {
        self.slice(number).await?;
        let name = format!("service-{number}");
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "selector": {"app": name},
                "ports": [{"name": "http", "port": 80}],
            },
        });
        self.post(SERVICES, service).await
    }

    pub(crate) async fn slice(&self, number: usize) -> anyhow::Result<()> {
        let endpoint = |index: usize| {
            json!({"addresses": [format!("10.200.{index}.1")], "nodeName": format!("node-{index}"),
                "conditions": {"ready": true, "serving": true, "terminating": false}})
        };
        let name = format!("service-{number}");
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        });
        self.post(SLICES, slice).await
    }

    pub(crate) async fn delete_slice(&self, number: usize) -> anyhow::Result<()> {
        let path = format!("{SLICES}/service-{number}-1");
        let (code, answer) = self.call(Method::DELETE, &path, &Value::Null).await?;
        ensure!(code.is_success(), "{path}: {answer}");
        Ok(())
    }

    async fn post(&self, path: &str, object: Value) -> anyhow::Result<()> {
        let (code, answer) = self.call(Method::POST, path, &object).await?;
        ensure!(code == StatusCode::CREATED, "{path}: {answer}");
        Ok(())
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let response = self.client.send(request.body(Body::from(bytes))?).await?;
        let code = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((code, serde_json::from_slice(&bytes).unwrap_or_default()))
    }
}
