//! The unmodified `aws` client, against the API of a controller in a namespace.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    netns::Netns,
    nlb::{inventory::ACCESS_KEY, output_within},
};

/// Where the controllers of tests serve the API: each in a namespace with a loopback of its own.
pub const API: &str = "127.0.0.1:9800";
/// How long a call may take: most of it is the client's own start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The client.
#[derive(Clone, Debug)]
pub struct Aws<'a> {
    ns: &'a Netns,
    program: PathBuf,
}

impl<'a> Aws<'a> {
    /// The client in the virtual environment that `cargo xtask` makes; `None` if there is none.
    pub fn find(ns: &'a Netns) -> Option<Self> {
        let program = venv().join("bin/aws");
        program.is_file().then_some(Self { ns, program })
    }

    /// Runs `aws elbv2` with these arguments, as on the guide's pages, and gives the answer; `Null` if it is empty.
    pub fn elbv2(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = self.ns.command(&self.program);
        command.arg("elbv2").args(arguments).args(["--output", "json"]);
        command.env("AWS_ENDPOINT_URL", format!("http://{API}"));
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY.0).env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.1);
        command.env("AWS_DEFAULT_REGION", "us-east-2").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command.env("AWS_PAGER", "").env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN");
        let done = output_within(&mut command, PATIENCE)?;
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        ensure!(done.status.success(), "aws elbv2 {}: {}", arguments.join(" "), err.trim());
        if out.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&out).with_context(|| format!("aws elbv2 {} printed no JSON:\n{out}", arguments.join(" ")))
    }

    /// As [`Self::elbv2`], for a call whose answer names one new resource: its ARN.
    pub fn create(&self, arguments: &[&str], list: &str, arn: &str) -> Result<String> {
        let answer = self.elbv2(arguments)?;
        let found = answer[list][0][arn].as_str().with_context(|| format!("no {arn} in {answer}"))?;
        Ok(found.to_owned())
    }
}

/// The virtual environment of Python programs.
pub fn venv() -> PathBuf {
    // Executables of a build lie in target/PROFILE or target/PROFILE/deps.
    let own = std::env::current_exe().unwrap_or_default();
    let found = own.ancestors().map(|dir| dir.join("venv")).find(|dir| dir.join("bin").is_dir());
    found.unwrap_or_else(|| PathBuf::from("target/venv"))
}
