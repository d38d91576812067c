//! `nlb inventory`: subnets, instances, elastic addresses, security groups, certificates and Application Load Balancers
//! beside those of node.toml.

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::{
    call::{Api, Input, Pair, Told, first, members, said},
    output::{Output, render, table_of_names},
};

/// What can be done with the inventory. Values are KEY=VALUE with the keys of node.toml.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add something
    Create {
        /// What it is
        kind: Kind,
        /// What node.toml would say of it: `id=subnet-a vpc=vpc-1 zone=a cidr=198.18.0.0/24`
        #[arg(value_name = "KEY=VALUE", required = true)]
        values: Vec<Pair>,
    },
    /// List what there is, of node.toml and of commands
    List {
        /// Only this kind
        kind: Option<Kind>,
    },
    /// Show one thing
    Show {
        /// What it is
        kind: Kind,
        /// Its ID or ARN
        id: String,
    },
    /// Change something that a command has added
    Modify {
        /// What it is
        kind: Kind,
        /// Its ID or ARN
        id: String,
        /// What changes
        #[arg(value_name = "KEY=VALUE", required = true)]
        values: Vec<Pair>,
    },
    /// Remove something that a command has added
    Delete {
        /// What it is
        kind: Kind,
        /// Its ID or ARN
        id: String,
    },
}

/// The kinds of things.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A range of addresses in a zone of a VPC
    Subnet,
    /// A machine that can be a target
    Instance,
    /// A static public address
    ElasticIp,
    /// A security group, which filters nothing
    SecurityGroup,
    /// A server certificate and its key
    Certificate,
    /// An Application Load Balancer, or any HTTP proxy, that can be a target
    ApplicationLoadBalancer,
}

impl Kind {
    /// As on the command line and in the operations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subnet => "subnet",
            Self::Instance => "instance",
            Self::ElasticIp => "elastic-ip",
            Self::SecurityGroup => "security-group",
            Self::Certificate => "certificate",
            Self::ApplicationLoadBalancer => "application-load-balancer",
        }
    }
}

/// Does it.
///
/// # Errors
/// If the controller refuses or is not there.
pub fn execute(command: Command, api: Api<'_>, output: &Output) -> Result<()> {
    output.show(&run(command, api)?)
}

fn run(command: Command, api: Api<'_>) -> Result<Told> {
    match command {
        Command::Create { kind, values } => create(kind, item(values), api),
        Command::List { kind } => list(kind, api),
        Command::Show { kind, id } => show(kind, &id, api),
        Command::Modify { kind, id, values } => {
            let text = format!("~ {} {id}\n", kind.as_str());
            let input = Input::new().with("Kind", kind.as_str()).with("Id", id).with("Item", item(values));
            Ok(Told { output: api.call("ModifyInventory", input)?, text })
        }
        Command::Delete { kind, id } => delete(kind, &id, api),
    }
}

/// The ports of an Application Load Balancer are the one list: `ports=80,443`. A key without a value is taken away.
fn item(values: Vec<Pair>) -> Input {
    let port = |text: &str| text.parse::<u16>().map_or_else(|_| Value::from(text), Value::from);
    values.into_iter().fold(Input::new(), |item, Pair { key, value }| match (key.as_str(), value.as_str()) {
        (_, "") => item.with(&key, Value::Null),
        ("ports", ports) => item.with("ports", ports.split(',').map(port).collect::<Vec<_>>()),
        _ => item.with(&key, value),
    })
}

/// Adds something.
///
/// # Errors
/// As [`execute`].
pub fn create(kind: Kind, item: Input, api: Api<'_>) -> Result<Told> {
    let output = api.call("CreateInventory", Input::new().with("Kind", kind.as_str()).with("Item", item))?;
    let text = format!("+ {} {}\n", kind.as_str(), id(&output));
    Ok(Told { output, text })
}

/// Lists what there is of a kind, or of all.
///
/// # Errors
/// As [`execute`].
pub fn list(kind: Option<Kind>, api: Api<'_>) -> Result<Told> {
    let output = api.call("ListInventory", Input::new().maybe("Kind", kind.map(Kind::as_str)))?;
    let mut table = table_of_names(3, ["KIND", "ID", "FROM", "WHAT IT IS"]);
    for one in members(&output, "Items") {
        let what: Vec<String> = values(one).map(|(key, value)| format!("{key}={value}")).collect();
        table.add_row([said(one, "Kind"), id(one), said(one, "Source"), what.join(" ")]);
    }
    let text = render(&table);
    Ok(Told { output, text: if text.is_empty() { "nothing in the inventory\n".to_owned() } else { text } })
}

/// Shows one thing.
///
/// # Errors
/// As [`execute`]; if there is no such thing.
pub fn show(kind: Kind, wanted: &str, api: Api<'_>) -> Result<Told> {
    let mut output = api.call("ListInventory", Input::new().with("Kind", kind.as_str()))?;
    let Some(Value::Array(items)) = output.get_mut("Items") else { anyhow::bail!("the controller lists no items") };
    items.retain(|one| id(one) == wanted);
    let name = kind.as_str();
    anyhow::ensure!(!items.is_empty(), "no {name} {wanted} in the inventory; `nlb inventory list {name}` shows all");
    let one = first(&output, "Items");
    let mut lines = vec![("kind", said(one, "Kind")), ("id", id(one)), ("from", said(one, "Source"))];
    lines.extend(values(one));
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
    let text = lines.iter().map(|(key, value)| format!("{key:<width$}  {value}\n")).collect();
    Ok(Told { output, text })
}

/// Removes something.
///
/// # Errors
/// As [`execute`].
pub fn delete(kind: Kind, id: &str, api: Api<'_>) -> Result<Told> {
    let input = Input::new().with("Kind", kind.as_str()).with("Id", id);
    Ok(Told { output: api.call("DeleteInventory", input)?, text: format!("- {} {id}\n", kind.as_str()) })
}

/// The members that are the ids of things.
const IDS: [&str; 3] = ["id", "arn", "allocation_id"];

fn id(one: &Value) -> String {
    IDS.map(|name| said(&one["Item"], name)).concat()
}

/// What is known of a thing beside its id, as node.toml would say it.
fn values(one: &Value) -> impl Iterator<Item = (&str, String)> {
    let known = one["Item"].as_object().into_iter().flatten();
    let known = known.filter(|(key, value)| !IDS.contains(&key.as_str()) && !value.is_null());
    known.map(|(key, value)| match value {
        Value::Array(list) => (key.as_str(), list.iter().map(Value::to_string).collect::<Vec<_>>().join(",")),
        Value::String(text) => (key.as_str(), text.clone()),
        other => (key.as_str(), other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::call::tests::scripted;
    use serde_json::json;

    fn subnet() -> Value {
        json!({"Items": [{"Kind": "subnet", "Source": "node.toml", "Item": {
            "id": "subnet-a", "cidr": "198.18.0.0/24", "vpc": "vpc-1", "zone": "a",
        }}]})
    }

    #[test]
    fn what_there_is() {
        let (told, asked) = scripted(vec![subnet()], |api| list(Some(Kind::Subnet), api));
        let expected = "KIND    ID        FROM       WHAT IT IS\n\
            subnet  subnet-a  node.toml  cidr=198.18.0.0/24 vpc=vpc-1 zone=a\n";
        assert_eq!(told.unwrap().text, expected);
        assert_eq!(asked, [json!(["ListInventory", {"Kind": "subnet"}])]);
        let (told, _) = scripted(vec![subnet()], |api| show(Kind::Subnet, "subnet-a", api));
        assert_eq!(
            told.unwrap().text,
            "kind  subnet\nid    subnet-a\nfrom  node.toml\ncidr  198.18.0.0/24\nvpc   vpc-1\nzone  a\n"
        );
        let (told, _) = scripted(vec![json!({"Items": []})], |api| show(Kind::Subnet, "subnet-b", api).map(|_| ()));
        assert!(told.unwrap_err().to_string().starts_with("no subnet subnet-b in the inventory"));
    }

    #[test]
    fn things_are_as_in_the_nodes_file() {
        let values = ["arn=arn:a", "subnet=subnet-a", "address=198.18.0.9", "ports=80,443"];
        let command = Command::Create {
            kind: Kind::ApplicationLoadBalancer,
            values: values.iter().map(|value| value.parse().unwrap()).collect(),
        };
        let (told, asked) = scripted(vec![json!({"Item": {"arn": "arn:a"}})], |api| run(command, api));
        assert_eq!(told.unwrap().text, "+ application-load-balancer arn:a\n");
        let item = json!({"arn": "arn:a", "subnet": "subnet-a", "address": "198.18.0.9", "ports": [80, 443]});
        assert_eq!(asked, [json!(["CreateInventory", {"Kind": "application-load-balancer", "Item": item}])]);
    }
}
