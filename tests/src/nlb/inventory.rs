//! What stands around the balancer of a [`Topology`], as node.toml says it: both sides as subnets, targets as instances,
//! virtual addresses as elastic ones.

use std::fmt::Write as _;

use crate::topology::{Arms, Topology, vip4};

/// The access key of all tests: id and secret.
pub const ACCESS_KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
/// The subnet that clients are in, and the virtual addresses.
pub const SUBNET: &str = "subnet-0e3f5cac72EXAMPLE";
/// The subnet that targets are in.
pub const TARGET_SUBNET: &str = "subnet-0a1b2c3d4eEXAMPLE";
/// The VPC of both.
pub const VPC: &str = "vpc-0598c7d356EXAMPLE";
/// How many elastic addresses there are: `eipalloc-0` is the first virtual address, and so on.
const ELASTIC: u8 = 8;

/// The `n`-th target as an instance.
pub fn instance(n: usize) -> String {
    format!("i-{n:017x}")
}

/// The `n`-th virtual address as an elastic one.
pub fn allocation(n: u8) -> String {
    format!("eipalloc-{n}")
}

/// The sections of node.toml.
pub fn toml(network: &Topology) -> String {
    let mut text = format!(
        "region = \"us-east-2\"\naccount_id = \"123456789012\"\n\n\
         [[access_key]]\nid = \"{}\"\nsecret = \"{}\"\nuser_name = \"tester\"\n",
        ACCESS_KEY.0, ACCESS_KEY.1
    );
    let target_side = match network.arms {
        Arms::One => "eth0",
        Arms::Two => "eth1",
    };
    let subnets = [
        (SUBNET, "198.18.0.0/24", "2001:db8::/64", "eth0"),
        (TARGET_SUBNET, "10.0.1.0/24", "fd00:1::/64", target_side),
    ];
    for (id, cidr, ipv6_cidr, interface) in subnets {
        let _to_memory = write!(
            text,
            "\n[[subnet]]\nid = \"{id}\"\nvpc = \"{VPC}\"\nzone = \"test-1a\"\ncidr = \"{cidr}\"\n\
             ipv6_cidr = \"{ipv6_cidr}\"\ninterface = \"{interface}\"\n"
        );
    }
    for (n, target) in network.targets.iter().enumerate() {
        let (id, address) = (instance(n), target.v4);
        let _to_memory =
            write!(text, "\n[[instance]]\nid = \"{id}\"\nsubnet = \"{TARGET_SUBNET}\"\naddress = \"{address}\"\n");
    }
    for n in 0..ELASTIC {
        let (id, address) = (allocation(n), vip4(n));
        let _to_memory = write!(text, "\n[[elastic_ip]]\nallocation_id = \"{id}\"\naddress = \"{address}\"\n");
    }
    text
}
