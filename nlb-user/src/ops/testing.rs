//! A world for tests of operations: three zones, two VPCs, and everything that resources refer to.
//!
//! | subnet | VPC | zone | IPv4 | IPv6 |
//! | --- | --- | --- | --- | --- |
//! | `subnet-a` | `vpc-1` | `us-east-1a`, the node's own | `10.0.1.0/24` | `2001:db8:1:1::/64` |
//! | `subnet-b` | `vpc-1` | `us-east-1b` | `10.0.2.0/24` | `2001:db8:1:2::/64` |
//! | `subnet-c` | `vpc-1` | `us-east-1c` | `10.0.3.0/24` | none |
//! | `subnet-a2` | `vpc-1` | `us-east-1a` | `10.0.4.0/24` | `2001:db8:1:4::/64` |
//! | `subnet-28` | `vpc-1` | `us-east-1b` | `10.0.5.0/28` | none |
//! | `subnet-29` | `vpc-1` | `us-east-1c` | `10.0.5.32/29` | none |
//! | `subnet-x` | `vpc-2` | `us-east-1a` | `10.9.1.0/24` | none |
//! | `subnet-y` | `vpc-2` | `us-east-1b` | `10.9.2.0/24` | `2001:db8:9:2::/64` |
//!
//! Instances: `i-a1`, `i-a2`, `i-a3` (`10.0.1.21` to `.23`), `i-b1`, `i-b2` (`10.0.2.21`, `.22`), `i-c1`
//! (`10.0.3.21`), `i-x1` (`10.9.1.21`), and `i-stopped` (`10.0.1.31`), `i-terminated` (`10.0.1.32`). Elastic
//! addresses: `eipalloc-1` to `eipalloc-4` (`203.0.113.1` to `.4`). Security groups: `sg-1`, `sg-2` of `vpc-1`, `sg-x`
//! of `vpc-2`, `sg-any`. Certificates: [`certificate`] 1 to 40. [`ALB`] is in `subnet-b` at `10.0.2.40`, ports 80 and
//! 443; [`ALB_2`] in `subnet-x` at `10.9.1.40`, port 80.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use super::{Context, Observed, run};
use crate::model::{
    Account, ApplicationLoadBalancer, Arn, Certificate, Code, ElasticIp, Family, Fault, HealthCheck, HealthProtocol,
    Instance, InstanceState, Inventory, IpAddressType, Listener, LoadBalancer, Protocol, Quotas, Scheme, SecurityGroup,
    State, Subnet, TargetGroup, TargetType, ZoneMapping, new_id,
};

/// An Application Load Balancer of `vpc-1`.
pub const ALB: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/1111111111111111";
/// An Application Load Balancer of `vpc-2`.
pub const ALB_2: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/other/2222222222222222";

/// A state and what operations on it are run in.
pub struct World {
    /// Whose resources these are.
    pub account: Account,
    /// What is described above.
    pub inventory: Inventory,
    /// The defaults.
    pub quotas: Quotas,
    /// Nothing failed, nothing pending.
    pub observed: Observed,
    /// The time of the next call; a second later after each.
    pub now: Timestamp,
    /// All resources: none at first.
    pub state: State,
}

impl World {
    /// The world described above.
    pub fn new() -> Self {
        Self {
            account: account(),
            inventory: inventory(),
            quotas: Quotas::default(),
            observed: Observed { forwards: true, ..Observed::default() },
            now: "2026-11-21T12:00:00.123Z".parse().unwrap(),
            state: State::default(),
        }
    }

    /// What the next call is run in.
    pub fn context(&self) -> Context<'_> {
        Context {
            account: &self.account,
            inventory: &self.inventory,
            quotas: &self.quotas,
            observed: &self.observed,
            min_idle_s: 60,
            now: self.now,
        }
    }

    /// Runs an operation and keeps the state that it leaves.
    pub fn run(&mut self, operation: &str, input: Value) -> Result<Value, Fault> {
        let done = run(&self.state, operation, &input, &self.context())?;
        if let Some(next) = done.next {
            self.state = next;
        }
        self.now += 1.second();
        Ok(done.output)
    }

    /// Runs an operation that succeeds.
    #[track_caller]
    pub fn call(&mut self, operation: &str, input: Value) -> Value {
        match self.run(operation, input.clone()) {
            Ok(output) => output,
            Err(fault) => panic!("{operation} {input}: {fault}"),
        }
    }

    /// Runs an operation that is refused with this code; the answer is its sentence.
    #[track_caller]
    pub fn refused(&mut self, code: Code, operation: &str, input: Value) -> String {
        match self.run(operation, input.clone()) {
            Ok(output) => panic!("{operation} {input} was not refused with {code}: {output}"),
            Err(fault) => {
                assert_eq!(fault.code, code, "{operation} {input}: {fault}");
                fault.message
            }
        }
    }
}

/// Whose resources these are.
pub fn account() -> Account {
    Account { region: "us-east-1".into(), id: "123456789012".into() }
}

/// The ARN of a certificate of the world.
pub fn certificate(number: u32) -> String {
    format!("arn:aws:acm:us-east-1:123456789012:certificate/{number}")
}

fn inventory() -> Inventory {
    let subnet = |id: &str, vpc: &str, zone: &str, cidr: &str, ipv6_cidr: Option<&str>| Subnet {
        id: id.into(),
        vpc: vpc.into(),
        zone: format!("us-east-1{zone}"),
        cidr: cidr.parse().unwrap(),
        ipv6_cidr: ipv6_cidr.map(|cidr| cidr.parse().unwrap()),
        interface: (zone == "a").then(|| "eth1".into()),
    };
    let instance = |id: &str, subnet: &str, address: &str, state: InstanceState| Instance {
        id: id.into(),
        subnet: subnet.into(),
        address: address.parse().unwrap(),
        state,
    };
    let alb = |arn: &str, subnet: &str, address: &str, ports: &[u16]| ApplicationLoadBalancer {
        arn: arn.into(),
        subnet: subnet.into(),
        address: address.parse().unwrap(),
        ports: ports.into(),
    };
    let certificate = |number| Certificate {
        arn: certificate(number),
        certificate_file: format!("tls/{number}.pem").into(),
        key_file: format!("tls/{number}.key").into(),
    };
    let elastic = |number: u8| ElasticIp {
        allocation_id: format!("eipalloc-{number}"),
        address: Ipv4Addr::new(203, 0, 113, number),
    };
    let security_group = |id: &str, vpc: Option<&str>| SecurityGroup { id: id.into(), vpc: vpc.map(Into::into) };
    fn by<T>(id: impl Fn(&T) -> &str, all: impl IntoIterator<Item = T>) -> BTreeMap<String, T> {
        all.into_iter().map(|one| (id(&one).to_owned(), one)).collect()
    }
    use InstanceState::{Running, Stopped, Terminated};
    Inventory {
        zone: "us-east-1a".into(),
        subnets: by(
            |subnet: &Subnet| &subnet.id,
            [
                subnet("subnet-a", "vpc-1", "a", "10.0.1.0/24", Some("2001:db8:1:1::/64")),
                subnet("subnet-b", "vpc-1", "b", "10.0.2.0/24", Some("2001:db8:1:2::/64")),
                subnet("subnet-c", "vpc-1", "c", "10.0.3.0/24", None),
                subnet("subnet-a2", "vpc-1", "a", "10.0.4.0/24", Some("2001:db8:1:4::/64")),
                subnet("subnet-28", "vpc-1", "b", "10.0.5.0/28", None),
                subnet("subnet-29", "vpc-1", "c", "10.0.5.32/29", None),
                subnet("subnet-x", "vpc-2", "a", "10.9.1.0/24", None),
                subnet("subnet-y", "vpc-2", "b", "10.9.2.0/24", Some("2001:db8:9:2::/64")),
            ],
        ),
        instances: by(
            |instance: &Instance| &instance.id,
            [
                instance("i-a1", "subnet-a", "10.0.1.21", Running),
                instance("i-a2", "subnet-a", "10.0.1.22", Running),
                instance("i-a3", "subnet-a", "10.0.1.23", Running),
                instance("i-b1", "subnet-b", "10.0.2.21", Running),
                instance("i-b2", "subnet-b", "10.0.2.22", Running),
                instance("i-c1", "subnet-c", "10.0.3.21", Running),
                instance("i-x1", "subnet-x", "10.9.1.21", Running),
                instance("i-stopped", "subnet-a", "10.0.1.31", Stopped),
                instance("i-terminated", "subnet-a", "10.0.1.32", Terminated),
            ],
        ),
        elastic_ips: by(|elastic: &ElasticIp| &elastic.allocation_id, (1..=4).map(elastic)),
        security_groups: by(
            |group: &SecurityGroup| &group.id,
            [
                security_group("sg-1", Some("vpc-1")),
                security_group("sg-2", Some("vpc-1")),
                security_group("sg-x", Some("vpc-2")),
                security_group("sg-any", None),
            ],
        ),
        certificates: by(|certificate: &Certificate| &certificate.arn, (1..=40).map(certificate)),
        application_load_balancers: by(
            |alb: &ApplicationLoadBalancer| &alb.arn,
            [alb(ALB, "subnet-b", "10.0.2.40", &[80, 443]), alb(ALB_2, "subnet-x", "10.9.1.40", &[80])],
        ),
        ..Inventory::default()
    }
}

/// Puts an internet-facing IPv4 load balancer of `vpc-1` in the zones a and b into the state, past all rules.
pub fn load_balancer(state: &mut State, name: &str) -> Arn {
    let arn = Arn::load_balancer(&account(), name, &new_id());
    let number = u8::try_from(state.load_balancers.len() % 100).unwrap();
    let mapping = |zone: &str, subnet: u8| ZoneMapping {
        zone: format!("us-east-1{zone}"),
        subnet: format!("subnet-{zone}"),
        allocation_id: None,
        ipv4: Ipv4Addr::new(10, 0, subnet, 100 + number),
        private_ipv4: false,
        ipv6: None,
        static_ipv6: false,
    };
    let balancer = LoadBalancer {
        arn: arn.clone(),
        name: name.into(),
        scheme: Scheme::InternetFacing,
        ip_address_type: IpAddressType::Ipv4,
        vpc: Some("vpc-1".into()),
        zones: vec![mapping("a", 1), mapping("b", 2)],
        addresses: vec![],
        security_groups: vec![],
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        zonal_shift: None,
        created: "2026-11-21T11:00:00Z".parse().unwrap(),
    };
    state.load_balancers.insert(arn.clone(), Arc::new(balancer));
    arn
}

/// Makes a load balancer dualstack: its addresses are `2001:db8:1:1::100` and so on. Past all rules.
pub fn make_dualstack(state: &mut State, balancer: &Arn) {
    let balancer = Arc::make_mut(state.load_balancers.get_mut(balancer).unwrap());
    balancer.ip_address_type = IpAddressType::Dualstack;
    for zone in &mut balancer.zones {
        let [_, _, subnet, host] = zone.ipv4.octets();
        zone.ipv6 = Some([0x2001, 0xdb8, 1, subnet.into(), 0, 0, 0, host.into()].into());
    }
}

/// Puts a target group of type `ip`, IPv4, port 80 and `vpc-1` into the state, past all rules.
pub fn target_group(state: &mut State, name: &str, protocol: Protocol) -> Arn {
    let arn = Arn::target_group(&account(), name, &new_id());
    let group = TargetGroup {
        arn: arn.clone(),
        name: name.into(),
        target_type: TargetType::Ip,
        protocol,
        port: 80,
        vpc: Some("vpc-1".into()),
        family: Family::Ipv4,
        health_check: HealthCheck {
            protocol: HealthProtocol::Tcp,
            port: None,
            path: None,
            matcher: None,
            interval_s: 30,
            timeout_s: 10,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
        },
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        targets: BTreeMap::new(),
        created: "2026-11-21T11:00:00Z".parse().unwrap(),
    };
    state.target_groups.insert(arn.clone(), Arc::new(group));
    arn
}

/// Puts a listener into the state, past all rules.
pub fn listener(state: &mut State, balancer: &Arn, protocol: Protocol, port: u16, group: &Arn) -> Arn {
    let arn = balancer.listener(&new_id());
    let listener = Listener {
        arn: arn.clone(),
        load_balancer: balancer.clone(),
        protocol,
        port,
        target_group: group.clone(),
        default_rule: arn.rule(&new_id()),
        certificates: vec![],
        ssl_policy: None,
        alpn_policy: None,
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
    };
    state.listeners.insert(arn.clone(), Arc::new(listener));
    arn
}
