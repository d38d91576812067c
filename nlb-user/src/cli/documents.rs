//! `nlb completions` and `nlb man`: what is made from the command line's own description.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;

use super::output::print;

/// Arguments of `nlb completions`.
#[derive(clap::Args, Debug)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Arguments of `nlb man`.
#[derive(clap::Args, Debug)]
pub struct Man {
    /// The directory to write the pages to: one a command
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Prints a shell's completions.
///
/// # Errors
/// If standard output cannot be written.
pub fn completions(args: &Completions, mut command: Command) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "nlb", &mut text);
    Ok(print(&String::from_utf8_lossy(&text))?)
}

/// Writes the manual's pages.
///
/// # Errors
/// If the directory cannot be made or written.
pub fn man(args: &Man, command: Command) -> Result<()> {
    std::fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {}", args.dir.display()))?;
    let command = command.disable_help_subcommand(true);
    clap_mangen::generate_to(command, &args.dir).with_context(|| format!("cannot write to {}", args.dir.display()))?;
    Ok(print(&format!("the pages are in {}: man {0}/nlb.1\n", args.dir.display()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        man(&Man { dir: dir.path().join("man") }, Cli::command()).unwrap();
        let text = |name: &str| std::fs::read_to_string(dir.path().join("man").join(name)).unwrap();
        assert!(text("nlb.1").contains("load\\-balancer"), "{}", text("nlb.1"));
        let page = text("nlb-target-group-create.1");
        assert!(page.contains(".TH nlb-target-group-create 1") && page.contains("health\\-check\\-interval"), "{page}");
        assert!(page.contains("What to log"), "options of all commands: {page}");
    }

    #[test]
    fn completions_know_nouns_and_verbs() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nlb", &mut text);
            let text = String::from_utf8(text).unwrap();
            assert!(
                ["target-group", "deregister", "health-check-path"].iter().all(|word| text.contains(word)),
                "{shell}"
            );
        }
    }
}
