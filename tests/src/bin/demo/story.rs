//! What the demo shows, act by act.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nlb_tests::{
    aws::{API, Aws},
    nlb::Nlb,
    wait_for,
};

use crate::{
    keeper, resources,
    scene::{self, Scene},
    stop::{self, say},
    table::{self, indent, share, thousands},
    traffic::{self, Http, Progress, Tally, Way},
};

/// HTTP requests, and UDP datagrams.
const MANY: u64 = 10_000;
/// HTTP requests of the last act.
const SOME: u64 = 1_000;
/// Which target falls ill.
const PATIENT: usize = 2;

/// The whole demo.
pub fn tell(binary: &Path, keep: bool) -> Result<()> {
    let start = Instant::now();
    say!("\n  clients ── load balancer ── targets, each in a network namespace of its own\n");
    {
        let scene = Scene::build(keep)?;
        say!("  2 clients, 4 targets with nginx and a UDP echo");
        let mut nlb = Nlb::prepare(&scene.network.balancer.ns, scene.options(binary))?;
        acts(&mut nlb, &scene)?;
        say!("  That took {:.0} s.\n", start.elapsed().as_secs_f64());
        if keep {
            return keeper::hold(&nlb, binary);
        }
    }
    say!(
        "  Everything is removed. What next:\n
    cargo xtask demo --keep            the same, and the network stays up to play with
    cargo xtask test                   what this demo shows, and much more, as tests
    cargo xtask run -- --iface eth1    on a network card of your own; see README.md\n"
    );
    Ok(())
}

fn acts(nlb: &mut Nlb<'_>, scene: &Scene) -> Result<()> {
    begin(nlb, scene)?;
    let requests = http_and_kill(nlb, scene)?;
    let datagrams = udp(scene)?;
    let names = || scene.network.targets.iter().map(|target| target.name.as_str());
    let columns = [("requests", &requests.targets), ("datagrams", &datagrams.targets), ("UDP flows", &datagrams.flows)];
    say!("\n{}", table::of(names(), &columns));
    say!("  Client addresses as targets saw them");
    say!("    with client IP preservation   {}", list(&requests.preserved));
    say!("    without                       {}\n", list(&requests.translated));

    let spread = unhealthy(nlb, scene)?;
    say!("\n{}", table::of(names(), &[("requests", &spread.targets)]));
    let counters = nlb.cli(&["counters"])?;
    // What follows the empty line is by listener and target.
    let reasons = counters.split("\n\n").next().unwrap_or_default();
    say!("  nlb counters: what became of every packet\n\n{}", indent(reasons));
    Ok(())
}

/// Starts the controller, applies the configuration, waits until every way is open.
fn begin(nlb: &mut Nlb<'_>, scene: &Scene) -> Result<()> {
    nlb.run()?;
    let status = nlb.json(&["status"])?;
    let mode = status["interfaces"][0]["mode"].as_str().unwrap_or("?");
    let pid = nlb.pid().unwrap_or_default();
    say!("  nlb run --iface {}   pid {pid}, {mode} XDP", scene.network.interfaces());
    let (balancers, groups) = (scene::BALANCERS.len(), scene::GROUPS.len());
    match Aws::find(&scene.network.balancer.ns) {
        Some(aws) => {
            let calls = resources::create(&aws, &scene.network)?;
            say!(
                "  aws elbv2 ... --endpoint-url http://{API}   {balancers} load balancers, {groups} target groups: {calls} calls\n"
            );
        }
        None => {
            nlb.apply(&scene.config())?;
            say!("  nlb apply -f lb.json   {balancers} load balancers, {groups} target groups\n");
        }
    }
    for way in Way::ALL {
        let open = || Http::open(way.http()).is_ok_and(|mut http| http.get().is_ok());
        let client = &scene.network.clients[0];
        wait_for(&format!("an answer from {}", way.http()), Duration::from_secs(20), || {
            stop::check()?;
            Ok(client.ns.run(open))
        })?;
    }
    Ok(())
}

/// Many requests, while the controller is killed and started again.
fn http_and_kill(nlb: &mut Nlb<'_>, scene: &Scene) -> Result<Tally> {
    say!(
        "  {} HTTP requests, each on a connection of its own: IPv4 and IPv6, with and without client IP preservation",
        thousands(MANY)
    );
    let client = &scene.network.clients[0].ns;
    let mut old = client.run(|| Http::open(Way::ALL[0].http())).context("the first connection")?;
    let first = old.get().context("the first connection")?;

    let progress = Progress::new(MANY, 1_500);
    let tally = traffic::http(&scene.network.clients, &progress, || {
        progress.reach(30)?;
        let pid = nlb.pid().unwrap_or_default();
        nlb.kill_9();
        progress.say(&format!(
            "  {:>6}  kill -9 {pid}: no controller; the program in the kernel goes on",
            thousands(progress.done())
        ));
        progress.reach(60)?;
        let start = Instant::now();
        nlb.run()?;
        let line = format!(
            "  {:>6}  nlb run again (pid {}): took over in {:.1} s",
            thousands(progress.done()),
            nlb.pid().unwrap_or_default(),
            start.elapsed().as_secs_f64()
        );
        progress.say(&line);
        Ok(())
    })?;
    none_failed("requests", MANY, &tally)?;
    let last = old.get().context("the connection that was open before the kill")?;
    ensure!(last.target == first.target, "a connection went from {} to {}", first.target, last.target);
    say!("  {:>6}  0 failed; a connection from before the kill is still open, to {}\n", thousands(MANY), last.target);
    Ok(tally)
}

fn udp(scene: &Scene) -> Result<Tally> {
    say!("  {} UDP datagrams in flows over IPv4, each echoed", thousands(MANY));
    let tally = traffic::udp(&scene.network.clients, &Progress::new(MANY, 4_000))?;
    none_failed("datagrams", MANY, &tally)?;
    let flows = tally.flows.values().sum();
    say!("  {:>6}  0 lost; {} flows, each to one target all the time", thousands(MANY), thousands(flows));
    Ok(tally)
}

/// One target falls ill: its connections are reset, all others stay, new ones go elsewhere.
fn unhealthy(nlb: &Nlb<'_>, scene: &Scene) -> Result<Tally> {
    let (client, patient) = (&scene.network.clients[0].ns, &scene.network.targets[PATIENT].name);
    let mut open = Vec::new();
    while (0..scene.network.targets.len())
        .any(|n| !open.iter().any(|(_, target)| *target == scene.network.targets[n].name))
    {
        ensure!(open.len() < 500, "500 connections, and one target has none of them");
        let mut http = client.run(|| Http::open(Way::ALL[0].http()))?;
        let target = http.get()?.target;
        open.push((http, target));
    }

    let members = scene.members(PATIENT);
    for (group, target) in &members {
        nlb.cli(&["target", "set-state", group, target, "unhealthy"])?;
    }
    let (group, target) = &members[0];
    say!("  nlb target set-state {group} {target} unhealthy   and the same for its other ports: {patient} is out");
    let (mut reset, mut stayed) = (0, 0);
    for (http, target) in &mut open {
        match http.get() {
            Ok(answer) if answer.target == *target && target != patient => stayed += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionReset && target == patient => reset += 1,
            Ok(answer) => bail!("a connection to {target} was answered by {}", answer.target),
            Err(error) => bail!("a connection to {target} ended: {error}"),
        }
    }
    say!("          open connections to it: {reset}, reset by the load balancer at the next request (ECONNRESET)");
    say!("          open connections to others: {stayed}, untouched");

    let tally = traffic::http(&scene.network.clients, &Progress::new(SOME, 1_500), || Ok(()))?;
    none_failed("requests", SOME, &tally)?;
    let still = tally.targets.get(patient).copied().unwrap_or_default();
    ensure!(still == 0, "{patient} is unhealthy and got {still} requests");
    say!("          new requests: {}, 0 failed, {} to {patient}", thousands(SOME), share(still, &tally.targets));
    for (group, target) in &members {
        nlb.cli(&["target", "set-state", group, target, "auto"])?;
    }
    Ok(tally)
}

fn none_failed(what: &str, total: u64, tally: &Tally) -> Result<()> {
    if let Some(first) = tally.failed.first() {
        bail!("{} of {} {what} failed; the first: {first}", thousands(tally.failed.len() as u64), thousands(total));
    }
    Ok(())
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}
