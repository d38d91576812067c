//! Tests of applying files one after the other: who stays who they are, and what is never taken away.

use std::sync::Arc;

use jiff::ToSpan as _;
use serde_json::{Value, json};

use super::super::*;
use crate::{
    model::{State, TargetKey},
    ops::testing::World,
    store::Override,
};

/// Applies a file to the world.
fn put(world: &mut World, file: &Value) -> Result<Vec<String>, String> {
    let document = read(&file.to_string(), "lb.json").map_err(|invalid| invalid.to_string())?;
    let next = apply(&document, &world.state, &world.context()).map_err(|invalid| invalid.to_string())?;
    let told = changes(&world.state, &next).iter().map(ToString::to_string).collect();
    world.state = next;
    world.now += 1.second();
    Ok(told)
}

fn group(name: &str, targets: &[&str]) -> Value {
    let targets: Vec<Value> = targets.iter().map(|id| json!({"id": id})).collect();
    json!({"name": name, "protocol": "TCP", "port": 80, "target_type": "ip", "targets": targets})
}

fn balancer(name: &str, subnets: &[&str], listeners: &[(u16, &str)]) -> Value {
    let listener = |(port, group): &(u16, &str)| json!({"protocol": "TCP", "port": port, "target_group": group});
    let listeners: Vec<Value> = listeners.iter().map(listener).collect();
    json!({"name": name, "subnets": subnets, "listeners": listeners})
}

fn file(balancers: &[Value], groups: &[Value]) -> Value {
    json!({"load_balancers": balancers, "target_groups": groups})
}

fn web() -> Value {
    file(&[balancer("web", &["subnet-a", "subnet-b"], &[(80, "web")])], &[group("web", &["10.0.1.11", "10.0.2.11"])])
}

fn addresses(state: &State, name: &str) -> Vec<String> {
    state.load_balancer_named(name).unwrap().all_addresses().map(|address| address.to_string()).collect()
}

#[test]
fn applying_again_changes_nothing() {
    let mut world = World::new();
    let told = put(&mut world, &web()).unwrap();
    assert_eq!(
        told,
        [
            "+ load balancer web",
            "+ zone web us-east-1a subnet-a",
            "+ zone web us-east-1b subnet-b",
            "+ listener web TCP:80 -> web",
            "+ target group web TCP:80",
            "+ target web 10.0.1.11:80",
            "+ target web 10.0.2.11:80",
        ]
    );
    let before = world.state.clone();
    assert_eq!(put(&mut world, &web()), Ok(vec![]));
    assert_eq!(world.state, before);
    assert!(world.state.changes_to(&before).is_empty());
    let shared = |one: &State, other: &State| {
        one.load_balancers.values().zip(other.load_balancers.values()).all(|(one, other)| Arc::ptr_eq(one, other))
            && one.listeners.values().zip(other.listeners.values()).all(|(one, other)| Arc::ptr_eq(one, other))
            && one.target_groups.values().zip(other.target_groups.values()).all(|(one, other)| Arc::ptr_eq(one, other))
    };
    assert!(shared(&world.state, &before), "what does not change is not copied");
}

#[test]
fn who_is_there_by_name_stays_who_they_are() {
    let mut world = World::new();
    put(&mut world, &web()).unwrap();
    let before = world.state.clone();
    let mut changed = web();
    changed["load_balancers"][0]["scheme"] = json!("internal");
    changed["load_balancers"][0]["ip_address_type"] = json!("dualstack");
    changed["load_balancers"][0]["attributes"] = json!({"load_balancing.cross_zone.enabled": "true"});
    changed["load_balancers"][0]["listeners"][0]["protocol"] = json!("TLS");
    changed["load_balancers"][0]["listeners"][0]["certificates"] = json!([crate::ops::testing::certificate(1)]);
    changed["target_groups"][0]["port"] = json!(8080);
    changed["target_groups"][0]["health_check"] = json!({"protocol": "HTTP", "interval_seconds": 10});
    changed["target_groups"][0]["tags"] = json!({"team": "web"});
    changed["target_groups"][0]["targets"] = json!([{"id": "10.0.1.11", "port": 80}, {"id": "10.0.2.11", "port": 80}]);
    let told = put(&mut world, &changed).unwrap();
    let ipv6: Vec<String> = world
        .state
        .load_balancers
        .values()
        .next()
        .unwrap()
        .zones
        .iter()
        .map(|zone| zone.ipv6.unwrap().to_string())
        .collect();
    assert_eq!(
        told,
        [
            "~ load balancer web: scheme internet-facing -> internal".to_owned(),
            "~ load balancer web: ip_address_type ipv4 -> dualstack".to_owned(),
            "~ load balancer web: load_balancing.cross_zone.enabled default -> true".to_owned(),
            format!("~ zone web us-east-1a: ipv6 none -> {}", ipv6[0]),
            format!("~ zone web us-east-1b: ipv6 none -> {}", ipv6[1]),
            "~ listener web TLS:80: protocol TCP -> TLS".to_owned(),
            format!("~ listener web TLS:80: certificates none -> {}", crate::ops::testing::certificate(1)),
            "~ listener web TLS:80: ssl_policy none -> ELBSecurityPolicy-2016-08".to_owned(),
            "~ target group web: port 80 -> 8080".to_owned(),
            "~ target group web: health_check.protocol TCP -> HTTP".to_owned(),
            "~ target group web: health_check.path none -> /".to_owned(),
            "~ target group web: health_check.matcher none -> 200-399".to_owned(),
            "~ target group web: health_check.interval_seconds 30 -> 10".to_owned(),
            "~ target group web: health_check.timeout_seconds 10 -> 6".to_owned(),
            "~ target group web: tag \"team\" none -> \"web\"".to_owned(),
        ]
    );
    let keys = |state: &State| {
        (
            state.load_balancers.values().map(|it| (it.arn.clone(), it.created)).collect::<Vec<_>>(),
            state.listeners.values().map(|it| (it.arn.clone(), it.default_rule.clone())).collect::<Vec<_>>(),
            state.target_groups.values().map(|it| (it.arn.clone(), it.created, it.targets.clone())).collect::<Vec<_>>(),
        )
    };
    assert_eq!(keys(&world.state), keys(&before));
    let ipv4 = |state: &State| {
        state.load_balancers.values().next().unwrap().zones.iter().map(|zone| zone.ipv4).collect::<Vec<_>>()
    };
    assert_eq!(ipv4(&world.state), ipv4(&before));
}

#[test]
fn addresses_stay_while_zones_come_and_go() {
    let mut world = World::new();
    put(&mut world, &web()).unwrap();
    let first = addresses(&world.state, "web");
    let with = |subnets: &[&str]| {
        let mut file = web();
        file["load_balancers"][0]["subnets"] = json!(subnets);
        file
    };
    put(&mut world, &with(&["subnet-c", "subnet-b", "subnet-a"])).unwrap();
    let second = addresses(&world.state, "web");
    assert_eq!(second[..2], first);
    let told = put(&mut world, &with(&["subnet-b", "subnet-c"])).unwrap();
    assert_eq!(told, ["- zone web us-east-1a subnet-a"]);
    assert_eq!(addresses(&world.state, "web"), second[1..]);
    // Another subnet of the zone is another address.
    put(&mut world, &with(&["subnet-28"])).unwrap();
    let moved = addresses(&world.state, "web");
    assert!(moved.len() == 1 && moved[0].starts_with("10.0.5."), "{moved:?}");
    // An address that is named as it is stays, and stays when it is not named any more.
    let mut named = with(&[]);
    named["load_balancers"][0].as_object_mut().unwrap().remove("subnets");
    named["load_balancers"][0]["scheme"] = json!("internal");
    named["load_balancers"][0]["subnet_mappings"] = json!([{"subnet": "subnet-28", "private_ipv4_address": moved[0]}]);
    put(&mut world, &named).unwrap();
    assert_eq!(addresses(&world.state, "web"), moved);
    put(&mut world, &with(&["subnet-28"])).unwrap();
    assert_eq!(addresses(&world.state, "web"), moved);
}

/// One gives an elastic address to the other in the same change.
#[test]
fn elastic_addresses_change_hands() {
    let mut world = World::new();
    let with = |one: &str, two: &str| {
        let balancer = |name: &str, allocation: &str| json!({"name": name, "subnet_mappings": [{"subnet": "subnet-a", "allocation_id": allocation}], "listeners": []});
        file(&[balancer("one", one), balancer("two", two)], &[])
    };
    put(&mut world, &with("eipalloc-1", "eipalloc-2")).unwrap();
    put(&mut world, &with("eipalloc-2", "eipalloc-1")).unwrap();
    assert_eq!(addresses(&world.state, "one"), ["203.0.113.2"]);
    assert_eq!(addresses(&world.state, "two"), ["203.0.113.1"]);
    let found = put(&mut world, &with("eipalloc-1", "eipalloc-1")).unwrap_err();
    assert!(
        found.contains("load_balancers[0].subnet_mappings[0]: the elastic address eipalloc-1 is in use by"),
        "{found}"
    );
}

#[test]
fn targets_drain_and_come_back() {
    let mut world = World::new();
    put(&mut world, &web()).unwrap();
    let mut fewer = web();
    fewer["target_groups"][0] = group("web", &["10.0.1.11"]);
    assert_eq!(put(&mut world, &fewer).unwrap(), ["- target web 10.0.2.11:80"]);
    let draining = |world: &World| {
        let group = world.state.target_group_named("web").unwrap();
        group.targets.values().filter_map(|target| target.draining_until).next()
    };
    let until = draining(&world).unwrap();
    assert_eq!(until, world.now - 1.second() + 300.seconds());
    assert_eq!(put(&mut world, &fewer), Ok(vec![]));
    assert_eq!(draining(&world), Some(until), "it goes on draining as it was");
    assert_eq!(put(&mut world, &web()).unwrap(), ["+ target web 10.0.2.11:80"]);
    assert_eq!(draining(&world), None);
    // Nobody waits for a group that gets no traffic, or whose delay is 0.
    fewer["target_groups"][0]["attributes"] = json!({"deregistration_delay.timeout_seconds": "0"});
    put(&mut world, &fewer).unwrap();
    assert_eq!(world.state.target_group_named("web").unwrap().targets.len(), 1);
    put(&mut world, &file(&[], &[group("web", &["10.0.1.11"])])).unwrap();
    put(&mut world, &file(&[], &[group("web", &[])])).unwrap();
    assert_eq!(world.state.target_group_named("web").unwrap().targets.len(), 0);
}

/// What the operator said of a target's health goes with the target.
#[test]
fn overrides_stay_with_their_targets() {
    let mut world = World::new();
    put(&mut world, &web()).unwrap();
    let arn = world.state.target_group_named("web").unwrap().arn.clone();
    let keys: Vec<TargetKey> = world.state.target_groups[&arn].targets.keys().cloned().collect();
    for key in &keys {
        world.state.overrides.insert((arn.clone(), key.clone()), Override::Unhealthy);
    }
    let mut fewer = web();
    fewer["target_groups"][0] = group("web", &["10.0.1.11"]);
    put(&mut world, &fewer).unwrap();
    assert_eq!(world.state.overrides.keys().map(|(_, key)| key).collect::<Vec<_>>(), [&keys[0]]);
    put(&mut world, &file(&[], &[])).unwrap();
    assert!(world.state.overrides.is_empty());
}

#[test]
fn what_is_protected_is_not_left_out() {
    let mut world = World::new();
    let mut file = web();
    file["load_balancers"][0]["attributes"] = json!({"deletion_protection.enabled": "true"});
    put(&mut world, &file).unwrap();
    let before = world.state.clone();
    let found = put(&mut world, &self::file(&[], &[])).unwrap_err();
    assert!(found.contains("lb.json:1:19: load_balancers: the load balancer web has deletion protection"), "{found}");
    assert_eq!(world.state, before);
    put(&mut world, &web()).unwrap();
    put(&mut world, &self::file(&[], &[])).unwrap();
    assert_eq!(world.state, State::default());
}

/// The inventory may lose what is in use; a file that says the same as before is no news.
#[test]
fn what_does_not_change_is_not_checked_again() {
    let mut world = World::new();
    let mut file = web();
    file["load_balancers"][0]["security_groups"] = json!(["sg-1"]);
    file["load_balancers"][0]["listeners"][0]["protocol"] = json!("TLS");
    file["load_balancers"][0]["listeners"][0]["ssl_policy"] = json!("ELBSecurityPolicy-2016-08");
    file["load_balancers"][0]["listeners"][0]["certificates"] = json!([crate::ops::testing::certificate(1)]);
    file["target_groups"][0]["vpc"] = json!("vpc-1");
    file["target_groups"][0]["target_type"] = json!("instance");
    file["target_groups"][0]["targets"] = json!([{"id": "i-a1"}]);
    put(&mut world, &file).unwrap();
    world.inventory = crate::model::Inventory::default();
    world.quotas.load_balancers = 0;
    world.quotas.targets_per_target_group = 0;
    assert_eq!(put(&mut world, &file), Ok(vec![]));
    file["target_groups"][0]["targets"] = json!([{"id": "i-a1"}, {"id": "i-a2"}]);
    let found = put(&mut world, &file).unwrap_err();
    assert!(found.contains("targets[1].id: there is no instance i-a2") && found.lines().count() == 1, "{found}");
}

#[test]
fn quotas() {
    let mut world = World::new();
    world.quotas.load_balancers = 1;
    world.quotas.target_groups = 1;
    world.quotas.targets_per_target_group = 1;
    let two = file(
        &[balancer("one", &["subnet-a"], &[]), balancer("two", &["subnet-a"], &[])],
        &[group("one", &["10.0.1.11", "10.0.1.12"]), group("two", &[])],
    );
    let found = put(&mut world, &two).unwrap_err();
    for expected in [
        "load_balancers: found 2 load balancers: at most 1 are allowed (quota load_balancers)",
        "target_groups: found 2 target groups: at most 1 are allowed (quota target_groups)",
        "target_groups[0].targets: the target group one would have 2 targets: at most 1 are allowed",
    ] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
    let mut world = World::new();
    world.quotas.targets_per_load_balancer = 1;
    let found = put(&mut world, &web()).unwrap_err();
    assert!(found.contains("load_balancers[0]: the load balancer web would have 2 targets"), "{found}");
}

/// Where the API knows one listener a port, a file may put UDP beside TCP.
#[test]
fn tcp_and_udp_on_one_port() {
    let mut world = World::new();
    let both = |udp: &str| {
        let listener = |protocol: &str, group: &str| json!({"protocol": protocol, "port": 53, "target_group": group});
        let mut tcp = group("tcp", &["10.0.1.11"]);
        let mut of_udp = group("udp", &["10.0.1.12"]);
        (tcp["port"], of_udp["port"], of_udp["protocol"]) = (json!(53), json!(53), json!("UDP"));
        let listeners = [listener(udp, "udp"), listener("TCP", "tcp")];
        file(&[json!({"name": "dns", "addresses": ["198.18.0.10"], "listeners": listeners})], &[tcp, of_udp])
    };
    put(&mut world, &both("UDP")).unwrap();
    assert_eq!(world.state.listeners.len(), 2);
    let before = world.state.clone();
    assert_eq!(put(&mut world, &both("UDP")), Ok(vec![]));
    assert_eq!(world.state, before);
}

#[test]
fn addresses_of_its_own_are_nobody_elses() {
    let mut world = World::new();
    put(&mut world, &web()).unwrap();
    let taken = addresses(&world.state, "web")[0].clone();
    let mut two = web();
    let own = |address: &str| json!({"name": "own", "addresses": [address], "listeners": []});
    two["load_balancers"] = json!([web()["load_balancers"][0], own(&taken)]);
    let found = put(&mut world, &two).unwrap_err();
    assert!(found.contains(&format!("addresses[0]: found {taken}, which load balancer `web` has")), "{found}");
    two["load_balancers"][1] = own("10.0.1.11");
    let found = put(&mut world, &two).unwrap_err();
    assert!(found.contains("targets[0].id: found 10.0.1.11, which is a load balancer's address"), "{found}");
}
