//! `nlb certificate`: certificates of the inventory, and of listeners.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    call::{Api, Input, Told, members, said},
    inventory::{self, Kind},
    output::{Output, render, table_of_names},
};

/// What can be done with certificates.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add a certificate to the inventory
    Create {
        /// arn:aws:acm:REGION:ACCOUNT:certificate/ID, or of IAM
        arn: String,
        /// The certificate and its chain, as PEM
        #[arg(long, value_name = "FILE")]
        certificate_file: PathBuf,
        /// The private key, as PEM
        #[arg(long, value_name = "FILE")]
        key_file: PathBuf,
    },
    /// List the certificates of the inventory, or of a listener
    List {
        /// ARN, or LOAD-BALANCER/PROTOCOL:PORT
        listener: Option<String>,
    },
    /// Show a certificate of the inventory
    Show {
        /// Its ARN
        arn: String,
    },
    /// Remove a certificate that a command has added from the inventory
    Delete {
        /// Its ARN
        arn: String,
    },
    /// Add certificates to a listener's list, from which it chooses by the client's server name
    Add(Listed),
    /// Remove certificates from a listener's list
    Remove(Listed),
}

/// Certificates of a listener's list.
#[derive(clap::Args, Debug)]
pub struct Listed {
    /// ARN, or LOAD-BALANCER/PROTOCOL:PORT
    listener: String,
    /// The certificates' ARNs
    #[arg(value_name = "ARN", required = true)]
    arns: Vec<String>,
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
        Command::Create { arn, certificate_file, key_file } => {
            let item = Input::new()
                .with("arn", arn)
                .with("certificate_file", absolute(&certificate_file)?)
                .with("key_file", absolute(&key_file)?);
            inventory::create(Kind::Certificate, item, api)
        }
        Command::List { listener: None } => inventory::list(Some(Kind::Certificate), api),
        Command::List { listener: Some(listener) } => {
            let input = Input::new().with("ListenerArn", api.listener(&listener)?);
            let output = api.all("DescribeListenerCertificates", input, "Certificates")?;
            Ok(Told { text: listed(&output), output })
        }
        Command::Show { arn } => inventory::show(Kind::Certificate, &arn, api),
        Command::Delete { arn } => inventory::delete(Kind::Certificate, &arn, api),
        Command::Add(args) => change(args, api, "AddListenerCertificates", '+'),
        Command::Remove(args) => change(args, api, "RemoveListenerCertificates", '-'),
    }
}

/// The controller does not run where the command does.
fn absolute(file: &PathBuf) -> Result<String> {
    let path = std::fs::canonicalize(file).with_context(|| format!("cannot find {}", file.display()))?;
    path.into_os_string().into_string().ok().with_context(|| format!("the path of {} is not UTF-8", file.display()))
}

fn change(args: Listed, api: Api<'_>, operation: &str, sign: char) -> Result<Told> {
    let certificates = args.arns.iter().map(|arn| json!({"CertificateArn": arn}));
    let input = Input::new().with("ListenerArn", api.listener(&args.listener)?).list("Certificates", certificates);
    let text = args.arns.iter().map(|arn| format!("{sign} certificate {} {arn}\n", args.listener)).collect();
    Ok(Told { output: api.call(operation, input)?, text })
}

fn listed(output: &Value) -> String {
    let mut table = table_of_names(2, ["CERTIFICATE", "DEFAULT"]);
    for certificate in members(output, "Certificates") {
        let default = if certificate["IsDefault"] == true { "yes" } else { "" };
        table.add_row([said(certificate, "CertificateArn").as_str(), default]);
    }
    render(&table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::call::tests::scripted;

    #[test]
    fn a_listeners_list() {
        let args = Listed { listener: "arn:l".into(), arns: vec!["arn:1".into(), "arn:2".into()] };
        let (told, asked) = scripted(vec![json!({})], |api| run(Command::Add(args), api));
        assert_eq!(told.unwrap().text, "+ certificate arn:l arn:1\n+ certificate arn:l arn:2\n");
        let list = json!([{"CertificateArn": "arn:1"}, {"CertificateArn": "arn:2"}]);
        assert_eq!(asked, [json!(["AddListenerCertificates", {"ListenerArn": "arn:l", "Certificates": list}])]);
        let output = json!({"Certificates": [
            {"CertificateArn": "arn:1", "IsDefault": true}, {"CertificateArn": "arn:2", "IsDefault": false},
        ]});
        let (told, _) = scripted(vec![output], |api| run(Command::List { listener: Some("arn:l".into()) }, api));
        assert_eq!(told.unwrap().text, "CERTIFICATE  DEFAULT\narn:1        yes\narn:2\n");
    }

    #[test]
    fn files_are_named_for_whoever_runs_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let (pem, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
        std::fs::write(&pem, "").unwrap();
        std::fs::write(&key, "").unwrap();
        let create = |key_file| Command::Create { arn: "arn:c".into(), certificate_file: pem.clone(), key_file };
        let (told, asked) = scripted(vec![json!({"Item": {"arn": "arn:c"}})], |api| run(create(key.clone()), api));
        assert_eq!(told.unwrap().text, "+ certificate arn:c\n");
        let path = |path: &PathBuf| path.canonicalize().unwrap().to_str().unwrap().to_owned();
        let item = json!({"arn": "arn:c", "certificate_file": path(&pem), "key_file": path(&key)});
        assert_eq!(asked, [json!(["CreateInventory", {"Kind": "certificate", "Item": item}])]);
        let (told, asked) = scripted(vec![], |api| run(create(dir.path().join("b.key")), api).map(|_| ()));
        assert!(told.unwrap_err().to_string().starts_with("cannot find "), "{asked:?}");
    }
}
