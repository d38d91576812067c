//! Much data, unharmed, and connections that last.

use nlb_tests::{
    client::Connection,
    nlb::Nlb,
    topology::{Topology, vips},
};

use crate::setup::{all_answer, apply, at, connections, service, tcp_servers};

const BYTES: u64 = 100_000_000;

fn a_large_transfer_is_byte_identical(preserve: bool) {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "bulk", "TCP", &vips(0)).preserving(preserve)]);
    // Like a WebSocket: quiet for long, but open.
    let mut long = connections(&network.clients[1], &vips(0), 2);
    for addr in vips(0) {
        Connection::open(&network.clients[0], at(addr)).unwrap().download(BYTES).unwrap();
        all_answer(&mut long);
        Connection::open(&network.clients[0], at(addr)).unwrap().upload(BYTES).unwrap();
        all_answer(&mut long);
    }
    assert_eq!(nlb.counters().unwrap().resets(), 0);
}

#[test]
fn a_large_transfer_is_byte_identical_with_client_addresses_preserved() {
    a_large_transfer_is_byte_identical(true);
}

#[test]
fn a_large_transfer_is_byte_identical_with_client_addresses_translated() {
    a_large_transfer_is_byte_identical(false);
}
