//! `--keep`: a process of its own tells the story, stays behind, and holds the network until `--clean` ends it.

use std::{
    fs,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::{Pid, setsid},
};
use nlb_tests::{nlb::Nlb, wait_for};

use crate::stop::{self, say};

/// What the names of kept namespaces begin with.
pub const PREFIX: &str = "nlb-demo";
/// Where the files of a kept network are.
pub const DIR: &str = "/run/nlb-demo";
/// How long the network takes to come down at most.
const PATIENCE: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(50);

fn file(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// Where the BPF file system of a kept balancer is mounted: not on /sys, which `ip netns exec` mounts anew.
pub fn bpffs() -> PathBuf {
    file("bpf")
}

/// The process id that was written down.
fn noted() -> Option<i32> {
    fs::read_to_string(file("pid")).ok()?.trim().parse().ok()
}

/// The process that holds a kept network.
fn holder() -> Option<Pid> {
    let pid = noted()?;
    // Once it has ended, the number may be somebody else's.
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    program.file_name()?.to_string_lossy().starts_with("demo").then(|| Pid::from_raw(pid))
}

/// Starts the process that stays, and follows it until its story is told.
pub fn start(nlb: &Path) -> Result<()> {
    if let Some(pid) = holder() {
        bail!("a kept demo is there already (pid {pid}); remove it with: cargo xtask demo --clean");
    }
    remove_remains();
    fs::create_dir_all(DIR).with_context(|| format!("cannot make {DIR}"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--nlb").arg(nlb).args(["--keep", "--stay"]).stdin(Stdio::null());
    // SAFETY: setsid is a system call and nothing else.
    unsafe { command.pre_exec(|| Ok(setsid().map(drop)?)) };
    let mut child = command.spawn().context("cannot start the process that stays behind")?;
    let pid = Pid::from_raw(child.id() as i32);
    fs::write(file("pid"), pid.to_string())?;
    let mut passed_on = false;
    while !file("ready").exists() {
        if let Some(status) = child.try_wait()? {
            remove_remains();
            // It has said itself what was wrong.
            std::process::exit(status.code().unwrap_or(1));
        }
        if stop::asked() && !passed_on {
            kill(pid, Signal::SIGTERM)?;
            passed_on = true;
        }
        sleep(TICK);
    }
    Ok(())
}

/// Says how to get in, and holds everything until it is asked to stop.
pub fn hold(nlb: &Nlb<'_>, binary: &Path) -> Result<()> {
    symlink(binary, file("nlb"))?;
    symlink(nlb.path("node.toml"), file("node.toml"))?;
    fs::write(file("lb.json"), nlb.cli(&["export"])?)?;
    symlink(nlb.path("log"), file("log"))?;
    let balancer = format!("sudo ip netns exec {PREFIX}-balancer");
    let cli = format!("{balancer} {DIR}/nlb --config {DIR}/node.toml");
    say!(
        "  Everything is still up:\n
    a request         sudo ip netns exec {PREFIX}-client-0 curl http://198.18.0.10/
    over IPv6         sudo ip netns exec {PREFIX}-client-0 curl 'http://[2001:db8::10]/'
    what there is     {cli} status
    connections       {cli} flow list
    why that target   {cli} explain tcp 198.18.0.101:40000 198.18.0.10:80
    what was counted  {cli} counters
    other targets     edit {DIR}/lb.json, then
                      {cli} apply -f {DIR}/lb.json
    what is logged    sudo tail -f {DIR}/log
    a shell inside    {balancer} bash

  Remove it: cargo xtask demo --clean"
    );
    fs::write(file("ready"), "")?;
    while !stop::asked() {
        sleep(TICK);
    }
    Ok(())
}

/// Removes a kept network.
pub fn clean() -> Result<()> {
    let holder = holder();
    if let Some(pid) = holder {
        kill(pid, Signal::SIGTERM)?;
        wait_for("the kept demo to end", PATIENCE, || Ok(kill(pid, None) == Err(Errno::ESRCH)))?;
    }
    remove_remains();
    say!("{}", if holder.is_some() { "The kept demo is removed." } else { "No demo was kept." });
    Ok(())
}

/// What a holder that was killed could not remove itself.
fn remove_remains() {
    for name in beginning_with(Path::new("/run/netns"), &format!("{PREFIX}-")) {
        let _says_why_not = Command::new("ip").args(["netns", "del"]).args(name.file_name()).status();
    }
    if let Some(pid) = noted() {
        for dir in beginning_with(&std::env::temp_dir(), &format!("nlb-{pid}-")) {
            let _not_ours = fs::remove_dir_all(dir);
        }
    }
    let _not_mounted = umount2(&bpffs(), MntFlags::MNT_DETACH);
    let _not_there = fs::remove_dir_all(DIR);
}

/// What in a directory begins so.
fn beginning_with(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    entries.filter(named).collect()
}
