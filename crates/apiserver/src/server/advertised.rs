//! The Service `kubernetes`, by which programs in a cluster find its API server, and where it leads.

use std::net::{IpAddr, SocketAddr};

use axum::http::Method;
use serde_json::{Value, json};

use super::Server;

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
/// Part of a real API server does this.
const MANAGER: &str = "kube-apiserver";

impl Server {
    /// Whether this is the key of the Service, or of its Endpoints.
    pub(super) fn is_of_advertised(plural: &str, namespace: &str, name: &str) -> bool {
        matches!(plural, "services" | "endpoints") && (namespace, name) == (NAMESPACE, NAME)
    }

    /// Makes the Service if there is none, and lets it lead to this server; whether that worked.
    pub(super) async fn advertise(&self) -> bool {
        let Some(address) = self.options.advertised else { return true };
        let mut is_done = true;
        if self.read("services", NAMESPACE, NAME).await.is_none() {
            let service = service(self.options.ranges.first_address(), address.port());
            is_done &= self.make(&path("services", ""), service).await;
        }
        // Endpoints are other machines', so nothing can be reached at a loopback address: there are none then.
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            return is_done;
        }
        is_done &= self.keep("endpoints", "", endpoints(address)).await;
        is_done & self.keep("endpointslices", "discovery.k8s.io", slice(address)).await
    }

    /// Makes an object, or gives it the fields that it should have.
    async fn keep(&self, plural: &str, group: &str, wanted: Value) -> bool {
        let Some(there) = self.read_of(group, plural, NAMESPACE, NAME).await else {
            return self.make(&path(plural, group), wanted).await;
        };
        let fields = wanted.as_object().into_iter().flatten();
        let mut fields = fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "addressType"));
        if fields.all(|(name, value)| there[name] == *value) {
            return true;
        }
        let object = path(&format!("{plural}/{NAME}"), group);
        self.write_itself(Method::PATCH, &object, "application/merge-patch+json", &wanted).await
    }
}

fn path(plural: &str, group: &str) -> String {
    let prefix = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
    format!("{prefix}/namespaces/{NAMESPACE}/{plural}?fieldManager={MANAGER}")
}

fn service(cluster_ip: Option<IpAddr>, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": NAME, "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP", "clusterIP": cluster_ip, "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    })
}

fn endpoints(address: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": NAME, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{
            "addresses": [{"ip": address.ip()}],
            "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
        }],
    })
}

fn slice(address: SocketAddr) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": if address.is_ipv6() { "IPv6" } else { "IPv4" },
        "endpoints": [{"addresses": [address.ip()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::server::Options;
    use crate::store::{MemoryStore, Store};

    async fn serving(store: &Arc<MemoryStore>, address: &str) -> Arc<Server> {
        let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
        let advertised = Some(address.parse().unwrap());
        let options = Options { advertised, has_cluster_objects: true, ..Options::default() };
        Server::open_with(store, options).await.unwrap()
    }

    async fn answer(server: &Arc<Server>, method: Method, path: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = server.router().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (code, serde_json::from_slice(&bytes).unwrap())
    }

    const SERVICE: &str = "/api/v1/namespaces/default/services/kubernetes";
    const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints/kubernetes";
    const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";

    #[tokio::test]
    async fn the_service_leads_to_wherever_the_server_is_now() {
        let store = Arc::new(MemoryStore::new());
        for address in ["192.0.2.1:6443", "192.0.2.7:7443"] {
            let server = serving(&store, address).await;
            let (ip, port) = address.rsplit_once(':').unwrap();
            let port: u16 = port.parse().unwrap();
            let (_, service) = answer(&server, Method::GET, SERVICE).await;
            assert_eq!(service["spec"]["clusterIPs"], json!(["10.96.0.1"]), "{service}");
            let (_, endpoints) = answer(&server, Method::GET, ENDPOINTS).await;
            let expected = json!([{"addresses": [{"ip": ip}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]);
            assert_eq!(endpoints["subsets"], expected);
            let (_, slice) = answer(&server, Method::GET, SLICE).await;
            assert_eq!(
                (&slice["endpoints"][0]["addresses"], &slice["ports"][0]["port"]),
                (&json!([ip]), &json!(port))
            );
        }
    }

    #[tokio::test]
    async fn it_comes_back_and_leads_nowhere_from_a_loopback_address() {
        let server = serving(&Arc::new(MemoryStore::new()), "127.0.0.1:6443").await;
        let (_, before) = answer(&server, Method::GET, SERVICE).await;
        assert_eq!(answer(&server, Method::DELETE, SERVICE).await.0, 200);
        let is_back = async {
            loop {
                let (code, after) = answer(&server, Method::GET, SERVICE).await;
                if code == 200 && after["metadata"]["uid"] != before["metadata"]["uid"] {
                    return after;
                }
                tokio::task::yield_now().await;
            }
        };
        let after = tokio::time::timeout(Duration::from_secs(10), is_back).await.unwrap();
        assert_eq!(after["spec"], before["spec"]);
        assert_eq!(answer(&server, Method::GET, ENDPOINTS).await.0, 404);
        assert_eq!(answer(&server, Method::GET, SLICE).await.0, 404);
    }
}
