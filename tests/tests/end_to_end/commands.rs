//! The command line, against what really happens.

use std::{collections::BTreeSet, io::ErrorKind, net::SocketAddr};

use nlb_tests::{
    client::UdpClient,
    nlb::Nlb,
    topology::{Topology, vips},
};

use crate::setup::{PORT, all_answer, apply, at, connections, service, tcp_servers, udp_servers};

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
    let clients: BTreeSet<SocketAddr> =
        listed["flows"].as_array().unwrap().iter().map(|flow| flow["client"].as_str().unwrap().parse().unwrap()).collect();
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
    let _servers = udp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    let preserved = service(&network, "preserved", "UDP", &vips(0));
    let translated = service(&network, "translated", "UDP", &vips(1)).preserving(false);
    apply(&nlb, &[preserved, translated]);
    for addr in [vips(0), vips(1)].concat() {
        for client in &network.clients {
            let flow = UdpClient::open(client, at(addr)).unwrap();
            let from = flow.0.local_addr().unwrap().to_string();
            let explained = nlb.json(&["explain", "udp", &from, &at(addr).to_string()]).unwrap();
            let target: SocketAddr = explained["target"].as_str().unwrap().parse().unwrap();
            let met = flow.ask("who?").unwrap().target;
            let met = network.targets.iter().find(|target| target.name == met).unwrap();
            assert_eq!(target, SocketAddr::new(met.addr(addr), PORT), "{explained}");
        }
    }
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
    nlb.cli(&["flow", "delete", "--all"]).unwrap();
    assert_eq!(nlb.counters().unwrap().get("reset_terminated"), ended.len() as u64);
    all_answer(&mut connections(&network.clients[0], &vips(0), 3));
    nlb.check_accounts().unwrap();
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
