//! The real `nlb`, run in the balancer's namespace.

mod counters;
pub mod inventory;
mod service;

use std::{
    fs::File,
    io::{Read, Write as _},
    os::unix::{fs::OpenOptionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    netns::{BPFFS, Netns, Process},
    topology::Topology,
    wait_for,
};

pub use counters::Counters;
pub use service::Service;

/// How long the controller may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The `nlb` of the same build as the running executable.
pub fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let dirs = own.ancestors().skip(1).take(2);
    let found = dirs.map(|dir| dir.join("nlb")).find(|path| path.is_file());
    found.with_context(|| format!("no nlb next to {}: run `cargo build --package nlb-user` first", own.display()))
}

/// How to run it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The executable; that of the same build if `None`.
    pub binary: Option<PathBuf>,
    /// The BPF file system's directory for pins. The default is inside an anonymous namespace's own.
    pub bpffs: PathBuf,
    /// `--iface`.
    pub interfaces: String,
    /// Flow table size (`max_flows`).
    pub max_flows: u32,
    /// What stands around the node, as sections of node.toml.
    pub inventory: String,
    /// More arguments of `nlb run`.
    pub args: Vec<String>,
    /// Environment of the controller.
    pub env: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            binary: None,
            bpffs: Path::new(BPFFS).join("nlb"),
            interfaces: "eth0".to_owned(),
            max_flows: 65536,
            inventory: String::new(),
            args: Vec::new(),
            env: vec![("NLB_TEST_MIN_IDLE".to_owned(), "1".to_owned())],
        }
    }
}

/// A node: the configuration and state of one `nlb`, and its controller while it runs.
#[derive(Debug)]
pub struct Nlb<'a> {
    ns: &'a Netns,
    /// Where its files are.
    pub dir: TempDir,
    binary: PathBuf,
    options: Options,
    controller: Option<Process>,
    /// Packets received before the program was attached; `None` before they were counted.
    unseen: Option<u64>,
}

impl<'a> Nlb<'a> {
    /// Writes the configuration; starts nothing.
    pub fn prepare(ns: &'a Netns, options: Options) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix(&format!("nlb-{}-", std::process::id())).tempdir()?;
        let binary = options.binary.clone().map_or_else(binary, Ok)?;
        let nlb = Self { ns, dir, binary, options, controller: None, unseen: None };
        nlb.write_node_toml(&nlb.options.bpffs)?;
        Ok(nlb)
    }

    /// A node on the balancer of a network; starts nothing.
    pub fn prepare_for(network: &'a Topology) -> Result<Self> {
        let options = Options { interfaces: network.interfaces().to_owned(), ..Options::default() };
        Self::prepare(&network.balancer.ns, options)
    }

    /// Starts the controller on the balancer of a network, with an empty configuration.
    pub fn start(network: &'a Topology) -> Result<Self> {
        let mut nlb = Self::prepare_for(network)?;
        nlb.run()?;
        nlb.begin_accounts()?;
        Ok(nlb)
    }

    /// Starts the controller with an inventory of the network and the API at [`crate::aws::API`].
    pub fn start_with_api(network: &'a Topology) -> Result<Self> {
        let options = Options {
            interfaces: network.interfaces().to_owned(),
            inventory: inventory::toml(network),
            args: vec!["--api".to_owned(), crate::aws::API.to_owned()],
            ..Options::default()
        };
        let mut nlb = Self::prepare(&network.balancer.ns, options)?;
        nlb.run()?;
        nlb.begin_accounts()?;
        Ok(nlb)
    }

    /// Packets received by the interfaces, whether the program saw them or not.
    fn received(&self) -> Result<u64> {
        let read = |name: &str| -> Result<u64> {
            let path = format!("/sys/class/net/{name}/statistics/rx_packets");
            Ok(self.ns.run(|| std::fs::read_to_string(path))?.trim().parse()?)
        };
        self.options.interfaces.split(',').map(read).sum()
    }

    fn is_generic(&self) -> bool {
        self.options.args.iter().any(|arg| arg == "generic")
    }

    /// From now on, every packet received must be counted.
    pub fn begin_accounts(&mut self) -> Result<()> {
        // Between two readings that agree nothing came in, so both are of one moment.
        wait_for("a quiet moment", PATIENCE, || {
            let (before, counted, after) = (self.received()?, self.counters()?.packets(), self.received()?);
            self.unseen = Some(after.saturating_sub(counted));
            Ok(before == after)
        })
    }

    /// Whether every packet received since [`Self::begin_accounts`] was counted, for one reason. Every test ends with
    /// this, see [`Drop`].
    fn check_accounts(&self, unseen: u64) -> Result<()> {
        let mut last = (0, 0);
        let agree = wait_for("the counters to add up", Duration::from_secs(5), || {
            let (before, counted, after) = (self.received()?, self.counters()?.packets(), self.received()?);
            last = (after, counted);
            Ok(before == after && counted + unseen == after)
        });
        let (received, counted) = last;
        agree.with_context(|| format!("{received} packets received, {} before the program, {counted} counted", unseen))
    }

    /// What was counted so far.
    pub fn counters(&self) -> Result<Counters> {
        let report = self.json(&["counters"])?;
        let counters = report["counters"].as_array().context("no counters")?;
        let entry = |entry: &Value| Some((entry["name"].as_str()?.to_owned(), entry["count"].as_u64()?));
        let entries: Option<_> = counters.iter().map(entry).collect();
        Ok(Counters(entries.with_context(|| format!("unknown counters {report}"))?))
    }

    /// How many flows there are, with these options of `nlb flow list`.
    pub fn flows(&self, options: &[&str]) -> Result<u64> {
        let report = self.json(&[&["flow", "list", "--count"], options].concat())?;
        report["flows"].as_u64().with_context(|| format!("unknown count {report}"))
    }

    /// Writes node.toml with this directory for pins.
    pub fn write_node_toml(&self, bpffs: &Path) -> Result<()> {
        let (dir, max_flows) = (self.dir.path().display(), self.options.max_flows);
        let text = format!(
            "zone = \"test-1a\"\nbpffs = \"{}\"\nsocket = \"{dir}/nlb.sock\"\nstate_dir = \"{dir}/state\"\n\
             max_flows = {max_flows}\n{}",
            bpffs.display(),
            self.options.inventory
        );
        // There may be a secret in it.
        let mut file =
            File::options().create(true).write(true).truncate(true).mode(0o600).open(self.path("node.toml"))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    /// A file of the node.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// The command that runs the controller.
    pub fn run_command(&self) -> Command {
        let mut command = self.ns.command(&self.binary);
        command.args(["run", "--iface", &self.options.interfaces, "--config"]).arg(self.path("node.toml"));
        command.args(&self.options.args).envs(self.options.env.iter().cloned());
        command.env("RUST_BACKTRACE", "1").stdin(Stdio::null());
        command
    }

    /// Gives the controllers started from now on these arguments, too.
    pub fn add_args(&mut self, args: &[&str]) {
        self.options.args.extend(args.iter().map(|arg| (*arg).to_owned()));
    }

    /// The namespace it runs in.
    pub const fn ns(&self) -> &Netns {
        self.ns
    }

    /// Starts the controller and waits until it answers.
    pub fn run(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.path("log"))?;
        let mut command = self.run_command();
        command.stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("can't run {}", self.binary.display()))?;
        self.controller = Some(Process(child));
        wait_for("the controller to answer", PATIENCE, || {
            if let Some(status) = self.ended()? {
                bail!("the controller ended with {status}:\n{}", self.log());
            }
            Ok(self.answers().is_ok())
        })
    }

    /// Asks the controller for its status.
    fn answers(&self) -> Result<()> {
        let mut stream = UnixStream::connect(self.path("nlb.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"{\"do\":\"status\"}\n")?;
        stream.read_exact(&mut [0])?;
        Ok(())
    }

    /// The controller's exit status, if it has ended.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        match &mut self.controller {
            Some(controller) => Ok(controller.0.try_wait()?),
            None => Ok(None),
        }
    }

    /// The controller's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.controller.as_ref().map(|controller| controller.0.id())
    }

    /// Kills the controller: no last words.
    pub fn kill_9(&mut self) {
        self.controller = None;
    }

    /// Sends the controller a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("the controller is not running")?;
        Ok(nix::sys::signal::kill(Pid::from_raw(pid as i32), signal)?)
    }

    /// Ends the controller by SIGTERM and returns its exit status.
    pub fn terminate(&mut self) -> Result<std::process::ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        wait_for("the controller to end", PATIENCE, || Ok(self.ended()?.is_some()))?;
        let status = self.ended()?.context("it has ended")?;
        self.controller = None;
        Ok(status)
    }

    /// What the controllers of this node have printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A command of the command line.
    pub fn cli_command(&self, args: &[&str]) -> Command {
        let mut command = self.ns.command(&self.binary);
        command.args(args).arg("--config").arg(self.path("node.toml"));
        command.envs(self.options.env.iter().cloned());
        command
    }

    /// Runs a command of the command line to its end.
    pub fn output(&self, args: &[&str]) -> Result<Output> {
        output_within(&mut self.cli_command(args), PATIENCE)
    }

    /// Runs a command that must succeed and returns what it printed.
    pub fn cli(&self, args: &[&str]) -> Result<String> {
        let done = self.output(args)?;
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        ensure!(done.status.success(), "nlb {}: {}\n{out}{err}", args.join(" "), done.status);
        Ok(out.into_owned())
    }

    /// As [`Self::cli`], with `--output json`.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let text = self.cli(&[args, &["--output", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("nlb {} printed no JSON:\n{text}", args.join(" ")))
    }

    /// Applies a configuration.
    pub fn apply(&self, config: &Value) -> Result<String> {
        let file = self.path("lb.json");
        std::fs::write(&file, serde_json::to_string_pretty(config)?)?;
        self.cli(&["apply", "-f", &file.display().to_string()])
    }
}

/// At the end of a test every packet must have been counted; one that failed shows the log.
///
/// A generic program sees packets that are put together from several that were received, and with the pins removed there
/// is nothing to count by: such nodes have no accounts.
impl Drop for Nlb<'_> {
    fn drop(&mut self) {
        let pinned = || self.ns.run(|| self.options.bpffs.join("COUNTERS").exists());
        let outcome = match self.unseen {
            Some(unseen) if !std::thread::panicking() && !self.is_generic() && pinned() => self.check_accounts(unseen),
            _ => Ok(()),
        };
        if std::thread::panicking() || outcome.is_err() {
            eprintln!("--- log of nlb in {}\n{}---", self.ns.name(), self.log());
        }
        outcome.expect("every packet is counted");
    }
}

/// Runs a command to its end, which must come within `limit`.
pub fn output_within(command: &mut Command, limit: Duration) -> Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process(command.spawn().with_context(|| format!("can't run {:?}", command.get_program()))?);
    // Pipes are read from the beginning: a full one would stop the child.
    let read = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.map_or(Ok(0), |mut stream| stream.read_to_end(&mut bytes)).map(|_| bytes)
        })
    };
    let stdout = read(process.0.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = read(process.0.stderr.take().map(|stream| Box::new(stream) as _));
    let mut status = None;
    let ended = wait_for("a command to end", limit, || {
        status = process.0.try_wait()?;
        Ok(status.is_some())
    });
    drop(process);
    let join = |thread: std::thread::JoinHandle<std::io::Result<Vec<u8>>>| {
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    };
    let (stdout, stderr) = (join(stdout)?, join(stderr)?);
    ended.with_context(|| format!("{command:?}: {}", String::from_utf8_lossy(&stderr)))?;
    Ok(Output { status: status.context("it has ended")?, stdout, stderr })
}
