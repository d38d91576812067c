//! Mistakes: each is told in one line that says what to do, with exit code 1, and nothing is half applied.

use std::{path::Path, process::Command, time::Duration};

use aya::maps::{Array, Map, MapData};
use nlb_common::layout::{Node, map};
use nlb_tests::{
    netns::{BPFFS, Netns, output},
    nlb::{Nlb, Options, Service},
    topology::{Plan, Topology, vips},
};

use crate::setup::{all_answer, apply, connections, service, tcp_servers};

/// A namespace with an interface that has native XDP.
fn bare() -> Netns {
    let ns = Netns::new("bare").unwrap();
    nlb_tests::netns::veth((&ns, "eth0"), (&ns, "peer")).unwrap();
    ns.ip("link set eth0 up\nlink set peer up").unwrap();
    ns
}

/// Runs a command that must fail with exit code 1, and returns its one line of complaint.
#[track_caller]
fn complaint(command: &mut Command) -> String {
    let done = nlb_tests::nlb::output_within(command, Duration::from_secs(20)).unwrap();
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("nlb: ")).collect();
    assert_eq!(lines.len(), 1, "one line, please:\n{text}");
    assert!(!text.contains("panicked"), "{text}");
    lines[0].to_owned()
}

#[track_caller]
fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

/// Nothing pinned, nothing attached.
#[track_caller]
fn assert_untouched(ns: &Netns) {
    let pins = ns.run(|| std::fs::read_dir(Path::new(BPFFS).join("nlb")).map(|dir| dir.count()).unwrap_or(0));
    assert_eq!(pins, 0, "pins are left");
    let links = output(ns.command("ip").args(["-details", "link", "show"])).unwrap();
    assert!(!links.contains("xdp"), "{links}");
}

fn node<'a>(ns: &'a Netns, interface: &str) -> Nlb<'a> {
    Nlb::prepare(ns, Options { interfaces: interface.to_owned(), ..Options::default() }).unwrap()
}

#[test]
fn unknown_interface() {
    let ns = bare();
    let said = complaint(&mut node(&ns, "eth0,nosuch0").run_command());
    assert_says(&said, &["nosuch0", "eth0", "peer"]);
    assert_untouched(&ns);
}

#[test]
fn missing_privileges() {
    let ns = bare();
    let nlb = node(&ns, "eth0");
    // Whoever we become must be able to read the executable and the file.
    let open = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let binary = nlb.path("nlb");
    std::fs::copy(nlb_tests::nlb::binary().unwrap(), &binary).unwrap();
    [nlb.dir.path(), &binary, &nlb.path("node.toml")].into_iter().for_each(open);
    let mut command = ns.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    command.arg(&binary).args(["run", "--iface", "eth0", "--config"]).arg(nlb.path("node.toml"));
    assert_says(&complaint(&mut command), &["root"]);
    assert_untouched(&ns);
}

#[test]
fn kernel_too_old() {
    let ns = bare();
    let nlb = node(&ns, "eth0");
    let run = nlb.run_command();
    let mut command = ns.command("setarch");
    // With this personality the kernel calls itself 2.6.
    command.args(["--uname-2.6"]).arg(run.get_program()).args(run.get_args());
    assert_says(&complaint(&mut command), &["2.6.", "6.1"]);
    assert_untouched(&ns);
}

#[test]
fn no_native_xdp() {
    let ns = bare();
    ns.ip("link add br0 type bridge\nlink set br0 up").unwrap();
    let said = complaint(&mut node(&ns, "br0").run_command());
    assert_says(&said, &["br0", "native", "--xdp-mode generic"]);
    assert_untouched(&ns);
}

#[test]
fn half_of_the_interfaces_is_none() {
    let ns = bare();
    ns.ip("link add br0 type bridge\nlink set br0 up").unwrap();
    let said = complaint(&mut node(&ns, "eth0,br0").run_command());
    assert_says(&said, &["br0", "--xdp-mode generic"]);
    assert_untouched(&ns);
}

#[test]
fn bpffs_not_mounted() {
    let ns = bare();
    let nlb = node(&ns, "eth0");
    let dir = nlb.path("not-a-bpffs");
    nlb.write_node_toml(&dir).unwrap();
    assert_says(&complaint(&mut nlb.run_command()), &["not-a-bpffs", "mount"]);
    assert_untouched(&ns);
}

#[test]
fn address_already_in_use() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    let (taken, free) = (vips(0), vips(1));
    network.clients[1]
        .ns
        .ip(&format!("addr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad", taken[0], taken[1]))
        .unwrap();
    let services = [service(&network, "taken", "TCP", &taken), service(&network, "free", "TCP", &free)];
    let file = nlb.path("lb.json");
    std::fs::write(&file, Service::json(&services).to_string()).unwrap();
    let mut command = nlb.cli_command(&["apply", "-f", &file.display().to_string()]);
    let owner = network.clients[1].ns.mac("eth0").unwrap().map(|byte| format!("{byte:02x}")).join(":");
    assert_says(&complaint(&mut command), &["taken", "198.18.0.10", &owner]);

    let status = nlb.json(&["status"]).unwrap();
    let state = |name: &str| {
        let all = status["load_balancers"].as_array().unwrap();
        let found = all.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name}: {status}"));
        (found["state"].as_str().unwrap().to_owned(), found["reasons"].to_string())
    };
    let (failed, reasons) = state("taken");
    assert!(failed == "failed" && reasons.contains(&owner), "{status}");
    assert_eq!(state("free").0, "active", "{status}");
    all_answer(&mut connections(&network.clients[0], &free, 2));
}

#[test]
fn map_layout_of_another_version() {
    let network = Topology::build(&Plan { clients: 1, targets: 1, ..Plan::default() }).unwrap();
    let _servers = tcp_servers(&network);
    let mut nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    nlb.kill_9();
    network.balancer.ns.run(|| {
        let pinned = MapData::from_pin(Path::new(BPFFS).join("nlb").join(map::NODE)).unwrap();
        let mut array = Array::<_, Node>::try_from(Map::Array(pinned)).unwrap();
        let node = array.get(&0, 0).unwrap();
        array.set(0, Node { layout: 9999, ..node }, 0).unwrap();
    });
    assert_says(&complaint(&mut nlb.run_command()), &["9999", "--fresh"]);
    // What is there goes on.
    all_answer(&mut connections(&network.clients[0], &vips(0), 2));
    nlb.add_args(&["--fresh"]);
    nlb.run().unwrap();
    nlb.begin_accounts().unwrap();
    all_answer(&mut connections(&network.clients[0], &vips(0), 2));
}

#[test]
fn second_controller_on_the_same_node() {
    let network = Topology::build(&Plan { clients: 1, targets: 1, ..Plan::default() }).unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    let said = complaint(&mut nlb.run_command());
    assert_says(&said, &["another controller", &nlb.pid().unwrap().to_string()]);
    assert!(nlb.json(&["status"]).unwrap()["controller"].is_object(), "the first one still answers");
    all_answer(&mut connections(&network.clients[0], &vips(0), 2));
}

#[test]
fn malformed_file() {
    let network = Topology::build(&Plan { clients: 1, targets: 1, ..Plan::default() }).unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    let good = Service::json(&[service(&network, "web", "TCP", &vips(0))]);
    nlb.apply(&good).unwrap();
    let before = nlb.json(&["status"]).unwrap();
    let bad = |from: &str, to: &str| good.to_string().replacen(from, to, 1);
    for (text, words) in [
        (String::new(), &["bad.json:1:1"][..]),
        ("{".to_owned(), &["bad.json:1:"]),
        (bad("7000", "70000"), &["bad.json:1:", "port", "70000", "65535"]),
        (bad("\"TCP\"", "\"SCTP\""), &["bad.json:1:", "protocol", "SCTP", "TCP"]),
        (bad("198.18.0.10", "198.18.0.300"), &["bad.json:1:", "addresses", "198.18.0.300"]),
        (bad("\"target_group\":\"web\"", "\"target_group\":\"wbe\""), &["bad.json:1:", "wbe"]),
        (bad("\"listeners\"", "\"listener\""), &["bad.json:1:", "listener"]),
    ] {
        let file = nlb.path("bad.json");
        std::fs::write(&file, &text).unwrap();
        let done = nlb.output(&["apply", "-f", &file.display().to_string()]).unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{text}\n{said}");
        assert_says(&said, words);
    }
    let missing = complaint(&mut nlb.cli_command(&["apply", "-f", "/nonexistent/lb.json"]));
    assert_says(&missing, &["/nonexistent/lb.json"]);
    let after = nlb.json(&["status"]).unwrap();
    for part in ["load_balancers", "target_groups"] {
        assert_eq!(before[part], after[part], "a bad file changed something");
    }
    assert_eq!(before["controller"]["revision"], after["controller"]["revision"]);
    all_answer(&mut connections(&network.clients[0], &vips(0), 2));
}

#[test]
fn malformed_file_at_the_start() {
    let ns = bare();
    let mut nlb = node(&ns, "eth0");
    let file = nlb.path("lb.json");
    std::fs::write(&file, "{\"load_balancers\":[7],\"target_groups\":[]}").unwrap();
    nlb.add_args(&["--apply", &file.display().to_string()]);
    assert_says(&complaint(&mut nlb.run_command()), &["lb.json:1:"]);
    assert_untouched(&ns);
    std::fs::write(nlb.path("node.toml"), "max_flow = 1\n").unwrap();
    assert_says(&complaint(&mut nlb.run_command()), &["node.toml:1:1", "max_flow"]);
}

#[test]
fn no_controller_to_ask() {
    let ns = bare();
    let nlb = node(&ns, "eth0");
    std::fs::write(nlb.path("lb.json"), "{}").unwrap();
    let file = nlb.path("lb.json").display().to_string();
    assert_says(&complaint(&mut nlb.cli_command(&["apply", "-f", &file])), &["nlb.sock", "nlb run"]);
    assert_says(&complaint(&mut nlb.cli_command(&["status"])), &["nlb run"]);
    assert_says(&complaint(&mut nlb.cli_command(&["counters"])), &["nlb run"]);
}

#[test]
fn misuse_is_exit_code_2() {
    let ns = bare();
    let nlb = node(&ns, "eth0");
    for args in [&["run", "--iface"][..], &["frobnicate"], &["target", "set-state", "web", "10.0.1.11", "sick"]] {
        assert_eq!(nlb.output(args).unwrap().status.code(), Some(2), "{args:?}");
    }
    // Whether an interface has to be named depends on node.toml.
    assert_says(&complaint(&mut nlb.cli_command(&["run"])), &["--iface", "node.toml", "--no-dataplane"]);
}

#[test]
fn a_controller_that_fails_to_start_leaves_a_running_one_alone() {
    // The same pins, but another process that holds the interface's XDP.
    let ns = bare();
    let mut first = node(&ns, "eth0");
    first.run().unwrap();
    let second = Nlb::prepare(&ns, Options { bpffs: Path::new(BPFFS).join("other"), ..Options::default() }).unwrap();
    let said = complaint(&mut second.run_command());
    assert_says(&said, &["eth0", "already"]);
    let links = output(ns.command("ip").args(["-details", "link", "show", "eth0"])).unwrap();
    assert!(links.contains("prog/xdp"), "{links}");
    let others = ns.run(|| std::fs::read_dir(Path::new(BPFFS).join("other")).map(|dir| dir.count()).unwrap_or(0));
    assert_eq!(others, 0, "what the second one had pinned is gone");
}

#[test]
fn a_take_over_that_fails_changes_nothing() {
    let ns = bare();
    ns.ip("link add br0 type bridge\nlink set br0 up").unwrap();
    let mut nlb = node(&ns, "eth0");
    nlb.run().unwrap();
    nlb.kill_9();
    let before = nlb.json(&["status"]).unwrap();
    let file = nlb.path("lb.json");
    let config = "{\"load_balancers\":[],\"target_groups\":[{\"name\":\"web\",\"protocol\":\"TCP\",\"port\":80,\
                  \"target_type\":\"ip\",\"targets\":[]}]}";
    std::fs::write(&file, config).unwrap();
    // The second interface is fine, the third has no native XDP.
    nlb.add_args(&["--iface", "peer,br0", "--apply", &file.display().to_string()]);
    assert_says(&complaint(&mut nlb.run_command()), &["br0", "--xdp-mode generic"]);
    let after = nlb.json(&["status"]).unwrap();
    assert_eq!(before, after, "a start that failed changed something");
    assert_eq!(nlb.json(&["store", "check"]).unwrap()["revision"], 0, "the file was stored");
}
