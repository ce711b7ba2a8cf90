//! Every field of every kind: its type, bounds, default and the rest of what its schema says, as an outline
//! that reads like a reference.

use std::fmt::Write;

use serde_json::{Value, json};

#[test]
fn every_field_is_what_the_api_says() {
    for (kind, version, expected) in [
        ("IPAddressPool", "v1beta1", IP_ADDRESS_POOL),
        ("L2Advertisement", "v1beta1", L2_ADVERTISEMENT),
        ("BGPAdvertisement", "v1beta1", BGP_ADVERTISEMENT),
        ("BGPPeer", "v1beta1", BGP_PEER_V1BETA1),
        ("BGPPeer", "v1beta2", BGP_PEER_V1BETA2),
        ("BFDProfile", "v1beta1", BFD_PROFILE),
        ("Community", "v1beta1", COMMUNITY),
        ("ServiceL2Status", "v1beta1", SERVICE_L2_STATUS),
        ("ServiceBGPStatus", "v1beta1", SERVICE_BGP_STATUS),
        ("ConfigurationState", "v1beta1", CONFIGURATION_STATE),
        ("FRRConfiguration", "v1beta1", FRR_CONFIGURATION),
        ("FRRNodeState", "v1beta1", FRR_NODE_STATE),
        ("BGPSessionState", "v1beta1", BGP_SESSION_STATE),
        ("FRRK8sConfiguration", "v1beta1", FRRK8S_CONFIGURATION),
    ] {
        let found = outline(schema(&crd(kind), version));
        let found: Vec<_> = found.lines().collect();
        let expected: Vec<_> = ROOT.lines().chain(expected.lines()).collect();
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{kind} {version}");
        }
        assert_eq!(found.len(), expected.len(), "{kind} {version}: {found:#?}");
    }
}

fn crd(kind: &str) -> Value {
    let found = api::crds::all().into_iter().find(|crd| crd["spec"]["names"]["kind"] == kind);
    found.unwrap_or_else(|| panic!("no CRD for {kind}"))
}

fn schema<'a>(crd: &'a Value, version: &str) -> &'a Value {
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let found = versions.iter().find(|candidate| candidate["name"] == version).unwrap();
    &found["schema"]["openAPIV3Schema"]
}

/// One line for each field below `schema`: its path, its type, and whatever else the schema says but for the
/// description.
fn outline(schema: &Value) -> String {
    let mut lines = String::new();
    outline_properties("", schema, &mut lines);
    lines
}

fn outline_properties(prefix: &str, schema: &Value, lines: &mut String) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        write!(lines, "{path} {}", type_of(property)).unwrap();
        if required.contains(&json!(name)) {
            lines.push_str(" required");
        }
        writeln!(lines, "{}", facts(property)).unwrap();
        let (path, fields) = match property.get("items") {
            Some(items) => (format!("{path}[]"), items),
            None => (path, property),
        };
        if !is_label_selector(fields) {
            outline_properties(&format!("{path}."), fields, lines);
        }
    }
}

fn is_label_selector(schema: &Value) -> bool {
    let mut lines = String::new();
    if schema["properties"].get("matchLabels").is_some() && schema["x-kubernetes-map-type"] == "atomic" {
        outline_properties("", schema, &mut lines);
    }
    lines == LABEL_SELECTOR
}

fn type_of(schema: &Value) -> String {
    if let Some(items) = schema.get("items") {
        return format!("[]{}{}", type_of(items), facts(items).replace(' ', "/"));
    }
    if let Some(values) = schema.get("additionalProperties") {
        return format!("{{}}{}{}", type_of(values), facts(values));
    }
    if is_label_selector(schema) {
        return "LabelSelector".to_owned();
    }
    match (schema["type"].as_str().unwrap(), schema["format"].as_str()) {
        (name, Some(format)) => format!("{name}:{format}"),
        (name, None) => name.to_owned(),
    }
}

fn facts(schema: &Value) -> String {
    let mut facts = String::new();
    for (key, value) in schema.as_object().unwrap() {
        match key.as_str() {
            "description"
            | "type"
            | "format"
            | "items"
            | "properties"
            | "additionalProperties"
            | "required" => {}
            "x-kubernetes-map-type" if is_label_selector(schema) => {}
            "x-kubernetes-validations" => {
                write!(facts, " rules={}", value.as_array().unwrap().len()).unwrap();
            }
            _ => write!(facts, " {key}={}", value.to_string().replace('"', "")).unwrap(),
        }
    }
    facts
}

const ROOT: &str = "\
apiVersion string
kind string
metadata object
";

const LABEL_SELECTOR: &str = "\
matchExpressions []object x-kubernetes-list-type=atomic
matchExpressions[].key string required
matchExpressions[].operator string required
matchExpressions[].values []string x-kubernetes-list-type=atomic
matchLabels {}string
";

const IP_ADDRESS_POOL: &str = "\
spec object required
spec.addresses []string required
spec.autoAssign boolean default=true
spec.avoidBuggyIPs boolean default=false
spec.serviceAllocation object
spec.serviceAllocation.namespaceSelectors []LabelSelector
spec.serviceAllocation.namespaces []string
spec.serviceAllocation.priority integer
spec.serviceAllocation.serviceSelectors []LabelSelector
status object
status.assignedIPv4 integer:int64 required
status.assignedIPv6 integer:int64 required
status.availableIPv4 integer:int64 required
status.availableIPv6 integer:int64 required
";

const L2_ADVERTISEMENT: &str = "\
spec object
spec.interfaces []string
spec.ipAddressPoolSelectors []LabelSelector
spec.ipAddressPools []string
spec.nodeSelectors []LabelSelector
spec.preferredNodeSelectors []object
spec.preferredNodeSelectors[].preference LabelSelector required
spec.preferredNodeSelectors[].weight integer:int32 required maximum=100 minimum=1
spec.serviceSelectors []LabelSelector
status object
";

const BGP_ADVERTISEMENT: &str = "\
spec object rules=1
spec.aggregationLength integer:int32 default=32 minimum=1
spec.aggregationLengthV6 integer:int32 default=128
spec.communities []string
spec.ipAddressPoolSelectors []LabelSelector
spec.ipAddressPools []string
spec.localPref integer:int32
spec.nodeSelectors []LabelSelector
spec.peers []string
spec.serviceSelectors []LabelSelector
status object
";

const BGP_PEER_V1BETA1: &str = "\
spec object
spec.bfdProfile string
spec.ebgpMultiHop boolean
spec.holdTime string
spec.keepaliveTime string
spec.myASN integer:int64 required maximum=4294967295 minimum=0
spec.nodeSelectors []object
spec.nodeSelectors[].matchExpressions []object
spec.nodeSelectors[].matchExpressions[].key string required
spec.nodeSelectors[].matchExpressions[].operator string required
spec.nodeSelectors[].matchExpressions[].values []string required minItems=1
spec.nodeSelectors[].matchLabels {}string
spec.password string
spec.peerASN integer:int64 required maximum=4294967295 minimum=0
spec.peerAddress string required
spec.peerPort integer maximum=16384 minimum=0
spec.routerID string
spec.sourceAddress string
status object
";

const BGP_PEER_V1BETA2: &str = "\
spec object
spec.bfdProfile string
spec.connectTime string rules=2
spec.disableMP boolean default=false
spec.dualStackAddressFamily boolean default=false
spec.dynamicASN string enum=[internal,external]
spec.ebgpMultiHop boolean
spec.enableGracefulRestart boolean rules=1
spec.holdTime string
spec.interface string
spec.keepaliveTime string
spec.localASN integer:int64 maximum=4294967295 minimum=1
spec.myASN integer:int64 required maximum=4294967295 minimum=0
spec.nodeSelectors []LabelSelector
spec.password string
spec.passwordSecret object x-kubernetes-map-type=atomic
spec.passwordSecret.name string
spec.passwordSecret.namespace string
spec.peerASN integer:int64 maximum=4294967295 minimum=0
spec.peerAddress string
spec.peerPort integer default=179 maximum=16384 minimum=1
spec.routerID string
spec.sourceAddress string
spec.vrf string
status object
";

const BFD_PROFILE: &str = "\
spec object
spec.detectMultiplier integer:int32 maximum=255 minimum=2
spec.echoInterval integer:int32 maximum=60000 minimum=10
spec.echoMode boolean
spec.minimumTtl integer:int32 maximum=254 minimum=1
spec.passiveMode boolean
spec.receiveInterval integer:int32 maximum=60000 minimum=10
spec.transmitInterval integer:int32 maximum=60000 minimum=10
status object
";

const COMMUNITY: &str = "\
spec object
spec.communities []object
spec.communities[].name string
spec.communities[].value string
status object
";

const SERVICE_L2_STATUS: &str = "\
spec object
spec.serviceName string
spec.serviceNamespace string
status object
status.conditions []object x-kubernetes-list-map-keys=[type] x-kubernetes-list-type=map
status.conditions[].lastTransitionTime string:date-time required
status.conditions[].message string required maxLength=32768
status.conditions[].observedGeneration integer:int64 minimum=0
status.conditions[].reason string required maxLength=1024 minLength=1 pattern=^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$
status.conditions[].status string required enum=[True,False,Unknown]
status.conditions[].type string required maxLength=316 pattern=^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$
status.interfaces []object
status.interfaces[].name string
status.ips []string
status.node string rules=1
status.serviceName string rules=1
status.serviceNamespace string rules=1
";

const SERVICE_BGP_STATUS: &str = "\
spec object
spec.serviceName string
spec.serviceNamespace string
status object
status.node string rules=1
status.nodes []object x-kubernetes-list-map-keys=[name] x-kubernetes-list-type=map
status.nodes[].name string required
status.nodes[].peers []object x-kubernetes-list-map-keys=[name] x-kubernetes-list-type=map
status.nodes[].peers[].address string
status.nodes[].peers[].advertised boolean
status.nodes[].peers[].name string required
status.nodes[].peers[].reason string
status.nodes[].peers[].sessionState string
status.peers []string
status.serviceName string rules=1
status.serviceNamespace string rules=1
";

const CONFIGURATION_STATE: &str = r"status object
status.conditions []object x-kubernetes-list-map-keys=[type] x-kubernetes-list-type=map
status.conditions[].lastTransitionTime string:date-time required
status.conditions[].message string required maxLength=32768
status.conditions[].observedGeneration integer:int64 minimum=0
status.conditions[].reason string required maxLength=1024 minLength=1 pattern=^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$
status.conditions[].status string required enum=[True,False,Unknown]
status.conditions[].type string required maxLength=316 pattern=^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$
status.errorSummary string
status.result string enum=[Valid,Invalid,Unknown]
";

const FRR_CONFIGURATION: &str = "\
spec object
spec.bgp object
spec.bgp.bfdProfiles []object
spec.bgp.bfdProfiles[].detectMultiplier integer:int32 maximum=255 minimum=2
spec.bgp.bfdProfiles[].echoInterval integer:int32 maximum=60000 minimum=10
spec.bgp.bfdProfiles[].echoMode boolean
spec.bgp.bfdProfiles[].minimumTtl integer:int32 maximum=254 minimum=1
spec.bgp.bfdProfiles[].name string required
spec.bgp.bfdProfiles[].passiveMode boolean
spec.bgp.bfdProfiles[].receiveInterval integer:int32 maximum=60000 minimum=10
spec.bgp.bfdProfiles[].transmitInterval integer:int32 maximum=60000 minimum=10
spec.bgp.routers []object maxItems=50
spec.bgp.routers[].asn integer:int64 required maximum=4294967295 minimum=0
spec.bgp.routers[].evpn object
spec.bgp.routers[].evpn.advertiseSVI boolean
spec.bgp.routers[].evpn.advertiseVNIs string enum=[Disabled,All]
spec.bgp.routers[].evpn.l2vnis []object maxItems=10
spec.bgp.routers[].evpn.l2vnis[].exportRTs []string/maxLength=21/rules=6 maxItems=100
spec.bgp.routers[].evpn.l2vnis[].importRTs []string/maxLength=21/rules=7 maxItems=100
spec.bgp.routers[].evpn.l2vnis[].rd string maxLength=21 rules=6
spec.bgp.routers[].evpn.l2vnis[].vni integer:int32 required maximum=16777215 minimum=1
spec.bgp.routers[].evpn.l3vni object
spec.bgp.routers[].evpn.l3vni.advertisePrefixes []string/enum=[unicast] required maxItems=1 minItems=1
spec.bgp.routers[].evpn.l3vni.exportRTs []string/maxLength=21/rules=6 maxItems=100
spec.bgp.routers[].evpn.l3vni.importRTs []string/maxLength=21/rules=7 maxItems=100
spec.bgp.routers[].evpn.l3vni.rd string maxLength=21 rules=6
spec.bgp.routers[].evpn.l3vni.vni integer:int32 required maximum=16777215 minimum=1
spec.bgp.routers[].id string
spec.bgp.routers[].imports []object
spec.bgp.routers[].imports[].vrf string
spec.bgp.routers[].neighbors []object
spec.bgp.routers[].neighbors[].address string
spec.bgp.routers[].neighbors[].addressFamilies []string/enum=[unicast,evpn] default=[unicast] maxItems=2
spec.bgp.routers[].neighbors[].asn integer:int64 maximum=4294967295 minimum=0
spec.bgp.routers[].neighbors[].bfdProfile string
spec.bgp.routers[].neighbors[].connectTime string rules=2
spec.bgp.routers[].neighbors[].disableMP boolean default=false
spec.bgp.routers[].neighbors[].dualStackAddressFamily boolean default=false
spec.bgp.routers[].neighbors[].dynamicASN string enum=[internal,external]
spec.bgp.routers[].neighbors[].ebgpMultiHop boolean
spec.bgp.routers[].neighbors[].enableGracefulRestart boolean
spec.bgp.routers[].neighbors[].holdTime string
spec.bgp.routers[].neighbors[].interface string
spec.bgp.routers[].neighbors[].keepaliveTime string
spec.bgp.routers[].neighbors[].localASN integer:int64 maximum=4294967295 minimum=1
spec.bgp.routers[].neighbors[].password string
spec.bgp.routers[].neighbors[].passwordSecret object x-kubernetes-map-type=atomic
spec.bgp.routers[].neighbors[].passwordSecret.name string
spec.bgp.routers[].neighbors[].passwordSecret.namespace string
spec.bgp.routers[].neighbors[].port integer maximum=16384 minimum=0
spec.bgp.routers[].neighbors[].sourceaddress string
spec.bgp.routers[].neighbors[].toAdvertise object
spec.bgp.routers[].neighbors[].toAdvertise.allowed object
spec.bgp.routers[].neighbors[].toAdvertise.allowed.mode string default=filtered enum=[all,filtered]
spec.bgp.routers[].neighbors[].toAdvertise.allowed.prefixes []string
spec.bgp.routers[].neighbors[].toAdvertise.nextHop object
spec.bgp.routers[].neighbors[].toAdvertise.nextHop.ipv4 string:ipv4
spec.bgp.routers[].neighbors[].toAdvertise.nextHop.ipv6 string:ipv6
spec.bgp.routers[].neighbors[].toAdvertise.withCommunity []object
spec.bgp.routers[].neighbors[].toAdvertise.withCommunity[].community string
spec.bgp.routers[].neighbors[].toAdvertise.withCommunity[].prefixes []string minItems=1
spec.bgp.routers[].neighbors[].toAdvertise.withLocalPref []object
spec.bgp.routers[].neighbors[].toAdvertise.withLocalPref[].localPref integer:int32
spec.bgp.routers[].neighbors[].toAdvertise.withLocalPref[].prefixes []string minItems=1
spec.bgp.routers[].neighbors[].toReceive object
spec.bgp.routers[].neighbors[].toReceive.allowed object
spec.bgp.routers[].neighbors[].toReceive.allowed.mode string default=filtered enum=[all,filtered]
spec.bgp.routers[].neighbors[].toReceive.allowed.prefixes []object
spec.bgp.routers[].neighbors[].toReceive.allowed.prefixes[].ge integer:int32 maximum=128 minimum=1
spec.bgp.routers[].neighbors[].toReceive.allowed.prefixes[].le integer:int32 maximum=128 minimum=1
spec.bgp.routers[].neighbors[].toReceive.allowed.prefixes[].prefix string:cidr
spec.bgp.routers[].prefixes []string
spec.bgp.routers[].vrf string
spec.nodeSelector LabelSelector
spec.raw object
spec.raw.priority integer
spec.raw.rawConfig string
status object
";

const FRR_NODE_STATE: &str = "\
spec object
status object
status.lastConversionResult string
status.lastReloadResult string
status.runningConfig string
";

const BGP_SESSION_STATE: &str = "\
spec object
status object
status.bfdStatus string
status.bgpStatus string
status.lastError string
status.node string
status.peer string
status.prefixesSent integer:int64
status.since string:date-time
status.uptime string
status.vrf string
";

const FRRK8S_CONFIGURATION: &str = "\
spec object
spec.logLevel string enum=[all,debug,info,warn,error,none]
status object
";
