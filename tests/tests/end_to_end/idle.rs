//! Connections that nobody uses.

use std::{io::ErrorKind, net::IpAddr, thread, time::Duration};

use nlb_tests::{
    client::Connection,
    nlb::Nlb,
    topology::{Topology, vips},
    wait_for,
};

use crate::setup::{apply, connections, service, tcp_servers};

/// The timeout, in seconds; and longer than it, for the clock's grain too.
const IDLE_S: u32 = 2;
const LONGER: Duration = Duration::from_millis(3500);

fn services(network: &Topology, nlb: &Nlb<'_>) -> Vec<IpAddr> {
    let preserved = service(network, "preserved", "TCP", &vips(0)).idle(IDLE_S);
    let translated = service(network, "translated", "TCP", &vips(1)).preserving(false).idle(IDLE_S);
    apply(nlb, &[preserved, translated]);
    [vips(0), vips(1)].concat()
}

/// The kernel of this end says that the connection was reset.
#[track_caller]
fn assert_reset(connection: &mut Connection) {
    let error = connection.hear().expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

#[test]
fn data_after_the_timeout_is_answered_with_a_reset() {
    let network = Topology::new().unwrap();
    let servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    let addresses = services(&network, &nlb);

    let mut by_client = connections(&network.clients[0], &addresses, 2);
    let mut by_target = connections(&network.clients[1], &addresses, 2);
    // The target speaks first, when its connection has been idle for longer than the timeout.
    for connection in &mut by_target {
        connection.say(&format!("later {} too late", LONGER.as_millis())).unwrap();
    }
    thread::sleep(LONGER);
    for connection in &mut by_client {
        connection.say("too late").unwrap();
        assert_reset(connection);
    }
    let resets =
        || servers.iter().flat_map(|server| server.endings()).filter(|it| it.error.is_some()).collect::<Vec<_>>();
    let told = || Ok(resets().len() == by_target.len());
    wait_for("the targets' kernels to hear of it", Duration::from_secs(5), told)
        .unwrap_or_else(|error| panic!("{error}: {:?}", resets()));
    assert!(resets().iter().all(|it| it.error == Some(ErrorKind::ConnectionReset)), "{:?}", resets());
    // The other side hears of it when it speaks, too.
    for connection in &mut by_target {
        connection.say("too late").unwrap();
        assert_reset(connection);
    }
    let counters = nlb.counters().unwrap();
    assert_eq!(counters.get("reset_idle"), counters.resets(), "{counters:?}");
    assert!(counters.get("reset_idle") >= (by_client.len() + 2 * by_target.len()) as u64);
}

#[test]
fn traffic_from_either_side_keeps_a_connection_alive() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    let addresses = services(&network, &nlb);
    let mut by_client = connections(&network.clients[0], &addresses, 1);
    let mut by_target = connections(&network.clients[1], &addresses, 1);
    for connection in &mut by_target {
        connection.say("ticks 5 1200").unwrap();
    }
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(1200));
        for connection in &mut by_client {
            assert_eq!(connection.ask("still here").unwrap(), "still here");
        }
    }
    for connection in &mut by_target {
        for _ in 0..5 {
            assert_eq!(connection.hear().unwrap(), "tick");
        }
    }
    assert_eq!(nlb.counters().unwrap().resets(), 0);
}
