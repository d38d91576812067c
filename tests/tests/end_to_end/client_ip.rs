//! Whom targets see.

use std::net::{IpAddr, SocketAddr};

use nlb_tests::{
    client::{Connection, UdpClient, http_get},
    nlb::{Nlb, Service},
    server::Nginx,
    topology::{Topology, vips},
};

use crate::setup::{apply, at, service, tcp_servers, udp_servers};

#[test]
fn targets_see_the_client_or_the_balancer() {
    let network = Topology::new().unwrap();
    let (_tcp, _udp) = (tcp_servers(&network), udp_servers(&network));
    let nlb = Nlb::start(&network).unwrap();
    let preserved = service(&network, "preserved", "TCP_UDP", &vips(0));
    let translated = service(&network, "translated", "TCP", &vips(1)).preserving(false);
    apply(&nlb, &[preserved, translated]);
    for client in &network.clients {
        for (preserved, translated) in vips(0).into_iter().zip(vips(1)) {
            let connection = Connection::open(client, at(preserved)).unwrap();
            assert_eq!(connection.talk.seen, connection.stream.local_addr().unwrap());
            let flow = UdpClient::open(client, at(preserved)).unwrap();
            assert_eq!(flow.ask("x").unwrap().seen, flow.0.local_addr().unwrap());

            let connection = Connection::open(client, at(translated)).unwrap();
            assert_eq!(connection.talk.seen.ip(), translated);
        }
    }
}

#[test]
fn http_to_a_real_server() {
    let network = Topology::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let _servers: Vec<_> =
        network.targets.iter().map(|target| Nginx::start(target, 8080, dir.path()).unwrap()).collect();
    let nlb = Nlb::start(&network).unwrap();
    // The targets listen on another port than the load balancer.
    let service = |name, n, preserve| Service {
        port: 80,
        ..Service::new(&network, name, "TCP", &vips(n), 8080).preserving(preserve)
    };
    apply(&nlb, &[service("preserved", 0, true), service("translated", 1, false)]);
    let ask = |client, addr: IpAddr| http_get(client, SocketAddr::new(addr, 80)).unwrap();
    for client in &network.clients {
        for (preserved, translated) in vips(0).into_iter().zip(vips(1)) {
            for _ in 0..20 {
                let answer = ask(client, preserved);
                let seen = format!(" {}\n", client.addr(preserved));
                assert!(answer.status == 200 && answer.body.ends_with(&seen), "{answer:?}");
                let answer = ask(client, translated);
                assert!(answer.status == 200 && answer.body.ends_with(&format!(" {translated}\n")), "{answer:?}");
            }
        }
    }
}
