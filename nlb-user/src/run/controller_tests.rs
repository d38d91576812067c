//! Changes, from the request to the maps, with store and maps in memory.

use std::{net::SocketAddr, time::Duration};

use nlb_common::layout::{Endpoint, state};

use super::*;
use crate::{
    model::Arn,
    net::Claim,
    reconcile::fake::FakeMaps,
    store::{MemoryStore, Records},
};

const FILE: &str = r#"{
    "load_balancers":[{"name":"web","addresses":["198.18.0.10"],
        "listeners":[{"protocol":"TCP","port":80,"target_group":"web"}]}],
    "target_groups":[{"name":"web","protocol":"TCP","port":8080,"target_type":"ip",
        "targets":[{"id":"10.0.1.11","port":8080},{"id":"10.0.1.12","port":8080}]}]}"#;

fn controller(store: MemoryStore, maps: &FakeMaps) -> Controller<MemoryStore> {
    let inherited = Addresses::inherited(maps.actual.vips.keys().map(|addr| IpAddr::from(*addr)));
    Controller::new(store, Secret { k0: 1, k1: 2 }, Settings::of(&Node::default()), Some(inherited)).unwrap()
}

fn apply(json: &str) -> Request {
    Request::Apply { text: json.to_owned(), file: "lb.json".to_owned(), dry_run: false }
}

/// `RegisterTargets` or `DeregisterTargets` of one target of the group `web`.
fn targets(controller: &Controller<MemoryStore>, operation: &str, address: &str) -> Request {
    let (id, port) = address.split_once(':').unwrap();
    let arn: &Arn = controller.state.target_groups.keys().next().unwrap();
    let input = json!({"TargetGroupArn": arn, "Targets": [{"Id": id, "Port": port}]});
    Request::Call { operation: operation.to_owned(), input }
}

fn register(controller: &Controller<MemoryStore>, address: &str) -> Request {
    targets(controller, "RegisterTargets", address)
}

fn deregister(controller: &Controller<MemoryStore>, address: &str) -> Request {
    targets(controller, "DeregisterTargets", address)
}

fn set_state(address: &str, state: Health) -> Request {
    Request::SetState { group: "web".into(), target: address.to_owned(), state }
}

fn records(controller: &Controller<MemoryStore>) -> Records {
    controller.store.get().unwrap()
}

fn ask(controller: &mut Controller<MemoryStore>, maps: &mut FakeMaps, request: &Request) -> Result<Applied, String> {
    let (new, _) = controller.after(request).map_err(|error| failure::text(&error))?;
    controller.change(Some(maps), new, false).map_err(|error| failure::text(&error))
}

/// Asks for a change of one target.
fn change(
    controller: &mut Controller<MemoryStore>,
    maps: &mut FakeMaps,
    request: fn(&Controller<MemoryStore>, &str) -> Request,
    address: &str,
) -> Result<Applied, String> {
    let request = request(controller, address);
    ask(controller, maps, &request)
}

/// A controller that serves [`FILE`].
fn serving() -> (FakeMaps, Controller<MemoryStore>) {
    let mut maps = FakeMaps::default();
    let mut controller = controller(MemoryStore::default(), &maps);
    ask(&mut controller, &mut maps, &apply(FILE)).unwrap();
    for address in controller.addresses.take_unclaimed(Instant::now(), false) {
        controller.addresses.claimed(address, Ok(Claim::Ours), Instant::now());
    }
    controller.reconcile(&mut maps).unwrap();
    (maps, controller)
}

fn state_of(maps: &FakeMaps, address: &str) -> u8 {
    let address: SocketAddr = address.parse().unwrap();
    let is = |endpoint: &Endpoint| (IpAddr::from(endpoint.addr), endpoint.port.get()) == (address.ip(), address.port());
    let index = maps.actual.backends.iter().find(|(endpoint, _)| is(endpoint)).map(|(_, index)| *index).unwrap();
    maps.actual.targets[&index].state
}

#[test]
fn an_address_is_served_when_it_is_claimed_and_not_before() {
    let mut maps = FakeMaps::default();
    let mut controller = controller(MemoryStore::default(), &maps);
    let applied = ask(&mut controller, &mut maps, &apply(FILE)).unwrap();
    assert_eq!(applied.revision, 1);
    assert!(applied.changes.iter().any(|change| change.contains("listener web TCP:80")), "{applied:?}");
    assert!(maps.actual.vips.is_empty() && maps.actual.listeners.is_empty());
    assert_eq!(controller.reconcile(&mut maps).unwrap(), 0, "all that can be done without the address is done");
    let address = controller.addresses.take_unclaimed(Instant::now(), false)[0];
    assert!(controller.addresses.claimed(address, Ok(Claim::Ours), Instant::now()));
    controller.reconcile(&mut maps).unwrap();
    assert_eq!((maps.actual.vips.len(), maps.actual.listeners.len()), (1, 1));
}

#[test]
fn applying_twice_writes_nothing_and_stores_nothing() {
    let (mut maps, mut controller) = serving();
    let (writes, revision) = (maps.writes, records(&controller).revision);
    let applied = ask(&mut controller, &mut maps, &apply(FILE)).unwrap();
    assert_eq!(applied.changes, [] as [&str; 0]);
    assert_eq!((maps.writes, records(&controller).revision), (writes, revision));
}

#[test]
fn a_bad_file_changes_nothing() {
    let (mut maps, mut controller) = serving();
    let before = (maps.actual.clone(), records(&controller));
    let refusal =
        ask(&mut controller, &mut maps, &apply(&FILE.replace("\"port\":80,", "\"port\":70000,"))).unwrap_err();
    assert!(refusal.starts_with("lb.json:3:"), "{refusal}");
    assert_eq!((maps.actual, records(&controller)), before);
}

#[test]
fn what_does_not_fit_is_not_stored() {
    let (mut maps, mut controller) = serving();
    let targets: Vec<String> =
        (0..17_000).map(|i| format!(r#"{{"id":"10.1.{}.{}","port":8080}}"#, i / 250, 1 + i % 250)).collect();
    let json = FILE.replace(r#"{"id":"10.0.1.11","port":8080}"#, &targets.join(","));
    let before = (maps.actual.clone(), records(&controller));
    let refusal = ask(&mut controller, &mut maps, &apply(&json)).unwrap_err();
    assert!(refusal.contains("targets"), "{refusal}");
    assert_eq!((maps.actual, records(&controller)), before);
}

#[test]
fn a_dry_run_only_tells() {
    let mut maps = FakeMaps::default();
    let mut controller = controller(MemoryStore::default(), &maps);
    let (new, _) = controller.after(&apply(FILE)).unwrap();
    let applied = controller.change(Some(&mut maps), new, true).unwrap();
    assert!(applied.dry_run && !applied.changes.is_empty());
    assert_eq!((records(&controller).revision, maps.writes), (0, 0));
}

#[test]
fn targets_come_and_go() {
    let (mut maps, mut controller) = serving();
    change(&mut controller, &mut maps, register, "10.0.1.13:8080").unwrap();
    assert_eq!(state_of(&maps, "10.0.1.13:8080"), state::SERVING);
    let twice = change(&mut controller, &mut maps, register, "10.0.1.13:8080").unwrap();
    assert_eq!(twice.changes, [] as [&str; 0], "registering again is no change");
    change(&mut controller, &mut maps, deregister, "10.0.1.13:8080").unwrap();
    assert_eq!(state_of(&maps, "10.0.1.13:8080"), state::DRAINING);
    // A sweep that began before the last write says nothing about what was written.
    assert!(!controller.swept(HashSet::new(), Instant::now() - Duration::from_secs(60)));
    assert!(controller.swept(HashSet::new(), Instant::now() + Duration::from_secs(60)));
    controller.reconcile(&mut maps).unwrap();
    assert!(maps.actual.backends.keys().all(|endpoint| IpAddr::from(endpoint.addr).to_string() != "10.0.1.13"));
}

#[test]
fn overrides_are_stored_and_taken_back() {
    let (mut maps, mut controller) = serving();
    let set = |state| set_state("10.0.1.11:8080", state);
    let applied = ask(&mut controller, &mut maps, &set(Health::Unhealthy)).unwrap();
    assert_eq!(applied.changes, ["~ target web 10.0.1.11:8080: state auto -> unhealthy"]);
    assert_eq!(state_of(&maps, "10.0.1.11:8080"), state::UNHEALTHY);
    assert_eq!(controller.state.overrides.len(), 1);
    assert_eq!(controller.desired(Instant::now()).overrides[0].state, Health::Unhealthy);
    ask(&mut controller, &mut maps, &set(Health::Auto)).unwrap();
    assert_eq!(state_of(&maps, "10.0.1.11:8080"), state::SERVING);
    assert!(controller.state.overrides.is_empty());
}

#[test]
fn an_override_needs_a_target_and_goes_with_it() {
    let (mut maps, mut controller) = serving();
    let set = |address| set_state(address, Health::Unhealthy);
    let refusal = ask(&mut controller, &mut maps, &set("10.9.9.9:1")).unwrap_err();
    assert!(refusal.contains("10.9.9.9:1"), "{refusal}");
    ask(&mut controller, &mut maps, &set("10.0.1.11:8080")).unwrap();
    change(&mut controller, &mut maps, deregister, "10.0.1.11:8080").unwrap();
    assert!(controller.state.overrides.is_empty());
}

#[test]
fn a_new_controller_takes_over_without_a_write() {
    let (mut maps, old) = serving();
    let writes = maps.writes;
    let mut new = controller(old.store, &maps);
    assert_eq!(new.reconcile(&mut maps).unwrap(), 0);
    assert_eq!(maps.writes, writes);
}

#[test]
fn one_whose_store_is_lost_takes_over_with_the_file() {
    let (mut maps, old) = serving();
    drop(old);
    let writes = maps.writes;
    let mut new = controller(MemoryStore::default(), &maps);
    ask(&mut new, &mut maps, &apply(FILE)).unwrap();
    assert_eq!((maps.writes, new.addresses.withheld().len()), (writes, 0));
}

#[test]
fn maps_that_fail_after_the_store_are_mended_later() {
    let (mut maps, mut controller) = serving();
    maps.dies_after = Some(0);
    let error = change(&mut controller, &mut maps, register, "10.0.1.13:8080").unwrap_err();
    assert!(error.contains("stored as revision 2"), "{error}");
    assert_eq!(records(&controller).revision, 2);
    maps.dies_after = None;
    assert!(controller.reconcile(&mut maps).unwrap() > 0);
    assert_eq!(state_of(&maps, "10.0.1.13:8080"), state::SERVING);
}

#[test]
fn a_lost_next_hop_is_told_and_kept_in_the_maps() {
    let (mut maps, mut controller) = serving();
    let address: IpAddr = "10.0.1.11".parse().unwrap();
    let hop = Hop { ifindex: 3, dst_mac: [2; 6], src_mac: [4; 6] };
    controller.resolved([(address, Resolution::Hop(hop))].into());
    controller.reconcile(&mut maps).unwrap();
    assert!(!controller.knows_all_hops());
    controller.resolved([(address, Resolution::Unresolved { why: "no answer".into() })].into());
    controller.reconcile(&mut maps).unwrap();
    assert_eq!(controller.desired(Instant::now()).unresolved[0].reason, "no answer");
    assert!(maps.actual.targets.values().any(|target| target.hop == hop));
}
