//! .
use nlb_tests::{
    golden::{Action, Side, world},
    packet::Packet,
};
#[test]
fn first() {
    let mut world = world();
    let seen = world.send(
        Side::Clients,
        &Packet::udp("198.18.0.101:5000".parse().unwrap(), "198.18.0.10:53".parse().unwrap(), b"x").bytes(),
    );
    println!("{}", seen.describe());
    assert_eq!(seen.action, Action::Pass);
}
