//! The resources of the demo, made with the unmodified `aws` client, as the guide's tutorial does.

use std::{collections::HashMap, thread};

use anyhow::{Context as _, Result};
use nlb_tests::{
    aws::Aws,
    nlb::inventory::{SUBNET, VPC, allocation},
    topology::Topology,
};

use crate::scene::{BALANCERS, Balancer, GROUPS, Group, address, number};

/// ARNs by name.
type Arns = HashMap<&'static str, String>;

/// Makes all load balancers, target groups and listeners. How many calls that took.
pub fn create(aws: &Aws<'_>, network: &Topology) -> Result<usize> {
    // The client takes half a second to begin with anything, so what can be done at once is.
    let balancers = each(&BALANCERS, |it| Ok((it.name, balancer(aws, it)?)))?;
    let groups = each(&GROUPS, |it| Ok((it.name, group(aws, network, it)?)))?;
    let (balancers, groups): (Arns, Arns) = (balancers.into_iter().collect(), groups.into_iter().collect());
    let listeners: Vec<_> =
        BALANCERS.iter().flat_map(|it| it.listeners.iter().map(|listener| (it.name, listener))).collect();
    each(&listeners, |(balancer, (protocol, port, group))| {
        let (balancer, group) = (balancers.get(balancer), groups.get(group));
        let action = format!("Type=forward,TargetGroupArn={}", group.context("no such group")?);
        let (balancer, port) = (balancer.context("no such load balancer")?, port.to_string());
        let place = ["create-listener", "--load-balancer-arn", balancer, "--protocol", protocol, "--port", &port];
        aws.elbv2(&[&place[..], &["--default-actions", &action]].concat())
    })?;
    let attributes = GROUPS.iter().filter(|it| needs_attribute(it)).count();
    Ok(BALANCERS.len() + 2 * GROUPS.len() + attributes + listeners.len())
}

fn balancer(aws: &Aws<'_>, it: &Balancer) -> Result<String> {
    let mut mapping = format!("SubnetId={SUBNET}");
    let mut create = vec!["create-load-balancer", "--type", "network", "--name", it.name];
    match it.way.v6 {
        true => {
            mapping += &format!(",IPv6Address={}", address(it.way));
            create.extend(["--ip-address-type", "dualstack"]);
        }
        false => mapping += &format!(",AllocationId={}", allocation(number(it.way))),
    }
    create.extend(["--subnet-mappings", &mapping]);
    aws.create(&create, "LoadBalancers", "LoadBalancerArn")
}

/// The group with all its targets.
fn group(aws: &Aws<'_>, network: &Topology, it: &Group) -> Result<String> {
    let port = it.port.to_string();
    let mut create = vec!["create-target-group", "--name", it.name, "--protocol", it.protocol, "--port", &port];
    create.extend(["--vpc-id", VPC, "--target-type", if it.is_of_instances() { "instance" } else { "ip" }]);
    create.extend(["--ip-address-type", if it.way.v6 { "ipv6" } else { "ipv4" }]);
    let arn = aws.create(&create, "TargetGroups", "TargetGroupArn")?;
    if needs_attribute(it) {
        let attribute = "Key=preserve_client_ip.enabled,Value=true";
        aws.elbv2(&["modify-target-group-attributes", "--target-group-arn", &arn, "--attributes", attribute])?;
    }
    let targets: Vec<String> = (0..network.targets.len()).map(|n| format!("Id={}", it.target(network, n))).collect();
    let mut register = vec!["register-targets", "--target-group-arn", &arn, "--targets"];
    register.extend(targets.iter().map(String::as_str));
    aws.elbv2(&register)?;
    Ok(arn)
}

/// Whether its targets would not see their clients' addresses by default.
const fn needs_attribute(it: &Group) -> bool {
    it.way.preserving && !it.is_of_instances()
}

/// Does the same for all of them at once.
fn each<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    thread::scope(|scope| {
        let threads: Vec<_> = things.iter().map(|thing| scope.spawn(|| work(thing))).collect();
        let done = threads.into_iter().map(|it| it.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.collect()
    })
}
