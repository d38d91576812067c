//! `nlb apply`: make a file the desired state.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::output::{Output, Show};
use crate::{
    control::{Answer, Applied, Request},
    manifest::read_text,
    node::Node,
};

/// Arguments of `nlb apply`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The file, as in the README: load balancers, listeners, target groups, targets; YAML if it ends in .yaml or .yml,
    /// else JSON
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Show what would change and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Applies the file.
///
/// # Errors
/// If it cannot be read or is refused, if there is no controller, or if one of its addresses could not be had.
pub fn execute(args: Args, node: &Node, output: &Output) -> Result<()> {
    let file = args.file.display().to_string();
    let text = read_text(&args.file)?;
    change(node, output, &Request::Apply { text, file, dry_run: args.dry_run })
}

/// Asks for a change and shows what it did.
///
/// # Errors
/// As [`execute`].
pub fn change(node: &Node, output: &Output, request: &Request) -> Result<()> {
    let Answer::Applied(applied) = super::ask(node, request)? else {
        bail!("the controller answered another question; use the nlb it was started from");
    };
    output.show(&applied)?;
    if let Some(failed) = applied.failed.first() {
        let more = match applied.failed.len() {
            1 => String::new(),
            n => format!(" (and {} more: `nlb status`)", n - 1),
        };
        bail!(
            "load balancer {} is failed: {}{more}; free the address or apply another one, it is retried meanwhile",
            failed.load_balancer,
            failed.reason
        );
    }
    Ok(())
}

impl Show for Applied {
    fn text(&self) -> String {
        let mut text: String = self.changes.iter().map(|change| change.clone() + "\n").collect();
        for warning in &self.warnings {
            text += &format!("warning: {warning}\n");
        }
        let changes = match self.changes.len() {
            0 => "nothing to change".to_owned(),
            1 => "1 change".to_owned(),
            n => format!("{n} changes"),
        };
        text + &match self.dry_run {
            true => format!("dry run: {changes}\n"),
            false => format!("applied: {changes}, revision {}\n", self.revision),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_listed_and_summed_up() {
        let mut applied = Applied {
            revision: 3,
            changes: vec!["+ listener web TCP:80 -> web".into(), "- target web 10.0.1.11:8080".into()],
            warnings: vec!["target group web has no IPv6 target".into()],
            ..Applied::default()
        };
        let listed = "+ listener web TCP:80 -> web\n- target web 10.0.1.11:8080\n";
        let warned = "warning: target group web has no IPv6 target\n";
        assert_eq!(applied.text(), format!("{listed}{warned}applied: 2 changes, revision 3\n"));
        applied.dry_run = true;
        assert_eq!(applied.text(), format!("{listed}{warned}dry run: 2 changes\n"));
        let nothing = Applied { revision: 3, ..Applied::default() };
        assert_eq!(nothing.text(), "applied: nothing to change, revision 3\n");
    }
}
