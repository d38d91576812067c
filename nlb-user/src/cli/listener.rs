//! `nlb listener`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    call::{Api, Endpoint, Input, Pair, Told, fields, first, members, pairs, said, section, short, together},
    output::{Output, render, table_of_names},
};

/// What can be done with listeners.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a listener
    Create(Create),
    /// List listeners
    List {
        /// Only this load balancer's: name or ARN
        load_balancer: Option<String>,
    },
    /// Show a listener with its certificates, attributes and tags
    Show {
        /// ARN, or LOAD-BALANCER/PROTOCOL:PORT
        listener: String,
    },
    /// Change a listener: connections that exist keep their targets
    Modify(Modify),
    /// Delete a listener
    Delete {
        /// ARN, or LOAD-BALANCER/PROTOCOL:PORT
        listener: String,
    },
}

/// A listener to be.
#[derive(clap::Args, Debug)]
pub struct Create {
    /// The load balancer: name or ARN
    load_balancer: String,
    /// Where to listen: TCP, UDP, TCP_UDP or TLS, and 1 to 65535
    #[arg(value_name = "PROTOCOL:PORT")]
    endpoint: Endpoint,
    /// The target group: name or ARN
    target_group: String,
    /// How to do TLS
    #[command(flatten)]
    tls: Tls,
    /// Attributes, as in tcp.idle_timeout.seconds=350
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<Pair>,
    /// Tags
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Pair>,
}

/// How a TLS listener does TLS.
#[derive(clap::Args, Debug, Default)]
pub struct Tls {
    /// The ARN of its default certificate
    #[arg(long, value_name = "ARN")]
    certificate: Option<String>,
    /// Which protocols and ciphers it speaks
    #[arg(long, value_name = "POLICY")]
    ssl_policy: Option<String>,
    /// Which protocols it offers by ALPN
    #[arg(long, value_name = "POLICY")]
    alpn_policy: Option<String>,
}

impl Tls {
    fn input(self, input: Input) -> Input {
        input
            .list("Certificates", self.certificate.map(|arn| json!({"CertificateArn": arn})))
            .maybe("SslPolicy", self.ssl_policy)
            .list("AlpnPolicy", self.alpn_policy)
    }
}

/// What is to change.
#[derive(clap::Args, Debug)]
pub struct Modify {
    /// ARN, or LOAD-BALANCER/PROTOCOL:PORT
    listener: String,
    /// Where to listen from now on
    #[arg(long, value_name = "PROTOCOL:PORT")]
    listen: Option<Endpoint>,
    /// The target group for new connections: name or ARN
    #[arg(long, value_name = "GROUP")]
    target_group: Option<String>,
    /// How to do TLS
    #[command(flatten)]
    tls: Tls,
    /// Attributes, as in tcp.idle_timeout.seconds=350
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<Pair>,
}

/// Does it.
///
/// # Errors
/// If the controller refuses or is not there.
pub fn execute(command: Command, api: Api<'_>, output: &Output) -> Result<()> {
    let told = match command {
        Command::Create(args) => create(args, api)?,
        Command::List { load_balancer } => {
            let output = match load_balancer {
                Some(name) => {
                    let input = Input::new().with("LoadBalancerArn", api.load_balancer(&name)?);
                    api.all("DescribeListeners", input, "Listeners")?
                }
                None => everybody_s(api)?,
            };
            let text = list(&output);
            let text = if text.is_empty() { "no listeners\n".to_owned() } else { text };
            Told { output, text }
        }
        Command::Show { listener } => show(&listener, api)?,
        Command::Modify(args) => modify(args, api)?,
        Command::Delete { listener } => {
            let input = Input::new().with("ListenerArn", api.listener(&listener)?);
            Told { output: api.call("DeleteListener", input)?, text: format!("- listener {listener}\n") }
        }
    };
    output.show(&told)
}

/// The listeners of all load balancers: the API tells only those of one.
fn everybody_s(api: Api<'_>) -> Result<Value> {
    let mut all: Vec<Value> = Vec::new();
    for balancer in members(&api.all("DescribeLoadBalancers", Input::new(), "LoadBalancers")?, "LoadBalancers") {
        let input = Input::new().with("LoadBalancerArn", said(balancer, "LoadBalancerArn"));
        all.extend(members(&api.all("DescribeListeners", input, "Listeners")?, "Listeners").cloned());
    }
    Ok(json!({ "Listeners": all }))
}

fn forward(group: &str) -> Value {
    json!({"Type": "forward", "TargetGroupArn": group})
}

fn create(args: Create, api: Api<'_>) -> Result<Told> {
    let input = Input::new()
        .with("LoadBalancerArn", api.load_balancer(&args.load_balancer)?)
        .with("Protocol", args.endpoint.protocol)
        .with("Port", args.endpoint.port)
        .list("DefaultActions", [forward(&api.target_group(&args.target_group)?)])
        .list("Tags", args.tags);
    let output = api.call("CreateListener", args.tls.input(input))?;
    let listener = first(&output, "Listeners");
    if !args.attributes.is_empty() {
        let input = Input::new().with("ListenerArn", said(listener, "ListenerArn"));
        api.call("ModifyListenerAttributes", input.list("Attributes", args.attributes))?;
    }
    let text = format!("+ listener {}\n{}", name(listener), details(listener));
    Ok(Told { output, text })
}

fn modify(args: Modify, api: Api<'_>) -> Result<Told> {
    let arn = api.listener(&args.listener)?;
    let group = args.target_group.map(|group| api.target_group(&group)).transpose()?;
    let changes = args
        .tls
        .input(Input::new())
        .maybe("Protocol", args.listen.as_ref().map(|endpoint| endpoint.protocol.clone()))
        .maybe("Port", args.listen.map(|endpoint| endpoint.port))
        .list("DefaultActions", group.map(|group| forward(&group)));
    anyhow::ensure!(
        !changes.is_empty() || !args.attributes.is_empty(),
        "nothing to change; `nlb listener modify --help` shows what can be"
    );
    let mut outputs = Vec::new();
    if !changes.is_empty() {
        outputs.push(api.call("ModifyListener", changes.with("ListenerArn", arn.as_str()))?);
    }
    if !args.attributes.is_empty() {
        let input = Input::new().with("ListenerArn", arn).list("Attributes", args.attributes);
        outputs.push(api.call("ModifyListenerAttributes", input)?);
    }
    Ok(Told { output: together(outputs), text: format!("~ listener {}\n", args.listener) })
}

fn show(name: &str, api: Api<'_>) -> Result<Told> {
    let arn = api.listener(name)?;
    let of = || Input::new().with("ListenerArn", arn.as_str());
    let listeners = api.call("DescribeListeners", Input::new().list("ListenerArns", [arn.as_str()]))?;
    let certificates = match said(first(&listeners, "Listeners"), "Protocol").as_str() {
        "TLS" => api.all("DescribeListenerCertificates", of(), "Certificates")?,
        _ => Value::Null,
    };
    let output = together([
        listeners,
        certificates,
        api.call("DescribeListenerAttributes", of())?,
        api.call("DescribeTags", Input::new().list("ResourceArns", [arn.as_str()]))?,
    ]);
    let certificates = members(&output, "Certificates").map(|certificate| {
        let default = if certificate["IsDefault"] == true { "  (default)" } else { "" };
        format!("{}{default}\n", said(certificate, "CertificateArn"))
    });
    let text = details(first(&output, "Listeners"))
        + &section("certificates", &certificates.collect::<String>())
        + &section("attributes", &pairs(members(&output, "Attributes")))
        + &section("tags", &pairs(members(first(&output, "TagDescriptions"), "Tags")));
    Ok(Told { output, text })
}

/// As people call it: `web/TCP:80`.
fn name(listener: &Value) -> String {
    let balancer = said(listener, "LoadBalancerArn");
    format!("{}/{}:{}", short(&balancer), said(listener, "Protocol"), said(listener, "Port"))
}

fn group(listener: &Value) -> String {
    short(&said(first(listener, "DefaultActions"), "TargetGroupArn")).to_owned()
}

fn details(listener: &Value) -> String {
    let alpn: Vec<&str> = members(listener, "AlpnPolicy").filter_map(Value::as_str).collect();
    fields([
        ("name", name(listener)),
        ("ARN", said(listener, "ListenerArn")),
        ("target group", group(listener)),
        ("security policy", said(listener, "SslPolicy")),
        ("ALPN policy", alpn.join(" ")),
        ("certificate", said(first(listener, "Certificates"), "CertificateArn")),
    ])
}

/// A table of listeners; nothing if there are none.
pub fn list(output: &Value) -> String {
    let mut table = table_of_names(1, ["LISTENER", "TARGET GROUP", "SECURITY POLICY"]);
    for listener in members(output, "Listeners") {
        table.add_row([name(listener), group(listener), said(listener, "SslPolicy")]);
    }
    render(&table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::call::tests::scripted;

    const PREFIX: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012";

    fn tls() -> Value {
        json!({
            "ListenerArn": format!("{PREFIX}:listener/net/web/1/2"), "LoadBalancerArn": format!("{PREFIX}:loadbalancer/net/web/1"),
            "Protocol": "TLS", "Port": 443, "SslPolicy": "ELBSecurityPolicy-2016-08",
            "Certificates": [{"CertificateArn": "arn:c"}], "AlpnPolicy": ["HTTP2Only"],
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": format!("{PREFIX}:targetgroup/app/3")}],
        })
    }

    #[test]
    fn what_people_see() {
        let expected = "name             web/TLS:443\n\
            ARN              arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/net/web/1/2\n\
            target group     app\nsecurity policy  ELBSecurityPolicy-2016-08\nALPN policy      HTTP2Only\n\
            certificate      arn:c\n";
        assert_eq!(details(&tls()), expected);
        let expected =
            "LISTENER     TARGET GROUP  SECURITY POLICY\nweb/TLS:443  app           ELBSecurityPolicy-2016-08\n";
        assert_eq!(list(&json!({"Listeners": [tls()]})), expected);
    }

    #[test]
    fn names_become_arns_and_options_members() {
        let args = Create {
            load_balancer: "web".into(),
            endpoint: "tls:443".parse().unwrap(),
            target_group: "app".into(),
            tls: Tls { certificate: Some("arn:c".into()), ssl_policy: None, alpn_policy: Some("HTTP2Only".into()) },
            attributes: vec![],
            tags: vec![],
        };
        let answers = vec![
            json!({"LoadBalancers": [{"LoadBalancerArn": "arn:b"}]}),
            json!({"TargetGroups": [{"TargetGroupArn": "arn:g"}]}),
            json!({"Listeners": [tls()]}),
        ];
        let (told, asked) = scripted(answers, |api| create(args, api));
        told.unwrap();
        let expected = json!(["CreateListener", {
            "LoadBalancerArn": "arn:b", "Protocol": "TLS", "Port": 443,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": "arn:g"}],
            "Certificates": [{"CertificateArn": "arn:c"}], "AlpnPolicy": ["HTTP2Only"],
        }]);
        assert_eq!(asked[2], expected);
    }

    #[test]
    fn a_change_of_nothing_is_none() {
        let args = Modify {
            listener: "arn:l".into(),
            listen: None,
            target_group: None,
            tls: Tls::default(),
            attributes: vec![],
        };
        let (told, asked) = scripted(vec![], |api| modify(args, api).map(|_| ()));
        assert!(told.unwrap_err().to_string().starts_with("nothing to change"));
        assert_eq!(asked.len(), 0);
    }

    #[test]
    fn only_what_is_given_changes() {
        let args = Modify {
            listener: "arn:l".into(),
            listen: None,
            target_group: Some("arn:g".into()),
            tls: Tls::default(),
            attributes: vec!["tcp.idle_timeout.seconds=60".parse().unwrap()],
        };
        let (told, asked) =
            scripted(vec![json!({"Listeners": []}), json!({"Attributes": []})], |api| modify(args, api));
        assert_eq!(told.unwrap().output, json!({"Listeners": [], "Attributes": []}));
        let expected = [
            json!(["ModifyListener", {
                "ListenerArn": "arn:l", "DefaultActions": [{"Type": "forward", "TargetGroupArn": "arn:g"}],
            }]),
            json!(["ModifyListenerAttributes", {
                "ListenerArn": "arn:l", "Attributes": [{"Key": "tcp.idle_timeout.seconds", "Value": "60"}],
            }]),
        ];
        assert_eq!(asked, expected);
    }
}
