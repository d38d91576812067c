//! `nlb target`: change or list the targets of target groups.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    apply,
    call::{self, Api, Fault, Input, Told, members, said, section, together},
    inspect,
    output::{Output, Show, render, table_of_names},
    status::{self, GroupReport},
};
use crate::{
    control::{Health, Request},
    node::Node,
};

/// What can be done with targets.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Put targets into a target group
    Register(Which),
    /// Take targets out of their target group: they get no new connections, their old ones go on
    Deregister(Which),
    /// Show targets' states and why they are in them
    Health {
        /// The target group: name or ARN
        group: String,
        /// Only these, whether they are registered or not
        #[arg(value_name = "TARGET")]
        targets: Vec<Target>,
    },
    /// Override what is known of a target's health
    SetState {
        /// The target group's name
        group: String,
        /// The target, as it was registered
        target: Target,
        /// The state to hold it in
        #[arg(value_enum)]
        state: Health,
    },
    /// List targets and their states in the data plane, or as they are registered if there is none
    List {
        /// Only this target group's
        group: Option<String>,
    },
}

/// Targets of a group.
#[derive(clap::Args, Debug)]
pub struct Which {
    /// The target group: name or ARN
    group: String,
    /// The targets: ADDR or ADDR:PORT (IPv6 as [ADDR]:PORT), an instance's ID or ID:PORT, or an Application Load
    /// Balancer's ARN; without a port, the group's
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<Target>,
    /// The zone of addresses outside the VPC, or all
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

/// A target as the API names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    id: String,
    port: Option<u16>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { id: address.ip().to_string(), port: Some(address.port()) });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { id: address.to_string(), port: None });
        }
        if text.starts_with("arn:") {
            return Ok(Self { id: text.to_owned(), port: None });
        }
        let (id, port) = match text.split_once(':') {
            Some((id, port)) => (id, Some(port.parse().map_err(|_| format!("found {port:?}, expected a port"))?)),
            None => (text, None),
        };
        match id.starts_with("i-") {
            true => Ok(Self { id: id.to_owned(), port }),
            false => Err("expected ADDR, ADDR:PORT, [ADDR]:PORT, i-ID, i-ID:PORT or an ARN".to_owned()),
        }
    }
}

impl Target {
    fn input(&self) -> Input {
        Input::new().with("Id", self.id.as_str()).maybe("Port", self.port)
    }

    fn text(&self) -> String {
        endpoint(&self.id, &self.port.map_or_else(String::new, |port| port.to_string()))
    }
}

/// As people write it: an IPv6 address before a port is in brackets.
fn endpoint(id: &str, port: &str) -> String {
    match (port.is_empty(), id.contains(':') && !id.starts_with("arn:")) {
        (true, _) => id.to_owned(),
        (false, true) => format!("[{id}]:{port}"),
        (false, false) => format!("{id}:{port}"),
    }
}

/// Does it.
///
/// # Errors
/// If the controller refuses, is not there, or (to list) if there are no maps.
pub fn execute(command: Command, node: &Node, output: &Output) -> Result<()> {
    match command {
        Command::Register(which) => output.show(&call::with(node, |api| change(which, api, "RegisterTargets", '+'))?),
        Command::Deregister(which) => {
            output.show(&call::with(node, |api| change(which, api, "DeregisterTargets", '-'))?)
        }
        Command::Health { group, targets } => {
            let told = call::with(node, |api| {
                let input = Input::new().with("TargetGroupArn", api.target_group(&group)?);
                let output =
                    api.call("DescribeTargetHealth", input.list("Targets", targets.iter().map(Target::input)))?;
                let text = health_table(&output);
                let text = if text.is_empty() { "no targets\n".to_owned() } else { text };
                Ok(Told { output, text })
            })?;
            output.show(&told)
        }
        Command::SetState { group, target, state } => {
            apply::change(node, output, &Request::SetState { group, target: target.text(), state })
        }
        Command::List { group } => match inspect::open(node).and_then(|_| status::report(node)) {
            Ok(report) => output.show(&Targets { target_groups: of(group, report.target_groups)? }),
            // A controller that serves no packets knows what is registered.
            Err(error) => match call::with(node, |api| registered(group, api)) {
                Ok(told) => output.show(&told),
                Err(refused) if refused.is::<Fault>() => Err(refused),
                Err(_) => Err(error),
            },
        },
    }
}

fn of(group: Option<String>, mut groups: Vec<GroupReport>) -> Result<Vec<GroupReport>> {
    if let Some(name) = group {
        groups.retain(|group| group.name == name);
        anyhow::ensure!(!groups.is_empty(), "no target group {name}; `nlb target list` shows all");
    }
    Ok(groups)
}

/// The targets of one group, or of all, as the API tells them.
fn registered(group: Option<String>, api: Api<'_>) -> Result<Told> {
    let groups = api.all("DescribeTargetGroups", Input::new().list("Names", group), "TargetGroups")?;
    let mut text = String::new();
    let mut told = Vec::new();
    for group in members(&groups, "TargetGroups") {
        let (name, arn) = (said(group, "TargetGroupName"), said(group, "TargetGroupArn"));
        let health = api.call("DescribeTargetHealth", Input::new().with("TargetGroupArn", arn))?;
        text += &section(&format!("target group {name}"), &health_table(&health));
        told.push(together([health, json!({ "TargetGroupName": name })]));
    }
    let text = text.trim_start().to_owned();
    let text = if text.is_empty() { "no targets\n".to_owned() } else { text };
    Ok(Told { output: json!({ "TargetGroups": told }), text })
}

fn change(which: Which, api: Api<'_>, operation: &str, sign: char) -> Result<Told> {
    let Which { group, targets, zone } = which;
    let of_zone = |target: &Target| target.input().maybe("AvailabilityZone", zone.clone());
    let input = Input::new().with("TargetGroupArn", api.target_group(&group)?);
    let output = api.call(operation, input.list("Targets", targets.iter().map(of_zone)))?;
    let text = targets.iter().map(|target| format!("{sign} target {group} {}\n", target.text())).collect();
    Ok(Told { output, text })
}

/// A table of targets' states as the API tells them; nothing if there are no targets.
pub fn health_table(output: &Value) -> String {
    let mut table = table_of_names(4, ["TARGET", "ZONE", "STATE", "REASON", "DESCRIPTION"]);
    for one in members(output, "TargetHealthDescriptions") {
        let (target, health) = (&one["Target"], &one["TargetHealth"]);
        table.add_row([
            endpoint(&said(target, "Id"), &said(target, "Port")),
            said(target, "AvailabilityZone"),
            said(health, "State"),
            said(health, "Reason"),
            said(health, "Description"),
        ]);
    }
    render(&table)
}

#[derive(Serialize)]
struct Targets {
    target_groups: Vec<GroupReport>,
}

impl Show for Targets {
    fn text(&self) -> String {
        match status::targets(&self.target_groups) {
            text if text.is_empty() => "no target groups\n".to_owned(),
            text => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::call::tests::scripted;

    #[test]
    fn forms_of_targets() {
        let target = |id: &str, port| Ok(Target { id: id.into(), port });
        assert_eq!("10.0.1.11:8080".parse(), target("10.0.1.11", Some(8080)));
        assert_eq!("[2001:DB8::1]:80".parse(), target("2001:db8::1", Some(80)));
        assert_eq!("i-0a".parse(), target("i-0a", None));
        assert_eq!("i-0a:81".parse(), target("i-0a", Some(81)));
        let alb = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/1";
        assert_eq!(alb.parse(), target(alb, None));
        assert_eq!("10.0.1.11".parse(), target("10.0.1.11", None));
        assert_eq!("2001:DB8::1".parse(), target("2001:db8::1", None));
        for wrong in ["10.0.1", "10.0.1.11:", "i-0a:http", "i-0a:65536", "web"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
        assert_eq!("[2001:db8::1]:80".parse::<Target>().unwrap().text(), "[2001:db8::1]:80");
        assert_eq!("i-0a".parse::<Target>().unwrap().text(), "i-0a");
    }

    #[test]
    fn several_targets_are_one_call() {
        let which = Which {
            group: "web".into(),
            targets: vec!["10.0.1.11:8080".parse().unwrap(), "10.0.1.12:8080".parse().unwrap()],
            zone: Some("all".into()),
        };
        let answers = vec![json!({"TargetGroups": [{"TargetGroupArn": "arn:g"}]}), json!({})];
        let (told, asked) = scripted(answers, |api| change(which, api, "RegisterTargets", '+'));
        assert_eq!(told.unwrap().text, "+ target web 10.0.1.11:8080\n+ target web 10.0.1.12:8080\n");
        let expected = json!(["RegisterTargets", {"TargetGroupArn": "arn:g", "Targets": [
            {"Id": "10.0.1.11", "Port": 8080, "AvailabilityZone": "all"},
            {"Id": "10.0.1.12", "Port": 8080, "AvailabilityZone": "all"},
        ]}]);
        assert_eq!(asked[1], expected);
    }

    #[test]
    fn states_and_why() {
        let output = json!({"TargetHealthDescriptions": [
            {"Target": {"Id": "i-0a", "Port": 80, "AvailabilityZone": "a"}, "TargetHealth": {"State": "healthy"}},
            {"Target": {"Id": "fd00::1", "Port": 80}, "TargetHealth": {"State": "unused", "Reason": "Target.NotInUse"}},
        ]});
        let expected = "TARGET        ZONE  STATE    REASON           DESCRIPTION\n\
            i-0a:80       a     healthy\n[fd00::1]:80        unused   Target.NotInUse\n";
        assert_eq!(health_table(&output), expected);
    }
    #[test]
    fn what_is_registered_without_a_data_plane() {
        let group = |name: &str| json!({"TargetGroupName": name, "TargetGroupArn": format!("arn:{name}")});
        let target = json!({"Target": {"Id": "i-0a", "Port": 80}, "TargetHealth": {"State": "initial"}});
        let answers = vec![
            json!({"TargetGroups": [group("app"), group("empty")]}),
            json!({"TargetHealthDescriptions": [target]}),
            json!({"TargetHealthDescriptions": []}),
        ];
        let (told, asked) = scripted(answers, |api| registered(None, api));
        let told = told.unwrap();
        let expected = "target group app\n  TARGET   ZONE  STATE    REASON  DESCRIPTION\n  i-0a:80        initial\n";
        assert_eq!(told.text, expected);
        let expected = json!({"TargetGroups": [
            {"TargetGroupName": "app", "TargetHealthDescriptions": [target]},
            {"TargetGroupName": "empty", "TargetHealthDescriptions": []},
        ]});
        assert_eq!(told.output, expected);
        assert_eq!(asked[1], json!(["DescribeTargetHealth", {"TargetGroupArn": "arn:app"}]));
    }
}
