//! `nlb load-balancer`.

use std::str::FromStr;

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::{
    call::{Api, Input, Pair, Told, fields, first, members, pairs, said, section, together},
    listener,
    output::{Output, render, table_of_names},
    zonal_shift,
};

/// What can be done with load balancers.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a load balancer
    Create(Create),
    /// List load balancers
    List,
    /// Show a load balancer with its addresses, listeners, attributes and tags
    Show {
        /// Name or ARN
        name: String,
    },
    /// Change a load balancer
    Modify(Modify),
    /// Delete a load balancer and its listeners
    Delete {
        /// Name or ARN
        name: String,
    },
}

/// A load balancer to be.
#[derive(clap::Args, Debug)]
pub struct Create {
    /// 1 to 32 letters, digits and hyphens
    name: String,
    /// Zones by subnet, one subnet a zone: ID[,allocation-id=ID][,private-ipv4=ADDR][,ipv6=ADDR]
    #[arg(long = "subnet", value_name = "SUBNET", required = true)]
    subnets: Vec<Mapping>,
    /// internet-facing (the default) or internal
    #[arg(long)]
    scheme: Option<String>,
    /// ipv4 (the default) or dualstack
    #[arg(long, value_name = "TYPE")]
    ip_address_type: Option<String>,
    /// Security groups: kept and shown; they filter nothing
    #[arg(long = "security-group", value_name = "ID")]
    security_groups: Vec<String>,
    /// Attributes, as in deletion_protection.enabled=true
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<Pair>,
    /// Tags
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Pair>,
}

/// What is to change.
#[derive(clap::Args, Debug)]
pub struct Modify {
    /// Name or ARN
    name: String,
    /// Zones: all there are, and more; none can be taken away
    #[arg(long = "subnet", value_name = "SUBNET", required_unless_present_any = ["ip_address_type", "security_groups", "attributes"])]
    subnets: Vec<Mapping>,
    /// ipv4 or dualstack
    #[arg(long, value_name = "TYPE")]
    ip_address_type: Option<String>,
    /// Security groups: all there shall be
    #[arg(long = "security-group", value_name = "ID")]
    security_groups: Vec<String>,
    /// Attributes, as in deletion_protection.enabled=true
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<Pair>,
}

/// A subnet, and which addresses to take in it.
#[derive(Clone, PartialEq, Debug)]
struct Mapping(Input);

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let id = parts.next().filter(|id| !id.is_empty() && !id.contains('=')).ok_or("expected a subnet's id first")?;
        let mapping = parts.try_fold(Input::new().with("SubnetId", id), |input, part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let member = match name {
                "allocation-id" => "AllocationId",
                "private-ipv4" => "PrivateIPv4Address",
                "ipv6" => "IPv6Address",
                _ => return Err(format!("found {name:?}, expected allocation-id=, private-ipv4= or ipv6=")),
            };
            Ok(input.with(member, value))
        })?;
        Ok(Self(mapping))
    }
}

/// Does it.
///
/// # Errors
/// If the controller refuses or is not there.
pub fn execute(command: Command, api: Api<'_>, output: &Output) -> Result<()> {
    let told = match command {
        Command::Create(args) => create(args, api)?,
        Command::List => {
            let output = api.all("DescribeLoadBalancers", Input::new(), "LoadBalancers")?;
            Told { text: list(&output), output }
        }
        Command::Show { name } => show(&name, api)?,
        Command::Modify(args) => modify(args, api)?,
        Command::Delete { name } => {
            let arn = api.load_balancer(&name)?;
            let output = api.call("DeleteLoadBalancer", Input::new().with("LoadBalancerArn", arn))?;
            Told { output, text: format!("- load balancer {name}\n") }
        }
    };
    output.show(&told)
}

fn create(args: Create, api: Api<'_>) -> Result<Told> {
    let input = Input::new()
        .with("Name", args.name)
        .with("Type", "network")
        .list("SubnetMappings", args.subnets.into_iter().map(|subnet| subnet.0))
        .maybe("Scheme", args.scheme)
        .maybe("IpAddressType", args.ip_address_type)
        .list("SecurityGroups", args.security_groups)
        .list("Tags", args.tags);
    let output = api.call("CreateLoadBalancer", input)?;
    let balancer = first(&output, "LoadBalancers");
    if !args.attributes.is_empty() {
        let input = Input::new().with("LoadBalancerArn", said(balancer, "LoadBalancerArn"));
        api.call("ModifyLoadBalancerAttributes", input.list("Attributes", args.attributes))?;
    }
    let text = format!("+ load balancer {}\n{}", said(balancer, "LoadBalancerName"), details(balancer));
    Ok(Told { output, text })
}

/// As many operations as there are kinds of changes, each on its own.
fn modify(args: Modify, api: Api<'_>) -> Result<Told> {
    let arn = api.load_balancer(&args.name)?;
    let of = || Input::new().with("LoadBalancerArn", arn.as_str());
    let mut outputs = Vec::new();
    if !args.subnets.is_empty() {
        let input = of().list("SubnetMappings", args.subnets.into_iter().map(|subnet| subnet.0));
        outputs.push(api.call("SetSubnets", input)?);
    }
    if let Some(kind) = args.ip_address_type {
        outputs.push(api.call("SetIpAddressType", of().with("IpAddressType", kind))?);
    }
    if !args.security_groups.is_empty() {
        outputs.push(api.call("SetSecurityGroups", of().list("SecurityGroups", args.security_groups))?);
    }
    if !args.attributes.is_empty() {
        outputs.push(api.call("ModifyLoadBalancerAttributes", of().list("Attributes", args.attributes))?);
    }
    Ok(Told { output: together(outputs), text: format!("~ load balancer {}\n", args.name) })
}

fn show(name: &str, api: Api<'_>) -> Result<Told> {
    let arn = api.load_balancer(name)?;
    let of = || Input::new().with("LoadBalancerArn", arn.as_str());
    let arns = || Input::new().list("LoadBalancerArns", [arn.as_str()]);
    let output = together([
        api.call("DescribeLoadBalancers", arns())?,
        api.all("DescribeListeners", of(), "Listeners")?,
        api.call("DescribeLoadBalancerAttributes", of())?,
        api.call("DescribeTags", Input::new().list("ResourceArns", [arn.as_str()]))?,
        zonal_shift::of(&arn, api)?,
    ]);
    let text = details(first(&output, "LoadBalancers"))
        + &section("listeners", &listener::list(&output))
        + &section("zonal shift", &zonal_shift::list(&output))
        + &section("attributes", &pairs(members(&output, "Attributes")))
        + &section("tags", &pairs(members(first(&output, "TagDescriptions"), "Tags")));
    Ok(Told { output, text })
}

fn details(balancer: &Value) -> String {
    let state = &balancer["State"];
    let groups: Vec<String> =
        members(balancer, "SecurityGroups").filter_map(Value::as_str).map(str::to_owned).collect();
    let zones = members(balancer, "AvailabilityZones").map(|zone| {
        let (name, subnet) = (said(zone, "ZoneName"), said(zone, "SubnetId"));
        let addresses = addresses(zone).join(" ");
        let blank = if addresses.is_empty() { "" } else { "  " };
        format!("{name}  {subnet}{blank}{addresses}\n")
    });
    let zones: String = zones.collect();
    fields([
        ("name", said(balancer, "LoadBalancerName")),
        ("ARN", said(balancer, "LoadBalancerArn")),
        ("DNS name", said(balancer, "DNSName")),
        ("state", said(state, "Code")),
        ("reason", said(state, "Reason")),
        ("scheme", said(balancer, "Scheme")),
        ("IP address type", said(balancer, "IpAddressType")),
        ("VPC", said(balancer, "VpcId")),
        ("security groups", groups.join(" ")),
        ("created", said(balancer, "CreatedTime")),
    ]) + &section("zones", &zones)
}

/// The addresses in a zone, with the elastic ones' allocations.
fn addresses(zone: &Value) -> Vec<String> {
    let text = |address: &Value| {
        let ipv4 = [said(address, "IpAddress"), said(address, "PrivateIPv4Address")].concat();
        let allocation = said(address, "AllocationId");
        let allocated = if allocation.is_empty() { ipv4 } else { format!("{ipv4} ({allocation})") };
        [allocated, said(address, "IPv6Address")]
    };
    members(zone, "LoadBalancerAddresses").flat_map(text).filter(|address| !address.is_empty()).collect()
}

fn list(output: &Value) -> String {
    let mut table = table_of_names(2, ["NAME", "STATE", "SCHEME", "ZONE", "ADDRESSES"]);
    for balancer in members(output, "LoadBalancers") {
        let zones: Vec<&Value> = members(balancer, "AvailabilityZones").collect();
        let names: Vec<String> = zones.iter().map(|zone| said(zone, "ZoneName")).collect();
        let addresses: Vec<String> = zones.iter().flat_map(|zone| addresses(zone)).collect();
        table.add_row([
            said(balancer, "LoadBalancerName"),
            said(&balancer["State"], "Code"),
            said(balancer, "Scheme"),
            names.join(" "),
            addresses.join(" "),
        ]);
    }
    match render(&table) {
        none if none.is_empty() => "no load balancers\n".to_owned(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::call::tests::scripted;
    use serde_json::json;

    fn balancer() -> Value {
        json!({
            "LoadBalancerName": "web",
            "LoadBalancerArn": "arn:b",
            "State": {"Code": "failed", "Reason": "198.18.0.9 is in use"},
            "Scheme": "internet-facing",
            "IpAddressType": "dualstack",
            "AvailabilityZones": [
                {"ZoneName": "a", "SubnetId": "subnet-a", "LoadBalancerAddresses": [
                    {"IpAddress": "203.0.113.7", "AllocationId": "eipalloc-1", "IPv6Address": "2001:db8::7"}
                ]},
                {"ZoneName": "b", "SubnetId": "subnet-b"},
            ],
        })
    }

    #[test]
    fn subnets_with_their_addresses() {
        let mapping: Mapping = "subnet-a,allocation-id=eipalloc-1,ipv6=2001:db8::1".parse().unwrap();
        let expected = json!({"SubnetId": "subnet-a", "AllocationId": "eipalloc-1", "IPv6Address": "2001:db8::1"});
        assert_eq!(Value::from(mapping.0), expected);
        assert!("allocation-id=x".parse::<Mapping>().is_err());
        assert!("subnet-a,eip=x".parse::<Mapping>().unwrap_err().contains("expected allocation-id="));
    }

    #[test]
    fn what_people_see() {
        let expected = "name             web\nARN              arn:b\nstate            failed\n\
            reason           198.18.0.9 is in use\nscheme           internet-facing\nIP address type  dualstack\n\n\
            zones\n  a  subnet-a  203.0.113.7 (eipalloc-1) 2001:db8::7\n  b  subnet-b\n";
        assert_eq!(details(&balancer()), expected);
        let expected = "NAME  STATE   SCHEME           ZONE  ADDRESSES\n\
            web   failed  internet-facing  a b   203.0.113.7 (eipalloc-1) 2001:db8::7\n";
        assert_eq!(list(&json!({"LoadBalancers": [balancer()]})), expected);
        assert_eq!(list(&json!({"LoadBalancers": []})), "no load balancers\n");
    }

    #[test]
    fn attributes_of_a_new_one_are_set_after_it_is_made() {
        let args = Create {
            name: "web".into(),
            subnets: vec!["subnet-a".parse().unwrap()],
            scheme: None,
            ip_address_type: Some("ipv4".into()),
            security_groups: vec![],
            attributes: vec!["deletion_protection.enabled=true".parse().unwrap()],
            tags: vec!["a=b".parse().unwrap()],
        };
        let answers = vec![json!({"LoadBalancers": [balancer()]}), json!({})];
        let (told, asked) = scripted(answers, |api| create(args, api));
        told.unwrap();
        let expected = [
            json!(["CreateLoadBalancer", {
                "Name": "web", "Type": "network", "SubnetMappings": [{"SubnetId": "subnet-a"}],
                "IpAddressType": "ipv4", "Tags": [{"Key": "a", "Value": "b"}],
            }]),
            json!(["ModifyLoadBalancerAttributes", {
                "LoadBalancerArn": "arn:b", "Attributes": [{"Key": "deletion_protection.enabled", "Value": "true"}],
            }]),
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn a_change_is_as_many_operations_as_it_takes() {
        let args = Modify {
            name: "web".into(),
            subnets: vec!["subnet-a".parse().unwrap()],
            ip_address_type: Some("dualstack".into()),
            security_groups: vec![],
            attributes: vec!["a=b".parse().unwrap()],
        };
        let answers =
            vec![json!({"LoadBalancers": [balancer()]}), json!({}), json!({"IpAddressType": "dualstack"}), json!({})];
        let (told, asked) = scripted(answers, |api| modify(args, api));
        assert_eq!(told.unwrap().output, json!({"IpAddressType": "dualstack"}));
        let operations: Vec<&str> = asked.iter().filter_map(|call| call[0].as_str()).collect();
        let expected = ["DescribeLoadBalancers", "SetSubnets", "SetIpAddressType", "ModifyLoadBalancerAttributes"];
        assert_eq!(operations, expected);
    }
}
