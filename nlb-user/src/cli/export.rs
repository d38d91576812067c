//! `nlb export`: the desired state in the form of the file that `nlb apply` takes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde_json::Value;

use super::output::print;
use crate::{
    control::{Answer, Request},
    manifest,
    node::Node,
};

/// Arguments of `nlb export`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to write [default: as the file's name ends; JSON if there is none]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The file to write, in place of what it holds [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What a file is written in.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// JSON
    Json,
    /// YAML 1.2
    Yaml,
}

/// Writes the desired state.
///
/// # Errors
/// If there is no controller, or the file cannot be written.
pub fn execute(args: Args, node: &Node) -> Result<()> {
    let Answer::Exported(exported) = super::ask(node, &Request::Export)? else {
        bail!("the controller answered another question; use the nlb it was started from");
    };
    let text = text(&exported.manifest, args.format.unwrap_or_else(|| by_name(args.file.as_deref())));
    match args.file {
        Some(file) => {
            std::fs::write(&file, text).with_context(|| format!("cannot write {}; name another file", file.display()))
        }
        None => Ok(print(&text)?),
    }
}

fn by_name(file: Option<&Path>) -> Format {
    match file.and_then(Path::extension).and_then(|it| it.to_str()) {
        Some("yaml" | "yml") => Format::Yaml,
        _ => Format::Json,
    }
}

fn text(exported: &Value, format: Format) -> String {
    match format {
        Format::Json => manifest::to_json(exported),
        Format::Yaml => manifest::to_yaml(exported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_format_is_that_of_the_file() {
        for (file, format) in [
            (None, Format::Json),
            (Some("lb.json"), Format::Json),
            (Some("lb.yaml"), Format::Yaml),
            (Some("/etc/nlb/lb.yml"), Format::Yaml),
            (Some("yaml"), Format::Json),
        ] {
            assert_eq!(by_name(file.map(Path::new)), format, "{file:?}");
        }
    }

    #[test]
    fn names_stand_first() {
        let exported =
            json!({"target_groups": [], "load_balancers": [{"listeners": [], "addresses": ["::1"], "name": "a"}]});
        let yaml =
            "load_balancers:\n  - name: a\n    addresses:\n      - \"::1\"\n    listeners: []\ntarget_groups: []\n";
        assert_eq!(text(&exported, Format::Yaml), yaml);
        let json = text(&exported, Format::Json);
        assert!(json.find("name") < json.find("addresses") && json.ends_with("}\n"), "{json}");
    }
}
