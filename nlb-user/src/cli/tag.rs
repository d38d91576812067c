//! `nlb tag`: tags of load balancers, listeners and target groups.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::{
    call::{Api, Input, Pair, Told, first, members, said, short},
    output::{Output, render, table_of_names},
};

/// What can be done with tags. RESOURCE is an ARN, or load-balancer/NAME, target-group/NAME, listener/NAME/PROTOCOL:PORT;
/// the kind may be left out where there is only one thing of the name.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add tags to a resource; those of keys that it has get new values
    #[command(visible_alias = "modify")]
    Create {
        /// Which resource
        resource: String,
        /// The tags
        #[arg(value_name = "KEY=VALUE", required = true)]
        tags: Vec<Pair>,
    },
    /// List the tags of resources
    #[command(visible_alias = "show")]
    List {
        /// Which resources
        #[arg(value_name = "RESOURCE", required = true)]
        resources: Vec<String>,
    },
    /// Remove tags from a resource
    Delete {
        /// Which resource
        resource: String,
        /// The keys of the tags
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
}

/// Does it.
///
/// # Errors
/// If the controller refuses or is not there.
pub fn execute(command: Command, api: Api<'_>, output: &Output) -> Result<()> {
    output.show(&run(command, api)?)
}

fn run(command: Command, api: Api<'_>) -> Result<Told> {
    let of = |resource: &str| Ok::<_, anyhow::Error>(Input::new().list("ResourceArns", [api.resource(resource)?]));
    match command {
        Command::Create { resource, tags } => {
            let input = of(&resource)?.list("Tags", tags.iter().cloned());
            let text = tags.iter().map(|tag| format!("+ tag {resource} {tag}\n")).collect();
            Ok(Told { output: api.call("AddTags", input)?, text })
        }
        Command::List { resources } => {
            let arns = resources.iter().map(|name| api.resource(name)).collect::<Result<Vec<_>>>()?;
            let output = api.call("DescribeTags", Input::new().list("ResourceArns", arns))?;
            let text = list(&output);
            Ok(Told { output, text })
        }
        Command::Delete { resource, keys } => {
            let text = keys.iter().map(|key| format!("- tag {resource} {key}\n")).collect();
            let output = api.call("RemoveTags", of(&resource)?.list("TagKeys", keys))?;
            Ok(Told { output, text })
        }
    }
}

fn list(output: &Value) -> String {
    let mut table = table_of_names(1, ["RESOURCE", "KEY", "VALUE"]);
    for resource in members(output, "TagDescriptions") {
        let name = said(resource, "ResourceArn");
        for tag in members(resource, "Tags") {
            table.add_row([short(&name).to_owned(), said(tag, "Key"), said(tag, "Value")]);
        }
    }
    match (render(&table), first(output, "TagDescriptions")) {
        (none, _) if none.is_empty() => "no tags\n".to_owned(),
        (text, _) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::call::tests::scripted;
    use serde_json::json;

    const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/1";

    #[test]
    fn tags_are_added_listed_and_removed() {
        let command = Command::Create { resource: GROUP.into(), tags: vec!["a=b".parse().unwrap()] };
        let (told, asked) = scripted(vec![json!({})], |api| run(command, api));
        assert_eq!(told.unwrap().text, format!("+ tag {GROUP} a=b\n"));
        assert_eq!(asked, [json!(["AddTags", {"ResourceArns": [GROUP], "Tags": [{"Key": "a", "Value": "b"}]}])]);

        let described = json!({"TagDescriptions": [{"ResourceArn": GROUP, "Tags": [{"Key": "a", "Value": "b"}]}]});
        let (told, _) = scripted(vec![described], |api| run(Command::List { resources: vec![GROUP.into()] }, api));
        assert_eq!(told.unwrap().text, "RESOURCE  KEY  VALUE\nweb       a    b\n");

        let command = Command::Delete { resource: GROUP.into(), keys: vec!["a".into()] };
        let (told, asked) = scripted(vec![json!({})], |api| run(command, api));
        assert_eq!(told.unwrap().text, format!("- tag {GROUP} a\n"));
        assert_eq!(asked, [json!(["RemoveTags", {"ResourceArns": [GROUP], "TagKeys": ["a"]}])]);
    }

    #[test]
    fn without_tags() {
        assert_eq!(list(&json!({"TagDescriptions": [{"ResourceArn": GROUP}]})), "no tags\n");
    }
}
