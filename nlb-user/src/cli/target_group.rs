//! `nlb target-group`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    call::{Api, Input, Pair, Told, fields, first, members, pairs, said, section, short, together},
    output::{Output, render, table_of_names},
    target,
};

/// What can be done with target groups.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a target group
    Create(Create),
    /// List target groups
    List {
        /// Only those of this load balancer: name or ARN
        #[arg(long, value_name = "NAME")]
        load_balancer: Option<String>,
    },
    /// Show a target group with its health check, targets, attributes and tags
    Show {
        /// Name or ARN
        name: String,
    },
    /// Change a target group's health check or attributes
    Modify(Modify),
    /// Delete a target group that no listener uses
    Delete {
        /// Name or ARN
        name: String,
    },
}

/// A target group to be.
#[derive(clap::Args, Debug)]
pub struct Create {
    /// 1 to 32 letters, digits and hyphens
    name: String,
    /// TCP, UDP, TCP_UDP or TLS
    #[arg(long)]
    protocol: String,
    /// The port of targets that are registered without one
    #[arg(long)]
    port: u16,
    /// The VPC that targets are in
    #[arg(long, value_name = "ID")]
    vpc: Option<String>,
    /// What targets are: instance (the default), ip or alb
    #[arg(long, value_name = "TYPE")]
    target_type: Option<String>,
    /// ipv4 (the default) or ipv6
    #[arg(long, value_name = "TYPE")]
    ip_address_type: Option<String>,
    /// Attributes, as in deregistration_delay.timeout_seconds=60
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<Pair>,
    /// Tags
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Pair>,
    /// The health check
    #[command(flatten)]
    health_check: HealthCheck,
}

/// What is to change.
#[derive(clap::Args, Debug)]
pub struct Modify {
    /// Name or ARN
    name: String,
    /// Attributes, as in deregistration_delay.timeout_seconds=60
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<Pair>,
    /// The health check
    #[command(flatten)]
    health_check: HealthCheck,
}

/// How targets are asked whether they are well.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Health check")]
struct HealthCheck {
    /// TCP, HTTP or HTTPS
    #[arg(long, value_name = "PROTOCOL")]
    health_check_protocol: Option<String>,
    /// A port, or traffic-port for the one that the target is registered with
    #[arg(long, value_name = "PORT")]
    health_check_port: Option<String>,
    /// What HTTP asks for
    #[arg(long, value_name = "PATH")]
    health_check_path: Option<String>,
    /// Seconds from one to the next: 5 to 300
    #[arg(long, value_name = "SECONDS")]
    health_check_interval: Option<u32>,
    /// Seconds to wait for an answer: 2 to 120
    #[arg(long, value_name = "SECONDS")]
    health_check_timeout: Option<u32>,
    /// Successes in a row that make a target healthy: 2 to 10
    #[arg(long, value_name = "N")]
    healthy_threshold: Option<u32>,
    /// Failures in a row that make it unhealthy: 2 to 10
    #[arg(long, value_name = "N")]
    unhealthy_threshold: Option<u32>,
    /// HTTP status codes that are successes, as in 200-399 or 200,204
    #[arg(long, value_name = "CODES")]
    matcher: Option<String>,
}

impl HealthCheck {
    fn input(self, input: Input) -> Input {
        input
            .maybe("HealthCheckProtocol", self.health_check_protocol)
            .maybe("HealthCheckPort", self.health_check_port)
            .maybe("HealthCheckPath", self.health_check_path)
            .maybe("HealthCheckIntervalSeconds", self.health_check_interval)
            .maybe("HealthCheckTimeoutSeconds", self.health_check_timeout)
            .maybe("HealthyThresholdCount", self.healthy_threshold)
            .maybe("UnhealthyThresholdCount", self.unhealthy_threshold)
            .maybe("Matcher", self.matcher.map(|codes| json!({"HttpCode": codes})))
    }
}

/// Does it.
///
/// # Errors
/// If the controller refuses or is not there.
pub fn execute(command: Command, api: Api<'_>, output: &Output) -> Result<()> {
    let told = match command {
        Command::Create(args) => create(args, api)?,
        Command::List { load_balancer } => {
            let arn = load_balancer.map(|name| api.load_balancer(&name)).transpose()?;
            let input = Input::new().maybe("LoadBalancerArn", arn);
            let output = api.all("DescribeTargetGroups", input, "TargetGroups")?;
            Told { text: list(&output), output }
        }
        Command::Show { name } => show(&name, api)?,
        Command::Modify(args) => modify(args, api)?,
        Command::Delete { name } => {
            let input = Input::new().with("TargetGroupArn", api.target_group(&name)?);
            Told { output: api.call("DeleteTargetGroup", input)?, text: format!("- target group {name}\n") }
        }
    };
    output.show(&told)
}

fn create(args: Create, api: Api<'_>) -> Result<Told> {
    let input = Input::new()
        .with("Name", args.name)
        .with("Protocol", args.protocol.to_uppercase())
        .with("Port", args.port)
        .maybe("VpcId", args.vpc)
        .maybe("TargetType", args.target_type)
        .maybe("IpAddressType", args.ip_address_type)
        .list("Tags", args.tags);
    let output = api.call("CreateTargetGroup", args.health_check.input(input))?;
    let group = first(&output, "TargetGroups");
    if !args.attributes.is_empty() {
        let input = Input::new().with("TargetGroupArn", said(group, "TargetGroupArn"));
        api.call("ModifyTargetGroupAttributes", input.list("Attributes", args.attributes))?;
    }
    let text = format!("+ target group {}\n{}", said(group, "TargetGroupName"), details(group));
    Ok(Told { output, text })
}

fn modify(args: Modify, api: Api<'_>) -> Result<Told> {
    let changes = args.health_check.input(Input::new());
    anyhow::ensure!(
        !changes.is_empty() || !args.attributes.is_empty(),
        "nothing to change; `nlb target-group modify --help` shows what can be"
    );
    let arn = api.target_group(&args.name)?;
    let mut outputs = Vec::new();
    if !changes.is_empty() {
        outputs.push(api.call("ModifyTargetGroup", changes.with("TargetGroupArn", arn.as_str()))?);
    }
    if !args.attributes.is_empty() {
        let input = Input::new().with("TargetGroupArn", arn).list("Attributes", args.attributes);
        outputs.push(api.call("ModifyTargetGroupAttributes", input)?);
    }
    Ok(Told { output: together(outputs), text: format!("~ target group {}\n", args.name) })
}

fn show(name: &str, api: Api<'_>) -> Result<Told> {
    let arn = api.target_group(name)?;
    let of = || Input::new().with("TargetGroupArn", arn.as_str());
    let output = together([
        api.call("DescribeTargetGroups", Input::new().list("TargetGroupArns", [arn.as_str()]))?,
        api.call("DescribeTargetHealth", of())?,
        api.call("DescribeTargetGroupAttributes", of())?,
        api.call("DescribeTags", Input::new().list("ResourceArns", [arn.as_str()]))?,
    ]);
    let text = details(first(&output, "TargetGroups"))
        + &section("targets", &target::health_table(&output))
        + &section("attributes", &pairs(members(&output, "Attributes")))
        + &section("tags", &pairs(members(first(&output, "TagDescriptions"), "Tags")));
    Ok(Told { output, text })
}

/// The load balancers that use it: one, or none.
fn users(group: &Value) -> String {
    let arns = members(group, "LoadBalancerArns").filter_map(Value::as_str);
    arns.map(short).collect::<Vec<_>>().join(" ")
}

fn details(group: &Value) -> String {
    let check = |name: &str| said(group, &format!("HealthCheck{name}"));
    let seconds = |text: String| if text.is_empty() { text } else { format!("{text} s") };
    let check = fields([
        ("protocol", check("Protocol")),
        ("port", check("Port")),
        ("path", check("Path")),
        ("codes", said(&group["Matcher"], "HttpCode")),
        ("interval", seconds(check("IntervalSeconds"))),
        ("timeout", seconds(check("TimeoutSeconds"))),
        ("healthy after", said(group, "HealthyThresholdCount")),
        ("unhealthy after", said(group, "UnhealthyThresholdCount")),
    ]);
    fields([
        ("name", said(group, "TargetGroupName")),
        ("ARN", said(group, "TargetGroupArn")),
        ("protocol", said(group, "Protocol")),
        ("port", said(group, "Port")),
        ("VPC", said(group, "VpcId")),
        ("target type", said(group, "TargetType")),
        ("IP address type", said(group, "IpAddressType")),
        ("used by", users(group)),
    ]) + &section("health check", &check)
}

fn list(output: &Value) -> String {
    let mut table = table_of_names(1, ["NAME", "PROTOCOL", "PORT", "TYPE", "VPC", "LOAD BALANCER"]);
    for group in members(output, "TargetGroups") {
        let columns = ["TargetGroupName", "Protocol", "Port", "TargetType", "VpcId"].map(|name| said(group, name));
        table.add_row(columns.into_iter().chain([users(group)]));
    }
    match render(&table) {
        none if none.is_empty() => "no target groups\n".to_owned(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::call::tests::scripted;

    fn group() -> Value {
        json!({
            "TargetGroupName": "web", "TargetGroupArn": "arn:g", "Protocol": "TCP", "Port": 80, "VpcId": "vpc-1",
            "TargetType": "ip", "IpAddressType": "ipv4", "HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port",
            "HealthCheckPath": "/", "HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 6,
            "HealthyThresholdCount": 5, "UnhealthyThresholdCount": 2, "Matcher": {"HttpCode": "200-399"},
            "LoadBalancerArns": ["arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/front/1"],
        })
    }

    #[test]
    fn what_people_see() {
        let expected = "name             web\nARN              arn:g\nprotocol         TCP\nport             80\n\
            VPC              vpc-1\ntarget type      ip\nIP address type  ipv4\nused by          front\n\n\
            health check\n  protocol         HTTP\n  port             traffic-port\n  path             /\n  \
            codes            200-399\n  interval         30 s\n  timeout          6 s\n  healthy after    5\n  \
            unhealthy after  2\n";
        assert_eq!(details(&group()), expected);
        let expected = "NAME  PROTOCOL  PORT  TYPE  VPC    LOAD BALANCER\nweb   TCP       80    ip    vpc-1  front\n";
        assert_eq!(list(&json!({"TargetGroups": [group()]})), expected);
    }

    #[test]
    fn health_checks_are_members_of_the_api() {
        let args = Modify {
            name: "web".into(),
            health_check: HealthCheck {
                health_check_interval: Some(10),
                matcher: Some("200,204".into()),
                ..HealthCheck::default()
            },
            attributes: vec![],
        };
        let answers = vec![json!({"TargetGroups": [group()]}), json!({"TargetGroups": [group()]})];
        let (told, asked) = scripted(answers, |api| modify(args, api));
        told.unwrap();
        let expected = json!(["ModifyTargetGroup", {
            "TargetGroupArn": "arn:g", "HealthCheckIntervalSeconds": 10, "Matcher": {"HttpCode": "200,204"},
        }]);
        assert_eq!(asked[1], expected);
    }
}
