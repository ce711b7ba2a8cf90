//! Who is in a lab: names, namespaces, interfaces, addresses, and the commands that make them. Pure; nothing is made here.
//!
//! Every lab has the same addresses. Labs are apart because their namespaces are.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::options::{Family, Options};

/// The last node must have an address of three digits.
pub const MAX_NODES: usize = 200;
/// Routers and the client have addresses below those of nodes.
pub const MAX_ROUTERS: usize = 8;
pub const MAX_REMOTES: usize = 8;
/// Node 1 is 11 in every segment.
const FIRST_NODE: usize = 10;
const ROUTER: usize = 1;
const CLIENT: usize = 2;
const CONTROL: usize = 1;

/// Where a frame can go by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// Where addresses of Services are announced.
    Data,
    /// With `--second-segment`, another one beside it.
    Second,
    /// Behind the routers.
    Remote,
    /// A cable of its own from a node to the first router.
    Link,
    /// From the nodes to the API server.
    Management,
}

/// What a member is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Node,
    Switch,
    Router,
    Client,
    /// A client that the first router stands before.
    Remote,
    /// The API server and the controller.
    Control,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub name: &'static str,
    pub segment: Segment,
    pub mac: String,
    pub addresses: Vec<IpAddr>,
}

/// A host of the lab: one network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub role: Role,
    /// As people call it: `node-1`, `client`, ...
    pub name: String,
    /// As `ip netns` calls it.
    pub namespace: String,
    pub interfaces: Vec<Interface>,
}

/// All members, nodes first.
#[derive(Debug, Clone)]
pub struct Topology {
    pub members: Vec<Member>,
    has_second_segment: bool,
    has_remotes: bool,
}

impl Segment {
    /// Those of the switch.
    pub(super) const SWITCHED: [Segment; 3] = [Segment::Data, Segment::Second, Segment::Remote];

    pub(super) fn bridge(self) -> &'static str {
        match self {
            Segment::Data => "data",
            Segment::Second => "second",
            Segment::Remote => "remote",
            Segment::Link => "link",
            Segment::Management => "management",
        }
    }

    fn number(self) -> usize {
        match self {
            Segment::Data => 10,
            Segment::Second => 20,
            Segment::Management => 30,
            Segment::Remote => 40,
            Segment::Link => 50,
        }
    }

    /// The port of the switch, or of the control namespace, that a member's interface is plugged into.
    pub(super) fn port(self, member: &str) -> String {
        match self {
            Segment::Data | Segment::Management | Segment::Link => member.to_owned(),
            Segment::Second => format!("{member}-b"),
            Segment::Remote => format!("{member}-r"),
        }
    }

    fn network(self, is_ipv4: bool) -> String {
        let first = if is_ipv4 { self.ipv4(0) } else { self.ipv6(0) };
        format!("{first}/{}", if is_ipv4 { 16 } else { 64 })
    }

    fn ipv4(self, host: usize) -> IpAddr {
        let [segment, host] = [self.number(), host].map(|it| u8::try_from(it).unwrap_or(u8::MAX));
        Ipv4Addr::new(10, segment, 0, host).into()
    }

    /// The same digits, as far as they are seen.
    fn ipv6(self, host: usize) -> IpAddr {
        let segment = digits(self.number());
        Ipv6Addr::new(0xfd00, 0x10, segment, 0, 0, 0, 0, digits(host)).into()
    }
}

/// The number whose hexadecimal digits are the decimal ones of this.
fn digits(number: usize) -> u16 {
    u16::from_str_radix(&number.to_string(), 16).unwrap_or(u16::MAX)
}

impl Topology {
    pub fn new(options: &Options) -> Topology {
        let mut members: Vec<_> =
            (1..=options.nodes).map(|number| options.member(Role::Node, FIRST_NODE + number)).collect();
        members.push(options.member(Role::Switch, 0));
        // The second router is 3: the client is 2.
        let routers = (1..=options.routers).map(|number| if number == 1 { ROUTER } else { number + 1 });
        members.extend(routers.map(|host| options.member(Role::Router, host)));
        members.push(options.member(Role::Client, CLIENT));
        let remotes = (1..=options.remotes).map(|number| FIRST_NODE + number);
        members.extend(remotes.map(|host| options.member(Role::Remote, host)));
        members.push(options.member(Role::Control, CONTROL));
        Topology { members, has_second_segment: options.second_segment, has_remotes: options.remotes > 0 }
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.role == Role::Node)
    }

    /// By its name; a node by its number too.
    pub fn find(&self, name: &str) -> Option<&Member> {
        let number = name.parse::<usize>().map(|number| format!("node-{number}"));
        let name = number.as_deref().unwrap_or(name);
        self.members.iter().find(|member| member.name == name)
    }

    /// One for `ip -batch`, in no namespace.
    pub(super) fn namespace_commands(&self) -> String {
        self.members.iter().map(|member| format!("netns add {}\n", member.namespace)).collect()
    }

    /// One for `ip -batch`, in no namespace: all cables. Nothing of them is in the host's namespace at any time.
    pub(super) fn cable_commands(&self) -> String {
        let mut commands = String::new();
        let [switch, control, router] =
            [Role::Switch, Role::Control, Role::Router].map(|role| self.namespace_of(role));
        for member in self.members.iter().filter(|member| member.role != Role::Control) {
            for interface in &member.interfaces {
                let other = match interface.segment {
                    Segment::Management => control,
                    Segment::Link => router,
                    Segment::Data | Segment::Second | Segment::Remote => switch,
                };
                let _ = writeln!(
                    commands,
                    "link add name {} netns {} address {} type veth peer name {} netns {other}",
                    interface.name,
                    member.namespace,
                    interface.mac,
                    interface.segment.port(&member.name),
                );
            }
        }
        commands
    }

    /// One for `ip -batch` in the member's namespace, when the cables are there.
    pub(super) fn commands_in(&self, member: &Member) -> String {
        let mut commands = "link set lo up\n".to_owned();
        match member.role {
            Role::Switch => {
                let second = self.has_second_segment.then_some(Segment::Second);
                let remote = self.has_remotes.then_some(Segment::Remote);
                for segment in [Some(Segment::Data), second, remote].into_iter().flatten() {
                    self.bridge_commands(segment, &mut commands);
                }
            }
            Role::Control => self.bridge_commands(Segment::Management, &mut commands),
            Role::Router if member.name == self.member_of(Role::Router) => {
                let linked = self.nodes().filter(|node| node.has(Segment::Link));
                for node in linked {
                    let _ = writeln!(commands, "link set {} up", Segment::Link.port(&node.name));
                }
            }
            Role::Node | Role::Router | Role::Client | Role::Remote => {}
        }
        for interface in &member.interfaces {
            for address in &interface.addresses {
                let (prefix, how) = if address.is_ipv4() { (16, "") } else { (64, " nodad") };
                let _ = writeln!(commands, "addr add {address}/{prefix} dev {}{how}", interface.name);
            }
            let _ = writeln!(commands, "link set {} up", interface.name);
        }
        self.route_commands(member, &mut commands);
        commands
    }

    fn route_commands(&self, member: &Member, commands: &mut String) {
        let all = |is_ipv4| if is_ipv4 { "0.0.0.0/0" } else { "::/0" };
        let families = [true, false].into_iter();
        let router = self.members.iter().find(|member| member.role == Role::Router);
        let via = |segment, is_ipv4| router.and_then(|router| router.address(segment, is_ipv4));
        for is_ipv4 in families.filter(|is_ipv4| member.interfaces.iter().any(|it| it.has_family(*is_ipv4))) {
            let mut add = |route: &str, how: &str| {
                let _ = writeln!(commands, "route add {route} {how}");
            };
            match member.role {
                // Whatever pool somebody chooses, the client asks for its addresses on the segment.
                Role::Client if member.address(Segment::Data, is_ipv4).is_some() => {
                    add(all(is_ipv4), "dev eth0");
                }
                Role::Node if self.has_remotes => {
                    if let Some(via) = via(Segment::Data, is_ipv4) {
                        add(&Segment::Remote.network(is_ipv4), &format!("via {via}"));
                    }
                }
                Role::Remote => {
                    if let Some(via) = via(Segment::Remote, is_ipv4) {
                        add(all(is_ipv4), &format!("via {via}"));
                        // A router there does not look for next hops by a default route.
                        add(&Segment::Data.network(is_ipv4), &format!("via {via}"));
                    }
                }
                _ => {}
            }
        }
    }

    fn bridge_commands(&self, segment: Segment, commands: &mut String) {
        let bridge = segment.bridge();
        let _ = writeln!(
            commands,
            "link add name {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set {bridge} up"
        );
        for member in self.members.iter().filter(|member| member.role != Role::Control) {
            if member.has(segment) {
                let port = segment.port(&member.name);
                let _ = writeln!(commands, "link set {port} master {bridge} up");
            }
        }
    }

    pub(super) fn namespace_of(&self, role: Role) -> &str {
        let member = self.members.iter().find(|member| member.role == role);
        member.map_or("", |member| &member.namespace)
    }

    fn member_of(&self, role: Role) -> &str {
        let member = self.members.iter().find(|member| member.role == role);
        member.map_or("", |member| &member.name)
    }
}

impl Interface {
    fn has_family(&self, is_ipv4: bool) -> bool {
        self.addresses.iter().any(|address| address.is_ipv4() == is_ipv4)
    }
}

impl Member {
    pub(super) fn has(&self, segment: Segment) -> bool {
        self.interfaces.iter().any(|interface| interface.segment == segment)
    }

    /// Its first address of a segment and family.
    pub fn address(&self, segment: Segment, is_ipv4: bool) -> Option<IpAddr> {
        let interface = self.interfaces.iter().find(|interface| interface.segment == segment)?;
        interface.addresses.iter().copied().find(|address| address.is_ipv4() == is_ipv4)
    }

    /// Where others of the cluster reach it.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let of = |segment| self.interfaces.iter().find(move |interface| interface.segment == segment);
        let own = of(Segment::Data).or_else(|| of(Segment::Remote));
        own.map(|interface| interface.addresses.clone()).unwrap_or_default()
    }

    /// Files below `/proc/sys/net` and their content. They are written before there is any interface but `lo`, so that
    /// every later one has them from its beginning.
    pub(super) fn settings(&self) -> Vec<(&'static str, &'static str)> {
        let mut settings = vec![
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/default/send_redirects", "0"),
            ("ipv6/conf/default/accept_ra", "0"),
            // An address that is being tested cannot be used, for a second or two.
            ("ipv6/conf/all/accept_dad", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/dad_transmits", "0"),
        ];
        match self.role {
            Role::Node | Role::Router => settings.extend([
                ("ipv4/ip_forward", "1"),
                ("ipv6/conf/all/forwarding", "1"),
                ("ipv6/conf/default/forwarding", "1"),
            ]),
            // A switch says nothing.
            Role::Switch => settings.push(("ipv6/conf/default/disable_ipv6", "1")),
            Role::Client | Role::Remote | Role::Control => {}
        }
        if self.role == Role::Router {
            // Connections, not hosts, are spread over the ways that are equally good.
            settings
                .extend([("ipv4/fib_multipath_hash_policy", "1"), ("ipv6/fib_multipath_hash_policy", "1")]);
        }
        settings
    }
}

impl Options {
    fn member(&self, role: Role, host: usize) -> Member {
        let name = match role {
            Role::Node => format!("node-{}", host - FIRST_NODE),
            Role::Switch => "switch".to_owned(),
            Role::Router if host == ROUTER => "router".to_owned(),
            Role::Router => format!("router-{}", host - 1),
            Role::Client => "client".to_owned(),
            Role::Remote if host == FIRST_NODE + 1 => "remote".to_owned(),
            Role::Remote => format!("remote-{}", host - FIRST_NODE),
            Role::Control => "control".to_owned(),
        };
        let second = self.second_segment.then_some(("eth1", Segment::Second));
        let data = Some(("eth0", Segment::Data));
        let link = self.has_links.then_some(("link0", Segment::Link));
        let remote = (self.remotes > 0).then_some(("remote0", Segment::Remote));
        let plugged = match role {
            Role::Node => [data, second, Some(("mgmt0", Segment::Management)), link],
            Role::Router => [data, second, remote, None],
            Role::Client => [data, second, None, None],
            Role::Remote => [Some(("eth0", Segment::Remote)), None, None, None],
            Role::Switch => [None, None, None, None],
            // Its end of the segment is the bridge itself.
            Role::Control => [Some(("management", Segment::Management)), None, None, None],
        };
        let interface = |(name, segment)| self.interface(role, host, name, segment);
        let interfaces = plugged.into_iter().flatten().map(interface).collect();
        Member { role, namespace: format!("{}-{name}", self.name), name, interfaces }
    }

    fn interface(&self, role: Role, host: usize, name: &'static str, segment: Segment) -> Interface {
        let (ipv4, ipv6) = match (segment, self.family) {
            (Segment::Link, _) => (false, false),
            (Segment::Management, _) | (_, Family::Ipv4) => (true, false),
            (_, Family::Ipv6) => (false, true),
            (_, Family::Dual) => (true, true),
        };
        let ipv4 = ipv4.then(|| segment.ipv4(host));
        let ipv6 = ipv6.then(|| segment.ipv6(host));
        let kind = if role == Role::Node { 0 } else { 1 };
        let mac = format!("02:10:{:02}:{kind:02}:{:02}:{:02}", segment.number(), host / 100, host % 100);
        Interface { name, segment, mac, addresses: ipv4.into_iter().chain(ipv6).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(nodes: usize, family: Family, second_segment: bool) -> Topology {
        Topology::new(&Options { nodes, family, second_segment, ..Options::new("t") })
    }

    #[test]
    fn members_have_names_and_addresses_that_people_can_remember() {
        let topology = topology(MAX_NODES, Family::Dual, true);
        for (name, namespace, addresses) in [
            ("1", "t-node-1", "10.10.0.11 fd00:10:10::11"),
            ("node-12", "t-node-12", "10.10.0.22 fd00:10:10::22"),
            ("200", "t-node-200", "10.10.0.210 fd00:10:10::210"),
            ("router", "t-router", "10.10.0.1 fd00:10:10::1"),
            ("client", "t-client", "10.10.0.2 fd00:10:10::2"),
            ("switch", "t-switch", ""),
            ("control", "t-control", ""),
        ] {
            let member = topology.find(name).unwrap();
            let found: Vec<_> = member.addresses().iter().map(ToString::to_string).collect();
            assert_eq!((member.namespace.as_str(), found.join(" ").as_str()), (namespace, addresses));
        }
        assert!(
            topology.find("0").is_none()
                && topology.find("201").is_none()
                && topology.find("nobody").is_none()
        );
        let control = topology.find("control").unwrap();
        assert_eq!(control.address(Segment::Management, true), Some([10, 30, 0, 1].into()));
    }

    #[test]
    fn no_address_of_either_kind_stands_twice_in_a_segment() {
        let topology = topology(MAX_NODES, Family::Dual, true);
        let interfaces = topology.members.iter().flat_map(|member| &member.interfaces);
        let addresses: Vec<_> = interfaces.clone().flat_map(|it| it.addresses.clone()).collect();
        let macs: Vec<_> = interfaces.map(|it| it.mac.clone()).collect();
        let unique = |texts: &[String]| texts.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(unique(&macs), macs.len());
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(unique(&addresses), addresses.len());
    }

    #[test]
    fn cables_never_touch_the_hosts_namespace() {
        let topology = topology(2, Family::Ipv4, true);
        let commands = topology.cable_commands();
        assert!(commands.starts_with(
            "link add name eth0 netns t-node-1 address 02:10:10:00:00:11 type veth peer name node-1 netns t-switch\n"
        ));
        // Two nodes with three interfaces, router and client with two.
        assert_eq!(commands.lines().count(), 10);
        for line in commands.lines() {
            assert_eq!(line.matches(" netns t-").count(), 2, "{line}");
        }
    }

    #[test]
    fn families_are_those_asked_for_and_management_is_ipv4() {
        for (family, expected) in [(Family::Ipv4, "10.10.0.11"), (Family::Ipv6, "fd00:10:10::11")] {
            let topology = topology(1, family, false);
            let node = topology.find("1").unwrap();
            assert_eq!(node.addresses(), [expected.parse::<IpAddr>().unwrap()]);
            assert!(node.address(Segment::Management, true).is_some());
        }
    }
}
