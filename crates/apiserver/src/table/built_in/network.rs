//! Services, what is behind them, and what is in front of them.

use serde_json::{Value, json};

use super::{NONE, Row, UNSET, first_of, labels, or, selector_or_none, text_in};

const ENDPOINTS_SHOWN: usize = 3;

pub(super) fn service(row: &Row<'_>) -> Vec<Value> {
    let cluster = row.list("/spec/clusterIPs").first().and_then(Value::as_str).unwrap_or(NONE);
    let port = |port: &Value| {
        let (number, protocol) = (port["port"].as_i64().unwrap_or_default(), text_in(port, "protocol"));
        match port["nodePort"].as_i64() {
            Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    };
    let ports = row.list("/spec/ports").iter().map(port).collect::<Vec<_>>().join(",");
    let cells = [row.name(), row.text("/spec/type"), cluster, &external_address(row), or(&ports, NONE)];
    let mut cells: Vec<Value> = cells.into_iter().map(Value::from).collect();
    cells.extend([row.age().into(), labels(row.at("/spec/selector")).into()]);
    cells
}

fn external_address(row: &Row<'_>) -> String {
    let own: Vec<String> =
        row.list("/spec/externalIPs").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let (addresses, otherwise) = match row.text("/spec/type") {
        "ClusterIP" | "NodePort" => (own, NONE),
        "LoadBalancer" => {
            let mut addresses = ingress_addresses(row);
            addresses.extend(own);
            (addresses, "<pending>")
        }
        "ExternalName" => return row.text("/spec/externalName").to_owned(),
        _ => return "<unknown>".to_owned(),
    };
    or(&addresses.join(","), otherwise).to_owned()
}

/// Where a load balancer answers: each address once, in order.
fn ingress_addresses(row: &Row<'_>) -> Vec<String> {
    let ingress = row.list("/status/loadBalancer/ingress").iter();
    let mut addresses: Vec<String> =
        ingress.map(|it| or(text_in(it, "ip"), text_in(it, "hostname")).to_owned()).collect();
    addresses.retain(|address| !address.is_empty());
    addresses.sort();
    addresses.dedup();
    addresses
}

pub(super) fn endpoints(row: &Row<'_>) -> Vec<Value> {
    let subsets = row.list("/subsets");
    let mut shown = Vec::new();
    for subset in subsets {
        let addresses: Vec<&str> =
            super::texts(subset["addresses"].as_array().map_or(&[], Vec::as_slice), "ip");
        let ports = subset["ports"].as_array().map_or(&[][..], Vec::as_slice);
        if ports.is_empty() {
            shown.extend(addresses.iter().map(|&address| address.to_owned()));
        }
        for port in ports {
            let number = port["port"].as_i64().unwrap_or_default();
            shown.extend(addresses.iter().map(|address| match address.contains(':') {
                true => format!("[{address}]:{number}"),
                false => format!("{address}:{number}"),
            }));
        }
    }
    let shown = if subsets.is_empty() { NONE.to_owned() } else { first_of(&shown, ENDPOINTS_SHOWN) };
    vec![row.name().into(), shown.into(), row.age().into()]
}

pub(super) fn slice(row: &Row<'_>) -> Vec<Value> {
    let port = |port: &Value| match port["port"].as_i64() {
        Some(number) => number.to_string(),
        None => port["name"].as_str().unwrap_or("*").to_owned(),
    };
    let ports: Vec<String> = row.list("/ports").iter().map(port).collect();
    let addresses = row.list("/endpoints").iter().filter_map(|endpoint| endpoint["addresses"].as_array());
    let addresses: Vec<String> = addresses.flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let shown = |list: &[String]| or(&first_of(list, ENDPOINTS_SHOWN), UNSET).to_owned();
    let kind = row.text("/addressType");
    vec![row.name().into(), kind.into(), shown(&ports).into(), shown(&addresses).into(), row.age().into()]
}

pub(super) fn ingress(row: &Row<'_>) -> Vec<Value> {
    let class = row.at("/spec/ingressClassName").as_str().unwrap_or(NONE);
    let rules = row.list("/spec/rules");
    let mut hosts: Vec<&str> = Vec::new();
    let mut has_more = false;
    for rule in rules {
        has_more |= hosts.len() == ENDPOINTS_SHOWN;
        let host = text_in(rule, "host");
        if !has_more && !host.is_empty() {
            hosts.push(host);
        }
    }
    let mut shown = or(&hosts.join(","), "*").to_owned();
    if has_more {
        shown = format!("{shown} + {} more...", rules.len() - ENDPOINTS_SHOWN);
    }
    let ports = if row.list("/spec/tls").is_empty() { "80" } else { "80, 443" };
    let address = ingress_addresses(row).join(",");
    vec![row.name().into(), class.into(), shown.into(), address.into(), ports.into(), row.age().into()]
}

pub(super) fn ingress_class(row: &Row<'_>) -> Vec<Value> {
    let is_default = row.at("/metadata/annotations")["ingressclass.kubernetes.io/is-default-class"] == "true";
    let name = if is_default { format!("{} (default)", row.name()) } else { row.name().to_owned() };
    let parameters = row.at("/spec/parameters");
    let shown = match (parameters.is_object(), parameters["apiGroup"].as_str()) {
        (false, _) => NONE.to_owned(),
        (true, Some(group)) => {
            format!("{}.{group}/{}", text_in(parameters, "kind"), text_in(parameters, "name"))
        }
        (true, None) => format!("{}/{}", text_in(parameters, "kind"), text_in(parameters, "name")),
    };
    vec![name.into(), row.text("/spec/controller").into(), shown.into(), row.age().into()]
}

pub(super) fn policy(row: &Row<'_>) -> Vec<Value> {
    vec![json!(row.name()), selector_or_none(row.at("/spec/podSelector")).into(), row.age().into()]
}
