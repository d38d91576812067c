//! The guide's tutorials with the unmodified `aws` client, and real traffic through what they make.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use nlb_tests::{
    aws::Aws,
    client::Connection,
    nlb::{
        Nlb,
        inventory::{SUBNET, VPC, allocation, instance},
    },
    server::TcpServer,
    topology::{Topology, vip4},
    wait_for,
};
use serde_json::Value;

use crate::setup::{PORT, all_answer, udp_servers};

/// The port of the tutorials.
const HTTP: u16 = 80;

fn aws(network: &Topology) -> Aws<'_> {
    Aws::find(&network.balancer.ns).expect("`cargo xtask test` makes the virtual environment with the aws client")
}

fn servers(network: &Topology) -> Vec<TcpServer> {
    network.targets.iter().map(|target| TcpServer::start(target, HTTP).unwrap()).collect()
}

/// `Id=i-...` for every target.
fn instances(network: &Topology) -> Vec<String> {
    (0..network.targets.len()).map(|n| format!("Id={}", instance(n))).collect()
}

/// The tutorial's steps 2 to 4: a target group of all targets, and a listener that forwards to it.
fn forward(aws: &Aws<'_>, balancer: &str, group: &[&str], targets: &[String]) -> String {
    let create = [&["create-target-group", "--protocol", "TCP", "--port", "80", "--vpc-id", VPC], group].concat();
    let group = aws.create(&create, "TargetGroups", "TargetGroupArn").unwrap();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let register = [&["register-targets", "--target-group-arn", &group, "--targets"], &targets[..]].concat();
    assert_eq!(aws.elbv2(&register).unwrap(), Value::Null);
    let action = format!("Type=forward,TargetGroupArn={group}");
    let listen = ["create-listener", "--load-balancer-arn", balancer, "--protocol", "TCP", "--port", "80"];
    let listen = [&listen[..], &["--default-actions", &action]].concat();
    aws.create(&listen, "Listeners", "ListenerArn").unwrap();
    group
}

/// The load balancer as it is once it is active.
fn active(aws: &Aws<'_>, arn: &str) -> Value {
    let mut found = Value::Null;
    wait_for("the load balancer to be active", Duration::from_secs(20), || {
        found = aws.elbv2(&["describe-load-balancers", "--load-balancer-arns", arn])?["LoadBalancers"][0].take();
        Ok(found["State"]["Code"] == "active")
    })
    .unwrap_or_else(|error| panic!("{error}: {found}"));
    found
}

/// Its only address under one of these keys.
fn address(balancer: &Value, key: &str) -> IpAddr {
    let found = &balancer["AvailabilityZones"][0]["LoadBalancerAddresses"][0][key];
    found.as_str().unwrap_or_else(|| panic!("no {key} in {balancer}")).parse().unwrap()
}

fn answers(network: &Topology, to: IpAddr) -> Connection {
    let to = SocketAddr::new(to, HTTP);
    let mut answered = None;
    wait_for("a connection through the load balancer", Duration::from_secs(10), || {
        answered = Connection::open(&network.clients[0], to).ok();
        Ok(answered.is_some())
    })
    .unwrap();
    answered.unwrap()
}

#[test]
fn the_tutorial_of_an_ipv4_load_balancer() {
    let network = Topology::new().unwrap();
    let _servers = servers(&network);
    let nlb = Nlb::start_with_api(&network).unwrap();
    let aws = aws(&network);
    let create = ["create-load-balancer", "--name", "my-load-balancer", "--type", "network", "--subnets", SUBNET];
    let balancer = aws.create(&create, "LoadBalancers", "LoadBalancerArn").unwrap();
    assert!(
        balancer.starts_with("arn:aws:elasticloadbalancing:us-east-2:123456789012:loadbalancer/net/my-load-balancer/")
    );
    let group = forward(&aws, &balancer, &["--name", "my-targets"], &instances(&network));
    let health = aws.elbv2(&["describe-target-health", "--target-group-arn", &group]).unwrap();
    assert_eq!(health["TargetHealthDescriptions"].as_array().unwrap().len(), network.targets.len());

    let told = active(&aws, &balancer);
    let mut connection = answers(&network, address(&told, "IpAddress"));
    assert_eq!(connection.talk.seen.ip(), IpAddr::from(network.clients[0].v4), "instances see their clients");
    assert_eq!(connection.ask("through it").unwrap(), "through it");

    // "Delete your load balancer"
    let refused = aws.elbv2(&["delete-target-group", "--target-group-arn", &group]).unwrap_err().to_string();
    assert!(refused.contains("ResourceInUse"), "{refused}");
    aws.elbv2(&["delete-load-balancer", "--load-balancer-arn", &balancer]).unwrap();
    aws.elbv2(&["delete-target-group", "--target-group-arn", &group]).unwrap();
    assert!(connection.ask("after it").is_err(), "the load balancer is gone");
    let status = nlb.json(&["status"]).unwrap();
    assert_eq!(status["load_balancers"], serde_json::json!([]), "{status}");
}

#[test]
fn the_tutorial_of_a_dualstack_load_balancer() {
    let network = Topology::new().unwrap();
    let _servers = servers(&network);
    let _nlb = Nlb::start_with_api(&network).unwrap();
    let aws = aws(&network);
    let create = ["create-load-balancer", "--name", "my-load-balancer", "--type", "network", "--subnets", SUBNET];
    let create = [&create[..], &["--ip-address-type", "dualstack"]].concat();
    let balancer = aws.create(&create, "LoadBalancers", "LoadBalancerArn").unwrap();
    let group = ["--name", "my-targets", "--ip-address-type", "ipv6", "--target-type", "ip"];
    let targets: Vec<String> = network.targets.iter().map(|target| format!("Id={}", target.v6)).collect();
    forward(&aws, &balancer, &group, &targets);
    let told = active(&aws, &balancer);
    let connection = answers(&network, address(&told, "IPv6Address"));
    assert!(connection.talk.seen.is_ipv6());
    assert_ne!(
        connection.talk.seen.ip(),
        IpAddr::from(network.clients[0].v6),
        "ip groups of TCP don't preserve addresses"
    );
}

#[test]
fn an_elastic_address_of_ones_own() {
    let network = Topology::new().unwrap();
    let _servers = servers(&network);
    let mut nlb = Nlb::start_with_api(&network).unwrap();
    let aws = aws(&network);
    let mapping = format!("SubnetId={SUBNET},AllocationId={}", allocation(0));
    let create = ["create-load-balancer", "--name", "my-load-balancer", "--type", "network", "--subnet-mappings"];
    let create = [&create[..], &[mapping.as_str()]].concat();
    let balancer = aws.create(&create, "LoadBalancers", "LoadBalancerArn").unwrap();
    forward(&aws, &balancer, &["--name", "my-targets"], &instances(&network));
    let told = active(&aws, &balancer);
    assert_eq!(address(&told, "IpAddress"), IpAddr::from(vip4(0)));
    let mut connection = answers(&network, vip4(0).into());

    // Nothing acknowledged is lost, and no packet either.
    nlb.kill_9();
    assert_eq!(connection.ask("without a controller").unwrap(), "without a controller");
    nlb.run().unwrap();
    assert_eq!(active(&aws, &balancer), told);
    assert_eq!(connection.ask("with a new one").unwrap(), "with a new one");
}

/// Guide, "Update a listener": a change of the target group has no effect on active connections.
#[test]
fn another_target_group_leaves_connections_alone() {
    let network = Topology::new().unwrap();
    let _servers = servers(&network);
    let _nlb = Nlb::start_with_api(&network).unwrap();
    let aws = aws(&network);
    let mapping = format!("SubnetId={SUBNET},AllocationId={}", allocation(0));
    let create = ["create-load-balancer", "--name", "web", "--type", "network", "--subnet-mappings", &mapping];
    let balancer = aws.create(&create, "LoadBalancers", "LoadBalancerArn").unwrap();
    let all = instances(&network);
    forward(&aws, &balancer, &["--name", "old"], &all[..2]);
    let listener = aws.elbv2(&["describe-listeners", "--load-balancer-arn", &balancer]).unwrap();
    let listener = listener["Listeners"][0]["ListenerArn"].as_str().unwrap().to_owned();
    let create = ["create-target-group", "--name", "new", "--protocol", "TCP", "--port", "80", "--vpc-id", VPC];
    let group = aws.create(&create, "TargetGroups", "TargetGroupArn").unwrap();
    aws.elbv2(&["register-targets", "--target-group-arn", &group, "--targets", &all[2], &all[3]]).unwrap();
    active(&aws, &balancer);
    let mut before: Vec<Connection> = (0..8).map(|_| answers(&network, vip4(0).into())).collect();

    let action = format!("Type=forward,TargetGroupArn={group}");
    aws.elbv2(&["modify-listener", "--listener-arn", &listener, "--default-actions", &action]).unwrap();
    let after: Vec<Connection> = (0..8).map(|_| answers(&network, vip4(0).into())).collect();
    let names = |these: &[usize]| these.iter().map(|n| network.targets[*n].name.clone()).collect::<Vec<_>>();
    assert!(before.iter().all(|it| names(&[0, 1]).contains(&it.talk.target)));
    assert!(after.iter().all(|it| names(&[2, 3]).contains(&it.talk.target)));
    all_answer(&mut before);
}

#[test]
fn udp_and_tcp_on_one_port() {
    let network = Topology::new().unwrap();
    let _udp = udp_servers(&network);
    let _tcp = crate::setup::tcp_servers(&network);
    let _nlb = Nlb::start_with_api(&network).unwrap();
    let aws = aws(&network);
    let mapping = format!("SubnetId={SUBNET},PrivateIPv4Address={}", vip4(20));
    let create = ["create-load-balancer", "--name", "dns", "--type", "network", "--scheme", "internal"];
    let create = [&create[..], &["--subnet-mappings", &mapping]].concat();
    let balancer = aws.create(&create, "LoadBalancers", "LoadBalancerArn").unwrap();
    let port = PORT.to_string();
    let create = ["create-target-group", "--name", "dns", "--protocol", "TCP_UDP", "--port", &port, "--vpc-id", VPC];
    let group = aws.create(&create, "TargetGroups", "TargetGroupArn").unwrap();
    let targets = instances(&network);
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    aws.elbv2(&[&["register-targets", "--target-group-arn", &group, "--targets"], &targets[..]].concat()).unwrap();
    let action = format!("Type=forward,TargetGroupArn={group}");
    let listen = ["create-listener", "--load-balancer-arn", &balancer, "--protocol", "TCP_UDP", "--port", &port];
    aws.elbv2(&[&listen[..], &["--default-actions", &action]].concat()).unwrap();
    let told = active(&aws, &balancer);
    assert_eq!(address(&told, "PrivateIPv4Address"), IpAddr::from(vip4(20)));
    let to = SocketAddr::new(vip4(20).into(), PORT);
    assert!(Connection::open(&network.clients[0], to).is_ok());
    let flow = nlb_tests::client::UdpClient::open(&network.clients[0], to).unwrap();
    assert_eq!(flow.ask("hello").unwrap().seen.ip(), IpAddr::from(network.clients[0].v4));
}
