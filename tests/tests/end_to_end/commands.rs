//! The command line, against what really happens.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use nlb_tests::{
    nlb::Nlb,
    packet::{Packet, SYN},
    topology::{Topology, vips},
    wait_for,
    wire::Wire,
};
use serde_json::Value;

use crate::setup::{PORT, all_answer, apply, at, connections, service, tcp_servers};

#[test]
fn reading_commands_work_with_the_controller_dead() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let mut nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    let open = connections(&network.clients[0], &vips(0), 3);
    nlb.kill_9();

    let status = nlb.json(&["status"]).unwrap();
    assert!(status["controller"].is_null(), "{status}");
    assert_eq!(status["load_balancers"][0]["name"], "web");
    assert_eq!(status["target_groups"][0]["targets"].as_array().unwrap().len(), 8);
    assert_eq!(status["flows"]["tcp"], open.len());
    assert!(nlb.cli(&["status"]).unwrap().contains("web"));
    assert_eq!(nlb.counters().unwrap().get("established"), open.len() as u64);
    assert!(nlb.cli(&["counters"]).unwrap().contains("established"));

    assert_eq!(nlb.flows(&[]).unwrap(), open.len() as u64);
    let listed = nlb.json(&["flow", "list"]).unwrap();
    let clients: BTreeSet<SocketAddr> = listed["flows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|flow| flow["client"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(clients, open.iter().map(|connection| connection.stream.local_addr().unwrap()).collect());
    let one = open[0].stream.local_addr().unwrap().to_string();
    assert_eq!(nlb.flows(&["--client", &one]).unwrap(), 1);
    let target = network.targets.iter().find(|target| target.name == open[0].talk.target).unwrap();
    let target = SocketAddr::new(target.addr(vips(0)[0]), PORT).to_string();
    let at_target = open.iter().filter(|it| it.talk.target == open[0].talk.target && it.talk.seen.is_ipv4()).count();
    assert_eq!(nlb.flows(&["--target", &target]).unwrap(), at_target as u64);

    let explained = nlb.json(&["explain", "tcp", &one, &at(vips(0)[0]).to_string()]).unwrap();
    assert_eq!(explained["target"], target.as_str(), "{explained}");
    assert!(nlb.cli(&["version"]).unwrap().contains("nlb "));
}

#[test]
fn explain_foretells_the_target() {
    let network = Topology::new().unwrap();
    let nlb = Nlb::start(&network).unwrap();
    let preserved = service(&network, "preserved", "TCP_UDP", &vips(0));
    let translated = service(&network, "translated", "TCP", &vips(1)).preserving(false);
    apply(&nlb, &[preserved, translated]);
    let client = &network.clients[0];
    let wire = Wire::open(&client.ns, "eth0").unwrap();
    let (own, balancer) = (client.ns.mac("eth0").unwrap(), network.balancer.ns.mac("eth0").unwrap());
    let mut first_packets = Vec::new();
    for (n, vip) in [vips(0), vips(1)].concat().into_iter().enumerate() {
        // A client whose kernel does not join in.
        let ip: IpAddr = if vip.is_ipv4() { "198.18.0.200".parse().unwrap() } else { "2001:db8::200".parse().unwrap() };
        for m in 0..4 {
            let from = SocketAddr::new(ip, 40_000 + 10 * n as u16 + m);
            let seq = 1_000_000_007 * (u32::from(m) + 1);
            first_packets.push(("tcp", Packet::tcp(from, at(vip), SYN, seq, 0), seq.to_string()));
            if vips(0).contains(&vip) {
                first_packets.push(("udp", Packet::udp(from, at(vip), b"x"), String::new()));
            }
        }
    }
    let mut targets = BTreeSet::new();
    for (proto, packet, seq) in first_packets {
        let (from, to) = (packet.src.to_string(), packet.dst.to_string());
        let mut question = vec!["explain", proto, &from, &to];
        if proto == "tcp" {
            question.extend(["--seq", &seq]);
        }
        let foretold = nlb.json(&question).unwrap();
        wire.send(&packet.between(own, balancer).bytes()).unwrap();
        let mut flows = Value::Null;
        wait_for("the flow", Duration::from_secs(2), || {
            let listed = nlb.json(&["flow", "list", "--client", &from])?;
            let same = |flow: &&Value| flow["protocol"].as_str().is_some_and(|it| it.eq_ignore_ascii_case(proto));
            flows = listed["flows"].as_array().into_iter().flatten().find(same).cloned().unwrap_or_default();
            Ok(!flows.is_null())
        })
        .unwrap();
        assert_eq!(foretold["target"], flows["target"], "{proto} {from} {to}: {foretold}");
        targets.insert(flows["target"].to_string());
    }
    assert!(targets.len() > 2, "not always the same: {targets:?}");
}

#[test]
fn flows_can_be_ended() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    let mut kept = connections(&network.clients[0], &vips(0), 3);
    let mut ended = connections(&network.clients[1], &vips(0), 3);
    for addr in network.clients[1].addrs() {
        nlb.cli(&["flow", "delete", "--client", &addr.to_string()]).unwrap();
    }
    for connection in &mut ended {
        connection.say("anybody there?").unwrap();
        let error = connection.hear().expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    all_answer(&mut kept);
    let counters = nlb.counters().unwrap();
    assert_eq!(counters.get("reset_terminated"), counters.resets(), "{counters:?}");
    nlb.cli(&["flow", "delete", "--all"]).unwrap();
    for connection in &mut kept {
        // A late acknowledgement may have fetched the reset already.
        assert!(connection.ask("anybody there?").is_err());
    }
    all_answer(&mut connections(&network.clients[0], &vips(0), 3));
}

#[test]
fn a_dry_run_changes_nothing() {
    let network = Topology::new().unwrap();
    let nlb = Nlb::start(&network).unwrap();
    let before = nlb.json(&["status"]).unwrap();
    let file = nlb.path("lb.json").display().to_string();
    let config = nlb_tests::nlb::Service::json(&[service(&network, "web", "TCP", &vips(0))]);
    std::fs::write(&file, config.to_string()).unwrap();
    let said = nlb.cli(&["apply", "-f", &file, "--dry-run"]).unwrap();
    assert!(said.contains("+ listener web TCP:7000 -> web"), "{said}");
    let after = nlb.json(&["status"]).unwrap();
    for part in ["load_balancers", "target_groups", "interfaces"] {
        assert_eq!(before[part], after[part]);
    }
}
