//! Which Services another node would answer for.

use std::collections::{BTreeMap, BTreeSet};

use plan::announce::Name;
use serde::Serialize;

use super::announcing::{Announcing, one_line};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Move {
    pub(super) service: String,
    /// `None`: no node.
    pub(super) now: Option<Name>,
    pub(super) then: Option<Name>,
    /// Why no node would answer any more; empty if one does.
    pub(super) message: String,
}

/// By the name of the Service.
pub(super) fn moves(now: &Announcing<'_>, then: &Announcing<'_>) -> Vec<Move> {
    let (before, after) = (now.owners(), then.owners());
    let services: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let moved = services.into_iter().filter(|service| before.get(*service) != after.get(*service));
    let mut moves: Vec<Move> = moved
        .map(|service| Move {
            service: service.clone(),
            now: before.get(service).cloned(),
            then: after.get(service).cloned(),
            message: String::new(),
        })
        .collect();
    let has_losses = moves.iter().any(|it| it.then.is_none());
    let reasons = if has_losses { then.reasons() } else { BTreeMap::new() };
    for it in moves.iter_mut().filter(|it| it.then.is_none()) {
        it.message = match reasons.get(&it.service) {
            Some(reasons) => one_line(reasons),
            None => "the Service is deleted, or no load balancer's any more".to_owned(),
        };
    }
    moves
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::Format;
    use crate::cli::input::{Object, Origin};
    use crate::cli::plan::PlanArgs;
    use crate::cli::plan::live::compare;

    fn args() -> PlanArgs {
        PlanArgs {
            filename: Vec::new(),
            recursive: false,
            live: true,
            delete_from: Vec::new(),
            kubeconfig: None,
            output: Format::Json,
            namespace: "metallb-system".to_owned(),
            lb_class: String::new(),
            speakers: None,
            ignore_exclude_lb: false,
            node: Vec::new(),
            peer: Vec::new(),
        }
    }

    fn node(name: &str, labels: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    }

    fn advertisement(spec: &Value) -> Value {
        let metadata = json!({"name": "a", "namespace": "metallb-system"});
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": metadata, "spec": spec})
    }

    fn slice(is_ready: bool) -> Value {
        let labels = json!({"kubernetes.io/service-name": "web"});
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web-1", "labels": labels},
            "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "iris1", "conditions": {"ready": is_ready}}],
        })
    }

    /// `web` has 10.20.30.1, which iris2 answers for.
    fn cluster() -> Vec<Value> {
        let pool = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": {"name": "p", "namespace": "metallb-system"}, "spec": {"addresses": ["10.20.30.0/24"]},
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "10.20.30.1"}]}},
        });
        let (one, two) = (node("iris1", &json!({"name": "iris1"})), node("iris2", &json!({"name": "iris2"})));
        vec![one, two, pool, advertisement(&json!({})), service, slice(true)]
    }

    fn objects(values: Vec<Value>) -> Vec<Object> {
        values.into_iter().map(|value| Object { origin: Origin::cluster(), value }).collect()
    }

    #[test]
    fn a_change_moves_a_service_or_leaves_it_without_a_node() {
        let only_iris1 = advertisement(&json!({"nodeSelectors": [{"matchLabels": {"name": "iris1"}}]}));
        let excluded = json!({"node.kubernetes.io/exclude-from-external-load-balancers": ""});
        let to_iris1 = Some((Some("iris1"), ""));
        for (case, change, expected) in [
            ("the same", advertisement(&json!({})), None),
            ("an advertisement for the other node", only_iris1, to_iris1),
            ("a label", node("iris2", &excluded), to_iris1),
            ("an endpoint", slice(false), Some((None, "no endpoint of the Service can serve"))),
        ] {
            let change = objects(vec![change]);
            let (report, _) = compare(&args(), objects(cluster()), change, Vec::new()).unwrap();
            let expected = expected.map(|(then, message): (Option<&str>, &str)| Move {
                service: "default/web".to_owned(),
                now: Some("iris2".into()),
                then: then.map(Name::from),
                message: message.to_owned(),
            });
            assert_eq!(report.moves, expected.into_iter().collect::<Vec<_>>(), "{case}");
        }
    }

    #[test]
    fn a_service_that_is_deleted_moves_nowhere_and_one_whose_node_goes_moves_on() {
        for (index, then, message) in
            [(4, None, "the Service is deleted, or no load balancer's any more"), (1, Some("iris1"), "")]
        {
            let deletion = objects(vec![cluster()[index].clone()]);
            let (report, _) = compare(&args(), objects(cluster()), Vec::new(), deletion).unwrap();
            let [only] = &report.moves[..] else { panic!("{:?}", report.moves) };
            assert_eq!((only.then.as_deref(), only.message.as_str()), (then, message));
        }
    }
}
