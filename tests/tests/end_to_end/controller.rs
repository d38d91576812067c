//! The controller comes and goes; the data plane stays, until it is told to go.

use std::{path::Path, thread, time::Duration};

use nix::sys::signal::Signal;
use nlb_tests::{
    client::{Connection, Load, UdpClient},
    netns::{BPFFS, Netns, output},
    nlb::{Nlb, Options, Service},
    topology::{Topology, vips},
    wait_for,
};

use crate::setup::{all_answer, apply, at, connections, service, tcp_servers, udp_servers};

/// Requests of all kinds, from both clients.
fn load(network: &Topology) -> Vec<Load> {
    let mut loads = Vec::new();
    for (client, n) in network.clients.iter().zip([0, 1]) {
        for addr in vips(n) {
            let connect = move || Connection::open_here(at(addr));
            let fresh = move |_: &mut ()| {
                connect()?.ask("a connection for each request")?;
                Ok(())
            };
            let kept = |connection: &mut Connection| {
                connection.ask("one connection for all requests")?;
                thread::sleep(Duration::from_millis(2));
                Ok(())
            };
            let datagram = |flow: &mut UdpClient| {
                flow.ask("a datagram")?;
                thread::sleep(Duration::from_millis(2));
                Ok(())
            };
            loads.push(Load::start(client, 1, || Ok(()), fresh));
            loads.push(Load::start(client, 1, connect, kept));
            if vips(0).contains(&addr) {
                loads.push(Load::start(client, 1, move || UdpClient::open_here(at(addr)), datagram));
            }
        }
    }
    loads
}

/// Something happens to the controller under load: no request fails, no connection ends.
fn nothing_is_lost_when(happens: impl FnOnce(&mut Nlb<'_>)) {
    let network = Topology::new().unwrap();
    let (_tcp, _udp) = (tcp_servers(&network), udp_servers(&network));
    let mut nlb = Nlb::start(&network).unwrap();
    let preserved = service(&network, "preserved", "TCP_UDP", &vips(0));
    let translated = service(&network, "translated", "TCP", &vips(1)).preserving(false);
    apply(&nlb, &[preserved, translated]);

    let addresses = [vips(0), vips(1)].concat();
    let mut long = connections(&network.clients[0], &addresses, 5);
    let loads = load(&network);
    thread::sleep(Duration::from_millis(500));
    happens(&mut nlb);
    all_answer(&mut long);
    thread::sleep(Duration::from_millis(500));
    for load in loads {
        load.finish().unwrap();
    }
    all_answer(&mut long);
    let counters = nlb.counters().unwrap();
    assert_eq!(counters.resets(), 0, "{counters:?}");
}

#[test]
fn kill_9_under_load_and_a_restart() {
    nothing_is_lost_when(|nlb| {
        let flows = nlb.flows(&[]).unwrap();
        nlb.kill_9();
        thread::sleep(Duration::from_millis(500));
        assert!(nlb.flows(&[]).unwrap() >= flows, "flows are listed with the controller dead");
        nlb.run().unwrap();
        assert!(nlb.flows(&[]).unwrap() >= flows);
    });
}

#[test]
fn a_new_build_replaces_the_program_under_load() {
    nothing_is_lost_when(|nlb| {
        let program = |nlb: &Nlb<'_>| {
            let shown = nlb.ns().command("ip").args(["-details", "link", "show", "eth0"]).output().unwrap();
            let text = String::from_utf8_lossy(&shown.stdout).into_owned();
            let id = text.split("prog/xdp id ").nth(1).unwrap_or_else(|| panic!("no program: {text}"));
            id.split_whitespace().next().unwrap().to_owned()
        };
        let old = program(nlb);
        for _ in 0..3 {
            assert!(nlb.terminate().unwrap().success());
            nlb.run().unwrap();
        }
        assert_ne!(program(nlb), old);
    });
}

#[test]
fn sigterm_leaves_the_data_plane_forwarding() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let mut nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    let mut before = connections(&network.clients[0], &vips(0), 4);
    assert!(nlb.terminate().unwrap().success());
    all_answer(&mut before);
    all_answer(&mut connections(&network.clients[1], &vips(0), 4));
}

/// Nothing of `nlb` is in this namespace any more.
fn assert_clean(ns: &Netns) {
    let pins = ns.run(|| std::fs::read_dir(Path::new(BPFFS).join("nlb")).map(|dir| dir.count()).unwrap_or(0));
    assert_eq!(pins, 0, "pins are left");
    let links = output(ns.command("ip").args(["-details", "link", "show"])).unwrap();
    assert!(!links.contains("xdp"), "{links}");
    let addresses = output(ns.command("ip").args(["address", "show"])).unwrap();
    for addr in vips(0) {
        assert!(!addresses.contains(&format!("{addr}/")), "{addresses}");
    }
}

#[test]
fn detach_removes_everything() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let mut nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    connections(&network.clients[0], &vips(0), 2);
    nlb.kill_9();
    nlb.cli(&["run", "--detach"]).unwrap();
    assert_clean(&network.balancer.ns);
    // And again from the beginning, with what was stored.
    nlb.run().unwrap();
    nlb.begin_accounts().unwrap();
    all_answer(&mut connections(&network.clients[0], &vips(0), 2));
}

#[test]
fn detach_on_exit() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let options = Options { args: vec!["--detach-on-exit".to_owned()], ..Options::default() };
    let mut nlb = Nlb::prepare(&network.balancer.ns, options).unwrap();
    nlb.run().unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    all_answer(&mut connections(&network.clients[0], &vips(0), 2));
    assert!(nlb.terminate().unwrap().success());
    assert_clean(&network.balancer.ns);
}

#[test]
fn sighup_reads_the_file_again() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let mut nlb = Nlb::prepare(&network.balancer.ns, Options::default()).unwrap();
    let file = nlb.path("services.json");
    let write = |services: &[Service]| std::fs::write(&file, Service::json(services).to_string()).unwrap();
    write(&[service(&network, "one", "TCP", &vips(0))]);
    nlb.add_args(&["--apply", &file.display().to_string()]);
    nlb.run().unwrap();
    all_answer(&mut connections(&network.clients[0], &vips(0), 2));

    write(&[service(&network, "two", "TCP", &vips(1))]);
    nlb.signal(Signal::SIGHUP).unwrap();
    let names = || -> anyhow::Result<Vec<String>> {
        let status = nlb.json(&["status"])?;
        let names = status["load_balancers"].as_array().into_iter().flatten().map(|it| it["name"].to_string());
        Ok(names.collect())
    };
    wait_for("the new load balancer", Duration::from_secs(10), || Ok(names()? == ["\"two\""])).unwrap();
    let open = || Connection::open(&network.clients[0], at(vips(1)[0]));
    wait_for("its address", Duration::from_secs(10), || Ok(open().is_ok())).unwrap();

    // A file that is none changes nothing.
    std::fs::write(&file, "{").unwrap();
    nlb.signal(Signal::SIGHUP).unwrap();
    wait_for("a word about it", Duration::from_secs(10), || Ok(nlb.log().contains("services.json:1:"))).unwrap();
    assert_eq!(names().unwrap(), ["\"two\""]);
    all_answer(&mut connections(&network.clients[0], &vips(1), 2));
}
