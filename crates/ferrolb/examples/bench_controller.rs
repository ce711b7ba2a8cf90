//! How fast the controller is, and how small: it runs as a process of its own against an API server, as it does in a
//! cluster. Prints a line of JSON for each figure.
//!
//! Usage: `bench_controller FERROLB [KUBECONFIG]`. Without a kubeconfig an embedded API server is started.

#[path = "support/process.rs"]
mod process;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use process::Process;
use serde_json::{Value, json};

const SERVICES: usize = 10_000;
const CLIENTS: usize = 8;
const SINGLES: usize = 200;
const NAMESPACE: &str = "metallb-system";
const PATH: &str = "/api/v1/namespaces/default/services";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let binary = PathBuf::from(arguments.next().context("usage: bench_controller FERROLB [KUBECONFIG]")?);
    let folder = std::env::temp_dir().join(format!("ferrolb-bench-{}", std::process::id()));
    let given = arguments.next().map(PathBuf::from);
    let (kubeconfig, server) = match given {
        Some(kubeconfig) => (kubeconfig, None),
        None => {
            let server = start_server(&binary, &folder)?;
            (folder.join("admin.kubeconfig"), Some(server))
        }
    };
    let outcome = measure(&binary, &kubeconfig, server.is_some()).await;
    drop(server);
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

fn start_server(binary: &Path, folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(binary);
    command.args(["apiserver", "--memory", "--bind", "127.0.0.1:0", "--data-dir"]).arg(folder);
    let mut server = Process::start(command.stderr(Stdio::piped()))?;
    let mut lines = BufReader::new(server.0.stderr.take().context("a pipe")?).lines();
    let is_up = lines.by_ref().map_while(Result::ok).any(|line| line.contains("serving on"));
    ensure!(is_up, "the server has ended");
    std::thread::spawn(move || lines.for_each(drop));
    Ok(server)
}

fn start_controller(binary: &Path, kubeconfig: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(binary);
    command.env("KUBECONFIG", kubeconfig).stdout(Stdio::null()).args([
        "controller",
        "--namespace",
        NAMESPACE,
        "--port=0",
        "--health-probe-port=0",
        "--webhook-mode=disabled",
        "--log-level=warn",
    ]);
    Process::start(&mut command)
}

async fn measure(binary: &Path, kubeconfig: &Path, is_embedded: bool) -> anyhow::Result<()> {
    let world = World::open(kubeconfig).await?;
    world.set_up().await?;
    let kind = if is_embedded { "embedded" } else { "real" };
    let figure = |name: &str, milliseconds: f64, limit: Option<f64>| {
        let mut line =
            json!({"bench": format!("controller/{name}/{kind}"), "milliseconds": round(milliseconds)});
        if let Some(limit) = limit {
            line["limit_milliseconds"] = limit.into();
        }
        println!("{line}");
    };

    let controller = start_controller(binary, kubeconfig)?;
    let created = world.create_all().await?;
    figure(&format!("created-{SERVICES}"), created.as_secs_f64() * 1e3, None);
    let after_last = world.all_have_addresses().await?;
    figure(
        &format!("assigned-after-last-of-{SERVICES}"),
        after_last.as_secs_f64() * 1e3,
        is_embedded.then_some(2000.0),
    );
    println!(
        "{}",
        json!({
            "bench": format!("controller/resident-with-{SERVICES}/{kind}"),
            "megabytes": round(controller.resident_megabytes()?), "limit_megabytes": 60,
        })
    );

    let mut singles = Vec::new();
    for number in 0..SINGLES {
        singles.push(world.single(&format!("single-{number}")).await?.as_secs_f64() * 1e3);
    }
    singles.sort_by(f64::total_cmp);
    // From the create, not from the event: the way to the server and back is in it.
    figure("single-median", singles[SINGLES / 2], None);
    figure("single-p99", singles[SINGLES * 99 / 100], None);

    let busy = controller.processor_seconds()?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = (controller.processor_seconds()? - busy) / 5.0 * 100.0;
    println!(
        "{}",
        json!({"bench": format!("controller/idle-processor-percent/{kind}"), "percent": round(idle)})
    );

    drop(controller);
    world.free_lease().await?;
    let before = world.versions().await?;
    let began = Instant::now();
    let controller = start_controller(binary, kubeconfig)?;
    world.single("after-restart").await?;
    figure(&format!("restart-with-{SERVICES}"), began.elapsed().as_secs_f64() * 1e3, Some(2000.0));
    let after = world.versions().await?;
    let written =
        after.iter().filter(|(name, version)| before.get(*name).is_some_and(|it| it != *version)).count();
    println!("{}", json!({"bench": format!("controller/writes-on-restart/{kind}"), "count": written}));
    ensure!(written == 0, "{written} Services were written on a restart with nothing to do");

    let began = Instant::now();
    world.delete_half().await?;
    figure("deleted-half", began.elapsed().as_secs_f64() * 1e3, None);
    let began = Instant::now();
    world.single("after-deletes").await?;
    figure("single-after-deletes", began.elapsed().as_secs_f64() * 1e3, Some(2000.0));
    drop(controller);
    Ok(())
}

struct World {
    client: Client,
}

impl World {
    async fn open(kubeconfig: &Path) -> anyhow::Result<World> {
        let mut config =
            Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &KubeConfigOptions::default())
                .await?;
        config.default_retry = false;
        Ok(World { client: Client::try_from(config)? })
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        call(&self.client, method, path, body).await
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        self.call(Method::POST, "/api/v1/namespaces", Some(namespace)).await?;
        for definition in api::crds::all() {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            self.call(Method::POST, path, Some(definition)).await?;
        }
        let pools = format!("/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/ipaddresspools");
        let pool = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "pool"},
            "spec": {"addresses": ["198.18.0.0/15"]},
        });
        let until = Instant::now() + Duration::from_secs(30);
        while let Err(error) = self.call(Method::POST, &pools, Some(pool.clone())).await {
            ensure!(Instant::now() < until, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn create_all(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..CLIENTS {
            let client = self.client.clone();
            clients.spawn(async move {
                for index in (number..SERVICES).step_by(CLIENTS) {
                    call(&client, Method::POST, PATH, Some(service(&format!("s{index:05}")))).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        Ok(began.elapsed())
    }

    async fn all_have_addresses(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            let list = self.call(Method::GET, PATH, None).await?;
            let items = list["items"].as_array().context("items")?;
            if items.iter().filter(|it| !it["status"]["loadBalancer"]["ingress"].is_null()).count()
                == SERVICES
            {
                return Ok(began.elapsed());
            }
            if began.elapsed() > Duration::from_secs(300) {
                bail!("not all Services get an address");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// From a create to the address in the status.
    async fn single(&self, name: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.call(Method::POST, PATH, Some(service(name))).await?;
        while self.call(Method::GET, &format!("{PATH}/{name}"), None).await?["status"]["loadBalancer"]["ingress"].is_null()
        {
            ensure!(began.elapsed() < Duration::from_secs(60), "{name} gets no address");
        }
        Ok(began.elapsed())
    }

    async fn versions(&self) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
        let list = self.call(Method::GET, PATH, None).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let items = list["items"].as_array().context("items")?;
        Ok(items
            .iter()
            .map(|it| (text(&it["metadata"]["name"]), text(&it["metadata"]["resourceVersion"])))
            .collect())
    }

    /// As if the one that was killed had been gone for long enough.
    async fn free_lease(&self) -> anyhow::Result<()> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/ferrolb-controller");
        self.call(Method::DELETE, &path, None).await.map(drop)
    }

    async fn delete_half(&self) -> anyhow::Result<()> {
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..CLIENTS {
            let client = self.client.clone();
            clients.spawn(async move {
                for index in (number..SERVICES / 2).step_by(CLIENTS) {
                    call(&client, Method::DELETE, &format!("{PATH}/s{index:05}"), None).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        Ok(())
    }
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
            "ports": [{"port": 80}], "selector": {"app": name},
        },
    })
}

async fn call(client: &Client, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
    let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let response = client.send(request.body(Body::from(bytes))?).await?;
    let status = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{path}: {}", String::from_utf8_lossy(&bytes));
    Ok(serde_json::from_slice(&bytes)?)
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
