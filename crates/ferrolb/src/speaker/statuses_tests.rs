use std::net::IpAddr;

use serde_json::json;

use super::*;

const NAMESPACE: &str = "metallb-system";

fn service() -> ServiceKey {
    ServiceKey::new("default", "web")
}

fn doing(interfaces: &[&str]) -> Doing {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let interfaces = match interfaces {
        [] => Interfaces::All,
        names => Interfaces::these(names.iter().map(|&name| name.to_owned())),
    };
    Doing {
        addresses: [address].into(),
        answered: [(address, interfaces)].into(),
        without_interface: [].into(),
    }
}

/// A server that does what it is told, and the steps that it took.
struct Server {
    statuses: Statuses,
    layout: StatusLayout,
    version: u64,
    objects: BTreeMap<Key, ServiceL2Status>,
}

impl Server {
    fn new(layout: StatusLayout, node: &str) -> Server {
        let mut statuses = Statuses::new(layout, NAMESPACE, node);
        statuses.has_all();
        Server { statuses, layout, version: 0, objects: BTreeMap::new() }
    }

    fn put(&mut self, key: &Key, labels: &BTreeMap<String, String>, status: &ServiceL2StatusStatus) {
        self.version += 1;
        let object: ServiceL2Status = serde_json::from_value(json!({
            "metadata": {
                "namespace": key.0, "name": key.1, "labels": labels, "resourceVersion": self.version.to_string(),
            },
            "spec": {},
            "status": status,
        }))
        .unwrap();
        self.objects.insert(key.clone(), object.clone());
        if let Some(read) = Object::read(object, self.layout) {
            self.statuses.observe(read);
        }
    }

    fn by_another(&mut self, name: &str, node: &str) {
        let labels = [(NODE, node), (SERVICE_NAME, "web"), (SERVICE_NAMESPACE, "default")];
        let labels: BTreeMap<_, _> = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let status = ServiceL2StatusStatus { node: Some(node.to_owned()), ..Default::default() };
        let namespace = match self.layout {
            StatusLayout::Metallb => NAMESPACE,
            StatusLayout::Service => "default",
        };
        self.put(&(namespace.into(), name.into()), &labels, &status);
    }

    /// Takes every step there is, and says which.
    fn settle(&mut self, is_left_behind: bool) -> Vec<&'static str> {
        let mut taken = Vec::new();
        while let Some((service, step)) = self.statuses.next(|_| is_left_behind) {
            taken.push(self.take(step));
            self.statuses.ended(&service);
            assert!(taken.len() < 20, "{taken:?}");
        }
        taken
    }

    fn take(&mut self, step: Step) -> &'static str {
        let labels_of = |object: &ServiceL2Status| object.metadata.labels.clone().unwrap_or_default();
        let known = |server: &Server, key: &Key| server.objects[key].clone();
        match step {
            Step::Create { key, labels } => {
                self.put(&key, &labels, &ServiceL2StatusStatus::default());
                "create"
            }
            Step::SetStatus { key, status } => {
                let labels = labels_of(&known(self, &key));
                self.put(&key, &labels, &status);
                "set"
            }
            Step::Clear { key } => {
                let before = known(self, &key);
                let status = before.status.clone().unwrap();
                let status = ServiceL2StatusStatus {
                    service_name: status.service_name,
                    service_namespace: status.service_namespace,
                    ..Default::default()
                };
                self.put(&key, &labels_of(&before), &status);
                "clear"
            }
            Step::Label { key, labels } => {
                let status = known(self, &key).status.unwrap();
                self.put(&key, &labels, &status);
                "label"
            }
            Step::Delete { key } => {
                self.objects.remove(&key);
                self.statuses.forget(&key);
                "delete"
            }
        }
    }

    fn only(&self) -> serde_json::Value {
        let [object] = self.objects.values().collect::<Vec<_>>()[..] else { panic!("{:?}", self.objects) };
        json!(object.status)
    }
}

#[test]
fn one_object_tells_who_announces_and_goes_with_it() {
    let mut server = Server::new(StatusLayout::Metallb, "node-a");
    server.statuses.want(service(), Some(&doing(&["eth1", "eth0"])));
    assert_eq!(server.settle(false), ["create", "set"]);
    assert_eq!(
        server.only(),
        json!({
            "node": "node-a", "serviceName": "web", "serviceNamespace": "default",
            "interfaces": [{"name": "eth0"}, {"name": "eth1"}], "ips": ["192.0.2.1"],
        })
    );
    server.statuses.want(service(), Some(&doing(&[])));
    assert_eq!(server.settle(false), ["set"]);
    server.statuses.want(service(), Some(&doing(&[])));
    assert_eq!(server.settle(false), [""; 0], "nothing is written that is there");
    server.statuses.want(service(), None);
    assert_eq!(server.settle(false), ["delete"]);
    assert!(server.objects.is_empty());
}

#[test]
fn whoever_announces_cleans_up_after_a_dead_predecessor() {
    let mut server = Server::new(StatusLayout::Metallb, "node-a");
    server.by_another("l2-x", "node-b");
    server.by_another("l2-y", "node-c");
    assert_eq!(server.settle(false), [""; 0], "others see to their own");
    server.statuses.want(service(), Some(&doing(&[])));
    assert_eq!(server.settle(false), ["delete", "delete", "create", "set"]);
    assert_eq!(server.only()["node"], "node-a");
}

#[test]
fn what_nobody_sees_to_is_taken_away() {
    let mut server = Server::new(StatusLayout::Metallb, "node-a");
    server.by_another("l2-x", "node-b");
    assert_eq!(server.settle(true), ["delete"]);
}

#[test]
fn of_several_of_ours_one_stays_and_one_of_before_a_restart_goes() {
    let mut server = Server::new(StatusLayout::Metallb, "node-a");
    server.by_another("l2-x", "node-a");
    server.by_another("l2-y", "node-a");
    server.statuses.want(service(), Some(&doing(&[])));
    assert_eq!(server.settle(false), ["delete", "set"]);
    assert_eq!(server.only()["ips"], json!(["192.0.2.1"]));

    let mut server = Server::new(StatusLayout::Metallb, "node-a");
    server.by_another("l2-x", "node-a");
    assert_eq!(server.settle(false), ["delete"], "it is not announced any more");
}

#[test]
fn an_object_of_ours_that_names_another_node_is_made_anew() {
    let mut server = Server::new(StatusLayout::Metallb, "node-a");
    server.statuses.want(service(), Some(&doing(&[])));
    server.settle(false);
    let (key, object) = server.objects.first_key_value().map(|(key, it)| (key.clone(), it.clone())).unwrap();
    let status = ServiceL2StatusStatus { node: Some("node-x".to_owned()), ..Default::default() };
    server.put(&key, &object.metadata.labels.unwrap(), &status);
    assert_eq!(server.settle(false), ["delete", "create", "set"]);
}

#[test]
fn an_object_beside_the_service_stays_and_names_nobody_when_nobody_announces() {
    let mut server = Server::new(StatusLayout::Service, "node-a");
    server.statuses.want(service(), Some(&doing(&[])));
    assert_eq!(server.settle(false), ["create", "set"]);
    assert_eq!(server.objects.keys().next().unwrap(), &("default".into(), "web-l2-status".into()));
    server.statuses.want(service(), None);
    assert_eq!(server.settle(false), ["clear"]);
    assert_eq!(server.only(), json!({"serviceName": "web", "serviceNamespace": "default"}));

    server.by_another("web-l2-status", "node-b");
    assert_eq!(server.settle(false), [""; 0]);
    server.statuses.want(service(), Some(&doing(&[])));
    assert_eq!(server.settle(false), ["clear", "set", "label"]);
    server.by_another("web-l2-status", "node-b");
    server.statuses.want(service(), None);
    assert_eq!(server.settle(true), ["clear"], "its announcer is dead");
}

#[test]
fn an_older_answer_does_not_undo_a_newer_one() {
    let mut server = Server::new(StatusLayout::Metallb, "node-a");
    server.statuses.want(service(), Some(&doing(&[])));
    server.settle(false);
    let mut old = server.objects.values().next().unwrap().clone();
    old.metadata.resource_version = Some("1".to_owned());
    old.status = None;
    server.statuses.observe(Object::read(old, StatusLayout::Metallb).unwrap());
    assert_eq!(server.settle(false), [""; 0]);
}

#[test]
fn what_another_node_says_is_contested_only_by_whoever_announces() {
    let mut server = Server::new(StatusLayout::Metallb, "node-a");
    server.by_another("l2-x", "node-b");
    let (service, step) = server.statuses.next(|_| true).unwrap();
    assert!(!server.statuses.is_contest(&service, &step), "it was left behind");
    server.statuses.ended(&service);
    server.statuses.want(service.clone(), Some(&doing(&[])));
    let (_, step) = server.statuses.next(|_| true).unwrap();
    assert!(matches!(step, Step::Delete { .. }) && server.statuses.is_contest(&service, &step));
    server.take(step);
    assert!(!server.statuses.ended(&service), "an object went while the step was taken");
    let (_, step) = server.statuses.next(|_| true).unwrap();
    assert!(matches!(step, Step::Create { .. }) && !server.statuses.is_contest(&service, &step));
}

/// As long as the other one says so; before and after that, what is wrong with the address is told here.
#[test]
fn of_what_is_left_to_another_node_that_one_tells() {
    for (layout, name, withdrawn) in [
        (StatusLayout::Metallb, "l2-of-another", vec!["delete"]),
        (StatusLayout::Service, "web-l2-status", vec![]),
    ] {
        let mut server = Server::new(layout, "node-a");
        let doing = doing(&[]);
        let address = doing.addresses[0];
        server.statuses.want(service(), Some(&doing));
        assert_eq!(server.settle(false), ["create", "set"], "{layout:?}");
        server.statuses.set_left(address, true);
        server.statuses.want(service(), Some(&doing));
        assert_eq!(server.settle(false), [""; 0], "{layout:?}: nobody else tells");
        server.by_another(name, "node-b");
        assert_eq!(server.settle(false), withdrawn, "{layout:?}");
        assert_eq!(server.only()["node"], "node-b", "{layout:?}");
        server.statuses.set_left(address, false);
        server.statuses.want(service(), Some(&doing));
        server.settle(false);
        assert_eq!(server.only()["node"], "node-a", "{layout:?}: it is taken back");
    }
}
